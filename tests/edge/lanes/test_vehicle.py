"""The vehicle lane: a table of stories, and a road on which anything may happen, with restarts at any moment."""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.clearance.model import Decision, Direction, Effect, Reason, ReasonCode
from core.messages.events import GateOperated, LaneMode
from core.messages.vehicle_events import VehicleAnomaly, VehicleCleared, VehicleDecided, VehicleTimedOut
from drivers.facts import PlateRead
from edge.lanes.signs import DISPLAY_WORDS, Showing, masked
from edge.lanes.vehicle import VehicleLane
from edge.lanes.vehicle_record import Post
from edge.lanes.vehicle_words import (
    Arm,
    BarrierObserved,
    Judged,
    Loop,
    LoopChanged,
    PlateSeen,
    State,
    ToBarrier,
    ToDisplay,
    ToJudge,
    ToLight,
    VehicleMemo,
    VehicleSettings,
)
from edge.lanes.votes import CameraRole
from edge.lanes.words import AskMode, AskOpen, Commit, GateDone, Recorded, Tick

A, B = "粤B12345", "粤C67890"


def token(text):
    return "v" + hashlib.sha256(text.encode()).hexdigest()[:43]


POST = Post("V1", Direction.IN, token, "CH-1", 2)


def reason(effect, rule="t"):
    return Reason(code=ReasonCode.DEFAULT, rule_id=rule, effect=effect.value)


class Stopped(Exception):
    """The machine went down in the middle."""


@dataclass
class Desk:
    """Does what the lane says, as a runner does, and writes it down."""

    lane: VehicleLane
    now: int = 0
    said: list = field(default_factory=list)
    events: list = field(default_factory=list)
    durable: VehicleMemo = field(default_factory=VehicleMemo)
    disk_ok: bool = True
    gate_ok: bool = True
    effect: Effect = Effect.RELEASE
    rule: str = "t"
    attempts: int = 0
    shown: list = field(default_factory=list)
    lit: list = field(default_factory=list)
    judged: list = field(default_factory=list)
    actions_left: int | None = None
    line: dict = field(default_factory=dict)

    def feed(self, happened, after=0):
        self.now += after
        if isinstance(happened, LoopChanged) and happened.loop in {Loop.UNDER, Loop.PHOTOCELL}:
            self.line[happened.loop] = happened.on
        actions = self.lane.handle(happened, self.now)
        assert sum(isinstance(action, Commit) for action in actions) <= 1, "memo and events may come apart"
        for action in actions:
            if self.actions_left is not None:
                if self.actions_left == 0:
                    raise Stopped
                self.actions_left -= 1
            self.do(action)
        return self

    def do(self, action):
        match action:
            case Commit():
                found = action.events if self.disk_ok else action.otherwise or action.events
                self.said += found
                self.events += found
                self.durable = self.lane.memo
                if action.answer and self.disk_ok:
                    self.feed(Recorded(ok=True))
                elif action.answer:
                    # What is only owed is lost with the machine, the memo with its event: no crash in between.
                    left, self.actions_left = self.actions_left, None
                    self.feed(Recorded(ok=False))
                    self.durable, self.actions_left = self.lane.memo, left
            case ToJudge(plates=plates):
                self.attempts += 1
                self.judged.append(plates)
                decision = Decision(self.effect, (reason(self.effect, self.rule),), 1)
                self.feed(Judged(f"A{self.attempts}", decision, 0.1))
            case ToBarrier(move=move, answer=answer):
                assert move == "open" or (self.line and not any(self.line.values())), "closed on a vehicle, or blindly"
                self.said.append(action)
                if answer:
                    self.feed(GateDone(self.gate_ok, 5.0))
            case ToDisplay(lines=lines):
                self.shown.append(lines)
            case ToLight(on=on):
                self.lit.append(on)

    def loop(self, name, on, after=100):
        return self.feed(LoopChanged(Loop(name), on), after)

    def arm(self, arm, after=100):
        return self.feed(BarrierObserved(Arm(arm)), after)

    def read(self, plate=A, times=3, role=CameraRole.FRONT, confidence=0.95, after=10):
        for _ in range(times):
            self.feed(PlateSeen(role, PlateRead(plate=plate, confidence=confidence), "CAM-1"), after)
        return self

    def arrive(self, plate=A):
        return self.loop("approach", on=True).read(plate)

    def through(self):
        """Drive through, the arm up."""
        self.arm("open").loop("under", on=True).loop("approach", on=False).loop("exit", on=True)
        return self.loop("under", on=False).loop("exit", on=False).feed(Tick(), 300)

    def words(self):
        return [
            f"{word.move}:{word.why}"
            if isinstance(word, ToBarrier)
            else type(word).__name__ + (f":{word.kind}" if hasattr(word, "kind") else "")
            for word in self.said
        ]


