"""A boarding-verification cabin: one passenger at a time between two doors, in the boarding of one aircraft.

    waiting -> entering -> document -> face -> recording --Recorded--> releasing -> waiting
                  |           |         |          ^   |
                  |           |         +-> held --+   +--not durable--> held
                  +-----------+---------+-----+--> stepping out (by the entrance) -> waiting

Promises
1. The exit is freed only after `Recorded`: the verification or the officer's ruling is durable (or the cabin's policy
   says `release` for a buffer that cannot commit, and then the record says `unrecorded`).
2. At most one door is free, but in an emergency and without mains; then both are, before anything is recorded.
3. A way out is never refused: the egress button frees the entrance from every step with a passenger, the emergency
   button both doors from every step; neither waits for a record.
4. One passenger, alone: who is not is told to step out, and nobody is released while two are inside.
5. A face counts for the passenger whose document was read before it was taken, and counts once.
6. A boarding, its counts and the passenger under way outlive a restart; two boardings never overlap.
"""

from dataclasses import dataclass

from core.errors import GatefleetError
from core.messages.cabin_events import CabinFault, HoldReason, PassengerRuled, Ruling
from core.messages.events import LaneMode, LaneModeChanged
from drivers.cabin.facts import CabinObserved
from drivers.cabin.layout import COUNT_STALE
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import CredentialRead
from edge.lanes.boarding import Boarding, CloseBoarding, OpenBoarding, Outcome
from edge.lanes.cabin_visit import CabinVisit
from edge.lanes.cabin_words import (
    WITH_PASSENGER,
    Action,
    AskRule,
    CabinSilent,
    Input,
    Refused,
    Stage,
    Step,
    ToCabin,
    Visit,
    Wish,
)
from edge.lanes.words import AskMode, Commit, Recorded, Tick


