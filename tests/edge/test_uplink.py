"""The uplink against a real broker, a bad network, and a small central that keeps its watermark."""

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiomqtt
import pytest
import zstandard

from central.envelope import read_batch, read_event
from core.errors import ConfigInvalid, GatefleetError, LinkLost
from core.messages import topics
from core.messages.envelope import pack
from core.messages.event import Stream
from core.messages.events import DeviceMeasured, PassageTimedOut
from core.messages.wire import Ack, Presence
from edge import uplink as uplink_module
from edge.buffer import open_buffer
from edge.clock import Clock
from edge.sections import UplinkSection
from edge.supervisor import Supervisor
from edge.uplink import Uplink
from simulators.faults import Badness, MqttProxy

from .conftest import until

EDGE = "hengqin-bridge.gates"
ALL = (Stream.VITAL, Stream.STATE, Stream.TELEMETRY)


def vital(number):
    return PassageTimedOut(lane="L1", attempt=str(number), subject_token="d" + "x" * 43)


def reading(number):
    return DeviceMeasured(device=f"D{number % 50}", readings={f"point_{n}_c": number + n / 7 for n in range(10)})


@dataclass
class HandCentral:
    """Subscribes, unpacks, keeps one watermark a stream, acks. What does not follow waits in memory."""

    client: aiomqtt.Client
    stored: dict[Stream, list] = field(default_factory=lambda: defaultdict(list))
    arrived_s: dict[tuple[Stream, int], float] = field(default_factory=dict)
    watermark: dict[tuple[str, Stream], int] = field(default_factory=lambda: defaultdict(int))
    held: dict[tuple[Stream, int], list] = field(default_factory=dict)
    batches: int = 0
    entries: int = 0
    mute: bool = False
    reading_takes_s: float = 0.0

    async def run(self):
        async for message in self.client.messages:
            stream = Stream(str(message.topic).rsplit("/", 1)[1])
            raw = zstandard.ZstdDecompressor().decompress(message.payload, max_output_size=8_000_000)
            batch = read_batch(raw)
            self.batches += 1
            self.entries += len(batch)
            if stream is Stream.TELEMETRY:
                await asyncio.sleep(self.reading_takes_s)
            if not self.mute:
                await self._take(stream, list(batch))

    async def _take(self, stream, batch):
        key = (batch[0].epoch, stream)
        while batch:
            if batch[0].follows > self.watermark[key]:
                if len(self.held) < 64:
                    self.held[stream, batch[0].follows] = batch
                break
            for envelope in batch:
                if envelope.seq > self.watermark[key]:
                    assert envelope.follows <= self.watermark[key], "a hole inside a batch"
                    self.stored[stream].append(envelope)
                    self.arrived_s[stream, envelope.seq] = time.monotonic()
                    self.watermark[key] = envelope.seq
            batch = self.held.pop((stream, self.watermark[key]), [])
        await self.ack(key[0], stream, self.watermark[key])

    async def ack(self, epoch, stream, upto, at=None):
        ack = Ack(epoch=epoch, stream=stream, upto=upto, at=at or datetime.now(UTC))
        await self.client.publish(topics.ack(EDGE), ack.model_dump_json(), qos=1)

    def numbers(self, stream):
        told = [json.loads(bytes(one.data)) for one in self.stored[stream]]
        return [one.get("attempt") or one["device"] for one in told]


@contextlib.asynccontextmanager
async def central(port) -> AsyncIterator[HandCentral]:
    async with aiomqtt.Client("127.0.0.1", port, identifier="central") as client:
        await client.subscribe(topics.ALL_UP, qos=1)
        found = HandCentral(client)
        running = asyncio.create_task(found.run())
        yield found
        assert not running.done() or running.exception() is None, running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@dataclass
class Edge:
    uplink: Uplink
    buffer: object
    clock: Clock
    supervisor: Supervisor
    commands: list[bytes]
    lists: list[bytes]

    async def append(self, events):
        stamp = self.clock.stamp()
        return await self.buffer.append([pack(event, stamp) for event in events])

    def acked(self, stream):
        return self.buffer.depth(stream).acked

    async def drained(self, seconds=60.0):
        await until(lambda: all(self.acked(one) >= self.buffer.newest(one) for one in ALL), seconds)


