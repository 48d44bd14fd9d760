"""What edges pack, central reads; hostile batches are refused with their place."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.envelope import read_batch, read_entry, read_event
from core import messages
from core.errors import GatefleetError, MessageInvalid
from core.messages.envelope import MAX_BATCH_BYTES, ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Stream
from core.messages.events import DeviceMeasured, PassageTimedOut

STAMP = Stamp(datetime(2026, 11, 21, 4, 5, 6, 789_123, UTC), 12_345_678_901, "boot-1", ClockSource.CENTRAL, -42, 7)
EVENT = PassageTimedOut(lane="L1", attempt="A1", subject_token="dX")


def whole(event=EVENT, seq=5_000_000_000, after=None, edge="site-1.gates"):
    packed = pack(event, STAMP)
    follows = seq - 1 if after is None else after
    return place(packed.body, source=edge, epoch="E" * 26, stream=packed.stream.value, seq=seq, after=follows)


def event_of(raw):
    (envelope,) = read_batch(b"[" + raw + b"]")
    return read_event(envelope.type, bytes(envelope.data))


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
    assert read_event(envelope.type, bytes(envelope.data)) == event
    assert (envelope.seq, envelope.follows, envelope.stream) == (seq, after, Stream.TELEMETRY)
    assert (envelope.clockoffset, envelope.clockerror, envelope.clocksource) == (-42, 7, "central")


def test_an_unknown_type_is_none_and_data_that_does_not_fit_is_told_with_its_place():
    raw = whole().replace(b"PassageTimedOut.v1", b"PassageTimedOut.v9")
    assert event_of(raw) is None
    bad = whole().replace(b'"lane":"L1"', b'"lane":[1]')
    with pytest.raises(MessageInvalid, match=r"data\.lane"):
        event_of(bad)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda raw: raw[:-1], "batch"),
        (lambda raw: b"{}", "batch"),
        (lambda raw: raw.replace(b'"1.0"', b'"2.0"'), r"\$\[0\]\.specversion"),
        (lambda raw: raw.replace(b'"vital"', b'"other"'), r"\$\[0\]\.stream"),
        (lambda raw: raw.replace(b'"seq":"5000000000"', b'"seq":"0"'), r"\$\[0\]\.seq"),
        (lambda raw: raw.replace(b'"data":{', b'"data":[{').replace(b"}}]", b"}]}]"), r"\$\[0\]\.data"),
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


def test_every_event_is_known_where_nothing_else_of_central_is_imported():
    modules = {path.stem for path in Path(messages.__path__[0]).glob("*_events.py")} | {"events"}
    code = "import central.envelope, core.messages.event as e; print(*{c.__module__ for c in e.Event.KNOWN.values()})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert {f"core.messages.{name}" for name in modules} <= set(told.stdout.split())


def test_a_newer_edges_extra_field_is_no_mistake():
    raw = whole().replace(b'"lane":"L1"', b'"lane":"L1","new_field":1')
    assert event_of(raw) == EVENT


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"\xff"}',
        b"[1]",
        b'"text"',
        b"null",
        b'{"a":1',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":NaN}',
    ],
)
def test_data_that_is_no_sound_object_is_refused(data):
    raw = whole()
    with pytest.raises(MessageInvalid):
        read_batch(b"[" + raw[: raw.index(b'"data":') + 7] + data + b"}]")


def test_data_stays_as_it_came():
    raw = whole().replace(b'"lane":"L1"', b'"lane" : "L\\u0031"')
    (envelope,) = read_batch(b"[" + raw + b"]")
    assert bytes(envelope.data).startswith(b'{"lane" : "L\\u0031"')
    assert event_of(raw) == EVENT


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_item_breaks_the_reader(item):
    with pytest.raises(MessageInvalid):
        read_entry(item)
