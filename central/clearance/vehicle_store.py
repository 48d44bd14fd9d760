"""The SQL of what happened at the vehicle lanes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clearance.store import Wanted, add_rows, matching
from central.clearance.vehicle_model import plates, vehicle_decisions, vehicle_passages

DECISION_ORDER = [vehicle_decisions.c.position]
PASSAGE_ORDER = [vehicle_passages.c.position]


async def add(
    conn: AsyncConnection, table: Table, rows: Sequence[dict[str, Any]], seen: Sequence[dict[str, Any]]
) -> None:
    """Insert decisions or passages, and the plates they were seen with."""
    await add_rows(conn, table, rows)
    await add_rows(conn, plates, seen)


def with_plate(table: Table, wanted: Wanted, token: str | None) -> Select[Any]:
    """Return the query of decisions or passages with a plate among theirs (None: any)."""
    query = matching(table, wanted)
    if token is None:
        return query
    return query.where(table.c.position.in_(select(plates.c.position).where(plates.c.token == token)))