def make(buffer, clock, port, **section):
    commands, lists = [], []
    uplink = Uplink(
        edge=EDGE,
        section=UplinkSection(url=f"mqtt://127.0.0.1:{port}", **section),
        buffer=buffer,
        clock=clock,
        presence=Presence(state="online", version="0.1.0", boot_id="b", epoch=buffer.epoch),
        on_command=commands.append,
        on_list=lists.append,
    )
    return uplink, commands, lists


@contextlib.asynccontextmanager
async def edge(tmp_path, port) -> AsyncIterator[Edge]:
    clock = Clock()
    async with open_buffer(tmp_path / "buffer.db", 64_000_000, clock.stamp) as buffer:
        uplink, commands, lists = make(buffer, clock, port)
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group, first_s=0.05, longest_s=0.2)
            supervisor.keep("uplink", uplink.run)
            try:
                yield Edge(uplink, buffer, clock, supervisor, commands, lists)
            finally:
                await supervisor.stop()


@pytest.fixture
async def alone(tmp_path):
    """An uplink without a broker."""
    clock = Clock()
    async with open_buffer(tmp_path / "buffer.db", 8_000_000, clock.stamp) as buffer:
        yield lambda port=9, **section: make(buffer, clock, port, **section)[0]


async def test_a_broker_that_is_away_is_a_lost_link_and_the_technician_sees_why(alone):
    uplink = alone()
    with pytest.raises(LinkLost):
        await uplink.run()
    assert not uplink.state.up
    assert uplink.state.last_error not in {"", "not tried yet"}


async def test_a_password_that_is_not_there_is_told_by_its_reference(alone):
    with pytest.raises(ConfigInvalid, match="NO_SUCH_VARIABLE"):
        await alone(username="edge", password="env:NO_SUCH_VARIABLE").run()


async def test_a_broker_that_never_answers_is_given_up_by_a_stop(alone):
    called, left = asyncio.Event(), asyncio.Event()

    async def silent(reader, writer):
        await reader.read(1)  # it says CONNECT, and waits
        called.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    running = asyncio.ensure_future(alone(server.sockets[0].getsockname()[1]).run())
    await asyncio.wait_for(called.wait(), 5)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=5)
    assert done
    await asyncio.wait_for(left.wait(), 5)  # its socket is not kept either
    server.close()


async def test_garbage_on_the_ack_topic_is_counted_and_moves_nothing(alone):
    uplink = alone()
    epoch = uplink._buffer.epoch
    good = {"epoch": epoch, "stream": "vital", "upto": 5, "at": "2026-11-21T08:00:00Z"}
    garbage = [b"", b"\xff", b"{}", b"[]", b"null", b"[" * 10_000, json.dumps({**good, "upto": -1}).encode()]
    garbage += [json.dumps({**good, "stream": "other"}).encode(), json.dumps({**good, "at": "soon"}).encode()]
    for payload in garbage:
        await uplink._ack(payload)
    assert uplink.state.foreign_acks == 0
    foreign = [
        {"epoch": "ANOTHER"},
        {"upto": 10**30},
        {"upto": 1 << 63},
        {"at": "2026-11-21T08:00:00"},  # without a zone: comparing it raised, and the connection was lost
    ]
    for changes in foreign:
        await uplink._ack(json.dumps({**good, **changes}).encode())
    assert (uplink.state.foreign_acks, uplink.state.acks) == (4, 0)
    assert uplink.windows[Stream.VITAL].acked == 0
    assert uplink._buffer.healthy


async def test_a_stop_that_comes_as_the_broker_answers_is_not_lost():
    """The library waited on with a `wait_for` that swallows it: the daemon could not be stopped while it sent."""
    answered = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(uplink_module._Client("127.0.0.1")._wait_for(answered, 5))
    await asyncio.sleep(0)
    answered.set_result("yes")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_broker_that_takes_too_long_is_an_error_of_the_library():
    with pytest.raises(aiomqtt.MqttError, match="timed out"):
        await uplink_module._Client("127.0.0.1")._wait_for(asyncio.get_running_loop().create_future(), 0.01)


# -- with a real broker ----------------------------------------------------------------------------------------------


