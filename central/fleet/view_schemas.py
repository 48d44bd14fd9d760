"""What the API says about cameras and who may look at them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from central.columns import Word
from core.messages.view_grant import LONGEST_VIEW


class CameraOut(BaseModel):
    """A camera. `id` is `<edge>.<device>`."""

    id: str
    edge: str
    device: str
    site: str
    live: bool = Field(description="Whether its edge shows live pictures")
    seen_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "CameraOut":
        """Return a row's public side; where it is shown is told with a grant only."""
        fields = {name: getattr(row, name) for name in ("edge", "device", "site", "seen_at")}
        return cls.model_validate(fields | {"id": f"{row.edge}.{row.device}", "live": bool(row.live_url)})


class ViewIn(BaseModel):
    """Why somebody wants to look, and how long."""

    model_config = ConfigDict(extra="forbid")

    reason: Word = Field(min_length=1, max_length=512, description="For the audit")
    for_s: int = Field(default=600, ge=10, le=int(LONGEST_VIEW.total_seconds()), description="Seconds; then it ends")


class ViewMade(BaseModel):
    """A grant: once, for one camera, to be begun within a minute."""

    id: str
    grant: str = Field(description="Authorization: Bearer, for a program")
    url: str = Field(description="A page for a browser; the grant is in its fragment, which no server is sent")
    expires_at: datetime = Field(description="It must be begun before")
    until: datetime = Field(description="The picture ends")


class ViewOut(BaseModel):
    """Who was allowed to look; the grant itself is not kept."""

    id: str
    edge: str
    device: str
    actor: str
    reason: str
    issued_at: datetime
    expires_at: datetime
    until: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "ViewOut":
        """Return a row's public side."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})