@dataclass(slots=True)
class Cabin(CabinVisit):
    """The state of one cabin. Feed it with `handle`; do what it returns, in order, before the next input."""

    @property
    def state(self) -> Step:
        """Return the step, by the name that all lanes have for it."""
        return self.step

    @property
    def busy(self) -> bool:
        """Tell whether every look is wanted, also one that says nothing new."""
        return self.step not in {Step.WAITING, Step.SHUT} or not self._doors.settled

    def handle(self, happened: Input, now_ms: int) -> tuple[Action, ...]:
        """Take one input at the monotonic time `now_ms`; return what to do. An input that does not fit is nothing."""
        match happened:
            case CabinObserved():
                return self._observed(happened, now_ms)
            case CabinSilent():
                return self._silent()
            case CredentialRead(text=text):
                return self._document(text, now_ms)
            case FaceCompared():
                return self._face(happened, now_ms)
            case Recorded() if self.step is Step.RECORDING:
                return self._recorded(happened, now_ms)
            case Tick() if self.deadline_ms is not None and now_ms >= self.deadline_ms:
                self.deadline_ms = None
                return self._overdue(now_ms)
            case AskMode() | AskRule() | OpenBoarding() | CloseBoarding():
                return self._ask(happened, now_ms)
            case _:
                return ()

    def _ask(self, wish: Wish, now_ms: int) -> tuple[Action, ...]:
        match wish:
            case AskMode():
                return self._ask_mode(wish, now_ms)
            case AskRule():
                return self._ask_rule(wish, now_ms)
            case OpenBoarding():
                return self._open(wish, now_ms)
            case CloseBoarding():
                return self._close(wish, now_ms)

    # -- the boarding ------------------------------------------------------------------------------------------------

    def _open(self, ask: OpenBoarding, now_ms: int) -> tuple[Action, ...]:
        if self.memo.boarding is not None:
            return (Refused(f"boarding {self.memo.boarding.boarding} is open here"),)
        if self.step is not Step.SHUT or self.memo.mode is not LaneMode.NORMAL:
            return (Refused(f"the cabin is {self.step.value}, in mode {self.memo.mode.value}"),)
        boarding = Boarding.of(ask)
        self._remember(boarding=boarding)
        return (Commit((boarding.opened(self.lane),)), *self._to(Step.WAITING, now_ms))

    def _close(self, ask: CloseBoarding, now_ms: int) -> tuple[Action, ...]:
        boarding = self.memo.boarding
        if boarding is None:
            return (Refused("no boarding is open here"),)
        if self.memo.visit is not None or self.step in {Step.ENTERING, Step.STEPPING_OUT}:
            return (Refused("somebody is in the cabin"),)
        try:
            closed = boarding.closed(self.lane, ask, self.ports.seal)
        except GatefleetError as error:
            return (Refused(f"the summary cannot be sealed: {error}"),)
        self._remember(boarding=None)
        shut = self._to(Step.SHUT, now_ms) if self.step is Step.WAITING else ()
        return (Commit((closed,)), *shut)

    # -- what the cabin shows ----------------------------------------------------------------------------------------

    def _observed(self, seen: CabinObserved, now_ms: int) -> tuple[Action, ...]:
        before, self._seen = self._seen, seen
        actions: list[Action] = []
        if seen.emergency and self.memo.mode is not LaneMode.EMERGENCY:
            actions += self._set_mode(LaneMode.EMERGENCY, "device", "emergency button", now_ms)
        if self._must_be_free(seen):
            if self.step is not Step.FREE:
                actions += self._to(Step.FREE, now_ms)
                actions += [] if seen.power_ok else self._anomaly(CabinFault.POWER_LOST)
        elif self.step in {Step.LOST, Step.FREE}:
            actions += self._recover(seen, now_ms)
        else:
            actions += self._buttons(seen, before, now_ms)
            actions += self._forced(seen, before, now_ms)
            actions += self._moved(seen, now_ms)
        return (*actions, *map(ToCabin, self._doors.look(seen, now_ms)))

    def _must_be_free(self, seen: CabinObserved) -> bool:
        return self.memo.mode is LaneMode.EMERGENCY or not seen.power_ok

    def _buttons(self, seen: CabinObserved, before: CabinObserved | None, now_ms: int) -> tuple[Action, ...]:
        if seen.egress and self.step in WITH_PASSENGER:
            return self._step_out(CabinFault.EGRESS, now_ms)
        if not seen.call or (before is not None and before.call):
            return ()
        told = self._anomaly(CabinFault.CALLED)
        if self.step in {Step.DOCUMENT, Step.FACE}:
            return (*told, *self._hold(HoldReason.CALLED, now_ms))
        return told

    def _forced(self, seen: CabinObserved, before: CabinObserved | None, now_ms: int) -> tuple[Action, ...]:
        """A door that is open though it was locked: told when it opens, and the visit is over."""
        exit_forced = (
            self.step is not Step.RELEASING and not seen.exit.closed and before is not None and before.exit.closed
        )
        guarded = self.step in {*WITH_PASSENGER, Step.RECORDING, Step.RELEASING, Step.SHUT}
        entrance_forced = guarded and not seen.entrance.closed and before is not None and before.entrance.closed
        if entrance_forced and self.step is Step.DOCUMENT and before is not None and not before.entrance.locked:
            # It opened again before the bolt had shot: somebody may have slipped in or out.
            self._remember(visit=None)
            return self._to(Step.ENTERING, now_ms)
        actions: list[Action] = []
        for door, forced in (("exit", exit_forced), ("entrance", entrance_forced)):
            actions += self._anomaly(CabinFault.DOOR_FORCED, door=door) if forced else ()
        if actions and self.step in WITH_PASSENGER:
            return (*self._abandon(now_ms), *actions)
        return tuple(actions)

    def _moved(self, seen: CabinObserved, now_ms: int) -> tuple[Action, ...]:
        """Follow the people."""
        persons, shut = seen.occupancy, seen.entrance.closed
        if COUNT_STALE in seen.faults:
            return self._step_out(CabinFault.LOST_SIGHT, now_ms) if self.step in WITH_PASSENGER else ()
        match self.step:
            case Step.SHUT if persons:
                return self._step_out(CabinFault.UNKNOWN_OCCUPANT, now_ms)
            case Step.WAITING if persons or not shut:
                return self._to(Step.ENTERING, now_ms)
            case Step.ENTERING if shut:
                return self._entered(persons, now_ms)
            case Step.DOCUMENT | Step.FACE | Step.HELD if persons != 1:
                return self._step_out(CabinFault.CROWDED if persons else CabinFault.LOST_SIGHT, now_ms)
            case Step.RELEASING:
                self._exit_opened = self._exit_opened or not seen.exit.closed
                if self._exit_opened and seen.exit.closed and persons == 0:
                    return self._left(now_ms)
            case Step.STEPPING_OUT if shut and persons == 0:
                return self._to(self._rest(), now_ms)
        return ()

    def _entered(self, persons: int, now_ms: int) -> tuple[Action, ...]:
        """The entrance fell shut: on nobody, on one, or on more."""
        match persons:
            case 0:
                return self._to(self._rest(), now_ms)
            case 1:
                return self._begin_visit(now_ms)
            case _:
                return self._step_out(CabinFault.CROWDED, now_ms)

    # -- the officer -------------------------------------------------------------------------------------------------

    def _ask_rule(self, asked: AskRule, now_ms: int) -> tuple[Action, ...]:
        if self.step is not Step.HELD:
            return (Refused("nobody is held"),)
        visit, boarding = self._under_way()
        if asked.attempt != visit.attempt:
            return (Refused(f"{visit.attempt} is held, not {asked.attempt}"),)
        ruled = PassengerRuled(
            lane=self.lane,
            boarding=boarding.boarding,
            attempt=visit.attempt,
            subject_token=visit.token,
            ruling=asked.ruling,
            actor=asked.actor,
            reason=asked.reason,
        )
        match asked.ruling:
            case Ruling.RELEASE:
                releases = self.settings.when_unrecordable == "release"
                owed = ruled.model_copy(update={"unrecorded": True})
                otherwise = owed if releases else self._told(CabinFault.NO_RECORD)
                self._fallback = boarding
                return self._record(ruled, otherwise, Outcome.RELEASED, now_ms)
            case Ruling.REFUSE:
                self._remember(boarding=boarding.ended(visit.attempt, visit.token, Outcome.REFUSED), visit=None)
                self._passenger.end()
                return (Commit((ruled,)), *self._to(Step.STEPPING_OUT, now_ms))
            case Ruling.AGAIN:
                self._remember(visit=Visit(attempt=visit.attempt))
                self._passenger.begin(now_ms)
                return (Commit((ruled,)), *self._to(Step.DOCUMENT, now_ms))

    def _ask_mode(self, asked: AskMode, now_ms: int) -> tuple[Action, ...]:
        if asked.mode is LaneMode.FREE:
            return (Refused("a cabin has no free passage"),)
        if asked.mode is not LaneMode.EMERGENCY and self._seen is not None and self._seen.emergency:
            return (Refused("the emergency button is still pressed"),)
        return self._set_mode(asked.mode, asked.actor, asked.reason, now_ms)

    def _set_mode(self, mode: LaneMode, actor: str, reason: str, now_ms: int) -> tuple[Action, ...]:
        """Change the mode. Doors that must be free are free before it is recorded."""
        self._remember(mode=mode)
        moved: tuple[Action, ...] = ()
        if mode is LaneMode.EMERGENCY:
            moved = self._to(Step.FREE, now_ms)
        elif self.step in {Step.WAITING, Step.SHUT} and self.step is not self._rest():
            moved = self._to(self._rest(), now_ms)
        changed = LaneModeChanged(lane=self.lane, mode=mode, actor=actor, reason=reason)
        return (*moved, Commit((changed,)))

    # -- when all does not go well -----------------------------------------------------------------------------------

    def _overdue(self, now_ms: int) -> tuple[Action, ...]:
        assert self._seen is not None
        match self.step:
            case Step.ENTERING:
                return self._anomaly(CabinFault.DOOR_HELD_OPEN, door="entrance")
            case Step.DOCUMENT:
                return self._step_out(CabinFault.TIMED_OUT, now_ms)
            case Step.FACE:
                return self._hold(HoldReason.FACE_TIMED_OUT, now_ms)
            case Step.HELD:
                return self._anomaly(CabinFault.OFFICER_LATE)
            case Step.RELEASING if not self._seen.exit.closed:
                return self._anomaly(CabinFault.DOOR_HELD_OPEN, door="exit")
            case Step.RELEASING:
                return self._step_out(CabinFault.NOT_LEFT, now_ms)
            case _:
                return self._anomaly(CabinFault.NOT_LEFT, persons=self._seen.occupancy)

    def _silent(self) -> tuple[Action, ...]:
        if self.step is Step.LOST:
            return ()
        lost = self._anomaly(CabinFault.IO_LOST)
        self.step, self.deadline_ms, self._seen = Step.LOST, None, None
        self._doors.forget()
        return lost

    def _recover(self, seen: CabinObserved, now_ms: int) -> tuple[Action, ...]:
        """See the cabin for the first time, or again: who is in it may be who was, if a lock held all the while."""
        visit, kept = self.memo.visit, self.step is Step.LOST and seen.entrance.secure and seen.occupancy == 1
        if visit is None:
            if seen.occupancy:
                return self._step_out(CabinFault.UNKNOWN_OCCUPANT, now_ms)
            return self._to(self._rest(), now_ms)
        if visit.stage is Stage.RELEASED:
            if seen.occupancy == 0:
                return self._left(now_ms, recovered=True)
            if kept:
                self._released_ms, self._exit_opened = now_ms, False
                return self._to(Step.RELEASING, now_ms)
        elif kept and seen.exit.secure:
            held = visit.stage is Stage.HELD
            self._passenger.begin(now_ms)
            self._remember(visit=visit if held else Visit(attempt=visit.attempt))
            return self._to(Step.HELD if held else Step.DOCUMENT, now_ms)
        return self._step_out(CabinFault.LOST_SIGHT, now_ms)
