"""A connection, from registration to hanging up."""

import json
import re
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from core.errors import DeviceRefused, Unsupported
from core.messages.commands import OpenGate
from drivers.base import Rejected, Reply, Report
from drivers.facts import DeviceDescribed, PositionTaken
from drivers.jt808 import DRIVER, Dialect, LocatorCodec, LocatorSettings
from drivers.jt808 import commands as words
from drivers.jt808 import facts as told_facts
from drivers.jt808.admission import KeyedAdmission
from drivers.jt808.frame import Frame, FrameSplitter, encode_frame, encode_parts, parse_frame
from edge.profiles import load_profile, profile_names

ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "vectors" / "jt808.jsonl").read_text().splitlines()]
TERMINAL = "013511221122"
KEY = "0123456789abcdef"
SETTINGS = LocatorSettings(terminals=("13511221122", "1234567890*"), auth_key=KEY)
ADMISSION = KeyedAdmission(SETTINGS)
CODE = ADMISSION.code(TERMINAL)
BODY = bytes.fromhex("00000000000c000301578cc006ca3a5c004700000000140723172015")
REGISTER_2013 = bytes.fromhex(
    "00000000373031303748422d52303347424400000000000000000000003233363631303402cbd5424136383630"
)
CST = timezone(timedelta(hours=8))


def codec(**dialect):
    return LocatorCodec(Dialect(**dialect), ADMISSION)


def up(msg_id, body=b"", serial=7, terminal=TERMINAL, **more):
    return encode_frame(
        Frame(msg_id, serial, terminal, body, v2019=len(terminal) == 20, protocol_version=len(terminal) == 20, **more)
    )


def down(data):
    return [parse_frame(chunk) for chunk in FrameSplitter().feed(data)]


def reply(frame):
    """(id answered, result) of an 0x8001."""
    assert frame.msg_id == 0x8001
    return int.from_bytes(frame.body[2:4], "big"), frame.body[4]


def admitted(code=CODE, **dialect):
    one = codec(**dialect)
    (report,) = one.receive(up(0x0102, code.encode()))
    assert isinstance(report.fact, told_facts.TerminalAuthenticated)
    return one


def admitted_2019():
    terminal = "00000000012345678901"
    one, code = codec(), ADMISSION.code(terminal).encode()
    body = bytes((len(code),)) + code + b"123456789012345" + b"V1.2".ljust(20, b"\0")
    (report,) = one.receive(up(0x0102, body, terminal=terminal))
    assert (report.fact.imei, report.fact.software) == ("123456789012345", "V1.2")
    return one, terminal


def test_registration_gives_the_code_that_authentication_takes():
    one = codec()
    (report,) = one.receive(up(0x0100, REGISTER_2013))
    assert report.fact == told_facts.TerminalRegistered(
        TERMINAL, 2013, 0, 0, "70107", "HB-R03GBD", "2366104", "苏BA6860", 2
    )
    (answer,) = down(report.ack)
    assert (answer.msg_id, answer.body[:3], answer.terminal) == (0x8100, b"\0\x07\0", TERMINAL)
    (report,) = one.receive(up(0x0102, answer.body[3:], serial=8))
    assert reply(down(report.ack)[0]) == (0x0102, 0)
    assert one.terminal == TERMINAL


def test_a_terminal_that_holds_a_code_skips_registration_also_after_a_restart():
    assert admitted().terminal == TERMINAL
    assert KeyedAdmission(SETTINGS).code("00000000" + TERMINAL) == CODE


@pytest.mark.parametrize("msg_id", [0x0200, 0x0704, 0x0801, 0x0900, 0x0001, 0x0104, 0x7777])
def test_nothing_but_registration_and_authentication_is_taken_before_a_right_authentication_code(msg_id):
    one = codec()
    assert [type(output) for output in one.receive(up(msg_id, BODY))] == [Rejected]
    one.receive(up(0x0100, REGISTER_2013))
    assert [type(output) for output in one.receive(up(msg_id, BODY))] == [Rejected]


def test_a_stranger_s_heartbeat_fails():
    (answer,) = codec().receive(up(0x0002))
    assert reply(down(answer.data)[0]) == (0x0002, 1)


def test_after_a_wrong_code_nothing_is_taken_any_more():
    one = codec()
    refused, answer = one.receive(up(0x0102, b"wrong") + up(0x0102, CODE.encode()) + up(0x0200, BODY))
    assert isinstance(refused, Rejected)
    assert reply(down(answer.data)[0]) == (0x0102, 1)
    assert one.closing
    assert not one.terminal
    assert [type(output) for output in one.receive(up(0x0102, CODE.encode()))] == [Rejected]


def test_a_stranger_who_keeps_sending_is_given_up():
    one = codec()
    out = [output for _ in range(100) for output in one.receive(up(0x0200, BODY))]
    assert one.closing
    assert {type(output) for output in out} == {Rejected}


