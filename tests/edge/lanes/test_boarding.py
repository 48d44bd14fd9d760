"""The boarding: counts that add up whatever the order, and a summary that binds them."""

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.messages.cabin_events import BoardingCounts
from core.messages.commands import MAX_EXPECTED
from edge.buffer.rows import MAX_BODY
from edge.lanes.boarding import (
    MAX_ROWS,
    Boarding,
    BoardingSummary,
    CloseBoarding,
    OpenBoarding,
    Outcome,
    Row,
    Seal,
    covered,
)
from edge.lanes.cabin_words import CabinMemo, Visit

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ASK = {"boarding": "B1", "flight": "NX101", "stand": "12A", "officer": "P1", "at": AT}
SEAL = Seal("K1", lambda data: data.hex(), lambda data: f"n:{len(data)}")
CLOSE = CloseBoarding(officer="P2", at=AT)


def token(name):
    return "d" + name.ljust(43, "x")


def boarding(who="abc", expected=None):
    tokens = () if expected is not None else tuple(map(token, who))
    return Boarding.of(OpenBoarding(**ASK, tokens=tokens, expected=expected))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "either"),
        ({"expected": 3, "tokens": (token("a"),)}, "either"),
        ({"tokens": (token("a"), token("a"))}, "twice"),
        ({"tokens": ("L898902C3",)}, "pattern"),
        ({"tokens": ("v" + "x" * 43,)}, "pattern"),
        ({"expected": -1}, "greater"),
        ({"expected": MAX_EXPECTED + 1}, "less"),
        ({"expected": 1, "flight": "nx101"}, "pattern"),
        ({"expected": 1, "flight": "ERIKSSON"}, "pattern"),
        ({"expected": 1, "boarding": "../x"}, "pattern"),
        ({"expected": 1, "at": AT.replace(tzinfo=None)}, "timezone"),
        ({"expected": 1, "officer": ""}, "at least 1"),
    ],
)
def test_a_boarding_that_cannot_be_is_refused(changed, reason):
    with pytest.raises(ValidationError, match=reason):
        OpenBoarding(**ASK | changed)


@pytest.mark.parametrize(
    ("ends", "counts"),
    [
        ([], "expected=3 no_show=3"),
        ([("1", "a", "verified")], "expected=3 seen=1 verified=1 no_show=2"),
        ([("1", "z", "held")], "expected=3 seen=1 held=1 unexpected=1 no_show=3"),
        ([("1", "", "held")], "expected=3 seen=1 held=1 unexpected=1 no_show=3"),
        ([("1", "", "held"), ("1", "a", "verified")], "expected=3 seen=1 verified=1 no_show=2"),
        ([("1", "a", "held"), ("2", "a", "verified")], "expected=3 seen=1 verified=1 no_show=2"),
        ([("1", "a", "refused"), ("2", "a", "held")], "expected=3 seen=1 refused=1 no_show=2"),
        ([("1", "a", "refused"), ("2", "a", "held"), ("2", "a", "released_by_officer")], "expected=3 seen=1 released_by_officer=1 no_show=2"),
        ([("1", "a", "verified"), ("2", "b", "verified"), ("3", "c", "held"), ("4", "z", "refused")], "expected=3 seen=4 verified=2 held=1 refused=1 unexpected=1"),
    ],
)  # fmt: skip
def test_the_counts_of_a_named_boarding(ends, counts):
    found = boarding()
    for attempt, name, outcome in ends:
        found = found.ended(attempt, token(name) if name else "", Outcome(outcome))
    told = dict(pair.split("=") for pair in counts.split())
    assert {name: count for name, count in found.counts.model_dump().items() if count} == {
        name: int(count) for name, count in told.items()
    }
    assert found.counts.adds_up


@pytest.mark.parametrize(("seen", "unexpected", "no_show"), [(0, 0, 2), (1, 0, 1), (2, 0, 0), (5, 3, 0)])
def test_the_counts_of_a_boarding_of_which_only_the_number_is_known(seen, unexpected, no_show):
    found = boarding(expected=2)
    for number in range(seen):
        found = found.ended(str(number), token(str(number)), Outcome.VERIFIED)
    assert (found.counts.unexpected, found.counts.no_show, found.counts.adds_up) == (unexpected, no_show, True)


def test_who_has_left_stays_as_they_left():
    found = boarding().ended("1", token("a"), Outcome.VERIFIED).has_left("1", token("a"))
    found = found.ended("2", token("a"), Outcome.HELD).ended("2", token("a"), Outcome.REFUSED)
    row = found.row(token("a"))
    assert (row.outcome, row.left, row.attempts, row.last) == (Outcome.VERIFIED, True, 2, 2)


@given(
    st.lists(
        st.tuples(st.integers(1, 8), st.sampled_from(["", "a", "b", "c", "y", "z"]), st.sampled_from(Outcome), st.booleans()),
        max_size=30,
    ),
    st.one_of(st.none(), st.integers(0, 4)),
)  # fmt: skip
def test_whatever_the_order_the_counts_add_up_and_each_token_is_one_row(ends, expected):
    found = boarding(expected=expected)
    for attempt, name, outcome, leaves in ends:
        found = found.ended(str(attempt), token(name) if name else "", outcome)
        key = token(name) if name else str(attempt)
        if leaves and found.rows[key].outcome in {Outcome.VERIFIED, Outcome.RELEASED}:
            found = found.has_left(str(attempt), token(name) if name else "")
        assert found.counts.adds_up
    tokens = Counter(key for key in found.rows if key.startswith("d"))
    assert set(tokens) == {token(name) for _, name, _, _ in ends if name}
    assert Boarding.model_validate_json(found.model_dump_json()) == found


def test_counts_that_do_not_add_up_say_so():
    whole = boarding().counts.model_dump()
    assert BoardingCounts(**whole).adds_up
    assert not BoardingCounts(**whole | {"seen": 1}).adds_up
    assert not BoardingCounts(**whole | {"no_show": 1}).adds_up
    assert not BoardingCounts(**whole | {"held": 1}).adds_up


def test_the_seal_covers_the_summary_under_its_own_purpose_and_the_rows_by_their_digest():
    found = boarding().ended("1", token("a"), Outcome.VERIFIED)
    closed = found.closed("C1", CLOSE, SEAL)
    assert bytes.fromhex(closed.signature) == b"gatefleet/v1/boarding\n" + closed.summary.encode()
    assert covered(closed.summary) == bytes.fromhex(closed.signature)
    summary = BoardingSummary.model_validate_json(closed.summary)
    assert (summary.text(), summary.opened_by, summary.closed_by) == (closed.summary, "P1", "P2")
    other = found.ended("2", token("b"), Outcome.HELD).closed("C1", CLOSE, SEAL)
    assert json.loads(other.summary)["passengers_digest"] != summary.passengers_digest
    assert token("a") not in closed.summary


def test_the_largest_memo_fits_the_buffer():
    worst = {"outcome": Outcome.RELEASED, "expected": False, "attempts": 99, "last": 9_999, "left": False}
    rows = {token(str(number)): Row(**worst) for number in range(MAX_ROWS)}
    tokens = tuple(token(f"e{number}") for number in range(MAX_EXPECTED))
    found = boarding().model_copy(update={"rows": rows, "tokens": tokens, "boarding": "B" * 32})
    memo = CabinMemo(boarding=found, visit=Visit(attempt="B" * 37, token=token("a")))
    assert found.full
    assert not boarding().full
    assert len(memo.model_dump_json()) < MAX_BODY
