"""The edges and their lanes, as they tell of themselves.

Promises:
1. Presence that comes faster than it can be written is merged: the latest of each edge is what counts.
2. A lane is what its last LaneSeen said.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import ANY_SITE, Principal
from central.bus import Bus, Recorded
from central.columns import kept, kept_int
from central.db import Database, after_commit, now
from central.errors import Conflict, Missing
from central.fleet import store
from central.messages import EdgePresenceChanged
from central.metrics import Metrics
from core.messages.events import EdgeStarted, LaneSeen
from core.messages.wire import Presence

_log = structlog.get_logger(__name__)


class LaneAmbiguous(Conflict):
    """Several edges have a lane of that id; say which by `<edge>.<lane>`."""

    code = "lane_ambiguous"


class Fleet:
    """Knows the edges and lanes."""

    def __init__(self, database: Database, bus: Bus, metrics: Metrics) -> None:
        self._database = database
        self._bus = bus
        self._metrics = metrics
        self._said: dict[str, Presence] = {}
        self._heard = asyncio.Event()

    def register(self, bus: Bus) -> None:
        """Take part in ingest."""
        bus.project(EdgeStarted, self._started)
        bus.project(LaneSeen, self._lanes_seen)

    def presence(self, edge: str, presence: Presence) -> None:
        """Take what an edge, or the broker in its place, says; `run` writes it down."""
        self._said[edge] = presence
        self._heard.set()

    async def run(self) -> None:
        """Write presence down until cancelled."""
        while True:
            await self._heard.wait()
            try:
                await self.write_presence()
            except Exception:  # noqa: BLE001 (the outermost frame of the task)
                _log.exception("fleet.presence_not_written")
                self._metrics.task_failures.labels("presence").inc()
                await asyncio.sleep(1)

    async def write_presence(self) -> None:
        """Write down what was said since the last time."""
        self._heard.clear()
        said, self._said = self._said, {}
        try:
            async with self._database.begin() as conn:
                for edge, presence in sorted(said.items()):
                    await self._note(conn, edge, presence)
                await self._count(conn)
        except BaseException:
            self._said = said | self._said
            self._heard.set()
            raise

    async def _note(self, conn: AsyncConnection, edge: str, presence: Presence) -> None:
        before = await store.edge_named(conn, edge, lock=True)
        online, moment = presence.state == "online", now()
        row = _edge(edge) | (_kept(before) if before is not None else {})
        row |= {"online": online, "last_seen_at": moment if online or before is None else before.last_seen_at}
        told = {"version": presence.version, "boot_id": presence.boot_id, "epoch": presence.epoch}
        row |= {name: kept(value, 64) for name, value in told.items() if value}
        await store.put_edge(conn, row)
        if before is None or before.online != online:
            await self._bus.publish(conn, EdgePresenceChanged(edge=edge, site=row["site"], online=online, at=moment))

    async def _count(self, conn: AsyncConnection) -> None:
        counts = [(row.site, row.online) for row in await store.online_by_site(conn)]
        after_commit(conn, lambda: self._show(counts))

    def _show(self, counts: Sequence[tuple[str, int]]) -> None:
        for site, online in counts:
            self._metrics.edges_online.labels(site).set(online)

    async def _started(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        for row in rows:
            event = row.event
            assert isinstance(event, EdgeStarted)
            before = await store.edge_named(conn, row.edge, lock=True)
            fields = _edge(row.edge) | (_kept(before) if before is not None else {})
            fields |= {
                "version": kept(event.version, 32),
                "boot_id": kept(event.boot_id, 64),
                "epoch": row.epoch,
            }
            fields |= {"config_digest": kept(event.config_digest, 128), "started_at": row.occurred_at}
            await store.put_edge(conn, fields | {"last_seen_at": row.received_at})

    async def _lanes_seen(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            event = row.event
            assert isinstance(event, LaneSeen)
            latest[row.edge, kept(event.lane, 64)] = {
                "edge": row.edge,
                "lane": kept(event.lane, 64),
                "site": row.site,
                "kind": kept(event.kind, 64),
                "directions": [one.value for one in event.directions],
                "devices": event.devices,
                "mode": event.mode.value,
                "ruleset_version": kept_int(event.ruleset_version, 31),
                "seen_at": row.occurred_at,
                "position": row.position,
            }
        await store.put_lanes(conn, [latest[key] for key in sorted(latest)])

    async def edge(self, conn: AsyncConnection, name: str) -> Row[Any]:
        """Return an edge; raise Missing."""
        row = await store.edge_named(conn, name)
        if row is None:
            raise Missing(f"no edge {name}")
        return row

    async def lane(self, conn: AsyncConnection, name: str, caller: Principal) -> Row[Any]:
        """Return the lane `<edge>.<lane>`, or by its own id where only one at the caller's sites has it.

        Raise Missing, Forbidden where others have it, or LaneAmbiguous, which names none that is not the caller's.
        """
        rows = await store.lanes_named(conn, name, caller.sites)
        if not rows:
            for row in await store.lanes_named(conn, name, (ANY_SITE,)):
                caller.must_site(row.site)
            raise Missing(f"no lane {name}")
        if len(rows) > 1:
            found = ", ".join(sorted(f"{row.edge}.{row.lane}" for row in rows))
            raise LaneAmbiguous(f"several lanes are called {name}", cure=f"say which: {found}")
        return rows[0]


def _edge(name: str) -> dict[str, Any]:
    moment = now()
    return {
        "name": name,
        "site": name.partition(".")[0],
        "online": False,
        "version": "",
        "boot_id": "",
        "epoch": "",
        "config_digest": "",
        "first_seen_at": moment,
        "last_seen_at": moment,
        "started_at": None,
    }


def _kept(row: Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name != "heard_at"}  # noqa: SLF001 (public by its documentation)
