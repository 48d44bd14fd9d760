"""A people counter at work: its facts into minutes, durable before they are answered."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog
from pydantic import ValidationError

from core.errors import BufferUnavailable
from core.messages.event import Event
from drivers.facts import Fact, PeopleCounted
from edge.buffer import Buffer
from edge.counting import CountingMemo, CountingSettings, PeopleBuckets
from edge.ledger import Ledger
from edge.session import Deliver

_LONGEST_S: Final = 60.0

log = structlog.get_logger()


class CounterRunner:
    """The minutes of one counter."""

    def __init__(
        self, device: str, buffer: Buffer, ledger: Ledger, wall: Callable[[], datetime], *, others: Deliver
    ) -> None:
        self._others = others
        self._key = f"counter/{device}"
        self._ledger = ledger
        self._wall = wall
        self._buckets = PeopleBuckets(device, CountingSettings(), _memo(buffer, self._key), wall())
        self._moved = asyncio.Event()
        self.told: Counter[str] = Counter()
        """Persons told since the start: entered, left."""

    @property
    def doubted(self) -> Mapping[str, int]:
        """Return how many reports counted nothing, by why."""
        return self._buckets.counters

    async def counted(self, fact: Fact) -> None:
        """Count, and commit that; raise BufferUnavailable where it cannot be. `others` takes what is no count."""
        if not isinstance(fact, PeopleCounted):
            await self._others(fact)
            return
        self._buckets.counted(fact, self._wall())
        await self._commit(())
        self._moved.set()

    async def run(self) -> None:
        """Tell each minute when it is over; runs for ever."""
        while True:
            self._moved.clear()
            due = self._buckets.next_due()
            pause_s = _LONGEST_S if due is None else max(0.0, (due - self._wall()).total_seconds())
            try:
                async with asyncio.timeout(min(pause_s, _LONGEST_S)):
                    await self._moved.wait()
            except TimeoutError:
                events = self._buckets.due(self._wall())
                if events:
                    for event in events:
                        self.told.update(entered=event.entered, left=event.left)
                    await self._ledger.commit(events, {self._key: self._memo()})

    async def _commit(self, events: tuple[Event, ...]) -> None:
        if not await self._ledger.commit(events, {self._key: self._memo()}):
            raise BufferUnavailable("the count is not durable yet")

    def _memo(self) -> bytes:
        return self._buckets.memo.model_dump_json().encode()


def _memo(buffer: Buffer, key: str) -> CountingMemo:
    raw = buffer.memo(key)
    try:
        return CountingMemo.model_validate_json(raw) if raw else CountingMemo()
    except ValidationError:
        log.warning("counter.memo_unreadable", key=key)
        return CountingMemo()
