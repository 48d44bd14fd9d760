"""When each block of a Modbus bus is read next.

Promises
1. Fixed rate: a poll's ticks are `interval` apart for ever; those that were missed are skipped and counted, never
   caught up.
2. Suspect and dead polls wait at a gate of their grade: after an attempt that took t seconds, none of that grade is
   tried for t * (1 / share - 1), so that all of a grade together never take more than its share of the bus's time.
3. Nothing starves: whoever has been due longest goes first, suspect and dead ones as soon as their gate is open.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_NEVER = -1


class Grade(IntEnum):
    """How well a poll is."""

    WELL = 0
    SUSPECT = 1
    """Something was missed lately."""
    DEAD = 2
    """Too much was missed: it is only probed."""


@dataclass(slots=True, eq=False)
class Slot(Generic[_Item]):
    """One poll's place in the schedule. `due_s` is its present tick."""

    item: _Item
    interval_s: float
    due_s: float = 0.0
    ticket: int = _NEVER


@dataclass(slots=True)
class _Queue(Generic[_Item]):
    heap: list[tuple[float, int, Slot[_Item]]] = field(default_factory=list)
    gate_s: float = 0.0

    def due_s(self) -> float | None:
        """Return when its first is due; plans that were replaced are forgotten."""
        heap = self.heap
        while heap and heap[0][1] != heap[0][2].ticket:
            heapq.heappop(heap)
        return max(heap[0][0], self.gate_s) if heap else None


class Schedule(Generic[_Item]):
    """Slots by due time, each grade apart. Times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._queues: tuple[_Queue[_Item], ...] = tuple(_Queue() for _ in Grade)
        self._tickets: Iterator[int] = count()

    def put(self, slot: Slot[_Item], due_s: float, grade: Grade = Grade.WELL) -> None:
        """Plan a slot, in place of what was planned for it."""
        slot.due_s = due_s
        slot.ticket = next(self._tickets)
        heapq.heappush(self._queues[grade].heap, (due_s, slot.ticket, slot))

    def put_next(self, slot: Slot[_Item], now_s: float) -> int:
        """Plan a slot's next tick after `now_s`; return how many ticks are skipped."""
        missed = max(0, int((now_s - slot.due_s) // slot.interval_s))
        self.put(slot, slot.due_s + (missed + 1) * slot.interval_s)
        return missed

    def drop(self, slot: Slot[_Item]) -> None:
        """Plan nothing for a slot."""
        slot.ticket = _NEVER

    def next(self, now_s: float) -> tuple[Slot[_Item] | None, float | None]:
        """Take off the slot that is due longest; if none is due, return after how many seconds one is, None: never."""
        first, first_s = None, 0.0
        for queue in self._queues:
            due_s = queue.due_s()
            if due_s is not None and (first is None or due_s < first_s):
                first, first_s = queue, due_s
        if first is None:
            return None, None
        if first_s > now_s:
            return None, first_s - now_s
        _, _, slot = heapq.heappop(first.heap)
        slot.ticket = _NEVER
        return slot, 0.0

    def spend(self, grade: Grade, now_s: float, spent_s: float, share: float) -> None:
        """Close the gate of a grade after an attempt in vain."""
        queue = self._queues[grade]
        queue.gate_s = max(queue.gate_s, now_s + spent_s * (1 / share - 1))
