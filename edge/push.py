"""A device that pushes: request -> driver -> facts, each delivered to its end, and only then the answer.

Promises
1. A good answer leaves only after `deliver` has returned for every fact, and that is after everything that follows is
   committed. Where it cannot be, the answer is 503 with Retry-After: the device sends it again.
2. Requests of one device are taken one after the other, facts in their order.
3. The same read again is answered as the first time and delivered once, as long as it is among the last 4096; the same
   read with more pictures is delivered. A name that comes with another time, over a minute off, is another read:
   cameras begin to count anew.
4. At most eight requests of a device wait; one more is told to come again.
"""

import asyncio
from collections import OrderedDict
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

import structlog

from core.errors import GatefleetError, Unsupported
from core.messages.commands import DeviceCommand
from core.messages.events import Health
from drivers.base import Answer, PushParser, Request
from drivers.facts import Fact
from edge.board import Board, Finding
from edge.links.http_server import Reply
from edge.sections import DeviceSpec
from edge.session import Deliver

MAX_READS: Final = 4096
MAX_WAITING: Final = 8
RETRY_AFTER_S: Final = 5
_TURN_S: Final = 10.0
_SAME_TIME: Final = timedelta(seconds=60)
_IDS: Final = ("object_id", "event_id")
_STAMPS: Final = ("taken_at", "seen_at", "at")

log = structlog.get_logger()


class SeenReads:
    """Which reads of a device were delivered, by the name that the device gave them; the last 4096."""

    def __init__(self, most: int = MAX_READS) -> None:
        self._most = most
        self._reads: OrderedDict[tuple[str, str], tuple[int, datetime | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._reads)

    def is_repeat(self, fact: Fact) -> bool:
        """Tell whether a fact says nothing that was not delivered before."""
        known = self._reads.get(_name(fact))
        if known is None:
            return False
        pictures, stamp = known
        now = _first(fact, _STAMPS)
        if isinstance(stamp, datetime) and isinstance(now, datetime) and abs(now - stamp) > _SAME_TIME:
            return False
        return _pictures(fact) <= pictures

    def remember(self, fact: Fact) -> None:
        """Note a fact that was delivered."""
        name = _name(fact)
        if not name[1]:
            return
        stamp = _first(fact, _STAMPS)
        self._reads[name] = (_pictures(fact), stamp if isinstance(stamp, datetime) else None)
        self._reads.move_to_end(name)
        if len(self._reads) > self._most:
            self._reads.popitem(last=False)


class PushSession:
    """A push device behind an HTTP server, which calls `handle`. `run` watches that it does push."""

    def __init__(self, spec: DeviceSpec, board: Board, deliver: Deliver, *, silent_after_s: float = 0.0) -> None:
        self.spec = spec
        self._board = board
        self._deliver = deliver
        self._silent_after_s = silent_after_s
        self._parser = cast("PushParser", spec.driver.make(spec.profile, spec.settings))
        self._seen = SeenReads()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._heard = asyncio.Event()

    async def handle(self, request: Request) -> Reply:
        """Take a request to its end; return what it is answered."""
        if self._waiting >= MAX_WAITING:
            return self._later("busy")
        self._waiting += 1
        try:
            async with asyncio.timeout(_TURN_S) as turn:
                async with self._turn:
                    turn.reschedule(None)  # what is begun is brought to its end
                    return await self._take(request)
        except TimeoutError:
            return self._later("busy")
        finally:
            self._waiting -= 1

    async def run(self) -> None:
        """Tell the board when the device has not pushed for `silent_after_s`; runs for ever."""
        while True:
            self._heard.clear()
            try:
                async with asyncio.timeout(self._silent_after_s or None):
                    await self._heard.wait()
            except TimeoutError:
                why = {"link": self.spec.link, "error": f"no request for {self._silent_after_s:g} s"}
                self._board.silent(self.spec.id, Finding("silent", why))
                await self._heard.wait()

    async def command(self, command: DeviceCommand) -> None:
        """Raise Unsupported: such a device is not called."""
        raise Unsupported(f"a {self.spec.driver.name} takes no {type(command).__name__}", place=self.spec.id)

    def lost(self, error: Exception) -> None:
        """Note why the server ended."""
        self._board.silent(self.spec.id, Finding("link_down", {"link": self.spec.link, "error": str(error)}))

    def refused(self, why: str) -> None:
        """Note a login that was refused at this device's place. One that works stays well, whoever else tries."""
        record = self._board.record(self.spec.id)
        record.counters["logins_refused"] += 1
        if record.health in {Health.UNKNOWN, Health.OFFLINE}:
            self._board.silent(self.spec.id, Finding("login_refused", {"link": self.spec.link, "error": why[:120]}))
            return
        args = {"count": record.counters["logins_refused"], "error": why[:120]}
        self._board.noted(self.spec.id, "login", Finding("pushes_refused", args, mild=True))

    async def _take(self, request: Request) -> Reply:
        pushed = self._parser.receive(request)
        device = self.spec.id
        self._heard.set()
        self._board.answers(device)
        for why in pushed.rejected:
            self._board.rejected(device, why)
        for fact in pushed.facts:
            if self._seen.is_repeat(fact):
                self._board.record(device).counters["repeats"] += 1
                continue
            self._board.fact(device, _without_pictures(fact))
            try:
                await self._deliver(fact)
            except GatefleetError as error:
                log.warning("push.not_committed", device=device, code=error.code, error=str(error))
                return self._later("not_committed")
            self._seen.remember(fact)
        return Reply(pushed.answer)

    def _later(self, why: str) -> Reply:
        self._board.record(self.spec.id).counters[why] += 1
        return Reply(Answer(503, b"", "text/plain"), RETRY_AFTER_S)


def _first(fact: Fact, names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := getattr(fact, name, None))), None)


def _name(fact: Fact) -> tuple[str, str]:
    return type(fact).__name__, str(_first(fact, _IDS) or "")


def _pictures(fact: Fact) -> int:
    return sum(1 for image in getattr(fact, "images", ()) if image.data)


def _without_pictures(fact: Fact) -> Fact:
    """Return a fact as the board keeps it: the last one of each device stays in memory."""
    if any(one.name == "images" for one in fields(fact)):
        return replace(fact, images=())  # type: ignore[call-arg]  # facts with pictures name them so
    return fact
