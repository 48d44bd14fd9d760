"""The SQL of locators. Positions come by the hundred a second: they are written by the drivers themselves.

Each works within the transaction of `conn`. Errors of the drivers are not wrapped; `central.db.transient` knows them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, MetaData, Row, Select, Table, and_, delete, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bulk import driver_of, sqlite_text
from central.db import UtcDateTime
from central.duty.model import locators, positions

LOCATOR_ORDER = [locators.c.terminal, locators.c.edge]
POSITION_ORDER = [positions.c.taken_at, positions.c.edge, positions.c.event]

_NEWEST: Final = {
    "last_seen_at": ("device", "last_seen_at"),
    "online_position": ("online", "online_at", "online_position"),
    "described_position": ("vendor", "model", "firmware", "described_position"),
    "reported_at": ("reported_at", "fixed", "acc_on", "alarm_bits", "status_bits", "mileage_m"),
    "fix_at": (
        "fix_at",
        "taken_at",
        "latitude_deg",
        "longitude_deg",
        "altitude_m",
        "speed_mps",
        "course_deg",
        "satellites",
    ),
}
"""Which columns follow which: they are replaced together, by what is not older."""

_ELSEWHERE: Final = positions.to_metadata(MetaData(), name=f"{positions.name}_default")
"""On PostgreSQL: positions of no month that has a partition. Months leave whole."""

_LOCATOR_VALUES: Final = itemgetter(*(column.name for column in locators.c))


@dataclass(frozen=True, slots=True)
class WantedPositions:
    """Which positions of a terminal. None: any; `begin` is in, `end` is out."""

    terminal: str
    edges: Sequence[str]
    sites: Sequence[str]
    begin: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Outdated:
    """Positions taken and received before `before`, or received before it and taken after `moment`, which is now."""

    before: datetime
    moment: datetime


async def add_positions(conn: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert positions, values in the order of the table's columns; those that are there already stay as they are."""
    if not rows:
        return
    driver = await driver_of(conn)
    if conn.dialect.name == "sqlite":
        statement = f"{_insert(positions, '?')} ON CONFLICT DO NOTHING"
        await (await driver.executemany(statement, _as_text(positions, rows))).close()
        return
    await driver.execute(_pg_positions(), *(list(column) for column in zip(*rows, strict=True)))


