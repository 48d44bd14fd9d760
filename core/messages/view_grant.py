"""A grant to see one camera's live picture: made by central for one person, redeemed once at the camera's edge."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import MessageInvalid
from core.messages.signed import Signed, Signer, Verifier

LONGEST_VIEW: Final = timedelta(hours=1)
"""Nobody looks longer by one grant."""
MAX_GRANT: Final = 4096
"""Characters of its text."""


class ViewGrant(BaseModel):
    """Who may see what, from when to begin and until when it ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9A-Z]{26}$")
    """Serves once."""
    edge: str
    device: str = Field(max_length=64)
    actor: str = Field(max_length=128)
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    """It must be redeemed before."""
    until: AwareDatetime
    """The picture ends."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.issued_at <= self.expires_at <= self.until <= self.issued_at + LONGEST_VIEW:
            raise ValueError("times that are not in their order, or too long")
        return self

    def text(self, signer: Signer) -> str:
        """Return the grant as it is handed out: a word that fits a header and an address."""
        signed = Signed.make("view", self.model_dump_json(), signer)
        return urlsafe_b64encode(signed.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, verifier: Verifier) -> "ViewGrant":
        """Return the grant of a text; raise MessageInvalid, or SignatureInvalid where nobody trusted signed it."""
        if len(text) > MAX_GRANT or not text.isascii():
            raise MessageInvalid("not a grant")
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError as error:
            raise MessageInvalid("not a grant") from error
        body = Signed.read(raw, "view").opened(verifier)
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise MessageInvalid(f"not a grant: {error.error_count()} mistakes") from error

    def expired(self, edge_wall: datetime, offset_ms: int, error_ms: int) -> bool:
        """Tell whether, by central's clock as the edge knows it, it is too late, or cannot be told to be in time."""
        return _latest(edge_wall, offset_ms, error_ms) >= self.expires_at

    def left_s(self, edge_wall: datetime, offset_ms: int, error_ms: int) -> float:
        """Return how long the picture may go on; the clock's error counts against it."""
        return (self.until - _latest(edge_wall, offset_ms, error_ms)).total_seconds()


def _latest(edge_wall: datetime, offset_ms: int, error_ms: int) -> datetime:
    return edge_wall + timedelta(milliseconds=offset_ms + error_ms)
