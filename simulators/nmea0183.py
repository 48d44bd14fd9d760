"""A GNSS receiver on a pty or a TCP port: it drives round a circle, and tells so in NMEA 0183.

async with serve_pty_receiver(Track(seed=1)) as receiver:
    truth = await receiver.tell()           # one second of the track
"""

import asyncio
import contextlib
import math
import os
import random
import tty
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Final

_KMH_OF_KNOT: Final = 1.852
_M_OF_DEGREE: Final = 111_320.0
_PIECE: Final = 5
_SLOW_S: Final = 0.005
_MODES: Final = {True: "A", False: "N"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the receiver is, WGS-84, at one second."""

    at: datetime
    latitude_deg: float
    longitude_deg: float
    speed_kmh: float
    course_deg: float


@dataclass(frozen=True, slots=True)
class Track:
    """A circle that depends on the seed alone, driven clockwise, a second an epoch."""

    seed: int = 0
    start: datetime = datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC)
    latitude_deg: float = 22.14
    longitude_deg: float = 113.55

    def place(self, second: int) -> Place:
        """Return the place at a second from the start."""
        draw = random.Random(self.seed)
        radius_m, turn_s, phase = draw.uniform(200, 900), draw.uniform(120, 400), draw.random()
        angle = 2 * math.pi * (second / turn_s + phase)
        north_m, east_m = radius_m * math.cos(angle), radius_m * math.sin(angle)
        return Place(
            at=self.start + timedelta(seconds=second),
            latitude_deg=self.latitude_deg + north_m / _M_OF_DEGREE,
            longitude_deg=self.longitude_deg + east_m / _M_OF_DEGREE / math.cos(math.radians(self.latitude_deg)),
            speed_kmh=2 * math.pi * radius_m / turn_s * 3.6,
            course_deg=(math.degrees(angle) + 90) % 360,
        )


@dataclass(slots=True)
class ReceiverFaults:
    """How a receiver misbehaves; set while it runs."""

    slow: bool = False
    """Bytes come a few at a time."""
    garbled: float = 0.0
    """Share of sentences with one wrong character."""
    lying: bool = False
    """RMC says that there is a fix, GGA that there is none."""
    no_fix: bool = False
    """It sees no sky."""


def sentence(content: str) -> str:
    """Return a sentence of what stands between `$` and `*`, with checksum and CR LF."""
    return f"${content}*{reduce(lambda so_far, char: so_far ^ ord(char), content, 0):02X}\r\n"


def epoch_sentences(place: Place, faults: ReceiverFaults, cycle: tuple[str, ...]) -> list[str]:
    """Return the sentences of one second, in the order of the cycle."""
    fixed = not faults.no_fix
    clock, day = place.at.strftime("%H%M%S.00"), place.at.strftime("%d%m%y")
    where = f"{_angle(place.latitude_deg, 2, 'NS')},{_angle(place.longitude_deg, 3, 'EW')}" if fixed else ",,,"
    knots = place.speed_kmh / _KMH_OF_KNOT
    motion = f"{knots:.3f},{place.course_deg:.2f}" if fixed else ","
    mode, status = _MODES[fixed], "A" if fixed else "V"
    quality = int(fixed and not faults.lying)
    told = {
        "RMC": f"GPRMC,{clock},{status},{where},{motion},{day},,,{mode}",
        "GGA": f"GPGGA,{clock},{where},{quality},{'09' if fixed else '00'},0.92,12.3,M,-2.1,M,,",
        "GLL": f"GPGLL,{where},{clock},{status},{mode}",
        "GSA": f"GPGSA,A,{3 if fixed else 1},02,05,07,09,13,15,20,27,30,,,,1.70,0.92,1.43",
        "VTG": f"GPVTG,{place.course_deg:.2f},T,,M,{knots:.3f},N,{place.speed_kmh:.3f},K,{mode}",
        "ZDA": f"GPZDA,{clock},{place.at:%d},{place.at:%m},{place.at:%Y},00,00",
        "GSV": "GPGSV,1,1,02,02,63,145,41,05,28,301,33",
    }
    return [sentence(told[kind]) for kind in cycle]


@dataclass(slots=True)
class Receiver:
    """One receiver; `url` is where an edge finds it, `told` what it has told."""

    track: Track
    url: str = ""
    cycle: tuple[str, ...] = ("RMC", "VTG", "GGA", "GSA", "GLL")
    faults: ReceiverFaults = field(default_factory=ReceiverFaults)
    told: list[Place] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _master: int | None = None
    _connected: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def wait_connected(self) -> None:
        """Return once somebody listens; a pty is always there."""
        if self._master is None:
            await self._connected.wait()

    async def tell(self) -> Place:
        """Tell one second of the track."""
        place = self.track.place(len(self.told))
        self.told.append(place)
        draw = random.Random(f"{self.track.seed}:{len(self.told)}")
        for text in epoch_sentences(place, self.faults, self.cycle):
            await self._send(_garbled(text, draw) if draw.random() < self.faults.garbled else text.encode())
        return place

    async def say(self, content: str) -> None:
        """Tell anything else, such as `GNTXT,01,01,02,ANTSTATUS=OPEN`."""
        await self._send(sentence(content).encode())

    async def drive(self, epochs: int, period_s: float) -> None:
        """Tell some epochs at a pace."""
        for _ in range(epochs):
            await self.tell()
            await asyncio.sleep(period_s)

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one listener until it leaves."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.add(writer)
        self._connected.set()
        try:
            while await reader.read(256):
                pass
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            self._serving.discard(task)
            writer.close()

    async def leave(self) -> None:
        """Hang up on whoever listens."""
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _send(self, data: bytes) -> None:
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)] if self.faults.slow else [data]
        for piece in pieces:
            self._write(piece)
            if self.faults.slow:
                await asyncio.sleep(_SLOW_S)

    def _write(self, data: bytes) -> None:
        if self._master is not None:
            # What nobody reads is lost, as on a cable that is not plugged in.
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)
        for writer in self._writers:
            writer.write(data)


@contextlib.asynccontextmanager
async def serve_tcp_receiver(track: Track) -> AsyncIterator[Receiver]:
    """Listen on a free port of loopback."""
    receiver = Receiver(track)
    server = await asyncio.start_server(receiver.client, "127.0.0.1", 0)
    receiver.url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()
        await receiver.leave()


@contextlib.asynccontextmanager
async def serve_pty_receiver(track: Track) -> AsyncIterator[Receiver]:
    """Be a serial device on a new pty."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    try:
        yield Receiver(track, url=f"serial://{os.ttyname(slave)}?baud=4800", _master=master)
    finally:
        os.close(master)
        os.close(slave)


def _angle(degrees: float, width: int, sides: str) -> str:
    whole, part = divmod(round(abs(degrees) * 6_000_000), 6_000_000)
    return f"{whole:0{width}d}{part / 100_000:08.5f},{sides[degrees < 0]}"


def _garbled(text: str, draw: random.Random) -> bytes:
    raw = bytearray(text.encode())
    raw[draw.randrange(1, len(raw) - 2)] ^= 1 << draw.randrange(7)
    return bytes(raw)
