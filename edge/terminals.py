"""Many devices that call us on one port: vehicle locators. Each connection has a codec of its own.

Promises
1. What a report confirms is written only after `deliver` has returned, and so after its commit; where it cannot be
   committed nothing is confirmed, and the terminal sends it again.
2. The reports of one connection are delivered one after the other.
3. Bounded: connections, reports that wait of one connection, bytes that a peer does not take. A stranger has
   `stranger_s` to prove who it is, everybody `silence_s` to say something.
4. A terminal that calls again is served on its newest connection; the older one is closed.
5. A command is sent once and never again. It ends: by the terminal's answer, by a stated patience, or with the
   connection; then it is not known what the terminal did. What is long leaves piece by piece, as the peer takes it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel

from core.errors import BufferFull, BufferUnavailable, DeviceRefused, DeviceSilent, LinkLost, NotFound
from drivers.base import Output, PeerCodec, Question, Rejected, Reply, Report
from drivers.facts import Fact
from edge.board import Board, Finding
from edge.sections import DeviceSpec

log = structlog.get_logger()

_SWEEP_S: Final = 5.0
_MOST_WAITING: Final = 128
_MOST_UNTAKEN: Final = 256 * 1024
_ROOM: Final = 64 * 1024
"""Bytes that may wait for the peer before more of a long command is written."""
_MOST_ASKED: Final = 8
"""Commands of one terminal that may wait for their answer."""
_LONGEST_SEND_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a port takes."""

    connections: int = 10_000
    stranger_s: float = 30.0
    silence_s: float = 600.0
    answer_s: float = 30.0
    """So long a command's answer is waited for, once it is sent."""


Deliver = Callable[[str, Fact], Awaitable[None]]
"""(terminal, fact): makes durable what follows from a fact; raises BufferFull or BufferUnavailable where it cannot."""

Moved = Callable[[str, bool], None]
"""(terminal, online)"""


@dataclass(slots=True)
class TerminalCounts:
    """Counted since the start."""

    accepted: int = 0
    refused: int = 0
    """Connections over the bound, strangers that proved nothing, peers that were silent or took no bytes."""
    rejected: int = 0
    reports: int = 0
    unconfirmed: int = 0
    """Reports that could not be committed."""


