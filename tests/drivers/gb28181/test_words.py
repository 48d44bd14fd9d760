"""Transactions, catalogs, bodies, PTZ and the dates of platforms."""

import json
from datetime import datetime

import pytest

from core.errors import FrameInvalid, Unsupported
from drivers.digest import Login
from drivers.gb28181.catalog import Camera, Catalog, Gateway
from drivers.gb28181.ids import domain_of, type_code
from drivers.gb28181.manscdp import MAX_ITEMS, build, describe, keepalive, list_response, parse_body
from drivers.gb28181.ptz import PtzCommand, parse_ptz, ptz_text
from drivers.gb28181.sdp import parse_sdp
from drivers.gb28181.sip import Headers, SipRequest, SipResponse, encode, parse_datagram
from drivers.gb28181.transactions import MAX_KEPT, Answered, Timers, client_key, server_key
from drivers.gb28181.words import PlatformMap, Turn, Words, credentials_for, granted_s, moved_to, platform_time
from drivers.profile import checked_map, read_profile
from edge.profiles import data_folder, load_profile

OWN, UPPER = "44040000002000000009", "34020000002000000001"
TURN = Turn("call", "tag", 3, "z9hG4bKb")
WORDS = Words(OWN, UPPER, "3402000000", "192.0.2.9", 5062, "UDP")


def camera(number, **more):
    return Camera(f"4404000000132{number:07d}", more.pop("name", f"C{number}"), **more)


def answer(*rows, status=200):
    return SipResponse(Headers(rows), status=status, reason="x")


def test_the_timers_are_those_of_the_rfc():
    pauses = Timers().pauses(reliable=False)
    assert pauses[:5] == (0.5, 1.0, 2.0, 4.0, 4.0)
    assert sum(pauses) == Timers().patience_s == 32.0
    assert len(pauses) == 11  # RFC 3261, 17.1.2.1: 500 ms, 1 s, 2 s, 4 s, 4 s, ...
    assert Timers().pauses(reliable=True) == (32.0,)


def test_an_ack_belongs_to_its_invite_and_old_peers_are_told_apart_by_more():
    invite = WORDS.message(TURN, b"")
    as_invite, as_ack = (
        SipRequest(invite.headers.without("CSeq").plus(("CSeq", f"3 {name}")), method=name, uri="sip:x")
        for name in ("INVITE", "ACK")
    )
    assert server_key(as_invite) == server_key(as_ack) != server_key(invite)
    assert client_key(invite) == ("z9hG4bKb", "MESSAGE")
    old = [WORDS.message(Turn("call", "tag", n, "1"), b"") for n in (1, 2)]
    assert server_key(old[0]) != server_key(old[1])


def test_answers_are_kept_for_their_time_and_no_more_than_so_many():
    kept = Answered(32.0)
    kept.keep(("a",), b"1", 0.0)
    assert (kept.again(("a",), 31.9), kept.again(("a",), 32.0), kept.again(("b",), 0.0)) == (b"1", None, None)
    for number in range(3 * MAX_KEPT):
        kept.keep((str(number),), b"x", 1.0)
    assert len(kept) == MAX_KEPT
    kept.keep(("late",), b"x", 100.0)
    assert len(kept) == 1


def test_a_register_is_as_cameras_send_it():
    request = parse_datagram(encode(WORDS.register(TURN, 3600)))
    assert request.uri == "sip:34020000002000000001@3402000000"
    assert str(request.sender) == f"<sip:{OWN}@4404000000>;tag=tag"
    assert str(request.target) == f"<sip:{OWN}@4404000000>"
    assert str(request.contacts[0]) == f"<sip:{OWN}@192.0.2.9:5062>"
    assert (request.headers.get("Expires"), request.headers.get("X-GB-Ver"), str(request.cseq)) == (
        "3600",
        "2.0",
        "3 REGISTER",
    )
    tcp = Words(OWN, UPPER, "3402000000", "192.0.2.9", 5062, "TCP", PlatformMap(edition="2022"))
    request = tcp.register(TURN, 0)
    assert (str(request.contacts[0].uri), request.headers.get("X-GB-Ver")) == (
        f"sip:{OWN}@192.0.2.9:5062;transport=tcp",
        "3.0",
    )
    silent = Words(OWN, UPPER, "3402000000", "h", 1, "UDP", PlatformMap(tell_edition=False)).register(TURN, 0)
    assert silent.headers.get("X-GB-Ver") is None