def test_registrations_without_authentication_have_an_end():
    one = codec()
    out = [output for _ in range(100) for output in one.receive(up(0x0100, REGISTER_2013))]
    assert one.closing
    assert sum(isinstance(output, Report) for output in out) <= 8


def test_an_unlisted_terminal_is_told_so():
    refused, answer = codec().receive(up(0x0100, REGISTER_2013, terminal="099999999999"))
    assert isinstance(refused, Rejected)
    assert down(answer.data)[0].body == b"\0\x07\4"
    foreign = LocatorCodec(Dialect(), KeyedAdmission(LocatorSettings()))
    assert [
        type(output)
        for output in foreign.receive(up(0x0102, KeyedAdmission(LocatorSettings()).code(TERMINAL).encode()))
    ] == [Rejected, Reply]


def test_codes_of_another_platform_and_patterns():
    admission = KeyedAdmission(LocatorSettings(codes={"13511221122": "old-code"}))
    assert admission.admits(TERMINAL, "old-code")
    assert not admission.admits(TERMINAL, "new")
    assert not admission.may_register(TERMINAL)
    assert ADMISSION.may_register("012345678905")
    assert not ADMISSION.may_register("012345678005")


def test_the_secret_is_not_in_any_text():
    assert KEY not in repr(SETTINGS)
    assert KEY not in SETTINGS.model_dump_json()
    with pytest.raises(ValidationError):
        LocatorSettings(surprise=1)


def test_a_position_s_confirmation_is_the_ack_of_its_report():
    (report,) = admitted().receive(up(0x0200, BODY + bytes.fromhex("0104000000c8310109300116"), serial=99))
    fact = report.fact
    assert (fact.terminal, fact.latitude_deg, fact.longitude_deg, fact.fixed) == (TERMINAL, 22.514880, 113.916508, True)
    assert fact.taken_at == datetime(2014, 7, 23, 17, 20, 15, tzinfo=CST)
    assert (fact.altitude_m, fact.speed_kmh, fact.course_deg, fact.acc_on) == (71.0, 0.0, 0.0, True)
    assert (fact.mileage_km, fact.satellites, fact.late) == (20.0, 9, False)
    assert fact.items == {"01": "000000c8", "31": "09", "30": "16"}
    (ack,) = down(report.ack)
    assert (ack.body, ack.terminal) == (bytes.fromhex("0063020000"), TERMINAL)


@pytest.mark.parametrize(
    ("at", "value", "field", "expected"),
    [
        (8, "05f5e101", "latitude_deg", None),
        (8, "05f5e101", "fixed", False),
        (12, "0abcdef1", "longitude_deg", None),
        (4, "00000007", "latitude_deg", -22.514880),
        (4, "0000000b", "longitude_deg", -113.916508),
        (22, "000000000000", "taken_at", None),
        (22, "260229000000", "taken_at", None),
        (22, "2a0101000000", "taken_at", None),
        (16, "ffff", "altitude_m", None),
        (20, "0169", "course_deg", None),
    ],
)
def test_what_cannot_be_is_none(at, value, field, expected):
    raw = bytes.fromhex(value)
    (report,) = admitted().receive(up(0x0200, BODY[:at] + raw + BODY[at + len(raw) :]))
    assert getattr(report.fact, field) == expected


def test_a_short_item_does_not_cost_the_position():
    (report,) = admitted().receive(up(0x0200, BODY + bytes.fromhex("0104000000")))
    assert report.fact.latitude_deg == 22.514880
    assert report.fact.items == {}


def test_a_short_position_is_answered_as_a_bad_message():
    refused, answer = admitted().receive(up(0x0200, BODY[:-1]))
    assert isinstance(refused, Rejected)
    assert reply(down(answer.data)[0]) == (0x0200, 2)


def entry(body):
    return len(body).to_bytes(2, "big") + body


def test_a_batch_is_confirmed_with_its_last_position():
    out = admitted().receive(up(0x0704, b"\0\3\1" + 3 * entry(BODY)))
    assert [type(output.fact) for output in out] == [PositionTaken] * 3
    assert all(output.fact.late for output in out)
    assert [bool(output.ack) for output in out] == [False, False, True]
    assert reply(down(out[-1].ack)[0]) == (0x0704, 0)


def test_what_can_be_read_of_a_batch_is_kept():
    out = admitted().receive(up(0x0704, b"\0\4\0" + entry(BODY) + entry(BODY[:9]) + entry(BODY)))
    assert [type(output) for output in out] == [Rejected, Rejected, Report, Report]
    assert not out[-1].fact.late
    assert reply(down(out[-1].ack)[0]) == (0x0704, 0)
    out = admitted().receive(up(0x0704, b"\0\1\0" + entry(BODY[:9])))
    assert reply(down(out[-1].data)[0]) == (0x0704, 2)


