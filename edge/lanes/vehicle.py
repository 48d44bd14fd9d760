"""A vehicle lane: cameras, a barrier, inputs at the road, a light and a display; one vehicle at a time.

    idle --approach--> reading --vote--> judging --Judged--> recording --Recorded--> opening --GateDone--> releasing
                                                                 |                                             |
                          held <--refused, diverted, held--------+                                       under the arm
                                                                                                               |
    idle <--arm down-- closing <--line free, exit seen-- leaving <--line free-- passing <----------------------+

Promises
1. The barrier is told to open for a vehicle only after `Recorded`: the decision is durable (or the lane's policy says
   `release` for a buffer that cannot commit, and then the record says `unrecorded`).
2. The barrier is never told to close while a vehicle is in its line, nor before the inputs have said that none is;
   comes one while the arm goes down, the arm goes up again.
3. Every release ends exactly once, cleared or timed out, also across a restart; one `handle` gives one commit, so that
   the memo and the events that go with it are never apart.
4. A near reading of a plate diverts and never refuses, whatever the judge says.
5. A command for a release is never repeated; a release is taken back before it is called timed out.
"""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from core.clearance.model import Effect
from core.messages.events import GateOperated, LaneMode, LaneModeChanged
from core.messages.vehicle_events import VehicleAnomalyKind, VehiclePassedFree
from edge.lanes.reads import Reads
from edge.lanes.road import Road
from edge.lanes.signs import Showing, Signs, held_showing
from edge.lanes.vehicle_record import Post, lane_says, undurable
from edge.lanes.vehicle_words import (
    FREE_MODES,
    Action,
    Arm,
    BarrierObserved,
    Input,
    Judged,
    LoopChanged,
    PlateSeen,
    State,
    ToBarrier,
    ToJudge,
    VehicleMemo,
    VehicleOpen,
    VehicleSettings,
    one_commit,
    waits,
)
from edge.lanes.votes import CameraRole
from edge.lanes.words import AskMode, AskOpen, Commit, GateDone, Recorded, Tick

_WAITING: Final = frozenset({State.IDLE, State.READING, State.HELD})
_UNDERWAY: Final = frozenset({State.OPENING, State.RELEASING, State.PASSING, State.LEAVING})


