"""The promises of `edge.lanes.vehicle_arm` by their words."""

import pytest

from edge.lanes.vehicle_arm import ArmWatch, Stuck


def watch():
    return ArmWatch(open_ms=4_000, close_ms=3_000)


@pytest.mark.parametrize(
    ("move", "arm", "late_ms"),
    [("close", "open", 3_000), ("close", "moving", 3_000), ("open", "closed", 4_000), ("open", "moving", 4_000)],
)
def test_it_is_told_once_that_the_arm_stays_and_once_that_it_moves_again(move, arm, late_ms):
    arm_watch = watch()
    arm_watch.ordered(move, 100)
    assert not arm_watch.saw(arm, 100 + late_ms - 1)
    assert arm_watch.saw(arm, 100 + late_ms)
    assert arm_watch.stuck == Stuck(move, arm, late_ms)
    assert not arm_watch.saw(arm, 100 + 2 * late_ms)
    assert arm_watch.saw("closed" if move == "close" else "open", 20_000)
    assert arm_watch.stuck is None
    assert not arm_watch.saw(arm, 90_000)


def test_what_does_as_it_is_told_is_nothing():
    arm_watch = watch()
    arm_watch.ordered("open", 0)
    assert not arm_watch.saw("moving", 500)
    assert not arm_watch.saw("open", 900)
    assert not arm_watch.saw("closed", 99_000)


def test_what_is_not_seen_is_not_judged():
    arm_watch = watch()
    arm_watch.ordered("close", 0)
    assert not arm_watch.saw("", 99_000)
    assert arm_watch.stuck is None


def test_an_order_takes_the_place_of_the_one_before_it():
    arm_watch = watch()
    arm_watch.ordered("close", 0)
    arm_watch.ordered("open", 2_900)
    assert not arm_watch.saw("moving", 3_100)
    assert not arm_watch.saw("open", 3_500)
    assert arm_watch.stuck is None


def test_an_arm_that_stays_down_too_is_told_as_that():
    arm_watch = watch()
    arm_watch.ordered("close", 0)
    assert arm_watch.saw("moving", 3_000)
    arm_watch.ordered("open", 5_000)
    assert not arm_watch.saw("moving", 8_900)
    assert arm_watch.saw("moving", 9_000)
    assert arm_watch.stuck.move == "open"


def test_an_order_that_is_repeated_gives_a_stuck_arm_no_more_time():
    arm_watch = watch()
    arm_watch.ordered("close", 0)
    assert arm_watch.saw("open", 3_000)
    arm_watch.ordered("close", 4_000)
    assert not arm_watch.saw("open", 9_000)
    assert arm_watch.saw("closed", 9_500)


def test_an_arm_that_is_moved_by_hand_is_nothing_here():
    arm_watch = watch()
    assert not arm_watch.saw("open", 0)
    assert not arm_watch.saw("moving", 99_000)
