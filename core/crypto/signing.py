"""Who signs and whom one trusts: the two ends of `core.messages.signed`."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.crypto import suite
from core.crypto.keys import PrivateKey, PublicKey, key_id, load_public


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs under its key id."""

    private: PrivateKey

    @property
    def public(self) -> PublicKey:
        """Return the half to hand out."""
        return suite(self.private.suite).public_of(self.private)

    @property
    def key_id(self) -> str:
        """Return the name of the public half."""
        return key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """Return the raw signature, 64 bytes."""
        return suite(self.private.suite).sign(self.private, data)


class TrustedKeys:
    """Public keys by key id; each verifies in its own suite, so that a fleet can move from one to the other."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {key_id(key): key for key in keys}

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> "TrustedKeys":
        """Read the text forms of a config; raise KeyInvalid."""
        return cls(load_public(text) for text in texts)

    def verify(self, name: str, data: bytes, signature: bytes) -> bool:
        """Tell whether the key of that id is trusted and made the signature."""
        key = self._keys.get(name)
        return key is not None and suite(key.suite).verify(key, data, signature)
