"""The SQL of API keys."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import api_keys


async def add(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Add a key."""
    await conn.execute(insert(api_keys), dict(row))


async def by_prefix(conn: AsyncConnection, prefix: str) -> Row[Any] | None:
    """Return the key with a prefix."""
    return (await conn.execute(select(api_keys).where(api_keys.c.prefix == prefix))).one_or_none()


async def by_id(conn: AsyncConnection, key_id: str, *, lock: bool = False) -> Row[Any] | None:
    """Return a key by its id, locked for a change if asked."""
    query = select(api_keys).where(api_keys.c.id == key_id)
    return (await conn.execute(query.with_for_update() if lock else query)).one_or_none()


async def any_key(conn: AsyncConnection) -> bool:
    """Tell whether there is a key at all."""
    return (await conn.execute(select(api_keys.c.id).limit(1))).first() is not None


def all_keys() -> Select[Any]:
    """Return the query of all keys."""
    return select(api_keys)


async def change(conn: AsyncConnection, key_id: str, values: Mapping[str, Any]) -> None:
    """Change a key; its version grows."""
    values = {**values, "version": api_keys.c.version + 1}
    await conn.execute(update(api_keys).where(api_keys.c.id == key_id).values(values))


async def note_used(conn: AsyncConnection, used: Mapping[str, datetime]) -> None:
    """Note when keys were last used; this is no change of version."""
    query = update(api_keys).where(api_keys.c.id == bindparam("key_id")).values(last_used_at=bindparam("used_at"))
    await conn.execute(query, [{"key_id": key_id, "used_at": moment} for key_id, moment in used.items()])
