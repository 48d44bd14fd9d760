"""Contacts, count, locks and screen <-> words, from the profile that ships."""

import copy
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigInvalid, FrameInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.base import Poll, Space, Write
from drivers.cabin import DRIVER
from drivers.cabin.commands import Screen, SetDoors, ShowScreen
from drivers.cabin.facts import CabinObserved, Door
from drivers.profile import Profile, read_profile

TEXT = (Path(__file__).parents[3] / "firmware_profiles/reference/cabin.toml").read_text(encoding="utf-8")
# entrance closed, bolted; exit closed, bolted; call, egress; emergency (a break contact: 1 = not pressed), mains
QUIET = [1, 1, 1, 1, 0, 0, 1, 1]


def device(**changed):
    profile = read_profile(TEXT, "test")
    return DRIVER.make(profile.model_copy(update={"map": profile.map | changed}), DRIVER.settings())


@pytest.fixture
def cabin():
    return device()


def observe(cabin, contacts=QUIET, persons=(0, 0)):
    count, inputs = cabin.polls
    cabin.observe(count, list(persons))
    (fact,) = cabin.observe(inputs, list(contacts))
    return fact


def changed(place, value):
    return [value if number == place else old for number, old in enumerate(QUIET)]


SHUT = Door(closed=True, locked=True)


@pytest.mark.parametrize(
    ("contacts", "persons", "fact"),
    [
        (QUIET, (0, 0), CabinObserved(SHUT, SHUT, 0)),
        (QUIET, (2, 0), CabinObserved(SHUT, SHUT, 2)),
        (QUIET, (1, 3), CabinObserved(SHUT, SHUT, 1, faults=frozenset({"sensor_blocked", "sensor_dirty"}))),
        (changed(0, 0), (0, 0), CabinObserved(Door(False, True), SHUT, 0)),
        (changed(1, 0), (0, 0), CabinObserved(Door(True, False), SHUT, 0)),
        (changed(2, 0), (0, 0), CabinObserved(SHUT, Door(False, True), 0)),
        (changed(3, 0), (0, 0), CabinObserved(SHUT, Door(True, False), 0)),
        (changed(4, 1), (0, 0), CabinObserved(SHUT, SHUT, 0, call=True)),
        (changed(5, 1), (0, 0), CabinObserved(SHUT, SHUT, 0, egress=True)),
        (changed(6, 0), (0, 0), CabinObserved(SHUT, SHUT, 0, emergency=True)),
        (changed(7, 0), (0, 0), CabinObserved(SHUT, SHUT, 0, power_ok=False)),
    ],
)
def test_contacts_and_count_become_one_state(cabin, contacts, persons, fact):
    assert observe(cabin, contacts, persons) == fact


def test_a_door_is_secure_only_when_closed_and_bolted():
    assert [Door(a, b).secure for a in (False, True) for b in (False, True)] == [False, False, False, True]


def test_a_cut_cable_is_an_emergency_and_no_mains(cabin):
    fact = observe(cabin, [0] * 8)
    assert (fact.emergency, fact.power_ok, fact.entrance.secure, fact.exit.secure) == (True, False, False, False)


def test_a_state_is_a_look_at_the_contacts_after_a_count(cabin):
    """A new count beside old contacts would be somebody who came through a closed door."""
    count, inputs = cabin.polls
    assert cabin.observe(inputs, QUIET) == ()
    assert cabin.observe(count, [1, 0]) == ()
    assert cabin.observe(inputs, QUIET)[0].occupancy == 1
    assert cabin.observe(count, [2, 0]) == ()


def test_a_count_that_is_not_renewed_is_told_as_stale(cabin):
    count, inputs = cabin.polls
    cabin.observe(count, [1, 0])
    faults = [cabin.observe(inputs, QUIET)[0].faults for _ in range(7)]
    assert faults == [frozenset()] * 5 + [{"count_stale"}] * 2
    cabin.observe(count, [1, 0])
    assert cabin.observe(inputs, QUIET)[0].faults == frozenset()


