"""SM2 by gmssl 3.2.2 where libcrypto cannot: right but slow (some 150 signatures/s), and not constant-time.

What is not trusted to it: its constructor corrupts public keys that start with 04 (none goes through it), its nonces
come from `random` (ours from `secrets`), its decryption does not compare C3, its verification raises on a sum at
infinity. Only its point arithmetic and its signing serve here.
"""

import hmac
import secrets
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from gmssl.sm2 import CryptSM2

from core.crypto import sm2_curve
from core.crypto.keys import PrivateKey, PublicKey


def random_nonce() -> int:
    """A secret number in 1..n-1."""
    return secrets.randbelow(sm2_curve.N - 1) + 1


class GmsslSm2:
    """An Sm2Provider in Python; `nonce` is an argument so that the standard's examples can be computed."""

    def __init__(self, nonce: Callable[[], int] = random_nonce) -> None:
        self._nonce = nonce

    def describe(self) -> tuple[str, str, str]:
        """Name, place and version of the library."""
        return "gmssl", "Python package gmssl", version("gmssl")

    def public_xy(self, private: PrivateKey) -> bytes:
        """The point d * G."""
        return _times(int.from_bytes(private.raw, "big"), sm2_curve.G)

    def sign(self, private: PrivateKey, digest: bytes) -> bytes:
        """The 64 bytes r || s, with a new nonce until both are usable."""
        engine = _engine(private_hex=private.raw.hex())
        while True:
            signature: str | None = engine.sign(digest, f"{self._nonce():064x}")
            if signature is not None:
                return bytes.fromhex(signature)

    def verify(self, public: PublicKey, digest: bytes, signature: bytes) -> bool:
        """Whether r == e + x1 mod n, where (x1, y1) = s * G + (r + s) * P."""
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        total = _sum(_times(s, sm2_curve.G), _times((r + s) % sm2_curve.N, public.raw))
        if total is None:
            return False
        return r == (int.from_bytes(digest, "big") + int.from_bytes(total[:32], "big")) % sm2_curve.N

    def encrypt(self, public: PublicKey, plaintext: bytes) -> bytes:
        """04 || C1 || C3 || C2."""
        k = self._nonce()
        shared = _times(k, public.raw)
        c3 = sm2_curve.check_value(shared, plaintext)
        return b"\x04" + _times(k, sm2_curve.G) + c3 + sm2_curve.mask(shared, plaintext)

    def decrypt(self, private: PrivateKey, ciphertext: bytes) -> bytes | None:
        """The plaintext, or None if C3 does not fit."""
        shared = _times(int.from_bytes(private.raw, "big"), ciphertext[1:65])
        plaintext = sm2_curve.mask(shared, ciphertext[97:])
        fits = hmac.compare_digest(sm2_curve.check_value(shared, plaintext), ciphertext[65:97])
        return plaintext if fits else None


def _engine(private_hex: str = "") -> Any:  # gmssl ships no types
    return CryptSM2(private_key=private_hex, public_key="")


def _times(k: int, xy: bytes) -> bytes:
    """The multiple k * point for k in 1..n-1: never infinity, since the order is prime and the cofactor 1."""
    product: str = _engine()._kg(k, xy.hex())  # noqa: SLF001  (gmssl has no public name for it, and no newer release)
    return bytes.fromhex(product)


def _sum(left: bytes, right: bytes) -> bytes | None:
    """The affine sum, or None at infinity."""
    engine = _engine()
    start = left.hex() + "1"
    total = engine._double_point(start) if left == right else engine._add_point(start, right.hex())  # noqa: SLF001
    affine: str | None = engine._convert_jacb_to_nor(total)  # noqa: SLF001  (as above)
    return None if affine is None else bytes.fromhex(affine)
