"""One TOML file -> a typed, complete configuration, or refused with every error at once.

Reading does no other I/O than the file and the profiles it names.
"""

import os
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from core.clearance.model import Direction, LaneRules, RuleSet
from core.crypto.keys import load_public
from core.errors import ConfigInvalid, GatefleetError, NotFound
from core.messages.topics import EDGE_NAME
from drivers import registry
from drivers.base import Driver, Settings
from drivers.profile import Profile
from edge.lanes.words import PassengerSettings
from edge.links.modbus_url import SCHEMES, parse_modbus_url
from edge.links.stream import SerialLink, stream_link
from edge.mistakes import REFERENCE, Mistake, of_pydantic, read_table, refusal
from edge.profiles import load_profile

_WRITTEN = "say where the secret is: env:NAME, file:/path or credential:NAME"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SecretRef = str
"""Where a secret is, never the secret: `env:NAME`, `file:/path`, `credential:NAME` (systemd LoadCredential)."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EdgeSection(_Section):
    """Who this daemon is."""

    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63)
    timezone: str = "Asia/Shanghai"

    @property
    def full_name(self) -> str:
        """Return `<site>.<name>`, the edge's name on the wire."""
        return f"{self.site}.{self.name}"


class BufferSection(_Section):
    """Where the durable buffer is and how large it may grow."""

    path: Path
    quota_mb: int = Field(default=1024, ge=8, le=1_048_576)


class UplinkSection(_Section):
    """The MQTT broker, and central's address for list contents."""

    url: str = Field(pattern=r"^mqtts?://[^/?#@]+$")
    username: str = ""
    password: SecretRef = Field(default="", pattern=f"^$|{REFERENCE}")
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    central_url: str = Field(default="", pattern=r"^$|^https?://[^?#@]+$")
    api_key: SecretRef = Field(default="", pattern=f"^$|{REFERENCE}")


class CryptoSection(_Section):
    """The suite, the keys of central that are trusted here, and the key of the tokens."""

    suite: Literal["sm", "intl"] = "sm"
    trusted_keys: tuple[str, ...] = ()
    token_key: SecretRef = Field(pattern=REFERENCE)


class ControlSection(_Section):
    """The socket of the technician's tool."""

    socket: Path


class MetricsSection(_Section):
    """Where Prometheus scrapes; port 0 takes a free one, `""` for host turns it off."""

    host: str = "127.0.0.1"
    port: int = Field(default=9310, ge=0, le=65_535)


class DeviceSection(_Section):
    """One device."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    driver: str
    profile: str
    link: str
    settings: dict[str, Any] = Field(default_factory=dict)


class LaneSection(_Section):
    """One lane: devices in roles, the rules for who may pass, and how long things may take."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    kind: Literal["passenger"]
    gate: str
    reader: str
    direction: Direction
    rules: LaneRules
    timing: PassengerSettings = Field(default_factory=PassengerSettings)


