"""Events on the wire: what comes out is what went in, and hostile batches are refused with their place."""

import json
from datetime import UTC, datetime

import pytest

from core.errors import MessageInvalid
from core.messages import topics
from core.messages.envelope import (
    ClockSource,
    Stamp,
    pack,
    pack_all,
    packed_event,
    place,
)
from core.messages.event import Event
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