def lane(memo=None, **settings):
    return VehicleLane(POST, VehicleSettings(**settings), memo=memo or VehicleMemo())


def begin(desk, after=0):
    """The first words of all inputs and of the barrier: nothing is there, the arm is down."""
    desk.now += after
    desk.arm("closed")
    for name in ("approach", "under", "exit"):
        desk.loop(name, on=False)
    return desk


@pytest.fixture
def desk():
    return begin(Desk(lane()))


RELEASED = ["VehicleDecided", "open:release"]


def test_a_released_vehicle_passes(desk):
    desk.arrive().through().arm("closed")
    assert desk.words() == [*RELEASED, "VehicleCleared", "close:passed"]
    decided, cleared = desk.said[0], desk.said[2]
    assert (decided.plate_token, decided.reads, decided.barrier, decided.channel) == (token(A), 3, 2, "CH-1")
    assert (cleared.attempt, cleared.plate_token, cleared.duration_ms) == ("A1", token(A), 900)
    assert desk.lane.state is State.IDLE


def test_no_plate_stands_in_an_event_or_a_memo(desk):
    desk.arrive().through()
    told = "".join(word.model_dump_json() for word in desk.events) + desk.durable.model_dump_json()
    assert "12345" not in told


@pytest.mark.parametrize("effect", [e for e in Effect if e is not Effect.RELEASE])
def test_who_is_not_released_is_held_until_it_leaves(desk, effect):
    desk.effect = effect
    desk.arrive().read()
    assert desk.words() == ["VehicleDecided"]
    assert desk.lane.state is State.HELD
    assert desk.shown[-1] == (masked(A), *DISPLAY_WORDS[Showing(effect.value)])
    desk.loop("approach", on=False)
    assert desk.lane.state is State.IDLE


def test_the_barrier_opens_only_after_the_record(desk):
    lane = desk.arrive("").lane
    actions = lane.handle(Tick(), desk.now + 3_000)
    assert [type(action) for action in actions] == [ToJudge]
    judged = Judged("A9", Decision(Effect.RELEASE, (reason(Effect.RELEASE),), 1))
    assert [type(action) for action in lane.handle(judged, desk.now)] == [Commit]
    assert lane.handle(Recorded(ok=True), desk.now) == (ToBarrier("open", "release", answer=True),)


@pytest.mark.parametrize(("policy", "opens"), [("refuse", False), ("release", True)])
def test_a_buffer_that_cannot_commit_follows_the_lanes_policy(policy, opens):
    desk = begin(Desk(lane(when_unrecordable=policy)))
    desk.disk_ok = False
    desk.arrive()
    assert ("open:release" in desk.words()) is opens
    decided = desk.said[0]
    assert decided.unrecorded
    assert decided.effect is (Effect.RELEASE if opens else Effect.REFUSE)
    assert decided.reasons[0].code is (ReasonCode.DEFAULT if opens else ReasonCode.NO_RECORD)
    assert (desk.durable.open is not None) is opens


@pytest.mark.parametrize(
    ("rule", "told"), [("list.fuzzy.refuse", Effect.DIVERT_SECONDARY), ("list.refuse", Effect.REFUSE)]
)
def test_a_near_reading_diverts_and_never_refuses(desk, rule, told):
    desk.effect, desk.rule = Effect.REFUSE, rule
    desk.arrive()
    assert (desk.said[0].effect, desk.said[0].fuzzy) == (told, rule.startswith("list.fuzzy"))


def test_nobody_comes_and_the_release_is_taken_back_before_it_is_called_timed_out(desk):
    desk.arrive().arm("open").feed(Tick(), 15_000)
    assert desk.words() == [*RELEASED, "close:unused"]
    desk.arm("moving").arm("closed")
    assert desk.words() == [*RELEASED, "close:unused", "VehicleTimedOut"]


