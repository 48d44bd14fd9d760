"""One device, tried for a moment without a daemon: with the sessions that the daemon has, and nothing kept.

Promises
1. Nothing that a device observed is confirmed to it: no ack, no good answer to a push. What it holds it still holds,
   and sends to the daemon. Only its login is answered: a terminal that is not admitted tells nothing.
2. No command is sent, and no register written.
3. It ends: after `seconds`, or as soon as nothing new comes, or once the link has failed for good.
4. Bounded: the first fact of each kind is kept, of so many terminals, of so many kinds.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast
from urllib.parse import urlsplit

from core.errors import BufferUnavailable, GatefleetError
from core.messages.commands import DeviceCommand
from core.messages.event import Event
from core.messages.events import Health
from drivers.base import Codec, Output, Report
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Measured
from drivers.jt808.facts import TerminalAuthenticated, TerminalRegistered
from edge.board import Board, Finding
from edge.clock import Clock
from edge.config import read_secret
from edge.devices import resolved
from edge.library import OPENED_BY, LibrarySession, Shared
from edge.links.modbus_url import SCHEMES, open_bus, parse_modbus_url
from edge.links.stream import ListeningLink, stream_link
from edge.reporting import Reporter
from edge.sections import DeviceSpec
from edge.session import RegisterSession, StreamSession
from edge.supervisor import Supervisor
from edge.terminals import Terminals

_LOGINS: Final = (TerminalRegistered, TerminalAuthenticated)
_SETTLE_S: Final = 2.0
_ATTEMPTS: Final = 3
_MOST_FACTS: Final = 64
_MOST_TERMINALS: Final = 256


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact, and the terminal that told it where many share the link."""

    fact: Fact
    terminal: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found out."""

    reachable: bool
    health: Health
    findings: tuple[Finding, ...]
    facts: tuple[Heard, ...]
    terminals: tuple[str, ...]
    """Those that proved who they are."""
    rejected: int
    refused: int
    """Connections and logins."""

    @property
    def described(self) -> DeviceDescribed | None:
        """Return what the device says of itself."""
        own = [one.fact for one in self.facts if isinstance(one.fact, DeviceDescribed) and not one.terminal]
        return own[-1] if own else None


Listening = Callable[[str], None]
"""Hears where it is listened, with the port that was taken for port 0."""


async def probe(
    spec: DeviceSpec, seconds: float, *, listening: Listening = lambda _url: None, settle_s: float = _SETTLE_S
) -> Probed:
    """Try a device for at most `seconds`; raise ConfigInvalid where a secret is not where its reference says."""
    trial = _Trial(spec, listening)
    async with trial.sessions() as runs, asyncio.TaskGroup() as group:
        supervisor = Supervisor(group)
        for run in runs:
            supervisor.keep(spec.id, run, trial.failed)
        try:
            await trial.ear.listen(seconds, None if spec.driver.many else settle_s)
            found = trial.probed()  # before it is stopped: a bus that ends forgets what was wrong
        finally:
            await supervisor.stop()
    return found


@dataclass(slots=True)
class _Ear:
    """What is heard: the first fact of each kind."""

    facts: dict[tuple[str, ...], Heard] = field(default_factory=dict)
    terminals: dict[str, None] = field(default_factory=dict)
    hopeless: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, fact: Fact, terminal: str = "") -> None:
        """Keep a fact of a new kind; of a description the last."""
        kind = (terminal, *_kind(fact))
        if kind not in self.facts and len(self.facts) < _MOST_FACTS:
            self.facts[kind] = Heard(fact, terminal)
            self.news.set()
        elif isinstance(fact, DeviceDescribed) and kind in self.facts:
            self.facts[kind] = Heard(fact, terminal)

    def prove(self, terminal: str) -> None:
        """Keep the name of a terminal."""
        if len(self.terminals) < _MOST_TERMINALS:
            self.terminals[terminal] = None

    def give_up(self) -> None:
        """Wait no longer."""
        self.hopeless = True
        self.news.set()

    async def listen(self, seconds: float, settle_s: float | None) -> None:
        """Return after so long, once nothing new has come for `settle_s` after the first, or without hope."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled(settle_s)

    async def _settled(self, settle_s: float | None) -> None:
        while not self.hopeless:
            self.news.clear()
            try:
                async with asyncio.timeout(settle_s if self.facts else None):
                    await self.news.wait()
            except TimeoutError:
                return


def _kind(fact: Fact) -> tuple[str, ...]:
    name = type(fact).__name__
    match fact:
        case DeviceSignal(topic=topic, source=source):
            return (name, topic, source)
        case Measured(readings=readings):
            return (name, *sorted(readings))
    return (name,)


class _Nothing:
    """The buffer of a trial."""

    async def append(self, packed: Sequence[object]) -> object:
        """Refuse."""
        raise BufferUnavailable(f"{len(packed)} entries are not kept: this is a trial")


