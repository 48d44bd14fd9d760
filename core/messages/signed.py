r"""What central signs: the exact bytes, so that nobody has to agree on a canonical form.

On the wire: `{"purpose": "command", "key_id": "...", "body": "<text>", "signature": "<base64url>"}`. The signature
covers `gatefleet/v1/<purpose>\n` + body, so that a signed list can never pass as a signed command.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import MessageInvalid, SignatureInvalid

Purpose = Literal["command", "list", "snapshot", "delta", "config", "view"]


class Signer(Protocol):
    """Whoever holds the private key."""

    @property
    def key_id(self) -> str:
        """Name the key, so that keys can be rolled over."""

    def sign(self, data: bytes) -> bytes:
        """Return the raw signature."""


class Verifier(Protocol):
    """Whoever knows the public keys, by key id."""

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Tell whether a known key of that id made the signature."""


class Signed(BaseModel):
    """A signed text with its purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: Purpose
    key_id: str = Field(max_length=64)
    body: str
    signature: str = Field(max_length=256)

    @classmethod
    def make(cls, purpose: Purpose, body: str, signer: Signer) -> "Signed":
        """Sign a text."""
        raw = signer.sign(_covered(purpose, body))
        return cls(
            purpose=purpose, key_id=signer.key_id, body=body, signature=urlsafe_b64encode(raw).decode().rstrip("=")
        )

    @classmethod
    def read(cls, raw: bytes | str, purpose: Purpose) -> "Signed":
        """Read the wire form; raise MessageInvalid unless it is one of that purpose."""
        try:
            signed = cls.model_validate_json(raw)
        except ValidationError as error:
            raise MessageInvalid(f"not a signed {purpose}: {error.error_count()} mistakes") from error
        if signed.purpose != purpose:
            raise MessageInvalid(f"signed as {signed.purpose}, wanted {purpose}")
        return signed

    def opened(self, verifier: Verifier) -> str:
        """Return the body once its signature is proved; raise SignatureInvalid otherwise."""
        try:
            raw = urlsafe_b64decode(self.signature + "=" * (-len(self.signature) % 4))
        except ValueError as error:
            raise SignatureInvalid("the signature is not base64url", place=self.purpose) from error
        if not verifier.verify(self.key_id, _covered(self.purpose, self.body), raw):
            raise SignatureInvalid(
                f"not signed by a key that is trusted here (key id {self.key_id})", place=self.purpose
            )
        return self.body


def _covered(purpose: str, body: str) -> bytes:
    return f"gatefleet/v1/{purpose}\n{body}".encode()
