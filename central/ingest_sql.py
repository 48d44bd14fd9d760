"""The watermarks of ingest, said to the drivers themselves.

Each works within the transaction of `conn`. `lock_watermarks` comes first: with it SQLAlchemy begins the transaction
that the drivers' own calls are part of. Errors of the drivers are not wrapped; `central.db.transient` knows them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from central.bulk import driver_of, sqlite_text
from central.db import now
from central.eventstore import StreamKey

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

_LITE_ONE: Final = "SELECT upto FROM watermark WHERE edge = ? AND epoch = ? AND stream = ?"
_LITE_RAISE: Final = (
    "INSERT INTO watermark (upto, changed_at, edge, epoch, stream) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET upto = excluded.upto, changed_at = excluded.changed_at"
)


async def lock_watermarks(conn: AsyncConnection, keys: Sequence[StreamKey]) -> dict[StreamKey, int]:
    """Return the watermarks, 0 for a new stream, locked until the transaction ends."""
    if conn.dialect.name == "sqlite":  # the one writer has the whole database
        driver = await driver_of(conn)
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
    driver, moment = await driver_of(conn), now()
    if conn.dialect.name == "sqlite":
        for key, upto in marks.items():
            await driver.execute_fetchall(_LITE_RAISE, (upto, sqlite_text(moment), *key))
        return
    edges, epochs, streams = (list(column) for column in zip(*marks, strict=True))
    await driver.execute(_PG_RAISE, edges, epochs, streams, list(marks.values()), moment)
