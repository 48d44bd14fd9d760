"""The words of a cabin: its settings, its steps as a table, its inputs and actions, what it remembers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.messages.cabin_events import Ruling
from core.messages.events import LaneMode
from drivers.cabin.commands import CabinCommand, Screen
from drivers.cabin.facts import CabinObserved
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import CredentialRead
from edge.clearance import Judged
from edge.lanes.boarding import Boarding, CloseBoarding, OpenBoarding, Seal
from edge.lanes.interlock import Way
from edge.lanes.words import AskMode, Commit, Recorded, Tick


class Step(StrEnum):
    """Where the cabin is with the passenger in it."""

    LOST = "lost"
    """Nobody sees the cabin: it has never answered, or does not any more; its watchdog frees the doors."""
    SHUT = "shut"
    WAITING = "waiting"
    ENTERING = "entering"
    DOCUMENT = "document"
    FACE = "face"
    RECORDING = "recording"
    HELD = "held"
    RELEASING = "releasing"
    STEPPING_OUT = "stepping_out"
    FREE = "free"
    """Both doors are free: emergency, or no mains."""


class CabinSettings(BaseModel):
    """How long things may take, and what is enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    face_threshold: float = Field(default=0.80, gt=0, le=1)
    liveness_threshold: float = Field(default=0.80, ge=0, le=1)
    """0 for a terminal that does not tell; else a comparison without liveness is not enough."""
    document_tries: int = Field(default=3, ge=1, le=10)
    face_tries: int = Field(default=3, ge=1, le=10)
    unexpected: Literal["hold", "release"] = "hold"
    """What is done with a passenger whom the boarding does not expect, when all else is well."""
    when_unrecordable: Literal["hold", "release"] = "hold"
    """What a release becomes while the buffer cannot commit."""
    enter_timeout_ms: int = Field(default=20_000, ge=500, le=300_000)
    document_timeout_ms: int = Field(default=30_000, ge=500, le=300_000)
    face_timeout_ms: int = Field(default=30_000, ge=500, le=300_000)
    officer_timeout_ms: int = Field(default=60_000, ge=500, le=900_000)
    leave_timeout_ms: int = Field(default=15_000, ge=500, le=300_000)
    settle_ms: int = Field(default=300, ge=0, le=5_000)
    """Longer than a poll: what is seen sooner after a lock command may be older than the command."""
    again_ms: int = Field(default=1_000, ge=100, le=30_000)


@dataclass(frozen=True, slots=True)
class Row:
    """What a step shows, which door it frees, how long it may take."""

    screen: Screen
    way: Way
    timeout: str = ""
    """The name of the setting."""


STEPS: Final[Mapping[Step, Row]] = {
    Step.SHUT: Row(Screen.CLOSED, Way.NOBODY),
    Step.WAITING: Row(Screen.ENTER, Way.ENTRANCE),
    Step.ENTERING: Row(Screen.ALONE, Way.ENTRANCE, "enter_timeout_ms"),
    Step.DOCUMENT: Row(Screen.DOCUMENT, Way.NOBODY, "document_timeout_ms"),
    Step.FACE: Row(Screen.FACE, Way.NOBODY, "face_timeout_ms"),
    Step.RECORDING: Row(Screen.WAIT, Way.NOBODY),
    Step.HELD: Row(Screen.WAIT, Way.NOBODY, "officer_timeout_ms"),
    Step.RELEASING: Row(Screen.GO, Way.EXIT, "leave_timeout_ms"),
    Step.STEPPING_OUT: Row(Screen.STEP_OUT, Way.ENTRANCE, "leave_timeout_ms"),
    Step.FREE: Row(Screen.EMERGENCY, Way.EVERYBODY),
}
_ANYWHERE: Final = frozenset({Step.LOST, Step.FREE})
LEGAL: Final[Mapping[Step, frozenset[Step]]] = {
    step: frozenset(to) | _ANYWHERE
    for step, to in {
        Step.LOST: set(Step),
        Step.FREE: set(Step),
        Step.SHUT: {Step.WAITING, Step.STEPPING_OUT},
        Step.WAITING: {Step.SHUT, Step.ENTERING},
        Step.ENTERING: {Step.WAITING, Step.SHUT, Step.DOCUMENT, Step.STEPPING_OUT},
        Step.DOCUMENT: {Step.ENTERING, Step.FACE, Step.HELD, Step.STEPPING_OUT},
        Step.FACE: {Step.RECORDING, Step.HELD, Step.STEPPING_OUT},
        Step.RECORDING: {Step.RELEASING, Step.HELD},
        Step.HELD: {Step.RECORDING, Step.DOCUMENT, Step.STEPPING_OUT},
        Step.RELEASING: {Step.WAITING, Step.SHUT, Step.STEPPING_OUT},
        Step.STEPPING_OUT: {Step.WAITING, Step.SHUT},
    }.items()
}
"""Which step may follow which; whatever else is asked for is a bug."""
WITH_PASSENGER: Final = frozenset({Step.DOCUMENT, Step.FACE, Step.HELD})
"""Steps with one passenger behind two locked doors."""


@dataclass(frozen=True, slots=True)
class CabinSilent:
    """The controller does not answer any more."""


@dataclass(frozen=True, slots=True)
class AskRule:
    """An officer decides on the passenger who is held."""

    attempt: str
    ruling: Ruling
    actor: str
    reason: str


Wish = AskMode | AskRule | OpenBoarding | CloseBoarding
"""What a person wants of a cabin; what is not done is answered with `Refused`."""
Input = CabinObserved | CabinSilent | CredentialRead | FaceCompared | Recorded | Tick | Wish


@dataclass(frozen=True, slots=True)
class ToCabin:
    """Send this to the controller. What does not arrive is told again when the cabin shows it."""

    command: CabinCommand


@dataclass(frozen=True, slots=True)
class Refused:
    """The wish is not done; say why."""

    why: str


Action = Commit | ToCabin | Refused


@dataclass(frozen=True, slots=True)
class Ports:
    """What a cabin asks of others: a judge of documents, the seal of summaries, whether the uplink is down."""

    judge: Callable[[str], Judged]
    seal: Seal
    offline: Callable[[], bool]


class Stage(StrEnum):
    """How far a visit is, as a restart must know it."""

    VERIFYING = "verifying"
    HELD = "held"
    RELEASED = "released"


class Visit(BaseModel):
    """The passenger who is in the cabin."""

    model_config = ConfigDict(frozen=True)

    attempt: str
    token: str = ""
    stage: Stage = Stage.VERIFYING


class CabinMemo(BaseModel):
    """What a cabin must know after a restart; committed with every event of the cabin."""

    model_config = ConfigDict(frozen=True)

    mode: LaneMode = LaneMode.NORMAL
    boarding: Boarding | None = None
    visit: Visit | None = None
