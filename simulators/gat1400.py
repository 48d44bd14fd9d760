"""A camera or lower platform that pushes to a view library by GA/T 1400: registers, keeps alive, sends what it sees.

It is the device's side on real sockets, with the manners of the field: `dialect` changes how the same things are
written, `vice` what it does wrong on purpose. It asks for nothing and retries nothing by itself.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from drivers.digest import Login, authorization, parse_digest
from drivers.gat1400 import bodies
from drivers.gat1400.answers import Status, parse_response
from drivers.gat1400.codes import FACES, MOTOR_VEHICLES
from drivers.gat1400.ids import MediaKind, ObjectKind, make_image_id, make_object_id
from drivers.gat1400.reading import read_moment, to_json
from simulators.pushing import calling_from

_ZONE: Final = timezone(timedelta(hours=8))
_DRIP_BYTES: Final = 64
_DRIP_S: Final = 0.01
_JPEG: Final = b"\xff\xd8\xff\xe0" + bytes(range(256)) + b"\xff\xd9"
"""Begins and ends as a JPEG does; nobody here looks at it."""


class Dialect(StrEnum):
    """How firmware writes the same things."""

    STANDARD = "standard"
    TEXTS = "texts"
    """Numbers as texts, empty texts for what is not known."""
    LOWER = "lower"
    """Names begin with a small letter."""
    EPOCH = "epoch"
    """PassTime in milliseconds since 1970."""
    NAMELESS = "nameless"
    """Objects without ids, colours as words."""


class Vice(StrEnum):
    """What a device does wrong."""

    SLOW = "slow"
    """The body comes in drops."""
    GARBLED = "garbled"
    """The body ends in the middle."""
    LYING = "lying"
    """Pictures that are none, and a second object that is none."""
    TWICE = "twice"
    """Everything is sent a second time, as after an answer that was lost."""


@dataclass(slots=True)
class Camera:
    """One device. `url` is what stands before /VIID; `answers` keeps what came back."""

    url: str
    device_id: str
    login: Login
    session: aiohttp.ClientSession
    tollgate_id: str = "44049900001210000001"
    dialect: Dialect = Dialect.STANDARD
    vices: frozenset[Vice] = frozenset()
    now: Callable[[], datetime] = lambda: datetime.now(_ZONE)
    answers: list[tuple[int, tuple[Status, ...]]] = field(default_factory=list)
    _sequence: int = 0
    _serial: int = 0

    async def register(self) -> bool:
        """Register; prove who it is where it is asked to. Tell whether it was let in."""
        body = to_json(bodies.register(self.device_id))
        http, challenge, _ = await self._post("/System/Register", body)
        if http == 401 and challenge:
            uri = urlsplit(self._at("/System/Register")).path
            self._serial += 1
            proof = authorization(self.login, "POST", uri, parse_digest(challenge), cnonce=f"{self._serial:016x}", nc=1)
            http, _, _ = await self._post("/System/Register", body, proof)
        return http == 200

    async def keep_alive(self) -> int:
        """Say that it lives; return the HTTP status."""
        return (await self._post("/System/Keepalive", to_json(bodies.keepalive(self.device_id))))[0]

    async def leave(self) -> int:
        """Take the registration back; return the HTTP status."""
        return (await self._post("/System/UnRegister", to_json(bodies.unregister(self.device_id))))[0]

    async def ask_time(self) -> datetime | None:
        """Ask what time it is there."""
        async with self.session.get(self._at("/System/Time"), headers=self._headers()) as response:
            told = json.loads(await response.read())
        return read_moment(told["SystemTimeObject"]["LocalTime"], _ZONE)

    async def see_vehicle(self, plate: str, colour: str = "blue") -> tuple[int, tuple[Status, ...]]:
        """A vehicle passes; return the HTTP status and the statuses of the answer."""
        at = self.now()
        image, name = self._names(ObjectKind.MOTOR_VEHICLE, at)
        pictures = tuple(bodies.OutImage(image, role, _JPEG, at) for role in ("vehicle", "plate"))
        seen = bodies.OutVehicle(name, self.device_id, self.tollgate_id, at, plate, colour, "white", 1, 20.0, pictures)
        return await self._push(MOTOR_VEHICLES.path, bodies.pushed(MOTOR_VEHICLES, [seen], _ZONE))

    async def see_face(self) -> tuple[int, tuple[Status, ...]]:
        """A face is seen; return as `see_vehicle`."""
        at = self.now()
        image, name = self._names(ObjectKind.FACE, at)
        picture = bodies.OutImage(image, "face", _JPEG, at)
        seen = bodies.OutFace(name, self.device_id, at, (10, 20, 110, 140), (picture,))
        return await self._push(FACES.path, bodies.pushed(FACES, [seen], _ZONE))

    def _names(self, kind: ObjectKind, at: datetime) -> tuple[str, str]:
        self._sequence = (self._sequence + 1) % 100_000
        image = make_image_id(self.device_id, MediaKind.IMAGE, at, self._sequence, _ZONE)
        return image, make_object_id(image, kind, self._sequence)

    async def _push(self, path: str, body: dict[str, Any]) -> tuple[int, tuple[Status, ...]]:
        value = spoken(body, self.dialect)
        data = to_json(_lied(value) if Vice.LYING in self.vices else value)
        if Vice.GARBLED in self.vices:
            data = data[: len(data) // 2]
        if Vice.TWICE in self.vices:
            await self._post(path.removeprefix("/VIID"), data)
        http, _, content = await self._post(path.removeprefix("/VIID"), data)
        self.answers.append((http, parse_response(content, _ZONE) if content else ()))
        return self.answers[-1]

    async def _post(self, path: str, data: bytes, proof: str = "") -> tuple[int, str, bytes]:
        headers = self._headers() | ({"Authorization": proof} if proof else {})
        sent = _dripped(data) if Vice.SLOW in self.vices else data
        async with self.session.post(self._at(path), data=sent, headers=headers) as response:
            return response.status, response.headers.get("WWW-Authenticate", ""), await response.read()

    def _headers(self) -> dict[str, str]:
        return {"User-Identify": self.device_id, "Content-Type": "application/json"}

    def _at(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/VIID{path}"


@contextlib.asynccontextmanager
async def camera(
    url: str,
    device_id: str,
    login: Login,
    *,
    dialect: Dialect = Dialect.STANDARD,
    vices: frozenset[Vice] = frozenset(),
    local: str = "",
) -> AsyncIterator[Camera]:
    """Be a camera at a view library until left; `local`: the address it calls from."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout, connector=calling_from(local)) as session:
        yield Camera(url, device_id, login, session, dialect=dialect, vices=vices)


