"""Batches that came before their turn, held in memory until the hole before them is filled.

Promises:
1. Bounded: so many batches and bytes a stream, so many bytes in all; the one farthest from its turn is shed.
2. Nothing depends on it: what is shed, or lost with the process, the edge sends again since it was not acked.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from central.batches import Batch, Inbound, read
from central.eventstore import StreamKey

MAX_BATCHES: Final = 64
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_BYTES_IN_ALL: Final = 256 * 1024 * 1024
MAX_AGE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Held:
    """A batch that waits, as it came."""

    follows: int
    last: int
    inbound: Inbound
    since_s: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, batch: Batch) -> "Held":
        """Return a batch in its small form."""
        return cls(batch.follows, batch.last, batch.inbound)


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the batches of one stream."""

    upto: int
    """The watermark when `entries` are stored."""
    applied: tuple[tuple[Batch, int], ...]
    """Batches, each with the watermark before it: of its entries those above are new."""
    ahead: tuple[Held, ...]
    duplicates: int
    """Entries that were there already."""
    spent: int
    """Batches that brought nothing."""


def plan(mark: int, batches: Sequence[Batch], held: Sequence[Held]) -> Plan:
    """Tell what can be stored now, in order, given the watermark. Held batches are read when their turn comes."""
    turn: list[Batch | Held] = sorted([*batches, *held], key=lambda one: (one.follows, one.last))
    applied: list[tuple[Batch, int]] = []
    ahead: dict[tuple[int, int], Held] = {}
    duplicates = spent = 0
    for one in turn:
        if one.follows > mark:
            ahead.setdefault((one.follows, one.last), one if isinstance(one, Held) else Held.of(one))
        elif one.last <= mark:
            spent += 1
            duplicates += len(one.entries) if isinstance(one, Batch) else 0
        else:
            batch = read(one.inbound) if isinstance(one, Held) else one
            applied.append((batch, mark))
            duplicates += sum(entry.seq <= mark for entry in batch.entries)
            mark = batch.last
    return Plan(mark, tuple(applied), tuple(ahead.values()), duplicates, spent)


class Holding:
    """What is held, by stream."""

    def __init__(self) -> None:
        self._held: dict[StreamKey, tuple[Held, ...]] = {}
        self.bytes = 0

    def of(self, key: StreamKey) -> tuple[Held, ...]:
        """Return what is held of a stream."""
        return self._held.get(key, ())

    def put(self, key: StreamKey, held: Sequence[Held]) -> int:
        """Hold these and no others of a stream; return how many had to be shed."""
        before = self._held.pop(key, ())
        self.bytes -= _bytes(before)
        room = min(MAX_BYTES, MAX_BYTES_IN_ALL - self.bytes)
        kept: list[Held] = []
        for one in sorted(held, key=lambda one: (one.follows, one.last))[:MAX_BATCHES]:
            room -= len(one.inbound.payload)
            if room < 0:
                break
            kept.append(one)
        if kept:
            self._held[key] = tuple(kept)
            self.bytes += _bytes(kept)
        return len(held) - len(kept)

    def forget_old(self) -> int:
        """Drop what waits for a hole that nobody fills, such as a dead buffer's; return how many."""
        oldest, dropped = time.monotonic() - MAX_AGE_S, 0
        for key, held in list(self._held.items()):
            fresh = [one for one in held if one.since_s > oldest]
            if len(fresh) < len(held):
                self.put(key, fresh)
                dropped += len(held) - len(fresh)
        return dropped


def _bytes(held: Sequence[Held]) -> int:
    return sum(len(one.inbound.payload) for one in held)
