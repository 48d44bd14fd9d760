"""Positions that are old leave.

Promise: a position is kept for so many days after it was taken. One that stands in no month at hand, by a wrong clock
or because it came very late, is kept for as many days after it was received, so that a wrong clock neither costs a
position nor keeps it for ever.
"""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from central.db import Database
from central.duty import store
from central.duty.store import Outdated

BATCH_ROWS: Final = 500
BATCH_LOCATORS: Final = 50
"""Locators of one transaction: each is a statement, however little is old of it."""


class OldPositions:
    """Forgets positions a locator at a time, along their key: no index is kept for it."""

    name = "positions"

    async def forget(self, database: Database, cutoff: datetime, moment: datetime) -> AsyncGenerator[int, None]:
        """Delete old positions; yield after each commit how many left."""
        outdated = Outdated(cutoff, moment)
        async with database.read() as conn:
            due = list(await store.with_outdated(conn, outdated))

        async def batch(conn: AsyncConnection) -> int:
            left = BATCH_ROWS
            for locator in due[-1 : -BATCH_LOCATORS - 1 : -1]:
                left -= await store.forget(conn, locator, outdated, left)
                if not left:
                    break  # it may have more
                due.pop()
            return BATCH_ROWS - left

        while due:
            yield await database.run(batch)
