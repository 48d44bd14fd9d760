"""The barriers of a channel: a table of stories, and a model that counts every leg."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.clearance.model import Direction
from core.messages.vehicle_events import VehicleCleared
from edge.lanes.channel import MAX_OPEN, Channel, ChannelMemo, ChannelSettings
from edge.lanes.words import Tick


def leg(barrier, attempt, *tokens, confidence=0.95):
    return VehicleCleared(
        lane=f"V{barrier}",
        attempt=attempt,
        channel="CH-1",
        barrier=barrier,
        direction=Direction.IN,
        plate_token=tokens[0] if tokens else "",
        plate_tokens=tokens,
        confidence=confidence if tokens else 0.0,
    )


@dataclass
class Desk:
    """Commits what the channel says."""

    channel: Channel = field(default_factory=lambda: Channel("CH-1"))
    now: int = 0
    told: list = field(default_factory=list)
    durable: ChannelMemo = field(default_factory=ChannelMemo)

    def feed(self, happened, after=10_000):
        self.now += after
        for commit in self.channel.handle(happened, self.now):
            self.told += commit.events
            self.durable = self.channel.memo
        return self

    def again(self, now=7):
        memo = ChannelMemo.model_validate_json(self.durable.model_dump_json())
        return Desk(Channel("CH-1", self.channel.settings, memo), now, self.told, memo)

    def passages(self):
        return [(word.passage, tuple(one.attempt for one in word.legs), word.missing) for word in self.told]


@pytest.fixture
def desk():
    return Desk()


def test_three_barriers_make_one_passage(desk):
    desk.feed(leg(1, "A1", "p")).feed(leg(2, "A2", "p")).feed(leg(3, "A3", "p"))
    (passed,) = desk.told
    assert desk.passages() == [("A1", ("A1", "A2", "A3"), ())]
    assert (passed.plate_token, passed.paired_by, passed.confidence, passed.duration_ms) == ("p", "plate", 1.0, 20_000)
    assert not desk.durable.open


def test_two_cars_keep_apart_by_their_plates(desk):
    for one in (leg(1, "A1", "p"), leg(1, "B1", "q"), leg(2, "B2", "q"), leg(2, "A2", "p"), leg(3, "B3", "q", "r")):
        desk.feed(one)
    desk.feed(leg(3, "A3", "p"))
    assert desk.passages() == [("B1", ("B1", "B2", "B3"), ()), ("A1", ("A1", "A2", "A3"), ())]


def test_any_of_the_plates_of_a_car_pairs_it(desk):
    desk.feed(leg(1, "A1", "p", "m")).feed(leg(2, "A2", "m")).feed(leg(3, "A3", "p"))
    assert desk.told[0].plate_tokens == ("p", "m")


@pytest.mark.parametrize(
    ("second", "paired"),
    [
        pytest.param(leg(2, "A2"), True, id="not read"),
        pytest.param(leg(2, "A2", "x", confidence=0.5), True, id="misread"),
        pytest.param(leg(2, "A2", "x"), False, id="another, read surely"),
    ],
)
def test_a_failed_read_pairs_by_order(desk, second, paired):
    desk.feed(leg(1, "A1", "p")).feed(second).feed(leg(3, "A3", "p"))
    if paired:
        assert desk.passages() == [("A1", ("A1", "A2", "A3"), ())]
        assert (desk.told[0].paired_by, desk.told[0].confidence) == ("order", 0.6)
    else:
        desk.feed(Tick(), 5_000)
        assert desk.passages() == [("A1", ("A1", "A3"), (2,))]


def test_by_order_the_first_at_the_last_barrier_is_meant(desk):
    desk.feed(leg(1, "A1", "p")).feed(leg(1, "B1", "q")).feed(leg(2, "X2")).feed(leg(2, "Y2"))
    assert [[one.attempt for one in passage.legs] for passage in desk.channel.memo.open] == [["A1", "X2"], ["B1", "Y2"]]


@pytest.mark.parametrize("after", [999, 300_001])
def test_by_order_only_in_the_time_that_the_way_takes(desk, after):
    desk.feed(leg(1, "A1", "p")).feed(leg(2, "A2"), after)
    assert len(desk.channel.memo.open) == 2


def test_a_late_leg_of_an_earlier_barrier_still_joins(desk):
    desk.feed(leg(1, "A1", "p")).feed(leg(3, "A3", "p")).feed(leg(2, "A2", "p"), 2_000)
    assert desk.passages() == [("A1", ("A1", "A2", "A3"), ())]


def test_a_missing_barrier_is_told_after_a_while(desk):
    desk.feed(leg(1, "A1", "p")).feed(leg(3, "A3", "p"))
    assert desk.channel.deadline_ms == desk.now + 5_000
    desk.feed(Tick(), 4_999)
    assert desk.told == []
    desk.feed(Tick(), 1)
    assert desk.passages() == [("A1", ("A1", "A3"), (2,))]
    assert not desk.told[0].timed_out


def test_the_first_barrier_may_be_the_missing_one(desk):
    desk.feed(leg(2, "A2", "p")).feed(leg(3, "A3", "p")).feed(Tick())
    assert desk.passages() == [("A2", ("A2", "A3"), (1,))]


def test_who_never_comes_out_times_out(desk):
    desk.feed(leg(1, "A1", "p")).feed(Tick(), 1_800_000)
    (passed,) = desk.told
    assert (passed.timed_out, passed.missing, passed.paired_by) == (True, (2, 3), "single")


def test_the_next_round_of_the_same_car_is_another_passage(desk):
    desk.feed(leg(1, "A1", "p")).feed(leg(1, "B1", "p")).feed(leg(2, "B2", "p")).feed(leg(3, "B3", "p"))
    assert desk.passages() == [("A1", ("A1",), (2, 3)), ("B1", ("B1", "B2", "B3"), ())]


def test_a_leg_handed_in_again_changes_nothing(desk):
    desk.feed(leg(1, "A1", "p")).feed(leg(1, "A1", "p"))
    assert desk.told == []
    desk.feed(leg(2, "A2", "p")).feed(leg(3, "A3", "p")).feed(leg(3, "A3", "p"))
    new = desk.again().feed(leg(2, "A2", "p")).feed(Tick(), 1_800_000)
    assert len(new.told) == 1


def test_after_a_restart_a_passage_goes_on(desk):
    desk.feed(leg(1, "A1", "p")).feed(leg(2, "A2", "p"))
    new = desk.again().feed(leg(3, "A3", "p"))
    assert new.passages() == [("A1", ("A1", "A2", "A3"), ())]
    assert (new.told[0].recovered, new.told[0].duration_ms) == (True, 0)


def test_two_barriers_are_a_channel_too():
    desk = Desk(Channel("CH-2", ChannelSettings(barriers=(1, 3))))
    desk.feed(leg(1, "A1", "p")).feed(leg(2, "X", "p")).feed(leg(3, "A3", "p"))
    assert desk.passages() == [("A1", ("A1", "A3"), ())]


def test_the_open_passages_are_bounded(desk):
    for number in range(MAX_OPEN + 3):
        desk.feed(leg(1, f"A{number}", f"p{number}"), 1)
    assert len(desk.channel.memo.open) == MAX_OPEN
    assert [word.passage for word in desk.told] == ["A0", "A1", "A2"]


def test_a_barrier_stands_in_a_channel_once():
    with pytest.raises(ValueError, match="once"):
        ChannelSettings(barriers=(1, 1))


class EveryLegOnce(RuleBasedStateMachine):
    """Whatever comes, with restarts: each leg is in exactly one passage."""

    def __init__(self):
        super().__init__()
        self.desk = Desk()
        self.legs = []

    @rule(
        barrier=st.integers(1, 3),
        tokens=st.lists(st.sampled_from("pqr"), max_size=2, unique=True),
        confidence=st.sampled_from([0.5, 0.95]),
        after=st.sampled_from([0, 500, 3_000, 60_000, 400_000]),
    )
    def passes(self, barrier, tokens, confidence, after):
        self.legs.append(leg(barrier, f"A{len(self.legs)}", *tokens, confidence=confidence))
        self.desk.feed(self.legs[-1], after)

    @rule(number=st.integers(0, 10))
    def handed_in_again(self, number):
        if number < len(self.legs):
            self.desk.feed(self.legs[-1 - number], 10)

    @rule(after=st.integers(0, 2_000_000))
    def time_goes_on(self, after):
        self.desk.feed(Tick(), after)

    @rule()
    def restart(self):
        self.desk = self.desk.again()

    @invariant()
    def each_leg_is_in_one_passage(self):
        told = [one.attempt for word in self.desk.told for one in word.legs]
        still = [one.attempt for passage in self.desk.channel.memo.open for one in passage.legs]
        assert sorted(told + still) == sorted(one.attempt for one in self.legs)

    @invariant()
    def sure_plates_never_mix(self):
        sure = {one.attempt: set(one.plate_tokens) for one in self.legs if one.confidence > 0.9}
        for word in self.desk.told:
            if word.paired_by == "plate":
                plates = [sure[one.attempt] for one in word.legs if one.attempt in sure]
                assert all(one & set(word.plate_tokens) for one in plates)


TestEveryLegOnce = EveryLegOnce.TestCase
TestEveryLegOnce.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
