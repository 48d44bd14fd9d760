"""One TOML file -> a typed, complete configuration, or refused with every error at once.

Reading does no other I/O than the file and the profiles it names.
"""

import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.clearance.model import Direction, LaneRules, RuleSet
from core.errors import ConfigInvalid, GatefleetError, NotFound
from core.messages.topics import EDGE_NAME
from drivers import registry
from drivers.base import Driver, Settings
from drivers.profile import Profile
from edge.lanes.words import PassengerSettings
from edge.profiles import load_profile

_SECRET = re.compile(r"^(env|file|credential):.+$")
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

    url: str = Field(pattern=r"^mqtts?://[^/?#]+$")
    username: str = ""
    password: SecretRef = Field(default="", pattern=r"^$|^(env|file|credential):.+$")
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    central_url: str = Field(default="", pattern=r"^$|^https?://.+$")
    api_key: SecretRef = Field(default="", pattern=r"^$|^(env|file|credential):.+$")


class CryptoSection(_Section):
    """The suite, the keys of central that are trusted here, and the key of the tokens."""

    suite: Literal["sm", "intl"] = "sm"
    trusted_keys: tuple[str, ...] = ()
    token_key: SecretRef = Field(pattern=_SECRET.pattern)


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


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with a file."""

    key: str
    text: str

    def at(self, name: str, lines: Mapping[str, int]) -> str:
        """Return `file:line: key: text`."""
        key = self.key
        while key and key not in lines:
            key = key.rpartition(".")[0]
        return f"{name}:{lines.get(key, 1)}: {self.key}: {self.text}"


def load_config(path: Path) -> EdgeConfig:
    """Read a configuration; raise ConfigInvalid whose detail has one line for each mistake."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}", cure="check the path after -c") from error
    return parse_config(raw, str(path))


def parse_config(raw: bytes, name: str) -> EdgeConfig:
    """Read a configuration from its bytes; `name` is how errors call the file."""
    try:
        text = raw.decode()
        table = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid(f"{name}: not TOML: {error}") from error
    lines = key_lines(text)
    try:
        file = SiteFile.model_validate(table)
    except ValidationError as error:
        found = [_of_pydantic(one) for one in error.errors(include_url=False)]
        raise ConfigInvalid("\n".join(sorted(mistake.at(name, lines) for mistake in found))) from error
    specs: dict[str, DeviceSpec] = {}
    mistakes = [*_device_mistakes(file, specs), *_lane_mistakes(file), *_edge_mistakes(file)]
    if mistakes:
        raise ConfigInvalid("\n".join(mistake.at(name, lines) for mistake in mistakes))
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


def key_lines(text: str) -> dict[str, int]:
    """Return the line of each table and key, such as `device.3.link` -> 41. Good enough to point a person there."""
    lines: dict[str, int] = {}
    arrays: Counter[str] = Counter()
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if match := re.match(r"^\[\[\s*([\w.-]+)\s*\]\]", stripped):
            table = f"{match[1]}.{arrays[match[1]]}"
            arrays[match[1]] += 1
            lines[table] = number
        elif match := re.match(r"^\[\s*([\w.-]+)\s*\]", stripped):
            first, _, rest = match[1].partition(".")
            table = f"{first}.{arrays[first] - 1}.{rest}" if arrays[first] else match[1]
            lines[table] = number
        elif match := re.match(r"^([\w-]+)\s*=", stripped):
            lines[f"{table}.{match[1]}" if table else match[1]] = number
    return lines


def _of_pydantic(error: Any) -> Mistake:
    key = ".".join(str(part) for part in error["loc"])
    text = error["msg"]
    if error["type"] == "extra_forbidden":
        text = "there is no such key"
    elif error["type"] == "missing":
        text = "is missing"
    elif "input" in error and isinstance(error["input"], str | int | float | bool):
        text += f", here {error['input']!r}"
    return Mistake(key, text)


def _device_mistakes(file: SiteFile, specs: dict[str, DeviceSpec]) -> Iterator[Mistake]:
    """Tell what is wrong with the devices; fill `specs` with those that are right."""
    lane_of = {device: lane.id for lane in file.lane for device in (lane.gate, lane.reader)}
    taken: dict[str, str] = {}
    for number, device in enumerate(file.device):
        at = f"device.{number}"
        if device.id in specs:
            yield Mistake(f"{at}.id", f"{device.id!r} is taken by another device")
        if device.link in taken:
            yield Mistake(f"{at}.link", f"{device.link!r} is the link of {taken[device.link]} too")
        taken[device.link] = device.id
        try:
            driver = registry.driver(device.driver)
            scheme = urlsplit(device.link).scheme
            if scheme not in driver.links:
                links = ", ".join(sorted(driver.links))
                yield Mistake(f"{at}.link", f"{scheme or 'no scheme'}: a {driver.name} speaks over {links}")
            profile = load_profile(device.profile)
            if profile.driver != driver.name:
                yield Mistake(f"{at}.profile", f"{profile.name} is for the driver {profile.driver}, not {driver.name}")
                continue
            settings = driver.settings.model_validate(device.settings)
            driver.make(profile, settings)
            specs[device.id] = DeviceSpec(device.id, driver, profile, settings, device.link, lane_of.get(device.id))
        except ValidationError as error:
            yield from (
                Mistake(f"{at}.settings.{_of_pydantic(one).key}", _of_pydantic(one).text) for one in error.errors()
            )
        except NotFound as error:
            yield Mistake(f"{at}.{'profile' if 'profile' in str(error) else 'driver'}", str(error))
        except GatefleetError as error:
            yield Mistake(f"{at}.profile", str(error))


def _lane_mistakes(file: SiteFile) -> Iterator[Mistake]:
    drivers_of = {device.id: device.driver for device in file.device}
    used: dict[str, str] = {}
    seen: set[str] = set()
    for number, lane in enumerate(file.lane):
        at = f"lane.{number}"
        if lane.id in seen:
            yield Mistake(f"{at}.id", f"{lane.id!r} is taken by another lane")
        seen.add(lane.id)
        for role, wanted in (("gate", "turnstile"), ("reader", "reader")):
            device = getattr(lane, role)
            kind = drivers_of.get(device)
            if kind is None:
                yield Mistake(f"{at}.{role}", f"there is no device {device!r}")
            elif kind != wanted:
                yield Mistake(f"{at}.{role}", f"{device} is a {kind}, wanted a {wanted}")
            if device in used:
                yield Mistake(f"{at}.{role}", f"{device} serves {used[device]} already")
            used[device] = lane.id
        if lane.direction not in lane.rules.directions:
            yield Mistake(f"{at}.direction", f"{lane.direction} is not among the directions of its rules")


def _edge_mistakes(file: SiteFile) -> Iterator[Mistake]:
    try:
        ZoneInfo(file.edge.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        yield Mistake("edge.timezone", f"{file.edge.timezone!r} is no IANA time zone, such as Asia/Shanghai")
    if not EDGE_NAME.match(file.edge.full_name):
        yield Mistake("edge.name", f"{file.edge.full_name!r} is no name for the wire")
    if file.uplink.central_url.startswith("http://") and urlsplit(file.uplink.central_url).hostname not in {
        "127.0.0.1",
        "localhost",
        "::1",
    }:
        yield Mistake("uplink.central_url", "lists would travel in the clear: use https")
    for number, key in enumerate(file.crypto.trusted_keys):
        if not re.match(r"^[a-z0-9]+-pub:[A-Za-z0-9_-]+$", key):
            yield Mistake(f"crypto.trusted_keys.{number}", "not a public key such as sm2-pub:...")
