"""What a vehicle lane was told of its barrier's board, and what it has to be told now.

Promises
1. No change of an input is forgotten: what cannot be taken now is not taken as told, and comes with the next look.
2. What comes on is told before what goes off: a vehicle that goes from one input to the next is never nowhere.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from drivers.barrier.facts import BarrierSeen
from edge.lanes.road import LINE
from edge.lanes.vehicle_words import Arm, BarrierObserved, Input, Loop, LoopChanged

_BLIND_MS: Final = 2_000
_LOOK_S: Final = 0.25
"""A barrier is looked at five times a second at least."""
_FRESH_MS: Final = 500
"""The arm is lowered only on inputs that were seen so lately."""


@dataclass(slots=True)
class Sight:
    """The board of one barrier, as the lane knows it."""

    _arm: str | None = None
    _faults: frozenset[str] = frozenset()
    _loops: dict[Loop, bool] = field(default_factory=dict)
    _seen_ms: int | None = None
    _failed_ms: int | None = None
    """When the arm could not be told to go down."""
    _in_line: bool = False
    _looks: asyncio.Event = field(default_factory=asyncio.Event)

    async def next_look(self) -> bool:
        """Wait for one more look, not for long; tell whether the last one saw something in the arm's line."""
        self._looks.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._looks.wait()
        return self._in_line

    def fresh(self, now_ms: int) -> bool:
        """Tell whether the inputs were seen so lately that the arm may go down on them."""
        return self._seen_ms is not None and now_ms - self._seen_ms < _FRESH_MS

    def looked(self, fact: BarrierSeen, loops: frozenset[Loop], now_ms: int, *, released: bool) -> bool:
        """Note a look; return whether what the lane knows is not what is there: all is to be told anew."""
        blind = self._seen_ms is not None and now_ms - self._seen_ms >= _BLIND_MS
        self._seen_ms = now_ms
        self._in_line = not (LINE & loops).isdisjoint(fact.occupied)
        self._looks.set()
        if fact.arm == Arm.CLOSED or released:
            self._failed_ms = None  # it is down, or will be told again when the release under way ends
        lost = blind or (self._failed_ms is not None and now_ms - self._failed_ms >= _BLIND_MS)
        if lost:
            self._failed_ms = None
            self.forget()
        return lost

    def could_not_lower(self, now_ms: int) -> None:
        """Note that the arm could not be told to go down."""
        self._failed_ms = now_ms

    def forget(self) -> None:
        """Tell everything anew with the next look."""
        self._arm, self._faults, self._loops = None, frozenset(), {}

    def news(self, fact: BarrierSeen, known: frozenset[Loop]) -> Iterator[Input]:
        """Yield what the lane has to be told now, each taken as told when asked for."""
        if fact.arm and (fact.arm, fact.faults) != (self._arm, self._faults):
            self._arm, self._faults = fact.arm, fact.faults
            yield BarrierObserved(Arm(fact.arm), fact.faults)
        loops = {Loop(name): name in fact.occupied for name in fact.wired}
        changed = {loop: on for loop, on in loops.items() if loop in known and self._loops.get(loop) is not on}
        for loop, on in sorted(changed.items(), key=lambda one: (not one[1], one[0])):
            self._loops[loop] = on
            yield LoopChanged(loop, on)
