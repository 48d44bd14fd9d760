"""A device's table: made from options, checked as a whole file would be, written so that it reads back the same."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, NotFound, Unsupported
from edge.config import parse_config
from edge.device_entry import as_toml, checked, entry_of, free_name
from edge.devices import resolved

SNMP = ("version=2c", "community=env:COMMUNITY")
GATE = ("turnstile", "modbus+tcp://10.0.0.1:502?unit=1")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.one_of(TEXTS, st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
HEAD = """schema = 1
[edge]
site = "s"
name = "n"
[buffer]
path = "b.db"
[uplink]
url = "mqtt://localhost:1883"
[crypto]
token_key = "env:TOKEN"
[control]
socket = "c.sock"
"""


def refusal(*arguments, **more):
    with pytest.raises(ConfigInvalid) as caught:
        checked(entry_of(*arguments, **more))
    return str(caught.value)


def test_an_entry_says_what_was_said():
    entry = entry_of(
        "snmp", "snmp://10.0.0.9", profile="generic/snmp-switch", name="sw-1", settings=(*SNMP, 'ports=["1.3"]')
    )
    assert entry == {
        "id": "sw-1",
        "driver": "snmp",
        "profile": "generic/snmp-switch",
        "link": "snmp://10.0.0.9",
        "settings": {"version": "2c", "community": "env:COMMUNITY", "ports": ["1.3"]},
    }
    spec = checked(entry)
    assert (spec.id, spec.link, spec.settings.ports) == ("sw-1", "snmp://10.0.0.9", ("1.3",))


def test_dots_lead_into_tables_and_access_is_beside_the_settings():
    entry = entry_of(
        "hik-anpr", "http-server://127.0.0.1:80/a", settings=("access.users.cam=env:PW", "access.silent_after_s=60")
    )
    assert entry["access"] == {"users": {"cam": "env:PW"}, "silent_after_s": 60}
    assert "settings" not in entry
    assert checked(entry).access.users == {"cam": "env:PW"}


def test_the_only_profile_is_taken_and_of_several_none():
    assert entry_of("ntp", "ntp://h")["profile"] == "generic/ntp"
    with pytest.raises(ConfigInvalid) as caught:
        entry_of(*GATE)
    assert "reference/swing-gate" in caught.value.cure
    with pytest.raises(NotFound):
        entry_of("nothing", "x://h")
    with pytest.raises(Unsupported):
        entry_of("modbus-rtu", "x://h")


@pytest.mark.parametrize("text", ["novalue", "=x", "a.=1", ".a=1"])
def test_a_setting_that_is_none_is_refused(text):
    with pytest.raises(ConfigInvalid):
        entry_of("ntp", "ntp://h", settings=(text,))


@pytest.mark.parametrize("texts", [("a=1", "a=2"), ("a=1", "a.b=2")])
def test_a_setting_twice_or_inside_another_is_refused(texts):
    with pytest.raises(ConfigInvalid):
        entry_of("ntp", "ntp://h", settings=texts)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("12", 12),
        ('"12"', "12"),
        ("1.5", 1.5),
        ('["a", "b"]', ["a", "b"]),
        ("env:X", "env:X"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_value_is_toml_or_text(written, value):
    assert entry_of("ntp", "ntp://h", settings=(f"a={written}",))["settings"]["a"] == value


@pytest.mark.parametrize(
    ("arguments", "settings", "told"),
    [
        (("ntp", "tcp://h:1"), (), "link: 'tcp': a ntp speaks over ntp"),
        (("ntp", "ntp://h"), ("interval=5",), "settings.interval: there is no such key"),
        (("hik-anpr", "http-server://127.0.0.1:80/a"), (), "link: say who may push"),
        (("ntp", "ntp://h"), ("interval_s=0",), "settings.interval_s"),
    ],
)
def test_mistakes_are_told_as_of_a_file(arguments, settings, told):
    assert told in refusal(*arguments, settings=settings)


def test_all_mistakes_are_told_at_once():
    told = refusal("ntp", "tcp://h:1", settings=("interval=5", "timeout_ms=1"))
    assert len([line for line in told.splitlines() if ": " in line]) >= 3


@pytest.mark.parametrize(
    ("driver", "profile", "link", "settings"),
    [
        ("snmp", "generic/snmp-switch", "snmp://h", ("version=2c", "community=hunter2")),
        ("jt808", "reference/jt808", "tcp-server://127.0.0.1:0", ("auth_key=hunter2",)),
        ("jt808", "reference/jt808", "tcp-server://127.0.0.1:0", ("codes.1=hunter2",)),
        ("hik-anpr", "", "http-server://127.0.0.1:80/a", ("access.users.cam=hunter2",)),
        ("onvif-camera", "", "http://cam:hunter2@h/onvif", ()),
        ("onvif-camera", "", "http://h/onvif", ("username=cam", "password=hunter2")),
    ],
)
def test_a_secret_that_stands_there_is_refused_and_not_repeated(driver, profile, link, settings):
    told = refusal(driver, link, profile=profile, settings=settings)
    assert told
    assert "hunter2" not in told


def test_what_was_made_of_a_reference_is_not_kept_beside_the_secret(monkeypatch):
    monkeypatch.setenv("KEY", "the secret itself, long enough")
    settings = ('terminals=["1*"]', "auth_key=env:KEY")
    spec = checked(entry_of("jt808", "tcp-server://127.0.0.1:0", profile="reference/jt808", settings=settings))
    used, meant = (
        resolved(spec).settings.admission,
        type(spec.settings)(terminals=("1*",), auth_key="the secret itself, long enough"),
    )
    assert used.code("13800000000") == meant.admission.code("13800000000")


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.dictionaries(TEXTS, VALUES, max_size=4))
def test_what_is_written_reads_back_the_same(settings, access):
    entry = {"id": "a", "driver": "b", "profile": "c/d", "link": 'e://f"\\', "settings": settings, "access": access}
    assert tomllib.loads(as_toml(entry)) == {"device": [entry]}


def test_a_table_is_at_home_in_a_whole_file():
    entry = entry_of("snmp", "snmp://10.0.0.9", profile="generic/snmp-switch", settings=SNMP)
    assert parse_config((HEAD + as_toml(entry)).encode(), "x.toml").devices["snmp-1"].link == "snmp://10.0.0.9"


def test_names_are_the_first_that_are_free():
    assert free_name("ntp", frozenset()) == "ntp-1"
    assert free_name("ntp", frozenset({"ntp-1", "ntp-3", "x"})) == "ntp-2"