def test_a_reply_copies_what_it_must():
    vias = (
        ("Via", "SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2"),
        ("Via", "SIP/2.0/TCP h"),
    )
    rest = WORDS.message(TURN, b"").headers.without("Via").rows
    request = SipRequest(Headers((*vias, *rest)), method="MESSAGE", uri="sip:x")
    reply = parse_datagram(encode(WORDS.reply(request, 200, "OK", source=("192.0.2.1", 9), tag="mine")))
    assert [str(via) for via in reply.vias] == [
        "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport=9;received=192.0.2.1", "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2", "SIP/2.0/TCP h",
    ]  # fmt: skip
    assert (reply.call_id, reply.cseq, reply.target.param("tag")) == ("call", request.cseq, "mine")
    tagged = SipRequest(
        request.headers.without("To").plus(("To", "<sip:a@b>;tag=theirs")), method="MESSAGE", uri="sip:x"
    )
    assert WORDS.reply(tagged, 200, "OK", source=("h", 1), tag="mine").headers.get("To") == "<sip:a@b>;tag=theirs"


def test_of_several_challenges_the_first_that_can_be_answered_is_taken():
    request = WORDS.register(TURN, 60)
    sm3, md5 = 'Digest realm="r", nonce="n", algorithm=SM3', 'Digest realm="r", nonce="m", algorithm=md5, qop="auth"'
    login = Login("u", "p")
    header = credentials_for(answer(("WWW-Authenticate", sm3), ("WWW-Authenticate", md5)), request, login, "c")
    assert 'nonce="m"' in header
    assert "qop=auth" in header
    with pytest.raises(Unsupported):
        credentials_for(answer(("WWW-Authenticate", sm3)), request, login, "c")
    with pytest.raises(FrameInvalid):
        credentials_for(answer(), request, login, "c")


@pytest.mark.parametrize(
    ("rows", "granted"),
    [
        ([("Expires", "1800")], 1800),
        ([("Expires", "999999")], 3600),
        ([("Expires", "soon")], 3600),
        ([("Contact", "<sip:1@192.0.2.9:5062>;expires=120"), ("Expires", "1800")], 120),
        ([("Contact", "<sip:1@h:9>;expires=7, <sip:1@192.0.2.9:5062>;expires=120")], 120),
        ([("Contact", "<sip:1@nat:1>;expires=60")], 60),
        ([("Contact", "<sip:1@h:9>;expires=7, <sip:1@h:8>;expires=5")], 3600),
    ],
)
def test_what_a_200_grants(rows, granted):
    assert granted_s(answer(*rows), 3600, "192.0.2.9:5062") == granted


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2025-04-22T10:48:38.234", "2025-04-22T10:48:38.234+08:00"),
        ("2025-04-22T10:48:38", "2025-04-22T10:48:38+08:00"),
        ("2025-04-22T10:48:38Z", "2025-04-22T10:48:38+00:00"),
        ("Tue, 22 Apr 2025 02:48:38 GMT", "2025-04-22T02:48:38+00:00"),
        ("2025-13-22T10:48:38", None),
        ("yesterday", None),
        ("", None),
        ("x" * 2000, None),
    ],
)
def test_the_dates_of_platforms(text, time):
    assert platform_time(answer(("Date", text))) == (datetime.fromisoformat(time) if time else None)


def test_where_a_302_leads():
    assert moved_to(answer(("Contact", "<sip:34020000002000000077@192.0.2.3:5070>"))).address == "192.0.2.3:5070"
    assert moved_to(answer()) is None


def test_a_catalog_is_parted_by_items_and_by_bytes():
    catalog = Catalog(OWN, Gateway(), tuple(camera(n) for n in range(1, 10)))
    by_items = catalog.lists(5, OWN, most_items=4, most_bytes=100_000)
    assert [len(parse_body(body).items) for body in by_items] == [4, 4, 1]
    by_bytes = catalog.lists(5, OWN, most_items=100, most_bytes=900)
    assert all(len(body) <= 900 for body in by_bytes)
    for bodies in (by_items, by_bytes, catalog.lists(5, OWN, most_items=1, most_bytes=10)):
        read = [parse_body(body) for body in bodies]
        assert {(one.sum_num, one.sn, one.cmd) for one in read} == {(9, 5, "Catalog")}
        assert [item["DeviceID"] for one in read for item in one.items] == [one.device_id for one in catalog.cameras]
    (empty,) = Catalog(OWN, Gateway(), ()).lists(5, OWN, most_items=4, most_bytes=900)
    assert (parse_body(empty).sum_num, parse_body(empty).items) == (0, ())
    assert catalog.answers("RecordInfo", 1, OWN, most_items=1, most_bytes=900) == ()


