"""Commands from central, once and in time.

Promises
1. Nothing is done that is not signed by a trusted key for this edge, or whose time is over by central's clock as this
   edge knows it (the clock's error counts against the command).
2. An order is done at most once by its id: it is journalled, with fsync, before it is begun.
3. An order that was begun when the daemon died is reported `unknown` after the restart, and never begun again.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from pydantic import BaseModel, ValidationError

from core.errors import CommandExpired, GatefleetError, MessageInvalid
from core.messages.commands import Order
from core.messages.event import Event
from core.messages.events import CommandProgressed, CommandState
from core.messages.signed import Signed, Verifier
from edge.buffer import Buffer
from edge.clock import Clock
from edge.ledger import Ledger

_PREFIX: Final = "order/"
_REMEMBER: Final = timedelta(hours=2)
"""Longer than any order may live: until then its id is known here."""

log = structlog.get_logger()

Execute = Callable[[Order], Awaitable[str]]
"""Do an order; return "" or why it failed."""


class Journal(BaseModel):
    """What is kept of an order."""

    state: CommandState
    target: str
    expires_at: datetime


class Orders:
    """The orders of one edge."""

    def __init__(
        self, *, edge: str, buffer: Buffer, ledger: Ledger, clock: Clock, verifier: Verifier, execute: Execute
    ) -> None:
        self._edge = edge
        self._buffer = buffer
        self._ledger = ledger
        self._clock = clock
        self._verifier = verifier
        self._execute = execute
        self.refused = 0

    async def recover(self) -> None:
        """After a start: tell of what was begun, forget what is long over."""
        now = self._clock.wall()
        for key, raw in self._buffer.memos(_PREFIX).items():
            journal = Journal.model_validate_json(raw)
            order_id = key.removeprefix(_PREFIX)
            if not journal.state.final:
                ended = journal.model_copy(update={"state": CommandState.UNKNOWN})
                told = _told(order_id, journal.target, CommandState.UNKNOWN, "the edge stopped while it was done")
                await self._ledger.commit((told,), {key: ended.model_dump_json().encode()})
            elif journal.expires_at + _REMEMBER < now:
                await self._ledger.commit((), {key: None})

    async def arrived(self, raw: bytes) -> None:
        """Take one order from the wire, to its end."""
        try:
            order = self._open(raw)
        except GatefleetError as error:
            self.refused += 1
            log.warning("order.refused", code=error.code, error=str(error))
            return
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
        begun = _told(order.id, order.target, CommandState.EXECUTING, "")
        if not await self._ledger.commit((begun,), {key: journal.model_dump_json().encode()}):
            # Without a journal the order could be done twice: it is not begun.
            await self._end(order, journal, CommandState.REFUSED, "the edge cannot journal it: buffer unavailable")
            return
        try:
            failure = await self._execute(order)
        except GatefleetError as error:
            await self._end(order, journal, CommandState.REFUSED, str(error))
            return
        await self._end(order, journal, CommandState.FAILED if failure else CommandState.DONE, failure)

    def _open(self, raw: bytes) -> Order:
        body = Signed.read(raw, "command").opened(self._verifier)
        try:
            order = Order.model_validate_json(body)
        except ValidationError as error:
            raise MessageInvalid(f"not an order: {error.error_count()} mistakes") from error
        if order.edge != self._edge:
            raise MessageInvalid(f"an order for {order.edge}", place=self._edge)
        return order

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
