"""The SQL of boardings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, bindparam, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clearance.boarding_model import boardings, cabin_anomalies, visits
from central.clearance.store import Wanted, add_rows, matching
from central.upsert import insert_into

BOARDING_ORDER = [boardings.c.id]
VISIT_ORDER = [visits.c.position, visits.c.attempt, visits.c.token]
ANOMALY_ORDER = [cabin_anomalies.c.position]

Place = tuple[str, str, str]
"""(edge, lane, boarding): what tells boardings apart."""

Visit = tuple[str, str, str]
"""(id of the boarding, attempt, token)"""


async def locked(conn: AsyncConnection, places: Iterable[Place]) -> dict[Place, Row[Any]]:
    """Return boardings, locked in one order, so that two workers never wait for one another."""
    names = tuple_(boardings.c.edge, boardings.c.lane, boardings.c.boarding)
    query = select(boardings).where(names.in_(sorted(places))).order_by(boardings.c.id)
    return {(row.edge, row.lane, row.boarding): row for row in (await conn.execute(query.with_for_update())).all()}


async def add(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Add a boarding, unless it is there."""
    await conn.execute(insert_into(conn, boardings).values(dict(row)).on_conflict_do_nothing())


async def save(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write whole boardings back."""
    columns = [column for column in boardings.c if column.name != "id"]
    values = {column.name: bindparam(f"new_{column.name}", type_=column.type) for column in columns}
    query = update(boardings).where(boardings.c.id == bindparam("of_id")).values(values)
    told = [{"of_id": one["id"], **{f"new_{column.name}": one[column.name] for column in columns}} for one in rows]
    await conn.execute(query, told)


async def visits_of(conn: AsyncConnection, names: Iterable[Visit]) -> dict[Visit, Row[Any]]:
    """Return visits, whose boardings are locked."""
    query = select(visits).where(tuple_(visits.c.boarding_id, visits.c.attempt, visits.c.token).in_(sorted(names)))
    return {(row.boarding_id, row.attempt, row.token): row for row in (await conn.execute(query)).all()}


async def save_visits(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write whole visits."""
    if not rows:
        return
    names = [column.name for column in visits.primary_key]
    query = insert_into(conn, visits)
    changes = {column.name: query.excluded[column.name] for column in visits.c if column.name not in names}
    await conn.execute(query.on_conflict_do_update(index_elements=names, set_=changes), [dict(row) for row in rows])


async def add_anomalies(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert anomalies."""
    await add_rows(conn, cabin_anomalies, rows)


async def by_id(conn: AsyncConnection, boarding: str) -> Row[Any] | None:
    """Return a boarding."""
    return (await conn.execute(select(boardings).where(boardings.c.id == boarding))).one_or_none()


async def outcomes(conn: AsyncConnection, boarding: str) -> Sequence[Row[Any]]:
    """Return (attempt, token, outcome, left_at) of all visits of a boarding, in the order of their last events."""
    what = [visits.c.attempt, visits.c.token, visits.c.outcome, visits.c.left_at]
    query: Select[Any] = select(*what).where(visits.c.boarding_id == boarding).order_by(visits.c.last_position)
    rows: Sequence[Row[Any]] = (await conn.execute(query)).all()
    return rows


def every(wanted: Wanted) -> Select[Any]:
    """Return the query of boardings; the times are those of the opening."""
    query = matching(boardings, Wanted(sites=wanted.sites, equal=wanted.equal))
    if wanted.begin is not None:
        query = query.where(boardings.c.opened_at >= wanted.begin)
    return query if wanted.end is None else query.where(boardings.c.opened_at < wanted.end)


def visits_in(boarding: str) -> Select[Any]:
    """Return the query of a boarding's visits."""
    return select(visits).where(visits.c.boarding_id == boarding)


def anomalies(wanted: Wanted) -> Select[Any]:
    """Return the query of anomalies."""
    return matching(cabin_anomalies, wanted)
