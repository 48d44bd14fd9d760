"""SIP over UDP and TCP to one peer: transactions, retransmissions, and nothing of what the messages say.

Promises:
1. Only the peer's address is heard: over UDP what comes from elsewhere is dropped and counted.
2. A request that comes again gets the same answer and is acted on once.
3. Bytes that are no SIP are counted; over TCP they end the connection, for its framing is lost.
4. What waits to be sent over TCP is bounded; a peer that takes no bytes is lost.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

from core.errors import DeviceSilent, FrameInvalid, LinkLost
from drivers.gb28181.sip import Broken, SipMessage, SipRequest, SipResponse, SipStream, encode, parse_datagram
from drivers.gb28181.transactions import Answered, Key, Timers, client_key, server_key

_CONNECT_S: Final = 5.0
_MAX_INVITES: Final = 64
"""Refusals that are sent again at a time; beyond, the peer's own retransmissions must do."""
_MAX_UNSENT: Final = 256 * 1024

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared, not bound

Answer = Callable[[SipRequest, tuple[str, int]], SipResponse | None]
"""A request and where it came from -> the answer; None for an ACK."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Peer:
    """Where the other side is, and how it is spoken to."""

    host: str
    port: int
    transport: Literal["udp", "tcp"] = "udp"
    any_port: bool = False
    """Also hear what comes from other ports of the same host over UDP."""

    def __str__(self) -> str:
        return f"sip+{self.transport}://{self.host}:{self.port}"


@dataclass(slots=True)
class SipCounts:
    """What the wire was like; it only grows."""

    strangers: int = 0
    broken: int = 0
    resent: int = 0
    repeated: int = 0
    strays: int = 0
    """Answers that nobody waits for."""


class SipAgent:
    """One wire to one peer. Made by `open_agent`, and of use only inside it."""

    def __init__(self, peer: Peer, address: tuple[str, int], answer: Answer, timers: Timers, counts: SipCounts) -> None:
        self.peer = peer
        self.address = address
        """The peer's, resolved."""
        self.local = ("", 0)
        self.counts = counts
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Has an exception once the wire is gone."""
        self.sender: Callable[[bytes, tuple[str, int]], None] | None = None
        self._answer = answer
        self._timers = timers
        self._waiting: dict[Key, asyncio.Future[SipResponse]] = {}
        self._answered = Answered(timers.patience_s)
        self._refusals: dict[Key, asyncio.TimerHandle] = {}
        """Answers to INVITEs that are sent again until their ACK."""

    @property
    def reliable(self) -> bool:
        """Whether the transport itself sends again."""
        return self.peer.transport == "tcp"

    async def ask(self, request: SipRequest, patience_s: float | None = None) -> SipResponse:
        """Send a request and return its final answer; raise DeviceSilent, or LinkLost where the wire is gone."""
        key, data = client_key(request), encode(request)
        waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience_s):
                return await self._ask(data, waiting)
        except TimeoutError:
            raise DeviceSilent(f"no answer to {request.method}", place=str(self.peer)) from None
        finally:
            self._waiting.pop(key, None)

    async def _ask(self, data: bytes, waiting: asyncio.Future[SipResponse]) -> SipResponse:
        for number, pause in enumerate(self._timers.pauses(reliable=self.reliable)):
            self.counts.resent += bool(number)
            self.send(data, self.address)
            either: set[asyncio.Future[Any]] = {waiting, self.lost}
            await asyncio.wait(either, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            if self.lost.done():
                self.lost.result()
        raise TimeoutError

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        """Send bytes; where the wire is gone they go nowhere, and `lost` tells."""
        if self.sender is not None and not self.lost.done():
            self.sender(data, to)

    def take(self, message: SipMessage, source: tuple[str, int]) -> None:
        """Hear one message of the peer."""
        if isinstance(message, SipRequest):
            self._take_request(message, source)
            return
        waiting = self._waiting.get(client_key(message))
        if waiting is None or waiting.done():
            self.counts.strays += 1
        elif message.status >= 200:
            waiting.set_result(message)

    def _take_request(self, request: SipRequest, source: tuple[str, int]) -> None:
        key, now = server_key(request), asyncio.get_running_loop().time()
        to = self.address if self.reliable else request.via.answer_to(*source)
        if request.method == "ACK":
            if (resending := self._refusals.pop(key, None)) is not None:
                resending.cancel()
            return
        if (given := self._answered.again(key, now)) is not None:
            self.counts.repeated += 1
            self.send(given, to)
            return
        answer = self._answer(request, source)
        if answer is None:
            return
        data = encode(answer)
        self._answered.keep(key, data, now)
        self.send(data, to)
        if request.method == "INVITE" and not self.reliable and len(self._refusals) < _MAX_INVITES:
            self._again(key, data, to, list(self._timers.pauses(reliable=False)))

    def _again(self, key: Key, data: bytes, to: tuple[str, int], pauses: list[float]) -> None:
        """Send an answer to an INVITE again until its ACK comes (RFC 3261, 17.2.1, timers G and H)."""

        def resend() -> None:
            self._refusals.pop(key, None)
            if pauses:
                self.counts.resent += 1
                self.send(data, to)
                self._again(key, data, to, pauses)

        self._refusals[key] = asyncio.get_running_loop().call_later(pauses.pop(0), resend)

    def invited(self, request: SipRequest) -> bool:
        """Tell whether the INVITE of a CANCEL was answered lately (RFC 3261, 9.2)."""
        branch, sent_by, *rest = server_key(request)
        now = asyncio.get_running_loop().time()
        return self._answered.again((branch, sent_by, "INVITE", *rest[1:]), now) is not None

    def lose(self, reason: str) -> None:
        """The wire is gone."""
        if not self.lost.done():
            self.lost.set_exception(LinkLost(reason, place=str(self.peer)))
            self.lost.exception()  # told to whoever asks; nobody asking is no mistake

    def close(self) -> None:
        """Send nothing any more."""
        self.lose("closed")
        for resending in self._refusals.values():
            resending.cancel()
        self._refusals.clear()


@contextlib.asynccontextmanager
async def open_agent(
    peer: Peer,
    answer: Answer,
    *,
    bind: tuple[str, int] | None = None,
    timers: Timers | None = None,
    counts: SipCounts | None = None,
) -> AsyncIterator[SipAgent]:
    """Open the wire; `bind` is our own address. Raises LinkLost."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            address = await _resolved(peer)
            agent = SipAgent(peer, address, answer, timers or Timers(), counts or SipCounts())
            transport = await (_open_tcp(agent, bind) if agent.reliable else _open_udp(agent, bind))
    except (OSError, TimeoutError) as error:
        raise LinkLost(f"cannot connect: {str(error) or 'no answer'}", place=str(peer)) from error
    try:
        yield agent
    finally:
        agent.close()
        transport.close()


