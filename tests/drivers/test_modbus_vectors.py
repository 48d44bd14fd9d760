"""Every row of the captured and published Modbus frames, in every cut."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import FrameInvalid, Unsupported
from drivers.base import Decode, Settings
from drivers.modbus_decode import ascii_decoder, describe
from drivers.modbus_framing import rtu_frame
from drivers.modbus_pdu import parse_request, parse_response, read_answer
from drivers.modbus_values import Kind, Order, registers_of, value_of
from drivers.profile import Profile
from drivers.registry import driver

ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "vectors" / "modbus.jsonl").read_text().splitlines()]
FRAMES = [row for row in ROWS if row["protocol"] in {"modbus-rtu", "modbus-ascii", "modbus-tcp"}]
CHECKED = [row for row in FRAMES if {"crc_ok", "lrc_ok"} & row["expected"].keys()]
PDUS = [row for row in ROWS if row["protocol"] == "modbus-pdu"]
FLOATS = [row for row in ROWS if row["protocol"] == "modbus-float"]


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


def ragged(data: bytes) -> Iterator[bytes]:
    chance, at = random.Random(len(data)), 0
    while at < len(data):
        size = chance.randint(1, 4)
        yield data[at : at + size]
        at += size


CUTS = [whole, byte_by_byte, ragged]


def decoder(protocol: str) -> Decode:
    if protocol == "modbus-ascii":
        return ascii_decoder()
    made = driver(protocol).decoder
    assert made is not None
    return made(None)


def bytes_of(row: dict[str, Any]) -> bytes:
    return row["input"].encode() if row["protocol"] == "modbus-ascii" else bytes.fromhex(row["input"])


def decode(row: dict[str, Any], cut: Callable[[bytes], Iterator[bytes]], data: bytes) -> list[dict[str, Any]]:
    decode_piece = decoder(row["protocol"])
    return [report for piece in [*cut(data), b""] for report in decode_piece(piece)]


def check(report: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if key == "note":
            continue
        if key.startswith("bits_first"):
            assert report["bits"][: len(value)] == value
        else:
            assert report[key] == value, key


def test_every_row_is_used() -> None:
    assert len(FRAMES) + len(PDUS) + len(FLOATS) == len(ROWS) == 24


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("row", FRAMES, ids=lambda row: row["input"].strip())
def test_a_frame_is_decoded_in_any_cut(row: dict[str, Any], cut: Callable[[bytes], Iterator[bytes]]) -> None:
    if "error" in row["expected"]:
        with pytest.raises(FrameInvalid, match=row["expected"]["error"]):
            decode(row, cut, bytes_of(row))
        return
    (report,) = decode(row, cut, bytes_of(row))
    check(report, row["expected"])


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("protocol", ["modbus-rtu", "modbus-ascii", "modbus-tcp"])
def test_frames_without_a_pause_between_are_all_decoded(protocol: str, cut: Callable[[bytes], Iterator[bytes]]) -> None:
    rows = [row for row in FRAMES if row["protocol"] == protocol and "error" not in row["expected"]]
    reports = decode(rows[0], cut, b"".join(map(bytes_of, rows)))
    assert len(reports) == len(rows)
    for report, row in zip(reports, rows, strict=True):
        check(report, row["expected"])


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["input"].strip())
def test_one_wrong_bit_is_never_decoded_as_if_it_were_right(row: dict[str, Any]) -> None:
    data = bytearray(bytes_of(row))
    data[3] ^= 0x01
    with pytest.raises(FrameInvalid):
        decode(row, whole, bytes(data))


@pytest.mark.parametrize("row", PDUS, ids=lambda row: row["source"].rsplit(" ", 1)[1])
def test_the_examples_of_the_specification(row: dict[str, Any]) -> None:
    asked, answered = bytes.fromhex(row["input"]["request"]), bytes.fromhex(row["input"]["response"])
    request, response = parse_request(asked), parse_response(answered)
    assert request.encode() == asked
    assert response.encode() == answered
    check({**describe(response), **describe(request)}, row["expected"])
    values = read_answer(request, answered)
    assert list(values) == row["expected"].get("registers", list(values))


def test_the_example_of_function_2_gives_22_inputs_of_24_bits() -> None:
    (row,) = [row for row in PDUS if row["source"].endswith("FC02")]
    values = read_answer(parse_request(bytes.fromhex(row["input"]["request"])), bytes.fromhex(row["input"]["response"]))
    assert "".join(map(str, values)) == "0011010111011011101011"


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("row", FLOATS, ids=["123456.0"])
def test_a_float_in_each_order_of_bytes(row: dict[str, Any], order: Order) -> None:
    registers = tuple(int(word, 16) for word in row["input"][order])
    assert value_of(registers, Kind.F32, order) == row["expected"]["value"]
    assert registers_of(row["expected"]["value"], Kind.F32, order) == registers


@pytest.mark.parametrize("name", ["modbus-rtu", "modbus-tcp"])
def test_the_frame_drivers_only_decode(name: str) -> None:
    profile = Profile(name="generic/frames", driver=name, vendor="", model="", source="")
    with pytest.raises(Unsupported, match="only decodes frames"):
        driver(name).make(profile, Settings())


def test_a_request_and_an_answer_of_one_shape_are_told_apart_by_their_order() -> None:
    request, answer = rtu_frame(1, bytes.fromhex("0203000013")), rtu_frame(1, bytes.fromhex("0203000013"))
    decode_piece = decoder("modbus-rtu")
    assert decode_piece(request)[0]["count"] == 19
    (report,) = decode_piece(answer)
    assert report["dir"] == "response"
    assert report["bits"][:17] == [0] * 16 + [1]


def test_what_came_before_a_bad_frame_is_returned_before_it_is_refused() -> None:
    good, bad = bytes.fromhex("110306014101440147d120"), bytes.fromhex("110306014101440147d121")
    decode_piece = decoder("modbus-rtu")
    assert len(decode_piece(good + bad)) == 1
    with pytest.raises(FrameInvalid, match="crc is d121, must be d120"):
        decode_piece(b"")
    assert decode_piece(b"") == []
    assert len(decode_piece(good)) == 1
