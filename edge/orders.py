"""Commands from central, once and in time.

Promises
1. Nothing is done that is not signed by a trusted key for this edge, or whose time is over by central's clock as this
   edge knows it (the clock's error counts against the command).
2. An order is done at most once by its id: it is journalled, with fsync, before it is begun.
3. An order that was begun when the daemon died is reported `unknown` after the restart, and never begun again. One that
   is under way does not end with the connection that brought it.
4. Commands to devices, which may be slow, never take the last room: a gate can be opened meanwhile.
5. Orders for one lane, device or terminal are done in the order in which they came; one that is slow holds up no
   other's. One that ends what is under way, such as the stop of a dome, waits for nothing (`turn` tells).
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from pydantic import BaseModel, ValidationError

from core.errors import CommandExpired, GatefleetError, MessageInvalid, Whose
from core.messages.commands import CommandDevice, Order
from core.messages.envelope import ClockSource
from core.messages.event import Event
from core.messages.events import CommandProgressed, CommandState
from core.messages.signed import Signed, Verifier
from edge.buffer import Buffer
from edge.clock import Clock
from edge.ledger import Ledger

_PREFIX: Final = "order/"
_REMEMBER: Final = timedelta(hours=2)
"""So long after its time is over an order's id is known here."""
_FORGET_EVERY: Final = timedelta(minutes=1)
_MAX_WAITING: Final = 64
_MOST_FOR_DEVICES: Final = 48
"""Of these: slow ones, such as upgrades of terminals, leave room for a gate that must open."""
_TELL_AFTER_S: Final = 0.25
"""Central hears that an order is `executing` where it takes longer; a gate's answer is there sooner."""

log = structlog.get_logger()

Execute = Callable[[Order], Awaitable[str]]
"""Do an order; return "" or why it failed."""

Turn = Callable[[Order], str]
"""What an order waits for: orders with the same turn are done one after the other."""


class Journal(BaseModel):
    """What is kept of an order."""

    state: CommandState
    target: str
    expires_at: datetime


