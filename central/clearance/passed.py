"""How many persons went through lanes: what flow compares its counters with."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clearance.model import PassageKind, passages
from core.clearance.model import Direction

_THROUGH: Final = sorted(kind.value for kind in PassageKind if kind is not PassageKind.TIMED_OUT)


async def persons(
    conn: AsyncConnection, site: str, lanes: Collection[str], begin: datetime, end: datetime
) -> tuple[int, int]:
    """Return (in, out) of the persons that went through in [begin, end), released or not."""
    query = (
        select(passages.c.direction, func.sum(passages.c.persons))
        .where(passages.c.site == site, passages.c.lane.in_(sorted(lanes)))
        .where(passages.c.at >= begin, passages.c.at < end, passages.c.kind.in_(_THROUGH))
        .group_by(passages.c.direction)
    )
    sums = {direction: int(count) for direction, count in (await conn.execute(query)).all()}
    return sums.get(Direction.IN.value, 0), sums.get(Direction.OUT.value, 0)


async def told_until(conn: AsyncConnection, site: str, lanes: Collection[str], since: datetime) -> datetime | None:
    """Return up to when every edge of the lanes has told all; None where none has told anything since.

    An edge tells in order: what it told last of these lanes says that all before is here too.
    """
    query = (
        select(func.max(passages.c.at))
        .where(passages.c.site == site, passages.c.lane.in_(sorted(lanes)), passages.c.at >= since)
        .group_by(passages.c.edge)
    )
    return min((await conn.execute(query)).scalars(), default=None)
