"""The reckoning of the fault bench finds what it is there to find."""

import json
from dataclasses import replace

import pytest

from bench.fault_check import Found, Stored, check

_N = 30


def _row(number, position, stream, seq):
    data = {
        "vital": ("PassageCleared", {"attempt": str(number)}),
        "state": ("DeviceHealthChanged", {"detail": str(number)}),
        "telemetry": ("DeviceMeasured", {"readings": {"number": float(number)}}),
    }
    kind, body = data[stream]
    return Stored(position, "a.b", "E1", stream, seq, f"gatefleet.{kind}.v1", "ok", json.dumps(body))


def _good():
    rows, seqs = [], dict.fromkeys(("vital", "state", "telemetry"), 0)
    for number in range(1, _N + 1):
        stream = ("vital", "state", "telemetry")[number % 3]
        seqs[stream] += 1
        rows.append(_row(number, 100 + number, stream, seqs[stream]))
    passages = [(row.position, json.loads(row.data)["attempt"]) for row in rows if row.stream == "vital"]
    return Found(rows, {("a.b", "E1", stream): seq for stream, seq in seqs.items()}, passages)


def _verdict(found, acked=range(1, _N + 1), left=0):
    return check(_N, list(acked), found, left)


def test_all_there_once_and_in_order_holds():
    verdict = _verdict(_good())
    assert verdict.holds
    assert (verdict.stored, verdict.distinct, verdict.passages) == (_N, _N, 10)


def test_an_event_that_was_never_told_durable_may_be_there():
    assert _verdict(_good(), acked=range(1, _N - 3)).holds


def _without(found, index):
    return replace(found, events=[row for at, row in enumerate(found.events) if at != index])


def _swapped(found, one, other):
    rows = list(found.events)
    rows[one], rows[other] = (
        rows[other]._replace(position=rows[one].position),
        rows[one]._replace(position=rows[other].position),
    )
    return replace(found, events=rows)


def _with(found, index, **changes):
    rows = list(found.events)
    rows[index] = rows[index]._replace(**changes)
    return replace(found, events=rows)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("missing", lambda found: _without(found, 4)),
        ("missing", lambda found: _without(found, _N - 1)),
        ("gaps", lambda found: _without(found, 7)),
        ("doubled", lambda found: replace(found, events=[*found.events, found.events[-1]._replace(position=999)])),
        ("doubled", lambda found: replace(found, events=[*found.events, _row(29, 999, "telemetry", 11)])),
        ("inversions", lambda found: _swapped(found, 3, 6)),
        ("strangers", lambda found: _with(found, 5, status="projection_failed")),
        ("strangers", lambda found: _with(found, 5, type="gatefleet.BufferRepaired.v1")),
        ("strangers", lambda found: _with(found, 5, data="{}")),
        ("strangers", lambda found: _with(found, 5, data=json.dumps({"attempt": str(_N + 1)}))),
        ("lives", lambda found: _with(found, 5, epoch="E2")),
        ("marks_off", lambda found: replace(found, marks={})),
        ("passages_off", lambda found: replace(found, passages=found.passages[1:])),
        ("passages_off", lambda found: replace(found, passages=[*found.passages, found.passages[0]])),
    ],
)
def test_damage_is_found(name, damage):
    verdict = _verdict(damage(_good()))
    assert verdict.faults()[name] > 0, verdict
    assert not verdict.holds


def test_a_buffer_that_is_not_empty_does_not_hold():
    assert not _verdict(_good(), left=1).holds


def test_a_number_acked_beyond_what_was_wanted_is_missed():
    verdict = _verdict(_good(), acked=range(1, _N + 2))
    assert verdict.missing == 1
    assert not verdict.holds


def test_without_a_projection_passages_are_not_asked_for():
    assert _verdict(replace(_good(), passages=None)).holds
