"""A passenger lane: one reader, one gate, one person at a time.

    idle --Presented--> recording --Recorded--> opening --GateDone--> releasing --sensor--> passing --counter--> idle
                            |                                             |                    |
                            +--refused, diverted, held--> idle            +----- time over ----+--> closing --> idle

Promises
1. The gate is told to open only after `Recorded`: the decision is durable (or the lane's policy says `release` for a
   buffer that cannot commit, and then the record says `unrecorded`).
2. What passed is told by the gate's own counters, never guessed from time: each count becomes exactly one of cleared,
   tailgate, wrong way, forced or free passage.
3. After a restart the counters are compared with those of the last commit, so that nobody who passed is missed.
4. A release that was not used is taken back before it is called timed out, and never given twice. A gate that does not
   show in time that it is gone is told again, once it can be reached and for as long as it takes.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from core.clearance.model import Decision, Direction, Effect, Reason, ReasonCode
from core.messages.commands import CloseGate, OpenGate, SetGateMode
from core.messages.event import Event
from core.messages.events import (
    AnomalyKind,
    FreePassage,
    GateOperated,
    LaneMode,
    LaneModeChanged,
    PassageAnomaly,
    PassageCleared,
    PassageDecided,
    PassageTimedOut,
)
from drivers.facts import GateObserved
from edge.lanes.words import (
    Action,
    AskMode,
    AskOpen,
    Commit,
    GateDone,
    Input,
    Memo,
    Open,
    PassengerSettings,
    Presented,
    Recorded,
    State,
    Tick,
    ToGate,
)

_IMPLAUSIBLE: Final = 500
"""A counter that jumps by more has been set back: the gate restarted."""
_FREE_MODES: Final = frozenset({LaneMode.FREE, LaneMode.EMERGENCY})


@dataclass(slots=True)
class PassengerLane:
    """The state of one lane. Feed it with `handle`; do what it returns, in order."""

    lane: str
    settings: PassengerSettings
    memo: Memo = field(default_factory=Memo)
    state: State = State.IDLE
    deadline_ms: int | None = None
    _cleared_at: int | None = None
    _last_attempt: str | None = None
    _pending: Presented | None = None
    _seen: bool = False
    _wanted_mode: LaneMode | None = None
    _mode_deadline: int = 0
    _doubt_until_ms: int = 0
    """Until then a release that failed may still come to the gate."""
    _close_again_ms: int = 0

    @property
    def busy(self) -> bool:
        """Tell whether somebody else is being served."""
        return self.state is not State.IDLE

    @property
    def unsettled(self) -> bool:
        """Tell whether a release is under way, or was when the edge stopped and the gate has not told of it yet."""
        return self.busy or self.memo.open is not None

    @property
    def watching(self) -> bool:
        """Tell whether the gate is to be looked at, also where it shows nothing new."""
        return self.busy or self.memo.armed

    def handle(self, happened: Input, now_ms: int) -> tuple[Action, ...]:
        """Take one input at the monotonic time `now_ms`; return what to do. An input that does not fit is nothing."""
        match self.state, happened:
            case _, GateObserved():
                return self._observed(happened, now_ms)
            case _, AskMode():
                return self._ask_mode(happened, now_ms)
            case State.IDLE, AskOpen() if not self.unsettled:
                return self._ask_open(happened, now_ms)
            case State.IDLE, Presented():
                return self._presented(happened)
            case State.RECORDING, Recorded():
                return self._recorded(happened, now_ms)
            case State.OPENING, GateDone():
                return self._opened(happened, now_ms)
            case ((State.OPENING | State.RELEASING | State.PASSING), Tick()):
                return self._overdue(now_ms)
            case State.CLOSING, Tick():
                return self._not_closed(now_ms)
            case _:
                return ()

    # -- a credential ------------------------------------------------------------------------------------------------

    def _presented(self, shown: Presented) -> tuple[Action, ...]:
        shown = replace(shown, decision=self._lane_says(shown.decision))
        self._pending = shown
        self.state = State.RECORDING
        if shown.decision.effect is Effect.RELEASE:
            held = Open(attempt=shown.attempt, direction=shown.direction, token=shown.token)
            self.memo = self.memo.model_copy(update={"open": held})
        decided = self._decided(shown)
        return (Commit((decided,), answer=True, otherwise=(self._undurable(decided),)),)

    def _lane_says(self, decision: Decision) -> Decision:
        if self.memo.mode is LaneMode.LOCKED:
            return replace(decision, effect=Effect.REFUSE, reasons=_because(ReasonCode.LANE_LOCKED, Effect.REFUSE))
        if not self._seen:
            hold = Effect.HOLD_MANUAL
            return replace(decision, effect=hold, reasons=(*_because(ReasonCode.GATE_SILENT, hold), *decision.reasons))
        return decision

    def _recorded(self, recorded: Recorded, now_ms: int) -> tuple[Action, ...]:
        shown = self._pending
        assert shown is not None
        release = shown.decision.effect is Effect.RELEASE
        if release and (recorded.ok or self.settings.when_unrecordable == "release"):
            self.state = State.OPENING
            self.deadline_ms = now_ms + self.settings.enter_timeout_ms
            return (ToGate(OpenGate(direction=shown.direction), answer=True),)
        self.state, self._pending = State.IDLE, None
        if self._attempt == shown.attempt:
            # Not of another attempt: after a restart one may be under way that the gate has not told of yet.
            self.memo = self.memo.model_copy(update={"open": None})
        return ()

    def _undurable(self, decided: PassageDecided) -> PassageDecided:
        """Return the decision as it stands where it cannot be made durable."""
        if decided.effect is not Effect.RELEASE or self.settings.when_unrecordable == "release":
            return decided.model_copy(update={"unrecorded": True})
        reasons = (*_because(ReasonCode.NO_RECORD, Effect.REFUSE), *decided.reasons)
        return decided.model_copy(update={"effect": Effect.REFUSE, "reasons": reasons, "unrecorded": True})

    def _decided(self, shown: Presented) -> PassageDecided:
        decision = shown.decision
        return PassageDecided(
            lane=self.lane,
            attempt=shown.attempt,
            device=shown.device,
            direction=shown.direction,
            subject_token=shown.token,
            document_kind=shown.document_kind,
            person_class=shown.person_class,
            effect=decision.effect,
            reasons=(*decision.reasons, *decision.alerts),
            ruleset_version=decision.ruleset_version,
            list_versions=dict(decision.list_versions),
            latency_ms=shown.latency_ms,
            offline=shown.offline,
        )

    # -- the gate ----------------------------------------------------------------------------------------------------

    def _opened(self, done: GateDone, now_ms: int) -> tuple[Action, ...]:
        held = self.memo.open
        assert held is not None
        opened = held.model_copy(update={"opened_ms": round(done.took_ms, 3), "opened_at": now_ms})
        self.memo = self.memo.model_copy(update={"open": opened})
        if not done.ok:
            self._doubt_until_ms = now_ms + self.settings.close_timeout_ms
            self.memo = self.memo.model_copy(update={"armed": True})
            return self._close(now_ms)
        self.state = State.RELEASING
        self.deadline_ms = now_ms + self.settings.enter_timeout_ms
        return ()

    def _overdue(self, now_ms: int) -> tuple[Action, ...]:
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return ()
        if self.state is State.PASSING:
            jam = PassageAnomaly(lane=self.lane, kind=AnomalyKind.JAM, attempt=self._attempt)
            return (Commit((jam,)), *self._close(now_ms))
        return self._close(now_ms)

    def _close(self, now_ms: int) -> tuple[Action, ...]:
        self.state = State.CLOSING
        self.deadline_ms = now_ms + self.settings.close_timeout_ms
        return (ToGate(CloseGate()),)

    def _not_closed(self, now_ms: int) -> tuple[Action, ...]:
        """The gate did not show that the release is gone: take the counters' word as it is, and keep an eye on it."""
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return ()
        self.memo = self.memo.model_copy(update={"armed": True})
        return self._timed_out()

    def _left_armed(self, gate: GateObserved, now_ms: int) -> tuple[Action, ...]:
        """Take back a release that was given up on. One that the gate's own button gave is not ours to take."""
        if not self.memo.armed:
            return ()
        if not gate.released:
            self.memo = self.memo.model_copy(update={"armed": now_ms < self._doubt_until_ms})
            return ()
        if self.state is not State.IDLE or now_ms < self._close_again_ms:
            return ()
        self._close_again_ms = now_ms + self.settings.close_timeout_ms
        return (ToGate(CloseGate()),)

    def _timed_out(self) -> tuple[Action, ...]:
        held = self.memo.open
        self._to_idle()
        if held is None:
            return ()
        over = PassageTimedOut(lane=self.lane, attempt=held.attempt, subject_token=held.token, recovered=held.recovered)
        return (Commit((over,)),)

    # -- what the gate shows -----------------------------------------------------------------------------------------

    def _observed(self, gate: GateObserved, now_ms: int) -> tuple[Action, ...]:
        first, self._seen = not self._seen, True
        if first and self.memo.open is not None:
            held = self.memo.open.model_copy(update={"recovered": True})
            self.memo = self.memo.model_copy(update={"open": held})
        passed_in = _grown(self.memo.in_count, gate.in_count, gate.counter_span)
        passed_out = _grown(self.memo.out_count, gate.out_count, gate.counter_span)
        if first and not gate.counts_survive:
            passed_in = passed_out = 0
        self.memo = self.memo.model_copy(update={"in_count": gate.in_count, "out_count": gate.out_count})
        events: list[Event] = []
        events += self._count(Direction.IN, passed_in, now_ms, recovered=first)
        events += self._count(Direction.OUT, passed_out, now_ms, recovered=first)
        actions: list[Action] = [*self._mode_seen(gate, now_ms, first=first)]
        if first and self.memo.open is not None and self.state is State.IDLE:
            actions += self._close(now_ms)
        elif self.state is State.RELEASING and gate.sensors:
            self.state = State.PASSING
            self.deadline_ms = now_ms + self.settings.pass_timeout_ms
        elif self.state is State.CLOSING and not gate.released and not gate.sensors:
            actions += self._timed_out()
        actions += self._left_armed(gate, now_ms)
        return (Commit(tuple(events)), *actions) if events else tuple(actions)

    def _count(self, direction: Direction, persons: int, now_ms: int, *, recovered: bool) -> list[Event]:
        if persons == 0:
            return []
        if self.memo.mode in _FREE_MODES:
            free = FreePassage(
                lane=self.lane, direction=direction, persons=persons, mode=self.memo.mode, recovered=recovered
            )
            return [free]
        held, events = self.memo.open, []
        if held is not None and direction is held.direction and self.state is not State.RECORDING:
            events.append(self._cleared(held, now_ms))
            persons -= 1
        if persons:
            kind = self._kind(direction, now_ms, behind=bool(events), recovered=recovered)
            attempt = self._last_attempt if kind is AnomalyKind.TAILGATE else self._attempt
            events.append(
                PassageAnomaly(
                    lane=self.lane,
                    kind=kind,
                    attempt=attempt,
                    direction=direction,
                    persons=persons,
                    recovered=recovered,
                )
            )
        return events

    def _cleared(self, held: Open, now_ms: int) -> Event:
        self._cleared_at, self._last_attempt = now_ms, held.attempt
        self._to_idle()
        return PassageCleared(
            lane=self.lane,
            attempt=held.attempt,
            direction=held.direction,
            subject_token=held.token,
            opened_ms=held.opened_ms,
            duration_ms=0 if held.recovered else max(0, now_ms - held.opened_at),
            recovered=held.recovered,
        )

    def _kind(self, direction: Direction, now_ms: int, *, behind: bool, recovered: bool) -> AnomalyKind:
        held = self.memo.open
        if held is not None and direction is not held.direction:
            return AnomalyKind.WRONG_WAY
        fresh = self._cleared_at is not None and now_ms - self._cleared_at <= self.settings.tailgate_window_ms
        if behind or (fresh and not recovered):
            return AnomalyKind.TAILGATE
        return AnomalyKind.FORCED

    # -- modes -------------------------------------------------------------------------------------------------------

    def _ask_mode(self, asked: AskMode, now_ms: int) -> tuple[Action, ...]:
        self.memo = self.memo.model_copy(update={"mode": asked.mode})
        self._wanted_mode, self._mode_deadline = asked.mode, now_ms + self.settings.close_timeout_ms
        changed = LaneModeChanged(lane=self.lane, mode=asked.mode, actor=asked.actor, reason=asked.reason)
        return (Commit((changed,)), ToGate(SetGateMode(mode=asked.mode)))

    def _ask_open(self, asked: AskOpen, now_ms: int) -> tuple[Action, ...]:
        """By hand: a passage without a credential; the audit record names who and why."""
        operated = GateOperated(
            lane=self.lane, attempt=asked.attempt, action="open", actor=asked.actor, reason=asked.reason
        )
        held = Open(attempt=asked.attempt, direction=asked.direction, token="", opened_at=now_ms)
        self.memo = self.memo.model_copy(update={"open": held})
        self.state = State.OPENING
        self.deadline_ms = now_ms + self.settings.enter_timeout_ms
        return (Commit((operated,)), ToGate(OpenGate(direction=asked.direction), answer=True))

    def _mode_seen(self, gate: GateObserved, now_ms: int, *, first: bool) -> tuple[Action, ...]:
        if gate.mode is self.memo.mode:
            self._wanted_mode = None
            return ()
        if self._wanted_mode is not None and now_ms < self._mode_deadline:
            return ()
        if first and gate.mode is not LaneMode.EMERGENCY:
            self._wanted_mode, self._mode_deadline = self.memo.mode, now_ms + self.settings.close_timeout_ms
            return (ToGate(SetGateMode(mode=self.memo.mode)),)
        self.memo = self.memo.model_copy(update={"mode": gate.mode})
        self._wanted_mode = None
        changed = LaneModeChanged(lane=self.lane, mode=gate.mode, actor="device", reason="changed at the gate")
        return (Commit((changed,)),)

    @property
    def _attempt(self) -> str | None:
        return self.memo.open.attempt if self.memo.open else None

    def _to_idle(self) -> None:
        self.state, self.deadline_ms, self._pending = State.IDLE, None, None
        if self.memo.open is not None:
            self.memo = self.memo.model_copy(update={"open": None})


def _grown(before: int | None, now: int, span: int) -> int:
    """Return how far a counter went on; 0 when it is not known from before or was set back."""
    if before is None:
        return 0
    step = (now - before) % span
    return step if step <= _IMPLAUSIBLE else 0


def _because(code: ReasonCode, effect: Effect) -> tuple[Reason, ...]:
    return (Reason(code=code, rule_id=f"lane.{code.value}", effect=effect.value),)
