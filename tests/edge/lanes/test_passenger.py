"""The passenger lane: a table of stories, and a model that counts everybody."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.clearance.model import Decision, Direction, Effect, Reason, ReasonCode
from core.messages.commands import CloseGate, OpenGate, SetGateMode
from core.messages.events import LaneMode
from drivers.facts import GateObserved
from edge.lanes.passenger import PassengerLane
from edge.lanes.words import (
    AskMode,
    AskOpen,
    Commit,
    GateDone,
    Memo,
    PassengerSettings,
    Presented,
    Recorded,
    State,
    Tick,
    ToGate,
)

SPAN = 1 << 32


def gate(inn=0, out=0, mode=LaneMode.NORMAL, released=False, sensors=(), **more):
    return GateObserved(mode, inn, out, SPAN, released, frozenset(sensors), **more)


def shown(attempt="A1", effect=Effect.RELEASE, direction=Direction.IN):
    decision = Decision(effect, (Reason(code=ReasonCode.DEFAULT, rule_id="t", effect=effect.value),), 1)
    return Presented(attempt, "RD-1", direction, "d" + attempt, "passport", "other", decision, 0.1, False)


@dataclass
class Desk:
    """Does what the lane says and writes it down."""

    lane: PassengerLane
    now: int = 0
    said: list = field(default_factory=list)
    durable: Memo = field(default_factory=Memo)
    disk_ok: bool = True
    gate_ok: bool = True

    def feed(self, happened, after=0):
        self.now += after
        for action in self.lane.handle(happened, self.now):
            if isinstance(action, Commit):
                self.said += action.events if self.disk_ok else action.otherwise or action.events
                self.durable = self.lane.memo
                if action.answer:
                    self.feed(Recorded(self.disk_ok))
            elif isinstance(action, ToGate):
                self.said.append(action.command)
                if action.answer:
                    self.feed(GateDone(self.gate_ok))
        return self

    def words(self):
        return [type(word).__name__ + (f":{word.kind}" if hasattr(word, "kind") else "") for word in self.said]


@pytest.fixture
def desk():
    return Desk(PassengerLane("L1", PassengerSettings())).feed(gate(5, 5))


def test_a_released_traveller_passes(desk):
    desk.feed(shown()).feed(gate(5, 5, released=True), 200).feed(gate(5, 5, sensors=["entry"]), 200)
    assert desk.lane.state is State.PASSING
    desk.feed(gate(6, 5), 600)
    assert desk.words() == ["PassageDecided", "OpenGate", "PassageCleared"]
    assert (desk.said[-1].attempt, desk.said[-1].duration_ms) == ("A1", 1000)
    assert not desk.lane.busy


@pytest.mark.parametrize("effect", [e for e in Effect if e is not Effect.RELEASE])
def test_who_is_not_released_finds_the_gate_closed(desk, effect):
    desk.feed(shown(effect=effect))
    assert desk.words() == ["PassageDecided"]
    assert not desk.lane.busy


def test_the_gate_opens_only_after_the_record(desk):
    actions = desk.lane.handle(shown(), 1)
    assert [type(action) for action in actions] == [Commit]
    assert desk.lane.handle(Recorded(ok=True), 2) == (ToGate(OpenGate(direction="in"), answer=True),)


@pytest.mark.parametrize(("policy", "opens"), [("refuse", False), ("release", True)])
def test_a_buffer_that_cannot_commit_follows_the_lanes_policy(policy, opens):
    desk = Desk(PassengerLane("L1", PassengerSettings(when_unrecordable=policy)), disk_ok=False).feed(gate())
    desk.feed(shown())
    assert ("OpenGate" in desk.words()) is opens
    assert desk.said[0].unrecorded
    assert desk.said[0].effect is (Effect.RELEASE if opens else Effect.REFUSE)
    assert desk.said[0].reasons[0].code is (ReasonCode.DEFAULT if opens else ReasonCode.NO_RECORD)
    assert desk.lane.busy is opens


def test_nobody_comes_and_the_release_is_taken_back_before_it_is_called_timed_out(desk):
    desk.feed(shown()).feed(gate(5, 5, released=True), 100).feed(Tick(), 7_999)
    assert desk.words()[-1] == "CloseGate"
    desk.feed(gate(5, 5, released=True), 100)
    assert desk.words()[-1] == "CloseGate"
    desk.feed(gate(5, 5), 100)
    assert desk.words() == ["PassageDecided", "OpenGate", "CloseGate", "PassageTimedOut"]


def test_who_slips_through_while_the_gate_closes_is_cleared(desk):
    desk.feed(shown()).feed(Tick(), 8_000).feed(gate(6, 5), 100)
    assert desk.words() == ["PassageDecided", "OpenGate", "CloseGate", "PassageCleared"]


def test_a_gate_that_never_confirms_closing_ends_by_time(desk):
    desk.feed(shown()).feed(Tick(), 8_000).feed(gate(5, 5, released=True), 100).feed(Tick(), 2_000)
    assert desk.words()[-1] == "PassageTimedOut"
    assert not desk.lane.busy


def test_a_gate_command_that_fails_is_not_repeated(desk):
    desk.gate_ok = False
    desk.feed(shown()).feed(gate(5, 5), 100)
    assert desk.words() == ["PassageDecided", "OpenGate", "CloseGate", "PassageTimedOut"]


def test_promise_a_gate_that_was_out_of_reach_is_told_again_that_the_release_is_gone(desk):
    desk.feed(shown()).feed(Tick(), 8_000).feed(Tick(), 2_000)
    assert desk.words()[-1] == "PassageTimedOut"
    desk.feed(gate(5, 5, released=True), 60_000)
    assert desk.words()[-1] == "CloseGate"
    desk.feed(gate(5, 5, released=True), 1_999)
    assert desk.words().count("CloseGate") == 2
    desk.feed(gate(5, 5, released=True), 1)
    assert desk.words().count("CloseGate") == 3
    desk.feed(gate(5, 5), 100).feed(gate(5, 5, released=True), 5_000)
    assert desk.words().count("CloseGate") == 3  # the guard's own button


def test_promise_a_release_that_comes_to_the_gate_after_it_failed_is_taken_back(desk):
    desk.gate_ok = False
    desk.feed(shown()).feed(gate(5, 5), 100).feed(gate(5, 5, released=True), 500)
    assert desk.words() == ["PassageDecided", "OpenGate", "CloseGate", "PassageTimedOut", "CloseGate"]


def test_a_release_that_was_given_up_on_is_taken_back_after_a_restart_too(desk):
    desk.feed(shown()).feed(Tick(), 8_000).feed(Tick(), 2_000)
    again = Desk(PassengerLane("L1", PassengerSettings(), memo=desk.durable)).feed(gate(5, 5, released=True))
    assert again.words() == ["CloseGate"]


def test_whoever_comes_next_is_not_shut_out_by_what_was_left(desk):
    desk.feed(shown()).feed(Tick(), 8_000).feed(Tick(), 2_000).feed(shown("A2"), 100)
    desk.feed(gate(5, 5, released=True), 100)
    assert desk.words()[-2:] == ["PassageDecided", "OpenGate"]
    desk.feed(gate(6, 5), 100)
    assert (desk.words()[-1], desk.said[-1].attempt, desk.lane.watching) == ("PassageCleared", "A2", False)


@pytest.mark.parametrize(
    ("counts", "after", "told"),
    [
        ([(7, 5)], 0, ["PassageCleared", "PassageAnomaly:tailgate"]),
        ([(6, 5), (7, 5)], 1_500, ["PassageCleared", "PassageAnomaly:tailgate"]),
        ([(6, 5), (7, 5)], 1_501, ["PassageCleared", "PassageAnomaly:forced"]),
        ([(5, 6)], 0, ["PassageAnomaly:wrong_way"]),
        ([(6, 6)], 0, ["PassageCleared", "PassageAnomaly:tailgate"]),
    ],
)
def test_each_count_beyond_the_released_one_is_an_anomaly(desk, counts, after, told):
    desk.feed(shown())
    for inn, out in counts:
        desk.feed(gate(inn, out), after)
    assert desk.words()[2:] == told


def test_stuck_in_the_gate_is_a_jam(desk):
    desk.feed(shown()).feed(gate(5, 5, sensors=["middle"]), 100).feed(Tick(), 10_000)
    assert desk.words()[-2:] == ["PassageAnomaly:jam", "CloseGate"]
    desk.feed(gate(5, 5, sensors=["middle"]), 100)
    assert desk.lane.state is State.CLOSING


@pytest.mark.parametrize("mode", [LaneMode.FREE, LaneMode.EMERGENCY])
def test_free_modes_count_persons(desk, mode):
    desk.feed(AskMode(mode, "tech", "fire drill")).feed(gate(8, 6, mode=mode), 100)
    assert desk.words() == ["LaneModeChanged", "SetGateMode", "FreePassage", "FreePassage"]
    assert [word.persons for word in desk.said[-2:]] == [3, 1]


def test_a_locked_lane_refuses_and_what_passes_is_forced(desk):
    desk.feed(AskMode(LaneMode.LOCKED, "tech", "closed")).feed(gate(5, 5, mode=LaneMode.LOCKED), 100)
    desk.feed(shown()).feed(gate(6, 5, mode=LaneMode.LOCKED), 100)
    assert desk.words()[2:] == ["PassageDecided", "PassageAnomaly:forced"]
    assert desk.said[2].reasons[0].code is ReasonCode.LANE_LOCKED


def test_a_mode_set_at_the_gate_is_adopted_and_told(desk):
    desk.feed(gate(5, 5, mode=LaneMode.EMERGENCY))
    assert (desk.said[-1].actor, desk.lane.memo.mode) == ("device", LaneMode.EMERGENCY)


def test_a_gate_that_was_never_seen_holds_people_for_the_officer():
    desk = Desk(PassengerLane("L1", PassengerSettings())).feed(shown())
    assert (desk.said[0].effect, desk.said[0].reasons[0].code) == (Effect.HOLD_MANUAL, ReasonCode.GATE_SILENT)


def test_opened_by_hand_is_a_passage_with_its_audit(desk):
    desk.feed(AskOpen("M1", Direction.OUT, "tech", "lost child")).feed(gate(5, 6), 400)
    assert desk.words() == ["GateOperated", "OpenGate", "PassageCleared"]
    assert desk.said[-1].subject_token == ""


def test_a_gate_that_restarts_at_zero_passes_nobody(desk):
    desk.feed(gate(0, 0), 100)
    assert desk.words() == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ((6, 5), ["PassageCleared"]),
        ((7, 5), ["PassageCleared", "PassageAnomaly:tailgate"]),
        ((5, 5), ["CloseGate"]),
        ((5, 6), ["PassageAnomaly:wrong_way", "CloseGate"]),
    ],
)
def test_after_a_restart_the_counters_tell_what_happened(desk, now, told):
    desk.feed(shown())
    again = Desk(PassengerLane("L1", PassengerSettings(), memo=desk.durable)).feed(gate(*now))
    assert again.words() == told
    if told[-1] == "CloseGate":
        again.feed(gate(*now), 100)
        assert (again.words()[-1], again.said[-1].recovered) == ("PassageTimedOut", True)
    assert again.said[0].recovered if told[0] == "PassageCleared" else True
    assert not again.lane.busy


def test_after_a_restart_the_next_document_may_come_before_the_gate_is_seen(desk):
    """The one who was under way is still the one whom the counter tells of."""
    desk.feed(shown())
    again = Desk(PassengerLane("L1", PassengerSettings(), memo=desk.durable)).feed(shown("A2"))
    again.feed(gate(6, 5), 100)
    assert again.words() == ["PassageDecided", "PassageCleared"]
    assert (again.said[0].effect, again.said[1].attempt, again.said[1].recovered) == (Effect.HOLD_MANUAL, "A1", True)


def test_after_a_restart_nobody_opens_by_hand_before_the_last_release_is_settled(desk):
    desk.feed(shown())
    again = Desk(PassengerLane("L1", PassengerSettings(), memo=desk.durable))
    again.feed(AskOpen("M1", Direction.OUT, "tech", "why"))
    assert again.words() == []
    again.feed(gate(6, 5), 100).feed(AskOpen("M1", Direction.OUT, "tech", "why"))
    assert again.words() == ["PassageCleared", "GateOperated", "OpenGate"]


def test_a_board_without_counters_recovers_nothing_and_invents_nothing(desk):
    again = Desk(PassengerLane("L1", PassengerSettings(), memo=desk.durable)).feed(gate(0, 0, counts_survive=False))
    assert again.words() == []


class EverybodyIsCounted(RuleBasedStateMachine):
    """Whatever happens, with restarts at any moment: each person that the gate counted is told exactly once."""

    def __init__(self):
        super().__init__()
        self.inn = self.out = 0
        self.released = False
        self.desk = Desk(PassengerLane("L1", PassengerSettings()))
        self.number = 0
        self.at_start = None
        self.look()

    def look(self, sensors=(), after=50):
        self.desk.feed(gate(self.inn, self.out, self.desk.lane.memo.mode, self.released, sensors), after)

    def commands(self):
        for word in self.desk.said[self.number :]:
            if isinstance(word, OpenGate):
                self.released = True
            elif isinstance(word, CloseGate) and self.desk.gate_ok:
                self.released = False
        self.number = len(self.desk.said)

    @rule(direction=st.sampled_from(Direction), effect=st.sampled_from(Effect))
    def somebody_shows_a_document(self, direction, effect):
        self.desk.feed(shown(f"A{len(self.desk.said)}", effect, direction), 10)
        self.commands()

    @rule(inn=st.integers(0, 3), out=st.integers(0, 2), seen=st.booleans())
    def persons_pass(self, inn, out, seen):
        self.inn, self.out = self.inn + inn, self.out + out
        if inn or out:
            self.released = False
        if seen:
            self.look()
            self.commands()

    @rule(mode=st.sampled_from(LaneMode))
    def mode(self, mode):
        self.look()
        self.desk.feed(AskMode(mode, "tech", "why"), 10)
        assert isinstance(self.desk.said[-1], SetGateMode)

    @rule(after=st.integers(1, 12_000), sensors=st.sampled_from([(), ("entry",)]))
    def time_goes_on(self, after, sensors):
        self.look(sensors)
        self.desk.feed(Tick(), after)
        self.commands()

    @rule(ok=st.booleans(), disk=st.booleans())
    def gate_and_disk(self, ok, disk):
        self.desk.gate_ok, self.desk.disk_ok = ok, disk

    @precondition(lambda self: self.desk.said)
    @rule(looks=st.booleans())
    def restart(self, looks):
        desk = self.desk
        self.desk = Desk(PassengerLane("L1", PassengerSettings(), memo=desk.durable), desk.now + 5_000, desk.said)
        self.desk.durable = desk.durable
        if looks:
            self.look()
            self.commands()

    @rule(direction=st.sampled_from(Direction), after=st.sampled_from([500, 2_000, 12_000]))
    def the_gate_is_out_of_reach_once_it_is_open(self, direction, after):
        self.somebody_shows_a_document(direction, Effect.RELEASE)
        self.desk.gate_ok = False
        for _ in range(3):
            self.time_goes_on(after, ())

    @rule()
    def in_the_end_no_release_is_left(self):
        self.desk.gate_ok = True
        for _ in range(4):
            self.look(after=12_000)
            self.desk.feed(Tick(), 12_000)
            self.commands()
        assert not self.released or self.desk.lane.busy

    @invariant()
    def each_person_once(self):
        memo = self.desk.lane.memo
        told = sum(getattr(word, "persons", 0) for word in self.desk.said if getattr(word, "kind", "") != "jam")
        told += sum(type(word).__name__ == "PassageCleared" for word in self.desk.said)
        assert told == (memo.in_count or 0) + (memo.out_count or 0)
        decided = [word.attempt for word in self.desk.said if type(word).__name__ == "PassageDecided"]
        ended = [
            word.attempt for word in self.desk.said if type(word).__name__ in {"PassageCleared", "PassageTimedOut"}
        ]
        assert len(set(ended)) == len(ended)
        assert set(ended) <= set(decided)


TestEverybodyIsCounted = EverybodyIsCounted.TestCase
TestEverybodyIsCounted.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
