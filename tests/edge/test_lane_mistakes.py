"""Vehicle lanes in a site file: what is right, and every mistake at its key."""

import dataclasses

import pytest
import tomli_w

from core.errors import ConfigInvalid
from drivers import registry
from edge.config import parse_config
from edge.lane_mistakes import vehicle_settings
from edge.lanes.vehicle_words import Loop

ACCESS = {"users": {"cam": "env:CAM"}}


def device(name, driver, profile, link, **more):
    return {"id": name, "driver": driver, "profile": profile, "link": link, **more}


def camera(name):
    return device(name, "hik-anpr", "hikvision/isapi-anpr", f"http-server://127.0.0.1:8081/{name}", access=ACCESS)


def lane(**changes):
    table = {
        "id": "V1",
        "kind": "vehicle",
        "barrier": "BR",
        "cameras": {"front": "F", "rear": "R"},
        "channel": "CH",
        "position": 2,
        "direction": "in",
        "rules": {"default": "release"},
    }
    table |= changes
    return {key: value for key, value in table.items() if value is not None}


def site(*lanes, profile="reference/barrier", **changes):
    devices = [
        device("BR", "barrier", profile, "modbus+tcp://10.0.0.1:502?unit=1"),
        device("LIT", "barrier", "reference/barrier", "modbus+tcp://10.0.0.1:502?unit=2"),
        device("TS", "turnstile", "reference/swing-gate", "modbus+tcp://10.0.0.1:502?unit=3"),
        device("RD", "reader", "generic/line-reader", "tcp://10.0.0.2:4001"),
        device("LED", "display", "olm/led-64x64", "tcp://10.0.0.3:5000"),
        camera("F"),
        camera("R"),
    ]
    return {
        "schema": 1,
        "edge": {"site": "s", "name": "road"},
        "buffer": {"path": "b"},
        "uplink": {"url": "mqtt://m"},
        "crypto": {"token_key": "env:K"},
        "control": {"socket": "s"},
        "device": devices,
        "lane": list(lanes),
        "channel": [{"id": "CH", "settings": {"barriers": [1, 2, 3]}}],
        **changes,
    }


def checked(table):
    return parse_config(tomli_w.dumps(table).encode(), "s.toml")


def test_a_vehicle_lane_is_read_beside_a_passenger_lane():
    people = {"id": "P1", "kind": "passenger", "gate": "TS", "reader": "RD", "direction": "in", "rules": {}}
    config = checked(site(lane(light="LIT", display="LED"), people))
    assert [one.kind for one in config.file.lane] == ["vehicle", "passenger"]
    assert {name: spec.lane for name, spec in config.devices.items()} == {
        **dict.fromkeys(("BR", "LIT", "F", "R", "LED"), "V1"),
        **dict.fromkeys(("TS", "RD"), "P1"),
    }
    assert set(config.ruleset.lanes) == {"V1", "P1"}


@pytest.mark.parametrize(
    ("profile", "timing", "loops"),
    [
        ("reference/barrier", {}, {"approach", "under", "photocell", "exit"}),
        ("waveshare/barrier-modbus-rtu-relay-d", {}, {"approach", "under", "exit"}),
        ("reference/barrier", {"loops": ["under"]}, {"under"}),
    ],
)
def test_a_lane_has_the_inputs_of_its_barrier_unless_the_file_names_fewer(profile, timing, loops):
    config = checked(site(lane(timing=timing), profile=profile))
    found = vehicle_settings(config.file.lane[0], config.devices)
    assert found.loops == {Loop(name) for name in loops}
    assert found.barrier_tells


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"barrier": "TS"}, "lane.0.barrier", "TS is a turnstile, wanted a barrier"),
        ({"barrier": "B9"}, "lane.0.barrier", "no device 'B9'"),
        ({"barrier": None}, "lane.0.barrier", "missing"),
        ({"gate": "TS"}, "lane.0.gate", "one of: barrier, cameras"),
        ({"cameras": {"front": "RD"}}, "lane.0.cameras.front", "wanted a plate camera"),
        ({"cameras": {"front": "F", "rear": "F"}}, "lane.0.cameras.rear", "serves V1 already"),
        ({"cameras": {"rear": "R"}}, "lane.0.cameras.front", "missing"),
        ({"cameras": {"front": "F", "side": "R"}}, "lane.0.cameras.side", "front, rear"),
        ({"light": "RD"}, "lane.0.light", "wanted a barrier"),
        ({"display": "LIT"}, "lane.0.display", "wanted a display"),
        ({"channel": "C9"}, "lane.0.channel", "no channel 'C9'"),
        ({"position": 4}, "lane.0.position", "one of: 1, 2, 3"),
        ({"direction": "out", "rules": {"directions": ["in"]}}, "lane.0.direction", "in"),
        ({"timing": {"loops": ["approach"]}}, "lane.0.timing.loops", "close on a vehicle"),
        ({"timing": {"gap_ms": -1}}, "lane.0.timing.gap_ms", "here -1"),
        ({"kind": "boat"}, "lane.0.kind", "'passenger' or 'vehicle' or 'cabin', here 'boat'"),
        ({"kind": None}, "lane.0.kind", "missing"),
    ],
)
def test_each_mistake_is_told_at_its_key(changes, key, said):
    with pytest.raises(ConfigInvalid) as refused:
        checked(site(lane(**changes)))
    (line,) = str(refused.value).splitlines()
    assert f" {key}: " in line
    assert said in line


def test_inputs_that_a_barrier_has_not_are_no_inputs_of_its_lane():
    changes = {"timing": {"loops": ["under", "photocell"]}}
    with pytest.raises(
        ConfigInvalid, match=r"lane\.0\.timing\.loops: BR has no input photocell; it has approach, exit"
    ):
        checked(site(lane(**changes), profile="waveshare/barrier-modbus-rtu-relay-d"))


@pytest.mark.parametrize(
    ("profile", "timing", "times"),
    [
        ("reference/barrier", {}, (4_000, 4_000)),
        ("waveshare/barrier-modbus-rtu-relay-d", {}, (8_000, 8_000)),
        ("reference/barrier", {"close_timeout_ms": 900}, (4_000, 900)),
    ],
)
def test_how_long_the_arm_may_take_is_the_profile_s_unless_the_file_says_it(profile, timing, times):
    config = checked(site(lane(timing=timing), profile=profile))
    found = vehicle_settings(config.file.lane[0], config.devices)
    assert (found.raise_timeout_ms, found.close_timeout_ms) == times


def test_a_display_that_cannot_show_lines_is_told(monkeypatch):
    able = registry.driver("display")
    monkeypatch.setattr(
        "edge.lane_mistakes.registry.driver", lambda name: mute(able) if name == "display" else known(name)
    )
    with pytest.raises(ConfigInvalid, match=r"lane\.0\.display: LED knows no ShowLines"):
        checked(site(lane(display="LED")))


def mute(driver):
    return dataclasses.replace(driver, commands=frozenset())


def known(name, ask=registry.driver):
    return ask(name)


def test_two_lanes_share_no_barrier_and_two_channels_no_name():
    second = lane(id="V2", cameras={"front": "R"}, position=1)
    with pytest.raises(ConfigInvalid) as refused:
        checked(site(lane(cameras={"front": "F"}), second, channel=[{"id": "CH"}, {"id": "CH"}]))
    told = {line.split(": ")[1] for line in str(refused.value).splitlines()}
    assert told == {"lane.1.barrier", "channel.1.id"}