def spoken(value: Any, dialect: Dialect) -> Any:
    """Return a body as a dialect writes it."""
    if isinstance(value, list):
        return [spoken(one, dialect) for one in value]
    if not isinstance(value, dict):
        return str(value) if dialect is Dialect.TEXTS else value
    written = {name: spoken(inner, dialect) for name, inner in value.items()}
    match dialect:
        case Dialect.TEXTS:
            return written | {"StorageUrl1": ""}
        case Dialect.LOWER:
            return {name[:1].lower() + name[1:]: inner for name, inner in written.items()}
        case Dialect.EPOCH if "PassTime" in written:
            passed = read_moment(written["PassTime"], _ZONE)
            assert passed is not None
            return written | {"PassTime": int(passed.timestamp() * 1000)}
        case Dialect.NAMELESS:
            for name in ("MotorVehicleID", "FaceID", "ImageID", "TollgateID"):
                written.pop(name, None)
            return written | ({"VehicleColor": "White"} if "VehicleColor" in written else {})
    return written


def _lied(value: Any) -> Any:
    if isinstance(value, list):
        return [*map(_lied, value), "图片数据"]
    if isinstance(value, dict):
        return {name: "图片数据" if name == "Data" else _lied(inner) for name, inner in value.items()}
    return value


async def _dripped(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), _DRIP_BYTES):
        yield data[at : at + _DRIP_BYTES]
        await asyncio.sleep(_DRIP_S)
