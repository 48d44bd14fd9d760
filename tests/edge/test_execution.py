"""The promises of `edge.execution` by their words."""

from types import SimpleNamespace

import pytest

from core.errors import BufferUnavailable, NotFound, Unsupported
from core.messages.commands import CommandDevice, Order, ResetDevice
from drivers import registry
from edge.device_commands import command_of, described, shortened, wanted
from edge.execution import Execution, Who

from .conftest import START

WHO = Who("officer", "drill", "O1")


class Session:
    def __init__(self, driver, lane=None):
        self.spec = SimpleNamespace(id="D", driver=registry.driver(driver), lane=lane)
        self.done = []

    async def command(self, command):
        self.done.append(command)


class Desk:
    def __init__(self, **sessions):
        self.recorded, self.fails = [], None
        self.execution = Execution({}, sessions, lambda: "ID", self.record)

    async def record(self, event):
        if self.fails:
            raise self.fails
        self.recorded.append(event)


@pytest.mark.parametrize(
    ("driver", "name"), [("turnstile", "OpenGate"), ("barrier", "RaiseArm"), ("cabin", "SetDoors")]
)
async def test_a_device_that_serves_a_lane_is_moved_by_its_lane_only(driver, name):
    desk = Desk(D=Session(driver, lane="E03"))
    with pytest.raises(Unsupported, match="E03"):
        await desk.execution.device("D", CommandDevice(name=name, arguments={"direction": "in"}), WHO)
    assert desk.execution.sessions["D"].done == desk.recorded == []


async def test_resetting_it_is_what_anybody_may_do():
    desk = Desk(D=Session("turnstile", lane="E03"))
    assert await desk.execution.device("D", CommandDevice(name="ResetDevice"), WHO) == ""
    assert desk.execution.sessions["D"].done == [ResetDevice()]


async def test_who_and_why_is_recorded_before_it_is_begun_or_it_is_not_done():
    desk = Desk(D=Session("onvif-camera"))
    done = desk.execution.sessions["D"].done
    move = CommandDevice(name="MoveCamera", arguments={"pan": 1})
    desk.fails = BufferUnavailable("full")
    with pytest.raises(BufferUnavailable):
        await desk.execution.device("D", move, WHO)
    assert done == []
    desk.fails = None
    await desk.execution.device("D", move, WHO)
    (event,) = desk.recorded
    assert (event.device, event.command, event.arguments) == ("D", "MoveCamera", {"pan": 1})
    assert (event.actor, event.reason, event.order) == ("officer", "drill", "O1")
    assert [type(one).__name__ for one in done] == ["MoveCamera"]


async def test_what_stays_at_the_edge_is_set_and_not_recorded():
    """An answer hides dial-up logins, telephone numbers and what only the maker knows; the record of setting them too."""
    desk = Desk(D=Session("jt808"))
    values = {"0012": "s3cret", "00000016": "s3cret", "0048": "13800138000", "F001": "s3cret", "0055": 80}
    await desk.execution.device("D", CommandDevice(name="SetParameters", arguments={"values": values}), WHO)
    (event,) = desk.recorded
    hidden = "(not recorded)"
    told = {"0012": hidden, "00000016": hidden, "0048": hidden, "F001": hidden, "0055": 80}
    assert event.arguments == {"values": told}
    assert desk.execution.sessions["D"].done[0].values == values


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("OpenGate", {}, "has no OpenGate"),
        ("__class__", {}, "has no __class__"),
        ("MoveCamera", {"pan": 2, "tilt": "up", "more": 1}, "pan: "),
        ("MoveCamera", {"pan": 2, "tilt": "up", "more": 1}, "tilt: "),
        ("MoveCamera", {"pan": 2, "tilt": "up", "more": 1}, "more: "),
        ("MoveCamera", {"verb": "OpenGate"}, "verb: "),
        ("GotoPreset", {}, "preset: "),
    ],
)
def test_what_does_not_fit_is_refused_with_every_mistake(name, arguments, words):
    with pytest.raises(Unsupported) as caught:
        command_of(registry.driver("onvif-camera"), name, arguments)
    assert words in caught.value.detail


def test_a_hundred_mistakes_are_not_all_told():
    with pytest.raises(Unsupported) as caught:
        command_of(registry.driver("jt808"), "QueryParameters", {"ids": ["?"] * 200})
    assert len(caught.value.detail) < 2_000


def order(target, **command):
    return Order(
        id="0" * 26, edge="a.b", target=target, command=CommandDevice(**command),
        issued_at=START, expires_at=START, actor="a", reason="b",
    )  # fmt: skip


def test_each_terminal_has_its_own_turn_and_a_stop_waits_for_none():
    turn = Desk(CAM=Session("onvif-camera"), LOC=Session("jt808")).execution.turn
    assert turn(order("CAM", name="MoveCamera")) == turn(order("CAM", name="GotoPreset")) == "CAM"
    assert turn(order("CAM", name="StopCamera")) == "0" * 26
    assert turn(order("LOC", name="ShowText", terminal="1")) == turn(order("LOC", name="AskPosition", terminal="1"))
    assert turn(order("LOC", name="ShowText", terminal="1")) != turn(order("LOC", name="ShowText", terminal="2"))
    assert turn(order("NOBODY", name="ShowText", terminal="1")) == "NOBODY"


async def test_nobody_of_that_name():
    with pytest.raises(NotFound):
        await Desk().execution.device("D", CommandDevice(name="X"), WHO)


def test_every_command_of_every_driver_can_be_described():
    kinds = {kind for name in registry.names() for kind in registry.driver(name).commands}
    rows = [row for name in registry.names() for row in described(registry.driver(name))]
    assert {row["name"] for row in rows} == {kind.__name__ for kind in kinds}
    assert all(row["does"] and all(one["takes"] for one in row["fields"]) for row in rows)
    texts = {(row["name"], one["name"]): one["takes"] for row in rows for one in row["fields"]}
    assert texts["MoveCamera", "pan"] == "number -1.0..1.0"
    assert texts["ResetPoePort", "port"] == "text"
    assert texts["UpgradeTerminal", "data"].startswith("bytes")
    assert texts["SetParameters", "values"] == "table of number or text"
    assert texts["QueryParameters", "ids"] == "list of text"
    assert texts["ShowText", "text"] == "text 1..500"


def test_a_technicians_wish_may_be_as_long_as_a_terminals_software_and_a_record_stays_short():
    wish = wanted("UpgradeTerminal", "138", {"data": "A" * 5_000_000, "maker": "x"})
    assert len(wish.arguments["data"]) == 5_000_000
    assert shortened(wish.arguments) == {"data": "(5000002 characters)", "maker": "x"}
