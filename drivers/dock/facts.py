"""What a dock tells of the radios and recorders in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class SlotChanged(Fact):
    """Something happened in a slot. The same `event_id` again is the same event."""

    TRAVELS: ClassVar[bool] = True

    event_id: str
    slot: int
    """From 1."""
    kind: str
    """inserted, removed, charging, full, uploading or fault."""
    at: datetime
    """The dock's time, with its zone."""
    equipment: str = ""
    """The tag of the radio or recorder; empty where the dock cannot read one."""
    charge_pct: float | None = None
    temperature_c: float | None = None
    fault: str = ""
    """The dock's own code of a fault."""

    def key(self) -> str:
        """Return what it is about."""
        return f"slot {self.slot}"


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """One file of an upload."""

    name: str
    size_bytes: int
    digest: str
    """`sha256:` or `sm3:` and 64 hexadecimal digits."""
    started_at: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class RecordingsUploaded(Fact):
    """A recorder's files are all on the dock's storage. The same `event_id` again is the same upload."""

    TRAVELS: ClassVar[bool] = True

    event_id: str
    slot: int
    at: datetime
    equipment: str
    files: tuple[RecordedFile, ...] = ()

    def key(self) -> str:
        """Return what it is about."""
        return self.event_id
