"""The suite `sm`: SM2 (GB/T 32918) by a provider, SM3 (GB/T 32905) by hashlib, SM4-GCM (GB/T 32907, RFC 8998)."""

import hashlib
import hmac
import secrets
from typing import Literal
from weakref import WeakKeyDictionary

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import GCM

from core.crypto import sm2_curve
from core.crypto.errors import KeyInvalid, PlaintextRefused, SealBroken
from core.crypto.keys import PrivateKey, PublicKey, check_suite
from core.crypto.port import MAX_ENCRYPTED_BYTES, NONCE_BYTES, TAG_BYTES, Hasher, Provenance, Sm2Provider

SEAL_KEY_BYTES = 16
_ENVELOPE_BYTES = 97  # 04 || C1 || C3


class SmSuite:
    """The Suite over an Sm2Provider; range and curve checks are made here, for whichever provider serves."""

    name: Literal["sm"] = "sm"

    def __init__(self, provider: Sm2Provider, reason: str) -> None:
        self._provider = provider
        self._reason = reason
        self._publics: WeakKeyDictionary[PrivateKey, PublicKey] = WeakKeyDictionary()

    def describe(self) -> Provenance:
        """Which SM2 library serves, and why."""
        provider, library, version = self._provider.describe()
        return Provenance("sm", provider, library, version, self._reason)

    def hash(self, data: bytes) -> bytes:
        """SM3, 32 bytes."""
        return sm2_curve.sm3(data)

    def hasher(self) -> Hasher:
        """A running SM3."""
        return hashlib.new("sm3")

    def hmac(self, key: bytes, data: bytes) -> bytes:
        """HMAC-SM3, 32 bytes."""
        return hmac.digest(key, data, "sm3")

    def generate(self) -> PrivateKey:
        """A random scalar in 1..n-2."""
        return PrivateKey("sm", (secrets.randbelow(sm2_curve.N - 2) + 1).to_bytes(32, "big"))

    def generate_seal_key(self) -> bytes:
        """16 random bytes."""
        return secrets.token_bytes(SEAL_KEY_BYTES)

    def public_of(self, private: PrivateKey) -> PublicKey:
        """The public point, computed once for a key."""
        check_suite(private, "sm")
        public = self._publics.get(private)
        if public is None:
            public = self._publics[private] = PublicKey("sm", self._provider.public_xy(private))
        return public

    def sign(self, private: PrivateKey, data: bytes) -> bytes:
        """The 64 bytes r || s over SM3(ZA || data) with the default user id."""
        return self._provider.sign(private, sm2_curve.message_digest(self.public_of(private).raw, data))

    def verify(self, public: PublicKey, data: bytes, signature: bytes) -> bool:
        """Whether r || s is the key's signature over SM3(ZA || data)."""
        if public.suite != "sm" or not sm2_curve.signature_in_range(signature):
            return False
        return self._provider.verify(public, sm2_curve.message_digest(public.raw, data), signature)

    def seal(self, key: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        """SM4-GCM: nonce || ciphertext || tag."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        encryptor = Cipher(SM4(_seal_key(key)), GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(aad)
        return b"".join((nonce, encryptor.update(plaintext), encryptor.finalize(), encryptor.tag))

    def open(self, key: bytes, sealed: bytes, aad: bytes = b"") -> bytes:
        """The plaintext of `seal`, or SealBroken."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise SealBroken(f"a seal of {len(sealed)} bytes is shorter than its nonce and tag")
        decryptor = Cipher(SM4(_seal_key(key)), GCM(sealed[:NONCE_BYTES], sealed[-TAG_BYTES:])).decryptor()
        decryptor.authenticate_additional_data(aad)
        plaintext = decryptor.update(sealed[NONCE_BYTES:-TAG_BYTES])
        try:
            return plaintext + decryptor.finalize()
        except InvalidTag:
            raise SealBroken("the SM4-GCM tag does not fit") from None

    def encrypt_to(self, public: PublicKey, plaintext: bytes) -> bytes:
        """SM2: 04 || C1 || C3 || C2."""
        check_suite(public, "sm")
        if not 1 <= len(plaintext) <= MAX_ENCRYPTED_BYTES:
            raise PlaintextRefused(f"{len(plaintext)} bytes; SM2 encrypts 1 to {MAX_ENCRYPTED_BYTES}")
        while True:
            ciphertext = self._provider.encrypt(public, plaintext)
            # GB/T 32918.4 section 6.1 A5: "if t is all 0, return to A1"; OpenSSL 3.0 does not look.
            if ciphertext[_ENVELOPE_BYTES:] != plaintext:
                return ciphertext

    def decrypt(self, private: PrivateKey, ciphertext: bytes) -> bytes:
        """The plaintext, or SealBroken; a C1 off the curve never meets the private key."""
        check_suite(private, "sm")
        body = len(ciphertext) - _ENVELOPE_BYTES
        if not 1 <= body <= MAX_ENCRYPTED_BYTES or ciphertext[0] != 4:
            raise SealBroken("not 04 || C1 || C3 || C2")
        if not sm2_curve.on_curve(ciphertext[1:65]):
            raise SealBroken("C1 is not on the curve")
        plaintext = self._provider.decrypt(private, ciphertext)
        if plaintext is None or plaintext == ciphertext[_ENVELOPE_BYTES:]:
            raise SealBroken("C3 does not fit")
        return plaintext


def _seal_key(key: bytes) -> bytes:
    if len(key) != SEAL_KEY_BYTES:
        raise KeyInvalid(f"an SM4 key is {SEAL_KEY_BYTES} bytes, not {len(key)}")
    return key