@dataclass(slots=True)
class VehicleLane:
    """The state of one lane. Feed it with `handle`; do what it returns, in order."""

    post: Post
    settings: VehicleSettings
    signs: Signs = field(default_factory=Signs)
    memo: VehicleMemo = field(default_factory=VehicleMemo)
    state: State = State.IDLE
    _due: int | None = None
    _road: Road = field(default_factory=Road)
    _arm: Arm | None = None
    _settled: bool = False
    """The inputs have told what a restart left in the line."""
    _reads: Reads = field(init=False)
    _pending: Judged | None = None
    _held: Showing = Showing.HOLD
    _left_ms: int = 0
    _tail: tuple[str, int] = ("", -1)
    """Who was cleared last, and until when one behind follows it."""
    _unreleased: VehiclePassedFree | None = None
    """Who is in the line in a free mode; told when it has left."""

    def __post_init__(self) -> None:
        self._reads = Reads(self.settings)

    @property
    def deadline_ms(self) -> int | None:
        """Return when the next `Tick` is due."""
        times = (self._due, self._reads.gone.until_ms if self._reads.gone else None)
        return min((time for time in times if time is not None), default=None)

    @property
    def can_open(self) -> bool:
        """Tell whether somebody may let a vehicle through by hand now."""
        return self._settled and self.state in _WAITING and not self._road.occupied

    @property
    def _free(self) -> bool:
        return self.memo.mode in FREE_MODES

    def handle(self, happened: Input, now_ms: int) -> tuple[Action, ...]:
        """Take one input at the monotonic time `now_ms`; return what to do. An input that does not fit is nothing."""
        actions = [*self._take(happened, now_ms)]
        while (more := self._settle(now_ms)) is not None:
            actions += more
        if not any(waits(action) for action in actions):
            actions += self.signs.change(self.state, self.memo.mode, self._held, self._reads.judged.texts)
        return one_commit(actions)

    def _take(self, happened: Input, now_ms: int) -> tuple[Action, ...]:
        match self.state, happened:
            case _, LoopChanged():
                return self._loop(happened, now_ms)
            case _, BarrierObserved():
                self._arm = happened.arm
                closed = self.state is State.CLOSING and happened.arm is Arm.CLOSED
                return self._ended() if closed and not self._road.occupied else ()
            case _, PlateSeen():
                self._plate(happened, now_ms)
                return ()
            case _, AskMode():
                return self._ask_mode(happened, now_ms)
            case _, AskOpen() if self.can_open:
                return self._ask_open(happened, now_ms)
            case State.JUDGING, Judged():
                return self._judged(happened)
            case State.RECORDING, Recorded():
                return self._recorded(happened, now_ms)
            case State.OPENING, GateDone():
                return self._opened(happened, now_ms)
            case _, Tick():
                return (*self._compare_rear(now_ms), *self._overdue(now_ms))
            case _:
                return ()

    def _settle(self, now_ms: int) -> tuple[Action, ...] | None:
        """Take one step that the inputs at the road or the time ask for; None when there is none."""
        occupied = self._road.occupied
        match self.state:
            case State.IDLE | State.READING | State.HELD if not self._settled:
                return self._recover(now_ms) if self._road.knows(self.settings.loops) else self._settle_waiting(now_ms)
            case State.IDLE | State.READING | State.HELD | State.RELEASING | State.CLOSING if occupied:
                return self._into_line(now_ms)
            case State.PASSING if not occupied:
                self._left_ms = now_ms
                return self._go(State.LEAVING, now_ms + self.settings.pass_timeout_ms)
            case State.LEAVING if occupied:
                return self._go(State.PASSING, now_ms + self.settings.pass_timeout_ms)
            case State.LEAVING if self._forward():
                self._due = self._left_ms + self.settings.gap_ms
                return self._cleared(now_ms) if now_ms >= self._due else None
            case State.INTRUDED:
                return self._intruder(now_ms)
        return self._settle_waiting(now_ms)

    def _settle_waiting(self, now_ms: int) -> tuple[Action, ...] | None:
        waiting = self._road.approach
        match self.state:
            case State.HELD if waiting is False:
                return self._go(State.IDLE)
            case State.READING if waiting is False and not self._reads.any:
                return self._go(State.IDLE)
            case State.IDLE:
                self._reads.forget_old(now_ms)
                if waiting or (waiting is None and self._reads.any):
                    return self._go(State.READING, now_ms + self.settings.unread_after_ms)
            case State.READING if waiting is not False:
                return self._read(now_ms)
        return None

    def _go(self, state: State, due: int | None = None) -> tuple[Action, ...]:
        self.state, self._due = state, due
        return ()

    def _plate(self, seen: PlateSeen, now_ms: int) -> None:
        if seen.role is CameraRole.REAR and (self._reads.gone is not None or self.state in _UNDERWAY):
            self._reads.add_rear(seen)
            return
        if self.state in {State.JUDGING, State.RECORDING, State.OPENING, State.RELEASING}:
            return
        alone = self.state in {State.IDLE, State.READING}
        late = now_ms <= self._tail[1] and self._reads.is_judged(seen.read)
        nothing = late or (not alone and self._reads.adds_nothing(seen.read))
        if nothing and not self._reads.is_anothers(seen.read):
            return
        if self.state is State.HELD:
            self._reads.drop()
            self._go(State.READING)
        self._reads.add(seen, now_ms)

    def _read(self, now_ms: int) -> tuple[Action, ...] | None:
        """Have the vehicle judged where enough was read, or nothing in time."""
        if self._reads.any:
            self._due = self._reads.window_ends_ms
        if not self._reads.sure and (self._due is None or now_ms < self._due):
            return None
        compared = self._compare_rear()
        self._go(State.JUDGING)
        return (*compared, ToJudge(self._reads.close()))

    def _judged(self, judged: Judged) -> tuple[Action, ...]:
        blind = not self._settled or (self.settings.barrier_tells and self._arm is None)
        judged = replace(judged, decision=lane_says(judged.decision, self.memo.mode, blind=blind))
        self._pending = judged
        self._go(State.RECORDING)
        plates = self._reads.judged
        if judged.decision.effect is Effect.RELEASE:
            self._keep(self.post.release(judged.attempt, self.post.direction, plates))
        decided = self.post.decided(judged, plates, self._reads.device)
        otherwise = undurable(decided, opens=self.settings.when_unrecordable == "release")
        return (Commit((decided,), answer=True, otherwise=(otherwise,)),)

    def _recorded(self, recorded: Recorded, now_ms: int) -> tuple[Action, ...]:
        judged = self._pending
        assert judged is not None
        release = judged.decision.effect is Effect.RELEASE
        if release and (recorded.ok or self.settings.when_unrecordable == "release"):
            if self.memo.mode is LaneMode.LOCKED:
                return self._close(now_ms, "unused")
            self._go(State.OPENING, now_ms + self.settings.enter_timeout_ms)
            return (ToBarrier("open", "release", answer=True),)
        if release:
            self._keep(None)
        self._held = held_showing(judged.decision.effect, read=bool(self._reads.judged.plates))
        return self._go(State.HELD, now_ms + self.settings.held_ms if self._road.approach is None else None)

    def _keep(self, held: VehicleOpen | None) -> None:
        self.memo = self.memo.model_copy(update={"open": held})

    def _opened(self, done: GateDone, now_ms: int) -> tuple[Action, ...]:
        held = self.memo.open
        assert held is not None
        self._keep(held.model_copy(update={"opened_ms": round(done.took_ms, 3), "opened_at": now_ms}))
        if not done.ok or self.memo.mode is LaneMode.LOCKED:
            return self._close(now_ms, "unused")
        return self._go(State.RELEASING, now_ms + self.settings.enter_timeout_ms)

    def _close(self, now_ms: int, why: Literal["passed", "unused"]) -> tuple[Action, ...]:
        """Bring the arm down where the line is free; a free lane's stays up."""
        if self._free:
            return self._ended()
        if self._road.occupied:
            return self._entered(now_ms) if self.memo.open else self._go(State.INTRUDED)
        self._go(State.CLOSING, now_ms + self.settings.close_timeout_ms)
        return (ToBarrier("close", why),)

    def _ended(self) -> tuple[Action, ...]:
        """The arm is down, or nobody says: what was released and not used is over."""
        held = self.memo.open
        self._go(State.IDLE)
        if held is None:
            return ()
        self._keep(None)
        if self._road.approach:
            self._reads.forget_judged()
            self._held = Showing.BACK
            self._go(State.HELD)
        return (Commit((self.post.timed_out(held),)),)

    def _overdue(self, now_ms: int) -> tuple[Action, ...]:
        if self._due is None or now_ms < self._due:
            return ()
        held = self.memo.open
        match self.state:
            case State.HELD:
                return self._go(State.IDLE)
            case State.OPENING | State.RELEASING:
                return self._close(now_ms, "unused")
            case State.PASSING:
                self._due = None
                return self._told(VehicleAnomalyKind.JAM)
            case State.LEAVING if not self._forward():
                self._keep(held.model_copy(update={"entered": False}) if held else None)
                return (Commit(()), *self._close(now_ms, "unused"))
            case State.CLOSING:
                return self._ended()
        return ()

    def _loop(self, changed: LoopChanged, now_ms: int) -> tuple[Action, ...]:
        passing = self.state in {State.PASSING, State.LEAVING} and self._same_direction()
        was_free = self._road.approach is False
        onto_exit = self._road.change(changed, now_ms, passing=passing)
        self._reads.another |= was_free and bool(self._road.approach)
        if self._road.approach is False:
            self._reads.drop()
        if onto_exit and self._road.exit_pulses > 1 and not self.settings.trailers and not self._free:
            return self._told(VehicleAnomalyKind.TAILGATE)
        return ()

    def _told(self, kind: VehicleAnomalyKind) -> tuple[Action, ...]:
        return (Commit((self.post.anomaly_of(self.memo.open, kind),)),) if self.memo.open else ()

    def _same_direction(self) -> bool:
        return self.memo.open is None or self.memo.open.direction is self.post.direction

    def _forward(self) -> bool:
        """Tell whether the vehicle that left the line went through; after a restart nobody saw how it came."""
        known = self._road.exit is not None and self._same_direction()
        recovered = self.memo.open is not None and self.memo.open.recovered
        return not known or recovered or self._road.exit is True or self._road.exit_pulses > 0

    def _recover(self, now_ms: int) -> tuple[Action, ...]:
        """Take up what a restart left: the inputs have told now whether something is in the line."""
        self._settled = True
        held = self.memo.open
        if held is not None:
            self._keep(held.model_copy(update={"recovered": True}))
            entered = held.entered and not self._road.occupied
            return self._cleared(now_ms) if entered else self._close(now_ms, "unused")
        if self._road.occupied:
            self._unreleased = self.post.passed_free(self.post.direction, self.memo.mode) if self._free else None
            return self._go(State.INTRUDED)
        if self._free:
            return () if self._arm is Arm.OPEN else (ToBarrier("open", "mode"),)
        return () if self._arm is Arm.CLOSED else self._close(now_ms, "unused")

    def _into_line(self, now_ms: int) -> tuple[Action, ...]:
        backwards, held = self._road.take_backwards(now_ms), self.memo.open
        reopen = (ToBarrier("open", "safety"),) if self.state is State.CLOSING or self._arm is Arm.MOVING else ()
        if held and self.state not in _WAITING and not (backwards and self._same_direction()):
            return (*(reopen if self.state is State.CLOSING else ()), *self._entered(now_ms))
        return (*self._intruded(now_ms, backwards=backwards), *reopen)

    def _entered(self, now_ms: int) -> tuple[Action, ...]:
        held = self.memo.open
        assert held is not None
        self._keep(held.model_copy(update={"entered": True}))
        self._road.exit_pulses = 0
        self._go(State.PASSING, now_ms + self.settings.pass_timeout_ms)
        return (Commit(()),)

    def _cleared(self, now_ms: int) -> tuple[Action, ...]:
        held = self.memo.open
        assert held is not None
        self._keep(None)
        self._tail = (held.attempt, now_ms + self.settings.tailgate_window_ms)
        self._reads.passed(held.attempt, held.plate_tokens, now_ms)
        return (Commit((self.post.cleared(held, now_ms),)), *self._close(now_ms, "passed"))

    def _intruded(self, now_ms: int, *, backwards: bool) -> tuple[Action, ...]:
        """A vehicle is in the line that no release covers."""
        waited = self._reads.drop()
        plates = self._reads.judged if self.state is State.HELD else waited
        tokens = () if backwards else self.post.tokens(plates)
        direction = self.post.direction.opposite if backwards else self.post.direction
        self._go(State.INTRUDED)
        if self._free:
            self._unreleased = self.post.passed_free(direction, self.memo.mode, tokens)
            return ()
        attempt = self.memo.open.attempt if self.memo.open else None
        kind = VehicleAnomalyKind.WRONG_WAY if backwards else VehicleAnomalyKind.FORCED
        if not backwards and now_ms <= self._tail[1]:
            kind, attempt = VehicleAnomalyKind.TAILGATE, self._tail[0]
        return (Commit((self.post.anomaly(kind, direction, attempt=attempt, tokens=tokens),)),)

    def _intruder(self, now_ms: int) -> tuple[Action, ...] | None:
        if self._road.occupied:
            self._due = None
            return None
        self._due = now_ms + self.settings.gap_ms if self._due is None else self._due
        if now_ms < self._due:
            return None
        free, self._unreleased = self._unreleased, None
        told = (Commit((free,)),) if free else ()
        if self.memo.open is None and self._arm is Arm.CLOSED and not self._free:
            return (*told, *self._go(State.IDLE))
        return (*told, *self._close(now_ms, "passed"))

    def _compare_rear(self, now_ms: int | None = None) -> tuple[Action, ...]:
        """Compare the rear of the cleared vehicle with its front when its time is over, or at once."""
        found = self._reads.differing_rear(now_ms)
        return (Commit((self.post.mismatch(*found),)),) if found else ()

    def _ask_open(self, asked: AskOpen, now_ms: int) -> tuple[Action, ...]:
        """By hand: whoever stands there; the audit record names who and why."""
        compared = self._compare_rear()
        if self.state is not State.HELD:
            self._reads.close()
        if asked.direction is not self.post.direction:
            self._reads.forget_judged()
        told = {"attempt": asked.attempt, "actor": asked.actor, "reason": asked.reason}
        operated = GateOperated(lane=self.post.lane, action="open", **told)
        held = self.post.release(asked.attempt, asked.direction, self._reads.judged)
        self._keep(held.model_copy(update={"opened_at": now_ms}))
        self._go(State.OPENING, now_ms + self.settings.enter_timeout_ms)
        return (*compared, Commit((operated,)), ToBarrier("open", "hand", answer=True))

    def _ask_mode(self, asked: AskMode, now_ms: int) -> tuple[Action, ...]:
        was_free = self._free
        self.memo = self.memo.model_copy(update={"mode": asked.mode})
        changed = LaneModeChanged(lane=self.post.lane, mode=asked.mode, actor=asked.actor, reason=asked.reason)
        told = Commit((changed,))
        if self._free:
            ended = self._ended() if self.state is State.CLOSING else ()
            return (told, ToBarrier("open", "mode"), *ended)
        if asked.mode is LaneMode.LOCKED and self.state is State.RELEASING:
            return (told, *self._close(now_ms, "unused"))
        if was_free and self._settled and self.state in _WAITING:
            return (told, *self._close(now_ms, "passed"))
        return (told,)
