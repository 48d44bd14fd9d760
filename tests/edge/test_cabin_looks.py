"""What waits for a cabin's lane is merged without losing what matters, and is not believed too long."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cabin.facts import CabinObserved, Door
from edge.cabins.looks import Looks

SHUT = Door(closed=True, locked=True)
OPEN = Door(closed=False, locked=False)
CALM = CabinObserved(entrance=SHUT, exit=SHUT, occupancy=1)


def merged(*seen, age_ms=0):
    looks = Looks(seen[0], 0)
    for one in seen[1:]:
        looks.add(one, 0)
    return list(looks.since(age_ms, 150))


@pytest.mark.parametrize("button", ["call", "egress", "emergency"])
def test_a_button_that_was_let_go_again_was_pressed(button):
    (look,) = merged(CALM, replace(CALM, **{button: True}), CALM)
    assert getattr(look, button)


def test_a_door_that_fell_shut_again_was_open_and_then_is_shut():
    gone = replace(CALM, occupancy=0)
    opened, now = merged(CALM, replace(CALM, exit=OPEN), replace(gone, exit=OPEN), gone)
    assert (opened.exit.closed, opened.entrance.closed) == (False, True)
    assert now == gone


def test_both_doors_that_were_open_one_after_the_other_are_seen():
    opened, now = merged(replace(CALM, exit=OPEN), replace(CALM, entrance=OPEN), CALM)
    assert not opened.exit.closed
    assert not opened.entrance.closed
    assert now == CALM


def test_a_look_that_waited_too_long_proves_no_bolt():
    for age_ms, proven in ((0, True), (150, True), (151, False)):
        (look,) = merged(CALM, age_ms=age_ms)
        assert (look.entrance.secure, look.exit.secure) == (proven, proven)
        assert look.entrance.closed


DOORS = st.builds(Door, closed=st.booleans(), locked=st.booleans())
LOOKS = st.builds(
    CabinObserved,
    entrance=DOORS,
    exit=DOORS,
    occupancy=st.integers(0, 3),
    call=st.booleans(),
    egress=st.booleans(),
    emergency=st.booleans(),
    power_ok=st.booleans(),
)


@given(st.lists(LOOKS, min_size=1, max_size=12))
def test_whatever_came_at_most_two_looks_tell_all_that_matters(seen):
    told = merged(*seen)
    assert len(told) <= 2
    assert (told[-1].occupancy, told[-1].power_ok) == (seen[-1].occupancy, seen[-1].power_ok)
    for button in ("call", "egress", "emergency"):
        assert any(getattr(one, button) for one in told) == any(getattr(one, button) for one in seen)
    for door in ("entrance", "exit"):
        assert all(getattr(one, door).closed for one in told) == all(getattr(one, door).closed for one in seen)
    for old in told[:-1]:
        assert not old.entrance.locked
        assert not old.exit.locked
