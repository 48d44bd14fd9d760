"""The small JSON messages beside the batches: acks, presence, list announcements."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.messages.event import Stream


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Ack(_Words):
    """Central has committed the stream up to and including `upto`; `at` is central's clock when it said so."""

    epoch: str = Field(max_length=26)
    stream: Stream
    upto: int = Field(ge=0)
    at: datetime


class Presence(_Words):
    """Whether an edge is there. `offline` is its last will."""

    state: Literal["online", "offline"]
    version: str = Field(default="", max_length=32)
    boot_id: str = Field(default="", max_length=64)
    epoch: str = Field(default="", max_length=26)


class Announced(_Words):
    """One list in an announcement: fetch version `version` from `path` at central, by HTTPS."""

    list_id: str = Field(max_length=64)
    version: int = Field(ge=1)
    digest: str = Field(max_length=64)
    """Hex of the suite's hash over the content."""
    size: int = Field(ge=0, le=512 * 1024 * 1024)
    path: str = Field(max_length=256)
    delta_path: str = Field(default="", max_length=256)
    delta_from: int = 0
    """The version that the delta at `delta_path` follows; an edge on another version takes the whole content."""


class ListAnnouncement(_Words):
    """All lists in force for an edge; one that is missing is withdrawn. Travels as the body of a Signed('list')."""

    edge: str
    serial: int = Field(ge=1)
    """Grows with each announcement; an edge refuses an older one."""
    issued_at: datetime
    """The lists at these versions are the newest as of this moment; their age is counted from it."""
    lists: tuple[Announced, ...]
