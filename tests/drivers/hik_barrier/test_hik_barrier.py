"""ISAPI answers <-> words, from the profiles that ship; what a camera may tell and what a profile may not say.

The shapes are those of the maker's guides (see the driver); no capture of these answers is published.
"""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, DeviceRefused, FrameInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.barrier.commands import LowerArm, RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.facts import DeviceDescribed
from drivers.hik_barrier import DRIVER, HikBarrierSettings
from drivers.hik_barrier.answers import arm_of, check_taken, described, ports_of
from drivers.markup import parse_xml, text
from drivers.profile import Profile, read_profile

PROFILES = Path(__file__).parents[3] / "firmware_profiles"
GATE, OUTPUT = "hikvision/isapi-barrier-gate", "hikvision/isapi-barrier-output"


def profile(name):
    found = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    assert (found.name, found.driver) == (name, "hik-barrier")
    return found


def device(name):
    return DRIVER.make(profile(name), DRIVER.settings())


def ports(*active, count=3, namespace="http://www.isapi.org/ver20/XMLSchema"):
    rows = "".join(
        f"<IOPortStatus><ioPortID>{number}</ioPortID><ioPortType>{kind}</ioPortType>"
        f"<ioState>{'active' if number in active and kind == 'input' else 'inactive'}</ioState></IOPortStatus>"
        for kind in ("output", "input")
        for number in range(1, count + 1)
    )
    return f'<IOPortStatusList version="2.0" xmlns="{namespace}">{rows}</IOPortStatusList>'.encode()


def arm(state):
    return f"<BarrierGateStatus><barrierGateStatus>{state}</barrierGateStatus></BarrierGateStatus>".encode()


def taken(code, sub=""):
    return (
        f"<ResponseStatus><statusCode>{code}</statusCode><subStatusCode>{sub}</subStatusCode></ResponseStatus>".encode()
    )


@pytest.mark.parametrize(
    ("name", "answers", "occupied", "where"),
    [
        (GATE, [ports(), arm(1)], set(), "closed"),
        (GATE, [ports(2), arm(1)], {"approach"}, "closed"),
        (
            GATE,
            [ports(1, 2, namespace="http://www.hikvision.com/ver20/XMLSchema"), arm(2)],
            {"under", "approach"},
            "open",
        ),
        (GATE, [ports(1, 3), arm(0)], {"under", "exit"}, ""),
        (OUTPUT, [ports()], {"photocell"}, ""),
        (OUTPUT, [ports(1, 2)], {"approach"}, ""),
    ],
)
def test_the_answers_of_one_look_become_one_state(name, answers, occupied, where):
    words = device(name)
    (fact,) = words.observe(answers)
    assert fact == BarrierSeen(words.wired, frozenset(occupied), where)
    assert len(words.looks) == len(answers)


@pytest.mark.parametrize(
    ("name", "command", "orders"),
    [
        (GATE, RaiseArm(), [("/ISAPI/Parking/channels/1/barrierGate", "ctrlMode", "open", 0)]),
        (GATE, LowerArm(), [("/ISAPI/Parking/channels/1/barrierGate", "ctrlMode", "close", 0)]),
        (
            OUTPUT,
            RaiseArm(),
            [
                ("/ISAPI/System/IO/outputs/1/trigger", "outputState", "high", 0),
                ("/ISAPI/System/IO/outputs/1/trigger", "outputState", "low", 500),
            ],
        ),
        (
            OUTPUT,
            LowerArm(),
            [
                ("/ISAPI/System/IO/outputs/2/trigger", "outputState", "high", 0),
                ("/ISAPI/System/IO/outputs/2/trigger", "outputState", "low", 500),
            ],
        ),
    ],
)
def test_commands_become_orders(name, command, orders):
    assert type(command) in DRIVER.commands
    found = device(name).puts(command)
    assert [
        (put.path, text(parse_xml(put.body), word), put.after_ms)
        for put, (_, word, *_) in zip(found, orders, strict=True)
    ] == [(path, state, after_ms) for path, _, state, after_ms in orders]


def test_what_it_cannot_do_is_said():
    with pytest.raises(Unsupported, match="light"):
        device(GATE).puts(SetLight(on=True))
    with pytest.raises(Unsupported, match="OpenGate"):
        device(GATE).puts(OpenGate(direction="in"))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not XML"),
        (b"<a/>", "<a> instead of <IOPortStatusList>"),
        (ports(count=2), "no input 3"),
        (ports().replace(b">inactive<", b">dozing<"), "input 1 is 'dozing'"),
        (ports().replace(b"<ioPortID>1<", b"<ioPortID>-1<"), "numbered '-1'"),
        (ports().replace(b"<ioPortID>1<", b"<ioPortID>65<"), "numbered '65'"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><IOPortStatusList/>', "DTD"),
        (ports()[:-40], "not XML"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(body, says):
    with pytest.raises(FrameInvalid, match=says):
        device(GATE).observe([body, arm(1)])


@pytest.mark.parametrize("state", ["3", "", "open"])
def test_an_arm_that_cannot_be_is_refused(state):
    with pytest.raises(FrameInvalid, match="barrierGateStatus"):
        arm_of(arm(state))


def test_an_order_that_was_not_taken_is_told():
    check_taken(taken(1, "ok"))
    with pytest.raises(DeviceRefused, match="4 notSupport"):
        check_taken(taken(4, "notSupport"))
    with pytest.raises(FrameInvalid):
        check_taken(b"<html/>")


def test_a_camera_says_what_it_is():
    body = b"<DeviceInfo><model>DS-TCG405-E</model><serialNumber>S1</serialNumber><firmwareVersion>V5.4</firmwareVersion></DeviceInfo>"
    assert described(body) == DeviceDescribed("Hikvision", "DS-TCG405-E", "V5.4", "S1")


@given(st.binary(max_size=300) | st.text("<>/IOPortStatus 123activeinput", max_size=200).map(str.encode))
def test_no_bytes_break_the_reader(body):
    for read in (ports_of, arm_of, described, check_taken):
        with contextlib.suppress(FrameInvalid, DeviceRefused):
            read(body)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"inputs": {"interval_ms": 150, "road": {"under": 0}}}, "numbered from 1"),
        ({"inputs": {"interval_ms": 150, "road": {"approach": 1}}}, "close on a vehicle"),
        ({"inputs": {"interval_ms": 150, "road": {"under": 1}, "arm": {"open": 2}}}, "not by both"),
        ({"inputs": {"interval_ms": 1000, "road": {"under": 1}}}, "less than or equal to 200"),
        ({"outputs": {"raise_arm": [], "lower_arm": []}}, "raise_arm"),
    ],
)
def test_a_profile_that_would_not_work_is_refused(changes, says):
    found = profile(GATE).model_dump()
    found["map"] |= changes
    with pytest.raises(ConfigInvalid, match=says):
        DRIVER.make(Profile.model_validate(found), HikBarrierSettings())


def test_a_whole_answer():
    """As the maker's guide shows it; made up, since no capture is published."""
    assert ports_of(Path(__file__).with_name("io-status.xml").read_bytes()) == {1: True, 2: False, 3: False}


@pytest.mark.parametrize("cut", [0, 1, 40, 150])
def test_offline_decoding(cut):
    decode = DRIVER.decoder(None)
    for answer, means in ((ports(1), {"inputs": {"1": True, "2": False, "3": False}}), (arm(2), {"arm": "open"})):
        assert [*decode(answer[:cut]), *decode(answer[cut:]), *decode(b"")] == [means]