class Orders:
    """The orders of one edge."""

    def __init__(
        self,
        *,
        edge: str,
        buffer: Buffer,
        ledger: Ledger,
        clock: Clock,
        verifier: Verifier,
        execute: Execute,
        turn: Turn = lambda order: order.target,
    ) -> None:
        self._edge = edge
        self._buffer = buffer
        self._ledger = ledger
        self._clock = clock
        self._verifier = verifier
        self._execute = execute
        self._turn = turn
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._last: dict[str, asyncio.Task[None]] = {}
        """The newest order of each turn, while it is not done."""
        self._open = self._for_devices = 0
        self._forgotten: datetime | None = None
        self.refused = 0

    async def recover(self) -> None:
        """After a start: tell of what was begun."""
        for key, journal in self._journals().items():
            if not journal.state.final:
                ended = journal.model_copy(update={"state": CommandState.UNKNOWN})
                detail = "the edge stopped while it was done"
                told = _told(key.removeprefix(_PREFIX), journal.target, CommandState.UNKNOWN, detail)
                await self._ledger.commit((told,), {key: ended.model_dump_json().encode()})

    def heard(self, raw: bytes) -> None:
        """Take one order from the wire, to be done by `run`; what is too much is dropped, and expires."""
        if self._open >= _MAX_WAITING:
            self.refused += 1
            log.warning("order.too_many", waiting=self._open)
        else:
            self._open += 1
            self._waiting.put_nowait(raw)

    async def run(self) -> None:
        """Do the orders that are heard, those of each target one after the other; runs for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                order = self._opened(await self._waiting.get())
                if order is None:
                    self._open -= 1
                    continue
                for_device = isinstance(order.command, CommandDevice)
                full = for_device and self._for_devices >= _MOST_FOR_DEVICES
                self._for_devices += for_device
                # One that is too many has a turn of its own: it is refused at once.
                turn = order.id if full else self._turn(order)
                work = self._too_many(order) if full else self._in_turn(order, self._last.get(turn))
                self._last[turn] = task = group.create_task(work, name=f"order.{order.id}")
                task.add_done_callback(partial(self._ended, turn, for_device))

    def _ended(self, turn: str, for_device: bool, task: asyncio.Task[None]) -> None:
        self._open -= 1
        self._for_devices -= for_device
        if self._last.get(turn) is task:
            del self._last[turn]

    async def _too_many(self, order: Order) -> None:
        """Refuse an order that has not been begun."""
        if self._buffer.memo(_PREFIX + order.id) is None:
            journal = Journal(state=CommandState.REFUSED, target=order.target, expires_at=order.expires_at)
            await self._end(order, journal, CommandState.REFUSED, "too many commands to devices are under way")

    async def _in_turn(self, order: Order, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        try:
            await self._do(order)
        except Exception:  # the task's outermost frame; the journal says that it was begun
            log.exception("order.failed", order=order.id)

    async def arrived(self, raw: bytes) -> None:
        """Do one order from the wire, to its end."""
        order = self._opened(raw)
        if order is not None:
            await self._do(order)

    def _opened(self, raw: bytes) -> Order | None:
        try:
            return self._read(raw)
        except GatefleetError as error:
            self.refused += 1
            log.warning("order.refused", code=error.code, error=str(error))
            return None

    async def _do(self, order: Order) -> None:
        key = _PREFIX + order.id
        if self._buffer.memo(key) is not None:
            log.info("order.repeated", order=order.id)
            return
        journal = Journal(state=CommandState.EXECUTING, target=order.target, expires_at=order.expires_at)
        try:
            self._check_time(order)
        except CommandExpired as error:
            await self._end(order, journal, CommandState.EXPIRED, str(error))
            return
        await self._forget()
        if not await self._ledger.commit((), {key: journal.model_dump_json().encode()}):
            # Without a journal the order could be done twice: it is not begun.
            await self._end(order, journal, CommandState.REFUSED, "the edge cannot journal it: buffer unavailable")
            return
        try:
            failure = await self._executed(order)
        except GatefleetError as error:
            state = CommandState.REFUSED if error.whose is Whose.REFUSED else CommandState.FAILED
            await self._end(order, journal, state, str(error))
            return
        await self._end(order, journal, CommandState.FAILED if failure else CommandState.DONE, failure)

    async def _executed(self, order: Order) -> str:
        """Execute; where that takes its time, say so."""
        doing = asyncio.ensure_future(self._execute(order))
        try:
            done, _ = await asyncio.wait((doing,), timeout=_TELL_AFTER_S)
            if not done:
                await self._ledger.commit((_told(order.id, order.target, CommandState.EXECUTING, ""),))
            return await doing
        finally:
            doing.cancel()

    def _read(self, raw: bytes) -> Order:
        body = Signed.read(raw, "command").opened(self._verifier)
        try:
            order = Order.model_validate_json(body)
        except ValidationError as error:
            raise MessageInvalid(f"not an order: {error.error_count()} mistakes") from error
        if order.edge != self._edge:
            raise MessageInvalid(f"an order for {order.edge}", place=self._edge)
        if order.issued_at.tzinfo is None or order.expires_at.tzinfo is None:
            raise MessageInvalid("an order whose times have no time zone", place=order.id)
        return order

    def _journals(self) -> dict[str, Journal]:
        """Return the journal by memo key; what cannot be read stays where it is, so that it is never begun again."""
        journals = {}
        for key, raw in self._buffer.memos(_PREFIX).items():
            try:
                journals[key] = Journal.model_validate_json(raw)
            except ValidationError:
                log.warning("order.journal_unreadable", key=key)
        return journals

    async def _forget(self) -> None:
        """Forget what is long over by central's clock; a clock that is not set forgets nothing."""
        quality = self._clock.quality()
        if quality.source is ClockSource.UNSYNCED:
            return
        wall = self._clock.wall()
        if self._forgotten is not None and abs(wall - self._forgotten) < _FORGET_EVERY:
            return
        self._forgotten = wall
        now = wall + timedelta(milliseconds=quality.offset_ms - quality.error_ms)
        old = [key for key, one in self._journals().items() if one.state.final and one.expires_at + _REMEMBER < now]
        if old:
            await self._ledger.commit((), dict.fromkeys(old))

    def _check_time(self, order: Order) -> None:
        quality = self._clock.quality()
        if order.expired(self._clock.wall(), quality.offset_ms, quality.error_ms):
            raise CommandExpired(
                f"valid until {order.expires_at.isoformat()}; clock {quality.source.value}, "
                f"offset {quality.offset_ms} ms, error {quality.error_ms} ms"
            )

    async def _end(self, order: Order, journal: Journal, state: CommandState, detail: str) -> None:
        ended = journal.model_copy(update={"state": state})
        told = _told(order.id, order.target, state, detail)
        await self._ledger.commit((told,), {_PREFIX + order.id: ended.model_dump_json().encode()})


def _told(order_id: str, target: str, state: CommandState, detail: str) -> Event:
    return CommandProgressed(command=order_id, target=target, state=state, detail=detail[:500])
