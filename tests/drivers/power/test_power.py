"""UPS and environment: registers as their makers' maps say -> words that are the same for all makers."""

import struct
from pathlib import Path

import pytest

from core.errors import ConfigInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.facts import DeviceDescribed, DeviceSignal, Measured
from drivers.modbus_points import PointDoubtful, PointTrusted
from drivers.power import DRIVER, READINGS, TOPICS
from drivers.profile import Profile, read_profile

PROFILES = Path(__file__).parents[3] / "firmware_profiles"


def device(name):
    profile = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    assert profile.name == name
    return DRIVER.make(profile, DRIVER.settings())


@pytest.fixture
def ups():
    return device("apc/smart-ups")


@pytest.fixture
def room():
    return device("controlbox/rm408")


def facts(made, space, address, registers):
    (poll,) = [poll for poll in made.polls if (poll.space, poll.address) == (space, address)]
    return [fact for fact in made.observe(poll, registers) if not isinstance(fact, DeviceDescribed)]


def on(found):
    return {fact.topic for fact in found if isinstance(fact, DeviceSignal) and fact.on}


def status(*bits):
    """UPSStatus_BF as its two registers, by the bit numbers of the map."""
    return list(struct.unpack(">2H", sum(1 << bit for bit in bits).to_bytes(4)))


@pytest.mark.parametrize(
    ("bits", "topics"),
    [
        ((1,), {"on_mains"}),
        ((2,), {"on_battery"}),
        ((2, 6), {"on_battery", "input_bad"}),
        ((1, 21), {"on_mains", "overload"}),
        ((3,), {"on_bypass"}),
        ((4,), {"output_off"}),
        ((1, 5), {"on_mains", "fault"}),
        ((1, 7, 13), {"on_mains", "testing"}),
    ],
)
def test_status_bits_become_words(ups, bits, topics):
    assert on(facts(ups, "holding", 0, status(*bits))) == topics


def test_a_mains_failure_is_two_changes(ups):
    facts(ups, "holding", 0, status(1))
    assert facts(ups, "holding", 0, status(2)) == [
        DeviceSignal("on_mains", on=False),
        DeviceSignal("on_battery", on=True),
    ]


def test_mains_and_battery_at_once_are_a_contradiction(ups):
    assert PointDoubtful("power_source", "contradiction", "") in facts(ups, "holding", 0, status(1, 2))
    assert facts(ups, "holding", 0, status(1, 2)) == []
    assert PointTrusted("power_source") in facts(ups, "holding", 0, status(1))


@pytest.mark.parametrize(
    ("registers", "topics"),
    [
        ([0, 0, 0, 0, 0], set()),
        ([0b10, 0, 0, 0, 0], {"shutdown_imminent"}),
        ([0, 0, 0, 0, 0b001], {"battery_missing"}),
        ([0, 0, 0, 0, 0b100], {"battery_replace"}),
    ],
)
def test_errors_of_the_battery_become_words(ups, registers, topics):
    assert on(facts(ups, "holding", 18, registers)) == topics


def dynamic(**registers):
    """The dynamic block, 128 to 151, by the map's addresses."""
    block = [0] * 24
    for name, value in registers.items():
        block[int(name.removeprefix("r")) - 128] = value & 0xFFFF
    return block


def test_measurements_have_the_scales_of_the_map(ups):
    block = dynamic(
        r129=3600,
        r130=97 * 512,
        r131=27 * 32,
        r135=25 * 128,
        r136=43 * 256,
        r142=230 * 64,
        r144=50 * 128,
        r151=231 * 64,
    )
    (measured,) = facts(ups, "holding", 128, block)
    assert measured.readings == {
        "battery_left_min": 60.0, "battery_pct": 97.0, "battery_v": 27.0, "battery_c": 25.0,
        "load_pct": 43.0, "output_v": 230.0, "output_hz": 50.0, "input_v": 231.0,
    }  # fmt: skip


def test_long_run_times_and_frost_are_read_right(ups):
    (measured,) = facts(ups, "holding", 128, dynamic(r128=1, r129=0, r135=-2 * 128))
    assert measured.readings["battery_left_min"] == pytest.approx(65536 / 60)
    assert measured.readings["battery_c"] == -2.0


def test_an_input_that_does_not_apply_is_doubted(ups):
    found = facts(ups, "holding", 128, dynamic(r151=0xFFFF))
    assert PointDoubtful("input_v", "sentinel", "ffff") in found
    assert "input_v" not in found[0].readings


def test_a_ups_says_what_it_is(ups):
    text = b"UPS 09.1".ljust(32) + b"Smart-UPS 1500".ljust(32)
    (poll,) = [poll for poll in ups.polls if poll.address == 516]
    (told,) = ups.observe(poll, struct.unpack(">32H", text))
    assert told == DeviceDescribed(vendor="APC", model="Smart-UPS 1500", firmware="UPS 09.1")


def floats(*values):
    return list(struct.unpack(f">{2 * len(values)}H", struct.pack(f">{len(values)}f", *values)))


def test_the_rooms_air(room):
    found = facts(room, "holding", 0, [*floats(24.5, 61.0, 16.5), 0, 0, 0, 0, 2, 0])
    assert found[0] == Measured({"temperature_c": 24.5, "humidity_pct": 61.0, "dew_point_c": 16.5})
    assert on(found) == {"temperature_alarm"}


def test_water_and_doors(room):
    assert on(facts(room, "discrete", 0, [1, 0])) == {"water_leak"}
    assert facts(room, "discrete", 0, [1, 1]) == [DeviceSignal("door_open", on=True)]
    assert facts(room, "discrete", 0, [0, 1]) == [DeviceSignal("water_leak", on=False)]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"point": [{"name": "volume_m", "space": "input", "address": 0}]}, "unknown: volume_m"),
        ({"signal": [{"topic": "rain", "space": "discrete", "address": 0}]}, "unknown: rain"),
    ],
)
def test_words_of_a_makers_own_are_refused(wrong, complaint):
    profile = Profile(name="a/b", driver="power", vendor="a", model="b", source="-", map=wrong)
    with pytest.raises(ConfigInvalid, match=complaint):
        DRIVER.make(profile, DRIVER.settings())


def test_it_declares_what_is_tested_here(ups):
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {Measured, PointDoubtful, PointTrusted, DeviceSignal, DeviceDescribed}
    assert not READINGS & TOPICS
    with pytest.raises(Unsupported):
        ups.writes(OpenGate(direction="in"))
