"""The outbox: one row for each delivery of a message to a subscriber. A row that is gone has been delivered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from central.db import UtcDateTime, metadata

PENDING: Final = "pending"
PARKED: Final = "parked"

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("message", String(26), nullable=False),
    Column("type", String(128), nullable=False),
    Column("subscriber", String(64), nullable=False),
    Column("key", String(256), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", String(1024), nullable=False),
    Index("ix_outbox_subscriber_state_id", "subscriber", "state", "id"),
)


async def put(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Add deliveries."""
    await conn.execute(insert(outbox), rows)


async def waiting(conn: AsyncConnection, subscriber: str, limit: int) -> Sequence[Row[int, str, datetime]]:
    """Return (id, key, due_at) of what a subscriber has yet to get, in order."""
    query = select(outbox.c.id, outbox.c.key, outbox.c.due_at)
    query = query.where(outbox.c.subscriber == subscriber, outbox.c.state == PENDING)
    return (await conn.execute(query.order_by(outbox.c.id).limit(limit))).all()


async def claim(conn: AsyncConnection, delivery: int) -> Row[Any] | None:
    """Return a pending delivery and lock it; None where it is gone, parked or another worker's."""
    query = select(outbox).where(outbox.c.id == delivery, outbox.c.state == PENDING)
    return (await conn.execute(query.with_for_update(skip_locked=True))).one_or_none()


async def delivered(conn: AsyncConnection, delivery: int) -> None:
    """Take a delivery out."""
    await conn.execute(delete(outbox).where(outbox.c.id == delivery))


async def failed(conn: AsyncConnection, delivery: int, *, error: str, due_at: datetime, park: bool) -> None:
    """Note a failure, and when to try again or that it is given up."""
    change = update(outbox).where(outbox.c.id == delivery)
    state = PARKED if park else PENDING
    await conn.execute(change.values(attempts=outbox.c.attempts + 1, error=error[:1024], due_at=due_at, state=state))


async def parked(conn: AsyncConnection, limit: int, after: int = 0) -> Sequence[Row[Any]]:
    """Return what was given up, oldest first."""
    query = select(outbox).where(outbox.c.state == PARKED, outbox.c.id > after)
    return (await conn.execute(query.order_by(outbox.c.id).limit(limit))).all()


async def parked_count(conn: AsyncConnection) -> int:
    """Return how many deliveries were given up."""
    query = select(func.count()).select_from(outbox).where(outbox.c.state == PARKED)
    return int((await conn.execute(query)).scalar_one())


async def unpark(conn: AsyncConnection, delivery: int, due_at: datetime) -> str | None:
    """Put a parked delivery back; return its subscriber, None where there is no such."""
    change = update(outbox).where(outbox.c.id == delivery, outbox.c.state == PARKED)
    change = change.values(state=PENDING, attempts=0, due_at=due_at)
    name: str | None = (await conn.execute(change.returning(outbox.c.subscriber))).scalar_one_or_none()
    return name
