"""Frame readers and askers on hostile and cut streams."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Rejected
from drivers.modbus_client import AsciiAsker, Asker, Question, RtuAsker, TcpAsker, question
from drivers.modbus_framing import (
    Adu,
    AsciiReader,
    FrameReader,
    TcpReader,
    ascii_frame,
    crc16,
    lrc,
    rtu_frame,
    rtu_requests,
    rtu_responses,
    rtu_traffic,
    tcp_frame,
)
from drivers.modbus_pdu import Read, WriteOne

READERS: list[Callable[[], FrameReader]] = [rtu_requests, rtu_responses, rtu_traffic, AsciiReader, TcpReader]
ASKERS: list[Callable[[], Asker]] = [RtuAsker, AsciiAsker, TcpAsker]
PIECES = st.lists(st.binary(max_size=300), max_size=12)
ASKED = question(17, Read(3, 107, 3))
ANSWER = bytes.fromhex("0306014101440147")


def frame_for(asker: Asker, asked: Question, pdu: bytes, *, unit: int | None = None, transaction: int = 1) -> bytes:
    number = asked.unit if unit is None else unit
    if isinstance(asker, TcpAsker):
        return tcp_frame(transaction, number, pdu)
    return rtu_frame(number, pdu) if isinstance(asker, RtuAsker) else ascii_frame(number, pdu)


def adus(found: list[Adu | Rejected]) -> list[Adu]:
    return [item for item in found if isinstance(item, Adu)]


def test_checksums_of_whole_frames_are_zero() -> None:
    assert crc16(bytes.fromhex("110306014101440147d120")) == 0
    assert lrc(bytes.fromhex("1103007C00026E")) == 0
    assert crc16(b"123456789") == 0x4B37  # the check value of CRC-16/MODBUS


@pytest.mark.parametrize("make", READERS)
@given(pieces=PIECES)
def test_hostile_bytes_raise_nothing_and_stay_bounded(make: Callable[[], FrameReader], pieces: list[bytes]) -> None:
    reader = make()
    for piece in pieces:
        for item in reader.receive(piece):
            if isinstance(item, Adu):
                assert 0 <= item.unit <= 255
                assert len(item.pdu) <= 253
        assert len(getattr(reader, "pending", b"")) <= 260
    reader.flush()
    assert reader.flush() == []


@pytest.mark.parametrize("make", ASKERS)
@given(pieces=PIECES)
@example(pieces=[b"\x11\x03\x06" * 100, b"\x00\x01\x00\x00\x00\x06\x11\x03", b":" * 300])
def test_an_asker_gives_an_answer_or_says_that_it_is_garbled(make: Callable[[], Asker], pieces: list[bytes]) -> None:
    asker = make()
    asker.ask(ASKED)
    for piece in pieces:
        try:
            answer = asker.receive(piece)
        except FrameInvalid:
            asker.ask(ASKED)
            continue
        assert answer is None or answer[0] in {0x03, 0x83}
    asker.give_up()
    asker.ask(ASKED)


@pytest.mark.parametrize(
    ("reader", "frame"),
    [
        (rtu_requests(), rtu_frame(17, bytes.fromhex("03006b0003"))),
        (rtu_responses(), rtu_frame(17, ANSWER)),
        (AsciiReader(), ascii_frame(17, ANSWER)),
        (TcpReader(), tcp_frame(9, 17, ANSWER)),
    ],
)
@pytest.mark.parametrize("noise", [b"\x00", b"\xff\xff", b"\x11\x0f\x00", bytes(range(100)), b"\x55" * 600])
def test_the_frame_after_garbage_is_found_and_the_garbage_is_told(
    reader: FrameReader, frame: bytes, noise: bytes
) -> None:
    found = [*reader.receive(noise), *reader.receive(frame), *reader.receive(frame), *reader.receive(frame)]
    found += reader.flush()
    assert len(adus(found)) >= 2
    assert [item for item in found if isinstance(item, Rejected)]
    assert all(len(item.raw) <= 64 for item in found if isinstance(item, Rejected))


def test_a_frame_of_an_unknown_function_is_known_if_it_comes_alone() -> None:
    reader = rtu_requests()
    assert reader.receive(rtu_frame(3, b"\x41\x01\x02")) == [Adu(3, b"\x41\x01\x02")]
    assert adus(reader.receive(b"\x00" + rtu_frame(3, b"\x41\x01\x02"))) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("make", ASKERS)
def test_the_answer_is_found_in_any_cut(make: Callable[[], Asker], size: int) -> None:
    asker = make()
    asker.ask(ASKED)
    frame = frame_for(asker, ASKED, ANSWER)
    got = [asker.receive(frame[at : at + size]) for at in range(0, len(frame), size)]
    assert got[:-1] == [None] * (len(got) - 1)
    assert got[-1] == ANSWER
    assert (asker.mismatches, asker.garbled) == (0, 0)


@pytest.mark.parametrize("make", ASKERS)
def test_another_units_late_answer_is_dropped_and_counted(make: Callable[[], Asker]) -> None:
    asker = make()
    asker.ask(ASKED)
    assert asker.receive(frame_for(asker, ASKED, ANSWER, unit=18)) is None
    assert asker.receive(frame_for(asker, ASKED, ANSWER)) == ANSWER
    assert asker.mismatches == 1


@pytest.mark.parametrize("make", [RtuAsker, AsciiAsker])
@pytest.mark.parametrize("stray", ["0404014101440147", "03020141", "0600010003"])
def test_another_function_or_byte_count_is_not_the_answer(make: Callable[[], Asker], stray: str) -> None:
    asker = make()
    asker.ask(ASKED)
    if stray.startswith("0404"):
        stray = "0404" + stray[4:12]
    assert asker.receive(frame_for(asker, ASKED, bytes.fromhex(stray))) is None
    asker.give_up()
    assert asker.mismatches == 1


def test_by_tcp_an_answer_of_an_older_question_is_dropped_and_one_that_does_not_fit_is_an_error() -> None:
    asker = TcpAsker()
    asker.ask(ASKED)
    asker.ask(ASKED)
    assert asker.receive(tcp_frame(1, 17, ANSWER)) is None
    assert asker.mismatches == 1
    with pytest.raises(FrameInvalid, match="does not fit"):
        asker.receive(tcp_frame(2, 17, bytes.fromhex("03020141")))
    asker.ask(ASKED)
    assert asker.receive(tcp_frame(3, 17, ANSWER)) == ANSWER


@pytest.mark.parametrize("make", ASKERS)
def test_an_exception_is_an_answer(make: Callable[[], Asker]) -> None:
    asker = make()
    asker.ask(ASKED)
    assert asker.receive(frame_for(asker, ASKED, b"\x83\x02")) == b"\x83\x02"


def test_a_write_is_confirmed_by_its_own_echo_only() -> None:
    asker, asked = RtuAsker(), question(17, WriteOne(5, 1, 0xFF00))
    asker.ask(asked)
    assert asker.receive(rtu_frame(17, bytes.fromhex("0500020000"))) is None
    assert asker.receive(rtu_frame(17, asked.pdu)) == asked.pdu
    assert asker.mismatches == 1


def test_the_answer_is_found_behind_noise_and_the_noise_is_counted() -> None:
    asker = RtuAsker()
    asker.ask(ASKED)
    assert asker.receive(b"\x00\xff" + rtu_frame(17, ANSWER)) == ANSWER
    assert asker.garbled == 1


def test_an_answer_that_carries_what_looks_like_an_exception_is_whole_before_it_is_given() -> None:
    asker, pdu = RtuAsker(), bytes.fromhex("0306") + rtu_frame(17, b"\x83\x02")[:5] + b"\x00"
    asker.ask(ASKED)
    frame = rtu_frame(17, pdu)
    assert [asker.receive(frame[at : at + 1]) for at in range(len(frame))][-1] == pdu


def test_a_wrong_crc_is_told_at_once_not_after_a_time_out() -> None:
    asker = RtuAsker()
    asker.ask(ASKED)
    frame = bytearray(rtu_frame(17, ANSWER))
    frame[5] ^= 0x10
    with pytest.raises(FrameInvalid, match="crc"):
        asker.receive(bytes(frame))
    assert asker.garbled == 1


@pytest.mark.parametrize("make", ASKERS)
def test_what_came_before_a_question_is_not_its_answer(make: Callable[[], Asker]) -> None:
    asker = make()
    asker.receive(frame_for(asker, ASKED, ANSWER))
    asker.ask(ASKED)
    assert asker.receive(b"") is None
    assert asker.receive(frame_for(asker, ASKED, ANSWER)) == ANSWER
