"""The cabin: tables of stories, then whatever people do, with restarts at any moment."""

import json
from dataclasses import replace

import pytest

from core.clearance.model import Effect
from core.messages.cabin_events import (
    BoardingClosed,
    CabinAnomaly,
    CabinFault,
    PassengerHeld,
    PassengerLeft,
    PassengerRuled,
    PassengerVerified,
    Ruling,
)
from core.messages.event import Event
from core.messages.events import LaneMode
from drivers.cabin.commands import SetDoors
from drivers.cabin.facts import CabinObserved, Door
from drivers.facts import CredentialRead
from edge.clearance import Judged
from edge.lanes.cabin_words import LEGAL, STEPS, CabinSettings, CabinSilent, Step
from edge.lanes.words import AskMode, Recorded, Tick

from .cabin_rig import CLOSING, Rig, close, opening, ready, rule_on, token


@pytest.fixture
def cabin():
    return ready()


# -- who is released ------------------------------------------------------------------------------------------------


def test_a_passenger_whose_document_face_and_lists_agree_leaves_by_the_exit(cabin):
    cabin.passes("ann")
    assert cabin.words() == ["BoardingOpened", "PassengerVerified", "PassengerLeft"]
    verified, left = cabin.events()[1:]
    assert (verified.attempt, verified.subject_token, verified.expected) == ("B1-0001", token("ann"), True)
    assert (verified.face_score, verified.ruleset_version, verified.offline) == (0.95, 7, True)
    assert (left.attempt, left.recovered, left.duration_ms > 0) == ("B1-0001", False, True)
    screens = [word for word in cabin.said if isinstance(word, str)]
    assert screens == ["[closed]", "[enter]", "[alone]", "[document]", "[face]", "[wait]", "[go]", "[enter]"]
    assert cabin.lane.step is Step.WAITING


def test_the_exit_is_freed_only_after_the_record():
    cabin = ready().goes_in().document("ann")
    before = len(cabin.said)
    cabin.face().settle()
    tail = cabin.said[before:]
    assert next(i for i, word in enumerate(tail) if isinstance(word, PassengerVerified)) < next(
        i for i, word in enumerate(tail) if isinstance(word, SetDoors) and not word.exit_locked
    )


def test_a_record_that_never_comes_opens_nothing(cabin):
    cabin.goes_in().document("ann")
    cabin._do = lambda happened: cabin.lane.handle(happened, cabin.now)
    cabin.face().settle()
    assert cabin.lane.step is Step.RECORDING
    assert cabin.locks == [True, True]


@pytest.mark.parametrize(("policy", "step"), [("hold", Step.HELD), ("release", Step.RELEASING)])
def test_a_buffer_that_cannot_commit_follows_the_cabins_policy(policy, step):
    cabin = ready(settings=CabinSettings(when_unrecordable=policy)).goes_in().document("ann")
    cabin.disk_ok = False
    cabin.face().settle()
    assert cabin.lane.step is step
    told = cabin.events()[-1]
    if policy == "hold":
        assert (type(told), told.why, cabin.locks) == (PassengerHeld, "no_record", [True, True])
        assert cabin.durable.boarding.counts.held == 1
        rule_on(cabin, Ruling.RELEASE).settle()
        assert cabin.words()[-1] == "CabinAnomaly:no_record"
        assert (cabin.lane.step, cabin.locks) == (Step.HELD, [True, True])
        cabin.disk_ok = True
        rule_on(cabin, Ruling.RELEASE).settle()
        assert cabin.lane.step is Step.RELEASING
    else:
        assert (type(told), told.unrecorded) == (PassengerVerified, True)


@pytest.mark.parametrize("effect", [e for e in Effect if e is not Effect.RELEASE])
def test_whom_the_engine_does_not_release_is_held(effect):
    cabin = ready(effects={"ann": effect}).goes_in().document("ann").face().settle()
    held = cabin.events()[-1]
    assert (held.why, held.effect, held.reasons[0].effect) == ("clearance", effect, effect.value)
    assert (cabin.lane.step, cabin.locks) == (Step.HELD, [True, True])


def test_the_lists_are_asked_at_the_moment_of_the_decision(cabin):
    cabin.goes_in().document("ann")
    cabin.effects["ann"] = Effect.REFUSE
    assert cabin.face().words()[-1] == "PassengerHeld:clearance"


