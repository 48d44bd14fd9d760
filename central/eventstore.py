"""Where events lie: once each by (edge, epoch, stream, seq), in the order of storing, raw stamps untouched.

On PostgreSQL the table is partitioned by the month of `received_at`; what has no partition goes to the default one.
`data` is JSON as text: JSONB takes two to three times the server's CPU for the column (decisions: 2.3 against 7.8 us a
row by COPY), is no smaller, and cannot hold every string that an edge may send.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    func,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from central.db import UtcDateTime, metadata

_BIG: Final = BigInteger().with_variant(Integer, "sqlite")

OK: Final = "ok"
UNKNOWN: Final = "unknown"
INVALID: Final = "invalid"
PROJECTION_FAILED: Final = "projection_failed"

events: Final = Table(
    "event",
    metadata,
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("epoch", String(26), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", String(128), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("corrected_at", UtcDateTime, nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("monotonic_ms", BigInteger, nullable=False),
    Column("clock_source", String(16), nullable=False),
    Column("clock_offset_ms", BigInteger, nullable=False),
    Column("clock_error_ms", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_event_name", "edge", "epoch", "stream", "seq"),
    Index(
        "ix_event_status",
        "status",
        "position",
        postgresql_where=text("status <> 'ok'"),
        sqlite_where=text("status <> 'ok'"),
    ),
)

watermarks: Final = Table(
    "watermark",
    metadata,
    Column("edge", String(127), primary_key=True),
    Column("epoch", String(26), primary_key=True),
    Column("stream", String(16), primary_key=True),
    Column("upto", BigInteger, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)


class StreamKey(NamedTuple):
    """A stream of one life of an edge's buffer."""

    edge: str
    epoch: str
    stream: str


EventRow = tuple[
    int, datetime, str, str, str, str, int, str, str, datetime, datetime, str, int, str, int, int, str, str
]
"""One event in the order of the table's columns."""

CORRECTED_AT: Final = 10
STATUS: Final = 16
"""Where they stand in an EventRow."""

_BLOCK: Final = 4096


class Positions:
    """Gives positions that grow within this worker. PostgreSQL hands them out in blocks: one trip for 4,096 of them."""

    def __init__(self) -> None:
        self._next = 0
        self._end = 0

    def forget(self) -> None:
        """Ask the database anew: somebody else has stored, too."""
        self._next = self._end = 0

    async def take(self, conn: AsyncConnection, count: int) -> Sequence[int]:
        """Return so many positions; those of a transaction that is rolled back are never used."""
        if conn.dialect.name == "sqlite":
            if self._next == 0:
                self._next = (
                    await conn.execute(select(func.coalesce(func.max(events.c.position), 0)))
                ).scalar_one() + 1
            self._next += count
            return range(self._next - count, self._next)
        if count <= self._end - self._next:
            self._next += count
            return range(self._next - count, self._next)
        missing = count - (self._end - self._next)
        taken = list(range(self._next, self._end))
        blocks = text("SELECT nextval('event_position_block') FROM generate_series(1, :count)")
        for block in sorted((await conn.execute(blocks, {"count": -(-missing // _BLOCK)})).scalars()):
            self._next, self._end = block * _BLOCK, (block + 1) * _BLOCK
            part = min(count - len(taken), _BLOCK)
            taken += range(self._next, self._next + part)
            self._next += part
        return taken


async def all_watermarks(conn: AsyncConnection, edge: str | None = None) -> Sequence[Row[Any]]:
    """Return (edge, epoch, stream, upto, changed_at), of one edge or of all."""
    query = select(watermarks).order_by(watermarks.c.edge, watermarks.c.changed_at.desc())
    return (await conn.execute(query if edge is None else query.where(watermarks.c.edge == edge))).all()


async def set_status(conn: AsyncConnection, positions: Sequence[int], status: str) -> None:
    """Change what became of events."""
    await conn.execute(update(events).where(events.c.position.in_(positions)).values(status=status))


async def with_status(conn: AsyncConnection, status: str, after: int, limit: int) -> Sequence[Row[Any]]:
    """Return events of a status other than `ok`, in order of position."""
    query = select(events).where(events.c.status == status, events.c.position > after, events.c.status != OK)
    return (await conn.execute(query.order_by(events.c.position).limit(limit))).all()
