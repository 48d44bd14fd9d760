"""The three statements of ingest, said to the drivers themselves: they decide how many events a second are stored.

Each works within the transaction of `conn`. `lock_watermarks` comes first: with it SQLAlchemy begins the transaction
that the drivers' own calls are part of. Errors of the drivers are not wrapped; `central.db.transient` knows them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from central.db import now
from central.eventstore import EventRow, StreamKey, events

_COLUMNS: Final = tuple(column.name for column in events.c)
_NAMES: Final = ", ".join(_COLUMNS)
_COPY_FROM: Final = 20
"""Rows from which COPY, with its two trips more, is faster than an insertion."""

# The names in these statements are our own.
_PG_KEYS: Final = "unnest($1::text[], $2::text[], $3::text[]) AS k (edge, epoch, stream)"
_PG_LOCK: Final = f"""
    SELECT edge, epoch, stream, upto FROM watermark JOIN {_PG_KEYS} USING (edge, epoch, stream)
    ORDER BY edge, epoch, stream FOR UPDATE OF watermark"""  # noqa: S608
_PG_NEW: Final = f"""
    INSERT INTO watermark (edge, epoch, stream, upto, changed_at) SELECT edge, epoch, stream, 0, $4::timestamptz
    FROM {_PG_KEYS} ON CONFLICT DO NOTHING"""  # noqa: S608
_PG_RAISE: Final = """
    UPDATE watermark AS w SET upto = k.upto, changed_at = $5
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (edge, epoch, stream, upto)
    WHERE (w.edge, w.epoch, w.stream) = (k.edge, k.epoch, k.stream)"""
_PG_INSERT: Final = f"INSERT INTO event ({_NAMES}) VALUES ({', '.join(f'${n + 1}' for n in range(len(_COLUMNS)))})"  # noqa: S608

_LITE_ONE: Final = "SELECT upto FROM watermark WHERE edge = ? AND epoch = ? AND stream = ?"
_LITE_RAISE: Final = (
    "INSERT INTO watermark (upto, changed_at, edge, epoch, stream) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET upto = excluded.upto, changed_at = excluded.changed_at"
)
_LITE_INSERT: Final = f"INSERT INTO event ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608


async def _driver(conn: AsyncConnection) -> Any:
    return (await conn.get_raw_connection()).driver_connection


async def lock_watermarks(conn: AsyncConnection, keys: Sequence[StreamKey]) -> dict[StreamKey, int]:
    """Return the watermarks, 0 for a new stream, locked until the transaction ends."""
    if conn.dialect.name == "sqlite":  # the one writer has the whole database
        driver = await _driver(conn)
        rows = [await driver.execute_fetchall(_LITE_ONE, key) for key in keys]
        return {key: found[0][0] if found else 0 for key, found in zip(keys, rows, strict=True)}
    arrays: tuple[Any, ...] = tuple(list(column) for column in zip(*sorted(keys), strict=True))
    for _ in range(2):
        got = (await conn.exec_driver_sql(_PG_LOCK, arrays)).all()
        if len(got) == len(keys):
            break
        await conn.exec_driver_sql(_PG_NEW, (*arrays, now()))
    return {StreamKey(row.edge, row.epoch, row.stream): row.upto for row in got}


async def raise_watermarks(conn: AsyncConnection, marks: Mapping[StreamKey, int]) -> None:
    """Set the watermarks of locked streams."""
    driver, moment = await _driver(conn), now()
    if conn.dialect.name == "sqlite":
        for key, upto in marks.items():
            await driver.execute_fetchall(_LITE_RAISE, (upto, _text(moment), *key))
        return
    edges, epochs, streams = (list(column) for column in zip(*marks, strict=True))
    await driver.execute(_PG_RAISE, edges, epochs, streams, list(marks.values()), moment)


async def insert_events(conn: AsyncConnection, rows: Sequence[EventRow]) -> None:
    """Insert events: by COPY on PostgreSQL, unless they are few."""
    driver = await _driver(conn)
    if conn.dialect.name == "sqlite":
        await (await driver.executemany(_LITE_INSERT, [_for_sqlite(row) for row in rows])).close()
    elif len(rows) < _COPY_FROM:
        await driver.executemany(_PG_INSERT, rows)
    else:
        await driver.copy_records_to_table("event", records=rows, columns=_COLUMNS)


def _for_sqlite(row: EventRow) -> tuple[Any, ...]:
    return tuple(_text(value) if isinstance(value, datetime) else value for value in row)


def _text(moment: datetime) -> str:
    """Return a UTC moment as UtcDateTime writes it on SQLite."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