@pytest.mark.parametrize(
    ("faces", "why"),
    [
        ([(0.1, 0.99)] * 3, "face_mismatch"),
        ([(0.99, 0.1)] * 3, "not_live"),
        ([(0.99, None)] * 3, "not_live"),
        ([(0.79, 0.99), (0.1, 0.1), (0.99, 0.79)], "not_live"),
        ([(0.1, 0.99), (0.1, 0.99), (0.8, 0.8)], None),
    ],
)
def test_the_face_must_be_live_and_fit(cabin, faces, why):
    cabin.goes_in().document("ann")
    for score, liveness in faces:
        cabin.face(score, liveness)
    assert cabin.words()[-1] == (f"PassengerHeld:{why}" if why else "PassengerVerified")
    assert cabin.said.count("[face_again]") == 2


def test_a_terminal_without_liveness_is_taken_where_the_settings_say_so():
    cabin = ready(settings=CabinSettings(liveness_threshold=0)).goes_in().document("ann").face(liveness=None)
    assert cabin.words()[-1] == "PassengerVerified"


def test_a_face_from_before_the_document_or_told_twice_counts_for_nobody(cabin):
    cabin.goes_in().face().document("ann").face(age=5_000).face(0.1, attempt="same").face(0.99, attempt="same")
    assert (cabin.lane.ignored, cabin.lane.step) == (3, Step.FACE)
    cabin.face(0.99, attempt="other").settle().goes_out("exit").goes_in().document("bob").face(attempt="other")
    assert (cabin.lane.ignored, cabin.lane.step) == (4, Step.FACE)


@pytest.mark.parametrize("texts", [["?", "?", "?"], ["?", "?", "ann"]])
def test_a_document_may_be_shown_again(cabin, texts):
    cabin.goes_in()
    for text in texts:
        cabin.document(text)
    good = texts[-1] == "ann"
    assert cabin.said.count("[document_again]") == 2
    assert cabin.lane.step is (Step.FACE if good else Step.HELD)
    if not good:
        assert (cabin.events()[-1].why, cabin.events()[-1].subject_token) == ("document_unreadable", "")


def test_a_document_in_an_empty_cabin_is_ignored(cabin):
    cabin.document("ann")
    assert (cabin.lane.ignored, cabin.words()) == (1, ["BoardingOpened"])


@pytest.mark.parametrize(("policy", "word"), [("hold", "PassengerHeld:not_expected"), ("release", "PassengerVerified")])
def test_a_stranger(policy, word):
    cabin = ready(settings=CabinSettings(unexpected=policy)).goes_in().document("eve").face()
    assert cabin.words()[-1] == word
    assert not cabin.events()[-1].expected


# -- alone ----------------------------------------------------------------------------------------------------------


def test_two_are_told_to_step_out(cabin):
    cabin.goes_in(2)
    assert (cabin.words()[-1], cabin.events()[-1].persons) == ("CabinAnomaly:crowded", 2)
    assert (cabin.lane.step, cabin.locks) == (Step.STEPPING_OUT, [False, True])
    cabin.goes_out("entrance")
    assert cabin.lane.step is Step.STEPPING_OUT
    cabin.goes_out("entrance")
    assert cabin.lane.step is Step.WAITING


@pytest.mark.parametrize("step", [Step.DOCUMENT, Step.FACE, Step.HELD])
@pytest.mark.parametrize(("persons", "kind"), [(2, "crowded"), (0, "lost_sight")])
def test_a_visit_ends_when_it_is_not_one_person(cabin, step, persons, kind):
    at(cabin, step)
    cabin.inside = persons
    cabin.look()
    assert cabin.words()[-1] == f"CabinAnomaly:{kind}"
    assert cabin.events()[-1].attempt == "B1-0001"
    assert cabin.lane.memo.visit is None


@pytest.mark.parametrize("step", [Step.DOCUMENT, Step.FACE, Step.HELD, Step.RELEASING, Step.WAITING])
def test_a_count_that_is_stale_lets_nobody_on(cabin, step):
    at(cabin, step)
    before = len(cabin.events())
    stale = replace(cabin.state(), faults=frozenset({"count_stale"}), occupancy=0 if step is Step.RELEASING else 1)
    cabin.feed(replace(stale, exit=Door(step is not Step.RELEASING, False))).feed(stale, 100)
    gone = step in {Step.DOCUMENT, Step.FACE, Step.HELD}
    assert cabin.words()[before:] == (["CabinAnomaly:lost_sight"] if gone else [])
    assert cabin.lane.step is (Step.STEPPING_OUT if gone else step)


