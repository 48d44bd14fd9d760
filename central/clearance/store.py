"""The SQL of what happened at the lanes: decisions, passages, review items; and of the rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bulk import among, insert_rows
from central.clearance.list_model import entries, lists
from central.clearance.model import decisions, passages, reviews, rulesets
from central.upsert import insert_into
from core.clearance.model import ListEffect

DECISION_ORDER = [decisions.c.position]
PASSAGE_ORDER = [passages.c.position]
"""By storing, not by happening: what an edge brings after an outage is new to whoever reads page by page."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows. None: any; `sites` None: all. `begin` is in, `end` is out."""

    sites: Iterable[str] | None = None
    begin: datetime | None = None
    end: datetime | None = None
    equal: Mapping[str, str | bool | None] | None = None


async def add_rows(conn: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert whole rows."""
    values = itemgetter(*(column.name for column in table.c))
    await insert_rows(conn, table, [values(row) for row in rows])


def matching(table: Table, wanted: Wanted) -> Select[Any]:
    """Return the query of decisions or passages."""
    return select(table).where(*_conditions(table, wanted))


async def summary(conn: AsyncConnection, wanted: Wanted) -> Sequence[Row[Any]]:
    """Return (site, lane, kind, direction, passages, persons), counted."""
    what = (passages.c.site, passages.c.lane, passages.c.kind, passages.c.direction)
    counted = (func.count().label("passages"), func.sum(passages.c.persons).label("persons"))
    query = select(*what, *counted).where(*_conditions(passages, wanted)).group_by(*what).order_by(*what)
    return (await conn.execute(query)).all()


def _conditions(table: Table, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = [table.c[name] == value for name, value in (wanted.equal or {}).items() if value is not None]
    if wanted.sites is not None:
        conditions.append(table.c.site.in_(sorted(wanted.sites)))
    if wanted.begin is not None:
        conditions.append(table.c.at >= wanted.begin)
    if wanted.end is not None:
        conditions.append(table.c.at < wanted.end)
    return conditions


async def refuse_entries(conn: AsyncConnection, tokens: Iterable[str]) -> Sequence[Row[Any]]:
    """Return the entries of refuse lists that were ever in force against these tokens, with their lists' sites."""
    query = select(entries, lists.c.sites).join(lists, lists.c.id == entries.c.list_id)
    query = query.where(
        among(conn, entries.c.token, tokens),
        entries.c.approved_at.is_not(None),
        lists.c.effect == ListEffect.REFUSE.value,
    )
    return (await conn.execute(query.order_by(entries.c.id))).all()


async def add_review(conn: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """Add a review item; False where the decision has one already."""
    query = insert_into(conn, reviews).values(dict(row)).on_conflict_do_nothing(index_elements=["decision"])
    return (await conn.execute(query.returning(reviews.c.id))).one_or_none() is not None


def all_reviews(sites: Iterable[str] | None) -> Select[Any]:
    """Return the query of review items at these sites (None: all)."""
    return select(reviews) if sites is None else select(reviews).where(reviews.c.site.in_(sorted(sites)))


async def current_rules(conn: AsyncConnection, site: str, *, lock: bool = False) -> Row[Any] | None:
    """Return the rules in force at a site."""
    query = select(rulesets).where(rulesets.c.site == site, rulesets.c.current)
    return (await conn.execute(query.with_for_update() if lock else query)).one_or_none()


async def rules_of(conn: AsyncConnection, site: str, version: int) -> Row[Any] | None:
    """Return a version of a site's rules."""
    query = select(rulesets).where(rulesets.c.site == site, rulesets.c.version == version)
    return (await conn.execute(query)).one_or_none()


async def all_current_rules(conn: AsyncConnection, sites: Iterable[str] | None) -> Sequence[Row[Any]]:
    """Return the rules in force at these sites (None: all)."""
    query = select(rulesets).where(rulesets.c.current)
    query = query if sites is None else query.where(rulesets.c.site.in_(sorted(sites)))
    return (await conn.execute(query.order_by(rulesets.c.site))).all()


async def put_rules(conn: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """Put a version in force; False where that version is there already."""
    await conn.execute(update(rulesets).where(rulesets.c.site == row["site"]).values(current=False))
    query = insert_into(conn, rulesets).values(dict(row)).on_conflict_do_nothing().returning(rulesets.c.site)
    return (await conn.execute(query)).one_or_none() is not None


async def entries_against(conn: AsyncConnection, tokens: Iterable[str], state: str) -> Sequence[Row[Any]]:
    """Return the entries with these tokens that are in a state."""
    query = select(entries).where(among(conn, entries.c.token, tokens), entries.c.state == state)
    return (await conn.execute(query.order_by(entries.c.id))).all()


async def every_list(conn: AsyncConnection) -> Sequence[Row[Any]]:
    """Return all lists."""
    return (await conn.execute(select(lists).order_by(lists.c.id))).all()
