"""The events of vehicle lanes and of the channels that their barriers form. Plates travel as keyed tokens only."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from core.clearance.model import Direction, Effect, Reason
from core.messages.event import DeviceEvent, Event, LaneEvent, Stream
from core.messages.events import LaneMode


class VehicleAnomalyKind(StrEnum):
    """What went wrong while a vehicle passed."""

    TAILGATE = "tailgate"
    WRONG_WAY = "wrong_way"
    FORCED = "forced"
    JAM = "jam"
    PLATE_MISMATCH = "plate_mismatch"
    ARM_STUCK = "arm_stuck"
    """The barrier took an order, and its arm did not move."""


class PairedBy(StrEnum):
    """How surely the barriers of a channel saw one vehicle: by plate alone, or by order and time at least once."""

    PLATE = "plate"
    ORDER = "order"
    SINGLE = "single"


class VehicleDecided(LaneEvent):
    """A vehicle stood at a barrier and was judged. Durable before the barrier hears of it."""

    attempt: str
    device: str
    channel: str
    barrier: int
    direction: Direction
    plate_token: str
    """Of the surest plate; empty where none could be read."""
    plate_tokens: tuple[str, ...] = ()
    """Of all its plates, the surest first."""
    plate_regions: tuple[str, ...] = ()
    """Who issued each of them; empty text where the plate fits no form."""
    reads: int
    empty_reads: int = 0
    confidence: float
    """0 to 1, of the surest plate."""
    fuzzy: bool = False
    """True where a reading that differs in confusable signs hit a list."""
    effect: Effect
    reasons: tuple[Reason, ...]
    ruleset_version: int
    list_versions: dict[str, int] = Field(default_factory=dict)
    latency_ms: float = 0.0
    offline: bool = False
    unrecorded: bool = False
    """True when the lane's policy opened the barrier while the buffer could not commit; recorded later."""


class VehicleCleared(LaneEvent):
    """A released vehicle is through. `plate_token` is empty where none was read or a person opened by hand."""

    attempt: str
    channel: str
    barrier: int
    direction: Direction
    plate_token: str
    plate_tokens: tuple[str, ...] = ()
    confidence: float = 0.0
    opened_ms: float = 0.0
    """From the judgement to the barrier command, commit included."""
    duration_ms: int = 0
    """From the barrier command until the vehicle was through."""
    recovered: bool = False
    """True when found after a restart: it was under the barrier when the edge stopped."""


class VehicleTimedOut(LaneEvent):
    """A released vehicle was not seen to pass; the barrier is closed again."""

    attempt: str
    channel: str
    barrier: int
    plate_token: str
    recovered: bool = False
    """True after a restart: it may have passed while nobody looked."""


class VehicleAnomaly(LaneEvent):
    """A vehicle passed, or tried to, in a way that no release covers."""

    kind: VehicleAnomalyKind
    channel: str
    barrier: int
    attempt: str | None = None
    direction: Direction | None = None
    plate_token: str = ""
    plate_tokens: tuple[str, ...] = ()
    other_tokens: tuple[str, ...] = ()
    """What the rear camera read, where that is another plate."""


class VehiclePassedFree(LaneEvent):
    """A vehicle passed a lane in `free` or `emergency` mode without a release of its own."""

    channel: str
    barrier: int
    direction: Direction
    mode: LaneMode
    plate_token: str = ""
    plate_tokens: tuple[str, ...] = ()


class ChannelLeg(BaseModel):
    """One barrier of a channel, passed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    barrier: int
    lane: str
    attempt: str


class ChannelPassed(Event):
    """A vehicle went through a channel: what its barriers told, as one passage."""

    channel: str
    passage: str
    """The attempt at the first barrier that saw the vehicle."""
    direction: Direction
    plate_token: str
    plate_tokens: tuple[str, ...] = ()
    legs: tuple[ChannelLeg, ...]
    missing: tuple[int, ...] = ()
    """Barriers that told nothing of it."""
    paired_by: PairedBy
    confidence: float
    """0 to 1: how surely the legs are of one vehicle."""
    duration_ms: int
    """From the first leg to the last; 0 when the edge was restarted in between."""
    timed_out: bool = False
    recovered: bool = False

    def subject(self) -> str:
        """Return the channel's id."""
        return self.channel


class RoadPlateSeen(DeviceEvent):
    """A plate camera that serves no lane told of a vehicle."""

    STREAM: ClassVar[Stream] = Stream.TELEMETRY

    plate_token: str
    """Empty where the plate could not be read."""
    plate_tokens: tuple[str, ...] = ()
    confidence: float | None = None
    """0 to 1, as the camera says."""
    direction: str = ""
    """approach, depart, or empty where not told."""
    taken_at: datetime | None = None
    """The camera's time; None where it told none."""
