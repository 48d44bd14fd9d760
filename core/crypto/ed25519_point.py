"""Which 32 bytes are an Ed25519 public key (RFC 8032 section 5.1.3), and its X25519 twin (RFC 7748 section 4.1)."""

import hashlib
from typing import Final

from core.crypto.errors import KeyInvalid

P: Final = 2**255 - 19
D: Final = -121665 * pow(121666, -1, P) % P

_SQRT_MINUS_1: Final = pow(2, (P - 1) // 4, P)


def check_seed(raw: bytes) -> None:
    """KeyInvalid unless the seed has 32 bytes."""
    if len(raw) != 32:
        raise KeyInvalid(f"an Ed25519 private key is 32 bytes, not {len(raw)}")


def check_point(raw: bytes) -> None:
    """KeyInvalid unless the bytes are a canonical point; one of small order would verify what nobody signed."""
    if len(raw) != 32:
        raise KeyInvalid(f"an Ed25519 public key is 32 bytes, not {len(raw)}")
    y = int.from_bytes(raw, "little") & (1 << 255) - 1
    x = _x_of(y)
    if y >= P or x is None:
        raise KeyInvalid("the Ed25519 point is not on the curve")
    if _has_small_order(x, y):
        raise KeyInvalid("the Ed25519 point has a small order")


def public_to_x25519(raw: bytes) -> bytes:
    """The Montgomery u of a checked point: (1 + y) / (1 - y)."""
    y = int.from_bytes(raw, "little") & (1 << 255) - 1
    return ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")


def seed_to_x25519(seed: bytes) -> bytes:
    """The scalar that Ed25519 derives from its seed (RFC 8032 section 5.1.5), before clamping."""
    return hashlib.sha512(seed).digest()[:32]


def _x_of(y: int) -> int | None:
    """Either root x of -x^2 + y^2 = 1 + d x^2 y^2, or None."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for x in (root, root * _SQRT_MINUS_1 % P):
        if x * x % P == square:
            return x
    return None


def _has_small_order(x: int, y: int) -> bool:
    for _ in range(3):
        cross = D * x * x * y * y
        x, y = 2 * x * y * pow(1 + cross, -1, P) % P, (y * y + x * x) * pow(1 - cross, -1, P) % P
    return (x, y) == (0, 1)
