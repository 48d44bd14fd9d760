"""What push devices share."""

import contextlib
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.push import MAX_REJECTED, Reading, at_path, first_text, parse_json, read_requests, refused


def test_json_is_read_in_both_encodings():
    assert parse_json('\ufeff{"a": "横琴"}'.encode()) == {"a": "横琴"}
    assert parse_json('{"a": "横琴"}'.encode("gb18030")) == {"a": "横琴"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b'{"a":1,"a":2}',
        b"[" * 100_000,
        b"\xff",
        b"1" * 5000,
        b"[" + b"{}," * 60_000 + b"0]",
    ],
)
def test_json_that_cannot_be_is_refused(body):
    with pytest.raises(FrameInvalid):
        parse_json(body)


def test_values_are_found_by_dotted_paths():
    value = {"a": {"b": 0, "c": None, "d": [1]}, "e": False}
    assert at_path(value, "a.b") == 0
    assert at_path(value, "a.b.c") is None
    assert first_text(value, ("x", "a.c", "a.d", "a.b")) == "0"
    assert first_text(value, ("e",)) == "false"


def test_a_reading_keeps_what_can_be_and_counts_the_rest():
    reading = Reading()
    assert reading.word("w", "a" * 10, 10) == "a" * 10
    assert reading.whole("n", "5.0", 0, 10) == 5
    assert reading.number("n", "", 0, 10) is None
    assert reading.rejected == []
    assert reading.word("w", "a" * 11, 10) == ""
    assert reading.word("w", "a\x07", 10) == ""
    assert [reading.number("n", text, 0, 10) for text in ("x", "inf", "nan", "11", "1e999")] == [None] * 5
    assert reading.whole("n", "0.5", 0, 10) is None
    assert len(reading.rejected) == 8


def test_reasons_are_bounded():
    reading = Reading()
    for _ in range(100):
        reading.reject("why")
    assert len(reading.rejected) == MAX_REJECTED
    assert len(refused(400, *["why"] * 100).rejected) == MAX_REJECTED


def test_recorded_requests_are_parted():
    one = b"POST /a?x=1 HTTP/1.1\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi"
    first, second = read_requests(one + b"GET /b HTTP/1.1\n\n")
    assert (first.method, first.path, first.headers["x-a"], first.body) == ("POST", "/a", "b", b"hi")
    assert (second.method, second.path, second.body) == ("GET", "/b", b"")
    (bare,) = read_requests(b"hi", "/c")
    assert (bare.path, bare.body, bare.at.tzinfo) == ("/c", b"hi", UTC)


@given(st.binary(max_size=200))
def test_no_recording_breaks_it(data):
    with contextlib.suppress(FrameInvalid):
        for request in read_requests(b"POST / HTTP/1.1\r\n" + data):
            assert len(request.body) <= len(data)
