"""The events of the fleet. Adding one is adding a class here; a change of meaning is a new VERSION."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from core.clearance.model import Direction, Effect, Reason
from core.messages.event import DeviceEvent, Event, LaneEvent, Stream


class Health(StrEnum):
    """How a device is, as its edge sees it."""

    OK = "ok"
    DEGRADED = "degraded"
    FAULT = "fault"
    OFFLINE = "offline"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"


class LaneMode(StrEnum):
    """What a lane does with people: check each, let all pass, let none pass, or doors open for escape."""

    NORMAL = "normal"
    FREE = "free"
    LOCKED = "locked"
    EMERGENCY = "emergency"


class AnomalyKind(StrEnum):
    """What went wrong while somebody passed."""

    TAILGATE = "tailgate"
    WRONG_WAY = "wrong_way"
    FORCED = "forced"
    JAM = "jam"


class CommandState(StrEnum):
    """Where a command is; the last five are final."""

    QUEUED = "queued"
    SENT = "sent"
    RECEIVED = "received"
    EXECUTING = "executing"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Tell whether nothing can follow."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({"done", "failed", "refused", "expired", "unknown"})


class PassageDecided(LaneEvent):
    """A credential was shown and judged. Durable before the gate hears of it."""

    attempt: str
    device: str
    direction: Direction
    subject_token: str
    document_kind: str
    person_class: str = "other"
    effect: Effect
    reasons: tuple[Reason, ...]
    ruleset_version: int
    list_versions: dict[str, int] = Field(default_factory=dict)
    latency_ms: float = 0.0
    offline: bool = False
    unrecorded: bool = False
    """True when the lane's policy opened the gate while the buffer could not commit; recorded later."""


class PassageCleared(LaneEvent):
    """A released traveller is through. `subject_token` is empty when a person opened the gate by hand."""

    attempt: str
    direction: Direction
    subject_token: str
    opened_ms: float
    """From the credential to the gate command, commit included."""
    duration_ms: int
    """From the gate command to the passage."""
    recovered: bool = False
    """True when found after a restart by the gate's own counter."""


class PassageTimedOut(LaneEvent):
    """A released traveller did not pass in time; the gate is closed again."""

    attempt: str
    subject_token: str
    recovered: bool = False


class PassageAnomaly(LaneEvent):
    """Somebody passed, or tried to, in a way that no release covers."""

    kind: AnomalyKind
    attempt: str | None = None
    direction: Direction | None = None
    persons: int = 1
    recovered: bool = False


class FreePassage(LaneEvent):
    """Persons counted through a lane in `free` or `emergency` mode."""

    direction: Direction
    persons: int
    mode: LaneMode
    recovered: bool = False


class LaneModeChanged(LaneEvent):
    """A lane's mode was changed, by whom and why (audit)."""

    mode: LaneMode
    actor: str
    reason: str


class GateOperated(LaneEvent):
    """A person opened a gate by hand for one passage (audit)."""

    attempt: str
    action: str
    actor: str
    reason: str


class CommandProgressed(Event):
    """A command from central moved on at its edge."""

    command: str
    target: str
    state: CommandState
    detail: str = ""

    def subject(self) -> str:
        """Return the command's id."""
        return self.command


class ListApplied(Event):
    """A list snapshot or delta is in force at this edge."""

    list_id: str
    version: int
    entries: int

    def subject(self) -> str:
        """Return the list's id."""
        return self.list_id


class ListRejected(Event):
    """A list snapshot or delta was refused: tampered, older, or not decodable."""

    list_id: str
    version: int
    code: str
    detail: str

    def subject(self) -> str:
        """Return the list's id."""
        return self.list_id


class EntriesDropped(Event):
    """The buffer dropped entries to stay in its quota: the gap record."""

    stream: Stream
    first_seq: int
    last_seq: int
    count: int
    reason: str = "quota"

    def subject(self) -> str:
        """Return the stream's name."""
        return str(self.stream)


class BufferRepaired(Event):
    """A damaged buffer was salvaged; what could not be read is told here."""

    salvaged: int
    lost: int
    detail: str

    def subject(self) -> str:
        """Return `buffer`."""
        return "buffer"


class EdgeStarted(Event):
    """A daemon came up."""

    edge: str
    version: str
    boot_id: str
    config_digest: str

    def subject(self) -> str:
        """Return the edge's name."""
        return self.edge


class LaneSeen(LaneEvent):
    """What a lane is and which mode it is in; sent at start and when either changes."""

    STREAM: ClassVar[Stream] = Stream.STATE

    kind: str
    directions: tuple[Direction, ...]
    devices: dict[str, str]
    """Role to device id."""
    mode: LaneMode
    ruleset_version: int


class DeviceSeen(DeviceEvent):
    """What a device is: the facts an asset record begins with."""

    STREAM: ClassVar[Stream] = Stream.STATE

    driver: str
    profile: str
    kind: str
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    link: str = ""
    lane: str | None = None


class DeviceHealthChanged(DeviceEvent):
    """A device's health or its set of faults changed."""

    STREAM: ClassVar[Stream] = Stream.STATE

    health: Health
    faults: tuple[str, ...] = ()
    detail: str = ""


class DeviceMeasured(DeviceEvent):
    """Readings of a device, by point name with its unit suffix."""

    STREAM: ClassVar[Stream] = Stream.TELEMETRY

    readings: dict[str, float]
