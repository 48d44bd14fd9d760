"""An RTSP camera on a real socket: H.264 with a picture that moves, interleaved over TCP (RFC 2326, RFC 6184).

The stream is coded once, from drawn frames, and played in a ring. It may misbehave as cameras do: see `Manners`.
"""

import asyncio
import base64
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import count
from typing import Final, Literal

from core.errors import GatefleetError, Unsupported
from drivers.digest import Login, holds, parse_digest

WIDTH: Final = 320
HEIGHT: Final = 240
RATE: Final = 15
_KEY_EVERY: Final = 15
_FRAMES: Final = 60
_CLOCK_HZ: Final = 90_000
_PAYLOAD: Final = 1200
_TURNS_TO_BE_KNOWN: Final = 8
"""Turns of the loop from accepting to a client, and from its abort to its end."""
_START: Final = b"\x00\x00\x00\x01"


@dataclass(slots=True)
class Manners:
    """How a camera differs from a good one."""

    auth: Literal["digest", "basic", "none"] = "digest"
    codec: Literal["H264", "H265", "JPEG"] = "H264"
    """What it says it sends."""
    silent: bool = False
    """It answers, but sends no picture."""
    stalls_after: int = 0
    """So many pictures and it stops; 0: never."""
    mute: bool = False
    """It takes connections and says nothing."""
    garbled: bool = False
    udp_only: bool = False
    parameters_aside: bool = False
    """Parameter sets stand in its description only."""
    loses_every: int = 0
    """It drops each so manieth packet."""
    absolute: bool = False
    """It names controls by whole addresses of another host."""
    timeout_s: int = 60
    """After so long without a sign of life it ends the session."""


@dataclass(slots=True)
class RtspCamera:
    """One camera; `url` is its stream."""

    login: Login = field(default_factory=lambda: Login("operator", "Gate&fleet<1>"))
    manners: Manners = field(default_factory=Manners)
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    playing: int = 0
    """Sessions that play now."""
    most: int = 0
    pictures: int = 0
    _nonces: set[str] = field(default_factory=set)
    _happened: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, true: Callable[["RtspCamera"], bool]) -> None:
        """Wait until something is so."""
        async with self._happened:
            await self._happened.wait_for(lambda: true(self))

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        line = _Line(self, writer)
        try:
            if self.manners.mute:
                await reader.read()
                return
            while True:
                async with asyncio.timeout(self.manners.timeout_s):
                    head = await reader.readuntil(b"\r\n\r\n")
                answer = line.answer(head.decode())
                writer.write(answer)
                line.begin_if_asked()
                async with self._happened:
                    self._happened.notify_all()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError):
            pass
        except asyncio.CancelledError:
            return  # the connection's outermost frame: asyncio would log a trace for it
        finally:
            await line.end()
            writer.transport.abort()

    def challenge(self) -> str:
        """Return what a stranger is asked."""
        if self.manners.auth == "basic":
            return 'Basic realm="camera"'
        nonce = secrets.token_hex(8)
        self._nonces.add(nonce)
        return f'Digest realm="camera", nonce="{nonce}"'

    def knows(self, method: str, header: str) -> bool:
        """Tell whether a login is right."""
        match self.manners.auth:
            case "none":
                return True
            case "basic":
                text = f"{self.login.username}:{self.login.password}".encode()
                return header == "Basic " + base64.b64encode(text).decode()
        try:
            params = parse_digest(header)
            return params.get("nonce") in self._nonces and holds(self.login, method, params)
        except GatefleetError:
            return False

    async def moved(self, by: int) -> None:
        """Note that a session began or ended to play."""
        self.playing += by
        self.most = max(self.most, self.playing)
        async with self._happened:
            self._happened.notify_all()


