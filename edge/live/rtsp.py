"""One video of a camera by RTSP over its one TCP connection: nothing blocks, nothing is decoded.

    OPTIONS -> DESCRIBE -> SETUP (interleaved) -> PLAY -> packets, with a sign of life now and then -> TEARDOWN

Its promises:
1. A login goes to the host that was dialled and to no other: what the camera tells of other hosts is rewritten.
2. The password itself goes only to a camera that offers nothing but Basic. It is in no address, error or log.
3. Each step ends in its time. A stream that is silent ends by DeviceSilent.
4. The session is given back, however the block ends: cameras have few.
"""

import asyncio
import base64
import secrets
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from core.errors import DeviceRefused, DeviceSilent, FrameInvalid, GatefleetError, LinkLost, Unsupported
from drivers.digest import Login, authorization, parse_digest
from edge.live.rtsp_wire import Interleaved, Response, RtspReader, request
from edge.live.sdp import Video, video_of

_PORT: Final = 554
_READ: Final = 64 << 10
_GOODBYE_S: Final = 1.0
_SESSION_S: Final = 60
"""RFC 2326, 12.37: where a camera tells no time of its own."""
_EARLIEST_SIGN_S: Final = 2.0
_MAX_EARLY: Final = 4 << 20
"""Bytes of packets that may come before the answer to PLAY."""
_FRAME_BYTES: Final = 128
"""What a packet takes in memory beside what it carries, which may be nothing."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long things may take."""

    connect_s: float = 5.0
    answer_s: float = 8.0
    silent_s: float = 10.0
    """Without a packet."""


class RtspLoginRefused(DeviceRefused):
    """The camera does not take the login for its stream."""

    code = "rtsp_login_refused"


