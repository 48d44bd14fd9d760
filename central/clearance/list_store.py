"""The SQL of lists, their entries and their audit."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, Text, cast, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clearance.list_model import ANY_SITE, EntryState, audit, entries, list_edges, lists
from central.upsert import insert_into


async def add_list(conn: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """Add a list; False where its id is taken."""
    query = insert_into(conn, lists).values(dict(row)).on_conflict_do_nothing().returning(lists.c.id)
    return (await conn.execute(query)).one_or_none() is not None


async def list_by_id(conn: AsyncConnection, list_id: str, *, lock: bool = False) -> Row[Any] | None:
    """Return a list, locked for a change if asked."""
    query = select(lists).where(lists.c.id == list_id)
    return (await conn.execute(query.with_for_update() if lock else query)).one_or_none()


async def change_list(conn: AsyncConnection, list_id: str, values: Mapping[str, Any]) -> Row[Any]:
    """Change a list; its version grows. Return it as it is then."""
    query = update(lists).where(lists.c.id == list_id).values(**values, version=lists.c.version + 1)
    return (await conn.execute(query.returning(*lists.c))).one()


async def content_changed(conn: AsyncConnection, list_id: str) -> int:
    """Count a change of a list's content, so that a snapshot is due; return the count. The list stays locked."""
    query = update(lists).where(lists.c.id == list_id).values(changes=lists.c.changes + 1)
    return int((await conn.execute(query.returning(lists.c.changes))).scalar_one())


async def announce_again(conn: AsyncConnection, edge: str | None = None) -> None:
    """Make an announcement due, to one edge or to all."""
    query = update(list_edges).values(announced_at=None)
    await conn.execute(query if edge is None else query.where(list_edges.c.edge == edge))


def lists_at(sites: Iterable[str] | None) -> Select[Any]:
    """Return the query of the lists that are for any of these sites (None: all lists)."""
    if sites is None:
        return select(lists)
    text = cast(lists.c.sites, Text)
    return select(lists).where(or_(*(text.contains(f'"{site}"', autoescape=True) for site in {*sites, ANY_SITE})))


async def add_entries(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add entries."""
    if rows:
        await conn.execute(insert(entries), [dict(row) for row in rows])


async def entries_by_id(
    conn: AsyncConnection, list_id: str, ids: Iterable[str], *, lock: bool = False
) -> dict[str, Row[Any]]:
    """Return the entries of a list with these ids, locked for a change if asked."""
    query = select(entries).where(entries.c.list_id == list_id, entries.c.id.in_(sorted(set(ids))))
    query = query.order_by(entries.c.id)
    rows = (await conn.execute(query.with_for_update() if lock else query)).all()
    return {row.id: row for row in rows}


async def change_entry(conn: AsyncConnection, entry: str, values: Mapping[str, Any]) -> Row[Any]:
    """Change an entry; its version grows. Return it as it is then."""
    query = update(entries).where(entries.c.id == entry).values(**values, version=entries.c.version + 1)
    return (await conn.execute(query.returning(*entries.c))).one()


def entries_of(list_id: str, *, state: str | None = None, token: str | None = None) -> Select[Any]:
    """Return the query of a list's entries."""
    query = select(entries).where(entries.c.list_id == list_id)
    if state is not None:
        query = query.where(entries.c.state == state)
    return query if token is None else query.where(entries.c.token == token)


async def past_their_time(conn: AsyncConnection, at: datetime, limit: int) -> Sequence[Row[Any]]:
    """Return live entries that are past `valid_to`."""
    gone = (EntryState.WITHDRAWN.value, EntryState.EXPIRED.value)
    query = select(entries).where(entries.c.valid_to <= at, entries.c.state.not_in(gone))
    return (await conn.execute(query.order_by(entries.c.id).limit(limit))).all()


async def note(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append to the audit."""
    if rows:
        await conn.execute(insert(audit), [dict(row) for row in rows])


def audit_of(list_id: str) -> Select[Any]:
    """Return the query of a list's audit."""
    return select(audit).where(audit.c.list_id == list_id)