def test_after_a_time_out_whoever_still_stands_there_must_be_read_again(desk):
    desk.arrive().arm("open").feed(Tick(), 15_000).arm("closed")
    assert desk.lane.state is State.HELD
    desk.read()
    assert desk.words()[-2:] == RELEASED


def test_an_arm_that_never_tells_of_closing_ends_by_time(desk):
    desk.arrive().arm("open").feed(Tick(), 15_000).feed(Tick(), 8_000)
    assert desk.words()[-1] == "VehicleTimedOut"


def test_a_barrier_command_that_fails_is_not_repeated(desk):
    desk.gate_ok = False
    desk.arrive().arm("closed")
    assert desk.words() == [*RELEASED, "close:unused", "VehicleTimedOut"]


def test_the_arm_stays_up_over_a_jammed_vehicle(desk):
    desk.arrive().arm("open").loop("under", on=True).feed(Tick(), 30_000).feed(Tick(), 300_000)
    assert desk.words() == [*RELEASED, "VehicleAnomaly:jam"]
    desk.loop("exit", on=True).loop("under", on=False).feed(Tick(), 300)
    assert desk.words()[-2:] == ["VehicleCleared", "close:passed"]


def test_who_drives_in_while_the_arm_comes_down_gets_it_up_again_and_is_cleared(desk):
    desk.arrive().arm("open").feed(Tick(), 15_000).arm("moving").loop("under", on=True)
    assert desk.words() == [*RELEASED, "close:unused", "open:safety"]
    desk.loop("exit", on=True).loop("under", on=False).feed(Tick(), 300)
    assert desk.words()[-2:] == ["VehicleCleared", "close:passed"]


def test_a_photocell_alone_holds_the_arm_up():
    desk = begin(Desk(lane(loops={"under", "photocell", "exit"}))).loop("photocell", on=False)
    desk.arrive().loop("photocell", on=True).loop("under", on=True).loop("exit", on=True).loop("under", on=False)
    desk.feed(Tick(), 10_000)
    assert desk.words() == RELEASED
    desk.loop("photocell", on=False).feed(Tick(), 300)
    assert desk.words()[-1] == "close:passed"


def test_a_gap_before_a_trailer_is_not_the_end(desk):
    desk.arrive().loop("under", on=True).loop("exit", on=True).loop("under", on=False).loop("under", on=True, after=200)
    desk.feed(Tick(), 400)
    assert desk.words() == RELEASED


def test_a_vehicle_that_backs_out_is_not_cleared(desk):
    desk.arrive().loop("under", on=True).loop("under", on=False).feed(Tick(), 30_000).arm("closed")
    assert desk.words() == [*RELEASED, "close:unused", "VehicleTimedOut"]


def drive(*steps):
    def story(desk):
        for name, on, after in steps:
            desk.loop(name, on=on, after=after)

    return story


@pytest.mark.parametrize(
    ("story", "told"),
    [
        pytest.param(drive(("under", True, 500)), ["VehicleAnomaly:tailgate", "open:safety"], id="close behind"),
        pytest.param(drive(("under", True, 5_001)), ["VehicleAnomaly:forced", "open:safety"], id="much later"),
        pytest.param(
            drive(("exit", True, 500), ("under", True, 100)), ["VehicleAnomaly:wrong_way", "open:safety"], id="oncoming"
        ),
        pytest.param(
            drive(("exit", True, 100), ("exit", False, 100), ("under", True, 1_000)),
            ["VehicleAnomaly:wrong_way", "open:safety"],
            id="oncoming, short",
        ),
        pytest.param(
            drive(("exit", True, 100), ("approach", True, 100), ("under", True, 100)),
            ["VehicleAnomaly:tailgate", "open:safety"],
            id="one in front, one behind",
        ),
    ],
)
def test_who_comes_into_the_line_after_a_cleared_vehicle_is_an_anomaly_and_not_hit(desk, story, told):
    desk.arrive().through()
    said = len(desk.said)
    story(desk)
    assert desk.words()[said:] == told
    desk.loop("under", on=False).feed(Tick(), 300)
    assert desk.words()[said:] == [*told, "close:passed"]


def test_a_tailgater_is_told_with_the_attempt_it_followed_and_its_own_plate(desk):
    desk.arrive().through().loop("approach", on=True).read(B).loop("under", on=True)
    anomaly = desk.events[-1]
    assert (anomaly.kind, anomaly.attempt, anomaly.plate_token) == ("tailgate", "A1", token(B))


