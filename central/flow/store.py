"""The SQL of counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Row, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central.flow.model import people, vehicles
from central.upsert import insert_into

WHO: Final = {people.name: people.c.device, vehicles.name: vehicles.c.channel}
"""What counts: a device of people, a channel of vehicles."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which counts: buckets that begin in [begin_s, end_s). None: any."""

    begin_s: int
    end_s: int
    sites: Iterable[str] | None = None
    who: str | None = None


async def add(conn: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add counts to what is there of the same bucket; in one order, so that two workers never wait for one another."""
    if not rows:
        return
    names = [column.name for column in table.primary_key]
    query = insert_into(conn, table)
    new, summed = query.excluded, {name for name in ("entered", "left", "doubtful", "reports") if name in table.c}
    changes: dict[str, Any] = {name: table.c[name] + new[name] for name in summed}
    if "inside" in table.c:
        changes["inside"] = func.coalesce(new.inside, table.c.inside)
    ordered = sorted((dict(row) for row in rows), key=lambda row: [row[name] for name in names])
    await conn.execute(query.on_conflict_do_update(index_elements=names, set_=changes), ordered)


async def by_step(conn: AsyncConnection, table: Table, span: Span, step_s: int) -> Sequence[Row[Any]]:
    """Return (number, entered, left, doubtful) of the steps from `begin_s` on in which anything was told."""
    number = ((table.c.start_s - span.begin_s) // step_s).label("number")
    query = _within(select(number, *_sums(table)), table, span).group_by("number").order_by("number")
    rows: Sequence[Row[Any]] = (await conn.execute(query)).all()
    return rows


async def by_who(conn: AsyncConnection, table: Table, span: Span) -> Sequence[Row[Any]]:
    """Return (site, who, entered, left, doubtful) over the whole span."""
    what: tuple[Column[Any], ...] = (table.c.site, WHO[table.name])
    query = _within(select(what[0], what[1].label("who"), *_sums(table)), table, span)
    rows: Sequence[Row[Any]] = (await conn.execute(query.group_by(*what).order_by(*what))).all()
    return rows


async def latest(conn: AsyncConnection, table: Table, site: str, who: str) -> int | None:
    """Return the beginning of the last bucket that was told, in seconds since 1970."""
    query = select(func.max(table.c.start_s)).where(table.c.site == site, WHO[table.name] == who)
    found: int | None = (await conn.execute(query)).scalar_one()
    return found


def _sums(table: Table) -> list[ColumnElement[Any]]:
    return [func.sum(table.c[name]).label(name) for name in ("entered", "left", "doubtful")]


def _within(query: Select[Any], table: Table, span: Span) -> Select[Any]:
    query = query.where(table.c.start_s >= span.begin_s, table.c.start_s < span.end_s)
    if span.sites is not None:
        query = query.where(table.c.site.in_(sorted(span.sites)))
    return query if span.who is None else query.where(WHO[table.name] == span.who)