class _Trial:
    """The sessions of one device, and who hears them."""

    def __init__(self, spec: DeviceSpec, listening: Listening) -> None:
        self.spec = spec
        self.ear = _Ear()
        self._clock = Clock()
        self._listening = listening
        self._listens_told = False
        self._failures = 0
        self._lost: Callable[[Exception], None] = lambda _error: None
        self._terminals: Terminals | None = None
        self._board = Board({spec.id: spec}, now=self._clock.wall, tell=self._told)
        self._reporter = Reporter(
            spec,
            _Nothing(),
            stamp=self._clock.stamp,
            tell=lambda _event: None,
            noted=lambda name, finding: self._board.noted(spec.id, name, finding),
            now_ms=self._clock.monotonic_ms,
        )

    @asynccontextmanager
    async def sessions(self) -> AsyncIterator[tuple[Callable[[], Awaitable[None]], ...]]:
        """Give what must run, each to be begun again when it ends."""
        shared = Shared()
        try:
            yield self._made(shared)
        finally:
            await shared.close()

    def failed(self, error: Exception) -> None:
        """Note why a session ended; the third time, or where trying again cannot help, there is no hope."""
        self._lost(error)
        self._failures += 1
        if self._failures >= _ATTEMPTS or not (isinstance(error, GatefleetError) and error.retriable):
            self.ear.give_up()

    def probed(self) -> Probed:
        """Return what was found out."""
        record = self._board.record(self.spec.id)
        refused = self._terminals.counts.refused if self._terminals else record.counters["logins_refused"]
        return Probed(
            reachable=self._reachable(record.health, record.counters["rejected"]),
            health=record.health,
            findings=record.findings,
            facts=tuple(self.ear.facts.values()),
            terminals=tuple(self.ear.terminals),
            rejected=record.counters["rejected"],
            refused=refused,
        )

    def _reachable(self, health: Health, rejected: int) -> bool:
        if self.spec.driver.many:
            return bool(self.ear.terminals)
        if self.spec.link.startswith("serial:"):
            return bool(self.ear.facts) or rejected > 0  # a line opens also where nothing hangs on it
        return bool(self.ear.facts) or health not in {Health.UNKNOWN, Health.OFFLINE}

    def _made(self, shared: Shared) -> tuple[Callable[[], Awaitable[None]], ...]:
        scheme = self.spec.link.partition(":")[0]
        if scheme in SCHEMES:
            return self._register()
        if self.spec.driver.many:
            return self._many()
        if scheme == "http-server":
            return self._pushing()
        if scheme in OPENED_BY:
            library = LibrarySession(self.spec, self._board, self._heard, shared, OPENED_BY[scheme])
            self._lost = library.lost
            return (library.run,)
        if self.spec.driver.kind == "display":
            return self._display()
        return self._stream()

    def _register(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        session = RegisterSession(self.spec, self._board, self._observed)
        url = parse_modbus_url(self.spec.link)
        bus = open_bus(url.bus)
        session.attach(bus, url.unit, url.timeout_s)
        self._lost = session.lost
        return (bus.run,)

    def _stream(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        link = stream_link(self.spec.link)
        if isinstance(link, ListeningLink):
            link.on_listening = self._listens
        driver = self.spec.driver
        quiet = replace(
            driver, make=lambda profile, settings: _Unconfirmed(cast("Codec", driver.make(profile, settings)))
        )
        session = StreamSession(replace(resolved(self.spec), driver=quiet), link, self._board, self._heard)
        self._lost = session.lost
        return (session.run,)

    def _display(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        from edge.roads.displays import DisplaySession  # noqa: PLC0415 only for displays

        # It tells nothing unasked: it is asked what it is, which shows nothing.
        session = DisplaySession(resolved(self.spec), stream_link(self.spec.link), self._board, self._heard)
        self._lost = session.lost
        return (session.run,)

    def _many(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        async def deliver(terminal: str, fact: Fact) -> None:
            self.ear.hear(fact, terminal)
            if not isinstance(fact, _LOGINS):
                raise BufferUnavailable("a trial confirms nothing")

        def moved(terminal: str, online: bool) -> None:
            if online:
                self.ear.prove(terminal)

        spec = resolved(self.spec)
        self._terminals = Terminals(spec, self._board, deliver, moved, wall=self._clock.wall)
        self._lost = self._terminals.lost
        return (self._terminals.run,)

    def _pushing(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        from edge.links.http_server import HttpServer, Mount  # noqa: PLC0415 only for devices that push
        from edge.links.push_places import place_of  # noqa: PLC0415 as above
        from edge.push import PushSession  # noqa: PLC0415 as above

        async def deliver(fact: Fact) -> None:
            await self._heard(fact)
            raise BufferUnavailable("a trial confirms nothing")

        spec, access = self.spec, self.spec.access
        assert access is not None, "a device that pushes has been checked to say who may"
        session = PushSession(spec, self._board, deliver)
        place = place_of(spec.id, spec.link, access)
        passwords = {user: read_secret(reference) for user, reference in access.users.items()}
        mount = Mount(place, spec.driver.body_cap, session.handle, passwords, session.refused)
        server = HttpServer([mount], now=lambda: self._clock.wall().astimezone(), monotonic_ms=self._clock.monotonic_ms)

        async def serve() -> None:
            async with server.serving() as port:
                self._listens(port)
                await asyncio.get_running_loop().create_future()

        self._lost = session.lost
        return (serve,)

    async def _heard(self, fact: Fact) -> None:
        self.ear.hear(fact)
        await self._reporter.heard(fact)

    def _observed(self, fact: Fact) -> None:
        self.ear.hear(fact)
        self._reporter.noted(fact)

    def _told(self, _event: Event) -> None:
        """Hear from the board; a port of many terminals is open once it answers."""
        if self._terminals is not None and self._terminals.port:
            self._listens(self._terminals.port)

    def _listens(self, port: int) -> None:
        if self._listens_told:
            return
        self._listens_told = True
        parts = urlsplit(self.spec.link)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._listening(parts._replace(netloc=f"{host}:{port}").geturl())


class _Unconfirmed:
    """A codec whose reports are not confirmed."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def receive(self, data: bytes) -> Sequence[Output]:
        """Return what the bytes complete, without acks."""
        return [Report(one.fact) if isinstance(one, Report) else one for one in self._codec.receive(data)]

    def send(self, command: DeviceCommand) -> bytes:
        """Return the bytes of a command."""
        return self._codec.send(command)


def finding_values(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return findings as the control socket shows them."""
    return [{"code": one.code, "args": dict(one.args)} for one in findings]