@pytest.mark.parametrize(("trailers", "tailgates"), [(False, 1), (True, 0)])
def test_two_pulses_of_the_exit_in_one_passage_are_two_vehicles_where_there_are_no_trailers(trailers, tailgates):
    desk = begin(Desk(lane(trailers=trailers)))
    desk.arrive().loop("under", on=True)
    for on in (True, False, True, False):
        desk.loop("exit", on=on)
    assert desk.words().count("VehicleAnomaly:tailgate") == tailgates


def test_forced_through_a_closed_barrier(desk):
    desk.effect = Effect.REFUSE
    desk.arrive().loop("under", on=True).loop("under", on=False).feed(Tick(), 300)
    assert desk.words() == ["VehicleDecided", "VehicleAnomaly:forced"]
    assert desk.events[-1].plate_token == token(A)


def test_against_a_release_the_oncoming_one_is_told_and_the_release_ends(desk):
    desk.arrive().loop("approach", on=False).arm("open").loop("exit", on=True).loop("under", on=True)
    desk.loop("exit", on=False).loop("under", on=False).feed(Tick(), 300).arm("closed")
    assert desk.words() == [*RELEASED, "VehicleAnomaly:wrong_way", "close:passed", "VehicleTimedOut"]


@pytest.mark.parametrize(
    ("rear", "mismatch"),
    [
        ([A] * 2, False),
        (["粤B1234S"] * 2, False),
        ([B] * 3, True),
        (["MX1234"] * 2, False),
        ([A, A, "粤B12395"], False),
        ([], False),
    ],
)
def test_front_and_rear_are_compared_after_clearing(desk, rear, mismatch):
    desk.arrive().through()
    for plate in rear:
        desk.read(plate, 1, CameraRole.REAR)
    desk.feed(Tick(), 2_000)
    told = [word for word in desk.events if isinstance(word, VehicleAnomaly)]
    assert bool(told) is mismatch
    if mismatch:
        assert (told[0].kind, told[0].attempt, told[0].other_tokens) == ("plate_mismatch", "A1", (token(B),))


def test_a_rear_read_unsurely_is_no_mismatch(desk):
    desk.arrive().through().read(B, 2, CameraRole.REAR, confidence=0.4).feed(Tick(), 2_000)
    assert "VehicleAnomaly:plate_mismatch" not in desk.words()


ONE_OFF = A[:-1] + ("6" if A[-1] != "6" else "7")
"""A plate that differs from A in one sign."""


def follow(desk, plate, confidence=0.95, *, free=True, times=3):
    """Let A go through with somebody close behind, who is read as `plate`; `free`: the approach is free in between."""
    desk.arrive().feed(Tick(), 800).arm("open").loop("under", on=True)
    if free:
        desk.loop("approach", on=False).loop("approach", on=True)
    desk.read(plate, times, confidence=confidence)
    desk.loop("exit", on=True).loop("under", on=False).loop("exit", on=False).feed(Tick(), 300).arm("closed")
    return desk.feed(Tick(), 3_000)


def test_the_second_of_a_convoy_is_judged_by_its_own_plate_though_it_differs_in_one_sign(desk):
    follow(desk, ONE_OFF)
    assert [plates.texts for plates in desk.judged] == [(A,), (ONE_OFF,)]


@pytest.mark.parametrize(
    ("plate", "more"),
    [
        pytest.param(A, {}, id="the same plate is a late read of the first"),
        pytest.param(ONE_OFF, {"confidence": 0.5}, id="an unsure one may be a misreading"),
        pytest.param(ONE_OFF, {"free": False}, id="nothing has come to the approach"),
        pytest.param(A[:-1], {}, id="no sound plate"),
    ],
)
def test_what_may_be_a_late_read_of_the_first_is_not_the_plate_of_the_second(desk, plate, more):
    follow(desk, plate, **more)
    assert [plates.texts for plates in desk.judged] == [(A,), ()]


def test_what_was_misread_of_the_first_is_no_plate_of_the_second(desk):
    desk.loop("approach", on=True).read(ONE_OFF, 1, confidence=0.6)
    follow(desk, ONE_OFF)
    assert [plates.texts for plates in desk.judged] == [(A,), ()]


