"""Make docs/asyncapi.yaml from the words themselves: `make asyncapi`. It is JSON, which is YAML, too."""  # noqa: INP001

import json
import sys
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import core.messages.known  # noqa: F401 (so that `Event.KNOWN` has every event)
from core.messages import topics
from core.messages.commands import Order, OrderCommand
from core.messages.envelope import MAX_BATCH_BYTES, ClockSource
from core.messages.event import Event, Stream
from core.messages.signed import Signed
from core.messages.wire import Ack, ListAnnouncement, Presence

FILE: Final = Path(__file__).parents[1] / "docs" / "asyncapi.yaml"
_SCHEMAS: Final = "#/components/schemas/"
_DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}


class _Template:
    """Stands for a stream in a topic's address."""

    value = "{stream}"


def document() -> dict[str, Any]:
    """Return the whole document."""
    template: Any = _Template()
    channels = {
        "up": _channel(topics.up("{edge}", template), "batch", "Batches of an edge's stream."),
        "ack": _channel(topics.ack("{edge}"), "ack", "What central has committed; cumulative."),
        "command": _channel(topics.command("{edge}"), "order", "One signed order."),
        "list": _channel(topics.list_announcement("{edge}"), "lists", "The signed announcement of the lists in force."),
        "presence": _channel(topics.presence("{edge}"), "presence", "Whether an edge is there; its last will."),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "gatefleet: edges and central",
            "version": topics.ROOT.rpartition("/")[2],
            "description": "MQTT 3.1.1 at QoS 1. docs/wire.md says what holds beyond the shape of messages.",
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "broker.example:8883", "protocol": "mqtts", "protocolVersion": "3.1.1"}},
        "channels": channels,
        "operations": {
            f"{_sends(name)}{name[0].upper()}{name[1:]}": _operation(name, retain=name in {"list", "presence"})
            for name in channels
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def text() -> str:
    """Return the document as it is written to the file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def commands() -> tuple[type[BaseModel], ...]:
    """Return the commands that an order can hold."""
    flat: list[type[BaseModel]] = []
    waiting: list[Any] = [OrderCommand]
    while waiting:
        one = waiting.pop()
        if isinstance(one, type):
            flat.append(one)
        else:
            waiting += [part for part in get_args(one) if get_args(part) or isinstance(part, type)]
    return tuple(sorted((one for one in set(flat) if "verb" in one.model_fields), key=lambda one: one.__name__))


def _sends(name: str) -> str:
    return "receive" if name in {"up", "presence"} else "send"


def _channel(address: str, message: str, what: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {"edge": {"description": f"`<site>.<name>`: {topics.EDGE_NAME.pattern}"}}
    if "{stream}" in address:
        parameters["stream"] = {"enum": [one.value for one in Stream], "description": "Order holds within a stream."}
    return {
        "address": address,
        "description": what,
        "parameters": parameters,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(channel: str, *, retain: bool) -> dict[str, Any]:
    """Return what central does."""
    binding = {"qos": 1, "retain": retain, "bindingVersion": "0.2.0"}
    return {
        "action": _sends(channel),
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"mqtt": binding},
    }


def _messages() -> dict[str, Any]:
    order = _signed("command", "Order", "One order; the edge does it once, before it expires, or not at all.")
    lists = _signed("list", "ListAnnouncement", "A list that is missing is withdrawn; the contents come by HTTPS.")
    return {
        "batch": {
            "contentType": "application/cloudevents-batch+json",
            "description": f"zstd-compressed, at most {MAX_BATCH_BYTES} bytes when unpacked. A type that central does"
            " not know is stored raw.",
            "payload": {"type": "array", "items": {"oneOf": [_ref(kind) for kind in sorted(Event.KNOWN)]}},
        },
        "ack": {"payload": _ref("Ack")},
        "order": order,
        "lists": lists,
        "presence": {"payload": _ref("Presence")},
    }


def _signed(purpose: str, body: str, what: str) -> dict[str, Any]:
    held = {"type": "string", "contentMediaType": "application/json", "x-content-schema": _ref(body)}
    narrowed = {"properties": {"purpose": {"const": purpose}, "body": held}}
    return {"description": what, "payload": {"allOf": [_ref("Signed"), narrowed]}}


def _schemas() -> dict[str, Any]:
    """Return the schemas of what a reader accepts, those of events within their envelopes."""
    words: list[type[BaseModel]] = [Ack, ListAnnouncement, Order, Presence, Signed, *commands(), *Event.KNOWN.values()]
    _, made = models_json_schema([(one, "validation") for one in words], ref_template=f"{_SCHEMAS}{{model}}")
    schemas = {name: _plain(schema) for name, schema in made["$defs"].items()}
    schemas["CloudEvent"] = _envelope()
    for kind, event in Event.KNOWN.items():
        stream, data = event.STREAM.value, _ref(event.__name__)
        own = {"type": {"const": kind}, "stream": {"const": stream}, "data": data}
        schemas[kind] = {"allOf": [_ref("CloudEvent"), {"properties": own}]}
    return dict(sorted(schemas.items()))


def _plain(schema: Any) -> Any:
    """Return a schema as AsyncAPI writes it: the discriminator is the property's name."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: _plain(one) for name, one in schema.items()}
    if isinstance(told.get("discriminator"), dict):
        told["discriminator"] = told["discriminator"]["propertyName"]
    return told


def _envelope() -> dict[str, Any]:
    """Return CloudEvents 1.0 with the extension attributes of docs/wire.md, as `core.messages.envelope` draws it."""
    text, number = {"type": "string"}, {"type": "integer"}
    needed = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": r"^[^.]+\.(vital|state|telemetry)\.[0-9]+$"},
        "source": {"type": "string", "pattern": topics.EDGE_NAME.pattern},
        "type": text,
        "time": {"type": "string", "format": "date-time"},
        "subject": text,
        "datacontenttype": {"const": "application/json"},
        "epoch": {"type": "string", "maxLength": 26},
        "stream": {"enum": [one.value for one in Stream]},
        "seq": _DIGITS,
        "bootid": text,
        "monotonic": _DIGITS,
        "clocksource": {"enum": [one.value for one in ClockSource]},
        "clockoffset": number,
        "clockerror": number,
        "data": {"type": "object"},
    }
    return {"type": "object", "properties": needed | {"after": _DIGITS, "acked": _DIGITS}, "required": [*needed]}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"{_SCHEMAS}{name}"}


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{FILE.name}: {len(Event.KNOWN)} events, {len(commands())} commands\n")
