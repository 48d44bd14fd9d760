"""The curve sm2p256v1 and the hashing around it (GB/T 32918.1, .2, .4, .5), for public values and fixed checks.

Point arithmetic is not here: it belongs to the libraries.
"""

import hashlib
from typing import Final

from core.crypto.errors import KeyInvalid

P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A: Final = P - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G: Final = bytes.fromhex(
    "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
)
DEFAULT_ID: Final = b"1234567812345678"  # GM/T 0009-2012 section 10, when the parties agree on no other

_CURVE_BYTES: Final = A.to_bytes(32, "big") + B.to_bytes(32, "big") + G


def check_point(xy: bytes) -> None:
    """KeyInvalid unless x || y is a point of the curve."""
    if len(xy) != 64:
        raise KeyInvalid(f"an SM2 public key is 64 bytes x || y, not {len(xy)}")
    if not on_curve(xy):
        raise KeyInvalid("the SM2 point is not on the curve sm2p256v1")


def check_scalar(raw: bytes) -> None:
    """KeyInvalid unless the scalar is in 1..n-2 (n-1 has no signature: 1 + d would be 0)."""
    if len(raw) != 32:
        raise KeyInvalid(f"an SM2 private key is 32 bytes, not {len(raw)}")
    if not 1 <= int.from_bytes(raw, "big") <= N - 2:
        raise KeyInvalid("the SM2 private key is out of its range 1..n-2")


def on_curve(xy: bytes) -> bool:
    """Whether 64 bytes x || y satisfy the curve equation with both coordinates below p."""
    x, y = int.from_bytes(xy[:32], "big"), int.from_bytes(xy[32:], "big")
    return x < P and y < P and (y * y - (x * x + A) * x - B) % P == 0


def signature_in_range(signature: bytes) -> bool:
    """Whether r and s of 64 bytes are in 1..n-1 and r + s is not 0 mod n (GB/T 32918.2 section 7.1)."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return len(signature) == 64 and 0 < r < N and 0 < s < N and (r + s) % N != 0


def sm3(data: bytes) -> bytes:
    """GB/T 32905, 32 bytes."""
    return hashlib.new("sm3", data).digest()


def z_of(xy: bytes, user_id: bytes = DEFAULT_ID) -> bytes:
    """ZA, the hash of the signer's id, the curve and its public key (GB/T 32918.2 section 5.5)."""
    return sm3((len(user_id) * 8).to_bytes(2, "big") + user_id + _CURVE_BYTES + xy)


def message_digest(xy: bytes, data: bytes, user_id: bytes = DEFAULT_ID) -> bytes:
    """The e that is signed: SM3(ZA || data)."""
    running = hashlib.new("sm3", z_of(xy, user_id))
    running.update(data)
    return running.digest()


def mask(shared_xy: bytes, text: bytes) -> bytes:
    """`text` XOR the key stream of the shared point (KDF of GB/T 32918.4 section 5.4.3): its own inverse."""
    blocks = range(1, -(-len(text) // 32) + 1)
    stream = b"".join(sm3(shared_xy + count.to_bytes(4, "big")) for count in blocks)[: len(text)]
    return (int.from_bytes(stream, "big") ^ int.from_bytes(text, "big")).to_bytes(len(text), "big")


def check_value(shared_xy: bytes, plaintext: bytes) -> bytes:
    """C3 = SM3(x2 || M || y2)."""
    return sm3(shared_xy[:32] + plaintext + shared_xy[32:])
