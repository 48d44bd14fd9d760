"""gatefleet dock 1: this project's own push; the rows are written by hand from the drawing in the package."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Request
from drivers.dock import DRIVER
from drivers.dock.events import MAX_EVENTS, MAX_FILES, DockMap
from drivers.dock.facts import RecordedFile, RecordingsUploaded, SlotChanged
from drivers.profile import Profile, read_profile

PROFILE = read_profile(
    (Path(__file__).parents[3] / "firmware_profiles/reference/dock.toml").read_text(encoding="utf-8"), "test"
)
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
THEN = "2026-11-21T08:00:00+08:00"
SM3 = "sm3:" + "0a" * 32
FILE = {"name": "0001.mp4", "size": 734_003_200, "digest": SM3, "started_at": THEN, "seconds": 1800}
INSERTED = {"id": "D1-1", "at": THEN, "slot": 3, "kind": "inserted", "equipment": "BWC-0042"}
UPLOADED = {"id": "D1-2", "at": THEN, "slot": 3, "kind": "uploaded", "equipment": "BWC-0042", "files": [FILE]}
WHEN = datetime.fromisoformat(THEN)


def post(value, profile=PROFILE, method="POST"):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return DRIVER.make(profile, DRIVER.settings()).receive(Request(method, "/", AT, body=body))


def push(*events):
    return post({"version": 1, "dock": "D1", "events": list(events)})


def answer(pushed):
    return json.loads(pushed.answer.body)


@pytest.mark.parametrize(
    ("event", "fact"),
    [
        (INSERTED, SlotChanged("D1-1", 3, "inserted", WHEN, "BWC-0042")),
        (INSERTED | {"kind": "removed", "equipment": None}, SlotChanged("D1-1", 3, "removed", WHEN)),
        (
            INSERTED | {"kind": "charging", "charge_pct": 41.5, "temperature_c": 31},
            SlotChanged("D1-1", 3, "charging", WHEN, "BWC-0042", 41.5, 31.0),
        ),
        (INSERTED | {"kind": "full", "charge_pct": 100}, SlotChanged("D1-1", 3, "full", WHEN, "BWC-0042", 100.0)),
        (INSERTED | {"kind": "uploading"}, SlotChanged("D1-1", 3, "uploading", WHEN, "BWC-0042")),
        (
            INSERTED | {"kind": "fault", "fault": "contact"},
            SlotChanged("D1-1", 3, "fault", WHEN, "BWC-0042", fault="contact"),
        ),
        (
            UPLOADED,
            RecordingsUploaded(
                "D1-2", 3, WHEN, "BWC-0042", (RecordedFile("0001.mp4", 734_003_200, SM3, WHEN, 1800.0),)
            ),
        ),
        (UPLOADED | {"files": []}, RecordingsUploaded("D1-2", 3, WHEN, "BWC-0042")),
        (INSERTED | {"at": "2026-11-21T08:00:00"}, SlotChanged("D1-1", 3, "inserted", WHEN, "BWC-0042")),
    ],
)
def test_each_kind_becomes_a_fact_and_is_accepted(event, fact):
    pushed = push(event)
    assert (pushed.facts, pushed.rejected, pushed.answer.status) == ((fact,), (), 200)
    assert answer(pushed) == {"accepted": [event["id"]], "refused": []}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({}, "id is missing"),
        (INSERTED | {"id": "x" * 65}, "id of 65"),
        (INSERTED | {"slot": 0}, "slot"),
        (INSERTED | {"slot": 17}, "1..16"),
        (INSERTED | {"slot": 1.5}, "whole"),
        (INSERTED | {"kind": "eaten"}, "kind"),
        (INSERTED | {"at": "then"}, "time"),
        (INSERTED | {"at": None}, "at is missing"),
        (INSERTED | {"charge_pct": 101}, "charge"),
        (INSERTED | {"temperature_c": "hot"}, "temperature"),
        (INSERTED | {"equipment": "a\nb"}, "equipment"),
        (UPLOADED | {"equipment": ""}, "without equipment"),
        (UPLOADED | {"files": None}, "list"),
        (UPLOADED | {"files": [FILE] * (MAX_FILES + 1)}, "list"),
        (UPLOADED | {"files": [FILE | {"name": "../etc/passwd"}]}, "folder"),
        (UPLOADED | {"files": [FILE | {"digest": "md5:00"}]}, "digest"),
        (UPLOADED | {"files": [FILE | {"size": -1}]}, "size"),
        (UPLOADED | {"files": [FILE | {"size": 1 << 60}]}, "size"),
        (UPLOADED | {"files": [FILE | {"seconds": 1e9}]}, "seconds"),
        (UPLOADED | {"files": [FILE | {"started_at": None}]}, "started_at"),
        (UPLOADED | {"files": [FILE, 5]}, "missing"),
        ("event", "id is missing"),
    ],
)
def test_an_event_that_cannot_be_is_refused_and_the_next_is_taken(event, reason):
    pushed = push(event, INSERTED | {"id": "good"})
    assert answer(pushed)["accepted"] == ["good"]
    assert reason in answer(pushed)["refused"][0]["why"]
    assert len(pushed.rejected) == len(pushed.facts) == 1
    assert push(event).answer.status == 400


def test_an_event_sent_twice_is_one_and_an_id_for_two_is_refused():
    pushed = push(INSERTED, INSERTED, INSERTED | {"slot": 4})
    assert len(pushed.facts) == 1
    assert answer(pushed)["accepted"] == ["D1-1"]
    assert "same id" in answer(pushed)["refused"][0]["why"]
    assert push(INSERTED).facts == push(INSERTED).facts


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"events": []}', b'{"events": {}}', b"\xff", json.dumps({"events": [INSERTED] * (MAX_EVENTS + 1)}).encode()]
)  # fmt: skip
def test_a_hostile_body_is_refused(body):
    pushed = post(body)
    assert (pushed.answer.status, pushed.facts) == (400, ())
    assert pushed.rejected


def test_only_posts_are_taken():
    assert post({"events": [INSERTED]}, method="GET").answer.status == 405


def test_the_largest_manifest_fits_the_cap():
    body = json.dumps({"events": [UPLOADED | {"files": [FILE | {"name": "n" * 255}] * MAX_FILES}]}).encode()
    assert len(body) < DRIVER.body_cap
    assert len(post(body).facts[0].files) == MAX_FILES


def test_another_docks_words_are_one_profile():
    profile = Profile(
        name="a/b",
        driver="dock",
        vendor="a",
        model="b",
        source="-",
        map={
            "slots": 2,
            "kinds": {"IN": "inserted"},
            "spelling": {"events": "data.rows", "kind": "type", "slot": "bay"},
        },
    )
    row = {"id": "1", "at": THEN, "bay": 2, "type": "IN"}
    (fact,) = post({"data": {"rows": [row]}}, profile).facts
    assert (fact.slot, fact.kind) == (2, "inserted")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*INSERTED, *FILE, "files", "events"]), inner, max_size=6),
    max_leaves=15,
)  # fmt: skip


@given(JSON | st.binary(max_size=100))
def test_no_body_breaks_it_and_the_next_event_is_read(value):
    for body in (value, {"events": [value, INSERTED]}) if not isinstance(value, bytes) else (value,):
        pushed = post(body)
        assert len(pushed.facts) == (len(answer(pushed)["accepted"]) if "accepted" in answer(pushed) else 0)
    assert push(INSERTED).facts


def test_recordings_are_decoded_offline():
    (row,) = DRIVER.decoder(None)(json.dumps({"events": [UPLOADED]}).encode())
    assert row["files"] == [
        {"name": "0001.mp4", "size_bytes": 734_003_200, "digest": SM3, "started_at": THEN, "seconds": 1800.0}
    ]
    with pytest.raises(FrameInvalid, match="kind"):
        DRIVER.decoder(PROFILE)(json.dumps({"events": [INSERTED | {"kind": "?"}]}).encode())


def test_the_profile_that_ships_says_what_the_defaults_are():
    assert DockMap.model_validate(PROFILE.map) == DockMap(slots=16)


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == frozenset()
    assert DRIVER.facts == {SlotChanged, RecordingsUploaded}
