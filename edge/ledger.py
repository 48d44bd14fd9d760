"""Events on their way into the buffer, also while the buffer cannot commit.

Promises
1. `commit` returns True only after the events and the memo are on disk.
2. What could not be committed is owed: kept in memory in order, each commit whole with its memo, and committed before
   anything that is handed in later.
3. What is owed is bounded; beyond the bound the oldest telemetry and state go first, and the count is told.
4. What the buffer refuses for ever, such as an entry that is too large, is given up alone and counted.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from core.errors import BufferFull, BufferUnavailable, GatefleetError
from core.messages.envelope import Packed, Stamp, pack_all
from core.messages.event import Event, Stream

_MAX_OWED = 20_000
_PAY_AT_ONCE = 500
_AGAIN_S = 1.0

log = structlog.get_logger()

Memos = Mapping[str, bytes | None]


class Store(Protocol):
    """The part of the buffer that a ledger needs."""

    async def append(self, packed: Sequence[Packed], memo: Memos | None = None) -> tuple[int, ...]:
        """Commit; raise BufferFull or BufferUnavailable."""


@dataclass(slots=True)
class _Debt:
    """One commit that is owed."""

    packed: list[Packed]
    memo: dict[str, bytes | None]


class Ledger:
    """Where all events of a daemon are handed in."""

    def __init__(self, store: Store, stamp: Callable[[], Stamp]) -> None:
        self._store = store
        self._stamp = stamp
        self._debts: deque[_Debt] = deque()
        self._pay_at_once = _PAY_AT_ONCE
        self._owing = asyncio.Event()
        self._told: asyncio.Queue[Event] = asyncio.Queue()
        self.owed = 0
        """How many events wait for the buffer to work again."""
        self.shed = 0
        """How many were given up since the start: the bound was reached, or the buffer refused them for ever."""

    async def commit(self, events: Sequence[Event], memo: Memos | None = None, otherwise: Sequence[Event] = ()) -> bool:
        """Make events durable; return False where they, or `otherwise` in their stead, are only owed."""
        stamp = self._stamp()
        if not self._owing.is_set():
            try:
                await self._store.append(pack_all(events, stamp), memo)
            except (BufferFull, BufferUnavailable):
                pass
            else:
                return True
        self._owe(pack_all(otherwise or events, stamp), memo or {})
        return False

    def tell(self, event: Event) -> None:
        """Take an event from code that cannot wait: `run_told` commits them in the order in which they were told."""
        self._told.put_nowait(event)

    async def run_told(self) -> None:
        """Commit what is told; runs for ever."""
        while True:
            await self.commit((await self._told.get(),))

    async def finish(self) -> None:
        """Commit what is vital of what was told and nobody commits any more; called once all else has ended."""
        while not self._told.empty():
            event = self._told.get_nowait()
            try:
                if event.STREAM is Stream.VITAL:
                    await self.commit((event,))
            except GatefleetError as error:
                self.shed += 1
                log.exception("ledger.given_up", entries=1, error=str(error))

    async def run(self) -> None:
        """Pay what is owed as soon as the buffer takes it; runs for ever."""
        while True:
            await self._owing.wait()
            if not await self._pay():
                await asyncio.sleep(_AGAIN_S)

    async def _pay(self) -> bool:
        paying = self._next_payment()
        packed = [one for debt in paying for one in debt.packed]
        memo = {key: value for debt in paying for key, value in debt.memo.items()}
        paid = False
        try:
            await self._store.append(packed, memo)
            paid = True
        except (BufferFull, BufferUnavailable):
            return False
        except GatefleetError as error:
            paid = self._refused(paying, error)
        finally:
            if not paid:
                self._debts.extendleft(reversed(paying))
        if paid:
            self.owed -= len(packed)
        if not self._debts:
            self._owing.clear()
            self._pay_at_once = _PAY_AT_ONCE
        return True

    def _next_payment(self) -> list[_Debt]:
        paying, size = [self._debts.popleft()], 0
        while self._debts and (size := size + len(paying[-1].packed)) < self._pay_at_once:
            paying.append(self._debts.popleft())
        return paying

    def _refused(self, paying: Sequence[_Debt], error: GatefleetError) -> bool:
        """Give up the commit that the buffer will never take; tell whether that was it, or it is to be looked for."""
        if len(paying) > 1:
            self._pay_at_once = 1
            return False
        self._pay_at_once = _PAY_AT_ONCE
        self.shed += len(paying[0].packed)
        log.error("ledger.given_up", entries=len(paying[0].packed), error=str(error))
        return True

    def _owe(self, packed: list[Packed], memo: Memos) -> None:
        if packed or not self._debts:
            self._debts.append(_Debt(packed, dict(memo)))
        else:
            self._debts[-1].memo.update(memo)
        self.owed += len(packed)
        self._owing.set()
        while self.owed > _MAX_OWED and self._shed_one():
            self.owed -= 1
            self.shed += 1

    def _shed_one(self) -> bool:
        """Make room: what is not vital goes first, oldest first; False where there is nothing to shed."""
        oldest: tuple[int, int] | None = None
        for number, debt in enumerate(self._debts):
            for place, one in enumerate(debt.packed):
                if one.stream is not Stream.VITAL:
                    self._drop(number, place)
                    return True
                oldest = oldest or (number, place)
        if oldest is not None:
            self._drop(*oldest)
        return oldest is not None

    def _drop(self, number: int, place: int) -> None:
        debt = self._debts[number]
        del debt.packed[place]
        if not debt.packed and number + 1 < len(self._debts):
            # Its memo goes with the next commit, so that what is kept stays bounded too.
            heir = self._debts[number + 1]
            heir.memo = {**debt.memo, **heir.memo}
            del self._debts[number]
