"""Vehicle terminals that speak JT/T 808 to an edge: they connect, register, authenticate and drive about.

`Terminal` is one of them, `fleet` opens thousands in one process: each is an `asyncio.Protocol`, without a task of its
own. `Misbehaviour` makes one garble, lie or dawdle. What an edge confirmed is in `confirmed`; what it did not is kept,
as in a terminal's flash, and goes out as a batch by `send_batch`.
"""

import asyncio
import contextlib
import math
import random
import struct
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Final, cast

from drivers.jt808.frame import FLAG, Frame, FrameSplitter, encode_frame, encode_parts, escape, parse_frame, xor
from simulators.jt808_orders import Software, attributes, done, set_parameters, told_parameters

_CST: Final = timezone(timedelta(hours=8))
_START: Final = (22.1310, 113.5410)
"""Somewhere on the island."""
_METRES_A_DEGREE: Final = 111_320.0
_FLASH: Final = 2_000
_FLEET_AT_ONCE: Final = 200
_PART: Final = 900


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """What a terminal does wrong, on purpose."""

    wrong_checksum: bool = False
    """Each position comes once with a broken checksum, then right."""
    unescaped: bool = False
    """Each position comes once with a bare 7D inside, then right."""
    early: bool = False
    """It sends a position before it authenticates."""
    wrong_code: bool = False
    reads_slowly: bool = False
    """It stops reading once it is admitted, until `read_on`."""
    lose_parts: frozenset[int] = frozenset()
    """Parts that are not sent until they are asked for."""
    refuses: int = 0
    """It answers every command with this result and does nothing."""
    mute: bool = False
    """It does and answers nothing that it is told."""


