"""The schema at start: brought up to date where the config says so, refused where it is behind and it does not."""

from central import eventstore
from central.db import Database, now
from central.errors import Unavailable
from central.migrations import behind, upgrade


async def bring_up_to_date(database: Database, *, migrate: bool) -> bool:
    """Migrate if it is behind and may be; tell whether that was done. Raise Unavailable if it is behind and may not."""
    async with database.read() as conn:
        late = await behind(conn)
    if late and not migrate:
        raise Unavailable("the database's schema is older than this release", cure="run `gatefleet central init`")
    async with database.begin() as conn:
        if late:
            await upgrade(conn)
        await eventstore.ensure_partitions(conn, now())
    return late
