"""The words of a vehicle lane: its settings, what happens to it, what it wants done and remembers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.clearance.model import Decision, Direction
from core.messages.events import LaneMode
from drivers.facts import PlateRead
from edge.lanes.votes import CameraRole, Verdict
from edge.lanes.words import AskMode, AskOpen, Commit, GateDone, Recorded, Tick

FREE_MODES: Final = frozenset({LaneMode.FREE, LaneMode.EMERGENCY})
FUZZY_RULE: Final = "list.fuzzy"
"""How the rule id begins of a reason that a near reading of the plate gave."""


class State(StrEnum):
    """Where the lane is with the vehicle in front of it."""

    IDLE = "idle"
    READING = "reading"
    JUDGING = "judging"
    RECORDING = "recording"
    HELD = "held"
    """Judged and not released: it stands there until it leaves or an officer lets it through."""
    OPENING = "opening"
    RELEASING = "releasing"
    PASSING = "passing"
    LEAVING = "leaving"
    INTRUDED = "intruded"
    """A vehicle without a release of its own is under the barrier."""
    CLOSING = "closing"


class Loop(StrEnum):
    """The inputs of a lane, in the order in which a released vehicle meets them."""

    APPROACH = "approach"
    UNDER = "under"
    PHOTOCELL = "photocell"
    """Across the barrier's line; says the same as `under`, also for what stands high."""
    EXIT = "exit"


class Arm(StrEnum):
    """Where a barrier's arm is."""

    OPEN = "open"
    CLOSED = "closed"
    MOVING = "moving"


class VehicleSettings(BaseModel):
    """What the lane has, and how long things may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loops: frozenset[Loop] = frozenset({Loop.APPROACH, Loop.UNDER, Loop.EXIT})
    """`under` or `photocell` must be there: without one nobody knows what the arm would hit."""
    barrier_tells: bool = True
    """Whether the barrier says where its arm is; a camera's output cannot."""
    trailers: bool = False
    """Whether two pulses of the exit loop may be one vehicle."""
    reads_wanted: int = Field(default=3, ge=1, le=32)
    confidence_wanted: float = Field(default=0.85, ge=0, le=1)
    """With so many reads of such confidence the lane does not wait for more."""
    read_window_ms: int = Field(default=800, ge=0, le=30_000)
    """From the first read until the vehicle is judged with what there is."""
    unread_after_ms: int = Field(default=3_000, ge=100, le=60_000)
    """From the approach until a vehicle that no camera has told of is judged as one without a plate."""
    read_kept_ms: int = Field(default=10_000, ge=500, le=120_000)
    """Reads older than this are of a vehicle that went elsewhere."""
    held_ms: int = Field(default=10_000, ge=500, le=600_000)
    """How long a vehicle that was not released stands there, where no approach loop tells."""
    enter_timeout_ms: int = Field(default=15_000, ge=500, le=120_000)
    """From the barrier command until the vehicle is under it."""
    pass_timeout_ms: int = Field(default=30_000, ge=500, le=600_000)
    """From being under the barrier until through; longer is told as a jam, and the arm stays up."""
    gap_ms: int = Field(default=300, ge=0, le=5_000)
    """How long the line must be free: the gap in front of a trailer is shorter."""
    close_timeout_ms: int = Field(default=8_000, ge=200, le=60_000)
    """How long the arm may take to come down; the profile of the barrier says so where the lane does not."""
    raise_timeout_ms: int = Field(default=8_000, ge=200, le=60_000)
    """How long it may take to go up; as above."""
    tailgate_window_ms: int = Field(default=5_000, ge=0, le=60_000)
    """Who comes under the barrier this soon after a cleared vehicle followed it."""
    rear_window_ms: int = Field(default=2_000, ge=0, le=30_000)
    """How long the rear camera may still tell of a cleared vehicle."""
    mismatch_confidence: float = Field(default=0.6, ge=0, le=1)
    """Front and rear are compared only where both were read so surely."""
    when_unrecordable: Literal["refuse", "release"] = "refuse"
    """What a release becomes while the buffer cannot commit."""

    @field_validator("loops")
    @classmethod
    def _sees_the_line(cls, loops: frozenset[Loop]) -> frozenset[Loop]:
        if not loops & {Loop.UNDER, Loop.PHOTOCELL}:
            raise ValueError("a barrier needs an input `under` or `photocell`, or it would close on a vehicle")
        return loops


