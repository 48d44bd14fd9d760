"""One passenger's visit to a cabin: the steps from the closed entrance to the exit, and the way back.

`CabinVisit` holds the state that `Cabin` works with; its promises are those of `edge.lanes.cabin`.
"""

from dataclasses import dataclass, field
from typing import Any

from core.messages.cabin_events import (
    CabinAnomaly,
    CabinFault,
    HoldReason,
    PassengerHeld,
    PassengerLeft,
    PassengerVerified,
)
from core.messages.event import Event
from core.messages.events import LaneMode
from drivers.cabin.commands import Screen, ShowScreen
from drivers.cabin.facts import CabinObserved
from drivers.face_terminal.facts import FaceCompared
from edge.lanes.boarding import Boarding, Outcome
from edge.lanes.cabin_words import (
    LEGAL,
    STEPS,
    Action,
    CabinMemo,
    CabinSettings,
    Ports,
    Refused,
    Stage,
    Step,
    ToCabin,
    Visit,
)
from edge.lanes.interlock import Interlock
from edge.lanes.verification import Found, Verification
from edge.lanes.words import Commit, Recorded


@dataclass(slots=True)
class CabinVisit:
    """The state of a cabin, and what becomes of the passenger in it."""

    lane: str
    settings: CabinSettings
    ports: Ports = field(repr=False)
    memo: CabinMemo = field(default_factory=CabinMemo)
    step: Step = Step.LOST
    deadline_ms: int | None = None
    ignored: int = 0
    """Documents and faces that came when none was wanted, or twice, or too old."""
    _doors: Interlock = field(init=False)
    _passenger: Verification = field(init=False)
    _seen: CabinObserved | None = None
    _released_ms: int = 0
    _exit_opened: bool = False
    _fallback: Boarding | None = None
    """The boarding as it is if the release cannot be recorded."""

    def __post_init__(self) -> None:
        self._doors = Interlock(self.settings.settle_ms, self.settings.again_ms)
        self._passenger = Verification(self.settings, self.ports.judge)

    def _begin_visit(self, now_ms: int) -> tuple[Action, ...]:
        assert self.memo.boarding is not None
        boarding, attempt = self.memo.boarding.visited()
        self._remember(boarding=boarding, visit=Visit(attempt=attempt))
        self._passenger.begin(now_ms)
        return (*self._to(Step.DOCUMENT, now_ms), Commit(()))

    def _document(self, text: str, now_ms: int) -> tuple[Action, ...]:
        if self.step is not Step.DOCUMENT:
            self.ignored += 1
            return ()
        match self._passenger.take_document(text, now_ms):
            case Found.GOOD:
                visit, _ = self._under_way()
                self._remember(visit=visit.model_copy(update={"token": self._passenger.token}))
                return self._to(Step.FACE, now_ms)
            case Found.AGAIN:
                return (ToCabin(ShowScreen(screen=Screen.DOCUMENT_AGAIN)),)
            case _:
                return self._hold(HoldReason.DOCUMENT_UNREADABLE, now_ms)

    def _face(self, face: FaceCompared, now_ms: int) -> tuple[Action, ...]:
        if self.step is not Step.FACE:
            self.ignored += 1
            return ()
        visit, boarding = self._under_way()
        match self._passenger.take_face(face, boarding, now_ms):
            case Found.IGNORED:
                self.ignored += 1
                return ()
            case Found.AGAIN:
                return (ToCabin(ShowScreen(screen=Screen.FACE_AGAIN)),)
            case Found.HOLD:
                assert self._passenger.why is not None
                return self._hold(self._passenger.why, now_ms)
        fields = self._fields(now_ms)
        verified = PassengerVerified(lane=self.lane, **fields)
        if self.settings.when_unrecordable == "release":
            otherwise: Event = verified.model_copy(update={"unrecorded": True})
        else:
            otherwise = PassengerHeld(lane=self.lane, why=HoldReason.NO_RECORD, **fields)
        self._fallback = boarding.ended(visit.attempt, visit.token, Outcome.HELD)
        return self._record(verified, otherwise, Outcome.VERIFIED, now_ms)

    def _hold(self, why: HoldReason, now_ms: int) -> tuple[Action, ...]:
        visit, boarding = self._under_way()
        held = PassengerHeld(lane=self.lane, why=why, **self._fields(now_ms))
        self._remember(
            boarding=boarding.ended(visit.attempt, visit.token, Outcome.HELD),
            visit=visit.model_copy(update={"stage": Stage.HELD}),
        )
        return (Commit((held,)), *self._to(Step.HELD, now_ms))

    def _record(self, event: Event, otherwise: Event, outcome: Outcome, now_ms: int) -> tuple[Action, ...]:
        """Ask for the record of a release; the exit is freed when it is there."""
        visit, boarding = self._under_way()
        self._remember(
            boarding=boarding.ended(visit.attempt, visit.token, outcome),
            visit=visit.model_copy(update={"stage": Stage.RELEASED}),
        )
        return (*self._to(Step.RECORDING, now_ms), Commit((event,), answer=True, otherwise=(otherwise,)))

    def _recorded(self, recorded: Recorded, now_ms: int) -> tuple[Action, ...]:
        if recorded.ok or self.settings.when_unrecordable == "release":
            self._released_ms, self._exit_opened = now_ms, False
            return self._to(Step.RELEASING, now_ms)
        visit, _ = self._under_way()
        self._remember(boarding=self._fallback, visit=visit.model_copy(update={"stage": Stage.HELD}))
        # The memo that is owed says what was meant; this one says what became of it.
        return (Commit(()), Refused("the release cannot be recorded now"), *self._to(Step.HELD, now_ms))

    def _left(self, now_ms: int, *, recovered: bool = False) -> tuple[Action, ...]:
        visit, boarding = self._under_way()
        left = PassengerLeft(
            lane=self.lane,
            boarding=boarding.boarding,
            attempt=visit.attempt,
            subject_token=visit.token,
            duration_ms=0 if recovered else now_ms - self._released_ms,
            recovered=recovered,
        )
        self._remember(boarding=boarding.has_left(visit.attempt, visit.token), visit=None)
        self._passenger.end()
        return (Commit((left,)), *self._to(self._rest(), now_ms))

    def _step_out(self, why: CabinFault, now_ms: int) -> tuple[Action, ...]:
        """Tell everybody to go back the way they came; the way is freed before anything is recorded."""
        told = self._anomaly(why, persons=self._seen.occupancy if self._seen else None)
        return (*self._abandon(now_ms), *told)

    def _abandon(self, now_ms: int) -> tuple[Action, ...]:
        self._remember(visit=None)
        self._passenger.end()
        return self._to(Step.STEPPING_OUT, now_ms)

    def _anomaly(self, kind: CabinFault, *, door: str = "", persons: int | None = None) -> tuple[Action, ...]:
        told = self._told(kind, door=door, persons=persons)
        if self.memo.boarding is not None:
            self._remember(boarding=self.memo.boarding.alarmed())
        return (Commit((told,)),)

    def _told(self, kind: CabinFault, *, door: str = "", persons: int | None = None) -> Event:
        boarding, visit = self.memo.boarding, self.memo.visit
        return CabinAnomaly(
            lane=self.lane,
            kind=kind,
            boarding=boarding.boarding if boarding else None,
            attempt=visit.attempt if visit else None,
            door=door,
            step=self.step.value,
            persons=persons,
        )

    def _to(self, step: Step, now_ms: int) -> tuple[Action, ...]:
        """Go to a step: its doors first, then its screen."""
        assert step in LEGAL[self.step], f"{self.step} -> {step}"
        self.step, row = step, STEPS[step]
        self.deadline_ms = now_ms + getattr(self.settings, row.timeout) if row.timeout else None
        doors = self._doors.aim(row.way, now_ms)
        return (*map(ToCabin, doors), ToCabin(ShowScreen(screen=row.screen)))

    def _under_way(self) -> tuple[Visit, Boarding]:
        visit, boarding = self.memo.visit, self.memo.boarding
        assert visit is not None
        assert boarding is not None
        return visit, boarding

    def _fields(self, now_ms: int) -> dict[str, Any]:
        return self._passenger.fields(*self._under_way(), now_ms, offline=self.ports.offline())

    def _remember(self, **changed: object) -> None:
        self.memo = self.memo.model_copy(update=changed)

    def _rest(self) -> Step:
        boarding = self.memo.boarding
        ready = boarding is not None and not boarding.full and self.memo.mode is LaneMode.NORMAL
        return Step.WAITING if ready else Step.SHUT