def test_who_opens_the_entrance_before_its_bolt_has_shot_begins_again(cabin):
    cabin.entrance_open, cabin.inside = True, 1
    cabin.look()
    cabin.entrance_open = False
    cabin.locks[0] = False
    cabin.feed(cabin.state())
    assert cabin.lane.step is Step.DOCUMENT
    cabin.entrance_open = True
    cabin.lane._seen = CabinObserved(Door(True, False), Door(True, True), 1)
    cabin.look()
    assert cabin.lane.step is Step.ENTERING
    assert "CabinAnomaly:door_forced" not in cabin.words()


# -- doors ----------------------------------------------------------------------------------------------------------


def at(cabin, step):
    """Bring a cabin to a step."""
    match step:
        case Step.ENTERING:
            cabin.entrance_open = True
            cabin.look(6)
        case Step.DOCUMENT:
            cabin.goes_in()
        case Step.FACE:
            cabin.goes_in().document("ann")
        case Step.HELD:
            cabin.goes_in().document("eve").face().settle()
        case Step.RELEASING:
            cabin.goes_in().document("ann").face().settle()
        case Step.STEPPING_OUT:
            cabin.goes_in(2)
        case Step.SHUT:
            cabin.feed(AskMode(LaneMode.LOCKED, "P1", "pause")).settle()
    assert cabin.lane.step is step
    return cabin


WALK = [Step.SHUT, Step.WAITING, Step.ENTERING, Step.DOCUMENT, Step.FACE, Step.HELD, Step.RELEASING, Step.STEPPING_OUT]


@pytest.mark.parametrize("step", WALK)
def test_each_step_frees_the_door_that_the_table_says(cabin, step):
    at(cabin, step)
    way = STEPS[step].way.value
    assert cabin.locks == [way != "entrance", way != "exit"]
    assert cabin.both_free == []


@pytest.mark.parametrize("step", WALK)
def test_the_emergency_button_frees_both_doors_at_once_and_is_recorded_after(cabin, step):
    at(cabin, step)
    cabin.emergency, before = True, len(cabin.said)
    cabin.disk_ok = False
    cabin.look()
    assert cabin.said[before] == SetDoors(entrance_locked=False, exit_locked=False)
    assert cabin.words()[-1] == "LaneModeChanged"
    assert cabin.lane.step is Step.FREE
    cabin.feed(AskMode(LaneMode.NORMAL, "P1", "over"))
    assert "still pressed" in cabin.refused
    cabin.emergency = cabin.entrance_open = False
    cabin.disk_ok, cabin.inside = True, 0
    cabin.settle()
    assert cabin.lane.step is Step.FREE
    cabin.feed(AskMode(LaneMode.NORMAL, "P1", "over")).settle()
    assert cabin.lane.step is Step.WAITING


@pytest.mark.parametrize("step", WALK)
def test_without_mains_the_doors_are_free_until_it_is_back(cabin, step):
    at(cabin, step)
    cabin.power_ok = False
    cabin.look()
    assert (cabin.locks, cabin.words()[-1]) == ([False, False], "CabinAnomaly:power_lost")
    cabin.inside, cabin.entrance_open = 0, False
    cabin.settle()
    cabin.power_ok = True
    cabin.settle()
    assert cabin.lane.step is (Step.SHUT if step is Step.SHUT else Step.WAITING)


@pytest.mark.parametrize("step", [Step.DOCUMENT, Step.FACE, Step.HELD])
def test_the_egress_button_frees_the_entrance_also_without_a_record(cabin, step):
    at(cabin, step)
    cabin.disk_ok, cabin.egress = False, True
    cabin.settle()
    assert (cabin.lane.step, cabin.locks, cabin.words()[-1]) == (
        Step.STEPPING_OUT,
        [False, True],
        "CabinAnomaly:egress",
    )
    assert cabin.both_free == []


