"""The bytes of the manual's examples, in every cut, and what a lane makes the card show."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import FrameInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.base import Rejected, Reply, Report
from drivers.display import DRIVER, AskVersion, DisplayAnswered, DisplaySettings, ShowLines
from drivers.display.frames import Frame, Frames
from drivers.facts import DeviceDescribed
from drivers.profile import read_profile

ROOT = Path(__file__).parents[3]
SOURCE = "显示屏通信协议 V2.0 (2020-12-10)"
OLD = "显示屏通信协议 v1.08, as quoted in java110's JinjieScreenFactory.java"
ACK = "00 64 FF FF 62 01 00 97 6A"
LINE_1 = "00 64 FF FF 62 1B 00 00 01 00 05 00 01 03 00 FF 00 00 00 00 00 00 00 08 00 BB B6 D3 AD B9 E2 C1 D9 58 96"
ROLLING = "00 64 FF FF 62 25 00 15 01 00 02 15 01 03 00 FF 00 00 00 00 00 00 00 12 00 BB B6 D3 AD B9 E2 C1 D9 C7 EB C8 EB B3 A1 CD A3 B3 B5 F4 F5"
CONNECT = "00 64 FF FF 00 06 31 35 39 37 35 33 FB 06"
CONNECTED = "00 64 FF FF 00 0A 00 31 30 32 34 36 30 31 30 30 9F EF"
VOICE = "00 64 FF FF 30 14 01 BB B6 D3 AD B9 E2 C1 D9 2C C7 EB C8 EB B3 A1 CD A3 B3 B5 A9 36"

MANUAL = [
    (SOURCE, LINE_1, {"frame": "text", "row": 0, "mode": 0, "colour": "ff0000", "text": "欢迎光临"}),
    (OLD, ROLLING, {"frame": "text", "row": 0, "mode": 0x15, "colour": "ff0000", "text": "欢迎光临请入场停车"}),
    (SOURCE, ACK, {"frame": "answer", "command": 0x62, "accepted": True}),
    (SOURCE, CONNECT, {"frame": "connect", "password": "(6 characters)"}),
    (SOURCE, CONNECTED, {"frame": "answer", "hardware": "1.0.2", "firmware": "4.6.0", "protocol": "1.0.0"}),
    (SOURCE, VOICE, {"frame": "voice", "text": "欢迎光临,请入场停车"}),
    (SOURCE, "00 64 FF FF 30 01 00 36 BB", {"frame": "answer", "command": 0x30, "accepted": True}),
    (SOURCE, "00 64 FF FF 05 08 E0 07 03 0A 07 0F 05 06 65 68", {"frame": "other", "command": 5}),
    (SOURCE, "00 64 FF FF 05 01 00 26 B5", {"frame": "answer", "command": 5, "accepted": True}),
    (SOURCE, "00 64 FF FF 02 06 38 38 38 38 38 38 23 2F", {"frame": "other", "command": 2}),
    (SOURCE, "00 64 FF FF 0C 01 32 77 62", {"frame": "other", "command": 0x0C, "data": "32"}),
    (SOURCE, "00 64 FF FF 0F 06 00 01 00 00 00 05 24 B7", {"frame": "other", "command": 0x0F}),
    (SOURCE, "00 64 FF FF 31 00 64 67", {"frame": "other", "command": 0x31, "data": ""}),
    (SOURCE, "00 64 FF FF 68 02 00 00 D8 76", {"frame": "other", "command": 0x68, "data": "0000"}),
    (SOURCE, "00 64 FF FF 67 24 00 00 0C 15 01 00 05 15 01 03 FF 00 00 00 00 00 00 00 10 00 D7 D4 B6 AF CA B6 B1 F0 BC F5 CB D9 C2 FD D0 D0 84 F9", {"frame": "other", "command": 0x67}),
]  # fmt: skip


def made(**changes):
    keys = {"rows": 1, "columns": 8, "colours": ["ff0000"], "login": "159753", "dwell_s": 5} | changes
    rows = "\n".join(f"{key} = {value!r}" for key, value in keys.items())
    head = 'name = "a/b"\ndriver = "display"\nvendor = "V"\nmodel = "M"\nsource = "test"\n[map]\n'
    return DRIVER.make(read_profile(head + rows, "test"), DisplaySettings())


def cuts(data):
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[i : i + 7] for i in range(0, len(data), 7)]


@pytest.mark.parametrize(("source", "hexadecimal", "expected"), MANUAL, ids=lambda one: str(one)[:24])
def test_each_frame_of_the_manual_in_every_cut(source, hexadecimal, expected):
    raw = bytes.fromhex(hexadecimal)
    for pieces in cuts(raw):
        frames = Frames()
        (found,) = [one for piece in pieces for one in frames.feed(piece)]
        assert isinstance(found, Frame), source
        assert found.to_bytes() == raw
    (told,) = DRIVER.decoder(None)(raw)
    assert expected.items() <= told.items()


def test_a_row_is_sent_as_the_manual_has_it():
    assert made().send(ShowLines(lines=("欢迎光临",))) == bytes.fromhex(LINE_1)
    assert made(dwell_s=2).send(ShowLines(lines=("欢迎光临请入场停车",))) == bytes.fromhex(ROLLING)


def test_the_login_is_sent_as_the_manual_has_it_and_its_answer_describes_the_card():
    card = made()
    assert card.send(AskVersion()) == bytes.fromhex(CONNECT)
    assert card.receive(bytes.fromhex(CONNECTED)) == [Report(DeviceDescribed("V", "M", "4.6.0"))]


def test_a_password_of_the_settings_comes_before_that_of_the_profile():
    profile = read_profile((ROOT / "firmware_profiles/olm/led-64x64.toml").read_text(encoding="utf-8"), "test")
    card = DRIVER.make(profile, DisplaySettings(password="topsecret", address=3))
    assert card.send(AskVersion())[:15] == b"\x03\x64\xff\xff\x00\x09topsecret"


def test_the_next_row_leaves_when_the_one_before_is_answered_and_rows_without_a_line_are_blanked():
    card, ack = made(rows=3, colours=["ff0000", "00ff00"]), bytes.fromhex(ACK)
    sent = [card.send(ShowLines(lines=("请通行", "Please go")))]
    for _ in range(2):
        (reply,) = card.receive(ack)
        assert isinstance(reply, Reply)
        sent.append(reply.data)
    assert card.receive(ack) == [Report(DisplayAnswered("lines", accepted=True))]
    told = [DRIVER.decoder(None)(one)[0] for one in sent]
    assert [(one["row"], one["mode"], one["colour"], one["text"]) for one in told] == [
        (0, 0, "ff0000", "请通行"),
        (1, 0x15, "00ff00", "Please go"),
        (2, 0, "00ff00", " "),
    ]


def test_what_does_not_fit_is_left_out_and_what_cannot_be_written_is_a_question_mark():
    (told,) = DRIVER.decoder(None)(made(columns=4).send(ShowLines(lines=("粤\u200b😀\n", "second"))))
    assert told["text"] == "粤 ? "
    long = made().send(ShowLines(lines=("a" + "车" * 4000,)))
    assert DRIVER.decoder(None)(long)[0]["text"] == "a" + "车" * 117


def test_a_refusal_ends_the_command():
    card = made(rows=2)
    card.send(ShowLines(lines=("a", "b")))
    refusal = Frame(0, 0x62, b"\x01").to_bytes()
    assert card.receive(refusal) == [Report(DisplayAnswered("lines", accepted=False))]
    card.send(AskVersion())
    assert card.receive(Frame(0, 0, b"\x01" + b"000000000").to_bytes()) == [
        Report(DisplayAnswered("login", accepted=False))
    ]


@pytest.mark.parametrize(
    "stray",
    [
        Frame(0, 0x62, b"\x00").to_bytes(),
        Frame(7, 0x00, b"\x00102460100").to_bytes(),
    ],
    ids=["nothing of that was asked", "another card"],
)
def test_an_answer_to_nothing_is_told_and_moves_nothing(stray):
    card = made()
    card.send(AskVersion())
    assert [type(one) for one in card.receive(stray)] == [Rejected]
    assert [type(one) for one in card.receive(bytes.fromhex(CONNECTED))] == [Report]


@pytest.mark.parametrize("bad", [CONNECTED[:-2] + "00", "00 64 FF FF 00 FF", "FF" * 40, "00 64 FF FF"])
def test_garbage_before_an_answer_costs_nothing_but_itself(bad):
    card = made()
    card.send(AskVersion())
    out = card.receive(bytes.fromhex(bad) + bytes.fromhex(CONNECTED))
    assert [type(one) for one in out] == [Rejected, Report]


@given(st.lists(st.binary(max_size=600), max_size=6))
def test_no_bytes_break_it_what_it_holds_is_bounded_and_the_next_answer_is_read(pieces):
    card = made()
    card.send(AskVersion())
    for piece in pieces:
        for out in card.receive(piece):
            assert isinstance(out, Rejected | Report)
        assert len(card._frames._held) < 6 + 255 + 2
    card.send(AskVersion())
    card.receive(bytes(20))
    out = card.receive(bytes.fromhex(CONNECTED))
    assert isinstance(out[-1], Report)


@given(st.binary(max_size=600))
def test_offline_decoding_refuses_or_tells_and_never_breaks(data):
    with contextlib.suppress(FrameInvalid):
        DRIVER.decoder(None)(data)


def test_a_frame_that_is_cut_off_is_refused():
    with pytest.raises(FrameInvalid, match="cut off"):
        DRIVER.decoder(None)(bytes.fromhex(LINE_1)[:-1])


def test_it_takes_no_other_command():
    with pytest.raises(Unsupported):
        made().send(OpenGate(direction="in"))


def test_everything_declared_is_tested_here():
    assert DRIVER.commands == {ShowLines, AskVersion}
    assert DRIVER.facts == {DisplayAnswered, DeviceDescribed}
