"""Byte streams to devices: TCP out, TCP in, serial lines, and pairs in memory for tests.

tcp://host:port            we call the device
tcp-server://host:port     the device calls us; the newest caller wins, and is served by the next `connect`
serial:///dev/ttyS0?baud=9600&parity=N
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import SplitResult, parse_qsl, urlsplit

from core.errors import ConfigInvalid, LinkLost

_CHUNK: Final = 4096
_CONNECT_S: Final = 5.0
_WRITE_S: Final = 5.0
_PARITIES: Final = frozenset("NEO")
_BAUDS: Final = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
_KEEPALIVE_S: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A reader is silent for hours: only this finds out that its cable was pulled."""


class Connection(Protocol):
    """An open byte stream."""

    async def read(self) -> bytes:
        """Return what came, b"" at the end; raise LinkLost."""

    async def write(self, data: bytes) -> None:
        """Send all of it; raise LinkLost where the peer does not take it in time."""


class Link(Protocol):
    """Where a stream device is."""

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """Open; raise LinkLost. Leaving closes."""


def stream_link(url: str) -> Link:
    """Return the link of a URL; raise ConfigInvalid."""
    try:
        parts = urlsplit(url)
        match parts.scheme:
            case "tcp" if parts.hostname and parts.port:
                return TcpLink(parts.hostname, parts.port)
            case "tcp-server" if parts.hostname and parts.port is not None:
                return ListeningLink(parts.hostname, parts.port)
            case "serial" if parts.path and not parts.netloc:
                return _serial(parts, url)
    except ValueError as error:
        raise ConfigInvalid(str(error), place=url) from error
    raise ConfigInvalid(
        "not a stream link", place=url, cure="tcp://host:port, tcp-server://host:port or serial:///dev/...?baud=9600"
    )


@dataclass(slots=True)
class _Streams:
    """A connection over asyncio's reader and writer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    place: str

    async def read(self) -> bytes:
        try:
            return await self.reader.read(_CHUNK)
        except OSError as error:
            raise LinkLost(str(error), place=self.place) from error

    async def write(self, data: bytes) -> None:
        try:
            self.writer.write(data)
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes as the bytes leave.
            async with asyncio.timeout(_WRITE_S):
                await self.writer.drain()
        except (OSError, TimeoutError) as error:
            self.writer.transport.abort()  # else a close would wait for the peer for ever
            raise LinkLost(f"the peer takes no bytes: {error!r}", place=self.place) from error


@asynccontextmanager
async def _opened(
    opening: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]], place: str
) -> AsyncIterator[Connection]:
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await opening
    except (OSError, TimeoutError) as error:
        raise LinkLost(f"cannot connect: {str(error) or 'no answer'}", place=place) from error
    _keep_alive(writer)
    try:
        yield _Streams(reader, writer, place)
    finally:
        writer.close()


@dataclass(frozen=True, slots=True)
class TcpLink:
    """We call the device."""

    host: str
    port: int

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """Open a connection."""
        return _opened(asyncio.open_connection(self.host, self.port), f"tcp://{self.host}:{self.port}")


@dataclass(frozen=True, slots=True)
class SerialLink:
    """A serial line or pty."""

    device: str
    baud: int
    parity: str

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """Open the line, for us alone."""
        return _opened(self._open(), f"serial://{self.device}")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        import serial_asyncio_fast  # noqa: PLC0415 only where a serial line is owned

        pair: tuple[asyncio.StreamReader, asyncio.StreamWriter]
        pair = await serial_asyncio_fast.open_serial_connection(
            url=self.device, baudrate=self.baud, parity=self.parity, exclusive=True
        )
        return pair


@dataclass(slots=True)
class ListeningLink:
    """The device calls us. One at a time: a device that calls again has lost its old connection, which ends then."""

    host: str
    port: int
    on_listening: Callable[[int], None] | None = None
    """Hears the port, for port 0."""
    _next: _Streams | None = field(default=None, init=False)
    """Has called, and is not served yet."""
    _serving: _Streams | None = field(default=None, init=False)
    _called: asyncio.Event = field(default_factory=asyncio.Event, init=False, compare=False)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Wait for the device, unless it has called already."""
        try:
            server = await asyncio.start_server(self._accept, self.host, self.port)
        except OSError as error:
            raise LinkLost(f"cannot listen: {error.strerror}", place=self._place) from error
        async with server:
            if self.on_listening is not None:
                self.on_listening(server.sockets[0].getsockname()[1])
            await self._called.wait()
            self._called.clear()
            serving, self._next = self._next, None
            assert serving is not None
            self._serving = serving
            try:
                yield serving
            except asyncio.CancelledError:
                self._hang_up()  # nobody comes back for who has called meanwhile
                raise
            finally:
                serving.writer.close()

    @property
    def _place(self) -> str:
        return f"tcp-server://{self.host}:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _keep_alive(writer)
        self._hang_up()
        self._next = _Streams(reader, writer, self._place)
        self._called.set()

    def _hang_up(self) -> None:
        for older in (self._serving, self._next):
            if older is not None:
                older.writer.close()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is None:
        return  # a serial line
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in _KEEPALIVE_S.items():
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


class MemoryLink:
    """Two ends without a socket: `connect` gives ours, `peer` is the device's."""

    def __init__(self) -> None:
        self.peer: asyncio.Queue[bytes] = asyncio.Queue()
        self.ours: asyncio.Queue[bytes] = asyncio.Queue()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Return our end."""
        yield self

    async def read(self) -> bytes:
        """Return what the device sent; b"" ends."""
        return await self.ours.get()

    async def write(self, data: bytes) -> None:
        """Send to the device."""
        self.peer.put_nowait(data)


def _serial(parts: SplitResult, url: str) -> SerialLink:
    keys = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    baud, parity = keys.pop("baud", "9600"), keys.pop("parity", "N")
    if keys or baud not in map(str, _BAUDS) or parity not in _PARITIES:
        cure = f"baud is one of {', '.join(map(str, _BAUDS))}; parity is N, E or O; there is nothing else"
        raise ConfigInvalid("serial settings", place=url, cure=cure)
    return SerialLink(parts.path, int(baud), parity)
