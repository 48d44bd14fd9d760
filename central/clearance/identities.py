"""Natural identifiers: they come in once, and leave as keyed tokens, or in an envelope that only the seal key opens."""

from dataclasses import dataclass, field

from central.errors import Invalid, Unavailable
from core.crypto import SealBroken, Suite
from core.identity.tokens import Identified, IdentifierRefused, TokenKind, identify, normal_identifier, subject_token


@dataclass(frozen=True, slots=True)
class Known:
    """Who it is, as a token. `problem` where the text has the shape of its kind but is misread."""

    kind: TokenKind
    token: str
    natural: str = field(repr=False)
    expiry: str = ""
    """YYMMDD as printed in the zone; empty where the text tells none."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SealKey:
    """The key of the envelopes and the name under which rows refer to it."""

    name: str
    key: bytes = field(repr=False)


class Identities:
    """Makes tokens and envelopes with the keys of the configuration."""

    def __init__(self, *, suite: Suite, token_key: bytes, seal_key: SealKey | None = None) -> None:
        self._suite = suite
        self._token_key = token_key
        self._seal_key = seal_key

    def known(self, text: str, kind: TokenKind | None = None) -> Known:
        """Return who a text names; raise IdentifierRefused. Without a kind it is found by the text's shape."""
        found = identify(text) if kind is None else Identified(kind, normal_identifier(kind, text))
        if not found.natural:
            raise IdentifierRefused(found.problem or "it names nobody")
        token = subject_token(found.kind, found.natural, self._token_key, self._suite.hmac)
        return Known(found.kind, token, found.natural, found.hints.expiry, found.problem)

    def seal(self, natural: str, entry: str) -> tuple[bytes, str]:
        """Return the envelope of an identifier, bound to its entry, and the name of the key that opens it."""
        if self._seal_key is None:
            raise Invalid("there is no seal key in the configuration", pointers=[("#/keep_sealed", "cannot be kept")])
        return self._suite.seal(self._seal_key.key, natural.encode(), entry.encode()), self._seal_key.name

    def opened(self, sealed: bytes, entry: str, key_name: str) -> str:
        """Return what an envelope holds; raise Unavailable without its key, or where it is damaged."""
        if self._seal_key is None or self._seal_key.name != key_name:
            raise Unavailable(f"the seal key {key_name} is not in the configuration")
        try:
            return self._suite.open(self._seal_key.key, sealed, entry.encode()).decode()
        except SealBroken as error:
            raise Unavailable("the envelope does not open with its key") from error
