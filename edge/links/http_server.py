"""The HTTP server that devices push to: one for each listening address, `http-server://host:port/path`.

Promises
1. Nothing of a request's body is read, and nothing of it handed on, before its peer and login may push.
2. Devices are told apart by the longest path prefix, among those by peer address or user name; who asks for anything
   else gets 404, and learns nothing of what there is.
3. Memory is bounded: lines, headers, bodies (the driver's cap), all bodies together, connections of a peer and of all.
   A body without end, a head without end and a silent connection end by time.
4. An answer leaves only after `handle` has returned; where it fails the answer is 500.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web

from core.errors import ConfigInvalid, LinkLost
from drivers.base import Answer, Request
from edge.links.digest_gate import Admitted, Barred, Door, Gate, peer_key
from edge.links.push_places import Place, conflicts, segments

__all__ = ["HttpServer", "Limits", "Mount", "Reply", "conflicts"]

_MAX_QUERY: Final = 64
_BUSY_AGAIN_S: Final = 2
_LAST_WORDS: Final = frozenset({400, 408, 413, 415})
"""After these the connection is of no more use: what follows may be anything."""
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes."""

    head_s: float = 10.0
    """Between the first byte of a head and its end. One that came along with another request has `keepalive_s`."""
    body_s: float = 10.0
    keepalive_s: float = 75.0
    line_bytes: int = 4096
    headers: int = 64
    peer_connections: int = 16
    device_connections: int = 4
    """One peer may have so many for each device here, where that is more: all may stand behind one address."""
    connections: int = 1024
    bodies_bytes: int = 64 << 20
    """Of all bodies that are held at one time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered."""

    answer: Answer
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Mount:
    """One device on a server. `handle` returns after everything that follows from the request is committed."""

    place: Place
    body_cap: int
    handle: Callable[[Request], Awaitable[Reply]]
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """User name -> password."""
    refused: Callable[[str], None] = lambda _why: None
    """Hears why a login at this device's own place was refused."""


class _Refused(Exception):
    """A request that ends here."""

    def __init__(self, status: int, word: str, retry_after_s: int = 0, challenges: tuple[str, ...] = ()) -> None:
        super().__init__(word)
        self.status = status
        self.word = word
        self.retry_after_s = retry_after_s
        self.challenges = challenges