class _Line:
    """One connection of a camera."""

    def __init__(self, camera: RtspCamera, writer: asyncio.StreamWriter) -> None:
        self._camera = camera
        self._writer = writer
        self._session = ""
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def answer(self, head: str) -> bytes:
        """Return the answer to one request."""
        lines = head.split("\r\n")
        method, uri, *_ = [*lines[0].split(" "), "", ""]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        number, camera = headers.get("cseq", "0"), self._camera
        camera.asked[method] += 1
        if method != "OPTIONS" and not camera.knows(method, headers.get("authorization", "")):
            camera.refused[method] += 1
            return _answer(401, number, {"WWW-Authenticate": camera.challenge()})
        manners = camera.manners
        match method:
            case "OPTIONS":
                return _answer(200, number, {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"})
            case "DESCRIBE":
                body = b"<html>" if manners.garbled else _description(manners)
                return _answer(200, number, {"Content-Base": f"{uri}/", "Content-Type": "application/sdp"}, body)
            case "SETUP" if manners.udp_only:
                return _answer(461, number, {})
            case "SETUP":
                self._session = secrets.token_hex(4)
                told = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
                return _answer(200, number, told | {"Session": f"{self._session};timeout={manners.timeout_s}"})
            case "PLAY" | "GET_PARAMETER" | "TEARDOWN" if headers.get("session") == self._session != "":
                self._wanted = {"PLAY": True, "TEARDOWN": False}.get(method, self._wanted)
                return _answer(200, number, {"Session": self._session})
        return _answer(454, number, {})

    def begin_if_asked(self) -> None:
        """Play, or stop, as was last asked."""
        if self._wanted and self._task is None:
            self._task = asyncio.create_task(self._play(), name="rtsp play")
        elif not self._wanted and self._task is not None:
            self._task.cancel()

    async def end(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _play(self) -> None:
        camera, manners, loop = self._camera, self._camera.manners, asyncio.get_running_loop()
        await camera.moved(1)
        try:
            if manners.silent:
                await loop.create_future()
            ring, began, sequence = pictures(), loop.time(), secrets.randbelow(1 << 16)
            offset, packets = secrets.randbits(32), 0
            for number in count():
                if manners.stalls_after and number >= manners.stalls_after:
                    await loop.create_future()
                units = ring[number % len(ring)]
                if manners.parameters_aside:
                    units = tuple(unit for unit in units if unit[0] & 0x1F not in {7, 8})
                time = (offset + number * _CLOCK_HZ // RATE) & 0xFFFFFFFF
                for marker, payload in packetized(units):
                    packets += 1
                    if not (manners.loses_every and packets % manners.loses_every == 0):
                        self._writer.write(_interleaved(_rtp(sequence, time, payload, marker=marker)))
                    sequence = (sequence + 1) & 0xFFFF
                camera.pictures += 1
                await self._writer.drain()
                await asyncio.sleep(began + (number + 1) / RATE - loop.time())
        except OSError:
            return
        finally:
            await camera.moved(-1)


@contextlib.asynccontextmanager
async def serve_rtsp(
    camera: RtspCamera | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[RtspCamera]:
    """Serve a camera's stream; port 0 takes a free one. Raises Unsupported where PyAV is not installed."""
    made = camera or RtspCamera()
    await asyncio.to_thread(pictures)
    lines: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.client(reader, writer), name="rtsp client")
        lines.add(task)
        task.add_done_callback(lines.discard)

    server = await asyncio.start_server(accepted, host, port)
    made.url = f"rtsp://{host}:{server.sockets[0].getsockname()[1]}/stream1"
    try:
        yield made
    finally:
        for _ in range(_TURNS_TO_BE_KNOWN):
            await asyncio.sleep(0)
        server.close()
        for task in lines:
            task.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
        for _ in range(_TURNS_TO_BE_KNOWN):
            await asyncio.sleep(0)


@cache
def pictures() -> tuple[tuple[bytes, ...], ...]:
    """Return the ring: the units of each picture. Baseline, no pictures that look ahead, a key each second."""
    try:
        import av  # noqa: PLC0415 134 MB that only this simulator needs
        from av.video.frame import PictureType  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("PyAV is not installed", cure="pip install 'gatefleet[video]'") from error
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    coder.time_base, coder.framerate = Fraction(1, RATE), Fraction(RATE, 1)
    coder.options = {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline", "crf": "28"}
    ring = []
    for number in range(_FRAMES):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, drawn in zip(frame.planes, _drawn(number), strict=True):
            lines = [drawn[at : at + plane.width] for at in range(0, len(drawn), plane.width)]
            plane.update(b"".join(line.ljust(plane.line_size, b"\0") for line in lines))
        frame.pts = number
        frame.pict_type = PictureType.I if number % _KEY_EVERY == 0 else PictureType.NONE
        ring += [_units(bytes(packet)) for packet in coder.encode(frame)]
    ring += [_units(bytes(packet)) for packet in coder.encode(None)]
    return tuple(ring)


def packetized(units: Sequence[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Return (last of the picture, payload): whole units, or fragments of those that are too long (RFC 6184, 5.8)."""
    for place, unit in enumerate(units):
        last = place == len(units) - 1
        if len(unit) <= _PAYLOAD:
            yield last, unit
            continue
        parts = [unit[at : at + _PAYLOAD] for at in range(1, len(unit), _PAYLOAD)]
        for number, part in enumerate(parts):
            marks = (0x80 if number == 0 else 0) | (0x40 if number == len(parts) - 1 else 0)
            head = bytes((unit[0] & 0xE0 | 28, marks | unit[0] & 0x1F))
            yield last and number == len(parts) - 1, head + part


def _drawn(number: int) -> tuple[bytes, bytes, bytes]:
    """Return the planes of a slanted gradient that moves, with a bright block that goes from left to right."""
    at = number * WIDTH // _FRAMES
    rows = []
    for y in range(HEIGHT):
        row = bytearray((x + y + 4 * number) % 200 + 16 for x in range(WIDTH))
        if HEIGHT // 3 <= y < HEIGHT // 2:
            row[at : at + 32] = b"\xeb" * len(row[at : at + 32])
        rows.append(bytes(row))
    small = WIDTH * HEIGHT // 4
    return b"".join(rows), bytes((96 + number % 64,)) * small, bytes((160 - number % 64,)) * small


def _units(data: bytes) -> tuple[bytes, ...]:
    """Return the units of a coded picture; libx264 mixes start codes of three and four bytes."""
    return tuple(unit.rstrip(b"\0") for unit in data.replace(_START, _START[1:]).split(_START[1:]) if unit)


def _description(manners: Manners) -> bytes:
    sets = [unit for unit in pictures()[0] if unit[0] & 0x1F in {7, 8}]
    told = ",".join(base64.b64encode(unit).decode() for unit in sets)
    number = 26 if manners.codec == "JPEG" else 96
    control = "rtsp://192.0.2.9:8554/stream1/trackID=0" if manners.absolute else "trackID=0"
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    lines += ["m=audio 0 RTP/AVP 8", "a=control:trackID=1"]
    lines += [f"m=video 0 RTP/AVP {number}", f"a=rtpmap:{number} {manners.codec}/{_CLOCK_HZ}"]
    if manners.codec == "H264":
        lines.append(f"a=fmtp:96 packetization-mode=1;profile-level-id=42c00d;sprop-parameter-sets={told}")
    return "\r\n".join([*lines, f"a=control:{control}", ""]).encode()


def _answer(status: int, number: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    words = {200: "OK", 401: "Unauthorized", 454: "Session Not Found", 461: "Unsupported Transport"}[status]
    lines = [f"RTSP/1.0 {status} {words}", f"CSeq: {number}", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def _rtp(sequence: int, time: int, payload: bytes, *, marker: bool) -> bytes:
    head = bytes((0x80, 96 | (0x80 if marker else 0)))
    return head + sequence.to_bytes(2) + time.to_bytes(4) + b"GATE" + payload


def _interleaved(packet: bytes) -> bytes:
    return b"$\x00" + len(packet).to_bytes(2) + packet
