"""How far the edge trusts its clock: a doubt must never make it look better than it is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages.envelope import ClockSource
from edge import clock as clock_module
from edge.clock import UNSYNCED, Clock, Quality, boot_id, kernel_quality

from .conftest import START, HandClock


@pytest.fixture
def clock(monkeypatch):
    """A clock that no NTP disciplines."""
    monkeypatch.setattr(clock_module, "kernel_quality", lambda: None)
    clock = HandClock()
    clock.known = None
    return clock


def test_a_clock_that_nobody_sets_is_unsynced_and_its_error_is_a_day(clock):
    assert clock.quality() == UNSYNCED
    assert clock.quality().error_ms >= 86_400_000


def test_an_answer_of_central_gives_offset_and_half_the_round_trip_as_error(clock):
    clock.measured(START + timedelta(seconds=7, milliseconds=-20), round_trip_ms=40)
    quality = clock.quality()
    assert quality.source is ClockSource.CENTRAL
    assert abs(quality.offset_ms - 7000) <= quality.error_ms <= 25


@given(
    ahead_ms=st.integers(-(10**9), 10**9),
    there_ms=st.integers(0, 5000),
    back_ms=st.integers(0, 5000),
)
def test_the_true_offset_is_always_within_the_error(ahead_ms, there_ms, back_ms):
    clock = HandClock()
    clock.known, clock._kernel_at = None, clock.ms
    clock.go(there_ms / 1000)
    central = clock.now + timedelta(milliseconds=ahead_ms)
    clock.go(back_ms / 1000)
    clock.measured(central, there_ms + back_ms)
    quality = clock.quality()
    assert abs(quality.offset_ms - ahead_ms) <= quality.error_ms


def test_setting_the_wall_clock_does_not_move_the_time_that_orders_are_judged_by(clock):
    """Set back by an hour, the edge would have done orders whose time was over."""
    clock.measured(START, round_trip_ms=10)
    clock.go(30)
    clock.now -= timedelta(hours=1)
    quality = clock.quality()
    assert quality.source is ClockSource.CENTRAL
    true_now = START + timedelta(seconds=30)
    assert abs((clock.wall() + timedelta(milliseconds=quality.offset_ms) - true_now).total_seconds()) < 0.1
    clock.now += timedelta(hours=3)
    assert abs(clock.quality().offset_ms + 2 * 3_600_000) < 100


def test_an_old_measurement_has_a_larger_error_and_at_last_none(clock):
    clock.measured(START, round_trip_ms=10)
    first = clock.quality().error_ms
    clock.go(500)
    assert clock.quality().error_ms >= first + 50
    clock.go(101)
    assert clock.quality() == UNSYNCED


def test_a_slow_answer_does_not_replace_a_quick_one_of_late(clock):
    clock.measured(START, round_trip_ms=10)
    clock.go(5)
    clock.measured(START + timedelta(seconds=60), round_trip_ms=4000)
    assert clock.quality().error_ms < 20
    clock.go(61)
    clock.measured(clock.now, round_trip_ms=4000)
    assert clock.quality().error_ms > 1000


@pytest.mark.parametrize("year", [1, 1970, 2200, 9999])
def test_a_time_that_cannot_be_is_no_measurement(clock, year):
    clock.measured(datetime(year, 6, 1, tzinfo=UTC), round_trip_ms=10)
    assert clock.quality() == UNSYNCED


def test_ntp_goes_before_central_and_is_asked_again_only_now_and_then(clock, monkeypatch):
    asked = []

    def kernel():
        asked.append(1)
        return Quality(ClockSource.NTP, 0, 3)

    monkeypatch.setattr(clock_module, "kernel_quality", kernel)
    clock.measured(START + timedelta(hours=1), 10)
    for _ in range(100):
        assert clock.quality().source is ClockSource.NTP
        clock.go(0.1)
    assert len(asked) == 1
    clock.go(20)
    monkeypatch.setattr(clock_module, "kernel_quality", lambda: None)
    assert clock.quality().source is ClockSource.CENTRAL


def test_the_kernel_of_this_machine_can_be_asked():
    quality = kernel_quality()
    assert quality is None or (quality.source is ClockSource.NTP and 0 < quality.error_ms < 20_000)
    assert len(boot_id()) == 36


def test_a_kernel_that_says_error_is_no_ntp(monkeypatch):
    class Libc:
        def __init__(self, state):
            self.state = state

        def adjtimex(self, timex):
            timex._obj.maxerror = 16_000_000
            return self.state

    for state, source in ((5, None), (-1, None), (0, ClockSource.NTP)):
        monkeypatch.setattr(clock_module.ctypes, "CDLL", lambda *_args, state=state, **_more: Libc(state))
        quality = kernel_quality()
        assert (quality.source if quality else None) is source
        assert quality is None or quality.error_ms == 16_000


def test_a_stamp_has_raw_times_and_their_quality():
    clock = Clock()
    before = datetime.now(UTC)
    stamp = clock.stamp()
    assert before <= stamp.wall <= datetime.now(UTC)
    assert stamp.boot_id == boot_id()
    assert stamp.monotonic_ms <= clock.monotonic_ms()
    assert (stamp.source, stamp.offset_ms) == (clock.quality().source, clock.quality().offset_ms)
