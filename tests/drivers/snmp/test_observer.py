from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import ConfigInvalid, Unsupported
from drivers import registry
from drivers.facts import DeviceDescribed, DeviceSignal, Measured
from drivers.profile import Profile, read_profile
from drivers.snmp import DRIVER, ResetPoePort, SnmpSettings, oids
from drivers.snmp.commands import PortSwitch
from drivers.snmp.facts import DeviceRestarted, LicenceTold, TextTold
from drivers.snmp.memory import Answer
from drivers.snmp.values import TICKS, date_of, number_of, rate, restarted, text_of

PROFILES = Path(__file__).parents[3] / "firmware_profiles"
MINE = sorted(path for path in PROFILES.glob("*/*.toml") if 'driver = "snmp"' in path.read_text(encoding="utf-8"))
OPEN = SnmpSettings(version="2c", community="env:COMMUNITY", ports=("1.5",))


def observer(map_, settings=OPEN):
    profile = Profile(name="t/t", driver="snmp", vendor="Maker", model="M1", source="test", map=map_)
    return DRIVER.make(profile, settings)


def query(words, name):
    return next(one for one in words.queries if one.name == name)


def readings(facts):
    return {name: value for fact in facts if isinstance(fact, Measured) for name, value in fact.readings.items()}


def signals(facts):
    return {(one.topic, one.source): one.on for one in facts if isinstance(one, DeviceSignal)}


