"""A platform above by GB/T 28181: a registrar that asks for passwords, queries, invites, and misbehaves when told to.

It speaks SIP on a real UDP and a real TCP port of loopback. What lower platforms sent is kept in `heard`.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Final

from core.errors import FrameInvalid
from drivers.digest import Login, holds, parse_digest
from drivers.gb28181.headers import Address, SipUri, Via, parse_seconds
from drivers.gb28181.ids import domain_of
from drivers.gb28181.manscdp import CONTENT_TYPE, Manscdp, build, parse_body
from drivers.gb28181.sip import (
    Broken,
    Headers,
    SipMessage,
    SipRequest,
    SipResponse,
    SipStream,
    encode,
    parse_datagram,
)

Send = Callable[[bytes], None]
Place = tuple[str, int]
_CHINA: Final = timezone(timedelta(hours=8))
_GARBAGE: Final = b"\x00\xffSIP/2.0 nonsense\r\n\r\n"


@dataclass(slots=True)
class Misbehaviour:
    """What the platform does wrong; the defaults are good manners."""

    slow_s: float = 0.0
    """Before every answer."""
    garbled: bool = False
    """Bytes that are no SIP, before every answer."""
    silent: set[str] = field(default_factory=set)
    """Methods that get no answer."""
    lose_first: int = 0
    """Requests that get lost before any is heard."""
    grants_s: int | None = -1
    """What the 200 says of Expires; None: nothing; -1: what was asked."""
    status: dict[str, int] = field(default_factory=dict)
    """Method -> an answer that is always given."""
    redirect: str = ""
    """Contact of a 302."""
    min_expires_s: int = 0
    stale_once: bool = False
    date: str = ""
    """A Date that is told instead of the right one."""


@dataclass(slots=True)
class Guest:
    """A lower platform that is registered."""

    device_id: str
    send: Send
    place: Place
    transport: str
    expires_s: int


class Platform:
    """The platform. `accounts` is id -> password."""

    def __init__(self, platform_id: str, accounts: dict[str, str]) -> None:
        self.id = platform_id
        self.domain = domain_of(platform_id)
        self.accounts = accounts
        self.bad = Misbehaviour()
        self.ports = {"udp": 0, "tcp": 0}
        self.guests: dict[str, Guest] = {}
        self.heard: list[Manscdp] = []
        self.requests: list[SipRequest] = []
        self._numbers = itertools.count(1)
        self._nonces: set[str] = set()
        self._waiting: dict[str, asyncio.Future[SipResponse]] = {}
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def until(self, true: Callable[[], bool], patience_s: float = 20.0) -> None:
        """Return once something that was heard makes it true; raise TimeoutError."""
        async with asyncio.timeout(patience_s):
            while not true():
                self._moved.clear()
                await self._moved.wait()

    async def query(self, guest_id: str, cmd: str, device_id: str = "") -> list[Manscdp]:
        """Ask, and collect the answers: one, or a list until its sum is there."""
        sn = next(self._numbers)
        response = await self.ask(guest_id, "MESSAGE", build("Query", cmd, sn, device_id or guest_id))
        if response.status != 200:
            raise FrameInvalid(f"the query was answered {response.status}")

        def answers() -> list[Manscdp]:
            return [one for one in self.heard if (one.root, one.cmd, one.sn) == ("Response", cmd, sn)]

        def whole() -> bool:
            found = answers()
            return bool(found) and sum(len(one.items) for one in found) >= (found[0].sum_num or 0)

        await self.until(whole)
        return answers()

    async def ask(
        self, guest_id: str, method: str, body: bytes = b"", content_type: str = CONTENT_TYPE, branch: str = ""
    ) -> SipResponse:
        """Send one request, once; return its answer."""
        guest, number = self.guests[guest_id], next(self._numbers)
        branch = branch or f"z9hG4bKup{number}"
        request = self.request(guest, method, branch, number, body, content_type)
        waiting: asyncio.Future[SipResponse] = asyncio.get_running_loop().create_future()
        self._waiting[branch + method] = waiting
        guest.send(encode(request))
        return await waiting

    def request(
        self, guest: Guest, method: str, branch: str, number: int, body: bytes = b"", content_type: str = CONTENT_TYPE
    ) -> SipRequest:
        """Return a request of ours."""
        port = self.ports[guest.transport]
        via = Via(guest.transport.upper(), "127.0.0.1", port, (("rport", None), ("branch", branch)))
        rows = (
            ("Via", str(via)),
            ("From", str(Address(SipUri(self.id, self.domain), (("tag", f"up{number}"),)))),
            ("To", str(Address(SipUri(guest.device_id, domain_of(guest.device_id))))),
            ("Call-ID", f"up{number}"),
            ("CSeq", f"{number} {method}"),
            ("Max-Forwards", "70"),
        )
        typed = (("Content-Type", content_type),) if body else ()
        uri = f"sip:{guest.device_id}@{guest.place[0]}:{guest.place[1]}"
        return SipRequest(Headers(rows + typed), method=method, uri=uri, body=body)

    def take(self, message: SipMessage, send: Send, place: Place, transport: str) -> None:
        """Hear one message."""
        if isinstance(message, SipResponse):
            waiting = self._waiting.get(message.via.branch + message.cseq.method)
            if waiting is not None and not waiting.done() and message.status >= 200:
                waiting.set_result(message)
            return
        self.requests.append(message)
        self._moved.set()
        if self.bad.lose_first > 0:
            self.bad.lose_first -= 1
            return
        if message.method in self.bad.silent:
            return
        task = asyncio.create_task(self._answer(message, send, place, transport), name="gb28181.platform.answer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: SipRequest, send: Send, place: Place, transport: str) -> None:
        await asyncio.sleep(self.bad.slow_s)
        if request.method == "REGISTER":
            response = self._register(request, Guest("", send, place, transport, 0))
        else:
            response = self._message(request)
        if self.bad.garbled:
            send(_GARBAGE)
        send(encode(response))
        self._moved.set()

    def _message(self, request: SipRequest) -> SipResponse:
        forced = self.bad.status.get(request.method)
        if forced or request.method != "MESSAGE":
            return self._reply(request, forced or 405)
        if request.sender.uri.user not in self.guests:
            return self._reply(request, 403)
        try:
            self.heard.append(parse_body(request.body))
        except FrameInvalid:
            return self._reply(request, 400)
        return self._reply(request, 200)

    def _register(self, request: SipRequest, guest: Guest) -> SipResponse:
        bad = self.bad
        if bad.redirect:
            return self._reply(request, 302, ("Contact", bad.redirect))
        if "REGISTER" in bad.status:
            return self._reply(request, bad.status["REGISTER"])
        refusal = self._challenge(request)
        if refusal is not None:
            return refusal
        asked = parse_seconds(request.headers.get("Expires")) or 0
        if 0 < asked < bad.min_expires_s:
            return self._reply(request, 423, ("Min-Expires", str(bad.min_expires_s)))
        guest.device_id, guest.expires_s = request.target.uri.user, asked
        if asked:
            self.guests[guest.device_id] = guest
        else:
            self.guests.pop(guest.device_id, None)
        rows = [("Date", bad.date or datetime.now(_CHINA).isoformat(timespec="milliseconds")[:23])]
        granted = asked if bad.grants_s == -1 else bad.grants_s
        rows += [("Expires", str(granted))] if granted is not None else []
        return self._reply(request, 200, *rows)

    def _challenge(self, request: SipRequest) -> SipResponse | None:
        header = request.headers.get("Authorization")
        if header is None:
            return self._asks(request)
        params = parse_digest(header)
        if params.get("nonce") not in self._nonces:
            return self._asks(request)
        if self.bad.stale_once:
            self.bad.stale_once = False
            return self._asks(request, ", stale=true")
        user = params.get("username", "")
        good = user in self.accounts and holds(Login(user, self.accounts[user]), request.method, params)
        return None if good else self._asks(request)

    def _asks(self, request: SipRequest, more: str = "") -> SipResponse:
        nonce = f"{next(self._numbers):016x}"
        self._nonces.add(nonce)
        value = f'Digest realm="{self.domain}", nonce="{nonce}", algorithm=md5{more}'
        return self._reply(request, 401, ("WWW-Authenticate", value))

    def _reply(self, request: SipRequest, status: int, *rows: tuple[str, str]) -> SipResponse:
        # No tag in To: so do real platforms answer a REGISTER.
        copied = [(name, request.headers.get(name) or "") for name in ("Via", "From", "To", "Call-ID", "CSeq")]
        return SipResponse(Headers((*copied, *rows)), status=status, reason="OK" if status == 200 else "No")

    async def close(self) -> None:
        """End what is still being answered."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # so it is
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Place) -> None:
        transport = self._transport
        assert transport is not None
        with contextlib.suppress(FrameInvalid):
            message = parse_datagram(data)
            self._platform.take(message, lambda answer: transport.sendto(answer, addr), addr, "udp")


@contextlib.asynccontextmanager
async def serve_platform(platform_id: str, accounts: dict[str, str]) -> AsyncIterator[Platform]:
    """Listen on free ports of loopback, UDP and TCP."""
    platform = Platform(platform_id, accounts)
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream, place = SipStream(), writer.get_extra_info("peername")[:2]
        writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                for message in stream.receive(data):
                    if not isinstance(message, Broken):
                        platform.take(message, writer.write, place, "tcp")
        writers.discard(writer)
        writer.close()

    loop = asyncio.get_running_loop()
    datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(platform), local_addr=("127.0.0.1", 0))
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    platform.ports = {
        "udp": datagrams.get_extra_info("sockname")[1],
        "tcp": server.sockets[0].getsockname()[1],
    }
    try:
        yield platform
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        datagrams.close()
        await platform.close()
