"""A lower platform of GB/T 28181: registers at the platform above, stays, and answers its queries. Media is not served.

Promises:
1. `run` tries nothing again beyond SIP's own retransmissions: it ends with LinkLost, or with DeviceRefused or
   Unsupported where the platform said no; who calls it decides when to try again.
2. The registration is refreshed before half of its time is over; three keepalives that miss register anew.
3. A cancelled `run` unregisters first, but takes no longer than 1.5 s for it.
4. Passwords and Authorization headers are never logged.
5. The platform's `Date:` is only compared with our clock; nothing is set by it.
6. Queries that wait are bounded; beyond, the platform is told 503.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import structlog

from core.errors import ConfigInvalid, DeviceSilent, FrameInvalid, GatefleetError, LinkLost
from drivers.digest import Login
from drivers.gb28181.catalog import Camera, Catalog, Gateway
from drivers.gb28181.ids import domain_of
from drivers.gb28181.manscdp import CONTENT_TYPE, KNOWN, Manscdp, keepalive, parse_body
from drivers.gb28181.sip import SipRequest, SipResponse, encode
from drivers.gb28181.transactions import Timers
from drivers.gb28181.words import ALLOW, BRANCH, PlatformMap, Turn, Words, credentials_for
from edge.upward.registration import LONGEST_S, Moved, Registration
from edge.upward.sip import Peer, SipAgent, SipCounts, open_agent

ANSWERED: Final = frozenset({"Catalog", "DeviceInfo", "DeviceStatus"})
_MAX_MISSES: Final = 3
_MAX_QUERIES: Final = 32
_GOODBYE_S: Final = 1.5
_SHORTEST_EXPIRES_S: Final = 3
_RENEW_SHARE: Final = 0.45
_SOONEST_RENEWAL_S: Final = 1.0
"""A platform that grants a second must not make us busy."""
_DATAGRAM: Final = 1300
"""RFC 3261, 18.1.1: what is larger may be torn apart on its way."""
_STREAM_BODY: Final = 16 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UpperPlatform:
    """The platform above, and who we are to it. Raises ConfigInvalid."""

    peer: Peer
    upper_id: str
    own_id: str
    password: str = field(repr=False)
    username: str = ""
    """Empty: our id."""
    domain: str = ""
    """Empty: the first ten digits of the platform's id."""
    dialect: PlatformMap = field(default_factory=PlatformMap)
    gateway: Gateway = field(default_factory=Gateway)
    bind: tuple[str, int] | None = None
    expires_s: int = 3600
    keepalive_s: float = 60.0
    timers: Timers = field(default_factory=Timers)

    def __post_init__(self) -> None:
        mistakes = [
            f"{name}: {value!r} is not an id of 20 digits"
            for name, value in (("upper_id", self.upper_id), ("own_id", self.own_id))
            if not re.fullmatch(r"[0-9]{20}", value)
        ]
        if not _SHORTEST_EXPIRES_S <= self.expires_s <= LONGEST_S or not self.keepalive_s > 0:
            mistakes.append(f"expires_s is {_SHORTEST_EXPIRES_S} to {LONGEST_S}, keepalive_s is above 0")
        if mistakes:
            raise ConfigInvalid("; ".join(mistakes), place=str(self.peer))

    @property
    def login(self) -> Login:
        """Who answers the Digest challenge."""
        return Login(self.username or self.own_id, self.password)


@dataclass(slots=True)
class UpwardCounts:
    """What happened; it only grows."""

    registrations: int = 0
    keepalives: int = 0
    missed: int = 0
    queries: int = 0
    answers: int = 0
    unanswered: int = 0
    """Answers that the platform did not take."""
    ignored: int = 0
    """Known MESSAGEs that ask for what we have not."""
    refused: int = 0
    """Requests that were answered no."""
    sip: SipCounts = field(default_factory=SipCounts)


@dataclass(slots=True)
class UpwardState:
    """How it stands, for health."""

    registered: bool = False
    drift_s: float | None = None
    """The platform's clock minus ours, at the last registration that told it."""
    counts: UpwardCounts = field(default_factory=UpwardCounts)