@pytest.mark.parametrize("path", MINE, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_profile_makes_an_observer_whose_oids_are_asked_once(path):
    profile = read_profile(path.read_text(encoding="utf-8"), path.name)
    words = registry.driver(profile.driver).make(profile, OPEN)
    asked = [oid for one in words.queries for oid in one.scalars]
    assert len(asked) == len(set(asked))
    assert words.queries[0].scalars[0] == oids.SYS_UP_TIME
    for one in words.queries:
        words.observe(one, Answer(), 0)


def test_there_are_profiles_for_a_switch_a_server_and_a_firewall():
    assert {path.stem for path in MINE} >= {"snmp-switch", "net-snmp-server", "fortigate", "poe-switch"}


@pytest.mark.parametrize(
    ("before", "now", "elapsed_s", "bits", "ceiling", "wanted"),
    [
        (100, 700, 60, 32, None, 10.0),
        (TICKS - 100, 500, 60, 32, None, 10.0),
        (2**64 - 100, 500, 60, 64, None, 10.0),
        (5000, 0, 60, 32, None, None),  # cleared by hand: no wrap
        (0, 10**9, 60, 64, 1000.0, None),  # more than the line can carry
        (0, 600, 60, 32, 1e9, None),  # it may have wrapped more than once
        (0, 600, 0, 32, None, None),
        (0, 600, -5, 32, None, None),
        (-1, 600, 60, 32, None, None),
        (0, TICKS, 60, 32, None, None),
    ],
)
def test_a_rate_is_told_only_where_it_can_be_known(before, now, elapsed_s, bits, ceiling, wanted):
    assert rate(before, now, elapsed_s, bits=bits, ceiling=ceiling) == wanted


@pytest.mark.parametrize(
    ("before", "now", "elapsed_s", "wanted"),
    [
        (100_000, 106_000, 60, False),
        (100_000, 500, 60, True),
        (TICKS - 3000, 3000, 60, False),  # the wrap after 497 days
        (TICKS - 3000, 200, 60, True),
        (1000, 180_000, 3600, True),  # away for an hour, up for half of it
        (1000, 361_000, 3600, False),
        (1000, 400_000, 3600, False),  # its clock is fast
        (1000, 2000, 300 * 86_400, False),  # nobody can tell after so long
    ],
)
def test_a_restart_is_told_from_a_wrap(before, now, elapsed_s, wanted):
    assert restarted(before, now, elapsed_s) is wanted


@pytest.mark.parametrize(
    ("value", "formats", "wanted"),
    [
        (b"Mon Feb  3 02:00:00 2025", ("%a %b %d %H:%M:%S %Y",), date(2025, 2, 3)),
        (b"2099-12-31", ("%Y-%m-%d",), date(2099, 12, 31)),
        (bytes.fromhex("07e90a1f0a1e0000"), (), date(2025, 10, 31)),
        (bytes.fromhex("07e90d1f0a1e0000"), (), None),
        (1_738_540_800, ("epoch",), date(2025, 2, 3)),
        (b"1738540800", ("epoch",), date(2025, 2, 3)),
        (b"soon", ("%Y-%m-%d",), None),
    ],
)
def test_dates(value, formats, wanted):
    assert date_of(value, formats) == wanted


def test_texts_and_numbers_are_bounded():
    assert text_of(b"x" * 10_000) == "x" * 256
    assert text_of(b"Switch A\r\nline") == "Switch A  line"
    assert text_of("海关交换机".encode("gb18030")) == "海关交换机"
    assert number_of(b"41.5") == 41.5
    assert number_of(b"nan") is None
    assert number_of(b"1e400") is None
    assert number_of(b"up") is None


def system(ticks, text=b"Maker M1 version 5"):
    return Answer({oids.SYS_UP_TIME: ticks, oids.SYS_DESCR: text})


def test_promise_a_device_that_began_anew_is_told_so_once_and_no_rate_spans_its_restart():
    words = observer({"interfaces": {}})
    clock, names, rows = words.queries
    assert words.observe(clock, system(1000), 0) == (
        DeviceDescribed("Maker", "M1", "Maker M1 version 5"),
        Measured({"uptime_s": 10.0}),
    )
    words.observe(names, interface_names(), 0)
    words.observe(rows, interfaces(octets=1000), 0)
    assert readings(words.observe(rows, interfaces(octets=61_000), 60_000))["in_bps[GE1]"] == 8000.0
    assert words.observe(clock, system(500), 60_000) == (DeviceRestarted(5.0), Measured({"uptime_s": 5.0}))
    words.observe(names, interface_names(), 60_000)
    assert readings(words.observe(rows, interfaces(octets=70_000), 120_000)) == {}
    assert words.observe(clock, system(6500), 120_000) == (Measured({"uptime_s": 65.0}),)


def test_the_time_up_goes_on_over_the_wrap():
    words = observer({})
    (clock,) = words.queries
    words.observe(clock, system(TICKS - 3000), 0)
    assert readings(words.observe(clock, system(3000), 60_000)) == {"uptime_s": (TICKS + 3000) / 100}


def interface_names(speed=100):
    return Answer(
        columns={
            oids.IF_NAME: {"1": b"GE1", "2": b"", "3": b"Loop"},
            oids.IF_DESCR: {"1": b"GigabitEthernet1", "2": b"GigabitEthernet2", "3": b"Loop"},
            oids.IF_TYPE: {"1": 6, "2": 6, "3": 24},
            oids.IF_HIGH_SPEED: {"1": speed, "2": 0, "3": 0},
            oids.IF_SPEED: {"1": speed * 1_000_000, "2": 10_000_000, "3": 0},
        }
    )


def interfaces(octets=0, errors=0, down=(), rows=("1", "2", "3")):
    def all_of(value):
        return dict.fromkeys(rows, value)

    return Answer(
        columns={
            oids.IF_ADMIN: all_of(1),
            oids.IF_OPER: {row: 2 if row in down else 1 for row in rows},
            oids.IF_HC_IN_OCTETS: all_of(octets),
            oids.IF_HC_OUT_OCTETS: all_of(octets),
            oids.IF_IN_OCTETS: all_of(octets % TICKS),
            oids.IF_OUT_OCTETS: all_of(octets % TICKS),
            oids.IF_IN_ERRORS: all_of(errors),
        }
    )


def test_interfaces_up_and_down_are_told_when_they_change():
    words = observer({"interfaces": {}})
    _, names, rows = words.queries
    words.observe(names, interface_names(), 0)
    first = words.observe(rows, interfaces(), 0)
    assert signals(first) == {
        (topic, port): topic == "interface_up"
        for topic in ("interface_up", "interface_disabled")
        for port in ("GE1", "GigabitEthernet2")
    }
    assert all(one.baseline for one in first)
    second = words.observe(rows, interfaces(octets=600, errors=6, down=("1",)), 60_000)
    assert [one for one in second if isinstance(one, DeviceSignal)] == [DeviceSignal("interface_up", False, "GE1")]
    assert readings(second)["in_bps[GE1]"] == 80.0
    assert readings(second)["in_errors_per_s[GE1]"] == 0.1
    gone = words.observe(rows, interfaces(rows=("1",), down=("1",)), 120_000)
    assert signals(gone) == {("interface_up", "GigabitEthernet2"): False}
    assert words.observe(rows, interfaces(rows=("1",), down=("1",)), 120_000) == ()


def test_a_counter_of_32_bits_tells_nothing_of_a_line_that_could_wrap_it():
    for speed, told in ((100, True), (1000, False)):
        words = observer({"interfaces": {"wide": False}})
        _, names, rows = words.queries
        words.observe(names, interface_names(speed), 0)
        words.observe(rows, interfaces(octets=TICKS - 100), 0)
        found = readings(words.observe(rows, interfaces(octets=TICKS + 500), 60_000))
        assert ("in_bps[GE1]" in found) is told
        assert found.get("in_bps[GE1]", 80.0) == 80.0


def test_sensors_are_scaled_as_rfc_3433_says():
    words = observer({"sensors": {}, "entities": {}})
    _, entities, sensors = words.queries
    facts = words.observe(
        entities,
        Answer(
            columns={
                oids.ENT_NAME: {"1": b"Chassis", "9": b"Inlet", "10": b"Rail"},
                oids.ENT_CLASS: {"1": 3, "9": 8, "10": 8},
                oids.ENT_SERIAL: {"1": b"S1"},
                oids.ENT_MAKER: {"1": b"Maker Ltd"},
            }
        ),
        0,
    )
    assert facts == (DeviceDescribed("Maker Ltd", "M1", "", "S1"),)
    felt = Answer(
        columns={
            oids.SENSOR_TYPE: {"9": 8, "10": 4, "11": 8, "12": 8},
            oids.SENSOR_SCALE: {"9": 9, "10": 8, "11": 9, "12": 99},
            oids.SENSOR_PRECISION: {"9": 1, "10": 0, "11": 0, "12": 0},
            oids.SENSOR_VALUE: {"9": 415, "10": 3312, "11": 1_000_000_000, "12": 3},
            oids.SENSOR_STATUS: {"9": 1, "10": 1, "11": 3, "12": 1},
        }
    )
    found = words.observe(sensors, felt, 0)
    assert readings(found) == {"temperature_c[Inlet]": 41.5, "dc_v[Rail]": 3.312}
    assert signals(found)["sensor_fault", "#11"] is True


def test_poe_ports_and_supplies():
    words = observer({"poe": {"scale": 0.001}})
    _, ports, supplies = words.queries
    found = words.observe(
        ports, Answer(columns={oids.POE_DETECTION: {"1.1": 3, "1.2": 4}, oids.POE_ADMIN: {"1.1": 1, "1.2": 2}}), 0
    )
    on = {key for key, value in signals(found).items() if value}
    assert on == {("poe_delivering", "1.1"), ("poe_fault", "1.2"), ("poe_disabled", "1.2")}
    told = words.observe(
        supplies,
        Answer(columns={oids.PSE_POWER: {"1": 370_000}, oids.PSE_CONSUMPTION: {"1": 7000}, oids.PSE_STATUS: {"1": 3}}),
        0,
    )
    assert readings(told) == {"poe_capacity_w[1]": 370.0, "poe_used_w[1]": 7.0}
    assert signals(told) == {("poe_supply_fault", "1"): True}


CUSTOM = {
    "scalar": [
        {"oid": "1.3.6.1.4.1.1.1.0", "name": "cpu_pct", "scale": 0.1, "max": 100.0, "invalid": [65535]},
        {"oid": "1.3.6.1.4.1.1.2.0", "name": "sessions_per_s", "kind": "counter"},
        {
            "oid": "1.3.6.1.4.1.1.3.0",
            "name": "fan",
            "kind": "enum",
            "words": {"1": "ok", "2": "failed"},
            "alarm": ["failed"],
        },
        {"oid": "1.3.6.1.4.1.1.4.0", "name": "serial", "kind": "text", "tells": "serial"},
    ],
    "table": [
        {
            "name": "licence",
            "label": "1.3.6.1.4.1.1.9.1",
            "column": [{"oid": "1.3.6.1.4.1.1.9.2", "name": "licence_end", "kind": "date"}],
        },
        {
            "name": "disk",
            "keep": ["#1"],
            "column": [
                {"oid": "1.3.6.1.4.1.1.8.1", "name": "size_units"},
                {"oid": "1.3.6.1.4.1.1.8.2", "name": "used_pct", "of": "size_units"},
            ],
        },
    ],
}


def custom(cpu=415, count=100, fan=1):
    root = "1.3.6.1.4.1.1"
    return Answer({f"{root}.1.0": cpu, f"{root}.2.0": count, f"{root}.3.0": fan, f"{root}.4.0": b" S-7 "})


def test_scalars_of_a_profile():
    words = observer(CUSTOM)
    scalars = query(words, "scalars_60000")
    first = words.observe(scalars, custom(), 0)
    assert readings(first) == {"cpu_pct": 41.5}
    assert TextTold("fan", "ok") in first
    assert DeviceDescribed("Maker", "M1", "", "S-7") in first
    second = words.observe(scalars, custom(cpu=65_535, count=700, fan=2), 60_000)
    assert readings(second) == {"sessions_per_s": 10.0}
    assert signals(second) == {("fan", ""): True}
    assert readings(words.observe(scalars, custom(cpu=1001, count=700), 120_000)) == {"sessions_per_s": 0.0}


def test_licences_end_or_hold_for_ever():
    words = observer(CUSTOM)
    table = query(words, "table_licence")
    names = {"1": b"Antivirus", "2": b"Base", "3": b"Old", "4": b"Odd", "5": b"Support"}
    ends = {"1": b"2027-03-01", "2": b"2099-12-31", "3": b"Permanent", "4": b"whenever", "5": b"2099-01-01"}
    answer = Answer(columns={"1.3.6.1.4.1.1.9.1": names, "1.3.6.1.4.1.1.9.2": ends})
    found = words.observe(table, answer, 0)
    told = {one.name: one for one in found if isinstance(one, LicenceTold)}
    assert {name: one.until for name, one in told.items()} == {
        "Antivirus": date(2027, 3, 1),
        "Base": None,
        "Old": None,
        "Support": None,
    }
    assert told["Antivirus"].left_d(date(2027, 2, 27)) == 2
    assert told["Base"].left_d(date(2027, 2, 27)) is None
    assert signals(found)["licence_end_unreadable", "Odd"] is True
    assert words.observe(table, answer, 60_000) == ()


def test_a_column_may_be_a_share_of_another():
    words = observer(CUSTOM)
    columns = {"1.3.6.1.4.1.1.8.1": {"1": 200, "2": 10, "10": 0}, "1.3.6.1.4.1.1.8.2": {"1": 50, "2": 5, "10": 3}}
    assert readings(words.observe(query(words, "table_disk"), Answer(columns=columns), 0)) == {
        "size_units[#1]": 200.0,
        "used_pct[#1]": 25.0,
        "size_units[#10]": 0.0,
    }


def test_a_table_that_is_longer_than_was_read_is_told_until_it_is_not():
    words = observer({"interfaces": {}})
    rows = query(words, "interfaces")
    told = [signals(words.observe(rows, Answer(truncated=cut), 0)) for cut in (False, True, True, False, False)]
    key = ("table_truncated", "interfaces")
    assert told == [{}, {key: True}, {}, {key: False}, {}]


def test_a_port_may_be_switched_only_where_the_settings_say_so():
    words = observer({"poe": {}})
    assert words.switch(ResetPoePort(port="1.5")) == PortSwitch(f"{oids.POE_ADMIN}.1.5", 2, 1)
    for port, map_ in (("1.6", {"poe": {}}), ("1.5", {})):
        with pytest.raises(Unsupported):
            observer(map_).switch(ResetPoePort(port=port))


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"version": "2c"},
        {"community": "env:C"},
        {"version": "2c", "community": "public"},
        {"version": "2c", "community": "env:C", "user": "mon"},
        {"user": "mon"},
        {"user": "mon", "auth_secret": "env:A"},
        {"user": "mon", "auth": "none", "priv_secret": "env:P"},
        {"version": "1", "community": "env:C"},
    ],
)
def test_settings_are_whole_or_refused(bad):
    with pytest.raises(ValidationError):
        SnmpSettings(**bad)


