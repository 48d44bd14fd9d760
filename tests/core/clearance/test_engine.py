"""A table of cases: what the engine must say, and why."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clearance.engine import decide, is_open
from core.clearance.model import (
    Attempt,
    Direction,
    Effect,
    Hours,
    LaneRules,
    ListEffect,
    ListEntry,
    ListInForce,
    ReasonCode,
    RuleSet,
    StalePolicy,
)

NOON = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)  # a Saturday, 12:00 in Shanghai
RULES = {
    "open": LaneRules(default=Effect.RELEASE),
    "strict": LaneRules(default=Effect.REFUSE),
    "out-only": LaneRules(default=Effect.RELEASE, directions=(Direction.OUT,)),
    "coaches": LaneRules(default=Effect.RELEASE, hours=(Hours(opens=time(6), until=time(0)),)),
    "evening": LaneRules(default=Effect.RELEASE, hours=(Hours(opens=time(20), until=time(2)),)),
    "staff": LaneRules(default=Effect.RELEASE, person_classes=("staff", "crew")),
    "listed": LaneRules(default=Effect.RELEASE, lists=("block",), list_max_age_s=3600),
    "listed-divert": LaneRules(default=Effect.RELEASE, lists=("block",), when_stale=StalePolicy.DIVERT),
    "listed-release": LaneRules(default=Effect.RELEASE, lists=("block",), when_stale=StalePolicy.RELEASE),
}
RULESET = RuleSet(version=3, timezone="Asia/Shanghai", lanes=RULES)


def a_list(list_id="block", effect=ListEffect.REFUSE, priority=10, tokens=("dBAD",), age_s=0, **entry):
    entries = {token: (ListEntry(f"{list_id}-{token}", **entry),) for token in tokens}
    return ListInForce(list_id, 7, effect, priority, NOON - timedelta(seconds=age_s), entries)


BLOCK = a_list()
FAST = a_list("fast", ListEffect.RELEASE_FAST, 20, ("dFAST", "dBAD"))
FAST_FIRST = a_list("fast", ListEffect.RELEASE_FAST, 1, ("dBAD",))
DIVERT = a_list("watch", ListEffect.DIVERT_SECONDARY, 30, ("dODD", "dFAST"))
ALERT = a_list("silent", ListEffect.SILENT_ALERT, 1, ("dSEEN",))

CASES = [
    # lane, token, lists, changes to the attempt -> effect, code of the deciding ground
    ("open", "dX", [], {}, "release", "default"),
    ("strict", "dX", [], {}, "refuse", "default"),
    ("nowhere", "dX", [], {}, "refuse", "lane_closed"),
    ("out-only", "dX", [], {}, "refuse", "wrong_direction"),
    ("out-only", "dX", [], {"direction": Direction.OUT}, "release", "default"),
    ("coaches", "dX", [], {}, "release", "default"),
    ("evening", "dX", [], {}, "refuse", "lane_closed"),
    ("staff", "dX", [], {}, "refuse", "class_not_allowed"),
    ("staff", "dX", [], {"person_class": "crew"}, "release", "default"),
    ("open", "dBAD", [BLOCK], {}, "refuse", "list_hit"),
    ("open", "dBAD", [FAST_FIRST, BLOCK], {}, "refuse", "list_hit"),
    ("open", "dGOOD", [BLOCK], {}, "release", "default"),
    ("strict", "dFAST", [BLOCK, FAST], {}, "release", "list_hit"),
    ("strict", "dFAST", [BLOCK, FAST, DIVERT], {}, "release", "list_hit"),
    ("open", "dODD", [DIVERT], {}, "divert_secondary", "list_hit"),
    ("open", "dSEEN", [ALERT], {}, "release", "default"),
    ("open", "dX", [], {"document_valid": False}, "divert_secondary", "document_invalid"),
    ("open", "dX", [], {"document_expired": True}, "divert_secondary", "document_expired"),
    ("open", "dBAD", [BLOCK], {"document_valid": False}, "refuse", "list_hit"),
    ("listed", "dX", [], {}, "refuse", "list_missing"),
    ("listed", "dX", [a_list(age_s=3601)], {}, "refuse", "list_stale"),
    ("listed", "dX", [a_list(age_s=3600)], {}, "release", "default"),
    ("listed-divert", "dX", [a_list(age_s=90_000)], {}, "divert_secondary", "list_stale"),
    ("listed-release", "dX", [a_list(age_s=90_000)], {}, "release", "default"),
    ("listed-release", "dBAD", [a_list(age_s=90_000)], {}, "refuse", "list_hit"),
    ("open", "dBAD", [a_list(valid_to=NOON)], {}, "release", "default"),
    ("open", "dBAD", [a_list(valid_to=NOON + timedelta(seconds=1))], {}, "refuse", "list_hit"),
    ("open", "dBAD", [a_list(valid_from=NOON)], {}, "refuse", "list_hit"),
    ("open", "dBAD", [a_list(valid_from=NOON + timedelta(seconds=1))], {}, "release", "default"),
]


@pytest.mark.parametrize(("lane", "token", "lists", "change", "effect", "code"), CASES)
def test_each_ground_speaks_in_its_turn(lane, token, lists, change, effect, code):
    attempt = Attempt(**({"lane": lane, "direction": Direction.IN, "tokens": (token,)} | change))
    decision = decide(attempt, RULESET, lists, NOON)
    assert (decision.effect.value, decision.reasons[0].code.value) == (effect, code)
    assert decision.ruleset_version == 3
    assert decision.list_versions == {one.list_id: 7 for one in lists}


def test_a_silent_hit_rides_along_and_never_shows_at_the_gate():
    decision = decide(Attempt("open", Direction.IN, ("dSEEN",)), RULESET, [ALERT], NOON)
    assert [reason.list_id for reason in decision.alerts] == ["silent"]
    assert decision.reasons[0].code is ReasonCode.DEFAULT


def test_a_release_in_spite_of_an_old_list_says_that_the_list_is_old():
    decision = decide(Attempt("listed-release", Direction.IN, ("dX",)), RULESET, [a_list(age_s=90_000)], NOON)
    assert [reason.code.value for reason in decision.reasons] == ["default", "list_stale"]


@pytest.mark.parametrize(
    ("local", "spans", "expected"),
    [
        ("2026-11-21T05:59:59", [(6, 0)], False),
        ("2026-11-21T06:00:00", [(6, 0)], True),
        ("2026-11-21T23:59:59", [(6, 0)], True),
        ("2026-11-22T00:00:00", [(6, 0)], False),
        ("2026-11-21T01:59:59", [(20, 2)], True),
        ("2026-11-21T02:00:00", [(20, 2)], False),
        ("2026-11-21T08:00:00", [(8, 12), (13, 18)], True),
        ("2026-11-21T12:00:00", [(8, 12), (13, 18)], False),
    ],
)
def test_hours_are_local_and_may_pass_midnight(local, spans, expected):
    now = datetime.fromisoformat(local + "+08:00")
    hours = [Hours(opens=time(opens), until=time(until)) for opens, until in spans]
    assert is_open(hours, now, "Asia/Shanghai") is expected


def test_an_overnight_span_belongs_to_the_day_it_began():
    friday_night = Hours(weekdays=(5,), opens=time(22), until=time(4))
    assert is_open([friday_night], datetime.fromisoformat("2026-11-21T03:00:00+08:00"), "Asia/Shanghai")
    assert not is_open([friday_night], datetime.fromisoformat("2026-11-20T03:00:00+08:00"), "Asia/Shanghai")


tokens = st.sampled_from(["dA", "dB", "dC"])
lists_in_force = st.builds(
    a_list,
    list_id=st.sampled_from(["block", "l2", "l3"]),
    effect=st.sampled_from(ListEffect),
    priority=st.integers(0, 5),
    tokens=st.lists(tokens, max_size=3, unique=True),
    age_s=st.integers(0, 200_000),
)


@given(
    st.sampled_from(sorted(RULES)), st.lists(tokens, max_size=3), st.lists(lists_in_force, max_size=4), st.booleans()
)
def test_an_exact_refuse_hit_is_never_released(lane, shown, lists, valid):
    """Whatever else stands on any list, in any order, at any age."""
    attempt = Attempt(lane, Direction.IN, tuple(shown), document_valid=valid)
    decision = decide(attempt, RULESET, lists, NOON)
    wanted = any(one.effect is ListEffect.REFUSE and one.entries.get(token) for one in lists for token in shown)
    assert not (wanted and decision.effect is not Effect.REFUSE)
    assert decision == decide(attempt, RULESET, lists, NOON)
    assert decision.reasons


@pytest.mark.parametrize(
    ("effect", "gate"),
    [
        (ListEffect.REFUSE, "divert_secondary"),
        (ListEffect.DIVERT_SECONDARY, "divert_secondary"),
        (ListEffect.RELEASE_FAST, "release"),
    ],
)
def test_what_was_only_nearly_read_diverts_and_neither_refuses_nor_speeds_up(effect, gate):
    shown = Attempt(lane="open", direction=Direction.IN, tokens=("dOK",), near_tokens=("dBAD",))
    decision = decide(shown, RULESET, [a_list(effect=effect)], NOON)
    assert decision.effect.value == gate
    told = [*decision.reasons, *decision.alerts]
    assert [one.rule_id for one in told if "list" in one.rule_id] == [f"list.fuzzy.{effect.value}"]