class Upward:
    """One registration upward. `cameras` is asked at each query; `wall` is our clock, with its zone."""

    def __init__(
        self, settings: UpperPlatform, cameras: Callable[[], Sequence[Camera]], *, wall: Callable[[], datetime]
    ) -> None:
        self.state = UpwardState()
        self._settings = settings
        self._cameras = cameras
        self._wall = wall

    async def run(self) -> None:
        """Register and stay until the link is lost: LinkLost. A redirection (302) is followed once."""
        settings = self._settings
        domain = settings.domain or domain_of(settings.upper_id)
        try:
            await self._stay_at(settings.peer, settings.upper_id, domain)
        except Moved as moved:
            log.info("gb28181.redirected", to=str(moved.peer))
            upper = moved.upper_id or settings.upper_id
            try:
                await self._stay_at(moved.peer, upper, domain_of(upper) if moved.upper_id else domain)
            except Moved:
                raise LinkLost("redirected twice", place=str(moved.peer)) from None

    async def _stay_at(self, peer: Peer, upper_id: str, domain: str) -> None:
        settings, desk = self._settings, _Desk(self.state.counts)
        async with open_agent(
            peer, desk.answer, bind=settings.bind, timers=settings.timers, counts=self.state.counts.sip
        ) as agent:
            host, port = agent.local
            transport: Literal["UDP", "TCP"] = "TCP" if agent.reliable else "UDP"
            host = f"[{host}]" if ":" in host else host
            words = Words(settings.own_id, upper_id, domain, host, port, transport, settings.dialect)
            desk.open(agent, words)
            visit = _Visit(agent, words, settings, self.state, self._catalog, self._wall)
            try:
                await visit.stay(desk.queries)
            finally:
                self.state.registered = False
                await visit.leave()

    def _catalog(self) -> Catalog:
        settings = self._settings
        return Catalog(settings.own_id, settings.gateway, tuple(self._cameras()), settings.dialect.encoding)


