"""The SQL of tickets."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central.ticketing.model import conditions, holds, numbers, ticket_events, tickets
from central.upsert import insert_into


async def next_number(conn: AsyncConnection, day: str) -> int:
    """Return the next number of a day (YYYYMMDD); its row stays locked until the transaction ends."""
    query = insert_into(conn, numbers).values(day=day, last=1)
    query = query.on_conflict_do_update(index_elements=["day"], set_={"last": numbers.c.last + 1})
    return int((await conn.execute(query.returning(numbers.c.last))).scalar_one())


async def add(conn: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """Add a ticket; False where its trouble has an open one already."""
    query = insert_into(conn, tickets).values(dict(row)).on_conflict_do_nothing(index_elements=["open_key"])
    return (await conn.execute(query.returning(tickets.c.id))).one_or_none() is not None


async def open_for(conn: AsyncConnection, open_key: str) -> Row[Any] | None:
    """Return the open ticket of a trouble, locked."""
    return (await conn.execute(select(tickets).where(tickets.c.open_key == open_key).with_for_update())).one_or_none()


async def last_closed(conn: AsyncConnection, dedup_key: str) -> Row[Any] | None:
    """Return the ticket of a trouble that was closed last, locked."""
    query = select(tickets).where(tickets.c.dedup_key == dedup_key, tickets.c.closed_at.is_not(None))
    query = query.order_by(tickets.c.closed_at.desc()).limit(1)
    return (await conn.execute(query.with_for_update())).one_or_none()


async def open_of_asset(conn: AsyncConnection, asset: str) -> Sequence[Row[Any]]:
    """Return the open tickets of an asset's troubles, locked."""
    query = select(tickets).where(tickets.c.asset == asset, tickets.c.open_key.is_not(None))
    return (await conn.execute(query.order_by(tickets.c.id).with_for_update())).all()


async def by_code(conn: AsyncConnection, code: str, *, lock: bool = False) -> Row[Any] | None:
    """Return a ticket, locked for a change if asked."""
    query = select(tickets).where(tickets.c.code == code)
    return (await conn.execute(query.with_for_update() if lock else query)).one_or_none()


async def change(conn: AsyncConnection, ticket: str, values: Mapping[str, Any]) -> Row[Any]:
    """Change a ticket; its version grows. Return it as it is then."""
    query = update(tickets).where(tickets.c.id == ticket).values(**values, version=tickets.c.version + 1)
    return (await conn.execute(query.returning(*tickets.c))).one()


async def log(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Append to a ticket's log."""
    await conn.execute(insert(ticket_events), dict(row))


def matching(sites: Iterable[str] | None, wanted: Mapping[str, str | None]) -> Select[Any]:
    """Return the query of tickets at these sites (None: all) with these values of columns (None: any)."""
    query = select(tickets)
    if sites is not None:
        query = query.where(tickets.c.site.in_(sorted(sites)))
    for name, value in wanted.items():
        if value is not None:
            query = query.where(tickets.c[name] == value)
    return query


def events_of(ticket: str) -> Select[Any]:
    """Return the query of a ticket's log."""
    return select(ticket_events).where(ticket_events.c.ticket == ticket)


async def note_condition(conn: AsyncConnection, asset: str, health: str, at: datetime) -> None:
    """Keep an asset's health."""
    query = insert_into(conn, conditions).values(asset=asset, health=health, at=at)
    await conn.execute(query.on_conflict_do_update(index_elements=["asset"], set_={"health": health, "at": at}))


async def condition_of(conn: AsyncConnection, asset: str) -> str | None:
    """Return an asset's health, None where it was never told."""
    query = select(conditions.c.health).where(conditions.c.asset == asset)
    return (await conn.execute(query)).scalar_one_or_none()


async def hold(conn: AsyncConnection, asset: str, fault_class: str, fault: Mapping[str, Any], due_at: datetime) -> None:
    """Let a trouble wait; one that waits already keeps its time."""
    row = {"asset": asset, "fault_class": fault_class, "fault": dict(fault), "due_at": due_at}
    await conn.execute(insert_into(conn, holds).values(row).on_conflict_do_nothing())


async def unhold(conn: AsyncConnection, asset: str, keep: Iterable[str] = ()) -> None:
    """Let the troubles of an asset wait no longer, but for those to keep."""
    await conn.execute(delete(holds).where(holds.c.asset == asset, holds.c.fault_class.not_in(sorted(keep))))


async def take_due(conn: AsyncConnection, at: datetime, limit: int) -> Sequence[Row[Any]]:
    """Take out the troubles that waited long enough."""
    query = select(holds).where(holds.c.due_at <= at).order_by(holds.c.due_at).limit(limit)
    rows = (await conn.execute(query.with_for_update(skip_locked=True))).all()
    for row in rows:
        taken = delete(holds).where(holds.c.asset == row.asset, holds.c.fault_class == row.fault_class)
        await conn.execute(taken)
    return rows