@pytest.mark.parametrize("step", [Step.DOCUMENT, Step.FACE, Step.HELD])
@pytest.mark.parametrize("door", ["entrance", "exit"])
def test_a_door_that_is_forced_ends_the_visit(cabin, step, door):
    at(cabin, step)
    setattr(cabin, f"{door}_open", True)
    cabin.look()
    told = [one for one in cabin.events(CabinAnomaly) if one.kind is CabinFault.DOOR_FORCED]
    assert [(one.door, one.attempt, one.step) for one in told] == [(door, "B1-0001", step.value)]
    cabin.settle()
    assert cabin.locks == [door != "entrance", True]
    setattr(cabin, f"{door}_open", False)
    cabin.inside = 0
    cabin.settle()
    assert cabin.lane.step is Step.WAITING


def test_the_exit_locks_again_while_the_entrance_is_forced(cabin):
    at(cabin, Step.RELEASING)
    cabin.entrance_open = True
    cabin.settle()
    assert (cabin.locks[1], cabin.words()[-1]) == (True, "CabinAnomaly:door_forced")
    cabin.entrance_open = False
    cabin.settle()
    assert cabin.locks == [True, False]


def test_a_lock_that_did_not_hear_is_told_again_with_pauses(cabin):
    at(cabin, Step.DOCUMENT)
    cabin.locks = [False, False]
    before = len(cabin.said)
    cabin.online = False
    cabin.look(25)
    assert cabin.said[before:] == [SetDoors(entrance_locked=True, exit_locked=True)] * 3
    cabin.online = True
    cabin.look(11)
    assert cabin.locks == [True, True]


# -- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "ms", "word", "then"),
    [
        (Step.ENTERING, 20_000, "CabinAnomaly:door_held_open", Step.ENTERING),
        (Step.DOCUMENT, 30_000, "CabinAnomaly:timed_out", Step.STEPPING_OUT),
        (Step.FACE, 30_000, "PassengerHeld:face_timed_out", Step.HELD),
        (Step.HELD, 60_000, "CabinAnomaly:officer_late", Step.HELD),
        (Step.RELEASING, 15_000, "CabinAnomaly:not_left", Step.STEPPING_OUT),
        (Step.STEPPING_OUT, 15_000, "CabinAnomaly:not_left", Step.STEPPING_OUT),
    ],
)
def test_each_step_has_its_time(cabin, step, ms, word, then):
    at(cabin, step)
    before = len(cabin.events())
    cabin.now = cabin.lane.deadline_ms - ms
    cabin.ticks(ms - 1)
    assert len(cabin.events()) == before
    cabin.ticks(1).ticks(1)
    assert cabin.words()[before:] == [word]
    assert cabin.lane.step is then


def test_an_exit_that_is_held_open_is_told_once(cabin):
    at(cabin, Step.RELEASING)
    cabin.exit_open = True
    cabin.look().ticks(15_000).ticks(15_000)
    assert cabin.words()[-2:] == ["PassengerVerified", "CabinAnomaly:door_held_open"]


def test_who_is_verified_and_does_not_leave_joins_the_first_attempt(cabin):
    at(cabin, Step.RELEASING).ticks(15_000).settle().goes_out("entrance").passes("ann")
    first, second = cabin.events(PassengerVerified)
    assert (first.repeated, second.repeated) == (False, True)
    counts = close(cabin).counts
    assert (counts.seen, counts.verified, counts.no_show) == (1, 1, 1)


# -- the officer ----------------------------------------------------------------------------------------------------


def test_an_officer_releases(cabin):
    at(cabin, Step.HELD)
    before = len(cabin.said)
    rule_on(cabin, Ruling.RELEASE).settle().goes_out("exit")
    assert isinstance(cabin.said[before + 1], PassengerRuled)
    assert cabin.words()[-2:] == ["PassengerRuled:release", "PassengerLeft"]
    counts = close(cabin).counts
    assert (counts.released_by_officer, counts.unexpected, counts.no_show) == (1, 1, 2)


def test_an_officer_refuses_and_it_stays_refused(cabin):
    at(cabin, Step.HELD)
    rule_on(cabin, Ruling.REFUSE).settle().goes_out("entrance").goes_in().document("eve").face()
    assert cabin.words()[-2:] == ["PassengerRuled:refuse", "PassengerHeld:already_refused"]
    assert cabin.lane.memo.boarding.counts.refused == 1


