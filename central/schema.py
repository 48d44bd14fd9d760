"""The schema at start: brought up to date where the config says so, refused where it is behind and it does not."""

import asyncio
from typing import Final

import structlog

from central import partitions
from central.db import Database, now, transient
from central.errors import Unavailable
from central.migrations import behind, upgrade

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0


async def bring_up_when_there(database: Database, *, migrate: bool) -> bool:
    """Do as `bring_up_to_date` once the database is there: one that starts, or recovers, is waited for."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await bring_up_to_date(database, migrate=migrate)
        except Exception as error:  # drivers have many names for `not now`; the rest is raised
            if not transient(error):
                raise
            _log.warning("database.away", error=str(error), again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


async def bring_up_to_date(database: Database, *, migrate: bool) -> bool:
    """Migrate if it is behind and may be; tell whether that was done. Raise Unavailable if it is behind and may not."""
    async with database.read() as conn:
        late = await behind(conn)
    if late and not migrate:
        raise Unavailable("the database's schema is older than this release", cure="run `gatefleet central init`")
    async with database.begin() as conn:
        if late:
            await upgrade(conn)
        await partitions.ensure_all(conn, now())
    return late
