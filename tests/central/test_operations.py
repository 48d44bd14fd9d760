import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.routes import authenticator
from central.access.service import Access, NewKey
from central.bus import Bus
from central.config import HttpSection
from central.db import Database
from central.http import create_api
from central.messages import EdgePresenceChanged, Message
from central.metrics import Metrics
from central.operations import health_routes, operation_routes
from central.running import Sweep, Worker, serve


class Ops:
    """The API of operations with a broker that is up or not."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self.broker_up = True
        self.database = database
        self.bus = Bus(database, metrics, tries=1)
        access = Access(database)
        self.access = access
        self.api: FastAPI = create_api(
            database=database,
            authenticate=authenticator(access),
            metrics=metrics,
            routers=[health_routes(database, metrics, lambda: self.broker_up), operation_routes(self.bus)],
            version="1",
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.api), base_url="http://central")


@pytest.fixture
async def ops(database: Database, metrics: Metrics) -> AsyncIterator[Ops]:
    made = Ops(database, metrics)
    async with database.begin() as conn:
        _, key = await made.access.create(conn, NewKey("tester", ["admin"], ["*"]), by="test")
    made.client.headers["Authorization"] = f"Bearer {key}"
    yield made
    await made.client.aclose()


async def test_ready_is_what_has_its_database_and_broker(ops: Ops) -> None:
    assert (await ops.client.get("/healthz")).json() == {"status": "ok"}
    assert (await ops.client.get("/readyz")).status_code == 200
    ops.broker_up = False
    down = await ops.client.get("/readyz")
    assert (down.status_code, down.json()["type"]) == (503, "/problems/unavailable")


async def test_metrics_have_our_names(ops: Ops) -> None:
    await ops.client.get("/healthz")
    text = (await ops.client.get("/metrics")).text
    assert 'gatefleet_http_request_seconds_count{method="GET",route="/healthz",status="2xx"} 1.0' in text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("gatefleet_") for name in names)


async def test_what_was_given_up_is_shown_and_can_be_tried_again(ops: Ops, database: Database) -> None:
    broken, got = True, []

    async def take(_: AsyncConnection, message: EdgePresenceChanged) -> None:
        if broken:
            raise ValueError("a bug")
        got.append(message.edge)

    ops.bus.subscribe(EdgePresenceChanged, "watcher", take)
    message: Message = EdgePresenceChanged(edge="a.b", site="a", online=True, at="2026-01-01T00:00:00Z")
    async with database.begin() as conn:
        await ops.bus.publish(conn, message)
    await ops.bus.drain()
    [parked] = (await ops.client.get("/v1/operations/parked-deliveries")).json()["items"]
    assert (parked["subscriber"], parked["error"], parked["key"]) == ("watcher", "ValueError: a bug", "a.b")
    broken = False
    url = f"/v1/operations/parked-deliveries/{parked['id']}:retry"
    assert (await ops.client.post(url)).status_code == 202
    await ops.bus.drain()
    assert got == ["a.b"]
    assert (await ops.client.post(url)).status_code == 404


async def test_stranded_events_are_listed(ops: Ops) -> None:
    assert (await ops.client.get("/v1/operations/stranded-events")).json()["items"] == []
    assert (await ops.client.get("/v1/operations/stranded-events?status=ok")).status_code == 422


async def test_running_serves_until_it_ends_and_a_failing_sweep_is_counted_and_tried_again(
    ops: Ops, metrics: Metrics
) -> None:
    tries, ports = asyncio.Semaphore(0), asyncio.Queue[int]()

    async def fails() -> None:
        tries.release()
        raise ValueError("a bug")

    async def works() -> None:
        await asyncio.Event().wait()

    running = asyncio.create_task(
        serve(
            ops.api,
            HttpSection(port=0),
            [Worker("works", works)],
            [Sweep("fails", 0.01, fails)],
            metrics=metrics,
            listening=ports.put_nowait,
        )
    )
    async with asyncio.timeout(10):
        port = await ports.get()
        for _ in range(3):
            await tries.acquire()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
    assert metrics.registry.get_sample_value("gatefleet_task_failures_total", {"task": "sweep:fails"}) >= 2
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_worker_that_fails_ends_it_all_with_its_error(ops: Ops, metrics: Metrics) -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        await serve(ops.api, HttpSection(port=0), [Worker("fails", fails)], [], metrics=metrics)
    assert caught.group_contains(ZeroDivisionError)
