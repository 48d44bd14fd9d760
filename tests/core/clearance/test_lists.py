"""Snapshots and deltas: what comes out is what went in, and anything else is refused."""

import gc
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clearance.lists import apply_delta, make_content, read_snapshot, write_delta, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.errors import GatefleetError, ListRefused

times = st.none() | st.datetimes(
    datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])
)
rows = st.lists(
    st.tuples(
        st.sampled_from(["dA", "dB", "pC"]),
        st.builds(ListEntry, st.sampled_from(["e1", "e2", "e3"]), times, times, st.sampled_from([None, "staff"])),
    ),
    max_size=6,
    unique_by=lambda row: (row[0], row[1].entry_id),
)


def content(these, version=1):
    return make_content("hq-block", version, ListEffect.REFUSE, 10, these)


@given(rows)
def test_a_snapshot_read_is_the_list_written(these):
    read = read_snapshot(write_snapshot(content(these)))
    assert read == content(these)
    assert len(read.entries) == len(set(read.entries))
    for token in ("dA", "dB", "pC", "dZ"):
        wanted = sorted((entry for one, entry in these if one == token), key=lambda entry: entry.entry_id)
        assert list(read.entries.get(token) or ()) == wanted


def test_the_collector_has_nothing_to_look_at_in_a_list():
    """At 200,000 entries it looked for 120 ms at a time, while every gate waited."""
    read = read_snapshot(write_snapshot(content([(f"d{n}", ListEntry(f"E{n}")) for n in range(1_000)])))
    before = len(gc.get_objects())
    again = read_snapshot(write_snapshot(read))
    assert len(gc.get_objects()) - before < 50
    assert again == read


@given(rows, rows)
def test_a_delta_turns_the_old_list_into_the_new_one(before, after):
    old, new = content(before), content(after, 2)
    assert apply_delta(old, write_delta(old, new)) == new


def test_a_delta_for_another_version_is_refused():
    old, new = content([]), content([("dA", ListEntry("e1"))], 2)
    with pytest.raises(ListRefused, match="follows version 1, here is 2"):
        apply_delta(new, write_delta(old, new))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text.replace('"entries":1', '"entries":2'), "1 entries, the head says 2"),
        (lambda text: text.replace("\t", " "), "line 2: not an entry"),
        (lambda text: text.replace("\te1\t", "\te1\t2026-11-21"), "line 2: not a time"),
        (lambda text: text[1:], "line 1"),
        (lambda text: text.replace("refuse", "allow"), "line 1"),
    ],
)
def test_a_spoilt_snapshot_is_refused_with_its_place(spoil, says):
    text = write_snapshot(content([("dA", ListEntry("e1"))]))
    with pytest.raises(ListRefused, match=says):
        read_snapshot(spoil(text))


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    with pytest.raises(GatefleetError):
        read_snapshot(text + "\x00")
