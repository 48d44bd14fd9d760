"""Two doors of which at most one is free: its promises, one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cabin.commands import SetDoors
from drivers.cabin.facts import CabinObserved, Door
from edge.lanes.interlock import Interlock, Way

LOCKED = SetDoors(entrance_locked=True, exit_locked=True)
ENTRANCE = SetDoors(entrance_locked=False, exit_locked=True)
EXIT = SetDoors(entrance_locked=True, exit_locked=False)
BOTH = SetDoors(entrance_locked=False, exit_locked=False)


def seen(entrance=(True, True), exit_=(True, True)):
    return CabinObserved(Door(*entrance), Door(*exit_), 0)


@pytest.fixture
def doors():
    return Interlock(settle_ms=300, again_ms=1_000)


def test_a_door_is_freed_only_after_a_look_at_the_other(doors):
    assert doors.aim(Way.EXIT, 0) == (LOCKED,)
    assert doors.look(seen(), 299) == ()
    assert doors.look(seen(), 300) == (EXIT,)
    assert doors.look(seen(exit_=(True, False)), 400) == ()
    assert doors.settled


def test_the_way_is_turned_by_locking_first(doors):
    doors.aim(Way.EXIT, 0)
    doors.look(seen(), 300)
    assert doors.aim(Way.ENTRANCE, 1_000) == (LOCKED,)
    assert doors.look(seen(), 1_100) == (), "this look may be older than the command"
    assert doors.look(seen(), 1_300) == (ENTRANCE,)


@pytest.mark.parametrize("guard", [(False, False), (False, True), (True, False)])
def test_a_guard_that_is_open_or_unbolted_locks_the_free_door_again(doors, guard):
    doors.aim(Way.EXIT, 0)
    doors.look(seen(), 300)
    assert doors.look(seen(entrance=guard, exit_=(True, False)), 400) == (LOCKED,)
    assert not doors.settled


def test_everybody_is_freed_at_once_and_locked_before_one_is_free_again(doors):
    doors.aim(Way.NOBODY, 0)
    assert doors.aim(Way.EVERYBODY, 1) == (BOTH,)
    assert doors.look(seen((False, False), (False, False)), 2) == ()
    assert doors.aim(Way.ENTRANCE, 3) == (LOCKED,)


def test_what_is_shown_otherwise_is_told_again_with_pauses(doors):
    doors.aim(Way.NOBODY, 0)
    free = seen((True, False), (True, False))
    assert [doors.look(free, ms) for ms in (500, 999, 1_000, 1_500, 2_000)] == [(), (), (LOCKED,), (), (LOCKED,)]


def test_what_is_shown_as_it_was_told_is_not_told_again(doors):
    doors.aim(Way.NOBODY, 0)
    assert [doors.look(seen(), ms) for ms in (500, 1_000, 5_000)] == [(), (), ()]


def test_after_it_forgot_it_locks_before_it_frees(doors):
    doors.aim(Way.ENTRANCE, 0)
    doors.look(seen(), 300)
    doors.forget()
    assert doors.aim(Way.ENTRANCE, 400) == (LOCKED,)


DOOR = st.tuples(st.booleans(), st.booleans())


@given(st.lists(st.tuples(st.one_of(st.sampled_from(Way), st.tuples(DOOR, DOOR)), st.sampled_from([1, 100, 300, 1_000])), max_size=40))  # fmt: skip
def test_never_both_free_but_for_everybody_and_never_one_without_its_guard(steps):
    doors, now, last = Interlock(300, 1_000), 0, None
    for what, after in steps:
        now += after
        commands = doors.aim(what, now) if isinstance(what, Way) else doors.look(seen(*what), now)
        for command in commands:
            assert command != BOTH or doors.way is Way.EVERYBODY
            if command in (ENTRANCE, EXIT) and last not in (ENTRANCE, EXIT):
                assert not isinstance(what, Way), "a wish alone frees no single door"
                guard = what[1] if command == ENTRANCE else what[0]
                assert guard == (True, True)
            assert {last, command} != {ENTRANCE, EXIT}
            last = command
