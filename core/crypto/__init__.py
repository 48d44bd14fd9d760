"""One port, two suites: `suite("sm")` is SM2/SM3/SM4, `suite("intl")` is Ed25519/SHA-256/AES.

signer = suite("sm")
private = signer.generate()
signature = signer.sign(private, b"open lane 3")
signer.verify(signer.public_of(private), b"open lane 3", signature)    # True
"""

from core.crypto.choice import make_intl, make_sm
from core.crypto.errors import CryptoUnavailable, KeyInvalid, PlaintextRefused, SealBroken
from core.crypto.keys import (
    PrivateKey,
    PublicKey,
    SuiteName,
    key_id,
    load_private,
    load_public,
    sm2_public_from_point,
)
from core.crypto.port import MAX_ENCRYPTED_BYTES, SIGNATURE_BYTES, Hasher, Provenance, ProviderName, Suite

__all__ = [
    "MAX_ENCRYPTED_BYTES",
    "SIGNATURE_BYTES",
    "CryptoUnavailable",
    "Hasher",
    "KeyInvalid",
    "PlaintextRefused",
    "PrivateKey",
    "Provenance",
    "ProviderName",
    "PublicKey",
    "SealBroken",
    "Suite",
    "SuiteName",
    "key_id",
    "load_private",
    "load_public",
    "sm2_public_from_point",
    "suite",
]


def suite(name: SuiteName, *, sm2_provider: ProviderName = "auto") -> Suite:
    """The suite of that name, probed once; CryptoUnavailable if this machine, or the provider asked for, cannot."""
    return make_sm(sm2_provider) if name == "sm" else make_intl()