def test_a_vehicle_that_no_camera_tells_of_is_judged_as_one_without_a_plate(desk):
    desk.effect = Effect.DIVERT_SECONDARY
    desk.loop("approach", on=True).feed(Tick(), 3_000)
    assert (desk.events[0].reads, desk.events[0].plate_token) == (0, "")
    assert desk.shown[-1] == DISPLAY_WORDS[Showing.NO_PLATE]
    desk.read()
    assert len(desk.judged) == 2


def test_empty_reads_are_counted(desk):
    desk.loop("approach", on=True).read("", 2).feed(Tick(), 800)
    assert (desk.events[0].reads, desk.events[0].empty_reads) == (2, 2)


def test_an_unsure_plate_waits_for_the_window(desk):
    desk.loop("approach", on=True).read(times=1)
    assert desk.words() == []
    desk.feed(Tick(), 800)
    assert desk.words() == RELEASED


def test_the_follower_is_read_while_the_first_passes_and_judged_when_the_arm_is_down(desk):
    desk.arrive().arm("open").loop("under", on=True).loop("approach", on=False).loop("exit", on=True)
    desk.loop("approach", on=True).read(A, 1).read(B, 2).loop("under", on=False).feed(Tick(), 300).arm("closed")
    desk.feed(Tick(), 400)
    assert [plates.texts for plates in desk.judged] == [(A,), (B,)]


def test_a_late_read_of_the_cleared_vehicle_is_not_the_followers(desk):
    desk.arrive().through().arm("closed").read(A, 2).loop("approach", on=True).read(B)
    assert desk.judged[-1].texts == (B,)


def test_old_reads_are_of_a_vehicle_that_went_elsewhere(desk):
    desk.read(A, 2).loop("approach", on=True, after=10_001).read(B)
    assert desk.judged[0].texts == (B,)


def test_reads_alone_serve_a_lane_without_an_approach_loop():
    desk = Desk(lane(loops={"under"})).arm("closed").loop("under", on=False)
    desk.read().arm("open").loop("under", on=True).loop("under", on=False).feed(Tick(), 300).arm("closed")
    assert desk.words() == [*RELEASED, "VehicleCleared", "close:passed"]
    desk.effect = Effect.REFUSE
    desk.read(B, after=3_000).read(B)
    assert desk.lane.state is State.HELD
    desk.feed(Tick(), 10_000)
    assert desk.lane.state is State.IDLE


@pytest.mark.parametrize("mode", [LaneMode.FREE, LaneMode.EMERGENCY])
def test_free_modes_keep_the_arm_up_and_count_vehicles(desk, mode):
    desk.feed(AskMode(mode, "tech", "drill")).arm("open")
    for _ in range(2):
        desk.loop("under", on=True).loop("under", on=False).feed(Tick(), 300)
    assert desk.words() == ["LaneModeChanged", "open:mode", "VehiclePassedFree", "VehiclePassedFree"]
    desk.feed(AskMode(LaneMode.NORMAL, "tech", "over")).arm("closed")
    assert desk.words()[-2:] == ["LaneModeChanged", "close:passed"]


def test_a_released_vehicle_in_free_mode_is_cleared_and_the_arm_stays_up(desk):
    desk.feed(AskMode(LaneMode.FREE, "tech", "drill")).arrive().through()
    assert desk.words() == ["LaneModeChanged", "open:mode", *RELEASED, "VehicleCleared"]


def test_normal_again_with_a_vehicle_in_the_line_closes_behind_it(desk):
    desk.feed(AskMode(LaneMode.FREE, "tech", "drill")).arm("open").loop("under", on=True)
    desk.feed(AskMode(LaneMode.NORMAL, "tech", "over"))
    assert desk.words()[-1] == "LaneModeChanged"
    desk.loop("under", on=False).feed(Tick(), 300)
    assert desk.words()[-2:] == ["VehiclePassedFree", "close:passed"]


def test_free_mode_while_the_arm_comes_down_ends_the_release_in_the_same_commit(desk):
    desk.arrive().arm("open").feed(Tick(), 15_000).feed(AskMode(LaneMode.EMERGENCY, "tech", "fire"))
    assert desk.words() == [*RELEASED, "close:unused", "LaneModeChanged", "VehicleTimedOut", "open:mode"]


