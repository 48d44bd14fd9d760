"""A cabin at work: takes looks, documents, faces and wishes one by one, and does what the state machine says.

Promises
1. Verify -> commit (fsync) -> exit: nothing else of this cabin is decided in between.
2. A way out waits for no record: while the lane waits for the disk, an emergency, mains that fail and the egress button
   are served beside it.
3. A face is answered only after it was taken, and what follows is committed or owed; the time that it waited here makes
   it older.
4. A controller that was not seen for as long as its watchdog waits is lost: its doors may be free.
5. The screen never holds up a door; it shows what is true now, not all that was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog

from core.errors import BufferUnavailable, GatefleetError
from core.messages.cabin_events import CabinAnomaly, PassengerLeft, PassengerRuled, Ruling
from core.messages.event import Event
from drivers.cabin.commands import CabinCommand, Screen, SetDoors, ShowScreen
from drivers.cabin.facts import CabinObserved
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import CredentialRead, Fact
from edge.cabins.findings import CabinFindings, Noted
from edge.cabins.looks import Looks
from edge.cabins.metrics import CabinMetrics
from edge.clearance import Judge, Judged
from edge.clock import Clock
from edge.lane import LaneCounters, Observers
from edge.lane_parts import Alarm, ModeTold
from edge.lanes.boarding import Seal
from edge.lanes.cabin import Cabin
from edge.lanes.cabin_words import WITH_PASSENGER, CabinMemo, CabinSilent, Input, Ports, Refused, Step, ToCabin, Wish
from edge.lanes.words import AskOpen, Commit, Recorded, Tick
from edge.ledger import Ledger
from edge.roads.signs import Sign
from edge.sections import CabinSection

_MAX_WAITING: Final = 64
_SAME_DOCUMENT_MS: Final = 1_500
_TRAPPED_MS: Final = 500
"""Who pressed the egress button while the lane waited so long for the disk is let out beside it."""
_STOPPED: Final = "the lane stopped while it was done: its effect is unknown"
_FREE: Final = SetDoors(entrance_locked=False, exit_locked=False)
_WAY_BACK: Final = SetDoors(entrance_locked=False, exit_locked=True)

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    happened: Input | Looks
    came_ms: int
    done: asyncio.Future[str] | None = None
    """Hears what did not work; "" when all did."""


class CabinRunner:
    """One cabin."""

    def __init__(
        self,
        *,
        spec: CabinSection,
        memo: CabinMemo,
        judge: Judge,
        seal: Seal,
        watchdog_ms: int,
        command: Callable[[CabinCommand], Awaitable[None]],
        ledger: Ledger,
        clock: Clock,
        offline: Callable[[], bool],
        observers: Observers,
        metrics: CabinMetrics,
        noted: Noted,
    ) -> None:
        self.spec = spec
        self.counters = LaneCounters()
        self._judge = judge
        self._ports = Ports(self._judged, seal, offline)
        self.lane = Cabin(spec.id, spec.timing, self._ports, memo=memo)
        self._silent_ms = watchdog_ms
        self._trust_ms = spec.timing.settle_ms // 2
        self._command = command
        self._ledger = ledger
        self._clock = clock
        self._observers = observers
        self._metrics = metrics
        self._findings = CabinFindings(noted)
        self._mode = ModeTold(spec, judge.ruleset.version, ledger)
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._tail: Looks | None = None
        """The last in the queue, where it is looks: more are added to it."""
        self._alarm = Alarm(clock, lambda: self._put(Tick()))
        self._silence = Alarm(clock, self._look_missed)
        self._last_look: CabinObserved | None = None
        self._seen_ms: int | None = None
        self._last_text = ("", 0)
        self._refusal = ""
        self._working = self._broken = False
        """`broken`: it ran before, and a task that is run again has failed."""
        self._committing_ms: int | None = None
        self._egress = False
        self._escape: SetDoors | None = None
        self._escaping = asyncio.Event()
        self._told: SetDoors | None = None
        self._screen: Sign[Screen] = Sign(spec.id, lambda screen: command(ShowScreen(screen=screen)))
        self._step_ms = clock.monotonic_ms()

    @property
    def memo_key(self) -> str:
        """Return where the lane's memo is kept."""
        return f"lane/{self.spec.id}"

    @property
    def document_token(self) -> Callable[[str], str]:
        """Return what makes the token of a document's text; it raises IdentifierRefused."""
        return self._judge.document_token

    def wall(self) -> datetime:
        """Return the edge's time."""
        return self._clock.wall()

    # -- what comes in -----------------------------------------------------------------------------------------------

    async def credential(self, fact: Fact) -> None:
        """Take a document from the reader; returns when all that follows is done."""
        if not isinstance(fact, CredentialRead):
            return
        now = self._clock.monotonic_ms()
        same = fact.text == self._last_text[0] and now - self._last_text[1] < _SAME_DOCUMENT_MS
        if same or self._full:
            self.counters.busy += 1
            return
        self._last_text = (fact.text, now)
        await self._asked(fact)

    async def face(self, fact: FaceCompared) -> None:
        """Take a comparison; raise BufferUnavailable where it cannot be taken now."""
        if self._full:
            self.counters.busy += 1
            raise BufferUnavailable("the cabin has too much to do", place=self.spec.id)
        if await self._asked(fact) == _STOPPED:
            raise BufferUnavailable("the cabin stopped meanwhile", place=self.spec.id)

    def observed(self, fact: Fact) -> None:
        """Take what the controller shows; what says nothing new is dropped at once."""
        if not isinstance(fact, CabinObserved):
            return
        now = self._clock.monotonic_ms()
        if self._seen_ms is not None and now - self._seen_ms >= self._silent_ms:
            self._look_missed()
        self._seen_ms = now
        self._silence.set(now + self._silent_ms)
        self._findings.look(fact, now)
        self._serve_escape(fact, now)
        self._screen.poke()
        if self._tail is not None:
            self._tail.add(fact, now)
        elif (fact != self._last_look or self.lane.busy or self._working) and not self._full:
            self._tail = Looks(fact, now)
            self._waiting.put_nowait(_Waiting(self._tail, now))
        self._last_look = fact

    async def ask(self, wish: Wish | AskOpen) -> str:
        """Do what a person wants; return "" when it is done, else why it is not."""
        if isinstance(wish, AskOpen):
            return "a cabin lets nobody through by hand: rule on who is held"
        if self._full:
            return "the cabin has too much to do"
        return await self._asked(wish)

    @property
    def _full(self) -> bool:
        return self._waiting.qsize() >= _MAX_WAITING

    async def _asked(self, happened: Input) -> str:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._put(happened, done)
        return await done

    def _put(self, happened: Input, done: asyncio.Future[str] | None = None) -> None:
        self._tail = None
        self._waiting.put_nowait(_Waiting(happened, self._clock.monotonic_ms(), done))

    def _look_missed(self) -> None:
        """The controller may have freed its doors by itself."""
        self._silence.set(None)
        self._seen_ms = self._last_look = self._told = None
        self._findings.lost()
        self._screen.forget()
        self._put(CabinSilent())

    # -- work --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work; runs for ever."""
        if self._broken:
            # Nobody knows what was done of what the machine wanted: take up what is there, as after a restart.
            self.lane = Cabin(self.spec.id, self.spec.timing, self._ports, memo=self.lane.memo)
            self._told = None
            self._screen.forget()
        self._broken = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._screen.run(), name=f"lane.{self.spec.id}.screen")
            group.create_task(self._serve_escapes(), name=f"lane.{self.spec.id}.escape")
            await self._work()

    async def _work(self) -> None:
        await self._mode.begin(self.lane.memo.mode)
        self._findings.mode(self.lane.memo.mode)
        while True:
            self._working = False
            waiting = await self._waiting.get()
            self._working = True
            if waiting.happened is self._tail:
                self._tail = None
            failure = _STOPPED
            try:
                failure = await self._take(waiting)
            finally:
                if waiting.done is not None and not waiting.done.done():
                    waiting.done.set_result(failure)

    async def _take(self, waiting: _Waiting) -> str:
        """Take one thing to its end; return what did not work."""
        self._refusal = ""
        happened, now = waiting.happened, self._clock.monotonic_ms()
        ignored = self.lane.ignored
        match happened:
            case Looks():
                for look in happened.since(now, self._trust_ms):
                    await self._feed(look)
            case FaceCompared():
                came_ms = waiting.came_ms if happened.pushed_ms is None else happened.pushed_ms
                await self._feed(replace(happened, age_ms=happened.age_ms + now - came_ms))
            case _:
                await self._feed(happened)
        self._metrics.ignored(self.spec.id, self.lane.ignored - ignored)
        self._alarm.set(self.lane.deadline_ms)
        self._findings.step(self.lane.step)
        self._findings.mode(self.lane.memo.mode)
        await self._mode.now(self.lane.memo.mode)
        return self._refusal

    async def _feed(self, happened: Input) -> None:
        now, before = self._clock.monotonic_ms(), self.lane.step
        actions = self.lane.handle(happened, now)
        if self.lane.step is not before:
            self._metrics.stepped(self.spec.id, before, (now - self._step_ms) / 1000)
            self._step_ms = now
        for action in actions:
            match action:
                case Commit(answer=answer):
                    recorded = await self._commit(action)
                    if answer:
                        await self._feed(Recorded(recorded))
                case ToCabin(command=ShowScreen(screen=screen)):
                    self._screen.set(screen)
                case ToCabin(command=SetDoors() as doors):
                    await self._move(doors)
                case Refused(why=why):
                    self._refusal = self._refusal or why

    async def _commit(self, commit: Commit) -> bool:
        memo = self.lane.memo.model_dump_json().encode()
        self._committing_ms, self._egress = self._clock.monotonic_ms(), False
        try:
            recorded = await self._ledger.commit(commit.events, {self.memo_key: memo}, commit.otherwise)
        except GatefleetError as error:
            # Such as an event that is too large to keep: the lane goes on as without a record.
            log.exception("lane.not_recorded", lane=self.spec.id, error=str(error))
            recorded = False
        finally:
            self._committing_ms = None
        self._findings.recorded(ok=recorded)
        for event in commit.events if recorded else commit.otherwise or commit.events:
            self._count(event)
            self._findings.event(event)
            self._metrics.event(event)
            self._observers.event(event)
        return recorded

    def _count(self, event: Event) -> None:
        match event:
            case PassengerLeft():
                self.counters.passages += 1
            case PassengerRuled(ruling=Ruling.REFUSE):
                self.counters.refusals += 1
            case CabinAnomaly():
                self.counters.anomalies += 1
            case _:
                pass

    def _judged(self, text: str) -> Judged:
        return self._judge.judge(text, self.spec.id, self.spec.direction, self._clock.wall())

    # -- doors -------------------------------------------------------------------------------------------------------

    async def _move(self, doors: SetDoors) -> None:
        """Tell the doors. What does not arrive is told again when the cabin shows it."""
        if doors != _FREE and self._last_look is not None and _must_be_free(self._last_look):
            return  # the machine does not know yet; it will when it takes that look
        await self._tell_doors(doors)

    async def _tell_doors(self, doors: SetDoors) -> None:
        try:
            await self._command(doors)
        except GatefleetError as error:
            log.warning("cabin.doors_not_told", lane=self.spec.id, error=str(error))
            self._findings.not_told(str(error))
        else:
            self._told = doors
            self._findings.told(doors, self._clock.monotonic_ms())

    def _serve_escape(self, seen: CabinObserved, now_ms: int) -> None:
        """Let people out beside the lane where it is at work: it takes this look only later."""
        if not self._working:
            return
        if _must_be_free(seen) and self._told != _FREE:
            self._escape = _FREE
            self._escaping.set()
        waits_ms = now_ms - self._committing_ms if self._committing_ms is not None else 0
        self._egress = self._egress or seen.egress
        inside = self.lane.step in {*WITH_PASSENGER, Step.RECORDING}
        if self._egress and inside and waits_ms >= _TRAPPED_MS and seen.exit.secure and seen.entrance.locked:
            self._escape = self._escape or _WAY_BACK
            self._escaping.set()

    async def _serve_escapes(self) -> None:
        while True:
            await self._escaping.wait()
            self._escaping.clear()
            doors, self._escape = self._escape, None
            if doors is not None:
                log.warning("cabin.let_out_beside", lane=self.spec.id)
                await self._tell_doors(doors)

    # -- for the officer ---------------------------------------------------------------------------------------------

    def boarding_words(self) -> dict[str, Any]:
        """Return how it stands: no token, no name of a passenger."""
        memo, step = self.lane.memo, self.lane.step
        held = memo.visit.attempt if memo.visit is not None and step is Step.HELD else None
        told: dict[str, Any] = {"lane": self.spec.id, "step": step.value, "mode": memo.mode.value, "held": held}
        boarding = memo.boarding
        if boarding is None:
            return told | {"boarding": None}
        return told | {
            "boarding": boarding.boarding,
            "flight": boarding.flight,
            "stand": boarding.stand,
            "officer": boarding.officer,
            "opened_at": boarding.opened_at.isoformat(),
            "named": bool(boarding.tokens),
            "visits": boarding.visits,
            "anomalies": boarding.anomalies,
            "counts": boarding.counts.model_dump(),
        }


def _must_be_free(seen: CabinObserved) -> bool:
    return seen.emergency or not seen.power_ok
