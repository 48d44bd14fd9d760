"""The port: what every suite offers, and what an SM2 library must offer to serve the suite `sm`."""

from dataclasses import dataclass
from typing import Literal, Protocol

from core.crypto.keys import PrivateKey, PublicKey, SuiteName

ProviderName = Literal["auto", "libcrypto", "gmssl"]

SIGNATURE_BYTES = 64
NONCE_BYTES = 12
TAG_BYTES = 16
MAX_ENCRYPTED_BYTES = 65_536  # encrypt_to is for keys and short records; whoever sends more wraps a seal key instead


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which code does the public-key work of a suite, and why that one."""

    suite: SuiteName
    provider: str
    library: str
    version: str
    reason: str

    def __str__(self) -> str:
        return f"suite {self.suite}: {self.provider} {self.version} ({self.library}); {self.reason}"


class Hasher(Protocol):
    """A running hash for content that comes in pieces."""

    def update(self, data: bytes, /) -> None:
        """Take the next piece."""

    def digest(self) -> bytes:
        """32 bytes over all pieces so far."""


class Suite(Protocol):
    """One algorithm family; safe to share between threads.

    A signature is 64 raw bytes. A seal is `nonce(12) || ciphertext || tag(16)` under a shared key, with random nonces:
    change the key before 2^32 seals. Encryption to a public key hides the content but does not say who sent it.
    """

    @property
    def name(self) -> SuiteName:
        """Which suite this is, as keys name it."""

    def hash(self, data: bytes) -> bytes:
        """32 bytes: SM3 or SHA-256."""

    def hasher(self) -> Hasher:
        """The same hash, fed in pieces."""

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """32 bytes of HMAC with the suite's hash; compare with `hmac.compare_digest`."""

    def generate(self) -> PrivateKey:
        """A new private key from the system's random source."""

    def generate_seal_key(self) -> bytes:
        """A new key for `seal`."""

    def public_of(self, private: PrivateKey) -> PublicKey:
        """The public half; KeyInvalid if the key is of another suite."""

    def sign(self, private: PrivateKey, data: bytes) -> bytes:
        """64 raw bytes; KeyInvalid if the key is of another suite."""

    def verify(self, public: PublicKey, data: bytes, signature: bytes) -> bool:
        """False for anything wrong: no content of the three arguments raises."""

    def seal(self, key: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        """Encrypt and authenticate, `aad` authenticated only; KeyInvalid if the key's length is not the suite's."""

    def open(self, key: bytes, sealed: bytes, aad: bytes = b"") -> bytes:
        """The plaintext of `seal`, or SealBroken."""

    def encrypt_to(self, public: PublicKey, plaintext: bytes) -> bytes:
        """Encrypt 1 to MAX_ENCRYPTED_BYTES bytes for the holder of the private key, or PlaintextRefused."""

    def decrypt(self, private: PrivateKey, ciphertext: bytes) -> bytes:
        """The plaintext of `encrypt_to`, or SealBroken."""

    def describe(self) -> Provenance:
        """Which library serves this suite, and why."""


class Sm2Provider(Protocol):
    """SM2 on checked input: points are on the curve, scalars in range, `digest` is the 32-byte e of GB/T 32918.2."""

    def public_xy(self, private: PrivateKey) -> bytes:
        """The 64 bytes x || y of the public point."""

    def sign(self, private: PrivateKey, digest: bytes) -> bytes:
        """The 64 bytes r || s, each half left-padded."""

    def verify(self, public: PublicKey, digest: bytes, signature: bytes) -> bool:
        """Whether r || s, both in 1..n-1, fits."""

    def encrypt(self, public: PublicKey, plaintext: bytes) -> bytes:
        """04 || C1 || C3 || C2 (GB/T 32918.4)."""

    def decrypt(self, private: PrivateKey, ciphertext: bytes) -> bytes | None:
        """The plaintext of 04 || C1 || C3 || C2, or None if C3 does not fit."""

    def describe(self) -> tuple[str, str, str]:
        """Name, library file and version."""