class _Connection(web.RequestHandler):
    """aiohttp's connection, counted by peer, and ended where a head does not come to its end in time."""

    def __init__(self, server: "HttpServer", manager: web.Server, **options: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **options)
        self._server = server
        self._peer: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = peer_key((transport.get_extra_info("peername") or ("",))[0])
        if not self._server.admit(peer):
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
            return
        self._peer = peer
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.disarm()
        if self._peer is not None:
            self._server.leave(self._peer)
            self._peer = None
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._peer is None:
            return
        if not self.busy and self._deadline is None:
            self._arm()
        super().data_received(data)

    def _arm(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._server.limits.head_s, self._late)

    def disarm(self) -> None:
        """A head has come."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self._server.counters["late_head"] += 1
        self.force_close()


class HttpServer:
    """All devices of one listening address. `counters` has what was refused, by a few fixed words."""

    def __init__(
        self,
        mounts: Sequence[Mount],
        *,
        now: Callable[[], datetime],
        monotonic_ms: Callable[[], int],
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.counters: Counter[str] = Counter()
        self.port = 0
        """The port that is listened on, once it is."""
        self._mounts = sorted(mounts, key=lambda mount: len(mount.place.path), reverse=True)
        self._now = now
        self._monotonic_ms = monotonic_ms
        self._gate = Gate(secrets.token_bytes(32))
        self._peers: Counter[str] = Counter()
        self._held_bytes = 0

    async def run(self) -> None:
        """Serve for ever; raise LinkLost where the address cannot be had, ConfigInvalid for devices in conflict."""
        async with self.serving():
            await asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve meanwhile; gives the port."""
        places = [mount.place for mount in self._mounts]
        wrong = conflicts(places)
        if wrong or len({(place.host, place.port) for place in places}) != 1:
            raise ConfigInvalid("; ".join(wrong) or "one server serves one address")
        manager = web.Server(self._answer)
        limits = self.limits
        options: dict[str, Any] = {
            "keepalive_timeout": limits.keepalive_s,
            "access_log": None,
            "max_line_size": limits.line_bytes,
            "max_field_size": limits.line_bytes,
            "max_headers": limits.headers,
            "lingering_time": 0.1,
            "auto_decompress": False,
        }
        host, port = places[0].host, places[0].port
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(self, manager, **options), host, port
            )
        except OSError as error:
            raise LinkLost(error.strerror or str(error), place=f"http-server://{host}:{port}") from error
        try:
            self.port = server.sockets[0].getsockname()[1]
            yield self.port
        finally:
            server.close()
            manager.pre_shutdown()
            await manager.shutdown(1.0)

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the devices that push here."""
        return tuple(mount.place.device for mount in self._mounts)

    @property
    def connections(self) -> int:
        """Return how many connections there are."""
        return self._peers.total()

    @property
    def held_bytes(self) -> int:
        """Return how many bytes of bodies are held."""
        return self._held_bytes

    def admit(self, peer: str) -> bool:
        """Count a connection; False where it is one too many."""
        most = max(self.limits.peer_connections, self.limits.device_connections * len(self._mounts))
        if self._peers[peer] >= most or self.connections >= self.limits.connections:
            self.counters["connections"] += 1
            return False
        self._peers[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """Count a connection that has ended."""
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.disarm()
        connection.busy = True
        self.counters["requests"] += 1
        try:
            reply = await self._served(request)
        except _Refused as refusal:
            self.counters[refusal.word] += 1
            return self._refusal(refusal)
        except ConnectionError:
            raise
        except Exception:  # the request's outermost frame: the device hears 500 and sends it again
            self.counters["failed"] += 1
            log.exception("push.failed", port=self.port)
            return self._refusal(_Refused(500, "failed"))
        finally:
            connection.busy = False
        return _response(reply)

    def _refusal(self, refusal: _Refused) -> web.Response:
        response = _response(Reply(Answer(refusal.status, b"", "text/plain"), refusal.retry_after_s))
        for header in refusal.challenges:
            response.headers.add(hdrs.WWW_AUTHENTICATE, header)
        if refusal.status in _LAST_WORDS:
            response.force_close()
        return response

    async def _served(self, request: web.BaseRequest) -> Reply:
        began_ms = self._monotonic_ms()
        target, _, query = request.raw_path.partition("?")
        path = segments(_without_host(target))
        peer = _peer(request)
        found = self._at(path, peer) if path is not None else []
        if path is None or not found:
            raise _Refused(404, "not_found")
        mount = await self._admitted(request, found, peer)
        body = await self._body(request, mount.body_cap)
        try:
            asked = Request(
                method=request.method,
                path="/" + "/".join(path[len(mount.place.path) :]),
                at=self._now(),
                headers=_headers(request),
                query=_fields(query),
                body=body,
                began_ms=began_ms,
            )
            return await mount.handle(asked)
        finally:
            self._held_bytes -= len(body)

    def _at(self, path: tuple[str, ...], peer: str) -> list[Mount]:
        """Return the devices at the longest prefix of a path, of those that a peer reaches."""
        near = [
            mount
            for mount in self._mounts
            if path[: len(mount.place.path)] == mount.place.path and mount.place.reaches(peer)
        ]
        return [mount for mount in near if mount.place.path == near[0].place.path]

    async def _admitted(self, request: web.BaseRequest, found: Sequence[Mount], peer: str) -> Mount:
        """Return the device that a request is of."""
        place = found[0].place
        passwords = {user: password for mount in found for user, password in mount.passwords.items()}
        door = Door(place.auth, passwords, place.algorithms)
        logins = request.headers.getall(hdrs.AUTHORIZATION, [])
        if len(logins) > 1:
            raise _Refused(400, "two_logins")
        verdict = self._gate.judge(
            door, request.method, logins[0] if logins else "", peer_key(peer), self._monotonic_ms()
        )
        match verdict:
            case Admitted(user=user):
                return next(mount for mount in found if place.auth == "none" or user in mount.passwords)
            case Barred(retry_after_s=wait_s):
                raise _Refused(429, "barred", wait_s)
        if verdict.failed and len(found) == 1:
            found[0].refused(f"{peer}: {verdict.why}")
        if not verdict.failed:
            await self._drain(request, max(mount.body_cap for mount in found))
        raise _Refused(401, "login_failed" if verdict.failed else "challenged", challenges=verdict.headers)

    async def _drain(self, request: web.BaseRequest, cap: int) -> None:
        """Let a body pass by unread: cameras send it whole before they look whether they were challenged."""
        size = 0
        if hdrs.EXPECT in request.headers:
            return
        with suppress(TimeoutError, web.RequestPayloadError):
            async with asyncio.timeout(self.limits.body_s):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > cap:
                        return

    async def _body(self, request: web.BaseRequest, cap: int) -> bytes:
        """Return a request's body, and count it as held."""
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise _Refused(415, "encoded")
        if (request.content_length or 0) > cap:
            raise _Refused(413, "too_large")
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_s):
                if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._held_bytes += len(chunk)
                    if len(body) > cap:
                        raise _Refused(413, "too_large")  # noqa: TRY301 as the two below
                    if self._held_bytes > self.limits.bodies_bytes:
                        raise _Refused(503, "no_room", _BUSY_AGAIN_S)  # noqa: TRY301
        except BaseException as error:
            self._held_bytes -= len(body)
            if isinstance(error, TimeoutError):
                raise _Refused(408, "late_body") from None
            if isinstance(error, web.RequestPayloadError):
                raise _Refused(400, "broken_body") from None
            raise
        self.counters["bytes"] += len(body)
        return bytes(body)


def _peer(request: web.BaseRequest) -> str:
    name = request.transport.get_extra_info("peername") if request.transport else None
    return str(name[0]) if name else ""


def _without_host(target: str) -> str:
    """Return the path of a request's target, also where it is a whole URL (RFC 9112, 3.2.2)."""
    scheme, mark, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if mark and scheme.lower() in {"http", "https"} else target


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """Return the headers, the first of each name; a login is nothing for a driver."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found.setdefault(name.lower(), value)
    return {name: value for name, value in found.items() if name not in _SECRET_HEADERS}


def _fields(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_QUERY)
    except ValueError:
        raise _Refused(400, "query") from None
    return dict(reversed(pairs))


def _response(reply: Reply) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: reply.answer.media_type, hdrs.SERVER: "gatefleet"}
    if reply.retry_after_s:
        headers[hdrs.RETRY_AFTER] = str(reply.retry_after_s)
    return web.Response(status=reply.answer.status, body=reply.answer.body, headers=headers)
