"""One `[[device]]` of a site file by itself: made from options, checked as the whole file would be, written as TOML."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final

from pydantic import ValidationError

from core.errors import ConfigInvalid, NotFound, Unsupported
from drivers import registry
from edge.device_mistakes import device_mistakes
from edge.mistakes import Mistake, of_pydantic
from edge.profiles import load_profile, profile_names
from edge.sections import DeviceSection, DeviceSpec

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ACCESS: Final = "access"
_LOGIN: Final = re.compile(r"//[^/?#]*@")

Entry = dict[str, Any]


def entry_of(driver: str, link: str, *, name: str = "", profile: str = "", settings: Sequence[str] = ()) -> Entry:
    """Return a device's table from what was said of it; raise ConfigInvalid, NotFound or Unsupported."""
    if not registry.driver(driver).links:
        raise Unsupported(f"{driver} is for decoding: no device of a site file has it", place="--driver")
    entry: Entry = {
        "id": name or f"{driver}-1",
        "driver": driver,
        "profile": profile or _only_profile(driver),
        "link": link,
    }
    for text in settings:
        _set(entry, text)
    return entry


def checked(entry: Entry) -> DeviceSpec:
    """Return the device that a table describes; raise ConfigInvalid with a line for every mistake."""
    specs: dict[str, DeviceSpec] = {}
    found = sorted({(one.key, one.text) for one in _mistakes(entry, specs)})
    if found:
        raise ConfigInvalid("\n".join(f"{key}: {text}" for key, text in found), place="[[device]]")
    (spec,) = specs.values()
    # Fresh settings: what the check made of references, such as a key, must not be kept beside the secrets.
    return spec.with_settings(spec.driver.settings.model_validate(entry.get("settings", {})))


def as_toml(entry: Entry) -> str:
    """Return the table as a site file has it."""
    plain = [f"{_key(key)} = {_value(value)}" for key, value in entry.items() if not isinstance(value, dict)]
    lines = ["[[device]]", *plain]
    for name, table in entry.items():
        if isinstance(table, dict):
            lines += ["", f"[device.{_key(name)}]", *(f"{_key(key)} = {_value(one)}" for key, one in table.items())]
    return "\n".join(lines) + "\n"


def free_name(driver: str, taken: frozenset[str]) -> str:
    """Return the first name for a device of a driver that nobody has."""
    return next(name for number in range(1, len(taken) + 2) if (name := f"{driver}-{number}") not in taken)


def _mistakes(entry: Entry, specs: dict[str, DeviceSpec]) -> Iterator[Mistake]:
    if _LOGIN.search(str(entry["link"])):
        yield Mistake("link", "a login has no place in an address: settings and access hold references to secrets")
        return
    try:
        section = DeviceSection.model_validate(entry)
    except ValidationError as error:
        yield from (of_pydantic(one, DeviceSection) for one in error.errors(include_url=False))
        return
    for one in device_mistakes({0: section}, {}, specs):
        yield Mistake(one.key.removeprefix("device.0."), one.text)


def _only_profile(driver: str) -> str:
    fitting = [name for name in profile_names() if load_profile(name).driver == driver]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise NotFound(f"there is no profile for {driver}", place="--profile")
    raise ConfigInvalid(
        f"{driver} has {len(fitting)} profiles", place="--profile", cure=f"one of: {', '.join(fitting)}"
    )


def _set(entry: Entry, text: str) -> None:
    """Put one `key=value` into the table: a setting of the driver, or of `access` where the key begins so."""
    key, sign, written = text.partition("=")
    path = key.strip().split(".")
    if not sign or not all(path):
        raise ConfigInvalid(f"{key!r}" if sign else "a setting without `=`", place="--set", cure="key=value")
    table = entry.setdefault(_ACCESS if path[0] == _ACCESS and len(path) > 1 else "settings", {})
    *groups, last = path[1:] if path[0] == _ACCESS and len(path) > 1 else path
    for group in groups:
        table = table.setdefault(group, {})
        if not isinstance(table, dict):
            raise ConfigInvalid(f"{key!r} lies inside a value", place="--set")
    if last in table:
        raise ConfigInvalid(f"{key!r} is set twice", place="--set")
    table[last] = read_value(written.strip())


def read_value(written: str) -> Any:
    """Return a value that is written as in TOML; what is not is text."""
    try:
        found = tomllib.loads(f"value = {written}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return written
    return found["value"] if len(found) == 1 else written


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return f"{{ {', '.join(f'{_key(key)} = {_value(one)}' for key, one in value.items())} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
    return repr(value)
