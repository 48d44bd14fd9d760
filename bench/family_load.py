"""The load of one family of devices, in a process of its own (`family_kinds.py` begins it).

Each family notes samples of what its edge owes it: how long a document took to open a gate, a post to be answered, an
event to be fetched; of what is polled, how late a poll was. SIGUSR1 makes it lie, and again honest; SIGUSR2 makes it
begin requests that it will not end. It may be stopped and killed at any time, and started again at the same places.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.lone import LOGIN, Notebook
from simulators.pushing import Misbehaviour, Pusher

LOST_MS: Final = 2_000.0
"""Of what did not happen within this time."""
GARBAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a family is: its ports, its own address, and the edge's port for pushes."""

    name: str
    folder: str
    ports: list[int]
    host: str
    edge_port: int

    def write(self) -> Path:
        """Write it for the family's process; return the file."""
        path = Path(self.folder) / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @property
    def samples(self) -> Path:
        """Return the family's notebook."""
        return Path(self.folder) / f"{self.name}.samples"

    def url(self, name: str) -> str:
        """Return where a device pushes to."""
        return f"http://127.0.0.1:{self.edge_port}/{name}"

    def link(self, name: str) -> str:
        """Return what the edge's file says of that."""
        return f"http-server://127.0.0.1:{self.edge_port}/{name}"


@dataclass(slots=True)
class Mood:
    """What the family does wrong now."""

    lying: bool = False
    on_lie: list[Callable[[bool], None]] = field(default_factory=list)
    on_half: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _halves: set[asyncio.Task[None]] = field(default_factory=set)

    def turn(self) -> None:
        """Lie, or be honest again."""
        self.lying = not self.lying
        for hear in self.on_lie:
            hear(self.lying)

    def halve(self) -> None:
        """Begin what will not be ended."""
        for begin in self.on_half:
            task = asyncio.ensure_future(begin())
            self._halves.add(task)
            task.add_done_callback(self._halves.discard)


@dataclass(slots=True)
class At:
    """What a family has at hand."""

    plan: Plan
    book: Notebook
    mood: Mood
    exits: contextlib.AsyncExitStack

    async def again(self, every_s: float, do: Callable[[], Awaitable[Any]]) -> None:
        """Do something for ever, and note how long each took; what raises, or says False, is lost."""
        await asyncio.sleep(random.random() * every_s)
        while True:
            began_s, good = time.monotonic(), False
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError, asyncio.CancelledError):
                async with asyncio.timeout(LOST_MS / 1000):
                    good = await do() is not False
            self.book.note(self.plan.name, began_s, None if good else LOST_MS)
            await asyncio.sleep(max(0.0, began_s + every_s - time.monotonic()) or every_s / 10)

    async def pusher(self, name: str, *lies: Misbehaviour) -> Pusher:
        """Return what pushes to a place of the edge from the family's own address; it lies in these ways."""
        connector = aiohttp.TCPConnector(local_addr=(self.plan.host, 0))
        digest = aiohttp.DigestAuthMiddleware(LOGIN.username, LOGIN.password)
        session = await self.exits.enter_async_context(
            aiohttp.ClientSession(connector=connector, middlewares=(digest,))
        )
        made = Pusher(self.plan.url(name), session, seed=time.time_ns())  # after a kill: other reads than before

        def hear(lying: bool) -> None:
            made.misbehaviours = frozenset(lies) if lying else frozenset()

        self.mood.on_lie.append(hear)
        self.mood.on_half.append(lambda: self._half(name))
        return made

    async def _half(self, name: str) -> None:
        """Post half a body, and keep the connection."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.plan.edge_port, local_addr=(self.plan.host, 0))
        writer.write(f"POST /{name} HTTP/1.1\r\nHost: edge\r\nContent-Length: 100000\r\n\r\nhalf".encode())
        self.exits.callback(writer.close)

    async def garbage(self, name: str, every_s: float) -> None:
        """Post bytes that are nothing, while the family lies."""
        made = await self.pusher(name)
        while True:
            await asyncio.sleep(every_s)
            if self.mood.lying:
                await made.post(os.urandom(GARBAGE), "application/xml")


class Lateness:
    """Notes how late each of some polls is, by their period."""

    def __init__(self, at: At, every_s: float) -> None:
        self._at = at
        self._every_s = every_s
        self._last_s: dict[object, float] = {}

    def polled(self, what: object) -> None:
        """Take one poll."""
        now_s = time.monotonic()
        before_s = self._last_s.get(what)
        self._last_s[what] = now_s
        if before_s is not None:
            due_s = before_s + self._every_s
            self._at.book.note(self._at.plan.name, min(due_s, now_s), max(0.0, now_s - due_s) * 1000)


@contextlib.asynccontextmanager
async def listening(handle: Callable[..., Awaitable[None]], port: int) -> AsyncIterator[None]:
    """Serve streams on a port."""
    server = await asyncio.start_server(handle, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


Live = Callable[[At], Awaitable[Sequence[Awaitable[Any]]]]
"""Opens a family; returns what happens there for ever."""


async def run(plan: Plan, live: Live) -> None:
    """Be a family until the end."""
    loop, mood = asyncio.get_running_loop(), Mood()
    loop.add_signal_handler(signal.SIGUSR1, mood.turn)
    loop.add_signal_handler(signal.SIGUSR2, mood.halve)
    async with contextlib.AsyncExitStack() as exits:
        book = Notebook(plan.samples)
        exits.callback(book.close)
        happens = await live(At(plan, book, mood, exits))
        await asyncio.gather(*happens)
