"""XML that peers send, honest and hostile."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.markup import MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, find, parse_xml, text

BOMB = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><a>&y;</a>'
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


@pytest.mark.parametrize(
    "data",
    [
        BOMB,
        OUTSIDE,
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
        b"<a>&x;</a>",
        b"<a><b></a>",
        b"<a/><a/>",
        b"",
        b"\x00",
        b'<?xml version="1.0" encoding="nothing"?><a/>',
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
        b"<a>" + b" " * MAX_BYTES + b"</a>",
    ],
)
def test_it_is_refused(data):
    with pytest.raises(FrameInvalid):
        parse_xml(data)


def test_elements_beyond_the_cap_are_refused_and_one_less_is_not():
    assert len(parse_xml(b"<a>" + b"<b/>" * (MAX_ELEMENTS - 1) + b"</a>")) == MAX_ELEMENTS - 1
    with pytest.raises(FrameInvalid, match="20000 elements"):
        parse_xml(b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>")


def test_elements_are_found_whatever_their_prefix():
    root = parse_xml(b'<s:a xmlns:s="urn:1"><t:b xmlns:t="urn:2"> x </t:b><s:c/></s:a>')
    assert (text(root, "b"), text(root, "c"), text(root, "d"), text(root, "b", "e")) == ("x", "", "", "")
    assert find(root, "c") is not None
    assert find(root) is root


def test_the_encodings_of_the_field():
    declared = '<?xml version="1.0" encoding="GB2312"?><a>\u6a2a\u7434</a>'
    assert text(parse_xml(declared.encode("gb2312"))) == "\u6a2a\u7434"
    assert text(parse_xml(declared.encode("gb2312").partition(b"?>")[2], encoding="gb18030")) == "\u6a2a\u7434"
    assert text(parse_xml(declared.encode("utf-8"), encoding="utf-8")) == "\u6a2a\u7434"


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data):
    with contextlib.suppress(FrameInvalid):
        parse_xml(b"<a>" + data + b"</a>")
