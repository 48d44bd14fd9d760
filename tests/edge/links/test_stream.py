"""Byte streams to devices: what a URL may say, and what becomes of peers that vanish, call twice or take nothing."""

import asyncio
import contextlib
import os
import socket
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, LinkLost
from edge.links import stream
from edge.links.stream import ListeningLink, MemoryLink, SerialLink, TcpLink, stream_link


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("tcp://10.0.0.1:4001", TcpLink("10.0.0.1", 4001)),
        ("tcp://[::1]:4001", TcpLink("::1", 4001)),
        ("tcp-server://0.0.0.0:4001", ListeningLink("0.0.0.0", 4001)),
        ("tcp-server://127.0.0.1:0", ListeningLink("127.0.0.1", 0)),
        ("serial:///dev/ttyS0", SerialLink("/dev/ttyS0", 9600, "N")),
        ("serial:///dev/ttyS0?baud=115200&parity=E", SerialLink("/dev/ttyS0", 115200, "E")),
    ],
)
def test_what_a_url_says(url, link):
    assert stream_link(url) == link


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tcp://",
        "tcp://host",
        "tcp://:4001",
        "tcp://host:0",
        "tcp://host:70000",
        "tcp://host:port",
        "tcp://[::1",
        "udp://host:1",
        "serial://",
        "serial://host/dev/ttyS0",
        "serial:///dev/ttyS0?baud=fast",
        "serial:///dev/ttyS0?baud=0",
        "serial:///dev/ttyS0?baud=9601",
        "serial:///dev/ttyS0?parity=Q",
        "serial:///dev/ttyS0?speed=9600",
        "serial:///dev/ttyS0?baud",
    ],
)
def test_what_a_url_may_not_say(url):
    with pytest.raises(ConfigInvalid) as caught:
        stream_link(url)
    assert caught.value.place == url


@given(st.text(max_size=60))
def test_any_text_is_a_link_or_a_refusal(text):
    for url in (text, f"tcp://{text}", f"serial://{text}", f"tcp-server://{text}:1"):
        with contextlib.suppress(ConfigInvalid):
            stream_link(url)


@pytest.fixture
async def device():
    """A device that listens: a queue of (reader, writer) of whoever calls it, and the link to it."""
    called, writers = asyncio.Queue(), []

    async def accept(reader, writer):
        writers.append(writer)
        called.put_nowait((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield called, TcpLink("127.0.0.1", server.sockets[0].getsockname()[1])
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


async def test_bytes_go_both_ways_and_the_end_is_empty(device):
    called, link = device
    async with link.connect() as connection:
        reader, writer = await called.get()
        writer.write(b"from the device")
        assert await connection.read() == b"from the device"
        await connection.write(b"to the device")
        assert await reader.readexactly(13) == b"to the device"
        writer.close()
        assert await connection.read() == b""


async def test_a_reset_is_a_lost_link(device):
    called, link = device
    async with link.connect() as connection:
        _, writer = await called.get()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()
        with pytest.raises(LinkLost):
            while await connection.read():
                pass
            raise LinkLost("closed")


async def test_leaving_closes(device):
    called, link = device
    async with link.connect():
        reader, writer = await called.get()
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()


async def test_nobody_there_is_a_lost_link_with_its_place_and_reason():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(LinkLost, match="cannot connect: .*failed") as caught:
            async with TcpLink("127.0.0.1", port).connect():
                pass
    assert caught.value.place == f"tcp://127.0.0.1:{port}"


async def test_a_host_that_does_not_answer_is_told_in_words(monkeypatch):
    monkeypatch.setattr(stream, "_CONNECT_S", 0.02)

    async def never(*_args):
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio, "open_connection", never)
    with pytest.raises(LinkLost, match="cannot connect: no answer"):
        async with TcpLink("10.0.0.1", 1).connect():
            pass


async def test_a_peer_that_takes_no_bytes_is_a_lost_link_and_keeps_no_socket(device, monkeypatch):
    monkeypatch.setattr(stream, "_WRITE_S", 0.05)
    called, link = device
    async with link.connect() as connection:
        _, writer = await called.get()
        writer.transport.pause_reading()
        with pytest.raises(LinkLost, match="takes no bytes"):
            for _ in range(200):
                await connection.write(bytes(100_000))
    async with asyncio.timeout(2):
        while connection.writer.get_extra_info("socket").fileno() != -1:
            await asyncio.sleep(0.01)


async def test_a_session_can_be_stopped_at_the_very_moment_when_its_bytes_leave(device):
    """The stop was swallowed, and the daemon waited for ever for a task that went on."""
    called, link = device

    async def write_on(connection):
        while True:
            await connection.write(b"x")
            await asyncio.sleep(0)

    async with link.connect() as connection:
        for turns in range(20):
            writing = asyncio.ensure_future(write_on(connection))
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(writing), 1)