def test_version_3_is_the_default_and_secrets_are_references():
    assert SnmpSettings(user="mon", auth_secret="env:A", priv_secret="file:/p").version == "3"
    assert SnmpSettings(user="mon", auth="none", priv="none").auth_secret == ""


@pytest.mark.parametrize(
    "bad",
    [
        {"scalar": [{"oid": "1.3.x", "name": "a"}]},
        {"scalar": [{"oid": "1.3", "name": "a"}, {"oid": "1.4", "name": "a"}]},
        {"scalar": [{"oid": "1.3", "name": "a", "of": "b"}]},
        {"table": [{"name": "t", "column": []}]},
        {"table": [{"name": "t", "rows": 5000, "column": [{"oid": "1.3", "name": "a"}]}]},
        {"table": [{"name": "t", "column": [{"oid": "1.3", "name": "a", "of": "b"}]}]},
        {"unknown": 1},
    ],
)
def test_a_profile_with_mistakes_is_refused(bad):
    with pytest.raises(ConfigInvalid):
        observer(bad)


VALUES = st.one_of(st.integers(-(2**63), 2**64), st.binary(max_size=40), st.sampled_from(["1.3.6", "192.0.2.1"]))
INDEXES = st.sampled_from(["1", "2", "1.5", "4294967295", "1.2.3.4"])


@given(st.data())
def test_promise_no_answer_can_make_it_raise(data):
    words = observer({**CUSTOM, "interfaces": {}, "poe": {}, "sensors": {}, "entities": {}})
    at_ms = 0
    for _ in range(6):
        one = data.draw(st.sampled_from(words.queries))
        scalars = {oid: data.draw(VALUES) for oid in one.scalars}
        columns = {oid: data.draw(st.dictionaries(INDEXES, VALUES, max_size=3)) for oid in one.columns}
        at_ms += data.draw(st.integers(-1000, 100_000))
        for fact in words.observe(one, Answer(scalars, columns, truncated=data.draw(st.booleans())), at_ms):
            assert type(fact) in DRIVER.facts


def test_promise_no_table_can_make_it_remember_more_than_its_last_answer_had_rows():
    words = observer({"interfaces": {}})
    rows = query(words, "interfaces")
    for round_ in range(50):
        words.observe(rows, interfaces(rows=tuple(str(100 * round_ + row) for row in range(20))), round_ * 1000)
    part = words._of[rows]
    assert len(part._counters._last) <= 20 * 6
    assert len(part._told._on) <= 20 * 2