def test_a_locked_lane_refuses_and_takes_a_release_back(desk):
    desk.arrive().arm("open").feed(AskMode(LaneMode.LOCKED, "tech", "closed")).arm("closed")
    assert desk.words() == [*RELEASED, "LaneModeChanged", "close:unused", "VehicleTimedOut"]
    desk.read()
    assert (desk.events[-1].effect, desk.events[-1].reasons[0].code) == (Effect.REFUSE, ReasonCode.LANE_LOCKED)


def test_opened_by_hand_a_held_vehicle_keeps_its_plate(desk):
    desk.effect = Effect.HOLD_MANUAL
    desk.arrive().feed(AskOpen("M1", Direction.IN, "officer", "checked")).through()
    assert desk.words() == ["VehicleDecided", "GateOperated", "open:hand", "VehicleCleared", "close:passed"]
    assert (desk.events[-1].attempt, desk.events[-1].plate_token) == ("M1", token(A))


def test_opened_by_hand_the_other_way_round(desk):
    desk.feed(AskOpen("M1", Direction.OUT, "officer", "turned away")).arm("open")
    desk.loop("exit", on=True).loop("under", on=True).loop("exit", on=False).loop("under", on=False).feed(Tick(), 300)
    assert desk.words() == ["GateOperated", "open:hand", "VehicleCleared", "close:passed"]
    assert desk.events[-1].direction is Direction.OUT


def test_nobody_opens_by_hand_over_a_vehicle_in_the_line(desk):
    desk.loop("under", on=True).feed(AskOpen("M1", Direction.IN, "officer", "why"))
    assert desk.words() == ["VehicleAnomaly:forced"]


def test_a_lane_that_has_not_seen_its_line_or_barrier_holds_vehicles():
    for missing in ("loop", "barrier"):
        desk = Desk(lane())
        if missing == "loop":
            desk.arm("closed")
        else:
            desk.loop("under", on=False).feed(Tick(), 8_000)
        desk.arrive()
        decided = next(word for word in desk.events if isinstance(word, VehicleDecided))
        assert (decided.effect, decided.reasons[0].code) == (Effect.HOLD_MANUAL, ReasonCode.GATE_SILENT), missing
        assert "close:unused" not in desk.words() or missing == "barrier"


def test_the_light_goes_with_the_vehicle(desk):
    desk.arrive().through().arm("closed")
    assert desk.lit == [False, True, False]


@pytest.mark.parametrize(
    ("text", "shown"), [("粤B12345", "粤B***45"), ("MX1234", "M****4"), ("A1", "A*"), ("A", "A"), ("", "")]
)
def test_a_display_hides_the_middle_of_a_plate(text, shown):
    assert masked(text) == shown


def test_settings_without_an_input_in_the_line_are_refused():
    with pytest.raises(ValueError, match="under"):
        VehicleSettings(loops={"approach", "exit"})


def again(desk, under, arm="open"):
    """The edge starts anew with what is on disk, and the inputs tell of themselves."""
    new = Desk(lane(memo=VehicleMemo.model_validate_json(desk.durable.model_dump_json())), now=5)
    return new.arm(arm).loop("exit", on=False).loop("under", on=under)


@pytest.mark.parametrize(
    ("before", "under", "told"),
    [
        pytest.param((), False, ["close:unused", "VehicleTimedOut"], id="released"),
        pytest.param((), True, ["VehicleCleared", "close:passed"], id="released, in the line now"),
        pytest.param((("under", True),), False, ["VehicleCleared", "close:passed"], id="entered, gone now"),
        pytest.param((("under", True),), True, ["VehicleCleared", "close:passed"], id="entered, in the line still"),
    ],
)
def test_after_a_restart_a_release_ends_once(desk, before, under, told):
    desk.arrive()
    for name, on in before:
        desk.loop(name, on=on)
    new = again(desk, under)
    if under:
        new.loop("under", on=False).feed(Tick(), 300)
    new.arm("closed")
    assert new.words() == told
    assert all(word.recovered for word in new.events)
    assert new.durable.open is None
    assert again(new, under=False, arm="closed").words() == []


def test_after_a_restart_the_arm_waits_for_the_line_to_tell():
    desk = begin(Desk(lane())).arrive().arm("open")
    new = Desk(lane(memo=desk.durable)).arm("open").feed(Tick(), 60_000)
    assert new.words() == []


