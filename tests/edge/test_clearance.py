"""The judge: whatever a reader sends, there is a decision, and it names nobody by number."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clearance.model import Direction, Effect, LaneRules, ListEffect, ListEntry, ListInForce, ReasonCode, RuleSet
from core.crypto import suite
from core.identity.mrz import check_digit
from core.identity.plates import parse_plate
from core.identity.tokens import TokenKind, identify, subject_token
from edge.clearance import Judge
from edge.lanes.votes import PlateVote, Verdict
from simulators.people import specimen

from .conftest import START, TOKEN_KEY

HMAC = suite("intl").hmac
RULES = RuleSet(
    version=3,
    timezone="Asia/Shanghai",
    lanes={"L": LaneRules(default=Effect.RELEASE, lists=("block",))},
)


def token(text):
    shown = identify(text)
    return subject_token(shown.kind, shown.natural, TOKEN_KEY.encode(), HMAC)


def judge(blocked=(), rules=RULES):
    entries = {token(text): (ListEntry("E1"),) for text in blocked}
    block = ListInForce("block", 7, ListEffect.REFUSE, 10, START, entries)
    return Judge(ruleset=rules, lists=lambda: (block,), token_key=TOKEN_KEY.encode(), hmac=HMAC)


def test_a_good_document_is_released_under_its_token():
    judged = judge().judge(specimen(1), "L", Direction.IN, START)
    assert judged.decision.effect is Effect.RELEASE
    assert judged.token == token(specimen(1))
    assert judged.document_kind == "passport"
    assert "U00000001" not in repr(judged)


def test_a_listed_document_is_refused_with_list_entry_and_version():
    judged = judge([specimen(1)]).judge(specimen(1), "L", Direction.IN, START)
    assert judged.decision.effect is Effect.REFUSE
    reason = judged.decision.reasons[0]
    assert (reason.code, reason.list_id, reason.entry_id, reason.list_version) == (
        ReasonCode.LIST_HIT,
        "block",
        "E1",
        7,
    )
    assert judged.decision.list_versions == {"block": 7}
    assert judged.decision.ruleset_version == 3


def test_the_same_document_in_another_form_is_hit_too():
    judged = judge([specimen(1)]).judge(f" {specimen(1).lower()}", "L", Direction.IN, START)
    assert judged.decision.effect is Effect.REFUSE


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\0",
        "x" * 513,
        specimen(1).replace("U00000001", "U00000002"),
        specimen(1)[:60],
        specimen(1)[:44],
        "\ud800",
    ],
    ids=["empty", "blank", "zero byte", "too long", "misread digit", "half a zone", "one line of two", "no text"],
)
def test_what_identifies_nobody_is_judged_as_an_invalid_document(text):
    judged = judge().judge(text, "L", Direction.IN, START)
    assert judged.decision.effect is not Effect.RELEASE
    assert judged.token == ""


def test_an_unknown_lane_is_closed():
    assert judge().judge(specimen(1), "X", Direction.IN, START).decision.reasons[0].code is ReasonCode.LANE_CLOSED


def expiring(expiry):
    """Return the specimen with another date of expiry."""
    name, line = specimen(1).split("|")
    line = line[:21] + expiry + str(check_digit(expiry)) + line[28:43]
    composite = line[0:10] + line[13:20] + line[21:43]
    return f"{name}|{line}{check_digit(composite)}"


@pytest.mark.parametrize(
    ("expiry", "effect"),
    [("261121", Effect.RELEASE), ("261122", Effect.RELEASE), ("261120", Effect.DIVERT_SECONDARY)],
)
def test_a_document_is_good_through_its_last_day(expiry, effect):
    assert judge().judge(expiring(expiry), "L", Direction.IN, START).decision.effect is effect


def test_the_last_day_is_the_sites_day_not_greenwichs():
    """At one in the morning in Hengqin it is still yesterday in Greenwich: the document was taken for eight hours more."""
    one_in_the_morning = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    judged = judge().judge(expiring("261120"), "L", Direction.IN, one_in_the_morning)
    assert judged.decision.reasons[0].code is ReasonCode.DOCUMENT_EXPIRED


@given(st.text(max_size=600) | st.text("0123456789<ABCDEFGHIJKLMNOPQRSTUVWXYZ|粤港澳", min_size=20, max_size=100))
@settings(max_examples=300, deadline=None)
def test_whatever_is_read_there_is_a_decision(text):
    judged = judge().judge(text, "L", Direction.IN, START)
    assert judged.decision.reasons
    assert judged.token == "" or len(judged.token) == 44
    if judged.decision.effect is Effect.RELEASE:
        assert judged.token


def test_a_short_token_key_is_told_before_anybody_comes():
    with pytest.raises(Exception, match="at least 16 bytes"):
        subject_token(TokenKind.OPAQUE, "probe", b"short", HMAC)


SLOT = (datetime(2026, 11, 21, 1, tzinfo=UTC), datetime(2026, 11, 21, 1, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("plate", "minutes", "effect"),
    [
        ("粤B12345", 0, Effect.RELEASE),
        ("粤B12345", 29, Effect.RELEASE),
        ("粤B12345", -1, Effect.DIVERT_SECONDARY),
        ("粤B12345", 30, Effect.DIVERT_SECONDARY),
        ("粤D67F66", 10, Effect.DIVERT_SECONDARY),
    ],
)
def test_an_appointment_is_an_entry_of_a_list_that_is_valid_for_its_slot(plate, minutes, effect):
    """And a binding is one too: who has none takes the lane's default."""
    booked = subject_token(TokenKind.PLATE, "粤B12345", TOKEN_KEY.encode(), HMAC)
    slots = ListInForce("slots", 1, ListEffect.RELEASE_FAST, 20, SLOT[0], {booked: (ListEntry("A-1", *SLOT),)})
    lane = LaneRules(default=Effect.DIVERT_SECONDARY, lists=("slots",))
    rules = RuleSet(version=3, timezone="Asia/Shanghai", lanes={"V1": lane})
    one = Judge(ruleset=rules, lists=lambda: (slots,), token_key=TOKEN_KEY.encode(), hmac=HMAC)
    seen = Verdict((PlateVote(parse_plate(plate), 0.95, 3, 2.8),), 3)
    decision = one.judge_vehicle(seen, "V1", Direction.IN, SLOT[0] + timedelta(minutes=minutes))
    assert decision.effect is effect