class Route:
    """A drive that the seed decides: the same seed, the same streets."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.lat_deg = _START[0] + self._random.uniform(-0.05, 0.05)
        self.lon_deg = _START[1] + self._random.uniform(-0.05, 0.05)
        self.course_deg = self._random.uniform(0, 360)
        self.speed_kmh = 40.0
        self.mileage_km = self._random.uniform(1_000, 90_000)
        self.at = datetime(2026, 1, 1, 8, 0, 0, tzinfo=_CST)

    def drive(self, seconds: float) -> None:
        """Go on for a while."""
        self.speed_kmh = min(90.0, max(0.0, self.speed_kmh + self._random.uniform(-8, 8)))
        self.course_deg = (self.course_deg + self._random.gauss(0, 12)) % 360
        metres = self.speed_kmh / 3.6 * seconds
        north = metres * math.cos(math.radians(self.course_deg)) / _METRES_A_DEGREE
        self.lat_deg += north
        self.lon_deg += metres * math.sin(math.radians(self.course_deg)) / (_METRES_A_DEGREE * 0.926)
        self.mileage_km += metres / 1_000
        self.at += timedelta(seconds=seconds)

    def body(self) -> bytes:
        """Return the body of 0x0200 for here and now, with mileage, signal and satellites."""
        base = struct.pack(
            ">IIIIHHH",
            0,
            3 | (self.lat_deg < 0) << 2 | (self.lon_deg < 0) << 3,
            round(abs(self.lat_deg) * 1e6),
            round(abs(self.lon_deg) * 1e6),
            12,
            round(self.speed_kmh * 10),
            int(self.course_deg),
        )
        items = struct.pack(">BBIBBBBBB", 1, 4, round(self.mileage_km * 10), 0x30, 1, 22, 0x31, 1, 9)
        return base + bytes.fromhex(self.at.strftime("%y%m%d%H%M%S")) + items


@dataclass(slots=True, eq=False)
class Terminal(asyncio.Protocol):
    """One terminal. `code` is kept over connections, as a real one keeps it."""

    number: str
    """11 or 12 digits."""
    version: int = 2013
    seed: int = 0
    misbehaviour: Misbehaviour = Misbehaviour()
    code: str = ""
    confirmed: int = 0
    refused: int = 0
    """Messages that were answered with another result than 0."""
    texts: list[str] = field(default_factory=list)
    controls: list[int] = field(default_factory=list)
    parameters: dict[int, bytes] = field(
        default_factory=lambda: {0x0001: b"\0\0\0\x1e", 0x0083: "粤C12345".encode("gbk")}
    )
    software: Software = field(default_factory=Software)
    route: Route = field(init=False)
    kept: deque[bytes] = field(init=False, repr=False)
    """Positions that nobody confirmed, oldest first; the flash is not endless."""
    _transport: asyncio.Transport | None = field(init=False, default=None, repr=False)
    _splitter: FrameSplitter = field(init=False, repr=False)
    _serial: int = field(init=False, default=0)
    _waiting: dict[int, bytes] = field(init=False, repr=False)
    """Serial of a position that waits for its confirmation -> its body."""
    _answers: dict[tuple[int, int], asyncio.Future[int]] = field(init=False, repr=False)
    _media: dict[int, list[bytes]] = field(init=False, repr=False)
    _ready: asyncio.Future[bool] | None = field(init=False, default=None, repr=False)
    _closed: asyncio.Future[None] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.route = Route(self.seed)
        self.kept = deque(maxlen=_FLASH)
        self._splitter = FrameSplitter()
        self._waiting, self._answers, self._media = {}, {}, {}

    async def connect(self, host: str, port: int) -> bool:
        """Connect, register where there is no code yet, authenticate; tell whether the edge admitted it."""
        loop = asyncio.get_running_loop()
        self._ready, self._closed = loop.create_future(), loop.create_future()
        self._splitter = FrameSplitter()
        try:
            await loop.create_connection(lambda: self, host, port)
        except BaseException:
            if not self._closed.done():
                self._closed.set_result(None)  # who waits for its end would wait for ever
            raise
        return await asyncio.shield(self._ready)

    async def wait_closed(self) -> None:
        """Return once the connection has ended."""
        if self._closed is not None:
            await asyncio.shield(self._closed)

    def cut(self) -> None:
        """Lose the network; what was not confirmed is kept."""
        if self._transport is not None:
            self._transport.abort()

    def read_on(self) -> None:
        """Read again what the edge sends."""
        if self._transport is not None:
            self._transport.resume_reading()

    def send_position(self, seconds: float = 10.0) -> None:
        """Drive on and tell where; without a connection the position is kept."""
        self.route.drive(seconds)
        body = self.route.body()
        if self._transport is None or self._transport.is_closing():
            self.kept.append(body)
            return
        self._misbehave(body)
        self._waiting[self._serial] = body
        self._send(0x0200, body)

    async def position_confirmed(self, seconds: float = 10.0) -> int:
        """Send a position and return the result of its confirmation."""
        answer = self._expect(0x8001)
        self.send_position(seconds)
        return await answer

    async def send_batch(self) -> int:
        """Send what was kept, as supplements, and forget it once it is confirmed; return the result."""
        taken = [self.kept.popleft() for _ in range(min(len(self.kept), 20))]
        body = struct.pack(">HB", len(taken), 1) + b"".join(struct.pack(">H", len(one)) + one for one in taken)
        result = -1
        try:
            result = await self.ask(0x0704, body)
        finally:  # also where the connection ends before the answer
            if result:
                self.kept.extendleft(reversed(taken))
        return result

    async def send_media(self, media_id: int, data: bytes, kind: int = 0) -> None:
        """Send a picture in parts and return once the edge has all of it."""
        where = self.route.body()[:28] if self.version != 2011 else b""
        body = struct.pack(">IBBBB", media_id, kind, 0, 0, 1) + where + data
        frames = encode_parts(self._frame(0x0801, body), _PART)
        self._serial = self._serial + len(frames) & 0xFFFF
        self._media[media_id] = self._media[-1] = frames
        done = self._answers[0x8800, media_id] = asyncio.get_running_loop().create_future()
        lost = self.misbehaviour.lose_parts
        self._write(b"".join(frame for number, frame in enumerate(frames, 1) if number not in lost))
        await done

    async def ask(self, msg_id: int, body: bytes = b"") -> int:
        """Send a message and return the result of its general reply."""
        answer = self._expect(0x8001)
        self._send(msg_id, body)
        return await answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce itself."""
        self._transport = cast("asyncio.Transport", transport)
        if self.misbehaviour.early:
            self._send(0x0200, self.route.body())
        if self.code or self.misbehaviour.wrong_code:
            self._authenticate("wrong" if self.misbehaviour.wrong_code else self.code)
        else:
            self._send(0x0100, self._registration())

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep what was not confirmed."""
        del exc
        self._transport = None
        self.kept.extend(self._waiting.values())
        self._waiting.clear()
        for answer in self._answers.values():
            if not answer.done():
                answer.cancel()
        self._answers.clear()
        self._admitted(yes=False)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take what the edge says."""
        for chunk in self._splitter.feed(data):
            self._take(parse_frame(chunk))

    def _take(self, frame: Frame) -> None:
        body = frame.body
        match frame.msg_id:
            case 0x8100 if body[2] == 0:
                self.code = body[3:].decode()
                self._authenticate(self.code)
            case 0x8100:
                self._admitted(yes=False)
            case 0x8001:
                self._confirmation(*struct.unpack(">HHB", body))
            case 0x8800 | 0x8003:
                self._parts_wanted(frame)
            case 0x8201 if not self.misbehaviour.mute:
                self._send(0x0201, struct.pack(">H", frame.serial) + self.route.body())
            case _ if not self.misbehaviour.mute:
                self._obey(frame)

    def _obey(self, frame: Frame) -> None:
        match frame.msg_id:
            case _ if self.misbehaviour.refuses:
                self._done(frame, self.misbehaviour.refuses)
            case 0x8103:
                set_parameters(self.parameters, frame.body)
                self._done(frame)
            case 0x8104 | 0x8106:
                self._send(*told_parameters(self.parameters, frame))
            case 0x8107:
                self._send(*attributes(self.number, v2019=frame.v2019))
            case 0x8300:
                self.texts.append(frame.body[2 if frame.v2019 else 1 :].decode("gbk"))
                self._done(frame)
            case 0x8105:
                self.controls.append(frame.body[0])
                self._done(frame)
            case 0x8108:
                for reply in self.software.take(frame):
                    self._send(*reply)
            case 0x8900:
                self._done(frame)
            case _:
                self._done(frame, result=3)

    def _done(self, frame: Frame, result: int = 0) -> None:
        self._send(*done(frame, result))

    def _confirmation(self, serial: int, msg_id: int, result: int) -> None:
        if result:
            self.refused += 1
        if msg_id == 0x0102:
            self._admitted(yes=result == 0)
        elif self._waiting.pop(serial, None) is not None and not result:
            self.confirmed += 1
        answer = self._answers.pop((0x8001, serial), None)
        if answer is not None and not answer.done():
            answer.set_result(result)

    def _parts_wanted(self, frame: Frame) -> None:
        body = frame.body
        media_id = int.from_bytes(body[:4], "big") if frame.msg_id == 0x8800 else -1
        at = 5 if frame.msg_id == 0x8800 else (4 if frame.v2019 else 3)
        wanted = struct.unpack(f">{len(body[at:]) // 2}H", body[at:])
        frames = self._media.get(media_id, [])
        self._write(b"".join(frames[number - 1] for number in wanted if number <= len(frames)))
        if frame.msg_id == 0x8800 and not wanted and (done := self._answers.pop((0x8800, media_id), None)):
            self._media.pop(media_id, None)
            done.set_result(0)

    def _registration(self) -> bytes:
        maker, model, device = {2011: (5, 8, 7), 2013: (5, 20, 7), 2019: (11, 30, 30)}[self.version]
        texts = (
            b"GFSIM".ljust(maker, b"\0"),
            b"SIM-1".ljust(model, b"\0"),
            self.number[-7:].encode().ljust(device, b"\0"),
        )
        return struct.pack(">HH", 44, 400) + b"".join(texts) + b"\1" + "粤C12345".encode("gbk")

    def _authenticate(self, code: str) -> None:
        raw = code.encode()
        if self.version == 2019:
            raw = bytes((len(raw),)) + raw + b"000000000000000" + b"1.0".ljust(20, b"\0")
        self._send(0x0102, raw)

    def _admitted(self, *, yes: bool) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(yes)
            if yes and self.misbehaviour.reads_slowly and self._transport is not None:
                self._transport.pause_reading()

    def _misbehave(self, body: bytes) -> None:
        whole = encode_frame(self._frame(0x0200, body))
        if self.misbehaviour.wrong_checksum:
            self._write(whole[:-2] + bytes((whole[-2] ^ 1,)) + FLAG)
        if self.misbehaviour.unescaped:
            payload = whole[1:13] + b"\x7d" + body[1:]
            self._write(FLAG + payload + escape(bytes((xor(payload),))) + FLAG)

    def _expect(self, msg_id: int) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[msg_id, self._serial] = answer
        return answer

    def _frame(self, msg_id: int, body: bytes) -> Frame:
        v2019 = self.version == 2019
        return Frame(msg_id, self._serial, self.number.zfill(20 if v2019 else 12), body, v2019, int(v2019))

    def _send(self, msg_id: int, body: bytes) -> None:
        self._write(encode_frame(self._frame(msg_id, body)))
        self._serial = self._serial + 1 & 0xFFFF

    def _write(self, data: bytes) -> None:
        if self._transport is not None and data:
            self._transport.write(data)


