"""A vehicle lane at work: takes reads, inputs and wishes one by one, and does what the state machine says.

Promises
1. One vehicle's order is judge -> commit (fsync) -> barrier command; nothing else of this lane runs in between.
2. A read is taken when `plate` returns: the machine has it. What follows from it is committed before the barrier moves.
3. An input that cannot be taken now is taken as it is then: no change of a loop is forgotten, only one that came back.
4. Light and display never hold up the barrier; they are told what is true now, not all that was.
5. The arm is never told to go down on what was seen over two seconds ago. When the board is seen again after so long,
   or two seconds after the arm could not be told to go down, the lane takes up what it finds as after a restart.
6. A channel's memo is committed with the leg that changed it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import structlog
from pydantic import BaseModel

from core.clearance.model import Effect
from core.errors import BufferUnavailable, DeviceSilent, GatefleetError
from core.messages.event import Event
from core.messages.events import LaneSeen
from core.messages.vehicle_events import VehicleAnomaly, VehicleCleared, VehicleDecided
from drivers.barrier.commands import BarrierCommand, LowerArm, RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.facts import Fact, PlateRead
from edge.clearance import Judge
from edge.clock import Clock
from edge.lane import LaneCounters, Observers
from edge.lanes.channel import Channel
from edge.lanes.vehicle import VehicleLane
from edge.lanes.vehicle_record import Post
from edge.lanes.vehicle_words import (
    Arm,
    BarrierObserved,
    Input,
    Judged,
    Loop,
    LoopChanged,
    PlateSeen,
    ToBarrier,
    ToDisplay,
    ToJudge,
    ToLight,
    VehicleMemo,
    VehicleSettings,
)
from edge.lanes.votes import Verdict
from edge.lanes.words import AskMode, AskOpen, Commit, GateDone, Recorded, Tick
from edge.ledger import Ledger
from edge.sections import VehicleSection

_MAX_WAITING: Final = 64
_BLIND_MS: Final = 2_000
_FRESH_MS: Final = 500
"""The arm is lowered only on inputs that were seen so lately; a barrier is looked at five times a second at least."""
_LEAST_PAUSE_MS: Final = 5
"""A tick never comes at once: a deadline that stays past must not keep the loop busy."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Machinery:
    """What a lane moves; raises errors of core.errors."""

    barrier: Callable[[BarrierCommand], Awaitable[None]]
    light: Callable[[BarrierCommand], Awaitable[None]] | None = None
    display: Callable[[tuple[str, ...]], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class _Anew:
    """Nobody saw what the barrier did for a while."""


@dataclass(slots=True)
class _Waiting:
    happened: Input | _Anew
    came_ns: int
    done: asyncio.Future[str] | None = None
    """Hears what did not work; "" when all did."""


@dataclass(slots=True)
class _Seen:
    """What the machine was told of the barrier's board."""

    arm: str | None = None
    faults: frozenset[str] = frozenset()
    loops: dict[Loop, bool] = field(default_factory=dict)

    def news(self, fact: BarrierSeen, known: frozenset[Loop]) -> Iterator[Input]:
        """Yield what it has to be told now, each taken as told when asked for: arm, what came on, what went off.

        On before off, so that a vehicle that goes from one input to the next is never nowhere.
        """
        if fact.arm and (fact.arm, fact.faults) != (self.arm, self.faults):
            self.arm, self.faults = fact.arm, fact.faults
            yield BarrierObserved(Arm(fact.arm), fact.faults)
        loops = {Loop(name): name in fact.occupied for name in fact.wired}
        changed = {loop: on for loop, on in loops.items() if loop in known and self.loops.get(loop) is not on}
        for loop, on in sorted(changed.items(), key=lambda one: (not one[1], one[0])):
            self.loops[loop] = on
            yield LoopChanged(loop, on)


class VehicleLaneRunner:
    """One vehicle lane."""

    def __init__(
        self,
        *,
        spec: VehicleSection,
        settings: VehicleSettings,
        memo: VehicleMemo,
        judge: Judge,
        machinery: Machinery,
        ledger: Ledger,
        clock: Clock,
        offline: Callable[[], bool],
        new_id: Callable[[], str],
        observers: Observers,
        channel: Channel | None = None,
    ) -> None:
        self.spec = spec
        post = Post(spec.id, spec.direction, judge.plate_token, spec.channel or "", spec.position)
        self.lane = VehicleLane(post, settings, memo=memo)
        self.counters = LaneCounters()
        self.channel = channel
        self.shown: tuple[str, ...] = ()
        """The display's lines, whether there is a display or not."""
        self._judge = judge
        self._machinery = machinery
        self._ledger = ledger
        self._clock = clock
        self._offline = offline
        self._new_id = new_id
        self._observers = observers
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(_MAX_WAITING)
        self._alarm: asyncio.TimerHandle | None = None
        self._seen = _Seen()
        self._seen_ms: int | None = None
        self._failed_ms: int | None = None
        """When the arm could not be told to go down."""
        self._broken = False
        """It ran before: a task that is run again has failed."""
        self._barrier_error = ""
        self._mode_told = self.lane.memo.mode
        self._light: bool | None = None
        self._light_told: bool | None = None
        self._lines_told: tuple[str, ...] = ()
        self._signs = asyncio.Event()

    @property
    def memo_key(self) -> str:
        """Return where the lane's memo is kept."""
        return f"lane/{self.spec.id}"

    async def plate(self, read: PlateRead, device: str) -> None:
        """Take a read of one of the lane's cameras; raise BufferUnavailable where it cannot be taken now."""
        if self._waiting.full():
            self.counters.busy += 1
            raise BufferUnavailable("the lane has too much to do", place=self.spec.id)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        seen = PlateSeen(self.spec.cameras.role(device), read, device)
        self._waiting.put_nowait(_Waiting(seen, time.monotonic_ns(), done))
        await done

    def observed(self, fact: Fact) -> None:
        """Take what the barrier's board shows; what says nothing new is dropped at once."""
        if not isinstance(fact, BarrierSeen):
            return
        came_ns, now_ms = time.monotonic_ns(), self._clock.monotonic_ms()
        if self._waiting.full():
            return
        if self._lost_sight(fact, now_ms):
            self._seen, self._failed_ms = _Seen(), None
            self._waiting.put_nowait(_Waiting(_Anew(), came_ns))
        self._seen_ms = now_ms
        news = self._seen.news(fact, self.lane.settings.loops)
        # Asked for one by one while there is room: the rest is not taken as told, and comes with the next look.
        while not self._waiting.full() and (happened := next(news, None)) is not None:
            self._waiting.put_nowait(_Waiting(happened, came_ns))

    def _lost_sight(self, fact: BarrierSeen, now_ms: int) -> bool:
        """Tell whether what the machine knows of the barrier is not what is there."""
        if self._seen_ms is not None and now_ms - self._seen_ms >= _BLIND_MS:
            return True
        if fact.arm == Arm.CLOSED or self.lane.memo.open is not None:
            self._failed_ms = None  # it is down, or will be told again when the release under way ends
        return self._failed_ms is not None and now_ms - self._failed_ms >= _BLIND_MS

    async def ask(self, wish: AskMode | AskOpen) -> str:
        """Do what a person wants; return "" when it is done, else why it is not."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(wish, time.monotonic_ns(), done))
        return await done

    async def run(self) -> None:
        """Work; runs for ever."""
        if self._broken:
            self._begin_anew()
            self._seen = _Seen()
        self._broken = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._show(), name=f"lane.{self.spec.id}.signs")
            await self._work()

    def _begin_anew(self) -> None:
        """Take up what is there, as after a restart of the daemon."""
        lane = self.lane
        self.lane = VehicleLane(lane.post, lane.settings, memo=lane.memo)

    async def _work(self) -> None:
        await self._tell_mode()
        await self._channel_time()
        while True:
            waiting = await self._waiting.get()
            failure = "the lane stopped while it was done: its effect is unknown"
            try:
                failure = await self._take(waiting)
            finally:
                _answer(waiting, failure)

    async def _take(self, waiting: _Waiting) -> str:
        """Take one thing to its end; return what did not work."""
        if isinstance(waiting.happened, AskOpen) and not self.lane.can_open:
            return "a vehicle is under way, or the barrier was not seen yet: try again in a moment"
        self._barrier_error = ""
        if isinstance(waiting.happened, _Anew):
            log.warning("lane.begins_anew", lane=self.spec.id)
            self._begin_anew()
            return ""
        await self._feed(waiting.happened, waiting.came_ns, waiting)
        if isinstance(waiting.happened, Tick):
            await self._channel_time()
        self._set_alarm()
        if self.lane.memo.mode is not self._mode_told:
            await self._tell_mode()
        return self._barrier_error

    async def _feed(self, happened: Input, came_ns: int, waiting: _Waiting | None = None) -> None:
        actions = self.lane.handle(happened, self._clock.monotonic_ms())
        if waiting is not None and isinstance(happened, PlateSeen):
            _answer(waiting, "")
        for action in actions:
            match action:
                case Commit():
                    await self._record(action, came_ns)
                case ToJudge(plates=plates):
                    await self._feed(self._judged(plates, came_ns), came_ns)
                case ToBarrier():
                    await self._move(action, came_ns)
                case ToLight(on=on):
                    self._light = on
                    self._signs.set()
                case ToDisplay(lines=lines):
                    self.shown = lines
                    self._signs.set()

    async def _record(self, commit: Commit, came_ns: int) -> None:
        recorded = await self._commit(commit)
        if commit.answer:
            await self._feed(Recorded(recorded), came_ns)
        if commit.answer and not recorded:
            # The memo that is owed says what was meant; this one says what became of it.
            await self._ledger.commit((), {self.memo_key: _bytes(self.lane.memo)})

    async def _move(self, action: ToBarrier, came_ns: int) -> None:
        error = await self._to_barrier(action)
        if action.answer:
            took_ns = time.monotonic_ns() - came_ns
            self._observers.opened(took_ns / 1e9)
            await self._feed(GateDone(not error, took_ns / 1e6), came_ns)

    def _judged(self, plates: Verdict, came_ns: int) -> Judged:
        decision = self._judge.judge_vehicle(plates, self.spec.id, self.spec.direction, self._clock.wall())
        took_ms = (time.monotonic_ns() - came_ns) / 1e6
        self._observers.decided(took_ms / 1000)
        return Judged(self._new_id(), decision, round(took_ms, 3), self._offline())

    async def _commit(self, commit: Commit) -> bool:
        paired = self._paired(commit.events)
        memos: dict[str, bytes | None] = {self.memo_key: _bytes(self.lane.memo)}
        if self.channel is not None and any(isinstance(event, VehicleCleared) for event in commit.events):
            memos[self._channel_key(self.channel)] = _bytes(self.channel.memo)
        try:
            recorded = await self._ledger.commit((*commit.events, *paired), memos, commit.otherwise)
        except GatefleetError as error:
            # Such as an event that is too large to keep: the lane goes on as without a record.
            log.exception("lane.not_recorded", lane=self.spec.id, error=str(error))
            recorded = False
        for event in (*(commit.events if recorded else commit.otherwise or commit.events), *paired):
            self._count(event)
            self._observers.event(event)
        return recorded

    def _count(self, event: Event) -> None:
        match event:
            case VehicleCleared():
                self.counters.passages += 1
            case VehicleDecided(effect=effect) if effect is not Effect.RELEASE:
                self.counters.refusals += 1
            case VehicleAnomaly():
                self.counters.anomalies += 1
            case _:
                pass

    async def _to_barrier(self, action: ToBarrier) -> str:
        lowers = action.move == "close"
        try:
            if lowers and (self._seen_ms is None or self._clock.monotonic_ms() - self._seen_ms >= _FRESH_MS):
                raise DeviceSilent("its inputs were not seen lately: the arm stays up", place=self.spec.barrier)
            await self._machinery.barrier(LowerArm() if lowers else RaiseArm())
        except GatefleetError as error:
            self._failed_ms = self._clock.monotonic_ms() if lowers else self._failed_ms
            self._barrier_error = self._barrier_error or str(error)
            log.warning("barrier.command_failed", lane=self.spec.id, move=action.move, why=action.why, error=str(error))
            return str(error)
        return ""

    # -- the channel -------------------------------------------------------------------------------------------------

    def _channel_key(self, channel: Channel) -> str:
        return f"channel/{channel.channel}"

    def _paired(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Hand the legs among the events to the channel; return the passages that they end."""
        if self.channel is None:
            return ()
        now_ms = self._clock.monotonic_ms()
        legs = (event for event in events if isinstance(event, VehicleCleared))
        return tuple(told for leg in legs for done in self.channel.handle(leg, now_ms) for told in done.events)

    async def _channel_time(self) -> None:
        """Let the channel end what is overdue; the lanes of a channel may all do so."""
        if self.channel is None:
            return
        for done in self.channel.handle(Tick(), self._clock.monotonic_ms()):
            await self._ledger.commit(done.events, {self._channel_key(self.channel): _bytes(self.channel.memo)})
            for event in done.events:
                self._observers.event(event)

    # -- time and signs ----------------------------------------------------------------------------------------------

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        times = (self.lane.deadline_ms, self.channel.deadline_ms if self.channel else None)
        due_ms = min((one for one in times if one is not None), default=None)
        if due_ms is not None:
            pause_ms = max(_LEAST_PAUSE_MS, due_ms - self._clock.monotonic_ms())
            self._alarm = asyncio.get_running_loop().call_later(pause_ms / 1000, self._tick)

    def _tick(self) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(_Waiting(Tick(), time.monotonic_ns()))

    async def _show(self) -> None:
        """Tell light and display what they should show now, as often as that changes."""
        while True:
            await self._signs.wait()
            self._signs.clear()
            light, display, on = self._machinery.light, self._machinery.display, self._light
            try:
                if light is not None and on is not None and on is not self._light_told:
                    await light(SetLight(on=on))
                    self._light_told = on
                if display is not None and self.shown != self._lines_told:
                    lines = self.shown
                    await display(lines)
                    self._lines_told = lines
            except GatefleetError as error:
                log.info("lane.sign_failed", lane=self.spec.id, error=str(error))

    async def _tell_mode(self) -> None:
        self._mode_told = self.lane.memo.mode
        seen = LaneSeen(
            lane=self.spec.id,
            kind=self.spec.kind,
            directions=self.spec.rules.directions,
            devices=self.spec.devices,
            mode=self.lane.memo.mode,
            ruleset_version=self._judge.ruleset.version,
        )
        await self._ledger.commit((seen,))


def _bytes(memo: BaseModel) -> bytes:
    return memo.model_dump_json().encode()


def _answer(waiting: _Waiting, failure: str) -> None:
    if waiting.done is not None and not waiting.done.done():
        waiting.done.set_result(failure)