@pytest.mark.real
async def test_what_is_appended_arrives_and_leaves_the_buffer_when_central_has_acked(tmp_path, mosquitto):
    async with central(mosquitto.port) as there, edge(tmp_path, mosquitto.port) as here:
        await here.append([vital(number) for number in range(1200)])
        await here.append([reading(number) for number in range(700)])
        await here.drained()
        assert there.numbers(Stream.VITAL) == [str(number) for number in range(1200)]
        assert len(there.stored[Stream.TELEMETRY]) == 700
        assert read_event((first := there.stored[Stream.VITAL][0]).type, bytes(first.data)) == vital(0)
        await until(lambda: here.buffer.depth(Stream.VITAL).entries == 0)
        assert here.uplink.state.up
        assert there.entries == 1900  # nothing was sent twice


@pytest.mark.real
@pytest.mark.slow
async def test_nothing_leaves_the_buffer_for_the_brokers_word_alone(tmp_path, mosquitto):
    async with central(mosquitto.port) as there, edge(tmp_path, mosquitto.port) as here:
        there.mute = True
        await here.append([vital(number) for number in range(10)])
        await until(lambda: there.batches)
        await asyncio.sleep(0.3)
        assert here.buffer.depth(Stream.VITAL).entries == 10
        there.mute = False
        await here.drained(10)


@pytest.mark.real
async def test_presence_is_online_while_it_runs_and_offline_after_a_clean_stop(tmp_path, mosquitto):
    """The broker keeps the last will to itself when the connection ends cleanly: central took the edge for online."""
    seen = []
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as watcher:
        await watcher.subscribe(topics.ALL_PRESENCE, qos=1)

        async def watch():
            async for message in watcher.messages:
                seen.append(Presence.model_validate_json(message.payload))

        watching = asyncio.create_task(watch())
        async with edge(tmp_path, mosquitto.port) as here:
            await until(lambda: seen)
            assert (seen[0].state, seen[0].epoch) == ("online", here.buffer.epoch)
        await until(lambda: len(seen) == 2)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert seen[1].state == "offline"


@pytest.mark.real
async def test_presence_is_offline_when_the_connection_breaks(tmp_path, mosquitto):
    seen = []
    async with (
        MqttProxy("127.0.0.1", mosquitto.port).serve() as proxy,
        aiomqtt.Client("127.0.0.1", mosquitto.port) as watcher,
    ):
        await watcher.subscribe(topics.ALL_PRESENCE, qos=1)

        async def watch():
            async for message in watcher.messages:
                seen.append(Presence.model_validate_json(message.payload).state)

        watching = asyncio.create_task(watch())
        async with edge(tmp_path, proxy.port) as here:
            await until(lambda: seen == ["online"])
            proxy.take_down()
            await until(lambda: seen == ["online", "offline"], 10)
            await until(lambda: not here.uplink.state.up)
            assert here.uplink.state.last_error
            proxy.bring_up()
            await until(lambda: seen == ["online", "offline", "online"], 10)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.real
async def test_orders_and_lists_are_handed_on_and_oversize_is_refused(tmp_path, mosquitto):
    async with central(mosquitto.port) as there, edge(tmp_path, mosquitto.port) as here:
        await until(lambda: here.uplink.state.up)
        await there.client.publish(topics.command(EDGE), b"x" * (1024 * 1024 + 1), qos=1)
        await there.client.publish(topics.command(EDGE), b"order", qos=1)
        await there.client.publish(topics.command(EDGE), None, qos=1)
        await there.client.publish(topics.list_announcement(EDGE), b"list", qos=1)
        await there.client.publish(topics.ack(EDGE), b"garbage", qos=1)
        await until(lambda: here.lists)
        await here.append([vital(1)])
        await here.drained(10)
        assert (here.commands[0], here.lists) == (b"order", [b"list"])
        assert here.supervisor.restarts == {}


