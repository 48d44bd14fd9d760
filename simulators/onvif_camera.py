"""An ONVIF camera on real HTTP: device, media, media 2, events by pull point with a real long poll, PTZ, stills.

It may misbehave as cameras do: see `Habits`. What was asked of it is in `asked`, what its dome did in `moves`.
"""

import asyncio
import base64
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from xml.etree.ElementTree import Element

from aiohttp import web

from core.errors import GatefleetError
from drivers.digest import Login, holds, parse_digest
from drivers.markup import find, local, parse_xml, text
from drivers.onvif import DEVICE, EVENTS, MEDIA, MEDIA2, PTZ, UsernameToken
from drivers.onvif_answers import instant
from simulators import onvif_words as words
from simulators.jpeg import black_picture, moving_picture
from simulators.onvif_words import Emitted

_TOLERANCE_S: Final = 5.0
_MAX_QUEUED: Final = 1000
_TURNS_TO_BE_KNOWN: Final = 8
"""Turns of the loop from accepting to a transport; a server that is closed between leaves the peer hanging (3.11)."""
PRESETS: Final = {"P001": "entry", "P002": "barrier"}


@dataclass(slots=True)
class Habits:
    """How a camera differs from what the standard says."""

    login: Literal["wsse", "digest", "none"] = "wsse"
    clock_skew: timedelta = timedelta()
    wrong_host: str = ""
    """It names this host in all addresses."""
    old: bool = False
    """It knows neither GetServices nor media 2."""
    dome: bool = True
    renew: Literal["granted", "refused"] = "granted"
    lease: Literal["granted", "extended", "silent", "past"] = "granted"
    """What it tells of a lease: as asked for; ever longer with each pull; nothing; one that is over."""
    reference: Literal["address", "parameter"] = "address"
    """Where it names a subscription."""
    waits: bool = True
    """Whether it waits in a pull until something happens."""
    picture: Literal["moving", "frozen", "black", "garbled", "none"] = "moving"
    picture_login: Literal["digest", "basic", "none"] = "digest"
    slow_s: float = 0.0
    garbled: bool = False
    """It answers no SOAP."""
    stops: bool = True
    """Whether it hears Stop."""


