"""What the edges have of the lists, as they say themselves."""

from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.clearance import publication_store as store
from central.columns import kept, kept_int
from central.db import after_commit
from central.messages import EdgePresenceChanged, ListRefusedAtEdge
from core.messages.events import EdgeStarted, ListApplied, ListRejected


class Deliveries:
    """Projects what edges applied and refused. `due` is called when an announcement to an edge became due."""

    def __init__(self, bus: Bus, due: Callable[[], None]) -> None:
        self._bus = bus
        self._due = due

    def register(self, bus: Bus) -> None:
        """Take the edges' words about lists from the bus."""
        bus.project((ListApplied, ListRejected), self._delivered)
        bus.project(EdgeStarted, self._started)
        bus.subscribe(EdgePresenceChanged, "clearance.presence", self._moved)

    async def _started(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        for edge, site in sorted({(row.edge, row.site) for row in rows}):
            await self._know(conn, edge, site)

    async def _moved(self, conn: AsyncConnection, message: EdgePresenceChanged) -> None:
        if message.online:
            await self._know(conn, message.edge, message.site)

    async def _know(self, conn: AsyncConnection, edge: str, site: str) -> None:
        await store.note_edge(conn, edge, site)
        after_commit(conn, self._due)

    async def _delivered(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        for row in rows:
            match row.event:
                case ListApplied() as event:
                    applied = {"version": kept_int(event.version), "entries": kept_int(event.entries, 31)}
                    place = _place(row, event.list_id) | {"applied_at": row.occurred_at}
                    await store.note_applied(conn, place | applied)
                case ListRejected() as event:
                    await self._refused(conn, row, event)

    async def _refused(self, conn: AsyncConnection, row: Recorded, event: ListRejected) -> None:
        refused = ListRefusedAtEdge(
            edge=row.edge,
            site=row.site,
            list_id=kept(event.list_id, 64),
            version=kept_int(event.version),
            code=kept(event.code, 64),
            detail=kept(event.detail, 500),
            at=row.occurred_at,
        )
        noted = {"refused_version": refused.version, "refused_code": refused.code, "refused_at": row.occurred_at}
        await store.note_refused(conn, _place(row, event.list_id) | noted | {"refused_detail": refused.detail})
        await self._bus.publish(conn, refused)


def _place(row: Recorded, list_id: str) -> dict[str, object]:
    return {"list_id": kept(list_id, 64), "edge": row.edge, "site": row.site, "position": row.position}
