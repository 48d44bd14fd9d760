"""Questions to one ONVIF camera over HTTP, with the login that it takes.

Its promises:
1. A login goes to the host that was dialled and to no other: addresses are rewritten, redirects are not followed.
2. A SOAP question never bears the password itself; a picture does only where the camera offers nothing but Basic.
3. What worked is tried first the next time; a wrong password costs a camera three tries at most.
4. An answer is at most so long, and comes in its time, or the question fails.
"""

import base64
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from xml.etree.ElementTree import Element

import aiohttp
from yarl import URL

from core.errors import DeviceRefused, DeviceSilent, FrameInvalid, GatefleetError, LinkLost
from drivers import onvif
from drivers.digest import Login, authorization, parse_digest
from drivers.markup import MAX_BYTES
from drivers.onvif_answers import ActionNotSupported, NotAuthorized, SoapFault, Subscription, device_clock, expected

PICTURE_CAP: Final = 4 << 20
ANSWER_S: Final = 10.0
_CONNECT_S: Final = 5.0
_MOVED_S: Final = 1.0
"""A camera's clock that moved less is not why it refused."""
_NOT_HERE: Final = frozenset({404, 405, 501})


def camera_http() -> aiohttp.ClientSession:
    """Return the one HTTP session for all cameras of a daemon; the caller closes it.

    Connections are not kept: cameras drop them at odd moments, and a question that failed so may not be repeated.
    """
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=4, force_close=True)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class Way(StrEnum):
    """How a camera is told who asks."""

    WSSE = "wsse"
    DIGEST = "digest"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer, whole."""

    status: int
    body: bytes = field(repr=False)
    challenges: tuple[str, ...] = ()
    date: datetime | None = None


@dataclass(slots=True)
class _Challenge:
    """A Digest challenge in use; each answer to it has a number."""

    params: Mapping[str, str]
    used: int = 0

    def answer(self, login: Login, method: str, uri: str) -> str:
        self.used += 1
        return authorization(login, method, uri, self.params, cnonce=secrets.token_hex(8), nc=self.used)


class SoapClient:
    """One camera's questions. `offset` is its clock minus ours."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        login: Login | None,
        *,
        now: Callable[[], datetime],
        verify_tls: bool = True,
    ) -> None:
        self.url = url
        self.offset = timedelta()
        self.way = Way.WSSE if login else Way.NONE
        self._http = http
        self._login = login
        self._now = now
        self._verify_tls = verify_tls
        self._proven = False
        self._challenge: _Challenge | None = None
        self._offered: _Challenge | None = None
        self._picture_challenge: _Challenge | None = None
        self._last_date: datetime | None = None

    async def ask(
        self, call: onvif.Call, at: str = "", *, to: Subscription | None = None, within_s: float = ANSWER_S
    ) -> Element:
        """Return the answer to a question; raise SoapFault, LinkLost, DeviceSilent, DeviceRefused or FrameInvalid."""
        refused: NotAuthorized | None = None
        remedies: tuple[Callable[[], Awaitable[bool]], ...] = (self._begin, self._take, self._set_clock, self._provoke)
        for remedy in remedies:
            if not await remedy():
                continue
            try:
                answer = await self._try(call, self.way, at or self.url, to, within_s)
            except NotAuthorized as error:
                refused = error
            else:
                self._proven = True
                return answer
        assert refused is not None
        self.way, self._proven, self._challenge = Way.WSSE if self._login else Way.NONE, False, None
        raise refused

    async def clock(self) -> timedelta:
        """Ask for the camera's clock, keep and return its offset (to a second: cameras tell no fractions)."""
        began = self._now()
        try:
            answer = await self._try(onvif.get_system_date_and_time(), Way.NONE, self.url, None, ANSWER_S)
            told: datetime | None = device_clock(answer).utc
        except NotAuthorized:  # against the standard; HTTP's own date is the same clock
            told = self._last_date
        if told is not None:
            self.offset = told - (began + (self._now() - began) / 2)
        return self.offset

    async def picture(self, url: str) -> bytes:
        """Return a still picture; raise as `ask` does."""
        answer = await self._get(url, self._picture_login(url))
        if answer.status == 401 and self._login is not None:
            self._picture_challenge = _digest_of(answer)
            basic = any(words.lower().startswith("basic") for words in answer.challenges)
            header = self._picture_login(url) or (_basic(self._login) if basic else "")
            answer = await self._get(url, header) if header else answer
        if answer.status == 401:
            raise NotAuthorized("HTTP 401 for a picture", place=self.url)
        if answer.status != 200:
            raise DeviceRefused(f"HTTP {answer.status} for a picture", place=self.url)
        return answer.body

    async def _begin(self) -> bool:
        return True

    async def _take(self) -> bool:
        """Go by HTTP Digest, with the challenge that the refusal bore."""
        if self._offered is None or self._login is None:
            return False
        self.way, self._challenge, self._offered = Way.DIGEST, self._offered, None
        return True

    async def _set_clock(self) -> bool:
        """Ask for the clock again: it may have been set, or the camera have started anew."""
        if self.way is not Way.WSSE:
            return False
        before = self.offset
        return abs(await self.clock() - before).total_seconds() > _MOVED_S

    async def _provoke(self) -> bool:
        """Ask without a login, so that a camera which reads no WS-Security says what else it takes."""
        if self.way is not Way.WSSE or self._proven:
            return False
        try:
            await self._try(onvif.get_device_information(), Way.NONE, self.url, None, ANSWER_S)
        except GatefleetError:
            return await self._take()
        return False

    async def _try(self, call: onvif.Call, way: Way, at: str, to: Subscription | None, within_s: float) -> Element:
        headers = {"Content-Type": call.media_type}
        token = self._token() if way is Way.WSSE else None
        if way is Way.DIGEST and self._challenge is not None and self._login is not None:
            uri = URL(at, encoded=True).raw_path_qs
            headers["Authorization"] = self._challenge.answer(self._login, "POST", uri)
        addressed = onvif.Addressed(to.address, f"urn:uuid:{uuid.uuid4()}", to.parameters) if to else None
        body = onvif.envelope(call, token=token, addressed=addressed)
        answer = await self._exchange("POST", at, headers, body, within_s, MAX_BYTES)
        self._last_date = answer.date
        self._offered = _digest_of(answer)
        if answer.status == 401:
            raise NotAuthorized("HTTP 401", place=self.url)
        try:
            return expected(answer.body, call.op)
        except SoapFault as fault:
            fault.place = self.url
            raise
        except FrameInvalid as error:
            raise _without_soap(answer.status, call.op, error, self.url) from error

    def _token(self) -> onvif.UsernameToken | None:
        if self._login is None:
            return None
        created = f"{(self._now() + self.offset).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return onvif.UsernameToken(self._login, secrets.token_bytes(16), created)

    def _picture_login(self, url: str) -> str:
        if self._picture_challenge is None or self._login is None:
            return ""
        return self._picture_challenge.answer(self._login, "GET", URL(url, encoded=True).raw_path_qs)

    async def _get(self, url: str, authorization_: str) -> HttpAnswer:
        headers = {"Authorization": authorization_} if authorization_ else {}
        return await self._exchange("GET", url, headers, None, ANSWER_S, PICTURE_CAP)

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, within_s: float, cap: int
    ) -> HttpAnswer:
        timeout = aiohttp.ClientTimeout(total=within_s, sock_connect=_CONNECT_S)
        try:
            async with self._http.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
                ssl=self._verify_tls,
            ) as response:
                whole = await _read(response, cap, url)
                challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                return HttpAnswer(response.status, whole, challenges, _date(response.headers.get("Date", "")))
        except TimeoutError as error:
            raise DeviceSilent("no answer in time", place=self.url) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LinkLost(str(error)[:200] or type(error).__name__, place=self.url) from error


