"""A document reader: sends lines of text over TCP (it listens) or over a pty, as the real ones do."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

_END = b"\r\n"


@dataclass(slots=True)
class Reader:
    """One reader; `url` is where an edge finds it."""

    url: str = ""
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _master: int | None = None
    _connected: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def wait_connected(self) -> None:
        """Return once an edge listens; a pty is always there."""
        if self._master is None:
            await self._connected.wait()

    def show(self, text: str) -> bool:
        """Read a document; machine-readable lines are parted by `|`. Tell whether anybody was connected."""
        data = b"".join(line.encode() + _END for line in text.split("|"))
        if self._master is not None:
            # A line nobody reads is lost, as on a cable that is not plugged in.
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)
            return True
        for writer in self._writers:
            writer.write(data)
        return bool(self._writers)

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one edge until it leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.append(writer)
        self._connected.set()
        try:
            while await reader.read(256):
                pass
        except OSError:
            pass
        finally:
            self._writers.remove(writer)
            if not self._writers:
                self._connected.clear()
            self._serving.discard(task)
            writer.close()

    async def leave(self) -> None:
        """Hang up on whoever is connected."""
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def serve_tcp_reader() -> AsyncIterator[Reader]:
    """Listen on a free port of loopback."""
    reader = Reader()
    server = await asyncio.start_server(reader.client, "127.0.0.1", 0)
    reader.url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield reader
    finally:
        server.close()
        await reader.leave()


@contextlib.asynccontextmanager
async def serve_pty_reader() -> AsyncIterator[Reader]:
    """Be a serial device on a new pty."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    try:
        yield Reader(url=f"serial://{os.ttyname(slave)}?baud=9600", _master=master)
    finally:
        os.close(master)
        os.close(slave)
