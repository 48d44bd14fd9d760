"""The live view's HTTP: a page, an answer to its offer, and pictures for those whom WebRTC does not reach.

    GET  /live/{camera}                 the page; the same for every name, so that a stranger learns nothing
    GET  /live/-/page.js, page.css      what it needs
    POST /live/{camera}/offer           {"grant"?, "sdp"?} -> {"sdp", "until_s"}; opens the view and sets its cookie
    GET  /live/{camera}/snapshot.jpg    one picture        | by the view's cookie,
    GET  /live/{camera}/mjpeg           pictures           | or by `Authorization: Bearer GRANT`
    POST /live/{camera}/leave           the view ends

Its promises:
1. Grants and secrets stand in no log, no answer but the cookie, and no address.
2. Memory is bounded: heads, bodies, connections. A head or a body without end ends by time, and so does a reader who
   does not read.
3. A page of somebody else cannot act with a viewer's cookie, also where it is of the same site.
4. A refusal is a problem (RFC 9457) with its `why`, and is counted.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final, Protocol

import structlog
from aiohttp import hdrs, web

from core.errors import DeviceSilent, GatefleetError, LinkLost, NotFound, Unsupported
from core.messages.view_grant import MAX_GRANT
from edge.live.views import View
from edge.live.words import STATUS, ViewRefused, Why

MAX_BODY: Final = 64 << 10
_BODY_S: Final = 10.0
_HEAD_S: Final = 10.0
_WRITE_S: Final = 15.0
_KEEPALIVE_S: Final = 30.0
_MAX_CONNECTIONS: Final = 256
_COOKIE: Final = "gf_view_"
_OWN_PAGES: Final = frozenset({"same-origin", "none"})
_BOUNDARY: Final = "gatefleet-picture"
_MJPEG: Final = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
_HERE: Final = Path(__file__).parent
_ASSETS: Final = {
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.html": "text/html; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; media-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    hdrs.SERVER: "gatefleet",
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

log = structlog.get_logger()


class Shows(Protocol):
    """What the server asks of the live view. Everything raises ViewRefused or errors of the camera."""

    def refused(self, why: Why) -> None:
        """Count a refusal."""

    async def enter(self, device: str, grant: str, secret: str) -> View:
        """Return the view that a grant opens, or that a secret is of."""

    async def answer(self, view: View, offer: str) -> str:
        """Return the answer to a browser's offer; pictures flow until the view ends."""

    def pictures(self, view: View) -> AsyncGenerator[bytes, None]:
        """Give JPEGs until the view ends."""

    def leave(self, view: View) -> None:
        """End a view."""

    def left_s(self, view: View) -> float:
        """Return how long a view has."""


