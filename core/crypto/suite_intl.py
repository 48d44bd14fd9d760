"""The suite `intl`: Ed25519 (RFC 8032), SHA-256, AES-GCM and HPKE (RFC 9180), all by `cryptography`.

`encrypt_to` is HPKE base mode with X25519, HKDF-SHA-256 and AES-128-GCM. The X25519 key is the Ed25519 key on its other
curve, so that one key serves the whole port, as an SM2 key does; HPKE's key schedule and Ed25519's hashing keep
the two uses apart.
"""

import hashlib
import hmac
import secrets
from typing import Final, Literal
from weakref import WeakKeyDictionary

import cryptography
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.crypto import ed25519_point
from core.crypto.errors import KeyInvalid, PlaintextRefused, SealBroken
from core.crypto.keys import PrivateKey, PublicKey, check_suite
from core.crypto.port import MAX_ENCRYPTED_BYTES, NONCE_BYTES, TAG_BYTES, Hasher, Provenance

SEAL_KEY_BYTES = 32
_SEAL_KEY_LENGTHS: Final = (16, 32)
_HPKE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
_INFO: Final = b"gatefleet encrypt_to v1"
_ENVELOPE_BYTES: Final = 32 + TAG_BYTES


class IntlSuite:
    """The Suite over `cryptography`."""

    name: Literal["intl"] = "intl"

    def __init__(self) -> None:
        self._private: WeakKeyDictionary[PrivateKey, Ed25519PrivateKey] = WeakKeyDictionary()
        self._public: WeakKeyDictionary[PublicKey, Ed25519PublicKey] = WeakKeyDictionary()

    def describe(self) -> Provenance:
        """`cryptography` serves everything here."""
        version = cryptography.__version__
        return Provenance("intl", "cryptography", "Python package cryptography", version, "the only provider")

    def hash(self, data: bytes) -> bytes:
        """SHA-256, 32 bytes."""
        return hashlib.sha256(data).digest()

    def hasher(self) -> Hasher:
        """A running SHA-256."""
        return hashlib.sha256()

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        return hmac.digest(key, data, "sha256")

    def generate(self) -> PrivateKey:
        """A random seed."""
        return PrivateKey("intl", secrets.token_bytes(32))

    def generate_seal_key(self) -> bytes:
        """32 random bytes."""
        return secrets.token_bytes(SEAL_KEY_BYTES)

    def public_of(self, private: PrivateKey) -> PublicKey:
        """The public point."""
        return PublicKey("intl", self._parsed_private(private).public_key().public_bytes_raw())

    def sign(self, private: PrivateKey, data: bytes) -> bytes:
        """The 64 bytes R || S."""
        return self._parsed_private(private).sign(data)

    def verify(self, public: PublicKey, data: bytes, signature: bytes) -> bool:
        """Whether R || S is the key's signature."""
        if public.suite != "intl":
            return False
        try:
            self._parsed_public(public).verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def seal(self, key: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        """AES-128-GCM or AES-256-GCM by the key's length: nonce || ciphertext || tag."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(_seal_key(key)).encrypt(nonce, plaintext, aad)

    def open(self, key: bytes, sealed: bytes, aad: bytes = b"") -> bytes:
        """The plaintext of `seal`, or SealBroken."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise SealBroken(f"a seal of {len(sealed)} bytes is shorter than its nonce and tag")
        try:
            return AESGCM(_seal_key(key)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
        except InvalidTag:
            raise SealBroken("the AES-GCM tag does not fit") from None

    def encrypt_to(self, public: PublicKey, plaintext: bytes) -> bytes:
        """HPKE: encapsulated key(32) || ciphertext || tag(16)."""
        check_suite(public, "intl")
        if not 1 <= len(plaintext) <= MAX_ENCRYPTED_BYTES:
            raise PlaintextRefused(f"{len(plaintext)} bytes; encrypt_to takes 1 to {MAX_ENCRYPTED_BYTES}")
        recipient = X25519PublicKey.from_public_bytes(ed25519_point.public_to_x25519(public.raw))
        return _HPKE.encrypt(plaintext, recipient, _INFO)

    def decrypt(self, private: PrivateKey, ciphertext: bytes) -> bytes:
        """The plaintext, or SealBroken."""
        check_suite(private, "intl")
        if not 1 <= len(ciphertext) - _ENVELOPE_BYTES <= MAX_ENCRYPTED_BYTES:
            raise SealBroken("not an encapsulated key, ciphertext and tag")
        recipient = X25519PrivateKey.from_private_bytes(ed25519_point.seed_to_x25519(private.raw))
        try:
            return _HPKE.decrypt(ciphertext, recipient, _INFO)
        except InvalidTag:
            raise SealBroken("the HPKE ciphertext does not fit the key") from None

    def _parsed_private(self, key: PrivateKey) -> Ed25519PrivateKey:
        check_suite(key, "intl")
        parsed = self._private.get(key)
        if parsed is None:
            parsed = self._private[key] = Ed25519PrivateKey.from_private_bytes(key.raw)
        return parsed

    def _parsed_public(self, key: PublicKey) -> Ed25519PublicKey:
        parsed = self._public.get(key)
        if parsed is None:
            parsed = self._public[key] = Ed25519PublicKey.from_public_bytes(key.raw)
        return parsed


def _seal_key(key: bytes) -> bytes:
    if len(key) not in _SEAL_KEY_LENGTHS:
        raise KeyInvalid(f"an AES key is 16 or 32 bytes, not {len(key)}")
    return key
