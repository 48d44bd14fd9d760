"""Events on the wire: what comes out is what went in, and hostile batches are refused with their place."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import GatefleetError, MessageInvalid
from core.messages import topics
from core.messages.envelope import (
    MAX_BATCH_BYTES,
    ClockSource,
    Stamp,
    join_batch,
    pack,
    pack_all,
    packed_event,
    place,
    read_batch,
    read_event,
)
from core.messages.event import Event, Stream
from core.messages.events import DeviceMeasured, EntriesDropped, PassageTimedOut
from core.messages.ids import ulid

STAMP = Stamp(datetime(2026, 11, 21, 4, 5, 6, 789_123, UTC), 12_345_678_901, "boot-1", ClockSource.CENTRAL, -42, 7)
EVENT = PassageTimedOut(lane="L1", attempt="A1", subject_token="dX")


def whole(event=EVENT, seq=5_000_000_000, after=None, edge="site-1.gates"):
    packed = pack(event, STAMP)
    follows = seq - 1 if after is None else after
    return place(packed.body, source=edge, epoch="E" * 26, stream=packed.stream.value, seq=seq, after=follows)


def test_an_event_on_the_wire_is_a_cloudevent_with_its_place():
    told = json.loads(whole())
    assert told["id"] == f"{'E' * 26}.vital.5000000000"
    assert (told["specversion"], told["source"], told["subject"]) == ("1.0", "site-1.gates", "L1")
    assert (told["seq"], told["monotonic"], told["time"]) == ("5000000000", "12345678901", "2026-11-21T04:05:06.789Z")
    assert "after" not in told
    assert all(key.isalnum() and key.islower() for key in told)


def test_events_of_one_moment_are_packed_as_each_would_be_alone():
    events = (EVENT, DeviceMeasured(device='q"\\uote\n深井', readings={"a": 1.5}))
    assert pack_all(events, STAMP) == [pack(event, STAMP) for event in events]
    assert [packed_event(one.body)[1] for one in pack_all(events, STAMP)] == [e.model_dump() for e in events]


@given(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.dictionaries(st.text(min_size=1, max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    st.integers(1, 2**60),
    st.integers(0, 100),
)
def test_what_is_read_is_what_was_packed(device, readings, seq, hole):
    after = max(0, seq - 1 - hole)
    event = DeviceMeasured(device=device, readings=readings)
    (envelope,) = read_batch(join_batch([whole(event, seq, after)]))
    assert read_event(envelope) == event
    assert (envelope.seq, envelope.follows, envelope.stream) == (seq, after, Stream.TELEMETRY)
    assert (envelope.clockoffset, envelope.clockerror, envelope.clocksource) == (-42, 7, "central")


def test_an_unknown_type_is_none_and_data_that_does_not_fit_is_told_with_its_place():
    raw = whole().replace(b"PassageTimedOut.v1", b"PassageTimedOut.v9")
    assert read_event(read_batch(b"[" + raw + b"]")[0]) is None
    bad = whole().replace(b'"lane":"L1"', b'"lane":[1]')
    with pytest.raises(MessageInvalid, match=r"data\.lane"):
        read_event(read_batch(b"[" + bad + b"]")[0])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda raw: raw[:-1], "batch"),
        (lambda raw: b"{}", "batch"),
        (lambda raw: raw.replace(b'"1.0"', b'"2.0"'), "0.specversion"),
        (lambda raw: raw.replace(b'"vital"', b'"other"'), "0.stream"),
        (lambda raw: raw.replace(b'"seq":"5000000000"', b'"seq":"0"'), "0.seq"),
        (lambda raw: raw.replace(b'"data":{', b'"data":[{').replace(b"}}]", b"}]}]"), "0.data"),
        (lambda raw: b" " * (MAX_BATCH_BYTES + 1), "over the limit"),
    ],
)
def test_a_spoilt_batch_is_refused_with_its_place(spoil, says):
    with pytest.raises(MessageInvalid, match=says):
        read_batch(spoil(join_batch([whole()])))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw):
    with pytest.raises(GatefleetError):
        read_batch(b"\x00" + raw)


def test_a_newer_edges_extra_field_is_no_mistake():
    raw = whole().replace(b'"lane":"L1"', b'"lane":"L1","new_field":1')
    assert read_event(read_batch(b"[" + raw + b"]")[0]) == EVENT


def test_every_event_names_its_subject_and_has_a_type_of_its_own():
    assert EntriesDropped(stream="state", first_seq=1, last_seq=2, count=2).subject() == "state"
    assert all(name == kind.TYPE for name, kind in Event.KNOWN.items())
    assert packed_event(pack(EVENT, STAMP).body)[0] == "gatefleet.PassageTimedOut.v1"


@pytest.mark.parametrize("topic", ["gf/v1/site.x/up/vital", "gf/v1/a-b.c-1/ack"])
def test_topics_are_read(topic):
    assert topics.parse(topic)[0] in {"site.x", "a-b.c-1"}


@pytest.mark.parametrize(
    "topic", ["", "gf/v2/a.b/up/vital", "gf/v1/a/up", "gf/v1/A.b/up/x", "gf/v1/../up/x", "gf/v1/a.b"]
)
def test_other_topics_are_refused(topic):
    with pytest.raises(MessageInvalid):
        topics.parse(topic)


def test_ulids_sort_by_time():
    ids = [ulid(ms, bytes(10)) for ms in (0, 1, 2**40, 2**48 - 1)]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {26}
    # The specification's own example of the time part.
    assert ulid(1_469_918_176_385, bytes(10)).startswith("01ARYZ6S41")
