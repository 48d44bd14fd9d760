"""Project what was stored but not projected: after a bug is mended, or a new release knows more types."""

from typing import Any

import structlog
from sqlalchemy import Row

from central import eventstore
from central.bus import Bus, Recorded
from central.db import Database, transient
from central.envelope import read_event
from central.eventstore import OK, PROJECTION_FAILED, UNKNOWN
from core.errors import MessageInvalid

_log = structlog.get_logger(__name__)


async def reproject(database: Database, bus: Bus, limit: int = 500) -> tuple[int, int]:
    """Project stranded events in order, each in its own transaction; return (done, still failing)."""
    done = failing = 0
    for status in (PROJECTION_FAILED, UNKNOWN):
        after = 0
        while True:
            async with database.read() as conn:
                rows = await eventstore.with_status(conn, status, after, limit)
            if not rows:
                break
            after = rows[-1].position
            for row in rows:
                outcome = await _one(database, bus, row)
                done += outcome is True
                failing += outcome is False
    return done, failing


async def _one(database: Database, bus: Bus, row: Row[Any]) -> bool | None:
    """Project one event; None where its type is still unknown."""
    try:
        event = read_event(row.type, row.data)
        if event is None:
            return None
        async with database.begin() as conn:
            name = (row.edge, row.epoch, row.seq)
            recorded = Recorded(row.position, event, *name, row.site, row.corrected_at, row.received_at)
            await bus.apply(conn, [recorded])
            await eventstore.set_status(conn, [row.position], OK)
    except MessageInvalid as error:
        _log.warning("reproject.invalid", position=row.position, error=str(error))
        return False
    except Exception as error:  # a handler's bug must stop no stream
        if transient(error):
            raise
        _log.exception("reproject.failed", position=row.position, type=row.type)
        return False
    return True
