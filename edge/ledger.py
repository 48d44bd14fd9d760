"""Events on their way into the buffer, also while the buffer cannot commit.

Promises
1. `commit` returns True only after the events and the memo are on disk.
2. What could not be committed is owed: kept in memory in order, and committed before anything newer of this ledger.
3. What is owed is bounded; beyond the bound the oldest telemetry and state go first, and the count is told.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from core.errors import BufferFull, BufferUnavailable
from core.messages.envelope import Packed, Stamp, pack
from core.messages.event import Event, Stream

_MAX_OWED = 20_000
_AGAIN_S = 1.0


class Store(Protocol):
    """The part of the buffer that a ledger needs."""

    async def append(self, packed: Sequence[Packed], memo: Mapping[str, bytes | None] | None = None) -> tuple[int, ...]:
        """Commit; raise BufferFull or BufferUnavailable."""


class Ledger:
    """Where all events of a daemon are handed in."""

    def __init__(self, store: Store, stamp: Callable[[], Stamp]) -> None:
        self._store = store
        self._stamp = stamp
        self._owed: deque[Packed] = deque()
        self._owed_memo: dict[str, bytes | None] = {}
        self._owing = asyncio.Event()
        self.shed = 0

    @property
    def owed(self) -> int:
        """Return how many events wait for the buffer to work again."""
        return len(self._owed)

    async def commit(
        self,
        events: Sequence[Event],
        memo: Mapping[str, bytes | None] | None = None,
        otherwise: Sequence[Event] = (),
    ) -> bool:
        """Make events durable; return False where they, or `otherwise` in their stead, are only owed."""
        stamp = self._stamp()
        if not self._owed:
            try:
                await self._store.append([pack(event, stamp) for event in events], memo)
            except (BufferFull, BufferUnavailable):
                pass
            else:
                return True
        self._owe([pack(event, stamp) for event in otherwise or events], memo)
        return False

    async def run(self) -> None:
        """Pay what is owed as soon as the buffer takes it; runs for ever."""
        while True:
            await self._owing.wait()
            if not await self._pay():
                await asyncio.sleep(_AGAIN_S)

    async def _pay(self) -> bool:
        paying, memo = list(self._owed)[:500], dict(self._owed_memo)
        last = len(paying) == len(self._owed)
        try:
            await self._store.append(paying, memo if last else None)
        except (BufferFull, BufferUnavailable):
            return False
        for _ in paying:
            self._owed.popleft()
        if last:
            for key, value in memo.items():
                if self._owed_memo.get(key) == value:
                    del self._owed_memo[key]
        if not self._owed and not self._owed_memo:
            self._owing.clear()
        return True

    def _owe(self, packed: Sequence[Packed], memo: Mapping[str, bytes | None] | None) -> None:
        for one in packed:
            if len(self._owed) >= _MAX_OWED:
                self._shed_one()
            self._owed.append(one)
        self._owed_memo.update(memo or {})
        self._owing.set()

    def _shed_one(self) -> None:
        """Make room: what is not vital goes first, oldest first."""
        self.shed += 1
        for number, one in enumerate(self._owed):
            if one.stream is not Stream.VITAL:
                del self._owed[number]
                return
        self._owed.popleft()
