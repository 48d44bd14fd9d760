"""The light and the display of a vehicle lane: each told what is true now, by a task of its own.

Promises
1. Neither holds up the barrier, nor the other.
2. They are told what is true now, not all that was; what could not be told is told with the next sign.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from core.errors import GatefleetError

log = structlog.get_logger()

_Shown = TypeVar("_Shown")


class Sign(Generic[_Shown]):
    """One sign. `now` is what it should show, None where nothing was said yet."""

    def __init__(self, lane: str, show: Callable[[_Shown], Awaitable[None]]) -> None:
        self.now: _Shown | None = None
        self.show = show
        self.failed = 0
        self._lane = lane
        self._told: _Shown | None = None
        self._changed = asyncio.Event()

    def set(self, shown: _Shown) -> None:
        """Say what it should show."""
        self.now = shown
        self._changed.set()

    def poke(self) -> None:
        """Have it try again what it could not be told."""
        self._changed.set()

    def forget(self) -> None:
        """Know no longer what it shows: it is told with the next look, or sign."""
        self._told = None

    async def run(self) -> None:
        """Tell it, as often as that changes; runs for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            shown = self.now
            if shown is None or shown == self._told:
                continue
            try:
                await self.show(shown)
                self._told = shown
            except GatefleetError as error:
                self.failed += 1
                log.info("lane.sign_failed", lane=self._lane, error=str(error))