def test_again_is_the_same_attempt(cabin):
    cabin.goes_in().document("?").document("?").document("?")
    rule_on(cabin, Ruling.AGAIN).document("ann").face().settle().goes_out("exit")
    assert {one.attempt for one in cabin.events()[1:]} == {"B1-0001"}
    counts = close(cabin).counts
    assert (counts.seen, counts.verified, counts.held, counts.unexpected) == (1, 1, 0, 0)


def test_a_ruling_for_another_attempt_or_for_nobody_is_refused(cabin):
    rule_on(cabin, Ruling.RELEASE)
    assert cabin.refused == "nobody is held"
    at(cabin, Step.HELD)
    rule_on(cabin, Ruling.RELEASE, "B1-0009")
    assert "B1-0001 is held" in cabin.refused
    assert cabin.events(PassengerRuled) == []


@pytest.mark.parametrize("step", [Step.DOCUMENT, Step.FACE])
def test_the_call_button_brings_the_officer(cabin, step):
    at(cabin, step)
    cabin.call = True
    cabin.look(3)
    assert sorted(cabin.words()[1:]) == ["CabinAnomaly:called", "PassengerHeld:called"]


def test_the_call_button_of_who_is_held_is_told_once_for_each_press(cabin):
    at(cabin, Step.HELD)
    for pressed in (True, True, False, True):
        cabin.call = pressed
        cabin.look()
    assert cabin.words().count("CabinAnomaly:called") == 2


def test_somebody_with_the_document_of_one_who_left_is_held_and_counts_once(cabin):
    cabin.passes("ann").goes_in().document("ann").face()
    assert cabin.words()[-1] == "PassengerHeld:already_left"
    counts = cabin.lane.memo.boarding.counts
    assert (counts.seen, counts.verified, counts.held) == (1, 1, 0)


# -- the boarding ---------------------------------------------------------------------------------------------------


def test_two_boardings_do_not_overlap(cabin):
    cabin.feed(opening("B2"))
    assert cabin.refused == "boarding B1 is open here"
    close(cabin)
    cabin.settle().feed(opening("B2")).settle()
    assert (cabin.lane.step, cabin.refused) == (Step.WAITING, "")


def test_no_boarding_opens_while_the_cabin_is_not_seen_or_not_normal():
    assert "lost" in Rig().feed(opening()).refused
    locked = Rig().settle().feed(AskMode(LaneMode.LOCKED, "P1", "why"))
    assert "locked" in locked.feed(opening()).refused


@pytest.mark.parametrize(
    "step", [Step.ENTERING, Step.DOCUMENT, Step.FACE, Step.HELD, Step.RELEASING, Step.STEPPING_OUT]
)
def test_a_boarding_does_not_close_on_a_passenger(cabin, step):
    at(cabin, step).feed(CLOSING)
    assert cabin.refused == "somebody is in the cabin"
    assert cabin.events(BoardingClosed) == []


def test_a_boarding_that_cannot_be_sealed_stays_open(cabin):
    cabin.seal_ok = False
    cabin.feed(CLOSING)
    assert "no key" in cabin.refused
    assert cabin.lane.memo.boarding is not None
    cabin.seal_ok = True
    assert close(cabin).key_id == "K1"


def test_the_summary_is_canonical_and_is_what_was_signed(cabin):
    cabin.passes("ann")
    closed = close(cabin)
    told = json.loads(closed.summary)
    assert closed.summary == json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert closed.signature == f"signed {len('gatefleet/v1/boarding') + 1 + len(closed.summary)}"
    assert (told["counts"], told["visits"]) == (closed.counts.model_dump(), 1)
    assert Event.KNOWN[BoardingClosed.TYPE].model_validate_json(closed.model_dump_json()) == closed
    cabin.settle()
    assert (cabin.lane.step, cabin.locks) == (Step.SHUT, [True, True])


def test_closing_nothing_is_refused():
    assert Rig().settle().feed(CLOSING).refused == "no boarding is open here"


def test_a_locked_cabin_takes_nobody_and_a_normal_one_does(cabin):
    cabin.feed(AskMode(LaneMode.LOCKED, "P1", "pause")).settle()
    assert cabin.locks == [True, True]
    cabin.feed(AskMode(LaneMode.NORMAL, "P1", "go on")).settle()
    assert cabin.locks == [False, True]
    assert "free passage" in cabin.feed(AskMode(LaneMode.FREE, "P1", "why")).refused


