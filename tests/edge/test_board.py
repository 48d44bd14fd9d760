"""The board: health follows what is seen, each change is told once, and nothing of a credential is shown."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import NotFound
from core.messages.events import Health, LaneMode
from drivers.base import Settings
from drivers.facts import CredentialRead, GateObserved, PlateRead
from drivers.reader import DRIVER as READER
from drivers.turnstile import DRIVER as TURNSTILE
from edge.board import Board, Finding
from edge.profiles import load_profile
from edge.sections import DeviceSpec

from .conftest import HandClock

IDLE = GateObserved(LaneMode.NORMAL, 0, 0, 1 << 32)
JAMMED = replace(IDLE, faults=frozenset({"door_jam"}))


def specs():
    gate = DeviceSpec("TS", TURNSTILE, load_profile("reference/swing-gate"), Settings(), "modbus+tcp://h?unit=1", "L")
    reader = DeviceSpec("RD", READER, load_profile("generic/line-reader"), Settings(), "tcp://h:1", "L")
    return {"TS": gate, "RD": reader}


def make():
    clock, told = HandClock(), []
    return Board(specs(), now=clock.wall, tell=told.append), clock, told


@pytest.fixture
def made():
    return make()


def codes(board, device):
    return [finding.code for finding in board.record(device).findings]


def test_a_device_that_was_never_seen_is_unknown_and_says_so(made):
    board, _, told = made
    assert board.record("TS").health is Health.UNKNOWN
    assert codes(board, "TS") == ["never_seen"]
    assert told == []


def test_an_unknown_device_is_an_error_with_a_cure(made):
    with pytest.raises(NotFound) as caught:
        made[0].record("XX")
    assert "device list" in caught.value.cure


def test_a_jam_is_a_fault_with_its_name_and_heals(made):
    board, clock, told = made
    board.fact("TS", IDLE)
    clock.go(1)
    board.fact("TS", JAMMED)
    record = board.record("TS")
    assert (record.health, record.faults, record.since) == (Health.FAULT, ("door_jam",), clock.now)
    assert record.findings == (Finding("fault_bit", {"name": "door_jam"}),)
    board.fact("TS", JAMMED)
    board.fact("TS", IDLE)
    assert (record.health, codes(board, "TS")) == (Health.OK, ["ok"])
    assert [(event.health.value, event.faults) for event in told] == [("ok", ()), ("fault", ("door_jam",)), ("ok", ())]


def test_another_fault_is_another_change(made):
    board, _, told = made
    board.fact("TS", JAMMED)
    board.fact("TS", replace(IDLE, faults=frozenset({"motor", "door_jam"})))
    assert [event.faults for event in told] == [("door_jam",), ("door_jam", "motor")]


def test_silence_is_offline_whatever_was_seen_before_and_a_fact_brings_it_back(made):
    board, _, told = made
    board.fact("TS", JAMMED)
    board.silent("TS", Finding("silent", {"error": "no answer"}))
    assert board.record("TS").health is Health.OFFLINE
    assert codes(board, "TS") == ["silent", "fault_bit"]
    board.fact("TS", IDLE)
    assert board.record("TS").health is Health.OK
    assert [event.health.value for event in told] == ["fault", "offline", "ok"]


def test_a_mode_is_a_finding_but_no_fault(made):
    board, _, told = made
    board.fact("TS", IDLE)
    board.fact("TS", replace(IDLE, mode=LaneMode.FREE))
    assert (board.record("TS").health, codes(board, "TS")) == (Health.OK, ["mode_not_normal"])
    assert len(told) == 1


def test_garbled_frames_degrade_a_reader_and_it_is_well_again_after_a_good_while(made):
    """It stayed degraded until the daemon was started again."""
    board, clock, told = made
    board.answers("RD")
    board.rejected("RD", "a line of " + "x" * 500)
    record = board.record("RD")
    assert (record.health, codes(board, "RD")) == (Health.DEGRADED, ["garbled"])
    assert len(record.findings[0].args["last"]) <= 120
    board.fact("RD", CredentialRead("text"))
    assert record.health is Health.DEGRADED  # one good line does not make a flickering reader well
    clock.go(61)
    board.fact("RD", CredentialRead("text"))
    assert (record.health, codes(board, "RD")) == (Health.OK, ["ok"])
    assert [event.health.value for event in told] == ["ok", "degraded", "ok"]
    assert record.counters == {"rejected": 1, "facts": 2}


def test_a_flood_of_garbage_is_told_once(made):
    board, clock, told = made
    for number in range(200):
        board.rejected("RD", f"garbage {number}")
        clock.go(0.5)
        board.fact("RD", CredentialRead("text"))
    assert board.record("RD").counters["rejected"] == 200
    assert len(told) <= 2


def test_what_a_poll_refuses_is_not_healed_by_other_facts(made):
    board, clock, _ = made
    board.degraded("TS", Finding("refuses", {"polls": ["relays"]}))
    clock.go(600)
    board.fact("TS", IDLE)
    assert board.record("TS").health is Health.DEGRADED
    board.degraded("TS", None)
    assert board.record("TS").health is Health.OK


def test_the_counts_of_health_are_whole(made):
    board, _, _ = made
    board.fact("TS", JAMMED)
    assert board.health_counts() == {"ok": 0, "degraded": 0, "fault": 1, "offline": 0, "unknown": 1}


def test_a_credential_is_shown_by_its_length_alone():
    shown = CredentialRead("P<UTOSECRET<<X|U123").shown()
    assert shown == {"text": "(19 characters)"}


@given(st.lists(st.sampled_from(["idle", "jam", "free", "silent", "answers", "bad", "good", "rejected"]), max_size=40))
@settings(max_examples=100, deadline=None)
def test_each_change_of_health_or_faults_is_told_exactly_once(steps):
    board, clock, told = make()
    seen = [(Health.UNKNOWN, ())]
    for step in steps:
        clock.go(1)
        match step:
            case "idle" | "jam" | "free":
                faces = {"idle": IDLE, "jam": JAMMED, "free": replace(IDLE, mode=LaneMode.FREE)}
                board.fact("TS", faces[step])
            case "silent":
                board.silent("TS", Finding("silent"))
            case "answers":
                board.answers("TS")
            case "bad" | "good":
                board.degraded("TS", Finding("refuses") if step == "bad" else None)
            case _:
                board.rejected("TS", "x")
        record = board.record("TS")
        if (record.health, record.faults) != seen[-1]:
            seen.append((record.health, record.faults))
        assert record.findings
    assert [(event.health, event.faults) for event in told] == seen[1:]


def test_what_names_a_person_or_a_car_stays_inside():
    assert PlateRead("粤C12345", confidence=0.9).shown()["plate"] == "(7 characters)"
    assert PlateRead("").shown()["plate"] == ""
    assert "M12345678" not in str(CredentialRead("M12345678").shown())