@dataclass(slots=True)
class Camera:
    """One camera; `url` is its device service."""

    login: Login = field(default_factory=lambda: Login("operator", "Gate&fleet<1>"))
    habits: Habits = field(default_factory=Habits)
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    moves: list[str] = field(default_factory=list)
    state: dict[str, Emitted] = field(default_factory=dict)
    """Properties by topic and source: what a new subscriber is told first."""
    subscriptions: dict[str, asyncio.Queue[Emitted]] = field(default_factory=dict)
    pictures: int = 0
    stream: str = ""
    """Its RTSP address, such as of `simulators.rtsp`; empty: one that leads nowhere."""
    _ends: dict[str, datetime] = field(default_factory=dict)
    _nonces: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _happened: asyncio.Condition = field(default_factory=asyncio.Condition)

    def now(self) -> datetime:
        """Return the camera's own time."""
        return datetime.now(UTC) + self.habits.clock_skew

    async def until(self, true: Callable[["Camera"], bool]) -> None:
        """Wait until something is so."""
        async with self._happened:
            await self._happened.wait_for(lambda: true(self))

    def emit(self, event: Emitted) -> None:
        """Let something happen; a property is remembered for who subscribes later."""
        self.state[f"{event.topic} {sorted(event.source.items())}"] = event
        for queue in self.subscriptions.values():
            if queue.qsize() < _MAX_QUEUED:
                queue.put_nowait(event)

    def forget_subscriptions(self) -> None:
        """Start anew, as after a power cut."""
        self.subscriptions.clear()

    async def soap(self, request: web.Request) -> web.Response:
        """Answer one question."""
        raw = await request.read()
        await asyncio.sleep(self.habits.slow_s)
        try:
            root = parse_xml(raw)
            body = find(root, "Body")
            question = body[0] if body is not None and len(body) else None
        except GatefleetError as error:
            return _soap(words.fault("ter:WellFormed", error.detail), 400)
        if question is None:
            return _soap(words.fault("ter:WellFormed", "no body"), 400)
        op = local(question.tag)
        try:
            if op != "GetSystemDateAndTime" and (refusal := self._refusal(request, root)):
                self.refused[op] += 1
                return refusal
            if self.habits.garbled:
                return web.Response(body=b"<html>It works!", content_type="text/html")
            return await self._answer(op, question, find(root, "Header"), request)
        finally:
            self.asked[op] += 1
            async with self._happened:
                self._happened.notify_all()

    async def still(self, request: web.Request) -> web.Response:
        """Answer with a still picture."""
        self.asked["still"] += 1
        habits = self.habits
        if habits.picture == "none":
            return web.Response(status=404)
        if habits.picture_login == "basic" and request.headers.get("Authorization", "") != _basic(self.login):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="camera"'})
        if habits.picture_login == "digest" and not self._digest_holds(request):
            return self._challenge()
        self.pictures += 1
        made = {
            "moving": lambda: moving_picture(self.pictures),
            "frozen": lambda: moving_picture(0),
            "black": lambda: black_picture(str(self.pictures).encode()),
            "garbled": lambda: moving_picture(0)[:-400],
        }
        return web.Response(body=made[habits.picture](), content_type="image/jpeg")

    def _refusal(self, request: web.Request, root: Element) -> web.Response | None:
        """Return the answer to a bad login, None for a good one."""
        match self.habits.login:
            case "digest" if not self._digest_holds(request):
                return self._challenge()
            case "wsse" if not self._wsse_holds(root):
                return _soap(words.fault("ter:NotAuthorized", "Sender not Authorized"), 400)
        return None

    def _wsse_holds(self, root: Element) -> bool:
        token = find(root, "Header", "Security", "UsernameToken")
        if token is None:
            return False
        nonce, created = text(token, "Nonce"), text(token, "Created")
        try:
            age = (self.now() - datetime.fromisoformat(created)).total_seconds()
            right = UsernameToken(self.login, _base64(nonce), created).password_digest
        except ValueError:
            return False
        if nonce in self._seen or abs(age) > _TOLERANCE_S:
            return False
        self._seen.add(nonce)
        return text(token, "Username") == self.login.username and text(token, "Password") == right

    def _digest_holds(self, request: web.Request) -> bool:
        try:
            params = parse_digest(request.headers.get("Authorization", ""))
            fresh = params.get("nonce") in self._nonces and params.get("uri") == request.path_qs
            return fresh and holds(self.login, request.method, params)
        except GatefleetError:
            return False

    def _challenge(self) -> web.Response:
        nonce = secrets.token_hex(8)
        self._nonces.add(nonce)
        header = f'Digest realm="camera", qop="auth", nonce="{nonce}", algorithm=MD5'
        return web.Response(status=401, headers={"WWW-Authenticate": header})

    def forget_nonces(self) -> None:
        """Let all Digest nonces be stale."""
        self._nonces.clear()

    async def _answer(self, op: str, question: Element, header: Element | None, request: web.Request) -> web.Response:
        prefix = "tr2" if request.path.endswith("media2") else "trt"
        simple: dict[str, Callable[[], str]] = {
            "GetSystemDateAndTime": lambda: words.system_date(self.now()),
            "GetCapabilities": lambda: words.capabilities(self._addresses()),
            "GetDeviceInformation": lambda: words.device_information("gatefleet", "simulated dome", "1.0", "SIM-1"),
            "GetProfiles": lambda: words.profiles(prefix, ("main", "sub")),
            "GetStreamUri": lambda: words.media_uri(
                prefix, op, self.stream or f"rtsp://{self._host()}:554/{prefix}/main"
            ),
            "GetSnapshotUri": lambda: words.media_uri(prefix, op, self._at("/snap.jpg?profile=main")),
            "GetPresets": lambda: words.presets(PRESETS),
        }
        if not self.habits.old:
            simple["GetServices"] = lambda: words.services(self._addresses())
        if op in simple:
            return _soap(simple[op]())
        if op == "CreatePullPointSubscription":
            return self._subscribe(question)
        if op in {"PullMessages", "Renew", "Unsubscribe"}:
            return await self._subscription(op, question, header, request.query.get("Idx", ""))
        if op in {"ContinuousMove", "Stop", "GotoPreset"} and self.habits.dome:
            return self._turn(op, question)
        return _soap(words.fault("ter:ActionNotSupported", f"{op} is not here"), 500)

    def _addresses(self) -> dict[str, str]:
        spaces = {DEVICE: "device_service", MEDIA: "media", EVENTS: "events", PTZ: "ptz"}
        spaces |= {} if self.habits.old else {MEDIA2: "media2"}
        return {space: self._at(f"/onvif/{name}") for space, name in spaces.items()}

    def _host(self) -> str:
        return self.habits.wrong_host or self.url.split("/")[2].rpartition(":")[0]

    def _at(self, path: str) -> str:
        return f"http://{self.habits.wrong_host or self.url.split('/')[2]}{path}"

    def _times(self, wanted: str) -> tuple[datetime, datetime]:
        now = self.now()
        factor = {"granted": 1, "extended": 10, "silent": 1, "past": -1}[self.habits.lease]
        return now, now + factor * timedelta(seconds=_seconds(wanted, now))

    def _subscribe(self, question: Element) -> web.Response:
        number = secrets.token_hex(4)
        queue: asyncio.Queue[Emitted] = asyncio.Queue()
        for event in self.state.values():
            queue.put_nowait(Emitted(event.topic, event.source, event.data, "Initialized"))
        self.subscriptions[number] = queue
        times = self._times(text(question, "InitialTerminationTime"))
        self._ends[number] = times[1]
        if self.habits.reference == "parameter":
            return self._timed(words.subscribed(self._at("/onvif/subscription"), number, times))
        return self._timed(words.subscribed(self._at(f"/onvif/subscription?Idx={number}"), "", times))

    async def _subscription(self, op: str, question: Element, header: Element | None, named: str) -> web.Response:
        number = named or ("" if header is None else text(header, "Subscription"))
        if number not in self.subscriptions:
            return _soap(words.fault("wsrf-rw:ResourceUnknownFault", "no such subscription"), 500)
        if op == "Unsubscribe":
            del self.subscriptions[number]
            return _soap("<wsnt:UnsubscribeResponse/>")
        if op == "Renew":
            if self.habits.renew == "refused":
                return _soap(words.fault("wsnt:UnacceptableTerminationTimeFault", "renew is not possible"), 500)
            times = self._times(text(question, "TerminationTime"))
            self._ends[number] = times[1]
            return self._timed(words.renewed(times))
        events = await self._wait(self.subscriptions[number], question)
        if self.habits.lease == "extended":
            self._ends[number] += timedelta(seconds=60)
        return self._timed(words.pulled(events, (self.now(), self._ends[number])))

    async def _wait(self, queue: asyncio.Queue[Emitted], question: Element) -> list[Emitted]:
        """Return what has happened, or what happens first within the question's time."""
        events: list[Emitted] = []
        if queue.empty() and self.habits.waits:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_seconds(text(question, "Timeout"))):
                    events.append(await queue.get())
        limit = int(text(question, "MessageLimit") or 100)
        while len(events) < limit and not queue.empty():
            events.append(queue.get_nowait())
        return events

    def _timed(self, body: str) -> web.Response:
        """Return an answer; a camera that is silent on leases leaves the times out."""
        if self.habits.lease == "silent":
            for name in ("CurrentTime", "TerminationTime"):
                for prefix in ("wsnt", "tev"):
                    head, found, rest = body.partition(f"<{prefix}:{name}>")
                    body = head + (rest.partition(f"</{prefix}:{name}>")[2] if found else rest)
        return _soap(body)

    def _turn(self, op: str, question: Element) -> web.Response:
        if op == "GotoPreset" and text(question, "PresetToken") not in PRESETS:
            return _soap(words.fault("ter:NoToken", "no such preset"), 400)
        speeds = find(question, "Velocity", "PanTilt")
        told = f" {speeds.get('x')} {speeds.get('y')}" if speeds is not None else ""
        if op == "Stop" and not self.habits.stops:
            return _soap(words.fault("ter:Action", "stop failed"), 500)
        self.moves.append(f"{op}{told}{text(question, 'PresetToken')}")
        return _soap(f"<tptz:{op}Response/>")


