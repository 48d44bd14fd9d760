"""The promises of `edge.counting` by their words."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from core.messages.device_events import PeopleCountReported
from core.messages.event import Event, Stream
from drivers.facts import PeopleCounted
from edge.counting import (
    MAX_INTERVALS,
    MAX_OPEN,
    MAX_REGIONS,
    CountingMemo,
    CountingSettings,
    PeopleBuckets,
)

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CHINA = timezone(timedelta(hours=8))
LONG = timedelta(days=3)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def buckets(memo: CountingMemo | None = None, began: datetime = NOON, **settings) -> PeopleBuckets:
    return PeopleBuckets("counter-1", CountingSettings(**settings), memo or CountingMemo(), began)


def total(entered: int, left: int = 0, seconds: float | None = None, region: str = "") -> PeopleCounted:
    until = None if seconds is None else at(seconds).astimezone(CHINA)
    return PeopleCounted(entered, left, cumulative=True, until=until, region=region)


def interval(entered: int, since: float, until: float, left: int = 0, region: str = "") -> PeopleCounted:
    return PeopleCounted(entered, left, since=at(since).astimezone(CHINA), until=at(until), region=region)


def rows(told) -> list[tuple[int, int, int]]:
    return [(int((one.bucket_start - NOON).total_seconds()), one.entered, one.left) for one in told]


def test_totals_become_what_came_in_each_minute():
    desk = buckets()
    for entered, left, second in ((70, 75, 1), (71, 75, 20), (73, 76, 59), (73, 80, 61)):
        desk.counted(total(entered, left, second), at(second))
    assert desk.due(at(64.9)) == ()
    assert rows(desk.due(at(65))) == [(0, 3, 1)]
    assert rows(desk.due(at(125))) == [(60, 0, 4)]
    assert desk.next_due() is None


def test_the_first_total_ever_is_where_counting_begins():
    desk = buckets()
    assert not desk.counted(total(5000, 4000, 1), at(1))
    assert desk.due(at(300)) == ()


def test_buckets_are_aligned_to_the_wall_clock_and_told_in_order():
    desk = buckets()
    desk.counted(interval(3, 130, 140, region="b"), at(141))
    desk.counted(interval(2, 61, 62, region="a"), at(141))
    told = desk.due(at(200))
    assert [(one.region, one.bucket_start.second, one.bucket_s) for one in told] == [("a", 0, 60), ("b", 0, 60)]
    assert told[0].bucket_start < told[1].bucket_start
    assert told[0].bucket_start.utcoffset() == timedelta(0)


def test_an_interval_is_shared_out_and_the_parts_make_the_whole():
    desk = buckets()
    desk.counted(interval(10, 30, 150, left=3), at(151))
    told = desk.due(at(400))
    assert [one.entered for one in told] == [2, 6, 2]
    assert sum(one.left for one in told) == 3
    assert all(one.estimated for one in told)


def test_an_interval_within_a_minute_is_exact_and_one_with_nobody_was_heard():
    desk = buckets()
    desk.counted(interval(0, 60, 120), at(120))
    told = desk.due(at(200))
    assert rows(told) == [(60, 0, 0)]
    assert not told[0].estimated


def test_an_interval_that_is_sent_again_counts_nothing():
    desk = buckets()
    assert desk.counted(interval(4, 0, 60), at(61))
    assert not desk.counted(interval(4, 0, 60), at(70))
    again = buckets(CountingMemo.model_validate_json(desk.memo.model_dump_json()), at(80))
    assert not again.counted(interval(4, 0, 60), at(90))
    assert rows(again.due(at(200))) == [(0, 4, 0)]
    assert (desk.counters["repeated"], again.counters["repeated"]) == (1, 1)


def test_a_late_interval_is_an_addition_to_its_bucket():
    desk = buckets()
    desk.counted(interval(4, 0, 60), at(61))
    assert [one.late for one in desk.due(at(65))] == [False]
    desk.counted(interval(2, 10, 20), at(500))
    (addition,) = desk.due(at(500))
    assert (rows([addition]), addition.late) == ([(0, 2, 0)], True)


def test_what_is_told_before_it_happened_ends_now():
    desk = buckets()
    desk.counted(interval(5, 3600, 3660), at(61))
    told = desk.due(at(600))
    assert rows(told) == [(0, 5, 0), (60, 0, 0)]
    assert all(one.estimated for one in told)


def test_what_is_told_years_late_is_of_a_wrong_clock():
    desk = buckets()
    wrong = PeopleCounted(
        5, 1, since=datetime(2016, 1, 1, tzinfo=UTC), until=datetime(2016, 1, 1, 0, 0, 30, tzinfo=UTC)
    )
    desk.counted(wrong, at(59))
    assert rows(desk.due(at(600))) == [(0, 5, 1)]


def test_a_total_that_comes_late_counts_nothing():
    desk = buckets()
    for entered, told, came in ((10, 0, 0), (12, 5, 5), (11, 3, 6), (12, 5, 7), (11, 5, 8), (13, 9, 9)):
        desk.counted(total(entered, 0, told), at(came))
    assert rows(desk.due(at(600))) == [(0, 3, 0)]
    assert (desk.counters["late"], desk.counters["reset"]) == (3, 0)


def test_a_total_that_falls_is_a_device_that_counts_anew():
    desk = buckets()
    desk.counted(total(900, 800, 0), at(0))
    desk.counted(total(2, 805, 10), at(10))
    assert desk.counters["reset"] == 1
    assert rows(desk.due(at(600))) == [(0, 2, 805)]


def test_where_the_span_is_known_a_total_wraps():
    desk = buckets(span=65_536)
    desk.counted(total(65_530, 100, 0), at(0))
    desk.counted(total(4, 101, 10), at(10))
    assert rows(desk.due(at(600))) == [(0, 10, 1)]
    desk.counted(total(1, 0, 700), at(700))
    assert desk.counters["reset"] == 1
    assert rows(desk.due(at(900))) == [(660, 1, 0)]


def test_a_clock_that_was_set_back_does_not_stop_the_count():
    desk = buckets()
    desk.counted(total(10, 0, 500), at(500))
    desk.counted(total(12, 0, 100), at(510))
    desk.counted(total(13, 0, 105), at(515))
    assert sum(one.entered for one in desk.due(at(900))) == 3


def test_a_total_that_jumps_counts_nobody_and_the_count_goes_on():
    desk = buckets()
    for entered, second in ((100, 0), (90_000_000, 5), (101, 10)):
        desk.counted(total(entered, 0, second), at(second))
    assert rows(desk.due(at(600))) == [(0, 1, 0)]
    for entered, second in ((50_000_000, 605), (50_000_002, 610), (50_000_003, 612)):
        desk.counted(total(entered, 0, second), at(second))
    assert rows(desk.due(at(900))) == [(600, 3, 0)]
    assert desk.counters["implausible"] == 2


def test_an_interval_beyond_what_people_can_do_counts_nobody():
    desk = buckets()
    assert not desk.counted(interval(1001, 0, 60), at(60))
    assert desk.counted(interval(1001, 60, 180), at(180))
    assert sum(one.entered for one in desk.due(at(600))) == 1001


def test_a_restart_loses_nobody_and_shares_out_the_gap():
    first = buckets()
    first.counted(total(10, 0, 0), at(0))
    first.counted(total(13, 0, 30), at(30))
    again = buckets(CountingMemo.model_validate_json(first.memo.model_dump_json()), at(200))
    again.counted(total(25, 0, 240), at(240))
    told = again.due(at(600))
    assert sum(one.entered for one in told) == 3 + 12
    assert [one.estimated for one in told] == [True] * 4
    again.counted(total(26, 0, 900), at(900))
    (after,) = again.due(at(1200))
    assert (after.entered, after.estimated, rows([after])[0][0]) == (1, False, 900)


def test_regions_open_buckets_and_intervals_are_bounded():
    desk = buckets()
    for number in range(MAX_REGIONS + 5):
        desk.counted(total(1, 0, 0, region=str(number)), at(0))
    assert (len(desk.memo.totals), desk.counters["refused"]) == (MAX_REGIONS, 5)
    desk = buckets()
    for number in range(20):
        desk.counted(interval(1, -86_400, 0, region=str(number)), at(0))
    assert len(desk.memo.open) <= MAX_OPEN
    assert desk.counters["refused"] == 20 - len(desk.memo.open) // 1440
    assert not desk.counted(interval(1, -90_000, 0), at(0))
    for number in range(MAX_INTERVALS + 9):
        desk.counted(interval(0, number * 0.001, number * 0.001, region="0"), at(1))
    assert len(desk.memo.intervals) == MAX_INTERVALS


def test_occupancy_is_the_last_told():
    desk = buckets()
    for inside in (5, 7):
        desk.counted(PeopleCounted(1, 0, since=at(0), until=at(inside), inside=inside), at(8))
    assert [one.inside for one in desk.due(at(100))] == [7]


def test_the_event_is_telemetry_of_its_device():
    desk = buckets()
    desk.counted(interval(1, 0, 10), at(10))
    (event,) = desk.due(at(100))
    assert (event.STREAM, event.subject()) == (Stream.TELEMETRY, "counter-1")
    assert Event.KNOWN["gatefleet.PeopleCountReported.v1"] is PeopleCountReported
    assert PeopleCountReported.model_validate_json(event.model_dump_json()) == event


@given(st.integers(0, 2**32), st.booleans())
def test_every_person_is_told_once_whatever_resends_delays_and_restarts(seed: int, totals: bool):
    """Against the plain sum of who crossed."""
    random = Random(seed)
    desk, crossed, told, now = buckets(), 0, 0, 0.0
    desk.counted(total(0, 0, 0), at(0))
    sent: list[PeopleCounted] = []
    for _ in range(40):
        since, now = now, now + random.uniform(1, 200)
        came = random.randrange(5)
        crossed += came
        sent.append(total(crossed, 0, now) if totals else interval(came, since, now))
        desk.counted(sent[-1], at(now))
        if random.random() < 0.3:
            desk.counted(random.choice(sent[-5:]), at(now))
        if random.random() < 0.2:
            desk = buckets(CountingMemo.model_validate_json(desk.memo.model_dump_json()), at(now))
        if random.random() < 0.5:
            told += sum(one.entered for one in desk.due(at(now)))
    told += sum(one.entered for one in desk.due(at(now) + LONG))
    assert told == crossed


@given(
    st.lists(
        st.builds(
            PeopleCounted,
            st.integers(-5, 10**8),
            st.integers(-5, 10**8),
            cumulative=st.booleans(),
            since=st.none() | st.datetimes(timezones=st.sampled_from([UTC, CHINA])),
            until=st.none() | st.datetimes(timezones=st.sampled_from([UTC, CHINA])),
            region=st.sampled_from(["", "1"]),
        ),
        max_size=8,
    )
)
def test_no_facts_break_it_and_nothing_is_ever_negative(facts):
    desk = buckets()
    for fact in facts:
        desk.counted(fact, NOON)
    assert all(one.entered >= 0 and one.left >= 0 for one in desk.due(NOON + LONG))
