"""The SQL of assets."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, bindparam, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.equipment.model import assets, health_log
from central.upsert import insert_into

Place = tuple[str, str]
"""(site, device): what tells devices apart."""


async def locked(conn: AsyncConnection, places: Iterable[Place]) -> dict[Place, Row[Any]]:
    """Return the assets of devices, locked in one order, so that two workers never wait for one another."""
    query = select(assets).where(tuple_(assets.c.site, assets.c.device).in_(sorted(places)))
    rows = (await conn.execute(query.order_by(assets.c.tag).with_for_update())).all()
    return {(row.site, row.device): row for row in rows}


async def locked_of_edge(conn: AsyncConnection, edge: str) -> Sequence[Row[Any]]:
    """Return the assets of an edge, locked."""
    query = select(assets).where(assets.c.edge == edge).order_by(assets.c.tag)
    return (await conn.execute(query.with_for_update())).all()


async def add(conn: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """Add an asset; False where its tag, or its device, is there already."""
    added = insert_into(conn, assets).values(dict(row)).on_conflict_do_nothing().returning(assets.c.tag)
    return (await conn.execute(added)).one_or_none() is not None


async def save(conn: AsyncConnection, changed: Sequence[Mapping[str, Any]]) -> None:
    """Write whole assets back; their versions grow."""
    if not changed:
        return
    columns = [column for column in assets.c if column.name not in {"tag", "version"}]
    values = {column.name: bindparam(f"new_{column.name}", type_=column.type) for column in columns}
    query = update(assets).where(assets.c.tag == bindparam("of_tag")).values(**values, version=assets.c.version + 1)
    rows = [{"of_tag": one["tag"], **{f"new_{column.name}": one[column.name] for column in columns}} for one in changed]
    await conn.execute(query, rows)


async def log(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append changes of health."""
    if rows:
        await conn.execute(insert(health_log), [dict(row) for row in rows])


async def by_tag(conn: AsyncConnection, tag: str) -> Row[Any] | None:
    """Return an asset."""
    return (await conn.execute(select(assets).where(assets.c.tag == tag))).one_or_none()


def matching(sites: Iterable[str] | None, wanted: Mapping[str, str | None]) -> Select[Any]:
    """Return the query of assets at these sites (None: all) with these values of columns (None: any)."""
    query = select(assets)
    if sites is not None:
        query = query.where(assets.c.site.in_(sorted(sites)))
    for name, value in wanted.items():
        if value is not None:
            query = query.where(assets.c[name] == value)
    return query


def timeline(tag: str) -> Select[Any]:
    """Return the query of an asset's changes of health."""
    return select(health_log).where(health_log.c.tag == tag)