def test_an_unknown_message_is_unsupported_and_an_encrypted_one_too():
    (answer,) = admitted().receive(up(0x5501, b"x"))
    assert reply(down(answer.data)[0]) == (0x5501, 3)
    refused, answer = admitted().receive(up(0x0200, BODY, encryption=1))
    assert isinstance(refused, Rejected)
    assert reply(down(answer.data)[0]) == (0x0200, 3)


def test_a_connection_is_one_terminal_and_one_version():
    one = admitted()
    assert [type(output) for output in one.receive(up(0x0200, BODY, terminal="012345678901"))] == [Rejected]
    assert [type(output) for output in one.receive(up(0x0200, BODY, terminal="00000000" + TERMINAL))] == [Rejected]
    assert len(one.receive(up(0x0200, BODY))) == 1


def test_after_logging_out_a_terminal_is_a_stranger():
    one = admitted()
    (report,) = one.receive(up(0x0003))
    assert report.fact == told_facts.TerminalLeft(TERMINAL)
    assert reply(down(report.ack)[0]) == (0x0003, 0)
    assert [type(output) for output in one.receive(up(0x0200, BODY))] == [Rejected]


def test_our_serials_count():
    one = admitted()
    answers = [down(output.data)[0].serial for _ in range(3) for output in one.receive(up(0x0002))]
    assert answers == [1, 2, 3]


ANSWERS = [
    (0x0108, b"\0\1", told_facts.UpgradeAnswered(TERMINAL, 0, 1)),
    (0x0800, bytes.fromhex("0000007b00000701"), told_facts.MediaAnnounced(TERMINAL, 123, 0, 0, 7, 1)),
    (0x0900, b"\x41hello", told_facts.PassthroughReceived(TERMINAL, 0x41, b"hello")),
    (0x0104, bytes.fromhex("001402 00000001040000000a 000000130d7777772e62616964752e636f6d"), told_facts.ParametersAnswered(TERMINAL, 20, {"0001": 10, "0013": "www.baidu.com"})),
    (0x0104, bytes.fromhex("001401 00000001020009"), told_facts.ParametersAnswered(TERMINAL, 20, {}, {"0001": "0009"})),
    (0x0107, bytes.fromhex(ROWS[71]["expected"]["body_hex"]), DeviceDescribed("XC", "C5L", "C5L_V2.6 2026/06/04 15:31", "9887125")),
]  # fmt: skip


@pytest.mark.parametrize(("msg_id", "body", "fact"), ANSWERS)
def test_other_messages(msg_id, body, fact):
    (report,) = admitted().receive(up(msg_id, body))
    assert report.fact == fact
    assert reply(down(report.ack)[0]) == (msg_id, 0)
    (bad, answer) = admitted().receive(up(msg_id, b""))
    assert isinstance(bad, Rejected)
    assert reply(down(answer.data)[0]) == (msg_id, 2)


def test_an_asked_position():
    (report,) = admitted().receive(up(0x0201, b"\0\5" + BODY))
    assert report.fact.latitude_deg == 22.514880
    assert reply(down(report.ack)[0]) == (0x0201, 0)


def test_the_time_is_a_question_to_the_edge():
    one, terminal = admitted_2019()
    (report,) = one.receive(up(0x0004, terminal=terminal))
    assert report == Report(told_facts.TimeAsked(terminal, 7))
    (answer,) = down(one.send(words.TellTime(serial=7, at=datetime(2026, 1, 2, 11, 4, 5, tzinfo=CST))))
    assert (answer.msg_id, answer.body.hex()) == (0x8004, "260102030405")


# Bodies: JT/T 808-2013 as the rows of the vectors show them (8103, 8300, 8108, 8105); the rest by the standard's tables.
COMMANDS = [
    (words.ShowText(text="Test, Command, 123#", urgent=True, display=False), 0x8300, ROWS[101]["input"][26:-4]),
    (words.ControlTerminal(word=0xF0), 0x8105, "f0"),
    (words.ControlTerminal(word=2, parameters="1;2"), 0x8105, "02313b32"),
    (words.SetParameters(values={"0001": 10}), 0x8103, "0100000001040000000a"),
    (words.SetParameters(values={"0110": "ffffffffffffffff", "0084": 2}), 0x8103, "020000011008ffffffffffffffff000000840102"),
    (words.QueryParameters(), 0x8104, ""),
    (words.QueryParameters(ids=("0001", "F364")), 0x8106, "02000000010000f364"),
    (words.UpgradeTerminal(upgrade_type=52, maker="yzh", version="www.jtt808.cn", data=bytes(range(1, 10))), 0x8108, ROWS[172]["expected"]["body_hex"]),
    (words.AskPosition(), 0x8201, ""),
    (words.AskDescription(), 0x8107, ""),
    (words.SendPassthrough(kind=0x41, data=b"\x7e\x7d"), 0x8900, "417e7d"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "msg_id", "body"), COMMANDS)
