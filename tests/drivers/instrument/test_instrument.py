"""The instruments that ship, from registers to readings."""

import json
from datetime import date
from pathlib import Path

import pytest

from core.errors import ConfigInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.facts import DeviceDescribed, DeviceSignal, Measured
from drivers.instrument import DRIVER
from drivers.instrument.facts import CalibrationStated
from drivers.modbus_framing import rtu_frame
from drivers.modbus_pdu import RegistersRead, parse_response
from drivers.modbus_points import PointDoubtful, PointTrusted
from drivers.profile import Profile, read_profile

PROFILES = Path(__file__).parents[3] / "firmware_profiles"


def device(name, **settings):
    profile = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    assert profile.name == name
    return DRIVER.make(profile, DRIVER.settings(**settings))


def poll_at(made, space, address):
    (found,) = [poll for poll in made.polls if (poll.space, poll.address) == (space, address)]
    return found


def facts(made, space, address, registers):
    observed = made.observe(poll_at(made, space, address), registers)
    return [fact for fact in observed if not isinstance(fact, DeviceDescribed)]


def test_the_answer_in_the_thermometers_manual():
    """Request 01 04 00 01 00 02 20 0B, answer 01 04 04 01 31 02 22 2A CE: 30.5 C and 54.6 %RH."""
    thermometer = device("generic/xy-md02")
    poll = poll_at(thermometer, "input", 1)
    request = rtu_frame(1, bytes((4, *poll.address.to_bytes(2), *poll.count.to_bytes(2))))
    assert request == bytes.fromhex("01 04 00 01 00 02 20 0B")
    answer = bytes.fromhex("01 04 04 01 31 02 22 2A CE")
    assert answer == rtu_frame(1, answer[1:-2])
    registers = parse_response(answer[1:-2])
    assert isinstance(registers, RegistersRead)
    assert facts(thermometer, "input", 1, registers.registers) == [
        Measured({"temperature_c": 30.5, "humidity_pct": 54.6})
    ]


def test_below_zero_as_in_the_thermometers_manual():
    (measured,) = facts(device("generic/xy-md02"), "input", 1, [0xFF33, 546])
    assert measured.readings["temperature_c"] == -20.5


@pytest.mark.parametrize(
    ("name", "space", "registers", "readings", "signals"),
    [
        (
            "reference/water-gauge", "input", [0x40E8, 0x0000, 0x3E80, 0x0000, 2150, 12_300, 0b10],
            {"draught_m": 7.25, "wave_height_m": 0.25, "water_c": 21.5, "battery_v": 12.3},
            {"lens_dirty": False, "mark_not_found": True},
        ),
        (
            "reference/ballast-meter", "holding", [0x3039, 0, 0xFFF6, 0x0087, 0, 0, 0, 42],
            {"sounding_m": 12.345, "water_c": -1.0, "battery_pct": 87, "readings_count": 42}, {},
        ),
        (
            "reference/seawater-density", "input",
            [0x4090, 0x0400, 0, 0, 0, 0x420C, 0, 0x4254, 0, 0x41A8, 0, 0, 0b1000],
            {"density_kgm3": 1025.0, "salinity_psu": 35.0, "conductivity_mscm": 53.0, "water_c": 21.0},
            {"flow_lost": True},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_block_becomes_readings_and_switches(name, space, registers, readings, signals):
    found = facts(device(name), space, 0, registers)
    assert found[0] == Measured(readings)
    assert {fact.topic: fact.on for fact in found[1:]} == signals


def test_sentinels_and_wild_values_are_doubted():
    gauge = device("reference/water-gauge")
    found = facts(gauge, "input", 0, [0x7FC0, 0, 0x4348, 0, 0x8000, 12_300, 0])
    assert found[0] == Measured({"battery_v": 12.3})
    assert {fact.point: fact.why for fact in found if isinstance(fact, PointDoubtful)} == {
        "draught_m": "sentinel",
        "wave_height_m": "implausible",
        "water_c": "sentinel",
    }


def test_a_probe_that_is_lost_is_a_switch_of_its_own():
    assert facts(device("reference/ballast-meter"), "discrete", 0, [1]) == [
        DeviceSignal("probe_lost", on=True, baseline=True)
    ]


def test_calibration_is_stated_once_and_not_judged_here():
    thermometer = device("generic/xy-md02", calibration_due="2020-01-31", certificate="C-1")
    first, second = (facts(thermometer, "input", 1, [200 + n, 500]) for n in (0, 50))
    assert first[0] == CalibrationStated(date(2020, 1, 31), "C-1")
    assert json.dumps(first[0].as_dict()) == '{"due": "2020-01-31", "certificate": "C-1"}'
    assert [type(fact) for fact in second] == [Measured]


def test_without_a_calibration_nothing_is_stated():
    assert [type(fact) for fact in facts(device("generic/xy-md02"), "input", 1, [200, 500])] == [Measured]


def test_what_it_is_comes_with_the_first_block():
    thermometer = device("generic/xy-md02")
    observed = thermometer.observe(thermometer.polls[0], [200, 500])
    assert observed[1:] == (DeviceDescribed(vendor="generic", model="XY-MD02"),)


def test_a_profile_with_mistakes_names_each():
    points = [{"name": "level", "space": "input", "address": 0}, {"name": "b_m", "space": "coil", "address": 0}]
    profile = Profile(name="a/b", driver="instrument", vendor="a", model="b", source="-", map={"point": points})
    with pytest.raises(ConfigInvalid, match=r"map\.point\.0\.name.*map\.point\.1\.space"):
        DRIVER.make(profile, DRIVER.settings())


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {Measured, PointDoubtful, PointTrusted, DeviceSignal, DeviceDescribed, CalibrationStated}
    with pytest.raises(Unsupported):
        device("generic/xy-md02").writes(OpenGate(direction="in"))
