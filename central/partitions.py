"""Tables that PostgreSQL keeps by the month: what has no partition of its own lies in the default one.

Promises:
1. A month's partition is there before the month is.
2. To drop a month takes its lock for a quarter of a second at most, or not at all: the next sweep tries again.
3. What was detached and not yet dropped when central died is dropped by the next sweep.
SQLite has one table of each.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from central.db import Database

_log = structlog.get_logger(__name__)

_LOCK: Final = 0x6761_7466
"""Of PostgreSQL's advisory locks: one worker at a time makes and drops partitions."""
_NOT_AVAILABLE: Final = "55P03"
_SHORT: Final = "SET LOCAL lock_timeout = '250ms'"
_PARTS: Final = text(
    "SELECT part.relname FROM pg_class AS part JOIN pg_class AS whole USING (relnamespace)"
    " WHERE whole.oid = to_regclass(:whole) AND part.relkind = 'r' AND starts_with(part.relname, :start)"
    " ORDER BY part.relname"
)
_ATTACHED: Final = text("SELECT relispartition FROM pg_class WHERE oid = to_regclass(:name)")


class Partitioned(NamedTuple):
    """A table and the column whose month tells a row's partition."""

    table: str
    column: str


EVENTS: Final = Partitioned("event", "received_at")
POSITIONS: Final = Partitioned("locator_position", "taken_at")
ALL: Final = (EVENTS, POSITIONS)


class Month(NamedTuple):
    """A month's partition, or what was one and is not dropped yet."""

    name: str
    until: datetime


async def ensure_all(conn: AsyncConnection, moment: datetime) -> list[str]:
    """Make the partitions of this month and the next ones of every table; return the new ones' names."""
    return [name for one in ALL for name in await ensure(conn, one, moment)]


async def ensure(conn: AsyncConnection, whole: Partitioned, moment: datetime, months_ahead: int = 3) -> list[str]:
    """Make the partitions of this month and the next ones; what the default one holds of them moves. Return the new."""
    if conn.dialect.name == "sqlite":
        return []
    await conn.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    made = []
    for month in range(moment.year * 12 + moment.month - 1, moment.year * 12 + moment.month + months_ahead):
        name = f"{whole.table}_{month // 12:04d}_{month % 12 + 1:02d}"
        if (await conn.execute(text("SELECT to_regclass(:name)"), {"name": name})).scalar_one() is None:
            await _make(conn, whole, name, _first(month), _first(month + 1))
            made.append(name)
    return made


async def _make(conn: AsyncConnection, whole: Partitioned, name: str, first: datetime, until: datetime) -> None:
    table, column = whole
    within = f"{column} >= '{first}' AND {column} < '{until}'"
    for statement in (
        f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)",
        f"WITH moved AS (DELETE FROM {table}_default WHERE {within} RETURNING *) INSERT INTO {name} SELECT * FROM moved",  # noqa: S608, E501 (our own names)
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{until}')",
    ):
        await conn.execute(text(statement))


async def months_before(conn: AsyncConnection, whole: Partitioned, moment: datetime) -> Sequence[Month]:
    """Return the partitions whose whole month is over by a moment, the oldest first."""
    shape = re.compile(rf"^{whole.table}_(\d{{4}})_(\d{{2}})$")
    names = (await conn.execute(_PARTS, {"whole": whole.table, "start": f"{whole.table}_"})).scalars()
    months = [Month(one[0], _first(int(one[1]) * 12 + int(one[2]))) for one in map(shape.match, names) if one]
    return [month for month in months if month.until <= moment]


async def drop(database: Database, whole: Partitioned, month: Month) -> bool:
    """Drop a month; False where its lock could not be had at once. To detach first keeps the table's lock short."""
    try:
        async with _alone(database) as conn:
            if (await conn.execute(_ATTACHED, {"name": month.name})).scalar_one_or_none():
                await conn.execute(text(f"ALTER TABLE {whole.table} DETACH PARTITION {month.name}"))
        async with _alone(database) as conn:
            await conn.execute(text(f"DROP TABLE IF EXISTS {month.name}"))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_AVAILABLE:
            raise
        _log.info("partition.busy", partition=month.name)
        return False
    return True


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[AsyncConnection]:
    """Give a transaction that waits for no lock longer than ingest can bear."""
    async with database.begin() as conn:
        await conn.execute(text(_SHORT))
        await conn.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield conn


def _first(month: int) -> datetime:
    """Return the beginning of a month, counted from the year 0."""
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
