"""What happens at a site by itself: receivers tell where they are, desks and docks push, counters tell their totals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from itertools import cycle
from typing import Any, Final

from core.clearance.model import Direction
from simulators.dock import Dock
from simulators.site import Site

_EPOCH_S: Final = 1.0
_BEAT_S: Final = 30.0
_SLOT: Final = 1
_TOTALS_S: Final = 2.0
_SOON_S: Final = 1.0
"""After an answer that was none, such as that of an edge that is not there yet."""


@contextlib.asynccontextmanager
async def living(site: Site) -> AsyncIterator[None]:
    """Let it happen until left; the edge need not be there yet."""
    tasks = [asyncio.create_task(one) for one in _all(site)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def count(site: Site, direction: Direction, persons: int, near: int = 0) -> None:
    """Let persons cross the line of one of the site's counters, the one that is nearest to the `near`-th lane."""
    counters = list(site.callers.counters.values())
    if counters:
        into = direction is Direction.IN
        counters[near % len(counters)].cross(entered=persons if into else 0, left=0 if into else persons)


def _all(site: Site) -> list[Coroutine[Any, Any, None]]:
    callers = site.callers
    found = [_again(_epoch(receiver.tell), _EPOCH_S) for receiver in site.served.receivers.values()]
    found += [_again(counter.tell_totals, _TOTALS_S) for counter in callers.counters.values()]
    found += [_again(desk.beat, _BEAT_S) for desk in callers.desks.values()]
    found += [_again(_turn_of(dock), _BEAT_S) for dock in callers.docks.values()]
    found += [_again(face.beat, _BEAT_S) for face in callers.faces.values()]
    return found


def _epoch(tell: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[int]]:
    async def told() -> int:
        await tell()
        return 200

    return told


def _turn_of(dock: Dock) -> Callable[[], Awaitable[int]]:
    """Return what lets the next thing happen in a dock's first slot, round and round, and tells of it."""
    steps: Iterator[Callable[[], None]] = cycle(
        (
            lambda: dock.insert(_SLOT, "EQ-SIM-1"),
            lambda: dock.upload(_SLOT, 2),
            lambda: dock.fill(_SLOT),
            lambda: dock.remove(_SLOT),
        )
    )

    async def turn() -> int:
        if not dock.pending:
            next(steps)()
        return await dock.push()

    return turn


async def _again(do: Callable[[], Awaitable[int]], every_s: float) -> None:
    while True:
        status = await do()
        await asyncio.sleep(every_s if status == 200 else min(every_s, _SOON_S))
