"""Every captured and published row of GB/T 28181: whole, byte by byte and ragged."""

import json
import random
from pathlib import Path

import pytest

from core.errors import FrameInvalid
from drivers.base import Rejected
from drivers.digest import Login, holds, parse_digest, response
from drivers.gb28181 import DRIVER, SipCodec
from drivers.gb28181.manscdp import parse_body
from drivers.gb28181.ptz import parse_ptz, ptz_text
from drivers.gb28181.sdp import parse_sdp
from drivers.gb28181.sip import SipResponse, encode, parse_datagram
from drivers.gb28181.words import granted_s, platform_time
from drivers.registry import driver

ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "vectors" / "gb28181.jsonl").read_text().splitlines()]
PROSE = {"note", "next", "content_length_in_trace", "items", "date"}
"""Keys of `expected` that are sentences, or are checked by a test of their own below."""
CUTS = ["whole", "bytes", "ragged"]


def rows(*kinds):
    return [row for row in ROWS if row["protocol"].removeprefix("gb28181-") in kinds]


def pieces(data, cut):
    chance, at = random.Random(len(data)), 0
    while at < len(data):
        size = {"whole": len(data), "bytes": 1, "ragged": chance.randint(1, 9)}[cut]
        yield data[at : at + size]
        at += size


def decoded(data, cut):
    decode = driver("gb28181").decoder(None)
    return [report for piece in [*pieces(data, cut), b""] for report in decode(piece)]


def wire(text):
    return text.encode("gb18030" if 'encoding="GB2312"' in text else "utf-8")


UNMATCHED: dict[str, str] = {}
"""Rows that cannot be matched, by the start of their input, with the reason. There are none."""


def test_every_row_is_exercised():
    used = [rows("digest"), rows("auth-header"), rows("sip"), rows("message"), rows("sdp"), rows("ptz")]
    assert [len(one) for one in used] == [2, 1, 2, 5, 2, 5]
    assert sum(map(len, used)) + len(UNMATCHED) == len(ROWS) == 17


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("row", rows("auth-header", "sip", "message", "sdp", "ptz"), ids=lambda row: row["input"][:40])
def test_each_row_is_decoded_in_any_cut(row, cut):
    data = bytes.fromhex(row["input"]) if row["protocol"].endswith("ptz") else wire(row["input"])
    (report,) = decoded(data, cut)
    expected = {key: value for key, value in row["expected"].items() if key not in PROSE}
    assert expected
    assert {key: report[key] for key in expected} == expected
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("row", rows("digest"), ids=lambda row: row["input"]["username"])
def test_a_digest_response_is_the_captured_one(row):
    given = row["input"]
    login = Login(given["username"], given["password"])
    params = {key: given[key] for key in ("realm", "nonce", "uri")}
    assert response(login, given["method"], params) == row["expected"]["response"]
    assert holds(login, given["method"], params | {"username": given["username"]} | row["expected"])
    assert not holds(
        Login(given["username"], "x"), given["method"], params | {"username": given["username"]} | row["expected"]
    )


def test_the_register_of_a_camera_is_written_back_byte_by_byte():
    for row in rows("sip"):
        assert encode(parse_datagram(row["input"].encode())) == row["input"].encode()


def test_a_200_without_expires_keeps_what_was_asked_and_tells_the_time():
    answer = parse_datagram(rows("sip")[1]["input"].encode())
    assert isinstance(answer, SipResponse)
    assert granted_s(answer, 3600, "192.168.0.64:5060") == 3600
    assert platform_time(answer).isoformat() == "2025-04-22T10:48:38.234000+08:00"


def test_the_length_of_the_keepalive_is_that_of_its_trace():
    row = next(row for row in rows("message") if "content_length_in_trace" in row["expected"])
    crlf = row["input"].replace("\n", "\r\n").encode()
    assert row["expected"]["content_length_in_trace"] in {len(crlf), len(row["input"].encode())}


def test_the_items_of_a_catalog_are_those_of_its_row():
    (row,) = (row for row in rows("message") if "items" in row["expected"])
    (report,) = decoded(wire(row["input"]), "whole")
    for found, expected in zip(report["items"], row["expected"]["items"], strict=True):
        assert expected.pop("type_code").startswith(found.pop("type_code"))
        assert found == expected
    assert parse_body(wire(row["input"])).sum_num == 2


@pytest.mark.parametrize("row", rows("ptz"), ids=lambda row: row["input"])
def test_a_ptz_command_is_written_back_and_checked(row):
    assert ptz_text(parse_ptz(row["input"])) == row["input"]
    data = bytes.fromhex(row["input"])
    for at in range(8):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(FrameInvalid):
            parse_ptz(broken.hex())


def test_an_ssrc_tells_live_from_history():
    live, history = (parse_sdp(row["input"].encode()) for row in rows("sdp"))
    assert (live.history, history.history) == (False, True)
    assert (live.payloads, live.rtpmap[0], live.port, live.address) == (
        (96, 98, 97),
        (96, "PS/90000"),
        6000,
        "172.16.23.113",
    )


def test_the_header_with_a_password_unknown_is_parsed():
    (row,) = rows("auth-header")
    assert parse_digest(row["input"]) == {key: value for key, value in row["expected"].items() if key != "note"}


def test_the_driver_declares_what_is_tested_and_a_broken_frame_is_refused():
    assert (DRIVER.commands, DRIVER.links) == (frozenset(), frozenset())
    assert isinstance(SipCodec().receive(b"NONSENSE\r\n\r\n")[0], Rejected)
    with pytest.raises(FrameInvalid):
        decoded(b"REGISTER nothing\r\n\r\n", "whole")
