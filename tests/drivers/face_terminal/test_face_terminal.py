"""gatefleet face 1: this project's own push; the rows are written by hand from the drawing in the package."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Request
from drivers.face_terminal import DRIVER
from drivers.face_terminal.comparisons import FaceMap
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import DeviceDescribed
from drivers.profile import Profile, read_profile

PROFILE = read_profile(
    (Path(__file__).parents[3] / "firmware_profiles/reference/face-terminal.toml").read_text(encoding="utf-8"), "test"
)
THEN = "2026-11-21T08:00:00+08:00"
WHEN = datetime.fromisoformat(THEN)
SM3 = "sm3:" + "0a" * 32
WHOLE = {
    "version": 1,
    "terminal": "F01",
    "attempt": "F01-000123",
    "at": THEN,
    "age_ms": 180,
    "score": 0.91,
    "liveness": 0.98,
    "matcher": "fm-3.2",
    "capture": {"digest": SM3, "bytes": 48211},
}
LEAST = {"attempt": "A", "score": 0, "age_ms": 0}


def post(value, profile=PROFILE, method="POST", at=WHEN):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return DRIVER.make(profile, DRIVER.settings()).receive(Request(method, "/", at, body=body))


def profile(**changed):
    return Profile(name="a/b", driver="face-terminal", vendor="a", model="b", source="-", map=changed)


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (WHOLE, FaceCompared("F01-000123", 0.91, 180, 0.98, SM3, 48211, WHEN, "F01", "fm-3.2")),
        (LEAST, FaceCompared("A", 0.0, 0)),
        (LEAST | {"score": 1, "liveness": True}, FaceCompared("A", 1.0, 0, 1.0)),
        (LEAST | {"liveness": False}, FaceCompared("A", 0.0, 0, 0.0)),
        (LEAST | {"score": "0.5", "liveness": "0.25"}, FaceCompared("A", 0.5, 0, 0.25)),
        (LEAST | {"at": "2026-11-21T08:00:00"}, FaceCompared("A", 0.0, 0, at=WHEN)),
        (LEAST | {"nonce": {"a": [1, 2]}}, FaceCompared("A", 0.0, 0)),
    ],
)
def test_a_comparison_becomes_a_fact_and_is_accepted_by_its_name(value, fact):
    pushed = post(value)
    assert (pushed.facts, pushed.rejected, pushed.answer.status) == ((fact,), (), 200)
    assert json.loads(pushed.answer.body) == {"accepted": value["attempt"]}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (LEAST | {"attempt": ""}, "needs an attempt"),
        (LEAST | {"attempt": "x" * 65}, "attempt of 65"),
        (LEAST | {"score": None}, "needs an attempt, a score"),
        (LEAST | {"score": 1.01}, "score '1.01' is not 0..1"),
        (LEAST | {"score": -0.1}, "score"),
        (LEAST | {"score": "good"}, "score"),
        (LEAST | {"age_ms": None}, "an age"),
        (LEAST | {"age_ms": -1}, "age_ms"),
        (LEAST | {"age_ms": 1.5}, "whole"),
        (LEAST | {"age_ms": 86_400_001}, "age_ms"),
        ([], "needs an attempt"),
        ({}, "needs an attempt"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_whole(value, reason):
    pushed = post(value)
    assert (pushed.answer.status, pushed.facts) == (400, ())
    assert reason in "; ".join(pushed.rejected)


@pytest.mark.parametrize(
    "extra",
    [
        {"template": "AAAA"},
        {"faceFeature": None},
        {"capture": {"image": "/9j/4AAQ"}},
        {"a": [{"b": {"Embedding": []}}]},
        {"x": "A" * 257},
        {"x": [0.1] * 9},
        {"a": {"b": [[0.5] * 128]}},
        {"document_photo": ""},
    ],
)
def test_nothing_biometric_is_taken_nor_repeated(extra):
    pushed = post(WHOLE | extra)
    assert (pushed.answer.status, pushed.facts) == (400, ())
    assert pushed.rejected[0].startswith("biometric content is not taken")
    assert b"AAAA" not in pushed.answer.body
    assert len(pushed.answer.body) < 200


@pytest.mark.parametrize(("field", "kept"), [({"capture": {"digest": "md5:00"}}, ""), ({"capture": {"digest": 5}}, "")])
def test_what_is_only_beside_the_point_counts_as_not_told(field, kept):
    pushed = post(LEAST | field)
    assert pushed.facts[0].capture_digest == kept
    assert (len(pushed.rejected), pushed.answer.status) == (1, 200)


def test_a_liveness_out_of_its_scale_is_none_rather_than_good():
    pushed = post(LEAST | {"liveness": 98})
    assert (pushed.facts[0].liveness, len(pushed.rejected)) == (None, 1)


def test_a_heartbeat_describes_the_terminal():
    pushed = post({"terminal": "F01", "model": "FT", "serial": "1", "software": "3.2", "vendor": "v"})
    assert pushed.facts == (DeviceDescribed("v", "FT", "3.2", "1"),)
    assert post(WHOLE | {"model": "FT"}).facts[1] == DeviceDescribed(model="FT")


def test_another_terminals_words_are_one_profile():
    words = profile(
        score_scale=100, spelling={"attempt": ["data.id"], "score": ["data.sim"], "liveness": ["data.live"]}
    )
    (fact,) = post({"data": {"id": 7, "sim": 87.5, "live": 99}, "age_ms": 3}, words).facts
    assert (fact.attempt, fact.score, fact.liveness) == ("7", 0.875, 0.99)


@pytest.mark.parametrize(
    ("trust", "late_s", "age"), [(True, 2, 2_000), (True, -5, 0), (True, 90_000, None), (False, 2, None)]
)
def test_without_an_age_the_clock_serves_only_where_the_profile_trusts_it(trust, late_s, age):
    value = {"attempt": "A", "score": 1, "at": THEN}
    pushed = post(value, profile(trust_clock=trust), at=WHEN.astimezone(UTC) + timedelta(seconds=late_s))
    assert [fact.age_ms for fact in pushed.facts] == ([] if age is None else [age])


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"score": NaN}', b"[" * 500, b'{"a":' * 12 + b"1" + b"}" * 12])
def test_a_hostile_body_is_refused(body):
    pushed = post(body)
    assert (pushed.answer.status, pushed.facts) == (400, ())
    assert pushed.rejected


def test_only_posts_are_taken():
    assert post(WHOLE, method="GET").answer.status == 405


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WHOLE, "digest", "bytes"]), inner, max_size=8),
    max_leaves=15,
)  # fmt: skip


@given(JSON | st.binary(max_size=100))
def test_no_body_breaks_it_and_a_fact_is_within_its_bounds(value):
    for fact in post(value).facts:
        assert isinstance(fact, DeviceDescribed) or (0 <= fact.score <= 1 and fact.age_ms >= 0 and fact.attempt)
    assert post(WHOLE).facts


def test_recordings_are_decoded_offline():
    (row,) = DRIVER.decoder(None)(json.dumps(WHOLE).encode())
    assert (row["fact"], row["score"], row["at"]) == ("FaceCompared", 0.91, THEN)
    with pytest.raises(FrameInvalid, match="biometric"):
        DRIVER.decoder(PROFILE)(json.dumps(WHOLE | {"template": "x"}).encode())


def test_the_profile_that_ships_says_what_the_defaults_are():
    assert FaceMap.model_validate(PROFILE.map) == FaceMap()


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {FaceCompared, DeviceDescribed}
