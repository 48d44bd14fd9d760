from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import zstandard
from fastapi import APIRouter

from central.access.routes import authenticator
from central.access.service import Access, NewKey
from central.batches import Inbound
from central.bus import Bus
from central.db import Database, now, open_database
from central.http import create_api
from central.ingest import Ingest
from central.metrics import Metrics
from central.migrations import upgrade
from core.messages.envelope import ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Event, Stream

structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: each test of central runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/central.db"
    make = request.getfixturevalue("postgresql_database")
    return str(make())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = open_database(database_url)
    async with made.begin() as conn:
        await upgrade(conn)
    yield made
    await made.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


class World:
    """Central without its processes: the real database, bus, ingest and API, and edges that speak to them."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self.database = database
        self.metrics = metrics
        self.bus = Bus(database, metrics, back_off_s=0.001)
        self.access = Access(database)
        self.ingest = Ingest(database, self.bus, metrics)
        self._seqs: Counter[tuple[str, str]] = Counter()
        self._keys: dict[tuple[object, ...], str] = {}
        self.client = httpx.AsyncClient()

    def serve(self, *routers: APIRouter) -> None:
        app = create_api(
            database=self.database,
            authenticate=authenticator(self.access),
            metrics=self.metrics,
            routers=routers,
            version="1",
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 1))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://central")

    async def ask(
        self,
        method: str,
        path: str,
        *,
        as_: str = "tester",
        scopes: tuple[str, ...] = ("admin",),
        sites: tuple[str, ...] = ("*",),
        match: str | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request as somebody who may do so much."""
        identity = (as_, scopes, sites)
        if identity not in self._keys:
            async with self.database.begin() as conn:
                self._keys[identity] = (await self.access.create(conn, NewKey(as_, scopes, sites), by="test"))[1]
        headers = {"Authorization": f"Bearer {self._keys[identity]}"} | ({"If-Match": match} if match else {})
        return await self.client.request(method, path, headers=headers, **options)

    async def happen(self, *events: Event, edge: str = "north.gates", at: datetime | None = None) -> None:
        """Let an edge send events, one batch a stream, all the way through ingest."""
        for stream in Stream:
            some = [event for event in events if stream is event.STREAM]
            if some:
                batch = self.ingest.read(Inbound(edge, stream, self._batch(edge, stream, some, at or now())))
                assert batch is not None
                await self.ingest.store([batch])

    def _batch(self, edge: str, stream: Stream, events: Sequence[Event], at: datetime) -> bytes:
        stamp = Stamp(at, 0, "boot", ClockSource.NTP, 0, 1)
        placed = []
        for event in events:
            self._seqs[edge, stream] += 1
            seq = self._seqs[edge, stream]
            body = pack(event, stamp).body
            placed.append(place(body, source=edge, epoch="E1", stream=stream, seq=seq, after=seq - 1))
        return zstandard.compress(join_batch(placed))


@pytest.fixture
async def world(database: Database, metrics: Metrics) -> AsyncIterator[World]:
    made = World(database, metrics)
    yield made
    await made.client.aclose()


def _problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"/problems/{code}"


@pytest.fixture
def is_problem() -> Callable[[httpx.Response, int, str], None]:
    return _problem