async def save_locators(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert locators, or replace what is not newer of those that are there; in one order, so that nobody waits."""
    if not rows:
        return
    driver = await driver_of(conn)
    values = [_LOCATOR_VALUES(row) for row in sorted(rows, key=itemgetter("edge", "terminal"))]
    if conn.dialect.name == "sqlite":
        await (await driver.executemany(_upsert("?"), _as_text(locators, values))).close()
    else:
        await driver.executemany(_upsert("$"), values)


async def note_edge(conn: AsyncConnection, edge: str, *, online: bool) -> None:
    """Note that an edge came or went."""
    await conn.execute(update(locators).where(locators.c.edge == edge).values(edge_online=online))


async def let_go(conn: AsyncConnection, edge: str, before: datetime) -> None:
    """Take an edge's terminals for gone that came before a moment."""
    gone = and_(locators.c.edge == edge, locators.c.online, locators.c.online_at < before)
    await conn.execute(update(locators).where(gone).values(online=False, online_at=before))


async def of_terminal(conn: AsyncConnection, terminal: str) -> Sequence[Row[Any]]:
    """Return what the edges know of a terminal, the one that heard it last first."""
    query = select(locators).where(locators.c.terminal == terminal)
    return (await conn.execute(query.order_by(locators.c.last_seen_at.desc(), locators.c.edge))).all()


def matching(sites: Iterable[str] | None, equal: Mapping[str, str | None], online: bool | None) -> Select[Any]:
    """Return the query of locators at these sites (None: all) with these values (None: any)."""
    query = select(locators).where(*(locators.c[name] == value for name, value in equal.items() if value is not None))
    if sites is not None:
        query = query.where(locators.c.site.in_(sorted(sites)))
    return query if online is None else query.where(_is(online))


def track(wanted: WantedPositions) -> Select[Any]:
    """Return the query of a terminal's positions."""
    query = select(positions).where(
        positions.c.site.in_(wanted.sites),
        positions.c.edge.in_(wanted.edges),
        positions.c.terminal == wanted.terminal,
    )
    if wanted.begin is not None:
        query = query.where(positions.c.taken_at >= wanted.begin)
    return query if wanted.end is None else query.where(positions.c.taken_at < wanted.end)


async def with_outdated(conn: AsyncConnection, outdated: Outdated) -> Sequence[Row[Any, Any, Any]]:
    """Return (site, edge, terminal) of the locators that have positions to be forgotten one by one."""
    table = _one_by_one(conn)
    same = and_(*(table.c[name] == locators.c[name] for name in ("site", "edge", "terminal")))
    found = or_(*(select(1).where(same, *one).exists() for one in _out_of_date(table, outdated)))
    return (await conn.execute(select(locators.c.site, locators.c.edge, locators.c.terminal).where(found))).all()


async def forget(conn: AsyncConnection, locator: Row[Any, Any, Any], outdated: Outdated, limit: int) -> int:
    """Delete so many of a locator's positions that are out of date; return how many."""
    table = _one_by_one(conn)
    same = and_(*(table.c[name] == getattr(locator, name) for name in ("site", "edge", "terminal")))
    key = table.c.taken_at, table.c.event
    left = limit
    for one in _out_of_date(table, outdated):
        if left:
            some = select(*key).where(same, *one).limit(left)
            left -= (await conn.execute(delete(table).where(same, tuple_(*key).in_(some)))).rowcount
    return limit - left


def _one_by_one(conn: AsyncConnection) -> Table:
    return positions if conn.dialect.name == "sqlite" else _ELSEWHERE


def _out_of_date(table: Table, outdated: Outdated) -> Sequence[tuple[ColumnElement[bool], ...]]:
    """Return two ranges of the key: what was taken before, and what a wrong clock took in the future."""
    received = table.c.received_at < outdated.before
    return (table.c.taken_at < outdated.before, received), (table.c.taken_at > outdated.moment, received)


def _is(online: bool) -> ColumnElement[bool]:
    if online:
        return and_(locators.c.online, locators.c.edge_online)
    return and_(locators.c.online.is_not(None), or_(~locators.c.online, ~locators.c.edge_online))


def _insert(table: Table, mark: str) -> str:
    names = [column.name for column in table.c]
    places = ["?" if mark == "?" else f"${number + 1}" for number in range(len(names))]
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(places)})"  # noqa: S608 our own names


@cache
def _pg_positions() -> str:
    """Return the insertion of columns as arrays: COPY knows no conflicts."""
    kinds = {"String": "text", "DateTime": "timestamptz", "Float": "float8", "Boolean": "bool"}
    kinds |= {"BigInteger": "bigint", "Integer": "integer"}
    names, arrays = [], []
    for number, column in enumerate(positions.c, 1):
        kind = "DateTime" if isinstance(column.type, UtcDateTime) else type(column.type).__name__
        names.append(column.name)
        arrays.append(f"${number}::{kinds[kind]}[]")
    told = f"INSERT INTO {positions.name} ({', '.join(names)}) SELECT * FROM unnest({', '.join(arrays)})"  # noqa: S608 our own names
    return f"{told} ON CONFLICT DO NOTHING"


@cache
def _upsert(mark: str) -> str:
    parts = [
        f"{name} = CASE WHEN locator.{key} IS NULL OR excluded.{key} >= locator.{key}"
        f" THEN excluded.{name} ELSE locator.{name} END"
        for key, names in _NEWEST.items()
        for name in names
    ]
    return f"{_insert(locators, mark)} ON CONFLICT (edge, terminal) DO UPDATE SET {', '.join(parts)}"


def _as_text(table: Table, rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Return the rows with their moments as SQLite keeps them; many are the same."""
    moments = [place for place, column in enumerate(table.c) if isinstance(column.type, UtcDateTime)]
    written: dict[datetime | None, str | None] = {None: None}
    told = [list(row) for row in rows]
    for row in told:
        for place in moments:
            moment = row[place]
            if moment not in written:
                written[moment] = sqlite_text(moment)
            row[place] = written[moment]
    return told
