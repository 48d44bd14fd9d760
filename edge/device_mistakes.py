"""What is wrong with the devices of a file, each by itself and beside the others."""

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr, ValidationError

from core.errors import ConfigInvalid, GatefleetError, NotFound
from drivers import registry
from drivers.base import Driver, Settings
from edge.links.modbus_url import SCHEMES, parse_modbus_url
from edge.links.push_places import Place, conflicts, place_of
from edge.links.stream import SerialLink, stream_link
from edge.mistakes import REFERENCE, Mistake, of_pydantic
from edge.profiles import load_profile
from edge.sections import DeviceSection, DeviceSpec

_WRITTEN: Final = "say where the secret is: env:NAME, file:/path or credential:NAME"
_STREAMS: Final = frozenset({"tcp", "tcp-server", "serial"})


def device_mistakes(
    devices: Mapping[int, DeviceSection], lane_of: Mapping[str, str], specs: dict[str, DeviceSpec]
) -> Iterator[Mistake]:
    """Tell what is wrong with the devices; fill `specs` with those that are right."""
    taken: set[str] = set()
    links = _Links()
    places: list[Place] = []
    for number, device in devices.items():
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
        if device.link.startswith("http-server:"):
            yield from (Mistake(f"{at}.link", text) for text in _pushes(device, places))
        try:
            profile = load_profile(device.profile)
            if profile.driver != driver.name:
                yield Mistake(f"{at}.profile", f"{profile.name} is for the driver {profile.driver}, not {driver.name}")
                continue
            settings = driver.settings.model_validate(device.settings)
            yield from (Mistake(f"{at}.settings.{key}", _WRITTEN) for key in _written_secrets(settings))
            driver.make(profile, settings)
            lane = lane_of.get(device.id)
            specs[device.id] = DeviceSpec(device.id, driver, profile, settings, device.link, lane, device.access)
        except ValidationError as error:
            found = (of_pydantic(one, driver.settings) for one in error.errors(include_url=False))
            yield from (Mistake(f"{at}.settings.{one.key}", one.text) for one in found)
        except GatefleetError as error:
            yield Mistake(f"{at}.profile", str(error))


def _pushes(device: DeviceSection, places: list[Place]) -> Iterator[str]:
    """Tell why a device's pushes cannot be told apart from those of the devices before it."""
    if device.access is None:
        yield 'say who may push: a table [device.access] with users, or with auth = "none" and peers'
        return
    try:
        place = place_of(device.id, device.link, device.access)
    except ConfigInvalid as error:
        yield str(error)
        return
    for other in places:
        yield from conflicts([other, place])
    places.append(place)


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
            place, line, setting = _place(device.link, scheme, device.id)
        except (GatefleetError, ValueError) as error:
            yield str(error)
            return
        if place in self.owners:
            yield f"{device.link!r} is the link of {self.owners[place]} too"
        self.owners.setdefault(place, device.id)
        set_by = self.lines.setdefault(line, (setting, device.id)) if line else (setting, "")
        if set_by[0] != setting:
            yield f"{line} is set otherwise by {set_by[1]}"


def _place(link: str, scheme: str, device: str) -> tuple[Hashable, str, Hashable]:
    """Return what a link leads to, the serial line it takes if any, and how that must be set; raise ConfigInvalid."""
    if scheme in SCHEMES:
        url = parse_modbus_url(link)
        return (url.bus, url.unit), url.bus.device, url.bus
    if scheme not in _STREAMS:
        return f"{link} {device}", "", link
    stream = stream_link(link)
    return link, stream.device if isinstance(stream, SerialLink) else "", link
