"""How the uplink comes back; the whole of it is in tests/faults."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import LinkLost
from core.messages.event import Stream
from core.messages.wire import Ack, Presence
from edge import uplink
from edge.buffer import Depth, Entry
from edge.sections import UplinkSection
from edge.uplink import Uplink


@dataclass
class FakeBuffer:
    """Ten entries of vital; a read says that it began, and waits until it may go on."""

    epoch: str = "E1"
    began: asyncio.Event = field(default_factory=asyncio.Event)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def depth(self, _stream):
        return Depth(acked=0, newest=10)

    def newest(self, _stream):
        return 10

    async def read(self, _stream, after, *, entries, bytes_):
        self.began.set()
        await self.may_go_on.wait()
        return [Entry(seq, seq - 1, b"{}") for seq in range(after + 1, 11)][:entries]

    async def acked(self, _stream, _upto):
        return

    async def wait_newer(self, _stream, seq):
        if seq >= 10:
            await asyncio.Event().wait()


class FakeClient:
    def __init__(self):
        self.published = asyncio.Queue()

    async def publish(self, _topic, payload, *, qos):
        await self.published.put((payload, qos))


class FakeClock:
    def wall(self):
        return datetime(2026, 1, 1, tzinfo=UTC)


def _ignore(_payload):
    return


def _uplink(port=1, buffer=None):
    return Uplink(
        edge="a.b",
        section=UplinkSection(url=f"mqtt://127.0.0.1:{port}"),
        buffer=buffer or FakeBuffer(),
        clock=FakeClock(),
        presence=Presence(state="online"),
        on_command=_ignore,
        on_list=_ignore,
    )


async def test_a_rewind_while_the_disk_is_read_leaves_no_hole(monkeypatch):
    monkeypatch.setattr(uplink, "BATCH_ENTRIES", 4)
    buffer, client = FakeBuffer(), FakeClient()
    link = _uplink(buffer=buffer)
    window = link.windows[Stream.VITAL]
    window.left(4, 0.0)
    task = asyncio.create_task(link._pump(client, Stream.VITAL))
    window.flights.clear()  # patience is not what is tested
    await buffer.began.wait()  # entries 5 on are being read ...
    window.rewind(1.0)  # ... when central says that it lacks 1 to 4
    buffer.may_go_on.set()
    async with asyncio.timeout(5):
        await client.published.get()
    assert window.flights[0].upto == 4
    task.cancel()


async def test_when_central_is_heard_again_no_stream_sits_out_its_patience():
    link = _uplink()
    silent = link.windows[Stream.TELEMETRY]
    silent.left(4, 0.0)
    for _ in range(5):
        assert silent.overdue(silent.due_s)
        silent.left(4, 0.0)
    assert silent.due_s == 30.0
    ack = Ack(epoch="E1", stream=Stream.VITAL, upto=1, at=datetime(2026, 1, 1, tzinfo=UTC))
    await link._ack(ack.model_dump_json().encode())
    assert silent.due_s == 2.0
    assert link._acked[Stream.TELEMETRY].is_set()  # so its pump looks at the time again
    silent.overdue(2.0)
    silent.left(4, 2.0)
    await link._ack(ack.model_dump_json().encode())
    assert silent.due_s == 2.0 + 4.0  # while others are acked, its patience grows as ever


@contextlib.asynccontextmanager
async def _broker(answer):
    """A broker that takes the connection and then does `answer`."""
    open_ = []

    async def serve(reader, writer):
        open_.append(writer)
        await reader.read(100)
        answer(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in open_:
            writer.transport.abort()


async def test_a_connection_lost_before_the_broker_answers_is_known_at_once():
    async with _broker(lambda writer: writer.transport.abort()) as port:
        async with asyncio.timeout(5):  # the library's own patience is 10 s
            with pytest.raises(LinkLost):
                await _uplink(port).run()


def _open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_stop_while_the_broker_does_not_answer_ends_it_at_once():
    taken = asyncio.Event()
    async with _broker(lambda _writer: taken.set()) as port:
        task = asyncio.create_task(_uplink(port).run())
        async with asyncio.timeout(5):
            await taken.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_broker_that_never_answers_costs_no_sockets(monkeypatch):
    monkeypatch.setattr(uplink, "_TIMEOUT_S", 0.05)
    hung_up = asyncio.Queue()

    async def serve(reader, writer):
        while await reader.read(100):
            pass
        hung_up.put_nowait(None)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        before = _open_files()
        for _ in range(5):
            with pytest.raises(LinkLost):
                await _uplink(server.sockets[0].getsockname()[1]).run()
        async with asyncio.timeout(5):
            for _ in range(5):
                await hung_up.get()
    assert _open_files() <= before + 1