def test_somebody_in_a_cabin_without_a_boarding_is_let_out_by_the_entrance():
    cabin = Rig().settle()
    cabin.inside = 1
    cabin.settle()
    assert (cabin.words(), cabin.locks) == (["CabinAnomaly:unknown_occupant"], [False, True])


# -- restarts and lost controllers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "then", "told"),
    [
        (Step.WAITING, Step.WAITING, []),
        (Step.DOCUMENT, Step.DOCUMENT, []),
        (Step.FACE, Step.DOCUMENT, []),
        (Step.HELD, Step.HELD, []),
        (Step.RELEASING, Step.RELEASING, []),
    ],
)
def test_after_a_quick_restart_the_same_passenger_goes_on(cabin, step, then, told):
    at(cabin, step)
    before, visit = len(cabin.events()), cabin.lane.memo.visit
    cabin.restart().settle()
    assert cabin.lane.step is then
    assert cabin.words()[before:] == told
    assert (cabin.lane.memo.visit and cabin.lane.memo.visit.attempt) == (visit and visit.attempt)
    assert cabin.both_free == []


@pytest.mark.parametrize("how", ["restart", "silence"])
@pytest.mark.parametrize("step", [Step.DOCUMENT, Step.HELD, Step.RELEASING])
def test_after_the_watchdog_nobody_is_taken_for_who_was_inside(cabin, step, how):
    at(cabin, step)
    getattr(cabin, how)(2_000).settle()
    assert (cabin.lane.step, cabin.words()[-1]) == (Step.STEPPING_OUT, "CabinAnomaly:lost_sight")
    assert cabin.locks == [False, True]


def test_a_released_passenger_who_left_during_a_restart_has_left(cabin):
    at(cabin, Step.RELEASING)
    cabin.inside = 0
    cabin.restart().settle()
    left = cabin.events(PassengerLeft)[0]
    assert (left.recovered, left.attempt) == (True, "B1-0001")
    assert cabin.lane.memo.boarding.rows[token("ann")].left


def test_a_controller_that_is_lost_is_told_once_and_its_doors_are_not_told_anything(cabin):
    before = len(cabin.said)
    cabin.feed(CabinSilent()).feed(CabinSilent())
    assert cabin.words()[-1] == "CabinAnomaly:io_lost"
    assert not [word for word in cabin.said[before:] if isinstance(word, SetDoors | str)]
    cabin.settle()
    assert cabin.lane.step is Step.WAITING


@pytest.mark.parametrize("step", [Step.DOCUMENT, Step.WAITING])
def test_a_controller_that_is_found_again_is_told_everything_at_once(cabin, step):
    at(cabin, step)
    cabin.feed(CabinSilent())
    cabin.locks = [False, False]
    before = len(cabin.said)
    cabin.feed(cabin.state(), 100)
    told = [word for word in cabin.said[before:] if isinstance(word, SetDoors)]
    assert told[0] == SetDoors(entrance_locked=True, exit_locked=True)


def test_the_documents_text_is_in_no_memo_and_no_event(cabin):
    cabin.goes_in().document("ann").face(0.1)
    secret = "P<UTOERIKSSON"
    cabin.effects[secret] = Effect.REFUSE
    cabin.restart().settle()
    cabin.judge = lambda text: Judged(Rig.judge(cabin, text).decision, token("x"), "passport", "other")
    cabin.start()
    cabin.settle().document(secret).face()
    texts = [cabin.durable.model_dump_json(), *(event.model_dump_json() for event in cabin.events())]
    assert cabin.words()[-1] == "PassengerHeld:clearance"
    assert not [text for text in texts if secret in text]
    assert secret not in repr(cabin.lane)


def test_the_table_of_steps_is_whole():
    assert set(LEGAL) == set(Step)
    assert set(STEPS) == set(Step) - {Step.LOST}
    assert all(hasattr(CabinSettings(), row.timeout) for row in STEPS.values() if row.timeout)


def test_inputs_that_do_not_fit_are_nothing(cabin):
    assert cabin.lane.handle(Recorded(ok=True), 1) == ()
    assert cabin.lane.handle(Tick(), 10**9) == ()
    assert cabin.lane.handle(CredentialRead("ann"), 1) == ()