async def _open_udp(agent: SipAgent, bind: tuple[str, int] | None) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    with socket.socket(_family(agent.address[0]), socket.SOCK_DGRAM) as probe:
        probe.connect(agent.address)  # sends nothing: it asks the routing table for our address
        ours: str = probe.getsockname()[0]
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(agent), local_addr=bind or (ours, 0))
    host, port = transport.get_extra_info("sockname")[:2]
    agent.local = (ours if host in _WILDCARDS else host, port)
    return transport


async def _open_tcp(agent: SipAgent, bind: tuple[str, int] | None) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: _Stream(agent), *agent.address, local_addr=bind)
    agent.local = transport.get_extra_info("sockname")[:2]
    return transport


class _Datagrams(asyncio.DatagramProtocol):
    """UDP: one message a datagram."""

    def __init__(self, agent: SipAgent) -> None:
        self._agent = agent

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # so it is
        """Give the agent its voice."""
        self._agent.sender = transport.sendto

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hear the peer, and nobody else."""
        source, agent = (addr[0], addr[1]), self._agent
        if source[0] != agent.address[0] or (source[1] != agent.address[1] and not agent.peer.any_port):
            agent.counts.strangers += 1
            return
        if not data.strip(b"\r\n\0"):
            return  # keeps a NAT open
        try:
            message = parse_datagram(data)
        except FrameInvalid as error:
            agent.counts.broken += 1
            log.info("gb28181.broken", peer=str(agent.peer), error=error.detail)
            return
        agent.take(message, source)

    def error_received(self, exc: Exception) -> None:
        """Leave it to the timers: an ICMP error may be forged or pass."""
        log.debug("gb28181.icmp", peer=str(self._agent.peer), error=str(exc))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell."""
        self._agent.lose(str(exc or "closed"))


class _Stream(asyncio.Protocol):
    """TCP: messages cut by their Content-Length."""

    def __init__(self, agent: SipAgent) -> None:
        self._agent = agent
        self._cut = SipStream()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the agent its voice."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._agent.sender = transport, self._write

    def data_received(self, data: bytes) -> None:
        """Hear what came whole."""
        for message in self._cut.receive(data):
            if isinstance(message, Broken):
                self._agent.counts.broken += 1
                self._end(f"not SIP: {message.detail}")
                return
            self._agent.take(message, self._agent.address)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell."""
        self._agent.lose(str(exc or "the peer hung up"))

    def _write(self, data: bytes, _to: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            self._end("the peer takes no bytes")

    def _end(self, reason: str) -> None:
        assert self._transport is not None
        self._agent.lose(reason)
        self._transport.abort()


async def _resolved(peer: Peer) -> tuple[str, int]:
    kind = socket.SOCK_STREAM if peer.transport == "tcp" else socket.SOCK_DGRAM
    found = await asyncio.get_running_loop().getaddrinfo(peer.host, peer.port, type=kind)
    return str(found[0][4][0]), int(found[0][4][1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
