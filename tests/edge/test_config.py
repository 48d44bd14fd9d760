"""A configuration is whole, or refused with every mistake at once, each with its file, line and key."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigInvalid
from drivers import registry
from edge.config import load_config, parse_config, read_secret
from edge.profiles import profile_names

SITES = Path(__file__).parents[2] / "configs" / "sites"

GOOD = """\
schema = 1
rules_version = 3

[edge]
site = "hengqin-bridge"
name = "gates"
timezone = "Asia/Shanghai"

[buffer]
path = "buffer.db"
quota_mb = 64

[uplink]
url = "mqtts://mqtt.fleet.internal:8883"
password = "env:MQTT_PASSWORD"
central_url = "https://central.fleet.internal"
api_key = "credential:api-key"

[crypto]
suite = "sm"
trusted_keys = []
token_key = "credential:token-key"

[control]
socket = "control.sock"

[[device]]
id = "TS-01"
driver = "turnstile"
profile = "reference/swing-gate"
link = "modbus+tcp://10.0.0.1:502?unit=1"

[[device]]
id = "RD-01"
driver = "reader"
profile = "generic/line-reader"
link = "tcp://10.0.0.2:4001"

[[lane]]
id = "PAX-01"
kind = "passenger"
gate = "TS-01"
reader = "RD-01"
direction = "in"
rules = { default = "release", lists = ["hq-block"], when_stale = "refuse" }

[[device]]
id = "TS-02"
driver = "turnstile"
profile = "reference/swing-gate"
link = "modbus+rtu:///dev/ttyS1?baud=9600&unit=2"

[[device]]
id = "RD-02"
driver = "reader"
profile = "generic/line-reader"
link = "serial:///dev/ttyS2?baud=9600"

