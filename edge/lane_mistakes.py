"""What is wrong with the lanes of a file: each beside its devices, its channel and the other lanes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from core.errors import NotFound
from drivers import registry
from drivers.barrier.contacts import Board
from drivers.base import command_names
from drivers.facts import PlateRead
from edge.cabins.mistakes import cabin_mistakes
from edge.lanes.vehicle_words import Loop, VehicleSettings
from edge.mistakes import Mistake, of_pydantic
from edge.sections import (
    CabinSection,
    ChannelSection,
    DeviceSpec,
    LaneSection,
    PassengerSection,
    SiteFile,
    VehicleSection,
    VideoPlatformSection,
    ViewPlatformSection,
)

_WANTED: Final = {
    "gate": "turnstile",
    "reader": "reader",
    "barrier": "barrier",
    "front": "plate camera",
    "rear": "plate camera",
    "light": "barrier",
    "display": "display",
    "cabin": "cabin",
    "face": "face terminal",
}
"""Which kind of device serves in a role."""
_ABLE: Final = {"display": "ShowLines", "barrier": "RaiseArm", "light": "SetLight"}
"""What a device in a role must know beside being of its kind."""
_KEYS: Final = {"front": "cameras.front", "rear": "cameras.rear"}
"""Where a role stands in the lane's table, when not under its own name."""
_PLATFORMS: Final[dict[str, type[BaseModel]]] = {"gb28181": VideoPlatformSection, "gat1400": ViewPlatformSection}
_KINDS: Final[dict[str, type[BaseModel]]] = {
    "passenger": PassengerSection,
    "vehicle": VehicleSection,
    "cabin": CabinSection,
}


@dataclass(frozen=True, slots=True)
class Lanes:
    """The sound lanes and channels of a file by their place, and the driver of every device by its id."""

    lanes: Mapping[int, LaneSection]
    channels: Mapping[int, ChannelSection]
    drivers: Mapping[str, str]


def lane_mistakes(file: Lanes, specs: Mapping[str, DeviceSpec]) -> Iterator[Mistake]:
    """Tell what is wrong; `specs` are the devices that are right."""
    used: dict[str, str] = {}
    seen: set[str] = set()
    for number, lane in file.lanes.items():
        at = f"lane.{number}"
        if lane.id in seen:
            yield Mistake(f"{at}.id", f"{lane.id!r} is taken by another lane")
        seen.add(lane.id)
        for role, device in lane.devices.items():
            key = f"{at}.{_KEYS.get(role, role)}"
            if unfit := _unfit(file, role, device):
                yield Mistake(key, unfit)
            if device in used:
                yield Mistake(key, f"{device} serves {used[device]} already")
            used[device] = lane.id
        if lane.direction not in lane.rules.directions:
            allowed = ", ".join(lane.rules.directions)
            yield Mistake(f"{at}.direction", f"{lane.direction} is not among the directions of its rules: {allowed}")
        if isinstance(lane, VehicleSection):
            yield from _vehicle_mistakes(at, lane, specs)
        if isinstance(lane, CabinSection):
            yield from cabin_mistakes(at, lane, specs)
    yield from _channel_mistakes(file)


def _unfit(file: Lanes, role: str, device: str) -> str:
    """Return why a device cannot serve in a role; empty where it can, or where its driver is a mistake of its own."""
    if device not in file.drivers:
        return f"there is no device {device!r}"
    kind, wanted = _kind(file.drivers[device]), _WANTED[role]
    if kind not in {None, wanted} and not _reads_plates(role, file.drivers[device]):
        return f"{device} is a {kind}, wanted a {wanted}"
    verb = _ABLE.get(role)
    lacks = kind and verb and verb not in command_names(registry.driver(file.drivers[device]))
    return f"{device} knows no {verb}" if lacks else ""


def _kind(driver: str) -> str | None:
    """Return the kind of a driver's devices; None for a driver that there is not, which is told elsewhere."""
    try:
        return registry.driver(driver).kind
    except NotFound:
        return None


def _reads_plates(role: str, driver: str) -> bool:
    """Tell whether a device of another kind, such as an ONVIF camera, may serve as a plate camera."""
    return _WANTED[role] == "plate camera" and PlateRead in registry.driver(driver).facts


