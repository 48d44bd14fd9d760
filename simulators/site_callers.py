"""The devices of a site that call the edge: cameras, counters, desks and docks that push, and vehicle terminals.

Each place that the edge is to listen at becomes a free port of loopback, which the edge is told by `links`. Each device
has an address of its own among those of loopback, as it has on site: what an edge allows one peer is for one device.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import aiohttp

from drivers.digest import Login
from drivers.jt808.admission import LocatorSettings
from edge.sections import DeviceSpec
from simulators.dahua_anpr import TollgateCamera
from simulators.desk import Desk
from simulators.dock import Dock
from simulators.face_terminal import FaceTerminal
from simulators.gat1400 import Camera as LibraryCamera
from simulators.gat1400 import camera as library_camera
from simulators.hik_anpr import PlateCamera
from simulators.hik_counting import PeopleCounter
from simulators.jt808 import Terminal
from simulators.ports import free_port
from simulators.pushing import Pusher, pushing
from simulators.site_secrets import secret

_HERE: Final = "127.0.0.1"
_AGAIN_S: Final = 0.5
_VERSIONS: Final = (2013, 2019, 2011)
"""Of terminals that keep to the standard; makers' own dialects are of 2013."""
_CAMERA_ID: Final = "4404990000119{:07d}"


class PlateSource(Protocol):
    """What reads plates."""

    async def tell(self, plate: str, confidence: float = 0.97) -> bool:
        """Tell of one read, once; say whether the edge took it."""


@dataclass(frozen=True, slots=True)
class _Hik:
    camera: PlateCamera

    async def tell(self, plate: str, confidence: float = 0.97) -> bool:
        return await self.camera.vehicle(plate, confidence=round(confidence * 100)) == 200


@dataclass(frozen=True, slots=True)
class _Dahua:
    camera: TollgateCamera

    async def tell(self, plate: str, confidence: float = 0.97) -> bool:
        return await self.camera.vehicle(plate, confidence=round(confidence * 100)) == 200


@dataclass(slots=True)
class _Library:
    camera: LibraryCamera
    registered: bool = False

    async def tell(self, plate: str, confidence: float = 0.97) -> bool:  # noqa: ARG002 the standard has no such figure
        try:
            self.registered = self.registered or await self.camera.register()
            return self.registered and (await self.camera.see_vehicle(plate))[0] == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


async def told(source: PlateSource, plate: str, confidence: float = 0.97, patience_s: float = 60.0) -> bool:
    """Tell of a read until the edge has taken it, as cameras do; False where patience ends."""
    clock = asyncio.get_running_loop().time
    until = clock() + patience_s
    while not await source.tell(plate, confidence):
        if clock() > until:
            return False
        await asyncio.sleep(_AGAIN_S)
    return True


@dataclass(slots=True)
class Callers:
    """Those that call, by device. `terminals`: those of each listening device."""

    plates: dict[str, PlateSource] = field(default_factory=dict)
    counters: dict[str, PeopleCounter] = field(default_factory=dict)
    desks: dict[str, Desk] = field(default_factory=dict)
    docks: dict[str, Dock] = field(default_factory=dict)
    faces: dict[str, FaceTerminal] = field(default_factory=dict)
    terminals: dict[str, list[Terminal]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def open_callers(specs: Mapping[str, DeviceSpec], seed: int = 0) -> AsyncIterator[Callers]:
    """Make all of a site's devices that call; none of them calls yet."""
    made = Callers()
    ports: dict[str, int] = {}
    async with contextlib.AsyncExitStack() as stack:
        for number, spec in enumerate(specs.values()):
            parts = urlsplit(spec.link)
            if parts.scheme not in {"http-server", "tcp-server"}:
                continue
            port = ports.setdefault(parts.netloc, free_port())
            made.links[spec.id] = f"{parts.scheme}://{_HERE}:{port}{parts.path}"
            if spec.driver.name == "jt808":
                made.terminals[spec.id] = _terminals(spec, seed)
            elif spec.driver.name == "gat1400":
                url, id_ = f"http://{_HERE}:{port}{parts.path}", _CAMERA_ID.format(number)
                camera = await stack.enter_async_context(library_camera(url, id_, Login(id_, ""), local=_own(number)))
                made.plates[spec.id] = _Library(camera)
            elif parts.scheme == "http-server":
                url = f"http://{_HERE}:{port}{parts.path}"
                client = pushing(url, login=_login(spec), seed=seed + number, local=_own(number))
                pusher = await stack.enter_async_context(client)
                _push(made, spec, pusher)
        yield made


def _own(number: int) -> str:
    """Return the address of the `number`-th device of a site."""
    return f"127.1.{number // 250}.{1 + number % 250}"


def _terminals(spec: DeviceSpec, seed: int) -> list[Terminal]:
    numbers = cast("LocatorSettings", spec.settings).terminals
    versions = _VERSIONS if spec.profile.vendor == "any" else _VERSIONS[:1]
    return [
        Terminal(number, versions[place % len(versions)], seed * 1000 + place) for place, number in enumerate(numbers)
    ]


def _login(spec: DeviceSpec) -> Login | None:
    if spec.access is None or not spec.access.users:
        return None
    user, reference = next(iter(spec.access.users.items()))
    return Login(user, secret(reference))


def _push(made: Callers, spec: DeviceSpec, pusher: Pusher) -> None:
    match spec.driver.name:
        case "hik-anpr":
            made.plates[spec.id] = _Hik(PlateCamera(pusher, serial=spec.id))
        case "dahua-anpr":
            made.plates[spec.id] = _Dahua(TollgateCamera(pusher, device_id=spec.id))
        case "hik-counting":
            made.counters[spec.id] = PeopleCounter(pusher)
        case "desk":
            made.desks[spec.id] = Desk(pusher, name=spec.id)
        case "dock":
            made.docks[spec.id] = Dock(pusher, name=spec.id)
        case "face-terminal":
            made.faces[spec.id] = FaceTerminal(pusher, name=spec.id)
