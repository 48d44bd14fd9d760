"""The SQL of the edges' seal keys."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clearance.seal_model import seal_keys
from central.upsert import insert_into

ORDER = [seal_keys.c.key_id]


def of_edge(edge: str) -> Select[Any]:
    """Return the query of an edge's keys."""
    return select(seal_keys).where(seal_keys.c.edge == edge)


async def one(conn: AsyncConnection, edge: str, key_id: str, *, lock: bool = False) -> Row[Any] | None:
    """Return a key."""
    query = of_edge(edge).where(seal_keys.c.key_id == key_id)
    row: Row[Any] | None = (await conn.execute(query.with_for_update() if lock else query)).one_or_none()
    return row


async def add(conn: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """Add a key; tell whether it was not there."""
    added = await conn.execute(insert_into(conn, seal_keys).values(dict(row)).on_conflict_do_nothing())
    return added.rowcount == 1


async def annotate(conn: AsyncConnection, row: Row[Any], note: str) -> None:
    """Change a key's note; its version grows."""
    change = update(seal_keys).where(seal_keys.c.edge == row.edge, seal_keys.c.key_id == row.key_id)
    await conn.execute(change.values(note=note, version=seal_keys.c.version + 1))