def test_what_is_polled_is_what_the_profile_says(cabin):
    assert cabin.polls == (
        Poll("persons", Space.INPUT, 0, 2, 100),
        Poll("inputs", Space.DISCRETE, 0, 8, 100),
    )


@pytest.mark.parametrize(("poll", "values"), [(0, [33, 0]), (0, [0xFFFF, 0]), (0, [1]), (1, [0] * 7), (1, [0] * 9)])
def test_values_that_cannot_be_are_refused(cabin, poll, values):
    with pytest.raises(FrameInvalid):
        cabin.observe(cabin.polls[poll], values)


@pytest.mark.parametrize(
    ("entrance", "exit_", "writes"),
    [
        (True, True, [Write(5, 0, (0xFF00,)), Write(5, 1, (0xFF00,))]),
        (True, False, [Write(5, 0, (0xFF00,)), Write(5, 1, (0,))]),
        (False, True, [Write(5, 1, (0xFF00,)), Write(5, 0, (0,))]),
        (False, False, [Write(5, 0, (0,)), Write(5, 1, (0,))]),
    ],
)
def test_what_is_locked_is_locked_before_another_is_freed(cabin, entrance, exit_, writes):
    assert list(cabin.writes(SetDoors(entrance_locked=entrance, exit_locked=exit_))) == writes


@pytest.mark.parametrize(("screen", "code"), [(screen, code) for code, screen in enumerate(Screen)])
def test_each_screen_has_its_number(cabin, screen, code):
    assert cabin.writes(ShowScreen(screen=screen)) == (Write(6, 0, (code,)),)


def test_what_a_cabin_cannot_do_it_says(cabin):
    with pytest.raises(Unsupported, match="OpenGate"):
        cabin.writes(OpenGate(direction="in"))


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("watchdog_ms", 250, "three polls"),
        ("persons.interval_ms", 301, "less than once in three looks"),
        ("inputs.exit_locked", 8, "outside of count: exit_locked"),
        ("inputs.exit_locked", 0, "two contacts on one input"),
        ("inputs.inverted", ["emergency", "fire"], "no contact that is wired: fire"),
        ("inputs.interval_ms", 0, "interval_ms"),
        ("locks.exit", 0, "one coil for both locks"),
        ("screen.codes.go", 70_000, "not a register"),
        ("screen.codes", {"go": 1}, "no code for"),
        ("locks.energised", "free", "Extra inputs"),
    ],
)
def test_a_profile_that_cannot_be_safe_is_refused(place, value, reason):
    table = copy.deepcopy(tomllib.loads(TEXT))
    *way, last = place.split(".")
    at = table["map"]
    for name in way:
        at = at[name]
    at[last] = value
    with pytest.raises(ConfigInvalid, match=reason):
        DRIVER.make(Profile.model_validate(table), DRIVER.settings())


def test_buttons_that_are_not_wired_are_not_pressed():
    inputs = tomllib.loads(TEXT)["map"]["inputs"]
    few = {name: value for name, value in inputs.items() if name not in {"call", "egress", "emergency", "power_ok"}}
    fact = observe(device(inputs=few | {"inverted": []}), [1, 1, 1, 1, 1, 1, 1, 1])
    assert (fact.call, fact.egress, fact.emergency, fact.power_ok) == (False, False, False, True)


@given(st.lists(st.integers(0, 1), min_size=8, max_size=8), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_no_values_break_it(contacts, persons, bits):
    cabin = device()
    try:
        fact = observe(cabin, contacts, (persons, bits))
    except FrameInvalid:
        assert persons > 32
        return
    assert (fact.occupancy, len(fact.faults) <= 2) == (persons, True)


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == {SetDoors, ShowScreen}
    assert DRIVER.facts == {CabinObserved}