class Terminals:
    """The terminals of one listening device."""

    def __init__(
        self,
        spec: DeviceSpec,
        board: Board,
        deliver: Deliver,
        moved: Moved,
        *,
        wall: Callable[[], datetime],
        bounds: Bounds | None = None,
    ) -> None:
        self.spec = spec
        self.counts = TerminalCounts()
        self._board = board
        self._deliver = deliver
        self._moved = moved
        self._wall = wall
        self._bounds = bounds or Bounds()
        self._peers: set[_Peer] = set()
        self._known: dict[str, _Peer] = {}
        self.port = 0

    @property
    def online(self) -> frozenset[str]:
        """Return the terminals that are connected and have proved who they are."""
        return frozenset(self._known)

    async def run(self) -> None:
        """Listen until cancelled; raises LinkLost where that is not possible."""
        place = urlsplit(self.spec.link)
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: _Peer(self), place.hostname, place.port or 0, backlog=1024)
        except OSError as error:
            raise LinkLost(f"cannot listen: {error.strerror or error}", place=self.spec.link) from error
        self.port = server.sockets[0].getsockname()[1]
        self._board.answers(self.spec.id)
        try:
            while True:
                await asyncio.sleep(_SWEEP_S)
                self._sweep(loop.time())
        finally:
            server.close()
            for peer in list(self._peers):
                peer.abort()

    def lost(self, error: Exception) -> None:
        """Note why listening ended."""
        self._board.silent(self.spec.id, Finding("link_down", {"link": self.spec.link, "error": str(error)}))

    async def command(self, terminal: str, command: BaseModel) -> str:
        """Have a terminal do a command; return "" or why it did not.

        Raises NotFound where it is not connected, Unsupported, DeviceRefused, DeviceSilent without an answer, LinkLost.
        """
        return await self.peer(terminal).ask(command, self._bounds.answer_s)

    def peer(self, terminal: str) -> "_Peer":
        """Return a terminal's connection; zeros before its number may be left out. Raise NotFound."""
        peer = self._known.get(terminal)
        if peer is None and terminal:
            short = terminal.lstrip("0")
            alike = [one for name, one in self._known.items() if name.lstrip("0") == short]
            peer = alike[0] if len(alike) == 1 else None
        if peer is None:
            raise NotFound(f"terminal {terminal} is not connected", place=self.spec.id)
        return peer

    def codec(self) -> PeerCodec:
        """Return a codec for a new connection."""
        return cast("PeerCodec", self.spec.driver.make(self.spec.profile, self.spec.settings))

    def _sweep(self, now_s: float) -> None:
        for peer in list(self._peers):
            if now_s - peer.heard_s > self._bounds.silence_s:
                self.refuse(peer, "silent")
            elif not peer.terminal and now_s - peer.began_s > self._bounds.stranger_s:
                self.refuse(peer, "it did not prove who it is")
            else:
                peer.take(peer.codec.overdue(time.monotonic_ns() // 1_000_000))

    # What a connection tells.

    def came(self, peer: "_Peer") -> bool:
        """Take a new connection; False where there are too many."""
        if len(self._peers) >= self._bounds.connections:
            self.turned_away("there are too many")
            return False
        self._peers.add(peer)
        self.counts.accepted += 1
        return True

    def went(self, peer: "_Peer") -> None:
        """Forget a connection."""
        self._peers.discard(peer)
        self._forget(peer.terminal, peer)

    def proved(self, peer: "_Peer", terminal: str) -> None:
        """Know a connection by its terminal, and close the one it had before; empty: it has logged out."""
        self._forget(peer.terminal, peer)
        peer.terminal = terminal
        if not terminal:
            return
        before = self._known.get(terminal)
        self._known[terminal] = peer
        if before is None:
            self._moved(terminal, True)
        else:
            before.abort()

    def _forget(self, terminal: str, peer: "_Peer") -> None:
        if terminal and self._known.get(terminal) is peer:
            del self._known[terminal]
            self._moved(terminal, False)

    def refuse(self, peer: "_Peer", why: str) -> None:
        """Close a connection for cause."""
        log.info("terminal.refused", device=self.spec.id, terminal=peer.terminal, why=why)
        self.turned_away(why)
        peer.abort()

    def turned_away(self, why: str) -> None:
        """Count a connection that was refused; the port is none the sicker for it."""
        self.counts.refused += 1
        args = {"count": self.counts.refused, "why": why}
        self._board.noted(self.spec.id, "refused", Finding("terminals_refused", args, mild=True))

    def rejected(self, rejected: Rejected) -> None:
        """Count bytes that were no frame."""
        self.counts.rejected += 1
        self._board.rejected(self.spec.id, rejected.detail)

    async def deliver(self, peer: "_Peer", report: Report) -> None:
        """Deliver a report, then confirm it."""
        try:
            await self._deliver(peer.terminal, report.fact)
        except (BufferFull, BufferUnavailable):
            self.counts.unconfirmed += 1
            return
        self.counts.reports += 1
        self._board.fact(self.spec.id, report.fact)
        peer.write(report.ack + peer.codec.answer(report.fact, self._wall()))


class _Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, terminals: Terminals) -> None:
        self.codec = terminals.codec()
        self.terminal = ""
        self.began_s = self.heard_s = asyncio.get_running_loop().time()
        self._terminals = terminals
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Report | Reply] = deque()
        self._working: asyncio.Task[None] | None = None
        self._asked: dict[Question, asyncio.Future[str | None]] = {}
        """Each hears its outcome, None with the connection's end."""
        self._full = False
        self._room: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_ROOM)
        if not self._terminals.came(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the library's signature
        self._transport = None
        self._terminals.went(self)
        if self._working is not None:
            self._working.cancel()
        for outcome in self._asked.values():
            if not outcome.done():
                outcome.set_result(None)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._room is not None:
            self._room.set()

    def data_received(self, data: bytes) -> None:
        self.heard_s = asyncio.get_running_loop().time()
        self.take(self.codec.receive(data))
        self._settle()

    def _settle(self) -> None:
        for question, outcome in self._asked.items():
            if question.outcome is not None and not outcome.done():
                outcome.set_result(question.outcome)

    async def ask(self, command: BaseModel, answer_s: float) -> str:
        """Write a command and return how the terminal answered: "" or why it did not; raises as Terminals.command."""
        place = f"{self._terminals.spec.id}/{self.terminal}"
        if len(self._asked) >= _MOST_ASKED:
            raise DeviceRefused(f"{_MOST_ASKED} commands wait for its answer already", place=place)
        question = self.codec.ask(command)
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._asked[question] = outcome
        try:
            await self._send(question, place)
            self._settle()
            async with asyncio.timeout(answer_s):
                told = await outcome
        except TimeoutError:
            told = question.unanswered()
            if told is None:
                raise DeviceSilent(f"no answer within {answer_s:g} s", place=place) from None
        finally:
            del self._asked[question]
        if told is None:
            raise LinkLost("the connection ended before the answer: what it did is not known", place=place)
        return told

    async def _send(self, question: Question, place: str) -> None:
        """Write it, as the peer takes it; raise LinkLost."""
        self._room = self._room or asyncio.Event()
        try:
            async with asyncio.timeout(_LONGEST_SEND_S):
                for frame in question.frames:
                    while self._full:
                        self._room.clear()
                        await self._room.wait()
                    if self._transport is None or question.outcome is not None:
                        return
                    self.write(frame)
        except TimeoutError:
            raise LinkLost("it does not take the command", place=place) from None

    def take(self, outputs: Sequence[Output]) -> None:
        """Take what the codec gave, in order."""
        for output in outputs:
            if isinstance(output, Rejected):
                self._terminals.rejected(output)
            elif isinstance(output, Reply) and not self._waiting:
                self.write(output.data)
            else:
                self._waiting.append(output)
        if self.codec.terminal != self.terminal:
            self._terminals.proved(self, self.codec.terminal)
        if self._waiting and self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())
        elif self.codec.closing and not self._waiting:
            self._hang_up()
        if len(self._waiting) > _MOST_WAITING and self._transport is not None:
            self._transport.pause_reading()

    async def _work(self) -> None:
        try:
            while self._waiting:
                output = self._waiting[0]
                if isinstance(output, Reply):
                    self.write(output.data)
                else:
                    await self._terminals.deliver(self, output)
                self._waiting.popleft()
        except Exception:  # the task's outermost frame: nothing of it is confirmed
            log.exception("terminal.failed", device=self._terminals.spec.id, terminal=self.terminal)
            self.abort()
        finally:
            self._working = None
        if self._transport is not None:
            self._transport.resume_reading()
            if self.codec.closing:
                self._hang_up()

    def write(self, data: bytes) -> None:
        """Write, unless the connection is gone."""
        if self._transport is not None and data:
            self._transport.write(data)
            if self._full and self._transport.get_write_buffer_size() > _MOST_UNTAKEN:
                self._terminals.refuse(self, "it takes no bytes")

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _hang_up(self) -> None:
        """Close once everything is written."""
        if self._transport is not None:
            self._terminals.turned_away("it is not admitted")
            self._transport.close()
