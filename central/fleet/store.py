"""The SQL of the fleet."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, Table, case, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import ANY_SITE
from central.eventstore import watermarks
from central.fleet.model import commands, edges, lanes
from central.upsert import insert_into
from core.messages.commands import CommandDevice


def _at(query: Select[Any], table: Table, sites: Collection[str]) -> Select[Any]:
    return query if ANY_SITE in sites else query.where(table.c.site.in_(sorted(sites)))


def edges_at(sites: Collection[str]) -> Select[Any]:
    """Return the query of the edges at sites; `heard_at` is when something of theirs was stored last."""
    heard = select(watermarks.c.edge, func.max(watermarks.c.changed_at).label("heard_at"))
    last = heard.group_by(watermarks.c.edge).subquery()
    query = select(edges, last.c.heard_at).outerjoin(last, last.c.edge == edges.c.name)
    return _at(query, edges, sites)


def lanes_at(sites: Collection[str]) -> Select[Any]:
    """Return the query of the lanes at sites."""
    return _at(select(lanes), lanes, sites)


def commands_at(sites: Collection[str]) -> Select[Any]:
    """Return the query of the commands at sites."""
    return _at(select(commands), commands, sites)


async def _put(
    conn: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], *, keep: Collection[str] = ()
) -> None:
    """Insert rows, or replace what stands under their primary keys, except the columns to `keep`."""
    keys = [column.name for column in table.primary_key]
    insertion = insert_into(conn, table)
    changed = {name: insertion.excluded[name] for name in rows[0] if name not in keys and name not in keep}
    statement = insertion.on_conflict_do_update(index_elements=keys, set_=changed)
    await conn.execute(statement, [dict(row) for row in rows])


async def edge_named(conn: AsyncConnection, name: str, *, lock: bool = False) -> Row[Any] | None:
    """Return an edge."""
    query = edges_at((ANY_SITE,)).where(edges.c.name == name)
    row: Row[Any] | None = (await conn.execute(query.with_for_update(of=edges) if lock else query)).one_or_none()
    return row


async def put_edge(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Add or change an edge; when it was first seen stays."""
    await _put(conn, edges, [row], keep=("first_seen_at",))


async def online_by_site(conn: AsyncConnection) -> Sequence[Row[Any]]:
    """Return (site, how many edges are online)."""
    count = func.count().filter(edges.c.online).label("online")
    return (await conn.execute(select(edges.c.site, count).group_by(edges.c.site))).all()


async def put_lanes(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add or change lanes."""
    await _put(conn, lanes, rows)


async def lanes_named(conn: AsyncConnection, name: str, sites: Collection[str]) -> Sequence[Row[Any]]:
    """Return the lanes at sites that a name may mean: `<edge>.<lane>`, or a lane's own id."""
    matches = [lanes.c.lane == name]
    parts = name.split(".", 2)
    if len(parts) == 3:
        matches.append((lanes.c.edge == f"{parts[0]}.{parts[1]}") & (lanes.c.lane == parts[2]))
    rows: Sequence[Row[Any]] = (await conn.execute(lanes_at(sites).where(or_(*matches)).limit(3))).all()
    return rows


async def add_command(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Add a command."""
    await conn.execute(insert(commands), dict(row))


async def command_by_id(conn: AsyncConnection, command: str) -> Row[Any] | None:
    """Return a command."""
    return (await conn.execute(select(commands).where(commands.c.id == command))).one_or_none()


ORDER_AFTERWARDS: Final = case((commands.c.verb == CommandDevice.__name__, ""), else_=commands.c.order)
"""What is kept of an order that has come to its end: of a device's command nothing, its values may be secrets."""


async def move(
    conn: AsyncConnection, command: str, edge: str, *, before: Collection[str], values: Mapping[str, Any]
) -> Row[Any] | None:
    """Change a command of an edge that is in one of the states `before`; return it, None where it is not."""
    change = update(commands).where(commands.c.id == command, commands.c.edge == edge, commands.c.state.in_(before))
    return (await conn.execute(change.values(**values).returning(*commands.c))).one_or_none()


async def mark_sent(conn: AsyncConnection, ids: Collection[str], moment: datetime) -> None:
    """Note that queued commands left; those that have got further stay."""
    change = update(commands).where(commands.c.id.in_(ids), commands.c.state == "queued")
    await conn.execute(change.values(state="sent", updated_at=moment))


async def queued(conn: AsyncConnection, moment: datetime) -> Sequence[Row[Any]]:
    """Return commands that have not left and may still."""
    query = select(commands).where(commands.c.state == "queued", commands.c.expires_at > moment)
    return (await conn.execute(query.order_by(commands.c.id).limit(1000))).all()


async def open_until(conn: AsyncConnection, states: Collection[str]) -> Sequence[Row[Any]]:
    """Return the commands in these states, those whose time ends first."""
    query = select(commands).where(commands.c.state.in_(states))
    return (await conn.execute(query.order_by(commands.c.expires_at).limit(1000))).all()
