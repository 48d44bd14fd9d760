"""When a counter and the lanes beside it are apart: a table, and what never changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.drift import Drift, DriftRule, DriftSettings, judged

SETTINGS = DriftSettings(ratio=0.2, periods=3, at_least=20)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([], Drift(None), id="nothing"),
        pytest.param([(3, 3)] * 6, Drift(None), id="too few persons"),
        pytest.param([(30, 30)] * 3, Drift(False, 30, 30, 1), id="the same"),
        pytest.param([(36, 30)] * 9, Drift(False, 36, 30, 1), id="within the ratio"),
        pytest.param([(37, 30)] * 2, Drift(None, 74, 60, 2), id="apart, too short"),
        pytest.param([(37, 30)] * 3, Drift(True, 111, 90, 3), id="too many counted"),
        pytest.param([(37, 30)] * 9, Drift(True, 111, 90, 3), id="the last periods count"),
        pytest.param([(20, 30)] * 3, Drift(True, 60, 90, 3), id="too few counted"),
        pytest.param([(0, 30)] * 3, Drift(True, 0, 90, 3), id="blind"),
        pytest.param([(30, 0)] * 3, Drift(True, 90, 0, 3), id="nobody passed"),
        pytest.param(
            [(37, 30), (37, 30), (30, 30), (37, 30)], Drift(None, 37, 30, 1), id="one good period begins anew"
        ),
        pytest.param([(37, 30)] * 3 + [(30, 30)], Drift(False, 30, 30, 1), id="one good period ends it"),
        pytest.param([(7, 3)] * 9, Drift(True, 63, 27, 3), id="small steps are joined"),
        pytest.param([(37, 30)] * 3 + [(3, 3)], Drift(True, 111, 90, 3), id="a small rest says nothing yet"),
    ],
)
def test_a_drift_lasts_and_one_good_period_ends_it(steps, expected):
    assert judged(steps, SETTINGS) == expected


@given(st.lists(st.integers(0, 500), max_size=50))
def test_who_agrees_never_drifts(counts):
    assert judged([(count, count) for count in counts], SETTINGS).drifting is not True


@pytest.mark.parametrize(("side", "persons"), [("entered", 5), ("left", 3), ("both", 8)])
def test_the_side_says_who_counts(side, persons):
    assert DriftSettings(side=side).persons(5, 3) == persons


def test_a_rule_names_at_least_one_lane():
    with pytest.raises(ValidationError):
        DriftRule(site="s", counter="c", lanes=())
