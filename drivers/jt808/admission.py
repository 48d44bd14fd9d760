"""Who may connect: pure, and without a list of what was issued."""

import base64
import hashlib
import hmac
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final, Protocol

from pydantic import Field, SecretStr

from drivers.base import Settings

_CODE_BYTES: Final = 10
_MIN_KEY: Final = 16


class LocatorSettings(Settings):
    """Who may register and authenticate. Empty: nobody."""

    terminals: tuple[str, ...] = Field(default=(), max_length=20_000)
    """Terminal numbers, without leading zeros, or patterns with `*` and `?`."""
    auth_key: SecretStr = SecretStr("")
    """The secret itself, at least 16 bytes: authentication codes are made from it, none are kept."""
    codes: dict[str, SecretStr] = Field(default_factory=dict, max_length=20_000)
    """Codes that terminals got from another platform, by terminal number without leading zeros."""

    @cached_property
    def admission(self) -> "KeyedAdmission":
        """Return who may connect, one copy for all connections."""
        return KeyedAdmission(self)


class Admission(Protocol):
    """Who may register, and with which code a terminal is admitted."""

    def may_register(self, terminal: str) -> bool:
        """Tell whether a terminal is one of ours."""

    def code(self, terminal: str) -> str:
        """Return the authentication code for a terminal that may register."""

    def admits(self, terminal: str, code: str) -> bool:
        """Tell whether a terminal is ours and the code is its own."""


class KeyedAdmission:
    """Codes are 80 bits of an HMAC of the terminal's number: the same again after every restart."""

    def __init__(self, settings: LocatorSettings) -> None:
        self._exact = frozenset(one for one in settings.terminals if not set(one) & set("*?["))
        self._patterns = tuple(one for one in settings.terminals if one not in self._exact)
        self._key = settings.auth_key.get_secret_value().encode()
        self._codes = settings.codes

    def may_register(self, terminal: str) -> bool:
        """Tell whether a terminal is listed, or matches a pattern, and codes can be made."""
        return len(self._key) >= _MIN_KEY and self._ours(terminal)

    def code(self, terminal: str) -> str:
        """Return the code: 16 letters and digits."""
        number = terminal.lstrip("0").encode()
        digest = hmac.digest(self._key, b"gatefleet jt808 authentication\0" + number, hashlib.sha256)
        return base64.b32encode(digest[:_CODE_BYTES]).decode()

    def admits(self, terminal: str, code: str) -> bool:
        """Compare in constant time with the code that was made or configured."""
        if not self._ours(terminal):
            return False
        configured = self._codes.get(terminal.lstrip("0"))
        given = code.encode("utf-8", "surrogatepass")
        if configured is not None and hmac.compare_digest(configured.get_secret_value().encode(), given):
            return True
        return len(self._key) >= _MIN_KEY and hmac.compare_digest(self.code(terminal).encode(), given)

    def _ours(self, terminal: str) -> bool:
        bare = terminal.lstrip("0")
        if bare in self._exact or bare in self._codes or terminal in self._exact:
            return True
        return any(fnmatchcase(bare, pattern) for pattern in self._patterns)
