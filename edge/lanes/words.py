"""The words of a passenger lane: its settings, what happens to it, what it wants done, what it remembers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.clearance.model import Decision, Direction
from core.messages.commands import DeviceCommand
from core.messages.event import Event
from core.messages.events import LaneMode
from drivers.facts import GateObserved


class State(StrEnum):
    """Where the lane is with the person in front of it."""

    IDLE = "idle"
    RECORDING = "recording"
    OPENING = "opening"
    RELEASING = "releasing"
    PASSING = "passing"
    CLOSING = "closing"


class PassengerSettings(BaseModel):
    """How long things may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enter_timeout_ms: int = Field(default=8_000, ge=500, le=120_000)
    """From the gate command until somebody stands in the gate."""
    pass_timeout_ms: int = Field(default=10_000, ge=500, le=120_000)
    """From standing in the gate until through."""
    close_timeout_ms: int = Field(default=2_000, ge=200, le=30_000)
    """How long the gate may take to confirm that it took a release back."""
    tailgate_window_ms: int = Field(default=1_500, ge=0, le=10_000)
    """A count this soon after a cleared passage followed that person."""
    when_unrecordable: Literal["refuse", "release"] = "refuse"
    """What a release becomes while the buffer cannot commit."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential was read and judged."""

    attempt: str
    device: str
    """The reader."""
    direction: Direction
    token: str
    document_kind: str
    person_class: str
    decision: Decision
    latency_ms: float
    offline: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """The commit asked for by the decision is done, or was not possible."""

    ok: bool


@dataclass(frozen=True, slots=True)
class GateDone:
    """The gate command was answered, or not."""

    ok: bool
    took_ms: float = 0.0
    """From the credential, or the wish, to here."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went on."""


@dataclass(frozen=True, slots=True)
class AskMode:
    """Somebody wants another mode."""

    mode: LaneMode
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class AskOpen:
    """Somebody lets one person through by hand."""

    attempt: str
    direction: Direction
    actor: str
    reason: str


Input = Presented | Recorded | GateDone | GateObserved | Tick | AskMode | AskOpen


@dataclass(frozen=True, slots=True)
class Commit:
    """Make these durable, with the lane's memo; `answer` tells whether the lane waits for `Recorded`."""

    events: tuple[Event, ...]
    answer: bool = False
    otherwise: tuple[Event, ...] = ()
    """What is true instead, and is recorded later, where the buffer cannot commit now."""


@dataclass(frozen=True, slots=True)
class ToGate:
    """Send this to the gate; the lane waits for `GateDone` when `answer`."""

    command: DeviceCommand
    answer: bool = False


Action = Commit | ToGate


class Open(BaseModel):
    """The release that is under way."""

    model_config = ConfigDict(frozen=True)

    attempt: str
    direction: Direction
    token: str
    opened_ms: float = 0.0
    opened_at: int = 0
    recovered: bool = False
    """Found open after a restart; its clock readings are of another life."""


class Memo(BaseModel):
    """What a lane must know after a restart; committed with every event of the lane."""

    model_config = ConfigDict(frozen=True)

    mode: LaneMode = LaneMode.NORMAL
    in_count: int | None = None
    out_count: int | None = None
    open: Open | None = None
    armed: bool = False
    """A release was given up on, and the gate has not shown since that it is gone."""