async def _read(response: aiohttp.ClientResponse, cap: int, url: str) -> bytes:
    """Return the whole body; a camera must not make the edge hold more than `cap`."""
    parts = bytearray()
    while part := await response.content.readany():
        parts += part
        if len(parts) > cap:
            raise FrameInvalid(f"an answer of more than {cap} bytes", place=url)
    return bytes(parts)


def _without_soap(status: int, op: str, error: FrameInvalid, place: str) -> GatefleetError:
    """Return what an answer means that has no SOAP in it."""
    if status in _NOT_HERE:
        return ActionNotSupported(f"HTTP {status} for {op}", place=place)
    if status >= 500:
        return LinkLost(f"HTTP {status} for {op}", place=place)
    if status >= 300:
        return DeviceRefused(f"HTTP {status} for {op}", place=place)
    return FrameInvalid(f"{op}: {error.detail}", place=place)


def _digest_of(answer: HttpAnswer) -> _Challenge | None:
    """Return the Digest challenge of a 401; where there are several, SHA-256 before MD5."""
    if answer.status != 401:
        return None
    found: list[Mapping[str, str]] = []
    for words in answer.challenges:
        try:
            found.append(parse_digest(words))
        except FrameInvalid:
            continue  # Basic, or garbled
    usable = [one for one in found if one.get("algorithm", "MD5").upper() in {"MD5", "SHA-256"}]
    best = max(usable, key=lambda one: one.get("algorithm", "MD5").upper() == "SHA-256", default=None)
    return None if best is None or "nonce" not in best else _Challenge(best)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _date(words: str) -> datetime | None:
    try:
        return parsedate_to_datetime(words).astimezone(UTC) if words else None
    except ValueError:
        return None