@pytest.mark.parametrize("encoding", ["gb2312", "gb18030", "utf-8"])
def test_every_name_survives_every_encoding(encoding):
    name = '橫琴口岸 & <"東"> 🚗\x00\x1b'
    body = Catalog(OWN, Gateway(), (camera(1, name=name),), encoding).lists(1, OWN, most_items=1, most_bytes=900)[0]
    assert body.startswith(f'<?xml version="1.0" encoding="{encoding.upper()}"?>'.encode())
    assert parse_body(body).items[0]["Name"] == '橫琴口岸 & <"東"> 🚗'


def test_bodies_without_a_declaration_are_utf8_or_else_gb18030():
    for encoding in ("utf-8", "gb18030"):
        body = "<Notify><CmdType>Alarm</CmdType><SN>1</SN><DeviceID>9</DeviceID><Info><A>车</A></Info></Notify>".encode(
            encoding
        )
        assert parse_body(body).fields["A"] == "车"


def test_a_password_in_a_body_is_never_told():
    body = build("Response", "ConfigDownload", 1, OWN, (("Password", "sesame"), ("Expiration", "3600")))
    assert b"sesame" in body
    assert "sesame" not in repr(parse_body(body)) + json.dumps(describe(parse_body(body)))


def test_a_keepalive_names_faulty_cameras_without_losing_its_own_id():
    read = parse_body(keepalive(4, OWN, faulty=("1" * 20, "2" * 20)))
    assert read.fields["DeviceID"] == OWN
    assert (read.device_id, [item["DeviceID"] for item in read.items]) == (OWN, ["1" * 20, "2" * 20])


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<a/>", b"<Query><CmdType>Catalog</CmdType></Query>", b"<Query><CmdType/><SN>1</SN></Query>",
        b"<Query><CmdType>Catalog</CmdType><SN>-1</SN></Query>", b"<!DOCTYPE a><Query/>",
        list_response("Catalog", 1, OWN, MAX_ITEMS + 1, [(("DeviceID", "1"),)] * (MAX_ITEMS + 1), encoding="utf-8"),
    ],
)  # fmt: skip
def test_bodies_that_cannot_be_are_refused(body):
    with pytest.raises(FrameInvalid):
        parse_body(body)


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        (PtzCommand(0x0A, 10, 20), "up speed 20, left speed 10"),
        (PtzCommand(0x20, p3=15, address=0xABC), "zoom out speed 15"),
        (PtzCommand(0x44, 3, 9), "iris open speed 9"),
        (PtzCommand(0x40), "stop lens"),
        (PtzCommand(0x82, 0, 7), "call preset 7"),
        (PtzCommand(0x86, 1, 0x34, 0x2), "cruise speed 1 value 564"),
        (PtzCommand(0x88, 3), "cruise 3"),
        (PtzCommand(0x89, 1, 2), "scan right border 1"),
        (PtzCommand(0x8C, 1, version=3), "switch on 1"),
        (PtzCommand(0xEE), "unknown EE"),
    ],
)
def test_ptz_commands_in_words_and_back(command, meaning):
    assert command.meaning == meaning
    assert parse_ptz(ptz_text(command)) == command


def test_ptz_commands_that_do_not_fit():
    for wrong in (PtzCommand(1, address=4096), PtzCommand(1, p3=16), PtzCommand(256)):
        with pytest.raises(ValueError, match="fit|range"):
            ptz_text(wrong)
    for text in ("", "A50F01", "zz", "B50F01021F0000E6", "A50E01021F0000D5"):
        with pytest.raises(FrameInvalid):
            parse_ptz(text)


@pytest.mark.parametrize("line", ["y=12345", "m=audio x", "m=video 70000 RTP/AVP 96", "t=1", "t=a b"])
def test_sdp_that_cannot_be_is_refused(line):
    with pytest.raises(FrameInvalid):
        parse_sdp(b"v=0\r\n" + line.encode() + b"\r\nm=video 1 RTP/AVP 96\r\n")


def test_ids():
    assert (domain_of(OWN), type_code("34020000001310000001")) == ("4404000000", "131")
    for wrong in ("", "1" * 19, "１" * 20):
        with pytest.raises(FrameInvalid):
            domain_of(wrong)


def test_the_profile_is_one_of_the_driver():
    profile = load_profile("generic/gb28181-platform")
    assert checked_map(profile, PlatformMap) == PlatformMap()
    text = (data_folder("firmware_profiles") / "generic" / "gb28181-platform.toml").read_text(encoding="utf-8")
    assert read_profile(text, "x").driver == "gb28181"
