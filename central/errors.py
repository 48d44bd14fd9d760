"""The noes of the API: each is a GatefleetError with an HTTP status. Domains subclass these with codes of their own."""

from collections.abc import Sequence
from typing import ClassVar

from core.errors import GatefleetError, Whose


class ApiError(GatefleetError):
    """A no to a caller; `status` is the HTTP status, `pointers` are (JSON pointer, what is wrong) pairs."""

    code = "api_error"
    status: ClassVar[int] = 400
    whose = Whose.REFUSED

    def __init__(
        self, detail: str, *, place: str = "", cure: str = "", pointers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(detail, place=place, cure=cure)
        self.pointers = tuple(pointers)


class Unauthenticated(ApiError):
    """No key, or none that is valid now."""

    code = "unauthenticated"
    status = 401


class Forbidden(ApiError):
    """The caller is known but may not do this, or not there."""

    code = "forbidden"
    status = 403


class Missing(ApiError):
    """Nothing bears that id, or nothing that the caller may see."""

    code = "missing"
    status = 404


class Conflict(ApiError):
    """The present state does not allow it."""

    code = "conflict"
    status = 409


class KeyInFlight(Conflict):
    """A request with the same Idempotency-Key is still running."""

    code = "idempotency_in_flight"


class Stale(ApiError):
    """If-Match does not name the present version."""

    code = "stale"
    status = 412


class TooLarge(ApiError):
    """The request body is over the limit."""

    code = "too_large"
    status = 413


class Invalid(ApiError):
    """The request is well formed but its values cannot be used."""

    code = "invalid"
    status = 422


class KeyReused(Invalid):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_key_reused"


class MatchRequired(ApiError):
    """A change needs If-Match with the version it is based on."""

    code = "match_required"
    status = 428


class TooMany(ApiError):
    """Too many requests."""

    code = "too_many"
    status = 429


class Unavailable(ApiError):
    """Something that is needed cannot be reached now."""

    code = "unavailable"
    status = 503
    retriable = True
    whose = Whose.LOCAL