[[lane]]
id = "PAX-02"
kind = "passenger"
gate = "TS-02"
reader = "RD-02"
direction = "out"
rules = { default = "release", directions = ["out"], hours = [{ opens = 08:00:00, until = 00:00:00 }] }
timing = { enter_timeout_ms = 8000 }
"""

SM2 = "sm2-pub:" + "A" * 86

# (what, old text, new text, key of the mistake, what it must say besides)
MISTAKES = [
    ("an unknown key in a section", "quota_mb = 64", "quota_gb = 64", "buffer.quota_gb", "quota_mb"),
    ("an unknown key at the top", "rules_version = 3", "rulez = 3", "rulez", "rules_version"),
    ("an unknown key of a device", 'id = "TS-01"', 'id = "TS-01"\nspeed = 3', "device.0.speed", "profile"),
    (
        "an unknown key of rules",
        'default = "release", lists',
        'defualt = "x", lists',
        "lane.0.rules.defualt",
        "when_stale",
    ),
    ("an unknown section", "[control]", "[controls]", "controls", "control"),
    ("a missing section", '[control]\nsocket = "control.sock"\n', "", "control", "is missing"),
    ("a missing key", 'site = "hengqin-bridge"\n', "", "edge.site", "is missing"),
    ("a missing schema", "schema = 1\n", "", "schema", "is missing"),
    ("a schema of another age", "schema = 1", "schema = 2", "schema", "1"),
    ("a number that is a text", "quota_mb = 64", 'quota_mb = "much"', "buffer.quota_mb", "integer"),
    ("a text that is a number", 'site = "hengqin-bridge"', "site = 7", "edge.site", "string"),
    ("a section that is a text", '[control]\nsocket = "control.sock"', "[more]", "control", "is missing"),
    ("a quota that is too small", "quota_mb = 64", "quota_mb = 1", "buffer.quota_mb", "8"),
    (
        "a time that is too short",
        "enter_timeout_ms = 8000",
        "enter_timeout_ms = 1",
        "lane.1.timing.enter_timeout_ms",
        "500",
    ),
    ("a port that is none", "[control]", "[metrics]\nport = 70000\n\n[control]", "metrics.port", "65535"),
    ("a name that is none for the wire", 'name = "gates"', 'name = "Gates!"', "edge.name", "a-z0-9"),
    (
        "an unknown driver",
        'driver = "turnstile"\nprofile = "reference/swing-gate"\nlink = "modbus+tcp',
        'driver = "profiler"\nprofile = "reference/swing-gate"\nlink = "modbus+tcp',
        "device.0.driver",
        "turnstile",
    ),
    (
        "an unknown profile",
        'profile = "generic/line-reader"\nlink = "tcp',
        'profile = "generic/nothing"\nlink = "tcp',
        "device.1.profile",
        "generic/line-reader",
    ),
    (
        "a profile that is a path",
        'profile = "generic/line-reader"\nlink = "tcp',
        'profile = "../../pyproject"\nlink = "tcp',
        "device.1.profile",
        "generic/line-reader",
    ),
    (
        "a profile of another driver",
        'profile = "generic/line-reader"\nlink = "tcp',
        'profile = "reference/swing-gate"\nlink = "tcp',
        "device.1.profile",
        "turnstile",
    ),
    (
        "a setting that the driver has not",
        'id = "RD-01"',
        'id = "RD-01"\nsettings = { colour = "red" }',
        "device.1.settings.colour",
        "no such key",
    ),
    ("a link of another kind", "tcp://10.0.0.2:4001", "modbus+tcp://10.0.0.2", "device.1.link", "serial"),
    ("a link without a scheme", "tcp://10.0.0.2:4001", "10.0.0.2:4001", "device.1.link", "serial"),
    ("a link without a port", "tcp://10.0.0.2:4001", "tcp://10.0.0.2", "device.1.link", "tcp://host:port"),
    ("a link that is no address", "tcp://10.0.0.2:4001", "tcp://[10.0.0.2:4001", "device.1.link", ""),
    (
        "a unit that is none",
        "modbus+tcp://10.0.0.1:502?unit=1",
        "modbus+tcp://10.0.0.1:502?unit=999",
        "device.0.link",
        "255",
    ),
    (
        "a serial speed that is none",
        "serial:///dev/ttyS2?baud=9600",
        "serial:///dev/ttyS2?baud=9601",
        "device.3.link",
        "9600",
    ),
    ("an id twice", 'id = "RD-02"', 'id = "RD-01"', "device.3.id", "taken"),
    ("a link twice", "serial:///dev/ttyS2?baud=9600", "tcp://10.0.0.2:4001", "device.3.link", "RD-01"),
    (
        "a unit twice, in another spelling",
        "modbus+rtu:///dev/ttyS1?baud=9600&unit=2",
        "modbus+tcp://10.0.0.1?timeout_ms=100",
        "device.2.link",
        "TS-01",
    ),
    (
        "a serial line set in two ways",
        "serial:///dev/ttyS2?baud=9600",
        "serial:///dev/ttyS1?baud=9600",
        "device.3.link",
        "TS-02",
    ),
    ("a lane's id twice", 'id = "PAX-02"', 'id = "PAX-01"', "lane.1.id", "taken"),
    ("a lane of a missing device", 'reader = "RD-01"', 'reader = "RD-99"', "lane.0.reader", "RD-99"),
    ("a reader as a gate", 'gate = "TS-01"', 'gate = "RD-01"', "lane.0.gate", "wanted a turnstile"),
    ("a gate of two lanes", 'gate = "TS-02"', 'gate = "TS-01"', "lane.1.gate", "PAX-01"),
    ("a direction that the rules have not", 'direction = "out"', 'direction = "in"', "lane.1.direction", "out"),
    ("a direction that is none", 'direction = "out"', 'direction = "up"', "lane.1.direction", "'in' or 'out'"),
    ("an unknown policy", 'when_stale = "refuse"', 'when_stale = "pray"', "lane.0.rules.when_stale", "'divert'"),
    ("an hour that is none", "opens = 08:00:00", 'opens = "25:00"', "lane.1.rules.hours.0.opens", "hour"),
    ("a time zone that is none", "Asia/Shanghai", "Asia/Hengqin", "edge.timezone", "Asia/Shanghai"),
    ("a time zone that is a folder", "Asia/Shanghai", "America", "edge.timezone", "Asia/Shanghai"),
    ("a time zone that is a path", "Asia/Shanghai", "../etc/passwd", "edge.timezone", "Asia/Shanghai"),
    (
        "lists in the clear",
        "https://central.fleet.internal",
        "http://central.fleet.internal",
        "uplink.central_url",
        "https",
    ),
    (
        "a centre that is no address",
        "https://central.fleet.internal",
        "https://[central",
        "uplink.central_url",
        "https://host",
    ),
    ("a broker without a scheme", "mqtts://mqtt.fleet.internal:8883", "mqtt.fleet.internal", "uplink.url", "mqtts"),
    (
        "a broker's port that is none",
        "mqtts://mqtt.fleet.internal:8883",
        "mqtts://mqtt.fleet.internal:99999",
        "uplink.url",
        "mqtts://host:8883",
    ),
    ("a plain password", '"env:MQTT_PASSWORD"', '"hunter2-the-second"', "uplink.password", "env:NAME"),
    ("a plain API key", '"credential:api-key"', '"hunter2-the-second"', "uplink.api_key", "env:NAME"),
    ("a plain token key", '"credential:token-key"', '"hunter2-the-second"', "crypto.token_key", "env:NAME"),
    ("a password in the broker's address", "mqtts://mqtt", "mqtts://edge:hunter2-the-second@mqtt", "uplink.url", ""),
    (
        "a password in the centre's address",
        "https://central",
        "https://edge:hunter2-the-second@central",
        "uplink.central_url",
        "",
    ),
    ("an unknown suite", 'suite = "sm"', 'suite = "rot13"', "crypto.suite", "'intl'"),
    (
        "a trusted key that is none",
        "trusted_keys = []",
        'trusted_keys = ["sm2-pub:hunter2-the-second"]',
        "crypto.trusted_keys.0",
        "sm2-pub:",
    ),
    (
        "a trusted key off its curve",
        "trusted_keys = []",
        f'trusted_keys = ["{SM2}"]',
        "crypto.trusted_keys.0",
        "sm2-pub:",
    ),
    (
        "a private key to trust",
        "trusted_keys = []",
        'trusted_keys = ["sm2-priv:hunter2-the-second"]',
        "crypto.trusted_keys.0",
        "sm2-pub:",
    ),
    ("a device without an id", 'id = "RD-02"\n', "", "device.3.id", "is missing"),
    ("an id with a blank", 'id = "PAX-01"', 'id = "PAX 01"', "lane.0.id", "A-Za-z0-9"),
]


def mistakes(text, name="gates.toml"):
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text.encode() if isinstance(text, str) else text, name)
    return str(caught.value).splitlines()


def test_the_good_file_is_good():
    config = parse_config(GOOD.encode(), "gates.toml")
    assert config.edge == "hengqin-bridge.gates"
    assert {spec.id: spec.lane for spec in config.devices.values()} == {
        "TS-01": "PAX-01",
        "RD-01": "PAX-01",
        "TS-02": "PAX-02",
        "RD-02": "PAX-02",
    }
    assert config.ruleset.version == 3
    assert set(config.ruleset.lanes) == {"PAX-01", "PAX-02"}


@pytest.mark.parametrize(("old", "new", "key", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_each_mistake_names_file_line_and_key_and_says_what_is_allowed(old, new, key, says):
    assert GOOD.count(old) >= 1, "the row changes nothing"
    text = GOOD.replace(old, new, 1)
    found = [re.fullmatch(r"gates\.toml:(\d+): (\S+): (.+)", line) for line in mistakes(text)]
    assert all(found), mistakes(text)
    mine = [one for one in found if one[2] == key]
    assert mine, [one[0] for one in found]
    assert any(says in one[3] for one in mine), [one[3] for one in mine]
    assert not any("hunter2" in one[0] for one in found)
    # The line is the one that was changed, or the head of what the key is missing from.
    line = int(mine[0][1])
    section = key.split(".", maxsplit=1)[0]
    shown = text.splitlines()[line - 1]
    assert line == 1 or key.rsplit(".", 1)[-1] in shown or section in shown or new.strip() in shown, shown


def test_mistakes_of_all_kinds_are_told_at_once_in_the_order_of_the_file():
    text = (
        GOOD.replace("quota_mb = 64", "quota_gb = 64")
        .replace("Asia/Shanghai", "Asia/Hengqin")
        .replace('id = "RD-02"', 'id = "RD-01"')
        .replace("enter_timeout_ms = 8000", "enter_timeout_ms = 1")
        .replace('reader = "RD-01"', 'reader = "RD-99"')
        .replace('"env:MQTT_PASSWORD"', '"hunter2"')
    )
    lines = mistakes(text)
    keys = [line.split(": ")[1] for line in lines]
    assert keys == [
        "edge.timezone",
        "buffer.quota_gb",
        "uplink.password",
        "lane.0.reader",
        "device.3.id",
        "lane.1.timing.enter_timeout_ms",
    ]


def test_a_device_with_a_mistake_is_still_there_for_its_lane():
    keys = [line.split(": ")[1] for line in mistakes(GOOD.replace('id = "TS-01"', 'id = "TS-01"\nspeed = 3', 1))]
    assert keys == ["device.0.speed"]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"schema = 1\nname = = 3\n", 2),
        (b'schema = 1\n[edge]\nsite = "\xff"\n', 3),
        (b"schema = 1\n[edge]\n[edge]\n", 3),
        (b"a = " + b"[" * 5000, 1),
        (b"\x00", 1),
    ],
    ids=["not TOML", "not UTF-8", "a section twice", "too deep", "a zero byte"],
)
def test_what_is_not_toml_is_told_with_its_line(raw, line):
    assert mistakes(raw)[0].startswith(f"gates.toml:{line}: not TOML: ")


def test_an_empty_file_lacks_every_section():
    keys = {line.split(": ")[1] for line in mistakes("")}
    assert keys == {"schema", "edge", "buffer", "uplink", "crypto", "control"}


def test_http_to_this_machine_is_no_mistake():
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        parse_config(GOOD.replace("https://central.fleet.internal", f"http://{host}").encode(), "x")


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ConfigInvalid, match="No such file"):
        load_config(tmp_path / "none.toml")


@given(st.text(string.printable, max_size=200))
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_file_the_answer_is_a_config_or_a_refusal(text):
    for raw in (text.encode(), GOOD.replace("10.0.0.2:4001", text.replace("\n", "")).encode()):
        try:
            parse_config(raw, "x.toml")
        except ConfigInvalid as error:
            assert str(error)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_file_with_one_line_changed_is_a_config_or_a_refusal(data):
    lines = GOOD.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    value = data.draw(
        st.sampled_from(["[]", "{}", "0", "-1", "1e999", "nan", "true", '""', "1979-05-27", "[[]]", '"\\u0000"'])
    )
    lines[number] = lines[number].split("=")[0] + "= " + value
    try:
        parse_config("\n".join(lines).encode(), "x.toml")
    except ConfigInvalid as error:
        assert str(error).startswith("x.toml:")


SITE_COUNTS = {
    "hengqin-bridge.toml": 28,
    "hengqin-tunnel.toml": 13,
    "rail-hengqin.toml": 7,
    "hengqin-pier.toml": 4,
    "shenjing.toml": 7,
    "rail-changlong.toml": 5,
    "cross-gate.toml": 5,
}


def test_every_reference_site_loads_with_its_turnstiles():
    counts = {}
    for path in sorted(SITES.glob("*.toml")):
        config = load_config(path)
        if config.file.edge.name != "gates":
            continue
        gates = [spec for spec in config.devices.values() if spec.driver.kind == "turnstile"]
        assert {lane.gate for lane in config.file.lane} == {spec.id for spec in gates}
        assert all(spec.lane for spec in config.devices.values())
        counts[path.name] = len(gates)
    assert counts == SITE_COUNTS
    assert sum(counts.values()) == 69


def test_the_names_of_devices_lanes_and_edges_are_unique_in_the_fleet():
    configs = [load_config(path) for path in sorted(SITES.glob("*.toml"))]
    ids = [
        name for config in configs for name in (*config.devices, *(lane.id for lane in config.file.lane), config.edge)
    ]
    assert len(ids) == len(set(ids))


def test_every_driver_and_profile_that_is_offered_can_be_had():
    assert {"turnstile", "reader"} <= set(registry.names())
    assert "reference/swing-gate" in profile_names()


# -- secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_is_read_from_where_its_reference_says(tmp_path):
    (tmp_path / "key").write_text(" s3cret \n", encoding="utf-8")
    environ = {"KEY": "s3cret", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for reference in ("env:KEY", f"file:{tmp_path}/key", "credential:key"):
        assert read_secret(reference, environ) == "s3cret"


@pytest.mark.parametrize("reference", ["env:NONE", "file:/nowhere/at/all", "credential:none", "file:/"])
def test_a_secret_that_is_not_there_names_its_reference(reference, tmp_path):
    with pytest.raises(ConfigInvalid) as caught:
        read_secret(reference, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert caught.value.place == reference


def test_no_credentials_at_all_is_told():
    with pytest.raises(ConfigInvalid, match="CREDENTIALS_DIRECTORY"):
        read_secret("credential:key", {})


def test_bytes_that_are_no_text_are_refused_and_not_repeated(tmp_path):
    (tmp_path / "key").write_bytes(b"hunter2\xff\xfe")
    with pytest.raises(ConfigInvalid) as caught:
        read_secret(f"file:{tmp_path}/key")
    shown = f"{caught.value} {caught.value.__cause__} {caught.value.__suppress_context__}"
    assert "hunter2" not in shown
    assert caught.value.__suppress_context__