class LiveServer:
    """Serves `shows` at one address."""

    def __init__(self, shows: Shows, tls: SSLContext | None = None, *, behind_tls: bool = False) -> None:
        self._shows = shows
        self._tls = tls
        self._behind_tls = behind_tls
        self._connections = 0
        self._assets = {name: (_HERE / name).read_bytes() for name in _ASSETS}

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve meanwhile; gives the port. Raise LinkLost where the address cannot be had."""
        manager = web.Server(self._answer)
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(self, manager), host, port, ssl=self._tls
            )
        except OSError as error:
            raise LinkLost(error.strerror or str(error), place=f"live at {host}:{port}") from error
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            manager.pre_shutdown()
            await manager.shutdown(1.0)

    def admit(self) -> bool:
        """Count a connection; False where it is one too many."""
        if self._connections >= _MAX_CONNECTIONS:
            return False
        self._connections += 1
        return True

    def leave(self) -> None:
        """Count a connection that has ended."""
        self._connections -= 1

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.protocol, _Connection)
        request.protocol.disarm()
        request.protocol.busy = True
        try:
            return await self._served(request)
        except ViewRefused as refusal:
            return self._problem(refusal.why, refusal.detail)
        except NotFound as error:
            return self._problem(Why.NO_CAMERA, error.detail)
        except GatefleetError as error:
            return self._problem(Why.CAMERA, _without_places(error))
        except ConnectionError:
            raise
        except Exception:  # the request's outermost frame
            log.exception("live.failed", path=request.path)
            return self._problem(Why.BUG, "a bug: see the daemon's log")
        finally:
            request.protocol.busy = False

    def _problem(self, why: Why, detail: str) -> web.Response:
        self._shows.refused(why)
        status = STATUS[why]
        words = {"type": f"/problems/live/{why.value}", "title": detail, "status": status, "why": why.value}
        response = _response(json.dumps(words).encode(), "application/problem+json", status)
        if status == 503:
            response.headers[hdrs.RETRY_AFTER] = "10"
        if status in {400, 413}:
            response.force_close()
        return response

    async def _served(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = request.path.split("/")[1:]
        if len(request.path) > 256 or parts[0] != "live" or len(parts) not in {2, 3} or not parts[1]:
            raise ViewRefused(Why.NO_PATH, "there is nothing here")
        device, what = parts[1], parts[2] if len(parts) == 3 else ""
        routes: dict[tuple[str, str], Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]] = {
            ("GET", ""): self._page,
            ("POST", "offer"): self._offer,
            ("GET", "snapshot.jpg"): self._snapshot,
            ("GET", "mjpeg"): self._mjpeg,
            ("POST", "leave"): self._leave,
        }
        if device == "-" and what in _ASSETS and request.method == "GET":
            return _response(self._assets[what], _ASSETS[what])
        handler = routes.get((request.method, what))
        if handler is None:
            raise ViewRefused(Why.NO_PATH, "there is nothing here")
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "none") not in _OWN_PAGES:
            raise ViewRefused(Why.REQUEST, "that is not for other pages to ask")
        return await handler(request, device)

    async def _page(self, _request: web.BaseRequest, _device: str) -> web.StreamResponse:
        return _response(self._assets["page.html"], _ASSETS["page.html"])

    async def _offer(self, request: web.BaseRequest, device: str) -> web.StreamResponse:
        asked = await _asked(request)
        grant, offer = asked.get("grant") or _bearer(request), asked.get("sdp", "")
        if not isinstance(grant, str) or not isinstance(offer, str):
            raise ViewRefused(Why.REQUEST, "grant and sdp are texts")
        if not grant and request.content_type != "application/json":
            raise ViewRefused(Why.REQUEST, "an offer is application/json")  # a page elsewhere would have to ask first
        view = await self._shows.enter(device, grant, _secret(request, device))
        try:
            answer = await self._shows.answer(view, offer) if offer else ""
        except GatefleetError as error:
            response = self._refusal(error)
        else:
            words = {"sdp": answer, "until_s": round(self._shows.left_s(view), 1)}
            response = _response(json.dumps(words).encode(), "application/json")
        response.set_cookie(
            _COOKIE + device,
            view.secret,
            max_age=int(self._shows.left_s(view)) + 1,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.secure or self._behind_tls,
        )
        return response

    def _refusal(self, error: GatefleetError) -> web.Response:
        """Return why there is no WebRTC; the view is open all the same, for pictures."""
        if isinstance(error, ViewRefused):
            return self._problem(error.why, error.detail)
        return self._problem(Why.CODEC if isinstance(error, Unsupported) else Why.CAMERA, _without_places(error))

    async def _entered(self, request: web.BaseRequest, device: str) -> View:
        return await self._shows.enter(device, _bearer(request), _secret(request, device))

    async def _snapshot(self, request: web.BaseRequest, device: str) -> web.StreamResponse:
        view = await self._entered(request, device)
        async with aclosing(self._shows.pictures(view)) as pictures:
            async for picture in pictures:
                return _response(picture, "image/jpeg")
        raise ViewRefused(Why.OVER, "the view is over")

    async def _mjpeg(self, request: web.BaseRequest, device: str) -> web.StreamResponse:
        view = await self._entered(request, device)
        async with aclosing(self._shows.pictures(view)) as pictures:
            try:
                first = await anext(pictures)  # what goes wrong before the first picture is still told as a problem
            except StopAsyncIteration:
                raise ViewRefused(Why.OVER, "the view is over") from None
            response = web.StreamResponse(headers=_HEADERS | {hdrs.CONTENT_TYPE: _MJPEG})
            await response.prepare(request)
            try:
                await _part(response, first)
                async for picture in pictures:
                    await _part(response, picture)
            except (TimeoutError, GatefleetError):
                assert request.transport is not None
                request.transport.abort()
            return response

    async def _leave(self, request: web.BaseRequest, device: str) -> web.StreamResponse:
        self._shows.leave(await self._shows.enter(device, "", _secret(request, device)))
        return _response(b"", "text/plain", 204)


class _Connection(web.RequestHandler):
    """aiohttp's connection, one of so many, and ended where a head does not come to its end in time."""

    def __init__(self, server: LiveServer, manager: web.Server) -> None:
        options: dict[str, Any] = {"max_line_size": 2048, "max_field_size": 2 * MAX_GRANT, "max_headers": 64}
        options["access_log"] = None
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=0.1,
            auto_decompress=False,
            **options,
        )
        self._server = server
        self._admitted = False
        self._deadline: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None
        self._untaken: asyncio.TimerHandle | None = None
        """Ends the connection where what was written is not taken."""
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._admitted = self._server.admit()
        if not self._admitted:
            transport.abort()
            return
        self._wire = transport
        transport.set_write_buffer_limits(high=1, low=0)  # so that whatever is not taken is heard of
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.disarm()
        self._taken()
        if self._admitted:
            self._admitted = False
            self._server.leave()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        if not self.busy and self._deadline is None:
            self._arm()
        super().data_received(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._wire is not None:
            self._untaken = asyncio.get_running_loop().call_later(_WRITE_S, self._wire.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _arm(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(_HEAD_S, self.force_close)

    def disarm(self) -> None:
        """A head has come."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _part(response: web.StreamResponse, picture: bytes) -> None:
    """Write one picture; raise TimeoutError where nobody reads it."""
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
    async with asyncio.timeout(_WRITE_S):
        await response.write(head.encode() + picture + b"\r\n")


async def _asked(request: web.BaseRequest) -> dict[str, Any]:
    """Return the JSON of a request; raise ViewRefused."""
    if (request.content_length or 0) > MAX_BODY:
        raise ViewRefused(Why.TOO_LARGE, f"at most {MAX_BODY} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY:
                    raise ViewRefused(Why.TOO_LARGE, f"at most {MAX_BODY} bytes")
        asked = json.loads(body)
    except (TimeoutError, ValueError, RecursionError, web.RequestPayloadError) as error:
        raise ViewRefused(Why.REQUEST, "not a JSON object") from error
    if not isinstance(asked, dict):
        raise ViewRefused(Why.REQUEST, "not a JSON object")
    return asked


def _bearer(request: web.BaseRequest) -> str:
    scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _secret(request: web.BaseRequest, device: str) -> str:
    try:
        cookies = SimpleCookie(request.headers.get(hdrs.COOKIE, ""))
    except CookieError:
        return ""
    found = cookies.get(_COOKIE + device)
    return found.value if found is not None else ""


def _without_places(error: GatefleetError) -> str:
    """Return what is wrong with a camera without saying where on the network it is."""
    if isinstance(error, DeviceSilent):
        return "the camera is silent"
    return "the camera cannot be reached" if isinstance(error, LinkLost) else error.detail


def _response(body: bytes, media_type: str, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers=_HEADERS | {hdrs.CONTENT_TYPE: media_type})
