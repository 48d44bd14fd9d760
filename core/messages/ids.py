"""Ids that sort by time: ULIDs, 26 characters of Crockford's base 32 (github.com/ulid/spec)."""

from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
ENTROPY_BYTES: Final = 10


def ulid(unix_ms: int, entropy: bytes) -> str:
    """Return the id of a moment and 10 random bytes."""
    number = unix_ms << 80 | int.from_bytes(entropy)
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
