"""The events of a boarding-verification cabin and of its session: the meeting of one aircraft.

An `attempt` is one visit to the cabin; for a count, the last event of an attempt holds, and attempts with one
`subject_token` are one passenger.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from core.clearance.model import Effect, Reason
from core.messages.event import LaneEvent


class HoldReason(StrEnum):
    """Why a passenger waits for the officer."""

    DOCUMENT_UNREADABLE = "document_unreadable"
    FACE_MISMATCH = "face_mismatch"
    NOT_LIVE = "not_live"
    FACE_TIMED_OUT = "face_timed_out"
    CLEARANCE = "clearance"
    """The decision engine did not release; its reasons say why."""
    NOT_EXPECTED = "not_expected"
    ALREADY_LEFT = "already_left"
    """Somebody with this document has left by the exit before."""
    ALREADY_REFUSED = "already_refused"
    CALLED = "called"
    """The passenger pressed the call button."""
    NO_RECORD = "no_record"
    """The release could not be made durable."""


class Ruling(StrEnum):
    """What an officer says of a held passenger; `again` sends the passenger back to the document."""

    RELEASE = "release"
    REFUSE = "refuse"
    AGAIN = "again"


class CabinFault(StrEnum):
    """What went wrong in or with a cabin."""

    CROWDED = "crowded"
    TIMED_OUT = "timed_out"
    NOT_LEFT = "not_left"
    """Released, or told to step out, and still there."""
    DOOR_FORCED = "door_forced"
    DOOR_HELD_OPEN = "door_held_open"
    UNKNOWN_OCCUPANT = "unknown_occupant"
    LOST_SIGHT = "lost_sight"
    """A passenger was under way while nobody could see the doors."""
    CALLED = "called"
    EGRESS = "egress"
    """Somebody asked to be let out the way they came."""
    OFFICER_LATE = "officer_late"
    NO_RECORD = "no_record"
    IO_LOST = "io_lost"
    POWER_LOST = "power_lost"


class BoardingCounts(BaseModel):
    """Adds up: verified + held + released_by_officer + refused == seen == expected - no_show + unexpected."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    expected: int = Field(ge=0)
    seen: int = Field(ge=0)
    verified: int = Field(ge=0)
    held: int = Field(ge=0)
    """Held, and nobody has ruled."""
    released_by_officer: int = Field(ge=0)
    refused: int = Field(ge=0)
    unexpected: int = Field(ge=0)
    no_show: int = Field(ge=0)

    @property
    def adds_up(self) -> bool:
        """Tell whether both sums hold."""
        ended = self.verified + self.held + self.released_by_officer + self.refused
        return ended == self.seen == self.expected - self.no_show + self.unexpected


class BoardingOpened(LaneEvent):
    """An officer began to meet an aircraft at this cabin."""

    boarding: str
    flight: str
    stand: str
    officer: str
    expected: int
    named: bool
    """Whether it is known who is expected, or only how many."""


class _Seen(LaneEvent):
    """What is known when a passenger is verified or held. The capture itself stays with the terminal."""

    boarding: str
    attempt: str
    subject_token: str
    """Empty where no document could be read."""
    document_kind: str = ""
    person_class: str = "other"
    expected: bool = True
    repeated: bool = False
    """True when this passenger was seen before in this boarding."""
    face_attempt: str = ""
    face_score: float | None = None
    face_threshold: float
    liveness: float | None = None
    capture_digest: str = ""
    effect: Effect | None = None
    """Of the decision engine; None where it was not asked."""
    reasons: tuple[Reason, ...] = ()
    ruleset_version: int = 0
    list_versions: dict[str, int] = Field(default_factory=dict)
    duration_ms: int = 0
    """Since the passenger was alone in the cabin."""
    offline: bool = False


class PassengerVerified(_Seen):
    """Document, face and lists agree. Durable before the exit is unlocked."""

    unrecorded: bool = False
    """True when the cabin's policy released while the buffer could not commit; recorded later."""


class PassengerHeld(_Seen):
    """A passenger waits in the cabin for the officer."""

    why: HoldReason


class PassengerRuled(LaneEvent):
    """An officer decided on a held passenger (audit). Durable before a door is unlocked."""

    boarding: str
    attempt: str
    subject_token: str
    ruling: Ruling
    actor: str
    reason: str
    unrecorded: bool = False


class PassengerLeft(LaneEvent):
    """A released passenger is out by the exit."""

    boarding: str
    attempt: str
    subject_token: str
    duration_ms: int = 0
    """Since the exit was unlocked; 0 when found after a restart."""
    recovered: bool = False


class CabinAnomaly(LaneEvent):
    """Something that no release covers, or that needs the officer."""

    kind: CabinFault
    boarding: str | None = None
    attempt: str | None = None
    door: str = ""
    """entrance, exit, or empty."""
    step: str = ""
    persons: int | None = None


class BoardingClosed(LaneEvent):
    """The meeting is over: its counts, and the sealed summary as the exact text that was signed."""

    boarding: str
    officer: str
    counts: BoardingCounts
    summary: str
    signature: str
    key_id: str