class SiteFile(_Section):
    """The whole file."""

    schema_version: Literal[1] = Field(alias="schema")
    edge: EdgeSection
    buffer: BufferSection
    uplink: UplinkSection
    crypto: CryptoSection
    control: ControlSection
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    rules_version: int = Field(default=1, ge=1)
    device: tuple[DeviceSection, ...] = ()
    lane: tuple[LaneSection, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device with everything resolved: what a session is built from."""

    id: str
    driver: Driver
    profile: Profile
    settings: Settings
    link: str
    lane: str | None

    def with_settings(self, settings: Settings) -> "DeviceSpec":
        """Return the device with other settings."""
        return replace(self, settings=settings)


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
    mistakes = [*_device_mistakes(sound, specs), *_lane_mistakes(sound), *_edge_mistakes(sound)]
    try:
        file = SiteFile.model_validate(table)
    except ValidationError as error:
        mistakes += (of_pydantic(one, SiteFile) for one in error.errors(include_url=False))
        raise refusal(mistakes, name, lines) from error
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


_Part = TypeVar("_Part", bound=_Section)


@dataclass(frozen=True, slots=True)
class _Sound:
    """The parts of a file that are what they should be, so that mistakes elsewhere do not hide theirs."""

    edge: EdgeSection | None
    uplink: UplinkSection | None
    crypto: CryptoSection | None
    devices: Mapping[int, DeviceSection]
    lanes: Mapping[int, LaneSection]
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
            lanes=_all_sound(LaneSection, _entries(table, "lane")),
            drivers={str(one["id"]): str(one.get("driver")) for one in entries if "id" in one},
        )


def _entries(table: Mapping[str, Any], key: str) -> dict[int, Any]:
    found = table.get(key)
    return dict(enumerate(found)) if isinstance(found, list) else {}


def _sound(model: type[_Part], value: object) -> _Part | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _all_sound(model: type[_Part], values: Mapping[int, object]) -> dict[int, _Part]:
    parts = {number: _sound(model, value) for number, value in values.items()}
    return {number: part for number, part in parts.items() if part is not None}


def _device_mistakes(sound: _Sound, specs: dict[str, DeviceSpec]) -> Iterator[Mistake]:
    """Tell what is wrong with the devices; fill `specs` with those that are right."""
    lane_of = {device: lane.id for lane in sound.lanes.values() for device in (lane.gate, lane.reader)}
    taken: set[str] = set()
    links = _Links()
    for number, device in sound.devices.items():
        at = f"device.{number}"
        if device.id in taken:
            yield Mistake(f"{at}.id", f"{device.id!r} is taken by another device")
        taken.add(device.id)
        try:
            driver = registry.driver(device.driver)
        except NotFound as error:
            yield Mistake(f"{at}.driver", str(error))
            continue
        yield from (Mistake(f"{at}.link", text) for text in links.mistakes(device, driver))
        try:
            profile = load_profile(device.profile)
            if profile.driver != driver.name:
                yield Mistake(f"{at}.profile", f"{profile.name} is for the driver {profile.driver}, not {driver.name}")
                continue
            settings = driver.settings.model_validate(device.settings)
            yield from (Mistake(f"{at}.settings.{key}", _WRITTEN) for key in _written_secrets(settings))
            driver.make(profile, settings)
            specs[device.id] = DeviceSpec(device.id, driver, profile, settings, device.link, lane_of.get(device.id))
        except ValidationError as error:
            found = (of_pydantic(one, driver.settings) for one in error.errors(include_url=False))
            yield from (Mistake(f"{at}.settings.{one.key}", one.text) for one in found)
        except GatefleetError as error:
            yield Mistake(f"{at}.profile", str(error))


def _written_secrets(settings: Settings) -> Iterator[str]:
    """Yield the settings that hold a secret instead of where it is."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, SecretStr) and not re.match(f"^$|{REFERENCE}", one.get_secret_value()):
                yield name
                break


@dataclass(slots=True)
class _Links:
    """Who has which link, in whatever spelling, and how each serial line is set."""

    owners: dict[Hashable, str] = field(default_factory=dict)
    lines: dict[str, tuple[Hashable, str]] = field(default_factory=dict)

    def mistakes(self, device: DeviceSection, driver: Driver) -> Iterator[str]:
        """Tell what is wrong with a device's link, also beside those before."""
        scheme = device.link.partition(":")[0]
        if scheme not in driver.links:
            yield f"{scheme!r}: a {driver.name} speaks over {', '.join(sorted(driver.links))}"
            return
        try:
            place, line, setting = _place(device.link, scheme)
        except (GatefleetError, ValueError) as error:
            yield str(error)
            return
        if place in self.owners:
            yield f"{device.link!r} is the link of {self.owners[place]} too"
        self.owners.setdefault(place, device.id)
        set_by = self.lines.setdefault(line, (setting, device.id)) if line else (setting, "")
        if set_by[0] != setting:
            yield f"{line} is set otherwise by {set_by[1]}"


def _place(link: str, scheme: str) -> tuple[Hashable, str, Hashable]:
    """Return what a link leads to, the serial line it takes if any, and how that must be set; raise ConfigInvalid."""
    if scheme in SCHEMES:
        url = parse_modbus_url(link)
        return (url.bus, url.unit), url.bus.device, url.bus
    stream = stream_link(link)
    return link, stream.device if isinstance(stream, SerialLink) else "", link


def _lane_mistakes(sound: _Sound) -> Iterator[Mistake]:
    used: dict[str, str] = {}
    seen: set[str] = set()
    for number, lane in sound.lanes.items():
        at = f"lane.{number}"
        if lane.id in seen:
            yield Mistake(f"{at}.id", f"{lane.id!r} is taken by another lane")
        seen.add(lane.id)
        for role, wanted in (("gate", "turnstile"), ("reader", "reader")):
            device = getattr(lane, role)
            kind = _kind(sound.drivers[device]) if device in sound.drivers else None
            if device not in sound.drivers:
                yield Mistake(f"{at}.{role}", f"there is no device {device!r}")
            elif kind not in {None, wanted}:
                yield Mistake(f"{at}.{role}", f"{device} is a {kind}, wanted a {wanted}")
            if device in used:
                yield Mistake(f"{at}.{role}", f"{device} serves {used[device]} already")
            used[device] = lane.id
        if lane.direction not in lane.rules.directions:
            allowed = ", ".join(lane.rules.directions)
            yield Mistake(f"{at}.direction", f"{lane.direction} is not among the directions of its rules: {allowed}")


def _kind(driver: str) -> str | None:
    """Return the kind of a driver's devices; None for a driver that there is not, which is told elsewhere."""
    try:
        return registry.driver(driver).kind
    except NotFound:
        return None


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
