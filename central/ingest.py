"""From a batch on the wire to rows, projections and an ack.

Promises:
1. An event is stored once, by its name (edge, epoch, stream, seq); duplicates, reorder and replays have no effect.
2. Within a stream events are stored in order: a batch that is ahead waits until the hole before it is filled.
3. An ack leaves after the commit, and says no more than what is committed.
4. Projections run in the transaction that stores their events. One that raises stops no stream: its event is stored as
   `projection_failed`, counted, and can be projected again.
5. What is not understood is stored raw and counted, never dropped.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import eventstore, ingest_sql
from central.batches import Batch, Inbound, moments, read, read_rows
from central.bulk import insert_rows
from central.bus import Bus, Recorded
from central.db import Database, now, transient
from central.eventstore import CORRECTED_AT, OK, PROJECTION_FAILED, STATUS, EventRow, Positions, StreamKey
from central.holding import Holding, Plan, plan
from central.metrics import Metrics
from core.errors import MessageInvalid
from core.messages.event import Stream
from core.messages.wire import Ack

_log = structlog.get_logger(__name__)

GROUP_ENTRIES: Final = 2_000
"""Events of one transaction, about; more would keep the loop from answering for too long."""
GROUP_BATCHES: Final = 64
QUEUE_BYTES: Final = 64 * 1024 * 1024
QUEUE_BATCHES: Final = 4_096

SendAck = Callable[[str, Ack], Awaitable[None]]
"""(edge, ack)"""


class Queue:
    """Batches that wait to be looked at; `vital` goes first, and is shed last: the edge sends again."""

    def __init__(self, max_bytes: int = QUEUE_BYTES, max_batches: int = QUEUE_BATCHES) -> None:
        self._lanes: tuple[deque[Inbound], deque[Inbound]] = (deque(), deque())
        self._max_bytes = max_bytes
        self._max_batches = max_batches
        self._filled = asyncio.Event()
        self.bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def put(self, inbound: Inbound) -> int:
        """Add a batch; return how many, oldest first, had to be shed for it."""
        self._lanes[inbound.stream is not Stream.VITAL].append(inbound)
        self.bytes += len(inbound.payload)
        shed = 0
        while self.bytes > self._max_bytes or len(self) > self._max_batches:
            self._pop(self._lanes[1] or self._lanes[0])
            shed += 1
        self._filled.set()
        return shed

    def take(self) -> Inbound:
        """Take the next; something must wait."""
        return self._pop(self._lanes[0] or self._lanes[1])

    async def wait(self) -> None:
        """Return when something waits."""
        while not len(self):
            self._filled.clear()
            await self._filled.wait()

    def _pop(self, lane: deque[Inbound]) -> Inbound:
        one = lane.popleft()
        self.bytes -= len(one.payload)
        return one


@dataclass(slots=True)
class _Group:
    """Batches that shall be stored in one transaction."""

    batches: list[Batch] = field(default_factory=list)
    entries: int = 0

    @property
    def full(self) -> bool:
        """Tell whether another batch would be too much."""
        return self.entries >= GROUP_ENTRIES or len(self.batches) >= GROUP_BATCHES

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        self.batches.append(batch)
        self.entries += len(batch.entries)


class Ingest:
    """Stores what the edges send, and says what is stored."""

    def __init__(self, database: Database, bus: Bus, metrics: Metrics) -> None:
        self.queue = Queue()
        self._database = database
        self._bus = bus
        self._metrics = metrics
        self._positions = Positions()
        self._holding = Holding()
        self._group = _Group()
        self._ready = asyncio.Event()
        self._taken = asyncio.Event()

    def offer(self, inbound: Inbound) -> None:
        """Take a batch from the wire; it is looked at by `run`."""
        shed = self.queue.put(inbound)
        if shed:
            self._metrics.batches.labels("shed").inc(shed)
        self._metrics.queued_bytes.set(self.queue.bytes)

    async def run(self, send: SendAck) -> None:
        """Store and ack until cancelled. While the database is away the queue fills up, within its bounds."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_ahead(), name="ingest.read")
            while True:
                await self._ready.wait()
                group, self._group = self._group, _Group()
                self._ready.clear()
                self._taken.set()
                for edge, ack in await self._stored(group.batches):
                    await send(edge, ack)

    async def _read_ahead(self) -> None:
        """Read what waits while the database commits the group before, up to a transaction's worth."""
        while True:
            await self.queue.wait()
            while self._group.full:
                self._taken.clear()
                await self._taken.wait()
            batch = self.read(self.queue.take())
            self._metrics.queued_bytes.set(self.queue.bytes)
            if batch is not None:
                self._group.add(batch)
                self._ready.set()
            await asyncio.sleep(0)  # reading is work: let requests and commands through between batches

    async def _stored(self, group: Sequence[Batch]) -> Sequence[tuple[str, Ack]]:
        pause_s = 0.1
        while True:
            try:
                return await self.store(group)
            except Exception as error:  # noqa: BLE001 (the outermost frame of the task)
                self._metrics.task_failures.labels("ingest").inc()
                _log.error("ingest.not_stored", error=str(error), exc_info=not transient(error))
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            pause_s = min(pause_s * 2, 5.0)

    async def watermarks(self) -> Sequence[tuple[str, Ack]]:
        """Return what is committed of all streams, as acks: edges that hear it go on from there."""
        async with self._database.read() as conn:
            rows = await eventstore.all_watermarks(conn)
        return [(row.edge, Ack(epoch=row.epoch, stream=row.stream, upto=row.upto, at=now())) for row in rows]

    def read(self, inbound: Inbound) -> Batch | None:
        """Read a batch; None where it is refused, which is counted and told."""
        try:
            return read(inbound)
        except MessageInvalid as error:
            self._metrics.batches.labels("refused").inc()
            _log.warning("ingest.batch_refused", edge=inbound.edge, stream=inbound.stream.value, error=str(error))
            return None

    async def store(self, batches: Sequence[Batch]) -> Sequence[tuple[str, Ack]]:
        """Store batches in one transaction; one by one where that fails for another reason than the database's."""
        if not batches:
            return []
        try:
            return await self._transaction(batches, careful=False)
        except Exception as error:  # a handler's bug must stop no stream
            if transient(error):
                raise
            _log.exception("ingest.group_failed", batches=len(batches))
        self._positions.forget()
        self._metrics.batches.labels("retried").inc(len(batches))
        acks: list[tuple[str, Ack]] = []
        for batch in sorted(batches, key=lambda one: (one.key, one.follows)):
            acks += await self._alone(batch)
        return acks

    async def _alone(self, batch: Batch) -> Sequence[tuple[str, Ack]]:
        """Store one batch; event by event where a projection raises."""
        for careful in (False, True):
            try:
                return await self._transaction([batch], careful=careful)
            except Exception as error:  # a handler's bug must stop no stream
                if transient(error):
                    raise
                _log.exception("ingest.batch_failed", edge=batch.key.edge, stream=batch.key.stream, careful=careful)
        self._metrics.batches.labels("refused").inc()
        return []

    async def _transaction(self, batches: Sequence[Batch], *, careful: bool) -> Sequence[tuple[str, Ack]]:
        by_key: dict[StreamKey, list[Batch]] = {}
        for batch in batches:
            by_key.setdefault(batch.key, []).append(batch)
        with self._metrics.ingest_commit.time():
            async with self._database.begin() as conn:
                marks = await ingest_sql.lock_watermarks(conn, list(by_key))
                plans = {key: self._plan(key, marks[key], some) for key, some in by_key.items()}
                rows, wanted = await self._fresh(conn, plans, now())
                if rows:
                    await self._write(conn, rows, wanted, careful=careful)
                    raised = {key: one.upto for key, one in plans.items() if one.upto > marks[key]}
                    await ingest_sql.raise_watermarks(conn, raised)
        self._settle(plans, rows)
        moment = now()
        return [
            (key.edge, Ack(epoch=key.epoch, stream=Stream(key.stream), upto=one.upto, at=moment))
            for key, one in plans.items()
        ]

    def _plan(self, key: StreamKey, mark: int, batches: Sequence[Batch]) -> Plan:
        """Plan a stream; where central once said to have more than it has, it was set back: pass over that, loudly."""
        told = max((batch.acked for batch in batches), default=0)
        if told > mark:
            _log.error(
                "ingest.entries_missing", edge=key.edge, epoch=key.epoch, stream=key.stream, after=mark, upto=told
            )
            self._metrics.missing.labels(key.stream).inc(told - mark)
        return plan(max(mark, told), batches, self._holding.of(key))

    async def _fresh(
        self, conn: AsyncConnection, plans: dict[StreamKey, Plan], received_at: datetime
    ) -> tuple[Sequence[EventRow], Sequence[Recorded]]:
        """Return the rows of all that is new, each stream in order, and those of them that a projection wants."""
        applied = [turn for one in plans.values() for turn in one.applied]
        new = sum(entry.seq > mark for batch, mark in applied for entry in batch.entries)
        positions = iter(await self._positions.take(conn, new) if new else ())
        rows: list[EventRow] = []
        wanted: list[Recorded] = []
        for batch, mark in applied:
            for row, event in read_rows(batch, mark, positions, received_at):
                rows.append(row)
                if event is not None and self._bus.projects(type(event)):
                    position, _, site, edge, epoch, _, seq = row[:7]
                    wanted.append(Recorded(position, event, edge, epoch, seq, site, row[CORRECTED_AT], received_at))
        return rows, wanted

    async def _write(
        self, conn: AsyncConnection, rows: Sequence[EventRow], wanted: Sequence[Recorded], *, careful: bool
    ) -> None:
        await insert_rows(conn, eventstore.events, rows)
        if not wanted:
            return
        if not careful:
            await self._bus.apply(conn, wanted)
            return
        failed = [row.position for row in wanted if not await self._projected(conn, row)]
        if failed:
            await eventstore.set_status(conn, failed, PROJECTION_FAILED)
            self._metrics.events.labels(PROJECTION_FAILED).inc(len(failed))

    async def _projected(self, conn: AsyncConnection, row: Recorded) -> bool:
        """Project one event within a savepoint; tell whether that went well."""
        try:
            async with conn.begin_nested():
                await self._bus.apply(conn, [row])
        except Exception as error:  # a handler's bug must stop no stream
            if transient(error):
                raise
            _log.exception("ingest.projection_failed", type=row.event.TYPE, position=row.position)
            return False
        return True

    def _settle(self, plans: dict[StreamKey, Plan], rows: Sequence[EventRow]) -> None:
        """Hold what is ahead and count, now that the transaction is durable."""
        count = self._metrics.batches.labels
        for key, one in plans.items():
            count("shed").inc(self._holding.put(key, one.ahead))
            count("applied").inc(len(one.applied))
            count("duplicate").inc(one.spent)
            count("held").inc(len(one.ahead))
            self._metrics.events.labels("duplicate").inc(one.duplicates)
        moment = now()
        for batch, _ in chain.from_iterable(one.applied for one in plans.values()):
            lag_s = (moment - moments(batch.entries[-1], moment)[1]).total_seconds()
            self._metrics.event_lag.observe(max(lag_s, 0.0))
        for status, count_ in Counter(row[STATUS] for row in rows).items():
            self._metrics.events.labels("stored" if status == OK else status).inc(count_)
        self._metrics.held_bytes.set(self._holding.bytes)

    async def forget_old(self) -> None:
        """Drop held batches whose turn never came (a sweep calls this)."""
        self._metrics.batches.labels("shed").inc(self._holding.forget_old())