def test_commands(command, msg_id, body):
    one = admitted()
    (frame,) = down(one.send(command))
    assert (frame.msg_id, frame.body.hex(), frame.terminal) == (msg_id, body, TERMINAL)
    (report,) = one.receive(up(0x0001, frame.serial.to_bytes(2, "big") + msg_id.to_bytes(2, "big") + b"\1"))
    assert report == Report(told_facts.CommandAnswered(TERMINAL, frame.serial, msg_id, 1, command.verb))
    again = TypeAdapter(words.TerminalCommand).validate_json(command.model_dump_json())
    assert again == command


def test_a_text_in_chinese_has_a_kind_from_2019_on():
    one, _ = admitted_2019()
    (frame,) = down(one.send(words.ShowText(text="测试")))
    assert frame.body == b"\x04\x01" + "测试".encode("gbk")
    assert frame.v2019


REFUSED = [
    words.SetParameters(values={"0001": "ten"}),
    words.SetParameters(values={"0001": 1 << 32}),
    words.SetParameters(values={"0013": 5}),
    words.SetParameters(values={"0110": "zz"}),
    words.SetParameters(values={"0013": "x" * 256}),
    words.ShowText(text="😀"),
    OpenGate(direction="in"),
]


@pytest.mark.parametrize("command", REFUSED)
def test_commands_that_cannot_be_sent(command):
    with pytest.raises(Unsupported):
        admitted().send(command)


def test_no_command_before_authentication():
    with pytest.raises(DeviceRefused):
        codec().send(words.AskPosition())


def test_the_driver_declares_what_is_tested():
    assert {type(command) for command, _, _ in COMMANDS} | {words.TellTime} == DRIVER.commands
    tested = {type(fact) for _, _, fact in ANSWERS} | {
        PositionTaken,
        told_facts.CommandAnswered,
        told_facts.MediaReceived,
    }
    tested |= {
        told_facts.TerminalRegistered,
        told_facts.TerminalAuthenticated,
        told_facts.TerminalLeft,
        told_facts.TimeAsked,
    }
    assert tested == DRIVER.facts


def outputs_in(pieces):
    one = codec()
    return [output for piece in pieces for output in one.receive(piece)]


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_every_cut_gives_the_same(size):
    media = bytes.fromhex("0000007b00000101") + BODY + bytes(3000)
    session = up(0x0100, REGISTER_2013) + up(0x0102, CODE.encode()) + b"noise" + up(0x0200, BODY)
    session += b"".join(encode_parts(Frame(0x0801, 50, TERMINAL, media)))
    session += up(0x0704, b"\0\1\0" + entry(BODY)) + up(0x0200, BODY)[1:] + up(0x0003)
    whole = outputs_in([session])
    assert [type(o.fact).__name__ for o in whole if isinstance(o, Report)] == [
        "TerminalRegistered", "TerminalAuthenticated", "PositionTaken", "MediaReceived", "PositionTaken", "PositionTaken", "TerminalLeft",
    ]  # fmt: skip
    assert outputs_in([session[at : at + size] for at in range(0, len(session), size)]) == whole


OURS = [name for name in profile_names() if load_profile(name).driver == "jt808"]


@pytest.mark.parametrize("name", OURS)
def test_each_profile_makes_a_codec(name):
    assert set(OURS) >= {"reference/jt808", "bsj/eg01", "aiporto/g10ls"}
    assert isinstance(DRIVER.make(load_profile(name), SETTINGS), LocatorCodec)
    assert re.search(r"JT/T ?808|BSJ", load_profile(name).source)


def test_a_dialect_changes_parameters_and_media():
    one = LocatorCodec(Dialect.model_validate(load_profile("aiporto/g10ls").map), ADMISSION)
    one.receive(up(0x0102, CODE.encode()))
    assert down(one.send(words.SetParameters(values={"0081": 44})))[0].body.hex() == "0100000081040000002c"
    (report,) = one.receive(up(0x0801, bytes.fromhex("0000000900000001") + b"jpeg"))
    assert report.fact.data == b"jpeg"


@pytest.mark.slow
def test_a_position_is_quick():
    one = admitted()
    frame = up(0x0200, BODY + bytes.fromhex("0104000000c802020016030200212504000000002a0200002b0400000000300116310109"))
    started = time.perf_counter()
    for _ in range(20_000):
        one.receive(frame)
    each_us = (time.perf_counter() - started) / 20_000 * 1e6
    print(f"{each_us:.1f} us a position, ack and all")
    assert each_us < 300, "the aim is 60 us on an idle core"