async def test_a_pulled_cable_is_noticed_within_minutes(device):
    called, link = device
    async with link.connect() as connection:
        sock = connection.writer.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        (await called.get())[1].close()


# -- the device calls us ---------------------------------------------------------------------------------------------


class Caller:
    """A device that calls."""

    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()


@pytest.fixture
def listening():
    heard = asyncio.Queue()
    return ListeningLink("127.0.0.1", 0, heard.put_nowait), heard


async def served(link, got, acked=b"ok"):
    """Serve like a session: connect, read, answer, until the link is lost; again and again."""
    while True:
        async with link.connect() as connection:
            while data := await connection.read():
                got.append(data)
                await connection.write(acked)


async def test_a_device_that_calls_is_served(listening, task):
    link, heard = listening
    got = []
    serving = asyncio.ensure_future(served(link, got))
    async with Caller(await heard.get()) as caller:
        caller.writer.write(b"one")
        assert await caller.reader.readexactly(2) == b"ok"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert got == [b"one"]


async def test_the_newest_caller_wins_and_what_it_sent_is_not_lost(listening):
    """A device that lost its connection calls again; the old one would never have ended by itself."""
    link, heard = listening
    got = []
    serving = asyncio.ensure_future(served(link, got))
    port = await heard.get()
    async with Caller(port) as old:
        old.writer.write(b"one")
        await old.reader.readexactly(2)
        async with Caller(port) as new:
            new.writer.write(b"two")
            assert await asyncio.wait_for(new.reader.readexactly(2), 2) == b"ok"
            assert await asyncio.wait_for(old.reader.read(), 2) == b""
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert got == [b"one", b"two"]


async def test_a_device_that_calls_again_and_again_is_always_served():
    """Between two sessions nobody listens for a moment: a device that is refused then calls once more."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    got, callers = [], []
    serving = asyncio.ensure_future(served(ListeningLink("127.0.0.1", port), got))
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(5):
        while len(callers) < 5:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                caller = await stack.enter_async_context(Caller(port))
                caller.writer.write(b"%d" % len(callers))
                await caller.reader.readexactly(2)
                callers.append(caller)
            await asyncio.sleep(0)
        for caller in callers[:-1]:
            assert await caller.reader.read() == b""
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert got == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_port_that_is_taken_is_a_lost_link():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LinkLost, match="cannot listen"):
            async with ListeningLink("127.0.0.1", taken.getsockname()[1]).connect():
                pass


# -- serial lines ----------------------------------------------------------------------------------------------------


@pytest.fixture
def line():
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for descriptor in (master, slave):
        with contextlib.suppress(OSError):
            os.close(descriptor)


async def test_a_serial_line_is_read_and_written(line):
    master, name = line
    async with SerialLink(name, 9600, "N").connect() as connection:
        os.write(master, b"document")
        assert await asyncio.wait_for(connection.read(), 2) == b"document"
        await connection.write(b"ack")
        assert os.read(master, 10) == b"ack"


async def test_a_serial_line_is_for_one_only(line):
    _, name = line
    async with SerialLink(name, 9600, "N").connect():
        with pytest.raises(LinkLost, match="cannot connect"):
            async with SerialLink(name, 9600, "N").connect():
                pass


async def test_a_line_that_is_not_there_is_a_lost_link():
    with pytest.raises(LinkLost, match="No such file"):
        async with SerialLink("/dev/none", 9600, "N").connect():
            pass


async def test_a_line_that_is_pulled_out_ends(line):
    master, name = line
    async with SerialLink(name, 9600, "N").connect() as connection:
        os.close(master)
        with pytest.raises(LinkLost):
            if await asyncio.wait_for(connection.read(), 2) == b"":
                raise LinkLost("ended")


async def test_memory_is_a_link_like_any_other():
    link = MemoryLink()
    async with link.connect() as connection:
        link.ours.put_nowait(b"in")
        assert await connection.read() == b"in"
        await connection.write(b"out")
        assert link.peer.get_nowait() == b"out"
