"""SIP in datagrams and streams: what is read, what is refused, what stays bounded."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Rejected, Report
from drivers.gb28181 import SipCodec
from drivers.gb28181.headers import Via, parse_address, parse_cseq, parse_seconds, parse_uri, parse_via, split_list
from drivers.gb28181.sip import (
    MAX_BODY,
    MAX_HEAD,
    Broken,
    SipRequest,
    SipResponse,
    SipStream,
    encode,
    parse_datagram,
)

# RFC 3261, 24.1 (F1), its names shortened as 7.3.3 has them.
COMPACT = (
    b"REGISTER sip:registrar.biloxi.com SIP/2.0\r\nv: SIP/2.0/UDP bobspc.biloxi.com:5060;branch=z9hG4bKnashds7\r\n"
    b"Max-Forwards: 70\r\nt: Bob <sip:bob@biloxi.com>\r\nf: Bob <sip:bob@biloxi.com>;tag=456248\r\n"
    b"i: 843817637684230@998sdasdh09\r\nCSeq: 1826 REGISTER\r\nm: <sip:bob@192.0.2.4>\r\nExpires: 7200\r\nl: 0\r\n\r\n"
)
HEAD = (
    "MESSAGE sip:34020000001320000001@192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK7\r\n"
    "From: <sip:34020000002000000001@3402000000>;tag=1\r\nTo: <sip:34020000001320000001@3402000000>\r\nCall-ID: 7\r\n"
    "CSeq: 20 MESSAGE\r\n"
)
GOOD = HEAD.encode() + b"Content-Length: 4\r\n\r\nbody"


def bad(old, new, text=HEAD):
    assert old in text
    return text.replace(old, new, 1).encode() + b"Content-Length: 0\r\n\r\n"


REFUSED = {
    "folded": bad("Call-ID: 7", "Call-ID: 7\r\n more"),
    "no colon": bad("Call-ID: 7", "Call-ID: 7\r\nnonsense"),
    "no Via": bad("Via:", "X-Via:"),
    "no From": bad("From:", "X-From:"),
    "two Call-IDs": bad("Call-ID: 7", "Call-ID: 7\r\ni: 8"),
    "CSeq of another method": bad("20 MESSAGE", "20 INVITE"),
    "CSeq too big": bad("20 MESSAGE", "2147483648 MESSAGE"),
    "CSeq in Chinese digits": bad("20 MESSAGE", "٢٠ MESSAGE"),
    "HTTP": bad("SIP/2.0\r\n", "HTTP/1.1\r\n"),
    "lower-case method": bad("MESSAGE sip:", "message sip:"),
    "control character": bad("Call-ID: 7", "Call-ID: 7\x00"),
    "bare line feed": bad("Call-ID: 7", "Call-ID: 7\nX: y"),
    "a long line": bad("Call-ID: 7", "Call-ID: " + "7" * 2050),
    "many headers": bad("Call-ID: 7", "Call-ID: 7" + "\r\nX: y" * 60),
    "a long head": bad("Call-ID: 7", "Call-ID: 7" + ("\r\nX: " + "y" * 1500) * 12),
    "Via without transport": bad("SIP/2.0/UDP 192.0.2.1", "192.0.2.1"),
    "many Vias": bad(";branch=z9hG4bK7", ";branch=z9hG4bK7" + ", SIP/2.0/UDP h" * 20),
    "a port of 70000": bad("192.0.2.1:5060", "192.0.2.1:70000"),
    "open bracket": bad("@3402000000>;tag=1", "@3402000000;tag=1"),
    "tel": bad("<sip:34020000002000000001@3402000000>", "<tel:110>"),
    "a negative length": HEAD.encode() + b"Content-Length: -1\r\n\r\n",
    "a length too big": HEAD.encode() + b"Content-Length: 65537\r\n\r\n",
    "two lengths": HEAD.encode() + b"Content-Length: 0\r\nl: 1\r\n\r\nx",
}


def pieces(data, cut):
    chance, at = random.Random(len(data)), 0
    while at < len(data):
        size = {"whole": len(data), "bytes": 1, "ragged": chance.randint(1, 90)}[cut]
        yield data[at : at + size]
        at += size


def test_compact_names_are_read_and_written_out():
    message = parse_datagram(COMPACT)
    assert isinstance(message, SipRequest)
    assert (message.method, message.uri, message.cseq.number) == ("REGISTER", "sip:registrar.biloxi.com", 1826)
    assert (message.sender.uri.user, message.sender.param("tag")) == ("bob", "456248")
    assert (message.contacts[0].uri.address, message.via.branch) == ("192.0.2.4", "z9hG4bKnashds7")
    assert b"\r\nVia: SIP/2.0/UDP bobspc" in encode(message)
    assert parse_datagram(encode(message)) == message


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_the_rules_is_refused_and_the_next_message_is_read(data):
    with pytest.raises(FrameInvalid):
        parse_datagram(data)
    for cut in ("whole", "bytes", "ragged"):
        stream = SipStream()
        found = [one for piece in pieces(data + GOOD, cut) for one in stream.receive(piece)]
        assert isinstance(found[0], Broken)
        assert isinstance(found[-1], SipRequest)
        assert found[-1].body == b"body"


def test_a_datagram_may_leave_out_its_length_or_be_longer_but_not_shorter():
    assert parse_datagram(HEAD.encode() + b"\r\nall of it").body == b"all of it"
    assert parse_datagram(GOOD + b"and more").body == b"body"
    with pytest.raises(FrameInvalid, match="Content-Length 4"):
        parse_datagram(GOOD[:-1])
    with pytest.raises(FrameInvalid, match="empty line"):
        parse_datagram(HEAD.encode())
    with pytest.raises(FrameInvalid, match="body of more"):
        parse_datagram(HEAD.encode() + b"\r\n" + b"x" * (MAX_BODY + 1))


def test_a_stream_needs_lengths():
    assert isinstance(SipStream().receive(HEAD.encode() + b"\r\n")[0], Broken)


@pytest.mark.parametrize("cut", ["whole", "bytes", "ragged"])
def test_messages_follow_each_other_in_any_cut_with_keepalives_between(cut):
    stream = SipStream()
    data = GOOD + b"\r\n\r\n" + COMPACT + GOOD + b"\r\n" + GOOD
    found = [one for piece in pieces(data, cut) for one in stream.receive(piece)]
    assert [type(one) for one in found] == [SipRequest] * 4
    assert stream.held == 0


def test_the_largest_message_passes_byte_by_byte_in_little_time():
    body = b"x" * MAX_BODY
    data = HEAD.encode() + b"Content-Length: 65536\r\n\r\n" + body
    stream = SipStream()
    found = [one for at in range(len(data)) for one in stream.receive(data[at : at + 1])]
    assert [one.body for one in found] == [body]


@given(st.lists(st.binary(max_size=3000), max_size=8))
@example([b"SIP/2.0 200 OK\r\n" * 3000])
@example([b"A" * 200_000])
@example([b"\r\n" * 50_000])
@settings(deadline=None)
def test_no_bytes_break_a_stream_and_what_it_holds_is_bounded(parts):
    stream = SipStream()
    for part in parts:
        for one in stream.receive(part):
            assert isinstance(one, SipRequest | SipResponse | Broken)
        assert stream.held <= 2 * MAX_HEAD + MAX_BODY
    found = [*stream.receive(b"\r\n\r\n" + GOOD), *stream.receive(GOOD)]
    assert isinstance(found[-1], SipRequest)


@given(st.binary(max_size=400), st.integers(0, len(GOOD)), st.integers(0, 30))
def test_no_datagram_breaks_it(noise, at, cut):
    for data in (noise, GOOD[:at] + noise + GOOD[at + cut :]):
        try:
            message = parse_datagram(data)
        except FrameInvalid:
            continue
        # A datagram may leave its Content-Length out, what is written never does.
        assert encode(parse_datagram(encode(message))) == encode(message)


@given(st.lists(st.binary(max_size=300), max_size=4))
@example([b"<?xml version='1.0'?><!DOCTYPE a><a/>"])
@example([b"\xa5\x0f"])
@example([b"v=0\r\nm=video 1 RTP/AVP 999999\r\n"])
@example([b"<" + b"a" * 70_000])
def test_no_bytes_break_the_decoder(parts):
    codec = SipCodec()
    for part in [*parts, b""]:
        for output in codec.receive(part):
            assert isinstance(output, Report | Rejected)


def test_bytes_that_are_not_utf8_come_back_as_they_were():
    data = GOOD.replace(b"Call-ID: 7", b"Call-ID: 7\r\nUser-Agent: \xba\xa3\xbf\xb5")
    assert encode(parse_datagram(data)) == data
    (report,) = SipCodec().receive(data)
    assert report.fact.as_dict()["user_agent"] == "????"


def test_a_line_break_cannot_be_smuggled_into_a_header():
    message = parse_datagram(GOOD)
    with pytest.raises(ValueError, match="line break"):
        encode(SipRequest(message.headers.plus(("X", "a\r\nb")), method="MESSAGE", uri="sip:a"))


@pytest.mark.parametrize(
    ("text", "user", "address", "params"),
    [
        ("sip:34020000002000000001@3402000000", "34020000002000000001", "3402000000", ()),
        ("sip:[2001:db8::9]:5070;transport=tcp", "", "[2001:db8::9]:5070", (("transport", "tcp"),)),
        ("sips:a%20b:pw@h;lr;x=1?Subject=y", "a%20b:pw", "h", (("lr", None), ("x", "1"))),
    ],
)
def test_uris(text, user, address, params):
    uri = parse_uri(text)
    assert (uri.user, uri.address, uri.params) == (user, address, params)


def test_addresses_with_and_without_brackets():
    one = parse_address('"A, <B> \\" C" <sip:1@h;transport=tcp>;expires=60;q="a;b"')
    assert (one.uri.user, one.uri.params, one.param("expires")) == ("1", (("transport", "tcp"),), "60")
    two = parse_address("sip:1@h;expires=60")
    assert (two.uri.params, two.param("Expires".lower())) == ((), "60")
    assert split_list('"a,b" <sip:1@h>, <sip:2@h;x=1,2>') == ('"a,b" <sip:1@h>', "<sip:2@h;x=1,2>")


@pytest.mark.parametrize(
    ("text", "source", "written", "to"),
    [
        ("SIP/2.0/UDP 10.0.0.9:5062;rport;branch=z9hG4bKa", ("192.0.2.7", 9000), "SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bKa;rport=9000;received=192.0.2.7", ("192.0.2.7", 9000)),
        ("SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bKa", ("192.0.2.7", 9000), "SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bKa;received=192.0.2.7", ("192.0.2.7", 5062)),
        ("SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKa", ("192.0.2.7", 9000), "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKa", ("192.0.2.7", 5060)),
    ],
)  # fmt: skip
def test_answers_go_where_rfc_3581_says(text, source, written, to):
    via = parse_via(text)
    assert str(via.seen_from(*source)) == written
    assert via.answer_to(*source) == to


def test_small_values():
    assert Via("UDP", "h").sent_by == "h:5060"
    assert parse_cseq("4711  INVITE").method == "INVITE"
    assert [parse_seconds(text) for text in ("3600", "0", "", None, "-1", "1e3", "4294967296", "٣")] == [
        3600, 0, None, None, None, None, None, None,
    ]  # fmt: skip