class OnTheRoad(RuleBasedStateMachine):
    """Anything may happen, in any order, and the machine may go down between any two actions."""

    def __init__(self):
        super().__init__()
        self.desk = Desk(lane())
        self.real = {"approach": False, "under": False, "exit": False}

    @initialize()
    def start(self):
        begin(self.desk)

    def feed(self, happened, after):
        try:
            self.desk.feed(happened, after)
        except Stopped:
            self.restart(looks=True)

    @rule(name=st.sampled_from(["approach", "under", "exit"]), on=st.booleans(), after=st.integers(0, 3_000))
    def loop(self, name, on, after):
        self.real[name] = on
        self.feed(LoopChanged(Loop(name), on), after)

    @rule(arm=st.sampled_from(Arm), after=st.integers(0, 3_000))
    def arm(self, arm, after):
        self.feed(BarrierObserved(arm), after)

    @rule(
        plate=st.sampled_from([A, B, "", "??", "粤Z1234澳"]),
        role=st.sampled_from(CameraRole),
        times=st.integers(1, 4),
        after=st.integers(0, 400),
    )
    def read(self, plate, role, times, after):
        for _ in range(times):
            self.feed(PlateSeen(role, PlateRead(plate=plate, confidence=0.95)), after)

    @rule(effect=st.sampled_from([Effect.RELEASE, Effect.RELEASE, Effect.REFUSE]))
    def arrives(self, effect):
        self.desk.effect = effect
        self.loop("approach", on=True, after=10)
        self.read(A, CameraRole.FRONT, 3, 10)

    @rule()
    def drives_through(self):
        steps = [("under", True), ("approach", False), ("exit", True), ("under", False), ("exit", False)]
        for name, on in steps:
            self.loop(name, on=on, after=300)
        self.feed(Tick(), 400)

    @rule(after=st.integers(1, 40_000))
    def time_goes_on(self, after):
        self.feed(Tick(), after)

    @rule(mode=st.sampled_from(LaneMode))
    def mode(self, mode):
        self.feed(AskMode(mode, "tech", "why"), 10)

    @rule(direction=st.sampled_from(Direction))
    def by_hand(self, direction):
        self.desk.attempts += 1
        self.feed(AskOpen(f"A{self.desk.attempts}", direction, "tech", "why"), 10)

    @rule(ok=st.booleans(), disk=st.booleans())
    def gate_and_disk(self, ok, disk):
        self.desk.gate_ok, self.desk.disk_ok = ok, disk

    @rule(left=st.integers(0, 3))
    def goes_down_soon(self, left):
        self.desk.actions_left = left

    @rule(looks=st.booleans())
    def restart(self, looks):
        old = self.desk
        memo = VehicleMemo.model_validate_json(old.durable.model_dump_json())
        self.desk = Desk(lane(memo=memo), old.now + 2_000, old.said, old.events, memo, attempts=old.attempts)
        if looks:
            self.desk.arm("open")
            for name, on in self.real.items():
                self.desk.loop(name, on=on)

    def teardown(self):
        """Let everything come to its end: each release has ended exactly once."""
        self.desk.actions_left, self.desk.gate_ok = None, True
        for name in self.real:
            self.loop(name, on=False, after=100)
        for _ in range(4):
            self.feed(Tick(), 60_000)
        assert self.desk.lane.memo.open is None
        assert self.desk.durable.open is None
        assert self.ended() == self.begun()

    def begun(self):
        return sorted(
            word.attempt
            for word in self.desk.events
            if isinstance(word, GateOperated)
            or (isinstance(word, VehicleDecided) and word.effect is Effect.RELEASE and not word.unrecorded)
        )

    def ended(self):
        return sorted(word.attempt for word in self.desk.events if isinstance(word, VehicleCleared | VehicleTimedOut))

    @invariant()
    def each_release_ends_at_most_once(self):
        ended = self.ended()
        assert len(set(ended)) == len(ended)
        assert set(ended) <= set(self.begun())

    @invariant()
    def opens_for_a_vehicle_follow_their_record(self):
        for before, word in pairwise([None, *self.desk.said]):
            if isinstance(word, ToBarrier) and word.why == "release":
                assert isinstance(before, VehicleDecided)
                assert before.effect is Effect.RELEASE
                assert not before.unrecorded


TestOnTheRoad = OnTheRoad.TestCase
TestOnTheRoad.settings = hypothesis_settings(max_examples=80, stateful_step_count=40, deadline=None)
