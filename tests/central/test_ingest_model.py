"""Random edges, networks and crashes against a small model: stored exactly once, in order, acks never ahead."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from central.batches import Inbound, read
from central.bus import Bus, Recorded
from central.db import Database
from central.eventstore import events
from central.ingest import Ingest
from central.metrics import Metrics
from core.messages.envelope import ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Stream
from core.messages.events import PassageTimedOut

_NAMES = count(1)
_STAMP = Stamp(datetime(2026, 3, 1, tzinfo=UTC), 1, "b", ClockSource.NTP, 0, 0)
_BODY = pack(PassageTimedOut(lane="in-1", attempt="a", subject_token="t"), _STAMP).body

ACTION = st.tuples(
    st.sampled_from(
        ["write", "write", "drop", "send", "send", "send", "deliver", "deliver", "deliver", "fail", "crash"]
    ),
    st.integers(0, 255),
    st.integers(0, 11),
)


@dataclass
class Edge:
    """What an edge's buffer promises: what is not acked and not dropped is there, and knows what it follows."""

    name: str
    buffered: list[int] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    acked: int = 0
    newest: int = 0

    def write(self, entries: int) -> None:
        self.buffered += range(self.newest + 1, self.newest + 1 + entries)
        self.newest += entries

    def drop(self, first: int, entries: int) -> None:
        self.dropped |= set(self.buffered[first : first + entries])
        del self.buffered[first : first + entries]

    def batch(self, first: int, entries: int) -> Inbound:
        before = self.buffered[first - 1] if first else self.acked
        bodies = []
        for seq in self.buffered[first : first + entries]:
            bodies.append(place(_BODY, source=self.name, epoch="E", stream="vital", seq=seq, after=before))
            before = seq
        return Inbound(self.name, Stream.VITAL, zstandard.ZstdCompressor(1).compress(join_batch(bodies)))

    def hear(self, upto: int) -> None:
        self.acked = max(self.acked, upto)
        self.buffered = [seq for seq in self.buffered if seq > self.acked]


class World:
    """One edge, its network and a centre that may crash."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.edge = Edge(f"model.e{next(_NAMES)}")
        self.network: list[Inbound] = []
        self.projected: list[int] = []
        self.failing = False
        self.start()

    def start(self) -> None:
        """A new process: all that is held in memory is gone."""
        metrics = Metrics()
        bus = Bus(self.database, metrics)
        bus.project(PassageTimedOut, self._project)
        self.ingest = Ingest(self.database, bus, metrics)

    async def _project(self, _: AsyncConnection, rows: Sequence[Recorded]) -> None:
        if self.failing:
            raise OperationalError("COMMIT", {}, ConnectionError("gone"))
        self.projected += [row.seq for row in rows]

    async def deliver(self, inbounds: Sequence[Inbound], *, ack_arrives: bool) -> None:
        try:
            acks = await self.ingest.store([read(one) for one in inbounds])
        except OperationalError:
            self.start()
            return
        stored = await self.stored()
        for name, ack in acks:
            assert name == self.edge.name
            assert ack.upto == max(stored, default=0), "an ack says what is committed, no more and no less"
            if ack_arrives:
                self.edge.hear(ack.upto)

    async def stored(self) -> list[int]:
        query = select(events.c.seq).where(events.c.edge == self.edge.name).order_by(events.c.position)
        async with self.database.read() as conn:
            return list((await conn.execute(query)).scalars())

    async def check(self) -> None:
        stored = await self.stored()
        assert stored == sorted(set(stored)), "exactly once, in order"
        mark = max(stored, default=0)
        assert set(range(1, mark + 1)) - set(stored) <= self.edge.dropped, "nothing is skipped"
        assert self.projected == stored, "projected exactly what is stored"

    async def act(self, action: str, one: int, two: int) -> None:
        edge = self.edge
        match action:
            case "write":
                edge.write(one % 5 + 1)
            case "drop" if edge.buffered:
                edge.drop(one % len(edge.buffered), two % 3 + 1)
            case "send" if edge.buffered:
                self.network.append(edge.batch(one % len(edge.buffered), two % 4 + 1))
            case "deliver" if self.network:
                chosen = [self.network[(one >> shift) % len(self.network)] for shift in range(one % 3 + 1)]
                if two % 2:  # otherwise the network keeps it, to bring it once more
                    self.network = [inbound for inbound in self.network if inbound not in chosen]
                await self.deliver(chosen, ack_arrives=two % 3 > 0)
            case "fail" if self.network:
                self.failing = True
                await self.deliver(self.network[:2], ack_arrives=True)
                self.failing = False
            case "crash":
                self.start()


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=st.lists(ACTION, min_size=8, max_size=50))
async def test_stored_exactly_once_in_order_and_acks_never_ahead_of_commits(
    database: Database, actions: list[tuple[str, int, int]]
) -> None:
    world = World(database)
    for action, one, two in actions:
        await world.act(action, one, two)
        await world.check()
    await world.deliver([world.edge.batch(0, 1)] if world.edge.buffered else [], ack_arrives=True)
    while world.edge.buffered:  # the network heals: the edge sends from its oldest entry
        await world.deliver([world.edge.batch(0, 50)], ack_arrives=True)
    await world.check()
    stored = await world.stored()
    assert set(range(1, world.edge.newest + 1)) - set(stored) <= world.edge.dropped