@dataclass(slots=True)
class Fleet:
    """Many terminals of one process."""

    terminals: list[Terminal]

    @property
    def confirmed(self) -> int:
        """Return how many positions the edge confirmed."""
        return sum(terminal.confirmed for terminal in self.terminals)

    async def report(self, rate: float, seconds: float) -> int:
        """Send `rate` positions a second in turn, evenly, and return how many; positions are not waited for."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while (passed := loop.time() - began) < seconds:
            due = int(passed * rate)
            for number in range(sent, due):
                self.terminals[number % len(self.terminals)].send_position()
            sent = due
            await asyncio.sleep(0.05)
        return sent


@contextlib.asynccontextmanager
async def fleet(
    host: str, port: int, count: int, *, seed: int = 0, first: int = 13_800_000_000
) -> AsyncIterator[Fleet]:
    """Connect `count` terminals of all versions, some hundred at a time; ConnectionError if one is not admitted."""
    terminals = [Terminal(str(first + n), (2013, 2019, 2011)[n % 3], seed + n) for n in range(count)]
    gate = asyncio.Semaphore(_FLEET_AT_ONCE)

    async def enter(terminal: Terminal) -> None:
        async with gate:
            if not await terminal.connect(host, port):
                raise ConnectionError(f"terminal {terminal.number} was not admitted")

    try:
        async with asyncio.TaskGroup() as entering:
            for terminal in terminals:
                entering.create_task(enter(terminal), name=f"terminal {terminal.number}")
        yield Fleet(terminals)
    finally:
        for terminal in terminals:
            terminal.cut()
        await asyncio.gather(*(terminal.wait_closed() for terminal in terminals))
