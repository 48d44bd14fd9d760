"""A lane at work: takes facts and wishes one by one, lets the state machine say what to do, and does it.

The order of one credential: judge -> commit (fsync) -> gate command. Nothing else of this lane runs in between.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from core.clearance.model import Effect
from core.errors import GatefleetError
from core.messages.commands import DeviceCommand
from core.messages.events import PassageAnomaly, PassageCleared, PassageDecided
from drivers.facts import CredentialRead, Fact, GateObserved
from edge.clearance import Judge
from edge.clock import Clock
from edge.lane_parts import Alarm, ModeTold
from edge.lanes.passenger import PassengerLane
from edge.lanes.words import AskMode, AskOpen, Commit, GateDone, Input, Memo, Presented, Recorded, Tick, ToGate
from edge.ledger import Ledger
from edge.sections import PassengerSection

_MAX_WAITING: Final = 64
_SAME_DOCUMENT_MS: Final = 1_500

log = structlog.get_logger()


@dataclass(slots=True)
class LaneCounters:
    """Counted since the start."""

    passages: int = 0
    refusals: int = 0
    anomalies: int = 0
    busy: int = 0
    """Credentials shown while somebody else was served."""


@dataclass(frozen=True, slots=True)
class Observers:
    """Who wants to know: every event of a lane, and the time from credential to gate command, in seconds."""

    event: Callable[[object], None]
    opened: Callable[[float], None]
    decided: Callable[[float], None]


@dataclass(slots=True)
class _Waiting:
    happened: Input | CredentialRead
    came_ns: int
    done: asyncio.Future[str] | None = None
    """Hears what did not work; "" when all did."""


class LaneRunner:
    """One passenger lane."""

    def __init__(
        self,
        *,
        spec: PassengerSection,
        memo: Memo,
        judge: Judge,
        gate: Callable[[DeviceCommand], Awaitable[None]],
        ledger: Ledger,
        clock: Clock,
        offline: Callable[[], bool],
        new_id: Callable[[], str],
        observers: Observers,
    ) -> None:
        self.spec = spec
        self.lane = PassengerLane(spec.id, spec.timing, memo=memo)
        self.counters = LaneCounters()
        self._judge = judge
        self._gate = gate
        self._ledger = ledger
        self._clock = clock
        self._offline = offline
        self._new_id = new_id
        self._observers = observers
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(_MAX_WAITING)
        self._alarm = Alarm(clock, self._tick)
        self._mode = ModeTold(spec, judge.ruleset.version, ledger)
        self._last_gate: GateObserved | None = None
        self._told_ns = 0
        """When the gate was told something last."""
        self._last_text = ("", 0)
        self._gate_error = ""

    @property
    def memo_key(self) -> str:
        """Return where the lane's memo is kept."""
        return f"lane/{self.spec.id}"

    async def credential(self, fact: Fact) -> None:
        """Take a document from the reader; returns when it is judged and everything that follows is committed."""
        if not isinstance(fact, CredentialRead):
            return
        now = self._clock.monotonic_ms()
        same = fact.text == self._last_text[0] and now - self._last_text[1] < _SAME_DOCUMENT_MS
        if not same and (self.lane.busy or self._waiting.full()):
            self.counters.busy += 1
            return
        self._last_text = (fact.text, now)
        if same:
            self.counters.busy += 1
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Waiting(fact, time.monotonic_ns(), done))
        await done

    def observed(self, fact: Fact) -> None:
        """Take what the gate shows; what says nothing new is dropped at once."""
        if not isinstance(fact, GateObserved):
            return
        if (fact == self._last_gate and not self.lane.watching) or self._waiting.full():
            return
        self._last_gate = fact
        self._waiting.put_nowait(_Waiting(fact, time.monotonic_ns()))

    async def ask(self, wish: AskMode | AskOpen) -> str:
        """Do what a person wants; return "" when it is done, else why it is not."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(wish, time.monotonic_ns(), done))
        return await done

    async def run(self) -> None:
        """Work; runs for ever."""
        await self._mode.begin(self.lane.memo.mode)
        while True:
            waiting = await self._waiting.get()
            failure = "the lane stopped while it was done: its effect is unknown"
            try:
                failure = await self._take(waiting)
            finally:
                if waiting.done is not None and not waiting.done.done():
                    waiting.done.set_result(failure)

    async def _take(self, waiting: _Waiting) -> str:
        """Take one thing to its end; return what did not work."""
        happened = waiting.happened
        if isinstance(happened, GateObserved) and waiting.came_ns < self._told_ns:
            self._last_gate = None  # from before the gate was told: it confirms nothing, and the next look says it all
            return ""
        if isinstance(happened, AskOpen) and self.lane.unsettled:
            return "somebody is being served: try again in a moment"
        if isinstance(happened, CredentialRead):
            if self.lane.busy:
                self.counters.busy += 1
                return ""
            happened = self._present(happened, waiting.came_ns)
        self._gate_error = ""
        await self._feed(happened, waiting.came_ns)
        self._alarm.set(self.lane.deadline_ms)
        await self._mode.now(self.lane.memo.mode)
        return self._gate_error

    def _present(self, read: CredentialRead, came_ns: int) -> Presented:
        direction = self.spec.direction
        judged = self._judge.judge(read.text, self.spec.id, direction, self._clock.wall())
        took_ms = (time.monotonic_ns() - came_ns) / 1e6
        self._observers.decided(took_ms / 1000)
        return Presented(
            attempt=self._new_id(),
            device=self.spec.reader,
            direction=direction,
            token=judged.token,
            document_kind=judged.document_kind,
            person_class=judged.person_class,
            decision=judged.decision,
            latency_ms=round(took_ms, 3),
            offline=self._offline(),
        )

    async def _feed(self, happened: Input, came_ns: int) -> None:
        for action in self.lane.handle(happened, self._clock.monotonic_ms()):
            match action:
                case Commit(answer=answer):
                    recorded = await self._commit(action)
                    if answer:
                        await self._feed(Recorded(recorded), came_ns)
                    if answer and not recorded:
                        # The memo that is owed says what was meant; this one says what became of it.
                        await self._ledger.commit((), {self.memo_key: self._memo()})
                case ToGate(command=command, answer=answer):
                    error = await self._to_gate(command)
                    if answer:
                        took_ns = time.monotonic_ns() - came_ns
                        self._observers.opened(took_ns / 1e9)
                        await self._feed(GateDone(not error, took_ns / 1e6), came_ns)

    async def _commit(self, commit: Commit) -> bool:
        try:
            recorded = await self._ledger.commit(commit.events, {self.memo_key: self._memo()}, commit.otherwise)
        except GatefleetError as error:
            # Such as an event that is too large to keep: the lane goes on as without a record.
            log.exception("lane.not_recorded", lane=self.spec.id, error=str(error))
            recorded = False
        for event in commit.events if recorded else commit.otherwise or commit.events:
            match event:
                case PassageCleared():
                    self.counters.passages += 1
                case PassageDecided(effect=effect) if effect is not Effect.RELEASE:
                    self.counters.refusals += 1
                case PassageAnomaly():
                    self.counters.anomalies += 1
                case _:
                    pass
            self._observers.event(event)
        return recorded

    def _memo(self) -> bytes:
        return self.lane.memo.model_dump_json().encode()

    async def _to_gate(self, command: DeviceCommand) -> str:
        try:
            await self._gate(command)
        except GatefleetError as error:
            self._gate_error = self._gate_error or str(error)
            log.warning("gate.command_failed", lane=self.spec.id, command=type(command).__name__, error=str(error))
            return str(error)
        finally:
            self._told_ns = time.monotonic_ns()
        return ""

    def _tick(self) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(_Waiting(Tick(), time.monotonic_ns()))
