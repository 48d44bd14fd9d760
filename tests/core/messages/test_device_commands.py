"""A device command on the wire: any driver's, by name, bounded; docs/wire.md names every verb."""

import json
import re
import typing
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from core.messages import commands
from core.messages.commands import MAX_ARGUMENTS, CommandDevice, Order, OrderCommand

ORDER = {
    "id": "0" * 26, "edge": "hq.gates", "target": "CAM-1", "issued_at": "2026-11-21T08:00:00Z",
    "expires_at": "2026-11-21T08:00:05Z", "actor": "duty officer", "reason": "look",
}  # fmt: skip


def test_an_order_carries_a_device_command_and_those_of_lanes():
    command = {"verb": "CommandDevice", "name": "GotoPreset", "arguments": {"preset": "entry"}}
    order = Order.model_validate_json(json.dumps(ORDER | {"command": command}))
    assert order.command == CommandDevice(name="GotoPreset", arguments={"preset": "entry"})
    assert Order.model_validate_json(order.model_dump_json()) == order
    lane = Order.model_validate_json(json.dumps(ORDER | {"command": {"verb": "OpenLane"}}))
    assert lane.command.verb == "OpenLane"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "gotoPreset"},
        {"name": "Goto Preset"},
        {"name": "G" + "o" * 64},
        {"terminal": "1" * 33},
        {"terminal": "1/2"},
        {"arguments": {"x": "y" * MAX_ARGUMENTS}},
        {"arguments": {"x": float("nan")}},
        {"arguments": {str(number): 1 for number in range(33)}},
        {"arguments": "preset"},
        {"more": 1},
    ],
)
def test_it_is_bounded(wrong):
    with pytest.raises(ValidationError):
        CommandDevice.model_validate({"name": "GotoPreset", "arguments": {}} | wrong)


def test_arguments_that_are_nested_without_end_are_refused_not_followed():
    deep = "[" * 5_000 + "]" * 5_000
    with pytest.raises(ValidationError):
        CommandDevice.model_validate_json('{"name": "X", "arguments": {"a": ' + deep + "}}")
    inside: list = []
    for _ in range(5_000):
        inside = [inside]
    with pytest.raises((ValidationError, RecursionError)):
        CommandDevice.model_validate({"name": "X", "arguments": {"a": inside}})


def verbs(kind):
    if typing.get_origin(kind) is typing.Annotated or isinstance(kind, typing._UnionGenericAlias | type(int | str)):
        return {verb for one in typing.get_args(kind) if not isinstance(one, str) for verb in verbs(one)}
    return {kind.__name__} if isinstance(kind, type) and hasattr(kind, "model_fields") else set()


def test_the_wire_page_names_every_verb_of_an_order():
    text = (Path(commands.__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
    table = text.partition("| `verb` |")[2].partition("\n\n")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))
    assert told == verbs(OrderCommand)
    schema = TypeAdapter(OrderCommand).json_schema()
    assert set(schema["discriminator"]["mapping"]) == told
