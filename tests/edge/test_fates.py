"""No fact vanishes: each that a driver declares has its row, and what becomes no event is counted."""

from dataclasses import fields

import pytest

from core.messages.device_events import DeviceTold
from core.messages.event import Event
from core.messages.known import __all__ as every_module
from drivers import registry
from drivers.jt808.facts import CommandAnswered, ParametersAnswered, PassthroughReceived
from edge.fates import FATES, Fate, is_untold

DECLARED = {fact.__name__: fact for name in registry.names() for fact in registry.driver(name).facts}


def test_every_declared_fact_has_a_row_and_no_row_outlives_its_fact():
    assert sorted(DECLARED.keys() - FATES.keys()) == []
    assert sorted(FATES.keys() - DECLARED.keys()) == []


def test_a_name_is_of_one_class():
    for name in registry.names():
        assert all(DECLARED[fact.__name__] is fact for fact in registry.driver(name).facts)


@pytest.mark.parametrize("name", sorted(FATES))
def test_what_travels_is_told_and_nothing_else(name):
    assert (FATES[name].fate is Fate.TOLD) is DECLARED[name].TRAVELS
    assert FATES[name].by


@pytest.mark.parametrize("name", sorted(name for name, fact in DECLARED.items() if fact.TRAVELS))
def test_what_travels_names_no_car_and_no_person(name):
    assert {one.name for one in fields(DECLARED[name])}.isdisjoint({"plate", "text_read", "card", "driver", "data"})


def test_an_event_that_a_row_names_is_one():
    assert "device_events" in every_module
    known = {kind.__name__ for kind in Event.KNOWN.values()}
    for row in FATES.values():
        if row.fate in {Fate.EVENT, Fate.TOLD, Fate.ELSEWHERE}:
            named = {word.strip("`,;") for word in row.by.split() if word[0].isupper()}
            assert named <= known, row
    assert DeviceTold.__name__ in known


@pytest.mark.parametrize(
    ("fact", "in_lane", "untold"),
    [
        ("PassthroughReceived", False, True),
        ("GateObserved", True, False),
        ("GateObserved", False, True),
        ("TimeAsked", False, False),
        ("NobodyKnowsIt", True, True),
    ],
)
def test_what_is_counted(fact, in_lane, untold):
    assert is_untold(fact, in_lane=in_lane) is untold


def test_a_terminals_logins_numbers_and_plate_stay_here():
    values = {
        "0001": 30,
        "0011": "user",
        "0012": "secret",
        "0013": "10.0.0.1",
        "0048": "13800000000",
        "0083": "粤Z1234澳",
    }
    told = ParametersAnswered("138", 7, values, {"f001": "ff"}).outward()
    assert told == {"terminal": "138", "serial": 7, "values": {"0001": 30, "0013": "10.0.0.1"}, "others": ["f001"]}
    assert CommandAnswered("138", 7, 0x8103, 0).key() != CommandAnswered("138", 8, 0x8103, 0).key()
    assert not PassthroughReceived.TRAVELS
