"""A vehicle lane at work: takes reads, inputs and wishes one by one, and does what the state machine says.

Promises
1. One vehicle's order is judge -> commit (fsync) -> barrier command; nothing else of this lane runs in between.
2. A read is taken when `plate` returns: the machine has it. What follows from it is committed before the barrier moves.
3. An input that cannot be taken now is taken as it is then: no change of a loop is forgotten, only one that came back.
4. Light and display never hold up the barrier; they are told what is true now, not all that was.
5. The arm is told to go down after one more look that saw nothing in its line; without one, never on what was seen
   over half a second ago. When the board is seen again after two seconds, or two seconds after the arm could not be
   told to go down, the lane takes up what it finds as after a restart.
6. A channel's memo is committed with the leg that changed it.
7. An arm that has taken its order and does not move in the profile's time is told as an anomaly, once, and as a finding
   of its board until it moves again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import BaseModel

from core.clearance.model import Effect
from core.errors import BufferUnavailable, DeviceSilent, GatefleetError
from core.messages.event import Event
from core.messages.vehicle_events import VehicleAnomaly, VehicleAnomalyKind, VehicleCleared, VehicleDecided
from drivers.barrier.commands import BarrierCommand, LowerArm, RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.facts import Fact, PlateRead
from edge.board import Finding
from edge.clearance import Judge
from edge.clock import Clock
from edge.lane import LaneCounters, Observers
from edge.lane_parts import Alarm, ModeTold
from edge.lanes.channel import Channel
from edge.lanes.vehicle import VehicleLane
from edge.lanes.vehicle_arm import ArmWatch, Stuck
from edge.lanes.vehicle_record import Post
from edge.lanes.vehicle_words import (
    Input,
    Judged,
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
from edge.roads.sight import Sight
from edge.roads.signs import Sign
from edge.sections import VehicleSection

_MAX_WAITING: Final = 64

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Machinery:
    """What a lane moves; raises errors of core.errors."""

    barrier: Callable[[BarrierCommand], Awaitable[None]]
    light: Callable[[BarrierCommand], Awaitable[None]] | None = None
    display: Callable[[tuple[str, ...]], Awaitable[None]] | None = None
    noted: Callable[[str, Finding | None], None] = lambda _name, _finding: None
    """Hears what is wrong with the barrier, by its name, and that it is right again."""


@dataclass(frozen=True, slots=True)
class _Anew:
    """Nobody saw what the barrier did for a while."""


@dataclass(slots=True)
class _Waiting:
    happened: Input | _Anew
    came_ns: int
    done: asyncio.Future[str] | None = None
    """Hears what did not work; "" when all did."""


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
        self._judge = judge
        self._machinery = machinery
        self._ledger = ledger
        self._clock = clock
        self._offline = offline
        self._new_id = new_id
        self._observers = observers
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(_MAX_WAITING)
        self._alarm = Alarm(clock, self._tick)
        self._mode = ModeTold(spec, judge.ruleset.version, ledger)
        self._sight = Sight()
        self._watch = ArmWatch(settings.raise_timeout_ms, settings.close_timeout_ms)
        self._broken = False
        """It ran before: a task that is run again has failed."""
        self._barrier_error = ""
        self._light: Sign[bool] = Sign(spec.id, self._shine)
        self._display: Sign[tuple[str, ...]] = Sign(spec.id, self._write)

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the display's lines, whether there is a display or not."""
        return self._display.now or ()

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
        if self._watch.saw(fact.arm, now_ms):
            self._tell_arm(self._watch.stuck)
        if self._waiting.full():
            return
        if self._sight.looked(fact, self.lane.settings.loops, now_ms, released=self.lane.memo.open is not None):
            self._waiting.put_nowait(_Waiting(_Anew(), came_ns))
        news = self._sight.news(fact, self.lane.settings.loops)
        # Asked for one by one while there is room: the rest is not taken as told, and comes with the next look.
        while not self._waiting.full() and (happened := next(news, None)) is not None:
            self._waiting.put_nowait(_Waiting(happened, came_ns))

    def _tell_arm(self, stuck: Stuck | None) -> None:
        if stuck is None:
            self._machinery.noted("arm", None)
            return
        args = {"arm": stuck.arm, "after_s": round(stuck.after_ms / 1000, 1)}
        down = stuck.move == "open"
        self._machinery.noted("arm", Finding("arm_stays_down", args) if down else Finding("arm_stays_up", args))
        held, post = self.lane.memo.open, self.lane.post
        told = post.anomaly(VehicleAnomalyKind.ARM_STUCK, post.direction, attempt=held.attempt if held else None)
        log.warning("barrier.arm_stuck", lane=self.spec.id, move=stuck.move, arm=stuck.arm, after_ms=stuck.after_ms)
        self._count(told)
        self._observers.event(told)
        self._ledger.tell(told)

    async def ask(self, wish: AskMode | AskOpen) -> str:
        """Do what a person wants; return "" when it is done, else why it is not."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(wish, time.monotonic_ns(), done))
        return await done

    async def run(self) -> None:
        """Work; runs for ever."""
        if self._broken:
            self._begin_anew()
            self._sight.forget()
        self._broken = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._light.run(), name=f"lane.{self.spec.id}.light")
            group.create_task(self._display.run(), name=f"lane.{self.spec.id}.display")
            await self._work()

    def _begin_anew(self) -> None:
        """Take up what is there, as after a restart of the daemon."""
        lane = self.lane
        self.lane = VehicleLane(lane.post, lane.settings, memo=lane.memo)

    async def _work(self) -> None:
        await self._mode.begin(self.lane.memo.mode)
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
        await self._mode.now(self.lane.memo.mode)
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
                    self._light.set(on)
                    self._display.poke()
                case ToDisplay(lines=lines):
                    self._display.set(lines)
                    self._light.poke()

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
        if lowers and await self._sight.next_look():
            log.info("barrier.not_lowered", lane=self.spec.id, why="something has come into its line")
            return ""  # that input comes next, and the lane goes on from there
        try:
            if lowers and not self._sight.fresh(self._clock.monotonic_ms()):
                raise DeviceSilent("its inputs were not seen lately: the arm stays up", place=self.spec.barrier)
            await self._machinery.barrier(LowerArm() if lowers else RaiseArm())
        except GatefleetError as error:
            if lowers:
                self._sight.could_not_lower(self._clock.monotonic_ms())
            self._barrier_error = self._barrier_error or str(error)
            log.warning("barrier.command_failed", lane=self.spec.id, move=action.move, why=action.why, error=str(error))
            return str(error)
        self._watch.ordered(action.move, self._clock.monotonic_ms())
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
        times = (self.lane.deadline_ms, self.channel.deadline_ms if self.channel else None)
        self._alarm.set(min((one for one in times if one is not None), default=None))

    def _tick(self) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(_Waiting(Tick(), time.monotonic_ns()))

    async def _shine(self, on: bool) -> None:
        if self._machinery.light is not None:
            await self._machinery.light(SetLight(on=on))

    async def _write(self, lines: tuple[str, ...]) -> None:
        if self._machinery.display is not None:
            await self._machinery.display(lines)


def _bytes(memo: BaseModel) -> bytes:
    return memo.model_dump_json().encode()


def _answer(waiting: _Waiting, failure: str) -> None:
    if waiting.done is not None and not waiting.done.done():
        waiting.done.set_result(failure)
