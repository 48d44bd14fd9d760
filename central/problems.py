"""RFC 9457: every error of the API is an application/problem+json with a stable `type`, /problems/<code>."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from central.errors import ApiError, Unauthenticated
from core.errors import GatefleetError, Whose

_log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

_STATUS_BY_CODE: Final[Mapping[str, int]] = {
    "not_found": 404,
    "unsupported": 422,
    "message_invalid": 422,
    "list_refused": 422,
    "signature_invalid": 422,
    "device_refused": 409,
    "command_expired": 409,
    "link_lost": 503,
}
_HTTP_CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
}


class PointedError(BaseModel):
    """One mistake in a request."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body, or #/query/<name> and the like")
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Stable: /problems/<code>")
    title: str
    status: int
    detail: str
    trace_id: str
    errors: list[PointedError] = []


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    422: {
        "description": "Not usable as it is",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}


def trace_id(request: Request) -> str:
    """Return the id under which this request is logged."""
    return str(request.scope.get("trace_id", ""))


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem response."""
    body = {
        "type": f"/problems/{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "trace_id": trace_id(request),
        "errors": [{"pointer": pointer, "detail": text} for pointer, text in errors],
    }
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def status_of(error: GatefleetError) -> int:
    """Return the HTTP status of an error; ours are 500."""
    if isinstance(error, ApiError):
        return error.status
    known = _STATUS_BY_CODE.get(error.code)
    if known is None:
        return {Whose.REFUSED: 409, Whose.REMOTE: 502, Whose.LOCAL: 503 if error.retriable else 500}[error.whose]
    return known


def pointer_of(location: Sequence[int | str]) -> str:
    """Return the JSON pointer of a validation error: `#/name` in the body, `#/query/limit`, `#/header/if-match`."""
    in_body = bool(location) and location[0] == "body"
    parts = location[1:] if in_body else location
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def of_error(request: Request, error: Exception) -> Response:
    """Return the problem of a GatefleetError."""
    assert isinstance(error, GatefleetError)
    status = status_of(error)
    if status >= 500:
        _log.error("http.failed", code=error.code, detail=str(error), path=request.url.path)
    pointers = error.pointers if isinstance(error, ApiError) else ()
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    detail = f"{error.detail} ({error.cure})" if error.cure else error.detail
    return problem(request, status, error.code, detail, errors=pointers, headers=headers)


def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [(pointer_of(one["loc"]), str(one["msg"])) for one in error.errors()]
    return problem(request, 422, "invalid", f"{len(found)} mistakes in the request", errors=found)


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, GatefleetError):  # raised while the body was read: FastAPI makes a 400 of it
        return of_error(request, error.__cause__)
    code = _HTTP_CODES.get(error.status_code, "http_error")
    return problem(request, error.status_code, code, str(error.detail), headers=error.headers)


def of_bug(request: Request, error: Exception) -> Response:
    """Return the problem of what nobody expected: it tells nothing, the log tells all."""
    _log.error("http.bug", path=request.url.path, exc_info=error)
    return problem(request, 500, "internal", "a mistake of ours; the log has it under the trace id")


def install(app: FastAPI) -> None:
    """Turn every error of the app into a problem."""
    app.add_exception_handler(GatefleetError, of_error)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
