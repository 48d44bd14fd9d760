"""A display card at a lane: rows of text behind frames, on a socket or a pty. `shown` is what a driver would read.

It speaks the frames of `drivers.display.frames`, as the manual has them, and keeps its rows until its power goes.
"""

import asyncio
import contextlib
import os
import random
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from drivers.display.card import CONNECT, SHOW, DisplayMap
from drivers.display.frames import Frame, Frames
from drivers.profile import Profile, checked_map

_TEXT_AT = 19
_LENGTH_AT = 17
_TOLD = b"102460100"
"""Versions of hardware, software and protocol: three digits each."""


@dataclass(slots=True)
class DisplayFaults:
    """What it does wrong."""

    silent: bool = False
    slow_s: float = 0.0
    garbled: bool = False
    refusing: bool = False
    lying: bool = False
    """It confirms what it does not show."""


@dataclass(slots=True)
class Display:
    """One card; `url` is where an edge finds it."""

    layout: DisplayMap
    address: int = 0
    seed: int = 1
    url: str = ""
    faults: DisplayFaults = field(default_factory=DisplayFaults)
    rows: dict[int, str] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)
    """The commands that came."""
    on_shown: Callable[[tuple[str, ...]], None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the rows, without those that are blank at the end."""
        texts = [self.rows.get(row, "").rstrip() for row in range(self.layout.rows)]
        while texts and not texts[-1]:
            texts.pop()
        return tuple(texts)

    async def until(self, wanted: Callable[[tuple[str, ...]], bool], patience_s: float) -> bool:
        """Wait until what is shown is as wanted; tell whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not wanted(self.shown):
                    self._changed.clear()
                    await self._changed.wait()
                return True
        return False

    def lose_power(self) -> None:
        """Forget all that is shown, and hang up."""
        self.rows.clear()
        for writer in list(self._writers):
            writer.transport.abort()

    def answer(self, frame: Frame) -> bytes:
        """Take a frame and return what the card sends back; nothing for a frame to another card."""
        if frame.address != self.address:
            return b""
        self.heard.append(frame.command)
        refusing = bytes((1 if self.faults.refusing else 0,))
        if frame.command == SHOW and len(frame.data) >= _TEXT_AT:
            row, length = frame.data[0], frame.data[_LENGTH_AT]
            if row < self.layout.rows and not (self.faults.refusing or self.faults.lying):
                self.rows[row] = frame.data[_TEXT_AT : _TEXT_AT + length].decode("gb18030", "replace")
            self._changed.set()
            if self.on_shown is not None:
                self.on_shown(self.shown)
        data = refusing + _TOLD if frame.command == CONNECT else refusing
        return Frame(self.address, frame.command, data).to_bytes()

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one edge until it leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.add(writer)
        try:
            await self.talk(reader, writer.write)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            self._serving.discard(task)
            writer.close()

    async def talk(self, reader: asyncio.StreamReader, write: Callable[[bytes], object]) -> None:
        """Answer what comes, until nothing more does."""
        frames, dice = Frames(), random.Random(self.seed)
        while data := await reader.read(512):
            for frame in frames.feed(data):
                if isinstance(frame, Frame):
                    await self._reply(write, self.answer(frame), dice)

    async def _reply(self, write: Callable[[bytes], object], raw: bytes, dice: random.Random) -> None:
        if self.faults.silent or not raw:
            return
        if self.faults.slow_s:
            await asyncio.sleep(self.faults.slow_s)
        if self.faults.garbled:
            place = dice.randrange(len(raw))
            raw = raw[:place] + bytes((raw[place] ^ 1 << dice.randrange(8),)) + raw[place + 1 :]
        write(raw)

    async def leave(self) -> None:
        """Hang up on whoever is connected."""
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)


def display_of(profile: Profile, seed: int = 1) -> Display:
    """Return a card with the rows of its profile."""
    return Display(checked_map(profile, DisplayMap), seed=seed)


@contextlib.asynccontextmanager
async def serve_tcp_display(display: Display, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Display]:
    """Listen."""
    server = await asyncio.start_server(display.client, host, port)
    display.url = f"tcp://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield display
    finally:
        server.close()
        await display.leave()


@contextlib.asynccontextmanager
async def serve_pty_display(display: Display) -> AsyncIterator[Display]:
    """Be a serial device on a new pty."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    loop.add_reader(master, lambda: reader.feed_data(os.read(master, 4096)))
    display.url = f"serial://{os.ttyname(slave)}?baud=9600"
    serving = loop.create_task(display.talk(reader, lambda data: _write(master, data)), name="display")
    try:
        yield display
    finally:
        loop.remove_reader(master)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        os.close(master)
        os.close(slave)


def _write(descriptor: int, data: bytes) -> None:
    """Write what the pty takes; a client that does not read loses the rest, as on a real line."""
    with contextlib.suppress(BlockingIOError):
        os.write(descriptor, data)
