"""Multipart bodies, honest, sloppy and hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.multipart import MAX_HEAD, MAX_PARTS, boundary_of, parse_multipart, sniff_boundary


def told(body, boundary=b"b"):
    found = parse_multipart(body, boundary)
    return [(part.name or part.filename, part.data) for part in found.parts], len(found.rejected)


A = b'Content-Disposition: form-data; name="a"\r\n\r\n'

TABLE = [
    (b"--b\r\n" + A + b"1\r\n--b--\r\n", [("a", b"1")], 0),
    (b"--b\r\n" + A + b"1\r\n--b--", [("a", b"1")], 0),
    (b"preamble\r\n--b\r\n" + A + b"1\r\n--b--epilogue", [("a", b"1")], 0),
    (b"--b \t\r\n" + A + b"1\r\n--b\r\n\r\n2\r\n--b--", [("a", b"1"), ("", b"2")], 0),
    (b"--b\nContent-Disposition: form-data; name=a\n\n1\n--b--\n", [("a", b"1")], 0),
    (b"--b\r\n" + A + b"\r\n--b--", [("a", b"")], 0),
    (b"--b\r\n" + A + b"1\r\n--bb\r\n--b--", [("a", b"1\r\n--bb")], 0),
    (b"--b\r\n" + A + b"x--b\r\n--b--", [("a", b"x--b")], 0),
    (b"--b\r\nContent-Length: 1\r\n" + A + b"1--b--", [("a", b"1")], 0),
    (b"--b\r\nContent-Length: 9\r\n" + A + b"1\r\n--b--", [("a", b"1")], 0),
    (b"--b\r\nContent-Length: -1\r\n" + A + b"1\r\n--b--", [("a", b"1")], 0),
    (b"--b\r\nContent-Length: 1\r\n" + A + b"1", [("a", b"1")], 0),
    (b"--b\r\nContent-Length: 2\r\n" + A + b"1", [], 1),
    (b"--b\r\n" + A + b"1", [], 1),
    (b"--b\r\n" + b"x" * (MAX_HEAD + 1) + b"\r\n--b\r\n" + A + b"2\r\n--b--", [("a", b"2")], 1),
    (b"--b--", [], 0),
    (b"--b\r\n" + A + b"\n--bx" * 999 + b"\r\n--b--", [("a", b"\n--bx" * 999)], 0),
    (b"--b\r\n" + A + b"\n--bx" * 1000 + b"\r\n--b--", [], 1),
    (b'--b\r\nContent-Disposition: form-data; filename="C:\\x\\../y.jpg"\r\n\r\n1\r\n--b--', [("y.jpg", b"1")], 0),
    (b"--b\r\n\r\n1\r\n" * (MAX_PARTS + 1) + b"--b--", [("", b"1")] * MAX_PARTS, 1),
]  # fmt: skip


@pytest.mark.parametrize(("body", "parts", "rejected"), TABLE)
def test_each_row(body, parts, rejected):
    assert told(body) == (parts, rejected)


@pytest.mark.parametrize("body", [b"", b"nothing", b"x--b\r\n", b"--bb\r\n\r\n1\r\n--bb--"])
def test_a_body_in_which_no_part_begins_is_refused(body):
    with pytest.raises(FrameInvalid):
        parse_multipart(body, b"b")


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=boundary", b"boundary"),
        ('multipart/form-data; charset=utf-8; boundary="a b"; x=1', b"a b"),
        ("multipart/mixed;BOUNDARY=----WebKit1", b"----WebKit1"),
    ],
)
def test_the_boundary_is_found(header, boundary):
    assert boundary_of(header) == boundary


@pytest.mark.parametrize(
    "header", ["", "multipart/form-data", "x; boundary=", f"x; boundary={'a' * 71}", "x; boundary=é"]
)
def test_a_boundary_that_cannot_be_is_refused(header):
    with pytest.raises(FrameInvalid):
        boundary_of(header)


def test_a_boundary_is_told_from_a_bare_body():
    assert sniff_boundary(b"--MIME_boundary\r\nContent-Type: text/xml\r\n\r\n") == b"MIME_boundary"
    assert sniff_boundary(b"<a/>") is None
    assert sniff_boundary(b"-- a comment\r\nselect 1") is None


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_break_it_and_nothing_is_made_up(data, cut):
    body = (b"--b\r\n" + A + data + b"\r\n--b\r\nContent-Length: 3\r\n" + A + b"end\r\n--b--\r\n")[:cut]
    try:
        found = parse_multipart(body, b"b")
    except FrameInvalid:
        return
    assert len(found.parts) <= MAX_PARTS
    assert sum(len(part.data) for part in found.parts) <= len(body)


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=MAX_PARTS))
def test_parts_with_their_lengths_come_back_whole(datas):
    body = b"".join(b"--b\r\nContent-Length: %d\r\n" % len(one) + A + one + b"\r\n" for one in datas) + b"--b--"
    assert told(body) == ([("a", one) for one in datas], 0)