def _vehicle_mistakes(at: str, lane: VehicleSection, specs: Mapping[str, DeviceSpec]) -> Iterator[Mistake]:
    board = _board(specs, lane.barrier)
    if board is not None:
        asked = lane.timing.loops if "loops" in lane.timing.model_fields_set else frozenset()
        if missing := sorted(asked - _loops(board)):
            there = ", ".join(sorted(board.wired))
            yield Mistake(f"{at}.timing.loops", f"{lane.barrier} has no input {', '.join(missing)}; it has {there}")
        if lane.timing.barrier_tells and "barrier_tells" in lane.timing.model_fields_set and not board.tells_arm:
            yield Mistake(f"{at}.timing.barrier_tells", f"no switch of {lane.barrier} tells where the arm is")
    light = _board(specs, lane.light) if lane.light else None
    if light is not None and not light.has_light:
        yield Mistake(f"{at}.light", f"the profile of {lane.light} has no light")


def _channel_mistakes(file: Lanes) -> Iterator[Mistake]:
    channels: dict[str, ChannelSection] = {}
    for number, channel in file.channels.items():
        if channel.id in channels:
            yield Mistake(f"channel.{number}.id", f"{channel.id!r} is taken by another channel")
        channels[channel.id] = channel
    for number, lane in file.lanes.items():
        if not isinstance(lane, VehicleSection) or lane.channel is None:
            continue
        named = channels.get(lane.channel)
        if named is None:
            yield Mistake(f"lane.{number}.channel", f"there is no channel {lane.channel!r}")
        elif lane.position not in named.settings.barriers:
            there = ", ".join(map(str, named.settings.barriers))
            yield Mistake(f"lane.{number}.position", f"{lane.position} is no barrier of {named.id}; one of: {there}")


def of_site_file(error: Any) -> Mistake:
    """Return one of the errors of a ValidationError of SiteFile; a lane's is that of its kind."""
    match error["loc"]:
        case ("lane", int(number), str(kind), *rest) if kind in _KINDS:
            found = of_pydantic({**error, "loc": tuple(rest)}, _KINDS[kind])
            return Mistake(f"lane.{number}.{found.key}", found.text)
        case ("lane", int(number)) if error["type"] == "union_tag_not_found":
            return Mistake(f"lane.{number}.kind", "is missing")
        case ("lane", int(number)) if error["type"] == "union_tag_invalid":
            shown = error["ctx"]["tag"]
            return Mistake(f"lane.{number}.kind", f"Input should be {' or '.join(map(repr, _KINDS))}, here {shown!r}")
        case ("platform", int(number), str(kind), *rest) if kind in _PLATFORMS:
            found = of_pydantic({**error, "loc": tuple(rest)}, _PLATFORMS[kind])
            return Mistake(f"platform.{number}.{found.key}".rstrip("."), found.text)
    return of_pydantic(error, SiteFile)


def vehicle_settings(lane: VehicleSection, specs: Mapping[str, DeviceSpec]) -> VehicleSettings:
    """Return a lane's settings with the inputs that its barrier has, where the file does not name fewer."""
    board = _board(specs, lane.barrier)
    told: dict[str, Any] = {}
    if board is not None:
        told = {"loops": _loops(board), "barrier_tells": board.tells_arm}
        told |= {"raise_timeout_ms": board.travel.raise_ms, "close_timeout_ms": board.travel.lower_ms}
    stated = lane.timing.model_fields_set
    return lane.timing.model_copy(update={name: value for name, value in told.items() if name not in stated})


def has_light(specs: Mapping[str, DeviceSpec], device: str) -> bool:
    """Tell whether a barrier's board has the light."""
    board = _board(specs, device)
    return board is not None and board.has_light


def _board(specs: Mapping[str, DeviceSpec], device: str) -> Board | None:
    spec = specs.get(device)
    made = spec.driver.make(spec.profile, spec.settings) if spec else None
    return made if isinstance(made, Board) else None


def _loops(board: Board) -> frozenset[Loop]:
    return frozenset(Loop(name) for name in board.wired)