class _Visit:
    """One wire, from the first REGISTER to the last."""

    def __init__(
        self,
        agent: SipAgent,
        words: Words,
        settings: UpperPlatform,
        state: UpwardState,
        catalog: Callable[[], Catalog],
        wall: Callable[[], datetime],
    ) -> None:
        self._agent = agent
        self._words = words
        self._settings = settings
        self._state = state
        self._catalog = catalog
        self._registration = Registration(agent, words, settings.login, wall)
        self._tag = secrets.token_hex(6)
        self._sn = 0
        self._renew_at = 0.0

    async def stay(self, queries: asyncio.Queue[Manscdp]) -> None:
        """Register, then keep alive and answer; raise what ended it."""
        await self._register()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(), name="gb28181.wire")
                group.create_task(self._keep(), name="gb28181.keepalive")
                group.create_task(self._answer(queries), name="gb28181.answers")
        except ExceptionGroup as several:
            raise _first(several) from several

    async def leave(self) -> None:
        """Unregister where we are registered and the wire is still there."""
        if not self._registration.held or self._agent.lost.done():
            return
        with suppress(GatefleetError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._registration.register(0)
                log.info("gb28181.unregistered", peer=str(self._agent.peer))

    async def _register(self) -> None:
        granted_s = await self._registration.register(self._settings.expires_s)
        state, now = self._state, asyncio.get_running_loop().time()
        self._renew_at = now + max(_SOONEST_RENEWAL_S, granted_s * _RENEW_SHARE)
        state.registered = True
        state.drift_s = self._registration.drift_s
        state.counts.registrations += 1
        log.info("gb28181.registered", peer=str(self._agent.peer), granted_s=granted_s, drift_s=state.drift_s)

    async def _watch(self) -> None:
        await asyncio.shield(self._agent.lost)

    async def _keep(self) -> None:
        loop, missed = asyncio.get_running_loop(), 0
        beat_at = loop.time()
        while True:
            await asyncio.sleep(max(0.0, min(beat_at, self._renew_at) - loop.time()))
            if loop.time() >= self._renew_at:
                await self._register()
                continue
            beat_at = loop.time() + self._settings.keepalive_s
            missed = 0 if await self._beat() else missed + 1
            if missed >= _MAX_MISSES:
                missed, self._state.registered = 0, False
                log.warning("gb28181.forgotten", peer=str(self._agent.peer), missed=_MAX_MISSES)
                self._registration.forget()
                await self._register()

    async def _beat(self) -> bool:
        """Send one keepalive; tell whether the platform took it."""
        self._sn += 1
        self._state.counts.keepalives += 1
        own, encoding = self._words.me, self._words.dialect.encoding
        body = keepalive(self._sn, own, faulty=self._catalog().faulty()[:_MAX_QUERIES], encoding=encoding)
        if await self._tell(body, self._settings.keepalive_s):
            return True
        self._state.counts.missed += 1
        return False

    async def _answer(self, queries: asyncio.Queue[Manscdp]) -> None:
        head = len(encode(self._words.message(self._turn(), b"")))
        most_bytes = _STREAM_BODY if self._agent.reliable else _DATAGRAM - head - len(str(_DATAGRAM))
        while True:
            query = await queries.get()
            bodies = self._catalog().answers(
                query.cmd,
                query.sn,
                query.device_id,
                most_items=self._words.dialect.items_per_message,
                most_bytes=most_bytes,
            )
            for body in bodies:
                if not await self._tell(body):
                    self._state.counts.unanswered += 1
                    break  # the platform collects until the sum is there: the rest would not help it
                self._state.counts.answers += 1

    async def _tell(self, body: bytes, patience_s: float | None = None) -> bool:
        """Send a MESSAGE, with credentials where they are asked for; tell whether it was taken."""
        request = self._words.message(self._turn(), body)
        try:
            response = await self._agent.ask(request, patience_s)
            if response.status == 401:
                credentials = credentials_for(response, request, self._settings.login, secrets.token_hex(8))
                request = self._words.message(self._turn(request), body, credentials)
                response = await self._agent.ask(request, patience_s)
        except (DeviceSilent, FrameInvalid) as error:
            log.info("gb28181.not_taken", peer=str(self._agent.peer), error=str(error))
            return False
        if response.status >= 300:
            log.info("gb28181.not_taken", peer=str(self._agent.peer), status=response.status)
        return response.status < 300

    def _turn(self, before: SipRequest | None = None) -> Turn:
        call_id = before.call_id if before else f"{secrets.token_hex(12)}@{self._words.host}"
        cseq = before.cseq.number + 1 if before else 1
        return Turn(call_id, self._tag, cseq, BRANCH + secrets.token_hex(10))


class _Desk:
    """Answers what the platform asks; what takes more than one message waits in `queries`."""

    def __init__(self, counts: UpwardCounts) -> None:
        self.queries: asyncio.Queue[Manscdp] = asyncio.Queue(_MAX_QUERIES)
        self._counts = counts
        self._agent: SipAgent | None = None
        self._words: Words | None = None

    def open(self, agent: SipAgent, words: Words) -> None:
        """Begin to answer; what came before is not heard."""
        self._agent, self._words = agent, words

    def answer(self, request: SipRequest, source: tuple[str, int]) -> SipResponse | None:
        """Return the answer to a request; nothing before the desk is open."""
        if self._words is None:
            return None
        status, reason, extra = self._judge(request)
        self._counts.refused += status >= 300
        tag = secrets.token_hex(6)
        return self._words.reply(request, status, reason, source=source, tag=tag, extra=extra)

    def _judge(self, request: SipRequest) -> tuple[int, str, tuple[tuple[str, str], ...]]:
        match request.method:
            case "MESSAGE":
                return self._message(request)
            case "OPTIONS":
                return 200, "OK", (("Allow", ALLOW), ("Accept", CONTENT_TYPE))
            case "INVITE":
                return 488, "Not Acceptable Here", (("Warning", '304 gatefleet "media is not served here"'),)
            case "CANCEL" if self._agent is not None and self._agent.invited(request):
                return 200, "OK", ()
            case "CANCEL" | "BYE":
                return 481, "Call/Transaction Does Not Exist", ()
            case _:
                return 405, "Method Not Allowed", (("Allow", ALLOW),)

    def _message(self, request: SipRequest) -> tuple[int, str, tuple[tuple[str, str], ...]]:
        if (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower() != CONTENT_TYPE.lower():
            return 415, "Unsupported Media Type", (("Accept", CONTENT_TYPE),)
        try:
            body = parse_body(request.body)
        except FrameInvalid as error:
            log.info("gb28181.bad_body", error=error.detail)
            return 400, "Bad MANSCDP", ()
        if body.cmd not in KNOWN:
            return 400, "Unknown CmdType", ()
        if body.root != "Query" or body.cmd not in ANSWERED:
            self._counts.ignored += 1
            log.info("gb28181.ignored", root=body.root, cmd=body.cmd)
            return 200, "OK", ()
        try:
            self.queries.put_nowait(body)
        except asyncio.QueueFull:
            return 503, "Too Many Queries", (("Retry-After", "5"),)
        self._counts.queries += 1
        return 200, "OK", ()


def _first(several: ExceptionGroup[Exception]) -> Exception:
    """Return what ended the tasks: a bug before anything a peer did."""
    flat = [_first(one) if isinstance(one, ExceptionGroup) else one for one in several.exceptions]
    return next((one for one in flat if not isinstance(one, GatefleetError)), flat[0])
