"""Which commands a device has, what they want, and a command made of plain values."""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

from pydantic import BaseModel, JsonValue, ValidationError

from core.errors import MessageInvalid, Unsupported
from core.messages.commands import CommandDevice
from drivers.base import Driver, command_names

_MISTAKES_TOLD: Final = 8
_LONGEST_KEPT: Final = 200
_PLAIN: Final = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}


def wanted(name: str, terminal: str, arguments: object) -> CommandDevice:
    """Return what a technician wants of a device; raise MessageInvalid where that is no command at all.

    Unlike an order's, its arguments may be as long as a line of the control socket: a terminal's software.
    """
    if not isinstance(arguments, dict):
        raise MessageInvalid("arguments are a table", place=name[:64])
    try:
        empty = CommandDevice(name=name, terminal=terminal)
    except ValidationError as error:
        mistakes = [_mistake(one) for one in error.errors(include_url=False, include_input=False)]
        raise MessageInvalid("; ".join(mistakes[:_MISTAKES_TOLD])) from None
    return empty.model_copy(update={"arguments": arguments})


def command_of(driver: Driver, name: str, arguments: Mapping[str, JsonValue]) -> BaseModel:
    """Return a driver's command; raise Unsupported with every mistake."""
    kind = next((one for one in driver.commands if one.__name__ == name), None)
    if kind is None:
        known = ", ".join(command_names(driver))
        raise Unsupported(f"a {driver.name} has no {name}", cure=f"one of: {known}" if known else "")
    try:
        # As JSON: bytes come as base64, times as text.
        return kind.model_validate_json(json.dumps(arguments))
    except ValidationError as error:
        mistakes = [_mistake(one) for one in error.errors(include_url=False, include_input=False)]
        more = ["..."] if len(mistakes) > _MISTAKES_TOLD else []
        raise Unsupported("; ".join(mistakes[:_MISTAKES_TOLD] + more), place=name) from None


def _mistake(error: Any) -> str:
    place = ".".join(str(part)[:64] for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def described(driver: Driver) -> list[dict[str, Any]]:
    """Return a driver's commands as JSON values: name, what it does, its fields."""
    kinds = sorted(driver.commands, key=lambda one: one.__name__)
    return [{"name": one.__name__, "does": (one.__doc__ or "").strip(), "fields": _fields(one)} for one in kinds]


def _fields(kind: type[BaseModel]) -> list[dict[str, Any]]:
    schema = kind.model_json_schema()
    required = schema.get("required", [])
    rows = []
    for name, one in schema.get("properties", {}).items():
        if name != "verb":
            row = {"name": name, "takes": _takes(_resolved(one, schema)), "required": name in required}
            rows.append(row | ({"default": one["default"]} if "default" in one else {}))
    return rows


def _resolved(one: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = one.get("$ref", "")
    found = schema.get("$defs", {}).get(str(reference).rpartition("/")[2])
    return found if isinstance(found, dict) else one


def _takes(one: Mapping[str, Any]) -> str:
    """Return what a value must be, in few words."""
    if "enum" in one:
        return " or ".join(map(str, one["enum"]))
    if "anyOf" in one:
        return " or ".join(_takes(part) for part in one["anyOf"])
    kind = str(one.get("type", "value"))
    if one.get("format") in {"base64", "base64url", "binary"}:
        return "bytes (base64)"
    if kind == "object":
        return f"table of {_takes(_values(one))}"
    if kind == "array":
        items = one.get("items")
        return f"list of {_takes(items if isinstance(items, dict) else {})}"
    low, high = one.get("minimum", one.get("minLength")), one.get("maximum", one.get("maxLength"))
    bounds = f" {low if low is not None else ''}..{high if high is not None else ''}"
    return _PLAIN.get(kind, kind) + (bounds if (low, high) != (None, None) else "")


def _values(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a table's values."""
    for key in ("additionalProperties", "patternProperties"):
        found = table.get(key)
        if isinstance(found, dict):
            return next(iter(found.values()), {}) if key == "patternProperties" else found
    return {}


@runtime_checkable
class Discreet(Protocol):
    """A command that not all of may be recorded."""

    def outward(self) -> dict[str, JsonValue]:
        """Return the arguments that may be."""


def recorded(command: BaseModel, arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a command's arguments as a record keeps them."""
    return shortened(command.outward() if isinstance(command, Discreet) else arguments)


def shortened(arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return arguments as a record keeps them: what is long, such as a software, as its length."""
    return {key[:64]: _short(value) for key, value in arguments.items()}


def _short(value: JsonValue) -> JsonValue:
    size = len(json.dumps(value, ensure_ascii=False))
    return value if size <= _LONGEST_KEPT else f"({size} characters)"
