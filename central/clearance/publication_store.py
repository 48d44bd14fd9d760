"""The SQL of snapshots, announcements and deliveries."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clearance.list_model import EntryState, deliveries, entries, list_edges, lists, snapshots
from central.db import now
from central.upsert import insert_into

_AT_ONCE = 1_000
_REFUSED = ("refused_version", "refused_code", "refused_detail", "refused_at")


async def due_lists(conn: AsyncConnection) -> Sequence[str]:
    """Return the lists whose newest snapshot is behind."""
    query = select(lists.c.id).where(lists.c.changes > lists.c.built_changes)
    return (await conn.execute(query.order_by(lists.c.id))).scalars().all()


async def list_row(conn: AsyncConnection, list_id: str) -> Row[Any]:
    """Return a list."""
    return (await conn.execute(select(lists).where(lists.c.id == list_id))).one()


async def active_entries(conn: AsyncConnection, list_id: str) -> Sequence[Row[Any]]:
    """Return (id, token, valid_from, valid_to, person_class) of what shall be in force; others run meanwhile."""
    columns = [entries.c[name] for name in ("id", "token", "valid_from", "valid_to", "person_class")]
    query = select(*columns).where(entries.c.list_id == list_id, entries.c.state == EntryState.ACTIVE.value)
    found: list[Row[Any]] = []
    async with conn.stream(query) as result:
        async for some in result.partitions(_AT_ONCE):
            found += some
            await asyncio.sleep(0)
    return found


async def snapshot(conn: AsyncConnection, list_id: str, version: int) -> Row[Any] | None:
    """Return a snapshot."""
    query = select(snapshots).where(snapshots.c.list_id == list_id, snapshots.c.version == version)
    return (await conn.execute(query)).one_or_none()


async def still_due(conn: AsyncConnection, list_id: str, version: int, changes: int) -> bool:
    """Lock a list; tell whether nobody has built these changes meanwhile."""
    query = select(lists.c.content_version, lists.c.built_changes).where(lists.c.id == list_id).with_for_update()
    row = (await conn.execute(query)).one()
    return bool(row.content_version == version and row.built_changes < changes)


async def nothing_new(conn: AsyncConnection, list_id: str, changes: int) -> None:
    """Note that the newest snapshot has all changes, since they came to nothing."""
    await conn.execute(update(lists).where(lists.c.id == list_id).values(built_changes=changes))


async def put_snapshot(conn: AsyncConnection, row: Mapping[str, Any], *, changes: int, keep: int) -> None:
    """Store a snapshot and put it in force; announcements are due, old versions go."""
    list_id, version = row["list_id"], row["version"]
    await conn.execute(insert(snapshots), dict(row))
    new = {"content_version": version, "content_entries": row["entries"], "built_changes": changes}
    await conn.execute(update(lists).where(lists.c.id == list_id).values(new))
    fresh = update(entries).where(
        entries.c.list_id == list_id,
        entries.c.state == EntryState.ACTIVE.value,
        entries.c.first_version.is_(None),
        entries.c.since_change <= changes,
    )
    await conn.execute(fresh.values(first_version=version))
    old = delete(snapshots).where(snapshots.c.list_id == list_id, snapshots.c.version <= version - keep)
    await conn.execute(old)
    await conn.execute(update(list_edges).values(announced_at=None))


async def newest_snapshots(conn: AsyncConnection) -> Sequence[Row[Any]]:
    """Return (list_id, version, digest, size, delta_from, sites) of all lists in force."""
    newest = and_(snapshots.c.list_id == lists.c.id, snapshots.c.version == lists.c.content_version)
    columns = [*(snapshots.c[name] for name in ("list_id", "version", "digest", "size", "delta_from")), lists.c.sites]
    query = select(*columns).select_from(snapshots).join(lists, newest).order_by(snapshots.c.list_id)
    found: Sequence[Row[Any]] = (await conn.execute(query)).all()
    return found


def snapshots_of(list_id: str) -> Select[Any]:
    """Return the query of a list's snapshots, without their content."""
    wanted = [column for column in snapshots.c if column.name not in {"content", "delta"}]
    return select(*wanted).where(snapshots.c.list_id == list_id)


def _due(before: datetime) -> Any:
    return or_(list_edges.c.announced_at.is_(None), list_edges.c.announced_at <= before)


async def any_due_edge(conn: AsyncConnection, before: datetime) -> bool:
    """Tell whether an edge waits for an announcement, or heard none since `before`."""
    return (await conn.execute(select(list_edges.c.edge).where(_due(before)).limit(1))).first() is not None


async def take_due_edges(conn: AsyncConnection, before: datetime, serial: int) -> Sequence[Row[Any]]:
    """Give each due edge its next serial, at least `serial`; return (edge, site, serial, announced_at)."""
    query = select(list_edges.c.edge).where(_due(before)).order_by(list_edges.c.edge)
    due = (await conn.execute(query.with_for_update(skip_locked=True))).scalars().all()
    larger = func.max if conn.dialect.name == "sqlite" else func.greatest
    change = update(list_edges).where(list_edges.c.edge.in_(due))
    change = change.values(serial=larger(list_edges.c.serial + 1, serial), announced_at=now())
    return (await conn.execute(change.returning(*list_edges.c))).all()


async def make_due(conn: AsyncConnection, edges: Iterable[str]) -> None:
    """Make an announcement due to these edges."""
    await conn.execute(update(list_edges).where(list_edges.c.edge.in_(sorted(edges))).values(announced_at=None))


async def note_edge(conn: AsyncConnection, edge: str, site: str) -> None:
    """Know an edge; an announcement to it is due."""
    query = insert_into(conn, list_edges).values(edge=edge, site=site, serial=0, announced_at=None)
    await conn.execute(query.on_conflict_do_update(index_elements=["edge"], set_={"announced_at": None}))


async def note_applied(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Note what is in force at an edge; what it refused before is over."""
    await _note_delivery(conn, {**row, **dict.fromkeys(_REFUSED)})


async def note_refused(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Note what an edge refused; what is in force there stays."""
    await _note_delivery(conn, row)


async def _note_delivery(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Note a delivery, unless a newer event was noted."""
    query = insert_into(conn, deliveries).values(dict(row))
    new = {name: value for name, value in row.items() if name not in {"list_id", "edge"}}
    older = deliveries.c.position < row["position"]
    await conn.execute(query.on_conflict_do_update(index_elements=["list_id", "edge"], set_=new, where=older))


def deliveries_of(list_id: str, sites: Iterable[str] | None) -> Select[Any]:
    """Return the query of all edges at these sites (None: all) with what each has of a list."""
    told = [column for column in deliveries.c if column.name not in {"edge", "site", "list_id", "position"}]
    mine = and_(deliveries.c.edge == list_edges.c.edge, deliveries.c.list_id == list_id)
    query = select(list_edges.c.edge, list_edges.c.site, list_edges.c.announced_at, *told).outerjoin(deliveries, mine)
    return query if sites is None else query.where(list_edges.c.site.in_(sorted(sites)))
