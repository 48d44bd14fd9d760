"""Messages in parts, and what hostile bytes may do: nothing, and bounded."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import FrameInvalid
from drivers.base import Rejected, Reply, Report
from drivers.jt808 import DRIVER, Dialect, LocatorCodec, LocatorSettings
from drivers.jt808 import commands as words
from drivers.jt808 import facts as told_facts
from drivers.jt808.frame import MAX_ESCAPED, Frame, FrameSplitter, encode_frame, encode_parts, parse_frame
from drivers.jt808.parts import PartLimits

ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "vectors" / "jt808.jsonl").read_text().splitlines()]
TERMINAL = "013511221122"
ADMISSION = LocatorSettings(terminals=("13511221122", "12345678901"), auth_key="0123456789abcdef").admission
BODY = bytes.fromhex("00000000000c000301578cc006ca3a5c004700000000140723172015")


def up(msg_id, body=b"", serial=7, terminal=TERMINAL):
    v2019 = len(terminal) == 20
    return encode_frame(Frame(msg_id, serial, terminal, body, v2019, int(v2019)))


def down(data):
    return [parse_frame(chunk) for chunk in FrameSplitter().feed(data)]


def reply(frame):
    """(id answered, result) of an 0x8001."""
    assert frame.msg_id == 0x8001
    return int.from_bytes(frame.body[2:4], "big"), frame.body[4]


def admitted(**dialect):
    one = LocatorCodec(Dialect(**dialect), ADMISSION)
    assert len(one.receive(up(0x0102, ADMISSION.code(TERMINAL).encode()))) == 1
    return one


def admitted_2019():
    terminal = "00000000012345678901"
    one, code = LocatorCodec(Dialect(), ADMISSION), ADMISSION.code(terminal).encode()
    assert len(one.receive(up(0x0102, bytes((len(code),)) + code, terminal=terminal))) == 1
    return one, terminal


MEDIA = bytes.fromhex("0000007b00000101") + BODY + bytes(range(256)) * 12
LIMITS = {"ask_after_ms": 100, "asks": 2}


def media_parts(serial=50):
    return encode_parts(Frame(0x0801, serial, TERMINAL, MEDIA))


def test_media_in_parts_is_confirmed_by_8800_once_it_is_whole():
    one = admitted()
    frames = media_parts()
    assert len(frames) == 4
    for frame in frames[:-1]:
        (answer,) = one.receive(frame)
        assert reply(down(answer.data)[0]) == (0x0801, 0)
    (report,) = one.receive(frames[-1])
    assert report.fact == told_facts.MediaReceived(TERMINAL, 123, 0, 0, 1, 1, bytes(range(256)) * 12)
    (ack,) = down(report.ack)
    assert (ack.msg_id, ack.body.hex()) == (0x8800, "0000007b")


def test_parts_are_confirmed_only_where_the_profile_says_so():
    assert admitted(confirm_parts=False).receive(media_parts()[0]) == []


def test_holes_are_asked_for_and_at_last_given_up():
    one = admitted(parts=LIMITS)
    frames = media_parts()
    one.receive(frames[0] + frames[2])
    assert list(one.overdue(1_000)) == []
    assert list(one.overdue(1_099)) == []
    (asked,) = one.overdue(1_100)
    assert (down(asked.data)[0].msg_id, down(asked.data)[0].body.hex()) == (0x8800, "0000007b0200020004")
    assert len(one.receive(frames[1])) == 1
    assert list(one.overdue(1_200)) == []
    assert down(one.overdue(1_300)[0].data)[0].body.hex() == "0000007b010004"
    (given_up,) = one.overdue(1_400)
    assert given_up.detail == "message 0801: 1 of 4 parts never came"
    assert one._parts.held == 0
    assert list(one.overdue(9_000)) == []


def test_holes_of_a_message_without_its_head_are_asked_for_by_8003():
    one = admitted(parts=LIMITS)
    one.receive(media_parts(0xFFFF)[3])
    one.overdue(0)
    (asked,) = one.overdue(100)
    assert (down(asked.data)[0].msg_id, down(asked.data)[0].body.hex()) == (0x8003, "ffff03000100020003")


def test_from_2019_on_8003_counts_in_two_bytes():
    one, terminal = admitted_2019()
    one.receive(encode_parts(Frame(0x0704, 5, terminal, bytes(1500), True, 1))[1])
    one.overdue(0)
    (asked,) = one.overdue(10_000)
    assert down(asked.data)[0].body.hex() == "000500010001"


def test_parts_that_come_twice_or_backwards_change_nothing():
    one = admitted()
    frames = media_parts(0xFFFE)
    for frame in (frames[3], frames[3], frames[1], frames[2], frames[1]):
        assert [type(output) for output in one.receive(frame)] == [Reply]
    assert isinstance(one.receive(frames[0])[0].fact, told_facts.MediaReceived)


def part(serial, number, total=10, body=bytes(1000)):
    return encode_frame(Frame(0x0801, serial, TERMINAL, body, total=total, number=number))


def test_the_oldest_unfinished_message_makes_room_for_a_new_one():
    one = admitted(parts=PartLimits(pending=2))
    for serial in (100, 200):
        assert [type(output) for output in one.receive(part(serial, 1))] == [Reply]
    assert [type(output) for output in one.receive(part(300, 1))] == [Rejected, Reply]
    assert [head.head.serial for head in one._parts._messages.values()] == [200, 300]
    assert one._parts.held == 2000


def test_the_bytes_held_are_bounded():
    one = admitted(parts=PartLimits(bytes=2048))
    assert [type(o) for number in (1, 2) for o in one.receive(part(100 + number, number))] == [Reply, Reply]
    assert [type(o) for o in one.receive(part(103, 3))] == [Rejected]
    assert one._parts.held == 0


def test_the_number_of_parts_is_bounded_and_a_total_does_not_change():
    one = admitted(parts=PartLimits(parts=10))
    assert [type(o) for o in one.receive(part(1, 1, total=11))] == [Rejected]
    one.receive(part(1, 1))
    assert [type(o) for o in one.receive(part(2, 2, total=9))] == [Rejected]
    assert one._parts.held == 0


def test_a_terminal_may_ask_for_parts_of_ours_again():
    one, terminal = admitted_2019()
    sent = down(one.send(words.UpgradeTerminal(maker="m", version="1", data=bytes(5000))))
    assert len(sent) == 6
    assert b"".join(frame.body for frame in sent).endswith(bytes(5000))
    (again,) = one.receive(
        up(0x0005, sent[0].serial.to_bytes(2, "big") + bytes.fromhex("000200030005"), terminal=terminal)
    )
    assert down(again.data) == [sent[2], sent[4]]
    (nothing,) = one.receive(up(0x0005, b"\xee\xee\0\0", terminal=terminal))
    assert reply(down(nothing.data)[0]) == (0x0005, 1)


HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([bytes.fromhex(row["input"]) for row in ROWS[:205]]),
    st.builds(
        lambda msg_id, body, serial, total, number: encode_frame(
            Frame(msg_id, serial, TERMINAL, body, total=total, number=number)
        ),
        st.one_of(st.sampled_from(sorted(LocatorCodec._HANDLERS)), st.integers(0, 0xFFFF)),
        st.binary(max_size=1023),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(HOSTILE, max_size=8))
def test_no_bytes_break_it_and_the_next_good_frame_is_read(pieces):
    one = admitted(parts={"bytes": 4096, "pending": 2})
    for piece in pieces:
        assert all(isinstance(output, Report | Reply | Rejected) for output in one.receive(piece))
        one.overdue(0)
        assert one._splitter.pending <= MAX_ESCAPED + 1
        assert one._parts.held <= 4096
    if one.terminal:
        facts = [output.fact for output in one.receive(b"\x7e" + up(0x0200, BODY)) if isinstance(output, Report)]
        assert facts
        assert facts[-1].latitude_deg == 22.514880


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_the_decoder_refuses_or_tells(data):
    try:
        json.dumps(DRIVER.decoder(None)(data))
    except FrameInvalid as error:
        assert error.detail


def test_a_frame_that_never_ends_is_not_held():
    one = admitted()
    for _ in range(100):
        assert one.receive(b"x" * 10_000) == []
        assert one._splitter.pending <= MAX_ESCAPED + 1
    one.receive(b"\x7e" + b"y" * 100_000 + b"\x7e")
    assert len([o for o in one.receive(up(0x0200, BODY)) if isinstance(o, Report)]) == 1
