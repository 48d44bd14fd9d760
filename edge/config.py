"""One TOML file -> a typed, complete configuration, or refused with every error at once.

Reading does no other I/O than the file and the profiles it names.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from core.clearance.model import RuleSet
from core.crypto.keys import load_public
from core.errors import ConfigInvalid, GatefleetError
from core.messages.topics import EDGE_NAME
from edge.cabins.mistakes import seal_mistakes
from edge.device_mistakes import device_mistakes
from edge.lane_mistakes import Lanes, lane_mistakes, of_site_file
from edge.links.push_places import conflicts, place_of
from edge.mistakes import Mistake, read_table, refusal
from edge.sections import (
    CabinSection,
    ChannelSection,
    CryptoSection,
    DeviceSection,
    DeviceSpec,
    EdgeSection,
    LaneSection,
    PassengerSection,
    SecretRef,
    Section,
    SiteFile,
    UplinkSection,
    VehicleSection,
    ViewPlatformSection,
)

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """A configuration that can be run."""

    file: SiteFile
    digest_source: bytes
    devices: Mapping[str, DeviceSpec]
    ruleset: RuleSet

    @property
    def edge(self) -> str:
        """Return the edge's name on the wire."""
        return self.file.edge.full_name


def load_config(path: Path) -> EdgeConfig:
    """Read a configuration; raise ConfigInvalid whose detail has one line for each mistake."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}", cure="check the path after -c") from error
    return parse_config(raw, str(path))


def parse_config(raw: bytes, name: str) -> EdgeConfig:
    """Read a configuration from its bytes; `name` is how errors call the file."""
    table, lines = read_table(raw, name)
    sound = _Sound.of(table)
    specs: dict[str, DeviceSpec] = {}
    lane_of = {device: lane.id for lane in sound.lanes.values() for device in lane.devices.values()}
    mistakes = [*device_mistakes(sound.devices, lane_of, specs), *lane_mistakes(sound.file_lanes, specs)]
    mistakes += _edge_mistakes(sound)
    try:
        file = SiteFile.model_validate(table)
    except ValidationError as error:
        mistakes += (of_site_file(one) for one in error.errors(include_url=False))
        raise refusal(mistakes, name, lines) from error
    mistakes += _platform_mistakes(file)
    mistakes += seal_mistakes(file)
    if mistakes:
        raise refusal(mistakes, name, lines)
    rules = RuleSet(
        version=file.rules_version,
        timezone=file.edge.timezone,
        lanes={lane.id: lane.rules for lane in file.lane},
    )
    return EdgeConfig(file, raw, specs, rules)


def read_secret(reference: SecretRef, environ: Mapping[str, str] = os.environ) -> str:
    """Return what a secret reference points to; raise ConfigInvalid naming the reference, never the value."""
    kind, _, rest = reference.partition(":")
    try:
        if kind == "env":
            return environ[rest]
        path = Path(environ["CREDENTIALS_DIRECTORY"], rest) if kind == "credential" else Path(rest)
        return path.read_text(encoding="utf-8").strip()
    except KeyError as error:
        raise ConfigInvalid(f"the variable {error.args[0]} is not set", place=reference) from error
    except OSError as error:
        raise ConfigInvalid(f"cannot be read: {error.strerror}", place=reference) from error
    except UnicodeDecodeError:
        raise ConfigInvalid("not a text file", place=reference) from None  # its bytes may be the secret


_Part = TypeVar("_Part", bound=Section)


@dataclass(frozen=True, slots=True)
class _Sound:
    """The parts of a file that are what they should be, so that mistakes elsewhere do not hide theirs."""

    edge: EdgeSection | None
    uplink: UplinkSection | None
    crypto: CryptoSection | None
    devices: Mapping[int, DeviceSection]
    lanes: Mapping[int, LaneSection]
    channels: Mapping[int, ChannelSection]
    drivers: Mapping[str, str]
    """Of every device that has an id and a driver, sound or not."""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "_Sound":
        entries = [one for one in _entries(table, "device").values() if isinstance(one, dict)]
        return cls(
            edge=_sound(EdgeSection, table.get("edge")),
            uplink=_sound(UplinkSection, table.get("uplink")),
            crypto=_sound(CryptoSection, table.get("crypto")),
            devices=_all_sound(DeviceSection, _entries(table, "device")),
            lanes=_sound_lanes(_entries(table, "lane")),
            channels=_all_sound(ChannelSection, _entries(table, "channel")),
            drivers={str(one["id"]): str(one.get("driver")) for one in entries if "id" in one},
        )

    @property
    def file_lanes(self) -> Lanes:
        """Return what the lanes of the file can be held against."""
        return Lanes(self.lanes, self.channels, self.drivers)


def _entries(table: Mapping[str, Any], key: str) -> dict[int, Any]:
    found = table.get(key)
    return dict(enumerate(found)) if isinstance(found, list) else {}


def _sound(model: type[_Part], value: object) -> _Part | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _sound_lanes(values: Mapping[int, object]) -> dict[int, LaneSection]:
    people, vehicles = _all_sound(PassengerSection, values), _all_sound(VehicleSection, values)
    # A lane has one kind: it is sound as that, or not at all.
    return dict(sorted((people | vehicles | _all_sound(CabinSection, values)).items()))


def _all_sound(model: type[_Part], values: Mapping[int, object]) -> dict[int, _Part]:
    parts = {number: _sound(model, value) for number, value in values.items()}
    return {number: part for number, part in parts.items() if part is not None}


def _platform_mistakes(file: SiteFile) -> Iterator[Mistake]:
    devices = {device.id for device in file.device}
    seen: dict[str, str] = {}
    names: set[str] = set()
    for number, platform in enumerate(file.platform):
        if platform.id in names:
            yield Mistake(f"platform.{number}.id", f"{platform.id!r} is taken by another platform")
        names.add(platform.id)
        if isinstance(platform, ViewPlatformSection):
            yield from _subscribing_mistakes(f"platform.{number}", platform, file)
        for device, theirs in platform.cameras.items():
            at = f"platform.{number}.cameras.{device}"
            if device not in devices:
                yield Mistake(at, f"there is no device {device!r}")
            key = f"{platform.id}/{theirs}"
            if key in seen:
                yield Mistake(at, f"{theirs} is the id of {seen[key]} too")
            seen.setdefault(key, device)


def _subscribing_mistakes(at: str, platform: ViewPlatformSection, file: SiteFile) -> Iterator[Mistake]:
    for device in platform.tollgates.keys() - platform.cameras.keys():
        yield Mistake(f"{at}.tollgates.{device}", f"{device!r} stands not in cameras")
    if not platform.subscribes or platform.access is None:
        return
    try:
        place = place_of(platform.id, platform.subscribes, platform.access)
        others = [
            place_of(device.id, device.link, device.access)
            for device in file.device
            if device.link.startswith("http-server:") and device.access is not None
        ]
        yield from (Mistake(f"{at}.subscribes", why) for other in others for why in conflicts([other, place]))
    except ConfigInvalid as error:
        yield Mistake(f"{at}.subscribes", str(error))


def _edge_mistakes(sound: _Sound) -> Iterator[Mistake]:
    if sound.edge is not None:
        try:
            ZoneInfo(sound.edge.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield Mistake("edge.timezone", f"{sound.edge.timezone!r} is no IANA time zone, such as Asia/Shanghai")
        if not EDGE_NAME.match(sound.edge.full_name):
            yield Mistake("edge.name", f"{sound.edge.full_name!r} is no name for the wire")
    if sound.uplink is not None:
        yield from _uplink_mistakes(sound.uplink)
    for number, key in enumerate(sound.crypto.trusted_keys if sound.crypto else ()):
        try:
            load_public(key)
        except GatefleetError as error:
            yield Mistake(f"crypto.trusted_keys.{number}", f"not a public key such as sm2-pub:...: {error.detail}")


def _uplink_mistakes(section: UplinkSection) -> Iterator[Mistake]:
    for key, url in (("url", section.url), ("central_url", section.central_url)):
        try:
            parts = urlsplit(url)
            host, known = parts.hostname, parts.port is None or parts.port > 0
        except ValueError:
            host, known = None, False
        if url and not (host and known):
            yield Mistake(f"uplink.{key}", "not an address such as mqtts://host:8883 or https://host")
        elif url.startswith("http://") and host not in _LOOPBACK:
            yield Mistake("uplink.central_url", "lists would travel in the clear: use https")
