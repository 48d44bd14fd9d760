"""Project what was stored but not projected: after a bug is mended, or a new release knows more types."""

from typing import Any

import structlog
from pydantic_core import from_json
from sqlalchemy import Row

from central import eventstore
from central.bus import Bus, Recorded
from central.db import Database, transient
from central.eventstore import OK, PROJECTION_FAILED, UNKNOWN
from core.errors import MessageInvalid
from core.messages.envelope import Envelope, read_event

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
    envelope = envelope_of(row)
    try:
        event = read_event(envelope)
        if event is None:
            return None
        async with database.begin() as conn:
            recorded = Recorded(row.position, envelope, event, row.edge, row.site, row.corrected_at, row.received_at)
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


def envelope_of(row: Row[Any]) -> Envelope:
    """Return the envelope of a stored event."""
    return Envelope(
        specversion="1.0",
        id=f"{row.epoch}.{row.stream}.{row.seq}",
        source=row.edge,
        type=row.type,
        time=row.occurred_at,
        subject=row.subject,
        epoch=row.epoch,
        stream=row.stream,
        seq=row.seq,
        bootid=row.boot_id,
        monotonic=row.monotonic_ms,
        clocksource=row.clock_source,
        clockoffset=row.clock_offset_ms,
        clockerror=row.clock_error_ms,
        data=from_json(row.data),
    )
