"""Keys as frozen values: a key that exists is on its curve and in range, and its secret never prints by accident.

Text forms: `sm2-pub:`, `sm2-priv:`, `ed25519-pub:` or `ed25519-priv:` and base64url without padding of the raw bytes.
Raw SM2 public keys are x || y (64 bytes), Ed25519 ones the 32 bytes of RFC 8032; private ones are the 32-byte scalar
and the 32-byte seed.
"""

import hashlib
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Literal

from core.crypto import ed25519_point, sm2_curve
from core.crypto.errors import KeyInvalid

SuiteName = Literal["sm", "intl"]

_WORDS: dict[SuiteName, str] = {"sm": "sm2", "intl": "ed25519"}
_LONGEST_TEXT = 128  # twice the longest key; a file given by mistake is refused before it is decoded


@dataclass(frozen=True, slots=True, weakref_slot=True)
class PublicKey:
    """A point that was checked; KeyInvalid if it is not one."""

    suite: SuiteName
    raw: bytes

    def __post_init__(self) -> None:
        match self.suite:
            case "sm":
                sm2_curve.check_point(self.raw)
            case "intl":
                ed25519_point.check_point(self.raw)
            case _:
                raise KeyInvalid(f"there is no suite {self.suite!r}")

    @property
    def text(self) -> str:
        """`<algorithm>-pub:<base64url>`."""
        return _text(self.suite, "pub", self.raw)


@dataclass(frozen=True, slots=True, weakref_slot=True, repr=False)
class PrivateKey:
    """A scalar or seed that was checked; KeyInvalid if it is out of range."""

    suite: SuiteName
    raw: bytes

    def __post_init__(self) -> None:
        match self.suite:
            case "sm":
                sm2_curve.check_scalar(self.raw)
            case "intl":
                ed25519_point.check_seed(self.raw)
            case _:
                raise KeyInvalid(f"there is no suite {self.suite!r}")

    def __repr__(self) -> str:
        return f"PrivateKey(suite={self.suite!r}, raw=<secret>)"

    def secret_text(self) -> str:
        """`<algorithm>-priv:<base64url>`: the secret itself, for a key file."""
        return _text(self.suite, "priv", self.raw)


def load_public(text: str) -> PublicKey:
    """Read `PublicKey.text`; KeyInvalid says what is wrong."""
    return PublicKey(*_read(text, "pub"))


def load_private(text: str) -> PrivateKey:
    """Read `PrivateKey.secret_text`; KeyInvalid says what is wrong without repeating it."""
    return PrivateKey(*_read(text, "priv"))


def check_suite(key: PublicKey | PrivateKey, suite: SuiteName) -> None:
    """KeyInvalid unless the key is of that suite."""
    if key.suite != suite:
        raise KeyInvalid(f"a key of suite {key.suite} in suite {suite}")


def sm2_public_from_point(point: bytes) -> PublicKey:
    """Read the uncompressed point 04 || x || y, as certificates and other systems write it."""
    if len(point) != 65 or point[0] != 4:
        raise KeyInvalid("an SM2 point is 65 bytes that start with 04", cure="give the uncompressed form")
    return PublicKey("sm", point[1:])


def key_id(public: PublicKey) -> str:
    """A stable name of 20 hex digits: the first 80 bits of the suite's hash over the text form."""
    algorithm = "sm3" if public.suite == "sm" else "sha256"
    return hashlib.new(algorithm, public.text.encode()).hexdigest()[:20]


def _text(suite: SuiteName, half: Literal["pub", "priv"], raw: bytes) -> str:
    return f"{_WORDS[suite]}-{half}:{urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def _read(text: str, half: Literal["pub", "priv"]) -> tuple[SuiteName, bytes]:
    text = text.strip()
    forms = {f"{word}-{half}": suite for suite, word in _WORDS.items()}
    form, colon, body = text.partition(":")
    if not colon or form not in forms or len(text) > _LONGEST_TEXT:
        raise KeyInvalid("not the text of such a key", cure=f"expected {' or '.join(f'{name}:...' for name in forms)}")
    suite = forms[form]
    try:
        raw = b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (Base64Error, ValueError) as broken:
        raise KeyInvalid(f"the part after {form}: is not base64url") from broken
    if _text(suite, half, raw) != text:
        raise KeyInvalid(f"the part after {form}: is not the shortest base64url of a key")
    return suite, raw
