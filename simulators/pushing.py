"""How the simulated push devices post: one HTTP client with Digest, seeded, honest or misbehaving on purpose."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from drivers.digest import Login

_PIECE: Final = 16_384
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_OVERSIZE: Final = 9 << 20
SLOW_S: Final = 0.002
"""Between the pieces of a slow body."""
_SLOW_PIECE: Final = 512


class Misbehaviour(StrEnum):
    """What a device may do wrong. `DTD` exists only where bodies are XML."""

    TWICE = "twice"
    """The same read or event is sent again, with the same id."""
    OVERSIZE = "oversize"
    DTD = "dtd"
    CUT = "cut"
    WRONG_CLOCK = "wrong_clock"
    SLOW = "slow"


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


class _Pieces(Payload):
    """A body of known size that is written piece by piece, and may be written again after a challenge."""

    def __init__(self, value: bytes, content_type: str, piece: int, pause_s: float) -> None:
        super().__init__(value, content_type=content_type)
        self._size = len(value)
        self._piece = piece
        self._pause_s = pause_s

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for at in range(0, len(self._value), self._piece):
            await writer.write(self._value[at : at + self._piece])
            if self._pause_s:
                await asyncio.sleep(self._pause_s)


@dataclass(slots=True)
class Pusher:
    """One device's client; `answers` keeps (status, body) of every post, (0, why) where the connection broke."""

    url: str
    session: aiohttp.ClientSession
    misbehaviours: frozenset[Misbehaviour] = frozenset()
    seed: int = 0
    now: Callable[[], datetime] = utc_now
    zone_h: int = 8
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def is_bad(self, what: Misbehaviour) -> bool:
        """Tell whether this device does that."""
        return what in self.misbehaviours

    def clock(self) -> datetime:
        """Return the device's time, in its zone; a wrong clock is years behind, as after an empty battery."""
        now = self.now().astimezone(UTC) + timedelta(hours=self.zone_h)
        at = now.replace(tzinfo=None)
        return at - timedelta(days=3650) if self.is_bad(Misbehaviour.WRONG_CLOCK) else at

    def stamp(self) -> str:
        """Return the device's time with its zone, to the second."""
        return f"{self.clock().isoformat(timespec='seconds')}{self.zone_h:+03d}:00"

    def name(self) -> str:
        """Return a new id."""
        return f"{self.random.getrandbits(64):016x}"

    def picture(self, width: int, height: int, size: int = 4000) -> bytes:
        """Return a JPEG as far as its head tells; what follows is noise."""
        size = _OVERSIZE if self.is_bad(Misbehaviour.OVERSIZE) else size
        frame = b"\xff\xc0\x00\x0b\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x22\x00"
        return b"\xff\xd8\xff\xe0\x00\x04JF" + frame + b"\xff\xda" + self.random.randbytes(size) + b"\xff\xd9"

    async def post(self, body: bytes, content_type: str, path: str = "") -> int:
        """Post a body, as badly as this device does; return the status of the answer, 0 where there was none."""
        if self.is_bad(Misbehaviour.CUT):
            body = body[: self.random.randrange(len(body) // 4, len(body) * 3 // 4)]
        status = await self._post(body, content_type, path)
        if self.is_bad(Misbehaviour.TWICE):
            status = await self._post(body, content_type, path)
        return status

    async def _post(self, body: bytes, content_type: str, path: str) -> int:
        slow = self.is_bad(Misbehaviour.SLOW)
        pieces = _Pieces(body, content_type, _SLOW_PIECE if slow else _PIECE, SLOW_S if slow else 0)
        try:
            async with self.session.post(self.url.rstrip("/") + path, data=pieces) as answer:
                self.answers.append((answer.status, await answer.read()))
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers.append((0, str(error).encode()))
        return self.answers[-1][0]


def calling_from(local: str) -> aiohttp.TCPConnector | None:
    """Return what calls from an address of this machine; None from any."""
    return aiohttp.TCPConnector(local_addr=(local, 0)) if local else None


@contextlib.asynccontextmanager
async def pushing(
    url: str,
    *,
    login: Login | None = None,
    misbehaviours: frozenset[Misbehaviour] = frozenset(),
    seed: int = 0,
    now: Callable[[], datetime] = utc_now,
    local: str = "",
) -> AsyncIterator[Pusher]:
    """Open the client of one device; with a login it answers Digest challenges. `local`: the address it calls from."""
    digest = () if login is None else (aiohttp.DigestAuthMiddleware(login.username, login.password),)
    async with aiohttp.ClientSession(timeout=_TIMEOUT, middlewares=digest, connector=calling_from(local)) as session:
        yield Pusher(url, session, misbehaviours, seed, now)
