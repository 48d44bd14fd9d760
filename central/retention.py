"""Bulk rows do not grow for ever: telemetry leaves when it is old, and what concludes from it stays.

Promises:
1. Vital events, state, audit and all that is projected from them are never deleted.
2. What was stored once is never stored again: watermarks stand apart from the events, and the newest event stays, since
   SQLite counts positions on from it.
3. Rows leave in small transactions with a rest between them, so that ingest waits for one of them at most; whole
   months of PostgreSQL leave as partitions.
4. How far a sweep came is committed with what it deleted: after a restart the next one goes on from there.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final, NamedTuple, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import BigInteger, Column, MetaData, String, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import partitions
from central.db import Database, UtcDateTime, metadata, now
from central.eventstore import events
from central.partitions import EVENTS, Partitioned
from central.upsert import insert_into
from core.messages.event import Stream

_log = structlog.get_logger(__name__)

BATCH_ROWS: Final = 500
"""Rows of one transaction, about: some milliseconds of SQLite's one writer."""
_REST_TIMES: Final = 4
_SHORTEST_REST_S: Final = 0.02
_LONGEST_REST_S: Final = 2.0

progress: Final = Table(
    "retention_progress",
    metadata,
    Column("piece", String(63), primary_key=True),
    Column("upto", BigInteger, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)
"""Up to which position a piece of the events is rid of telemetry."""


class Aging(Protocol):
    """Rows that leave when they are old."""

    name: str

    def forget(self, database: Database, cutoff: datetime, moment: datetime) -> AsyncGenerator[int, None]:
        """Delete what is older than `cutoff`, told at `moment`; yield after each commit how many rows left."""


class Rule(NamedTuple):
    """What is kept for how many days; 0: for ever. `months`: on PostgreSQL whole months of it are dropped."""

    aging: Aging
    days: int
    months: Partitioned | None = None


class Retention:
    """Sweeps what is old."""

    def __init__(
        self,
        database: Database,
        registry: CollectorRegistry,
        rules: Sequence[Rule],
        *,
        clock: Callable[[], datetime] = now,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._rules = [rule for rule in rules if rule.days]
        self._clock = clock
        self._rest = rest
        self._rows = Counter(
            "gatefleet_retention_rows_total", "Old rows deleted one batch at a time", ["what"], registry=registry
        )
        self._months = Counter(
            "gatefleet_retention_months_total",
            "Old months of PostgreSQL by what became of them: dropped, busy (tried again by the next sweep)",
            ["what", "outcome"],
            registry=registry,
        )

    async def sweep(self) -> None:
        """Delete all that is too old now."""
        for rule in self._rules:
            moment = self._clock()
            cutoff = moment - timedelta(days=rule.days)
            if rule.months is not None and not self._database.sqlite:
                await self._drop_months(rule.aging.name, rule.months, cutoff)
            await self._forget(rule.aging, cutoff, moment)

    async def _drop_months(self, name: str, whole: Partitioned, cutoff: datetime) -> None:
        async with self._database.read() as conn:
            old = await partitions.months_before(conn, whole, cutoff)
        for month in old:
            dropped = await partitions.drop(self._database, whole, month)
            self._months.labels(name, "dropped" if dropped else "busy").inc()
            if dropped:
                _log.info("retention.month_dropped", partition=month.name)

    async def _forget(self, aging: Aging, cutoff: datetime, moment: datetime) -> None:
        total, began = 0, time.perf_counter()
        async with aclosing(aging.forget(self._database, cutoff, moment)) as batches:
            async for rows in batches:
                total += rows
                self._rows.labels(aging.name).inc(rows)
                took_s = time.perf_counter() - began
                await self._rest(min(max(took_s * _REST_TIMES, _SHORTEST_REST_S), _LONGEST_REST_S))
                began = time.perf_counter()
        if total:
            _log.info("retention.forgotten", what=aging.name, rows=total, older_than=cutoff.isoformat())


class OldTelemetry:
    """Telemetry among the events, walked in the order of storing.

    On PostgreSQL only months that are wholly old are walked: nothing is added to them any more, while workers store
    at positions that they took long ago. What the default partition holds is walked like SQLite's one table.
    """

    name = "telemetry"

    async def forget(self, database: Database, cutoff: datetime, moment: datetime) -> AsyncGenerator[int, None]:
        """Delete old telemetry; yield after each commit how many events left."""
        for piece in await _pieces(database, cutoff):
            while (rows := await _forget_batch(database, piece, cutoff, moment)) is not None:
                yield rows


async def _pieces(database: Database, cutoff: datetime) -> Sequence[Table]:
    if database.sqlite:
        return [events]
    async with database.read() as conn:
        months = await partitions.months_before(conn, EVENTS, cutoff)
    names = [*(month.name for month in months), f"{EVENTS.table}_default"]
    return [events.to_metadata(MetaData(), name=name) for name in names]


async def _forget_batch(database: Database, piece: Table, cutoff: datetime, moment: datetime) -> int | None:
    """Walk on by a batch; return how many of it were telemetry, None where the rest is not old."""
    async with database.begin() as conn:
        after = await _upto(conn, piece.name)
        columns = select(piece.c.position, piece.c.received_at).where(piece.c.position > after)
        rows = (await conn.execute(columns.order_by(piece.c.position).limit(BATCH_ROWS + 1))).all()
        walked = rows[:-1] if database.sqlite else rows[:BATCH_ROWS]  # on SQLite the newest stays
        # a clock of central's that was ahead once must not end the walk: such rows are as old as those around them
        old = list(takewhile(lambda row: not cutoff <= row.received_at <= moment, walked))
        if not old:
            return None
        upto = old[-1].position
        done = await conn.execute(
            delete(piece).where(
                piece.c.position > after, piece.c.position <= upto, piece.c.stream == Stream.TELEMETRY.value
            )
        )
        await _note(conn, piece.name, upto)
        return done.rowcount


async def _upto(conn: AsyncConnection, piece: str) -> int:
    """Return how far a piece was walked, locked until the transaction ends."""
    query = select(progress.c.upto).where(progress.c.piece == piece).with_for_update()
    return (await conn.execute(query)).scalar_one_or_none() or 0


async def _note(conn: AsyncConnection, piece: str, upto: int) -> None:
    told = insert_into(conn, progress).values(piece=piece, upto=upto, changed_at=now())
    changed = {name: told.excluded[name] for name in ("upto", "changed_at")}
    await conn.execute(told.on_conflict_do_update(index_elements=["piece"], set_=changed))