@dataclass(frozen=True, slots=True)
class PlateSeen:
    """A camera of the lane told of a vehicle."""

    role: CameraRole
    read: PlateRead
    device: str = ""


@dataclass(frozen=True, slots=True)
class LoopChanged:
    """An input is on or off; the first word of each after a start is its baseline."""

    loop: Loop
    on: bool


@dataclass(frozen=True, slots=True)
class BarrierObserved:
    """What the barrier shows."""

    arm: Arm
    faults: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer to `ToJudge`."""

    attempt: str
    decision: Decision
    latency_ms: float = 0.0
    offline: bool = False

    @property
    def fuzzy(self) -> bool:
        """Tell whether a near reading had a part in it."""
        grounds = (*self.decision.reasons, *self.decision.alerts)
        return any(reason.rule_id.startswith(FUZZY_RULE) for reason in grounds)


class VehicleJudge(Protocol):
    """Decides about a vehicle: exact tokens may refuse, near ones only divert, under a rule id of FUZZY_RULE."""

    def judge(self, plates: Verdict, now: datetime) -> Decision:
        """Judge at the moment `now` (UTC, aware); a verdict without plates is a vehicle without a plate."""


Input = PlateSeen | LoopChanged | BarrierObserved | Judged | Recorded | GateDone | Tick | AskMode | AskOpen


@dataclass(frozen=True, slots=True)
class ToJudge:
    """Have this judged; the lane waits for `Judged`."""

    plates: Verdict


@dataclass(frozen=True, slots=True)
class ToBarrier:
    """Move the arm; the lane waits for `GateDone` when `answer`."""

    move: Literal["open", "close"]
    why: Literal["release", "hand", "mode", "passed", "unused", "safety"]
    answer: bool = False


@dataclass(frozen=True, slots=True)
class ToLight:
    """Turn the fill light on or off."""

    on: bool


@dataclass(frozen=True, slots=True)
class ToDisplay:
    """Show these lines to the driver."""

    lines: tuple[str, ...]


Action = Commit | ToJudge | ToBarrier | ToLight | ToDisplay


class VehicleOpen(BaseModel):
    """The release that is under way."""

    model_config = ConfigDict(frozen=True)

    attempt: str
    direction: Direction
    plate_token: str = ""
    plate_tokens: tuple[str, ...] = ()
    confidence: float = 0.0
    opened_ms: float = 0.0
    opened_at: int = 0
    entered: bool = False
    """It was seen under the barrier."""
    recovered: bool = False
    """Found open after a restart; its clock readings are of another life."""


class VehicleMemo(BaseModel):
    """What a lane must know after a restart; committed with every event of the lane. Tokens only, no plate."""

    model_config = ConfigDict(frozen=True)

    mode: LaneMode = LaneMode.NORMAL
    open: VehicleOpen | None = None


def waits(action: Action) -> bool:
    """Tell whether the lane takes nothing else before this is answered."""
    return isinstance(action, ToJudge) or (isinstance(action, Commit | ToBarrier) and action.answer)


def one_commit(actions: Sequence[Action]) -> tuple[Action, ...]:
    """Return the actions with all commits in the place of the first: the memo is that of the end."""
    commits = [action for action in actions if isinstance(action, Commit)]
    if len(commits) < 2:
        return tuple(actions)
    events = tuple(event for commit in commits for event in commit.events)
    place = actions.index(commits[0])
    rest = [action for action in actions if not isinstance(action, Commit)]
    return (*rest[:place], Commit(events), *rest[place:])
