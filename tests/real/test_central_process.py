"""Central as its own process, with a real broker, on both databases."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import httpx
import pytest
import zstandard

from core.clearance.model import Direction
from core.crypto import load_public
from core.crypto.signing import TrustedKeys
from core.messages import topics
from core.messages.commands import Order
from core.messages.envelope import ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Event, Stream
from core.messages.events import CommandProgressed, CommandState, LaneMode, LaneSeen, PassageTimedOut
from core.messages.signed import Signed
from core.messages.wire import Ack, Presence

pytestmark = [pytest.mark.real, pytest.mark.slow]

EDGE = "north.gates"
LANE = LaneSeen(
    lane="in-1",
    kind="passenger",
    directions=(Direction.IN,),
    devices={"gate": "g1"},
    mode=LaneMode.NORMAL,
    ruleset_version=1,
)


class Process:
    """`gatefleet central` with a configuration in a temporary directory."""

    def __init__(self, home: Path, database_url: str, mqtt_url: str) -> None:
        self.home = home
        self.database_url = database_url
        self.config = home / "central.toml"
        self.config.write_text(f"""
schema = 1
[database]
url = "{database_url}"
[mqtt]
url = "{mqtt_url}"
[http]
port = 0
[crypto]
suite = "intl"
signing_key = "file:{home}/signing.key"
token_key = "file:{home}/token.key"
""")
        self.process: asyncio.subprocess.Process | None = None
        self.client = httpx.AsyncClient(timeout=30)
        self.trusted = TrustedKeys([])
        self._reader: asyncio.Task[None] | None = None

    async def _command(self, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        program = "import typer, central.cli as c; root = typer.Typer(); c.register(root); root()"
        whole = [sys.executable, "-c", program, "central", *arguments, "-c", str(self.config)]
        environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        return await asyncio.create_subprocess_exec(*whole, env=environ, **options)

    async def init(self) -> None:
        made = await self._command("init", "--json", stdout=asyncio.subprocess.PIPE)
        out, _ = await made.communicate()
        assert made.returncode == 0
        done = json.loads(out)
        self.client.headers["Authorization"] = f"Bearer {done['api_key']}"
        self.trusted = TrustedKeys([load_public(done["public_key"])])

    async def start(self) -> None:
        self.process = await self._command("run", stderr=asyncio.subprocess.PIPE)
        port = await asyncio.wait_for(self._port(), 30)
        self.client.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        self._reader = asyncio.create_task(self._drain())
        await self.until(self._ready)

    async def _port(self) -> int:
        assert self.process is not None
        assert self.process.stderr is not None
        seen = []
        async for line in self.process.stderr:
            seen.append(line)
            if b"central.up" in line:
                return int(json.loads(line)["port"])
        raise AssertionError(b"".join(seen).decode())

    async def _drain(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            with (self.home / "log").open("ab") as log:
                log.write(line)

    async def _ready(self) -> bool:
        try:
            return (await self.client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def until(self, holds: Callable[[], Any], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not await holds():
                await asyncio.sleep(0.02)

    async def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 15)
        if self._reader is not None:
            await self._reader
        return code

    async def stored(self) -> list[int]:
        """The sequence numbers of vital events in the order of storing."""
        query = "SELECT seq FROM event WHERE stream = 'vital' ORDER BY position"
        if self.database_url.startswith("sqlite"):
            with sqlite3.connect(self.database_url.removeprefix("sqlite:///")) as conn:
                rows: Sequence[Any] = conn.execute(query).fetchall()
            conn.close()
        else:
            connection = await asyncpg.connect(self.database_url)
            rows = await connection.fetch(query)
            await connection.close()
        return [row[0] for row in rows]


class Edge:
    """A small edge: sends from its oldest unacked entry when told how far central is."""

    def __init__(self, port: int, trusted: TrustedKeys) -> None:
        self.client = aiomqtt.Client("127.0.0.1", port, identifier="edge-under-test", keepalive=5)
        self.trusted = trusted
        self.acks: asyncio.Queue[Ack] = asyncio.Queue()
        self.seqs: dict[Stream, int] = dict.fromkeys(Stream, 0)

    async def listen(self) -> None:
        await self.client.subscribe([(topics.ack(EDGE), 1), (topics.command(EDGE), 1)])
        online = Presence(state="online", version="1", boot_id="b", epoch="E")
        await self.client.publish(topics.presence(EDGE), online.model_dump_json(), qos=1, retain=True)

    async def run(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            if message.topic.value == topics.ack(EDGE):
                self.acks.put_nowait(Ack.model_validate_json(message.payload))
            else:
                await self._obey(message.payload)

    async def _obey(self, payload: bytes) -> None:
        order = Order.model_validate_json(Signed.read(payload, "command").opened(self.trusted))
        for state in (CommandState.EXECUTING, CommandState.DONE):
            await self.send(CommandProgressed(command=order.id, target=order.target, state=state))

    async def send(self, *events: Event) -> int:
        stream = events[0].STREAM
        first = self.seqs[stream] + 1
        self.seqs[stream] += len(events)
        await self.publish(stream, first, events)
        return self.seqs[stream]

    async def publish(self, stream: Stream, first: int, events: Sequence[Event]) -> None:
        stamp = Stamp(datetime.now(UTC), 1, "b", ClockSource.NTP, 0, 1)
        entries = [
            place(pack(event, stamp).body, source=EDGE, epoch="E", stream=stream.value, seq=seq, after=seq - 1)
            for seq, event in enumerate(events, first)
        ]
        payload = zstandard.ZstdCompressor().compress(join_batch(entries))
        await self.client.publish(topics.up(EDGE, stream), payload, qos=1)

    async def acked(self, stream: Stream, upto: int, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while True:
                ack = await self.acks.get()
                if ack.stream is stream and ack.upto >= upto:
                    return


@pytest.fixture(params=["sqlite", "postgresql"])
async def central(request: pytest.FixtureRequest, tmp_path: Path, mosquitto: Any) -> AsyncIterator[Process]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/central.db"
    else:
        url = request.getfixturevalue("postgresql_database")()
    made = Process(tmp_path, url, mosquitto.url)
    await made.init()
    await made.start()
    yield made
    if made.process is not None and made.process.returncode is None:
        assert await made.end(signal.SIGTERM) == 0
    await made.client.aclose()


async def test_events_are_acked_after_they_are_stored_and_orders_come_back_done(
    central: Process, mosquitto: Any
) -> None:
    edge = Edge(mosquitto.port, central.trusted)
    async with edge.client:
        await edge.listen()
        running = asyncio.create_task(edge.run())
        await edge.send(LANE)
        await edge.acked(Stream.STATE, 1)
        timed_out = PassageTimedOut(lane="in-1", attempt="a", subject_token="t")
        await edge.send(*[timed_out] * 200)
        await edge.acked(Stream.VITAL, 200)
        assert await central.stored() == list(range(1, 201))

        async def online() -> bool:
            return bool((await central.client.get(f"/v1/edges/{EDGE}")).json().get("online"))

        await central.until(online)
        took_ms = []
        for _ in range(30):
            begun = asyncio.get_running_loop().time()
            order = await central.client.post("/v1/lanes/in-1:open", json={"reason": "test"})
            assert order.status_code == 202, order.text
            done = await central.client.get(order.headers["location"], params={"wait_s": 10})
            took_ms.append((asyncio.get_running_loop().time() - begun) * 1000)
            assert done.json()["state"] == "done"
        assert sorted(took_ms)[len(took_ms) // 2] < 250

        async def counted() -> bool:
            text = (await central.client.get("/metrics")).text
            return 'gatefleet_ingest_events_total{outcome="stored"} 261.0' in text

        await central.until(counted)
        metrics = (await central.client.get("/metrics")).text
        assert 'gatefleet_commands_total{state="done",verb="OpenLane"} 30.0' in metrics
        running.cancel()


async def test_watermarks_are_told_at_each_connection_so_that_edges_resume(central: Process, mosquitto: Any) -> None:
    edge = Edge(mosquitto.port, central.trusted)
    async with edge.client:
        await edge.listen()
        running = asyncio.create_task(edge.run())
        await edge.send(LANE)
        await edge.acked(Stream.STATE, 1)
        assert await central.end(signal.SIGTERM) == 0
        await central.start()
        await edge.acked(Stream.STATE, 1)
        running.cancel()


async def test_a_broker_that_goes_away_is_not_ready_and_comes_back(central: Process, mosquitto: Any) -> None:
    mosquitto.stop()

    async def unready() -> bool:
        return (await central.client.get("/readyz")).status_code == 503

    await central.until(unready)
    assert (await central.client.get("/healthz")).status_code == 200
    mosquitto.start()
    await central.until(central._ready)


async def test_killed_at_any_moment_nothing_is_lost_doubled_or_out_of_order(central: Process, mosquitto: Any) -> None:
    edge = Edge(mosquitto.port, central.trusted)
    timed_out = PassageTimedOut(lane="in-1", attempt="a", subject_token="t")
    total, step = 3000, 20
    async with edge.client:
        await edge.listen()
        running = asyncio.create_task(edge.run())
        acked, kills = 0, 0
        async with asyncio.timeout(60):
            while acked < total:
                for first in range(acked + 1, min(acked + 10 * step, total) + 1, step):
                    await edge.publish(Stream.VITAL, first, [timed_out] * step)
                if kills < 3 and acked >= total * kills // 3:
                    kills += 1
                    await central.end(signal.SIGKILL)
                    await central.start()
                try:
                    async with asyncio.timeout(0.5):
                        while True:
                            ack = await edge.acks.get()
                            acked = max(acked, ack.upto)
                            if acked >= total:
                                break
                except TimeoutError:
                    continue
        running.cancel()
    assert kills == 3
    assert await central.stored() == list(range(1, total + 1))
