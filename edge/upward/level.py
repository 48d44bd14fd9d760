"""The level above a view library's lower level: how it is treated, what waits for it, how it stands."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.gat1400 import bodies
from drivers.gat1400.answers import Status


class UpperLevel(BaseModel):
    """One upper level, and how it is treated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https?://[^/?#@\\\s]+(/[^?#@\\\s]*)?$")
    """What stands before /VIID."""
    device_id: str = Field(pattern=r"^[0-9]{20}$")
    """Ours, as the upper level knows us."""
    organisation: str = Field(pattern=r"^[0-9]{12}$")
    """The first twelve digits of our notifications' ids."""
    hosts: frozenset[str] = frozenset()
    """Where subscriptions may send to, beside the upper level's own host; in lower case."""
    unwanted: Literal["push", "hold", "skip"] = "push"
    """What no subscription asks for: pushed by itself, or not sent; `hold`: not sent, but first wait for one at all."""
    match_ids: bool = True
    """Whether an answer must name what it answers; for upper levels that name nothing right: False, and batch = 1."""
    keepalive_s: float = Field(default=60, gt=0, le=300)
    timeout_s: float = Field(default=10, gt=0, le=120)
    batch: int = Field(default=20, ge=1, le=1000)
    batch_bytes: int = Field(default=4 << 20, ge=1 << 16, le=64 << 20)
    """Of pictures in one request; a single item may be more."""
    first_pause_s: float = Field(default=0.5, gt=0)
    longest_pause_s: float = Field(default=30, gt=0)
    """While the upper level says that it is busy: doubling from the first to the longest."""
    utc_offset_h: float = Field(default=8, ge=-12, le=14)
    media_type: str = "application/VIID+JSON"

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        if not self.match_ids and self.batch != 1:
            raise ValueError("match_ids = false needs batch = 1: one answer would stand for several items")
        return self

    @property
    def zone(self) -> timezone:
        """Return the zone of times on the wire."""
        return timezone(timedelta(hours=self.utc_offset_h))

    @property
    def receivers(self) -> frozenset[str]:
        """Return the hosts that may be sent to."""
        return self.hosts | {urlsplit(self.url).hostname or ""}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to send."""

    key: Hashable
    """The outbox's own name of it."""
    what: bodies.OutObject


class Outbox(Protocol):
    """Where items wait. It gives the same again until they are acknowledged or taken out."""

    async def peek(self, limit: int) -> Sequence[Item]:
        """Return the oldest, at most `limit`; wait until there is one."""

    async def acknowledge(self, item: Item) -> None:
        """Take an item out: the upper level has it."""

    async def refused(self, item: Item, status: Status) -> None:
        """Hear that the upper level finds fault with an item. It is sent again and again until it is taken out."""

    async def postponed(self, item: Item, why: str) -> None:
        """Hear that the upper level did not take an item now, as busy ones do; others may go before it."""


@dataclass(slots=True)
class UpwardState:
    """What a technician sees of the upper level."""

    url: str
    registered: bool = False
    registrations: int = 0
    requests: int = 0
    acknowledged: int = 0
    skipped: int = 0
    busy: int = 0
    refused: int = 0
    mismatched: int = 0
    """Answers that named something else than what was sent."""
    last_error: str = ""
    clock_offset_s: float | None = None
    """The upper level's clock less ours: told, never used."""
