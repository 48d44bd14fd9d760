"""The demo's reckoning: whatever central has too much, too little, twice or in another order is found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from simulators.demo.families import positions, vehicles
from simulators.demo.reckoning import Family, reckon
from simulators.demo.tally import quantiles, tally
from simulators.site import Outcome
from simulators.site_buses import Place
from simulators.site_roads import Leg

TRUE = {("L1", "a"): 0, ("L1", "b"): 1, ("L2", "c"): 0}
SEEN = [("L1", "a"), ("L2", "c"), ("L1", "b")]
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def told(**changes):
    found = tally(TRUE, SEEN)
    return found.good, replace(found, **changes).good


def test_what_agrees_is_good_and_any_difference_is_not():
    assert tally(TRUE, SEEN).good
    for name in ("central", "lost", "duplicated", "out_of_order", "invented"):
        assert told(**{name: 1}) == (True, False)


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        (SEEN[:2], {"lost": 1, "central": 2}),
        ([*SEEN, SEEN[0]], {"duplicated": 1, "out_of_order": 1, "central": 4}),
        ([SEEN[2], SEEN[1], SEEN[0]], {"out_of_order": 1}),
        ([*SEEN, ("L1", "x")], {"invented": 1, "central": 4}),
        ([*SEEN[:2], ("L2", "b")], {"lost": 1, "invented": 1}),
    ],
)
def test_each_kind_of_difference_is_counted(seen, wrong):
    found = tally(TRUE, seen)
    expected = {"truth": 3, "central": 3, "lost": 0, "duplicated": 0, "out_of_order": 0, "invented": 0} | wrong
    assert {name: getattr(found, name) for name in expected} == expected
    assert not found.good


def test_quantiles_of_nothing_are_nothing():
    assert quantiles([]) == {}
    assert quantiles(range(1, 101)) == {"p50": 51, "p99": 100}


# -- people ------------------------------------------------------------------------------------------------------------


def outcome(number, *, passed=True, wrongly_released=False):
    return Outcome("L1", number, f"D{number}", "plain", passed, wrongly_released=wrongly_released)


def passage(position, number, kind="cleared"):
    return {"position": position, "lane": "L1", "token": f"tD{number}", "kind": kind, "opened_ms": 2.0, "persons": 1}


def people(outcomes, rows, more=None):
    return reckon(outcomes, rows, lambda document: f"t{document}", 3, more)


def test_people_agree():
    found = people([outcome(0), outcome(1), outcome(2, passed=False)], [passage(2, 1), passage(1, 0)])
    assert found.good
    assert found.as_dict()["truth"] == 2
    assert found.as_dict()["decision_ms"] == {"p50": 2.0, "p99": 2.0}


def test_a_demo_in_which_nobody_passed_or_somebody_was_wrongly_released_is_not_good():
    assert not people([], []).good
    assert not people([outcome(0, wrongly_released=True)], [passage(1, 0)]).good


def test_the_lost_are_named():
    assert people([outcome(0), outcome(1)], [passage(1, 0)]).examples == ["L1 1 plain"]


def test_another_family_that_does_not_agree_spoils_it():
    bad, good = tally(TRUE, SEEN[:2]), tally(TRUE, SEEN)
    rows = [passage(1, 0)]
    assert people([outcome(0)], rows, {"vehicles": Family({"barriers": good})}).good
    assert not people([outcome(0)], rows, {"vehicles": Family({"barriers": good}, wrong=1)}).good
    assert not people([outcome(0)], rows, {"vehicles": Family({"barriers": bad})}).good
    assert not people([outcome(0)], rows, {"vehicles": Family({"barriers": tally({}, [])})}).good
    shown = people([outcome(0)], rows, {"vehicles": Family({"barriers": bad}, told={"fuzzy": 2})}).as_dict()
    assert (shown["vehicles"]["barriers"]["lost"], shown["vehicles"]["fuzzy"], shown["reconciled"]) == (1, 2, False)


# -- vehicles ----------------------------------------------------------------------------------------------------------

LEGS = (
    Leg("V1", "C1", 0, "A", "plain", passed=True, last=False),
    Leg("V2", "C1", 0, "A", "plain", passed=True, last=True),
    Leg("V1", "C1", 1, "B", "listed", passed=False, last=False),
    Leg("V1", "C1", 2, "", "unreadable", passed=False, last=False),
    Leg("V1", "C1", 3, "D", "fuzzy", passed=False, last=False),
)
DECIDED = [("V1", "tA", "release"), ("V2", "tA", "release"), ("V1", "tB", "refuse")]
DECIDED += [("V1", "", "divert_secondary"), ("V1", "tD", "divert_secondary")]
PASSED = [("cleared", "V1", "C1", "tA"), ("cleared", "V2", "C1", "tA"), ("channel", "", "C1", "tA")]


def road(legs=LEGS, passed=PASSED, decided=DECIDED):
    rows = [
        {"position": at, "kind": kind, "lane": lane, "channel": channel, "token": token, "opened_ms": 3.0}
        for at, (kind, lane, channel, token) in enumerate(passed)
    ]
    made = [{"lane": lane, "token": token, "effect": effect, "fuzzy": False} for lane, token, effect in decided]
    return vehicles(legs, rows, made, lambda plate: f"t{plate}")


def test_vehicles_agree_barrier_by_barrier_and_as_passages_of_their_channel():
    found = road()
    assert found.good
    assert (found.tallies["barriers"].truth, found.tallies["channels"].truth) == (2, 1)


@pytest.mark.parametrize("missing", range(3))
def test_a_passage_of_a_vehicle_that_is_missing_or_twice_is_found(missing):
    assert not road(passed=[row for number, row in enumerate(PASSED) if number != missing]).good
    assert not road(passed=[*PASSED, PASSED[missing]]).good


@pytest.mark.parametrize("missing", range(len(DECIDED)))
def test_a_decision_that_is_missing_or_another_is_found(missing):
    others = [row for number, row in enumerate(DECIDED) if number != missing]
    lane, token, effect = DECIDED[missing]
    assert road(decided=others).wrong == 1
    assert road(decided=[*others, (lane, token, "hold_manual" if effect == "release" else "release")]).wrong == 1


def test_a_listed_vehicle_that_got_through_is_wrong():
    assert road(legs=[*LEGS[:2], replace(LEGS[2], wrongly_released=True), *LEGS[3:]]).wrong == 1


# -- positions ---------------------------------------------------------------------------------------------------------

PLACES = [Place("100", AT + timedelta(seconds=number), confirmed=number != 2) for number in range(4)]


def rows(*numbers):
    return [
        {"terminal": "0100", "taken_at": (AT + timedelta(seconds=one)).isoformat(), "late": False} for one in numbers
    ]


def test_each_confirmed_position_is_there_once_and_one_that_was_not_may_be():
    assert positions(PLACES, rows(0, 1, 3)).good
    assert positions(PLACES, rows(0, 1, 2, 3)).good


@pytest.mark.parametrize("seen", [(0, 1), (0, 1, 3, 3), (0, 1, 3, 9), (0, 3, 1), ()])
def test_a_position_that_is_lost_doubled_invented_or_out_of_order_is_found(seen):
    assert not positions(PLACES, rows(*seen)).good