class RtspStream:
    """A video that plays; `packet` gives the next of it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: SplitResult,
        login: Login | None,
        times: Times,
    ) -> None:
        self.video: Video
        self.packets = 0
        self._reader = reader
        self._writer = writer
        self._address = address
        self._login = login
        self._times = times
        self._wire = RtspReader()
        self._early: deque[Interleaved] = deque()
        self._early_bytes = 0
        self._answers: deque[Response] = deque(maxlen=16)
        self._number = 0
        self._challenge: dict[str, str] | None = None
        self._basic = False
        self._nonce_used = 0
        self._session = ""
        self._sign = "OPTIONS"
        self._sign_every_s = _SESSION_S / 2
        self._sign_at = 0.0

    async def play(self) -> None:
        """Begin; raise LinkLost, DeviceSilent, DeviceRefused, Unsupported or FrameInvalid."""
        url = urlunsplit(self._address)
        public = (await self._ask("OPTIONS", url, ())).header("public")
        if "GET_PARAMETER" in public.upper():
            self._sign = "GET_PARAMETER"
        described = await self._ask("DESCRIBE", url, (("Accept", "application/sdp"),))
        base = described.header("content-base") or described.header("content-location") or url
        video = video_of(described.body, base if "://" in base else url)
        self.video = replace(video, control=self._ours(video.control), session=self._ours(video.session))
        transport = (("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1"),)
        made = await self._ask("SETUP", self.video.control, transport)
        if "interleaved" not in made.header("transport").lower():
            raise Unsupported("the camera sends its stream by UDP only", place=self._place)
        self._keep(made.header("session"))
        await self._ask("PLAY", self.video.session, (("Range", "npt=0.000-"),))
        self._sign_at = asyncio.get_running_loop().time() + self._sign_every_s

    async def packet(self) -> bytes:
        """Return the next RTP packet of the video; raise DeviceSilent, LinkLost or FrameInvalid."""
        loop = asyncio.get_running_loop()
        silent_at = loop.time() + self._times.silent_s
        while True:
            while self._early:
                frame = self._early.popleft()
                self._early_bytes -= len(frame.data) + _FRAME_BYTES
                if frame.channel == 0:
                    self.packets += 1
                    return frame.data
            self._answers.clear()  # to signs of life
            if loop.time() >= self._sign_at:
                self._sign_at = loop.time() + self._sign_every_s
                self._send(self._sign, self.video.session, ())
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(silent_at, self._sign_at)):
                    await self._read()
            if not self._early and loop.time() >= silent_at:
                raise DeviceSilent("the stream gives no packets", place=self._place)

    async def tear_down(self) -> None:
        """Give the session back; best effort."""
        if self._session:
            with suppress(GatefleetError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await self._ask("TEARDOWN", self.video.session, ())

    @property
    def _place(self) -> str:
        return _place_of(self._address)

    async def _ask(self, method: str, uri: str, headers: Sequence[tuple[str, str]]) -> Response:
        """Return a good answer; one challenge, or one nonce that is stale, is taken on the way."""
        answer = await self._exchange(method, uri, headers)
        if answer.status == 401 and self._login is not None and self._take(answer):
            answer = await self._exchange(method, uri, headers)
        if answer.status == 401:
            raise RtspLoginRefused("the camera refuses the login for its stream", place=self._place)
        if answer.status == 461:
            raise Unsupported("the camera sends its stream by UDP only", place=self._place)
        if not 200 <= answer.status < 300 and method != "OPTIONS":
            raise DeviceRefused(f"RTSP {answer.status} for {method}", place=self._place)
        return answer

    async def _exchange(self, method: str, uri: str, headers: Sequence[tuple[str, str]]) -> Response:
        self._answers.clear()
        number = self._send(method, uri, headers)
        try:
            async with asyncio.timeout(self._times.answer_s):
                while True:
                    while self._answers:
                        answer = self._answers.popleft()
                        if answer.header("cseq") in {"", str(number)}:
                            return answer
                    await self._read()
        except TimeoutError as error:
            raise DeviceSilent(f"no answer to {method}", place=self._place) from error

    def _send(self, method: str, uri: str, headers: Sequence[tuple[str, str]]) -> int:
        self._number += 1
        lines = [("CSeq", str(self._number)), ("User-Agent", "gatefleet"), *headers]
        if self._session:
            lines.append(("Session", self._session))
        if login := self._authorization(method, uri):
            lines.append(("Authorization", login))
        self._writer.write(request(method, uri, lines))
        return self._number

    async def _read(self) -> None:
        try:
            data = await self._reader.read(_READ)
        except OSError as error:
            raise LinkLost(error.strerror or type(error).__name__, place=self._place) from error
        if not data:
            raise LinkLost("the camera closed the connection", place=self._place)
        for one in self._wire.receive(data):
            if isinstance(one, Interleaved):
                self._early.append(one)
                self._early_bytes += len(one.data) + _FRAME_BYTES
            else:
                self._answers.append(one)
        if self._early_bytes > _MAX_EARLY:
            raise FrameInvalid("packets, but no answer", place=self._place)

    def _take(self, answer: Response) -> bool:
        """Take the challenge of a 401; False where there is none that helps."""
        before = self._challenge and self._challenge.get("nonce")
        for words in answer.every("www-authenticate"):
            try:
                found = parse_digest(words)
            except FrameInvalid:
                continue
            if found.get("algorithm", "MD5").upper() in {"MD5", "SHA-256"} and "nonce" in found:
                self._challenge, self._nonce_used = found, 0
                return found["nonce"] != before
        offers = [words.lower() for words in answer.every("www-authenticate")]
        first, self._basic = not self._basic, any(words.startswith("basic") for words in offers)
        return first and self._basic

    def _authorization(self, method: str, uri: str) -> str:
        if self._login is None:
            return ""
        if self._challenge is not None:
            self._nonce_used += 1
            cnonce = secrets.token_hex(8)
            return authorization(self._login, method, uri, self._challenge, cnonce=cnonce, nc=self._nonce_used)
        if self._basic:
            return "Basic " + base64.b64encode(f"{self._login.username}:{self._login.password}".encode()).decode()
        return ""

    def _keep(self, session: str) -> None:
        """Keep a session's id and time: `id;timeout=60`."""
        name, _, rest = session.partition(";")
        self._session = name.strip()
        told = rest.strip().lower().removeprefix("timeout=").partition(";")[0]
        within_s = int(told) if told.isascii() and told.isdigit() and len(told) < 6 else _SESSION_S
        self._sign_every_s = max(_EARLIEST_SIGN_S, within_s / 2)

    def _ours(self, uri: str) -> str:
        """Return an address at the host that was dialled; raise FrameInvalid."""
        try:
            told = urlsplit(uri)
        except ValueError as error:
            raise FrameInvalid("a control that is no address", place=self._place) from error
        return urlunsplit(told._replace(scheme=self._address.scheme, netloc=self._address.netloc, fragment=""))


@asynccontextmanager
async def rtsp_stream(url: str, login: Login | None, times: Times | None = None) -> AsyncIterator[RtspStream]:
    """Play a camera's video meanwhile. `url` bears no login. Raises as `RtspStream.play`."""
    limits = times or Times()
    address, host, port = _dialled(url)
    try:
        async with asyncio.timeout(limits.connect_s):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError as error:
        raise DeviceSilent("no connection in time", place=_place_of(address)) from error
    except OSError as error:
        raise LinkLost(error.strerror or type(error).__name__, place=_place_of(address)) from error
    stream = RtspStream(reader, writer, address, login, limits)
    try:
        await stream.play()
        yield stream
    finally:
        try:
            await stream.tear_down()
        finally:
            writer.transport.abort()


def _place_of(address: SplitResult) -> str:
    """Return an address as it may be told: some cameras take a login in the query."""
    return urlunsplit(address._replace(query=""))


def _dialled(url: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError as error:
        raise LinkLost("no RTSP address", place=url.partition("?")[0].rpartition("@")[2]) from error
    if parts.scheme != "rtsp" or not host or "@" in parts.netloc:
        raise Unsupported("only rtsp://host[:port]/path without a login", place=f"{parts.scheme}://{host}")
    return parts._replace(fragment=""), host, port