@contextlib.asynccontextmanager
async def serve_camera(camera: Camera | None = None) -> AsyncIterator[Camera]:
    """Serve a camera on a free port of loopback."""
    made = camera or Camera()
    app = web.Application(client_max_size=1 << 20)
    routes: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
        f"/onvif/{name}": made.soap for name in ("device_service", "media", "media2", "events", "ptz", "subscription")
    }
    app.add_routes([web.post(path, handler) for path, handler in routes.items()])
    app.router.add_get("/snap.jpg", made.still)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    made_server = runner.server
    assert made_server is not None
    lines: list[web.RequestHandler] = []

    def answered() -> web.RequestHandler:
        lines.append(made_server())
        return lines[-1]

    server = await asyncio.get_running_loop().create_server(answered, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/onvif/device_service"
    try:
        yield made
    finally:
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        for _ in range(_TURNS_TO_BE_KNOWN):
            await asyncio.sleep(0)
        server.close()
        await runner.cleanup()
        for line in lines:
            if line.transport is not None:
                line.transport.abort()


def _soap(body: str, status: int = 200) -> web.Response:
    return web.Response(status=status, body=words.envelope(body), content_type="application/soap+xml", charset="utf-8")


def _seconds(duration: str, now: datetime | None = None) -> float:
    """Read PT60S, PT1M and an instant; ten seconds for anything else."""
    end = instant(duration)
    if end is not None and now is not None:
        return (end - now).total_seconds()
    number, unit = duration.removeprefix("PT")[:-1], duration[-1:]
    try:
        return float(number) * {"S": 1, "M": 60}[unit]
    except (ValueError, KeyError):
        return 10.0


def _base64(words_: str) -> bytes:
    return base64.b64decode(words_, validate=True)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