@pytest.mark.real
async def test_the_clock_is_measured_by_the_acks(tmp_path, mosquitto):
    async with central(mosquitto.port) as there, edge(tmp_path, mosquitto.port) as here:
        ack = there.ack

        async def ahead(epoch, stream, upto):
            await ack(epoch, stream, upto, at=datetime.now(UTC) + timedelta(hours=2))

        there.ack = ahead
        for number in range(5):
            await here.append([vital(number)])
            await here.drained(10)
        measured = here.clock._ahead_ms + here.clock.monotonic_ms() - time.time() * 1000
        assert abs(measured - 7_200_000) <= here.clock._error_ms + 5


@pytest.mark.real
@pytest.mark.slow
async def test_all_is_delivered_once_and_in_order_over_a_bad_network_with_cuts(tmp_path, mosquitto):
    bad = MqttProxy("127.0.0.1", mosquitto.port, badness=Badness(lose=0.1, double=0.1, swap=0.1), seed=7)
    async with bad.serve() as proxy, central(mosquitto.port) as there, edge(tmp_path, proxy.port) as here:
        total = 0
        for _ in range(5):
            await until(lambda: here.uplink.state.up, 10)
            for _ in range(30):
                await here.append([vital(total + number) for number in range(5)] + [reading(total)])
                total += 5
                await asyncio.sleep(0.01)
            proxy.cut()
        await here.drained(120)
        assert there.numbers(Stream.VITAL) == [str(number) for number in range(total)]
        assert [one.seq for one in there.stored[Stream.TELEMETRY]] == list(range(1, 151))
        tally = proxy.tally
        assert min(tally.lost, tally.doubled, tally.swapped) > 0
        assert tally.cuts == 5
        print(f"{tally} for {total + 150} entries; central saw {there.entries}")


@pytest.mark.real
@pytest.mark.slow
async def test_a_broker_that_is_restarted_is_found_again(tmp_path, mosquitto):
    async with edge(tmp_path, mosquitto.port) as here:
        async with central(mosquitto.port):
            await here.append([vital(1)])
            await here.drained(10)
        mosquitto.stop()
        await until(lambda: not here.uplink.state.up, 20)
        await here.append([vital(2)])
        mosquitto.start()
        async with central(mosquitto.port) as there:
            there.watermark[here.buffer.epoch, Stream.VITAL] = 1
            await here.drained(20)
            assert there.numbers(Stream.VITAL) == ["2"]


@pytest.mark.real
@pytest.mark.slow
async def test_fresh_vital_overtakes_a_backlog_of_telemetry_that_drains(tmp_path, mosquitto):
    proxy_of = MqttProxy("127.0.0.1", mosquitto.port)
    async with proxy_of.serve() as proxy, central(mosquitto.port) as there:
        proxy.take_down()
        there.reading_takes_s = 0.02
        async with edge(tmp_path, proxy.port) as here:
            for start in range(0, 20_000, 1000):
                await here.append([reading(start + number) for number in range(1000)])
            proxy.bring_up()
            await until(lambda: there.stored[Stream.TELEMETRY])
            took = []
            while here.buffer.depth(Stream.TELEMETRY).entries > 1000:
                began = time.monotonic()
                (seq,) = await here.append([vital(len(took))])
                await until(lambda seq=seq: (Stream.VITAL, seq) in there.arrived_s, 10)
                took.append(there.arrived_s[Stream.VITAL, seq] - began)
            took.sort()
            p50, p99 = took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000
            print(
                f"{len(took)} vital before 20,000 readings: p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {took[-1] * 1000:.1f} ms"
            )
            assert len(took) >= 15
            assert p99 < 1000
            await here.drained(60)
            assert [one.seq for one in there.stored[Stream.TELEMETRY]] == list(range(1, 20_001))


@pytest.mark.real
@pytest.mark.slow
async def test_an_edge_that_is_restarted_goes_on_where_central_is(tmp_path, mosquitto):
    async with central(mosquitto.port) as there:
        for part in range(4):
            async with edge(tmp_path, mosquitto.port) as here:
                await here.append([vital(part * 100 + number) for number in range(100)])
                await until(lambda: here.uplink.state.batches, 10)
        async with edge(tmp_path, mosquitto.port) as here:
            await here.drained(20)
        assert there.numbers(Stream.VITAL) == [str(number) for number in range(400)]


def test_every_error_of_the_uplink_may_be_tried_again():
    assert issubclass(LinkLost, GatefleetError)
    assert LinkLost.retriable
