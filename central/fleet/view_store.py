"""The SQL of cameras and of who may look at them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, and_, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import ANY_SITE
from central.fleet.view_model import cameras, views
from central.upsert import insert_into


def cameras_at(sites: Collection[str]) -> Select[Any]:
    """Return the query of the cameras at sites."""
    query = select(cameras)
    return query if ANY_SITE in sites else query.where(cameras.c.site.in_(sorted(sites)))


async def put_cameras(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add or change cameras."""
    insertion = insert_into(conn, cameras)
    changed = {name: insertion.excluded[name] for name in rows[0] if name not in {"edge", "device"}}
    statement = insertion.on_conflict_do_update(index_elements=["edge", "device"], set_=changed)
    await conn.execute(statement, [dict(row) for row in rows])


async def cameras_named(conn: AsyncConnection, name: str, sites: Collection[str]) -> Sequence[Row[Any]]:
    """Return the cameras at sites that a name may mean: `<edge>.<camera>`, or a camera's own id."""
    matches = [cameras.c.device == name]
    parts = name.split(".", 2)
    if len(parts) == 3:
        matches.append(and_(cameras.c.edge == f"{parts[0]}.{parts[1]}", cameras.c.device == parts[2]))
    rows: Sequence[Row[Any]] = (await conn.execute(cameras_at(sites).where(or_(*matches)).limit(3))).all()
    return rows


async def add_view(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Append who may look."""
    await conn.execute(insert(views), dict(row))


def views_of(edge: str, device: str) -> Select[Any]:
    """Return the query of who might look at a camera."""
    return select(views).where(views.c.edge == edge, views.c.device == device)
