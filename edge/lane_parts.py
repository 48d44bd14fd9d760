"""What lanes of every kind have: an alarm clock, and telling central what the lane is and in which mode."""

import asyncio
from collections.abc import Callable
from typing import Final

from core.messages.events import LaneMode, LaneSeen
from edge.clock import Clock
from edge.ledger import Ledger
from edge.sections import CabinSection, PassengerSection, VehicleSection

LEAST_PAUSE_MS: Final = 5
"""A tick never comes at once: a deadline that stays past must not keep the loop busy."""


class Alarm:
    """Rings once, at the monotonic time for which it was set last."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due_ms: int | None) -> None:
        """Ring at that time instead; None: do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None:
            pause_ms = max(LEAST_PAUSE_MS, due_ms - self._clock.monotonic_ms())
            self._timer = asyncio.get_running_loop().call_later(pause_ms / 1000, self._ring)


class ModeTold:
    """Tells central what a lane is: at its start, and whenever it has another mode."""

    def __init__(
        self, spec: PassengerSection | VehicleSection | CabinSection, ruleset_version: int, ledger: Ledger
    ) -> None:
        self._spec = spec
        self._ruleset_version = ruleset_version
        self._ledger = ledger
        self._told: LaneMode | None = None

    async def begin(self, mode: LaneMode) -> None:
        """Tell, whatever was told before."""
        self._told = mode
        seen = LaneSeen(
            lane=self._spec.id,
            kind=self._spec.kind,
            directions=self._spec.rules.directions,
            devices=self._spec.devices,
            mode=mode,
            ruleset_version=self._ruleset_version,
        )
        await self._ledger.commit((seen,))

    async def now(self, mode: LaneMode) -> None:
        """Tell where it is another mode than was told."""
        if mode is not self._told:
            await self.begin(mode)
