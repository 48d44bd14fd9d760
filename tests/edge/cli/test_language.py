"""Both languages whole: nothing in the tool lacks its Chinese, and no translation outlives its message."""

import ast
import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po as read_with_babel

import edge.cli
from edge.cli import language
from edge.cli.sentences import FAULTS, SENTENCES, told

FOLDER = Path(edge.cli.__file__).parent
PO = FOLDER / "locale" / "zh_CN" / "LC_MESSAGES" / "gatefleet.po"
FIELD = re.compile(r"\{[^{}\s\"]*\}")


def messages():
    """Return every text that the source marks for translation."""
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="_" | "N_"), args=[ast.Constant(value=str() as text)]):
                    yield text


def test_every_message_has_a_translation():
    texts = language.read_texts("zh_CN")
    assert len(texts) > 200
    assert [text for text in messages() if text not in texts] == []


def test_no_translation_outlives_its_message():
    assert set(language.read_texts("zh_CN")) - set(messages()) == set()


def test_a_translation_has_the_arguments_of_its_message():
    for text, translation in language.read_texts("zh_CN").items():
        assert set(FIELD.findall(text)) == set(FIELD.findall(translation)), text


def test_no_message_is_made_at_run_time():
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="_" | "N_"), args=[ast.JoinedStr()]):
                    pytest.fail(f"{file.name}:{node.lineno}: an f-string cannot be translated")


def test_the_catalogue_is_a_po_file_for_other_tools_too():
    with PO.open("rb") as file:
        catalogue = read_with_babel(file, abort_invalid=True)
    assert {one.id: one.string for one in catalogue if one.id} == language.read_texts("zh_CN")


def test_po_strings_of_many_lines_and_escapes():
    source = 'msgid ""\nmsgstr "head"\n\n# note\nmsgid "a\\n"\n"\\"b\\""\nmsgstr ""\n"c"\n'
    assert list(language.read_po(source)) == [("", "head"), ('a\n"b"', "c")]


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        ((), {}, "en"),
        ((), {"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ((), {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ((), {"LC_MESSAGES": "zh_HK", "LANG": "en_US.UTF-8"}, "zh_CN"),
        ((), {"LANG": "pt_PT.UTF-8"}, "en"),
        ((), {"LANG": "C.UTF-8", "GATEFLEET_LANG": "zh_CN"}, "zh_CN"),
        (("--lang", "en"), {"LANG": "zh_CN.UTF-8"}, "en"),
        (("status", "--lang=zh-Hans"), {}, "zh_CN"),
        (("--", "--lang", "zh_CN"), {}, "en"),
        (("--lang",), {}, "en"),
    ],
)
def test_the_language_is_the_first_that_says_so(arguments, environ, expected):
    assert language.choose(arguments, environ) == expected


def test_help_is_in_the_language_too(run):
    shown = run("gate", "open", "--help", "--lang", "zh_CN")
    for words in ("用法", "现在放行一人。", "原因，会被记录", "必填", "显示本帮助"):
        assert words in shown.out


FINDINGS = [
    ("ok", {}),
    ("never_seen", {}),
    ("silent", {"for_s": 12, "timeouts": 4, "link": "modbus+tcp://10.1.2.3"}),
    ("silent", {"link": "modbus+tcp://10.1.2.3", "error": "timeout"}),
    ("link_down", {"link": "serial:///dev/ttyS0", "error": "no such device"}),
    ("bus_neighbour_ok", {"n": 7}),
    ("garbled", {"count": 9, "last": "crc"}),
    ("refuses", {"exception": "illegal address"}),
    ("clock", {}),
    ("clock", {"offset_s": -7.5}),
    ("arm_stays_up", {"arm": "ajar", "after_s": 8.5}),
    ("arm_stays_down", {"arm": "ajar", "after_s": 8.5}),
    ("calibration_due", {"until": "2026-12-01", "left_d": 12, "certificate": "C-7"}),
    ("calibration_over", {"until": "2026-12-01", "certificate": "C-7"}),
    ("licence_ends", {"name": "AV", "until": "2026-12-01", "left_d": 12}),
    ("licence_over", {"name": "AV", "until": "2026-12-01"}),
    ("certificate_ends", {"desk": "D-1", "serial": "0a", "until": "2026-12-01", "left_d": 12}),
    ("certificate_over", {"desk": "D-1", "serial": "0a", "until": "2026-12-01"}),
    ("pin_locked", {"desk": "D-1", "serial": "0a"}),
    ("time_unsynchronised", {"problem": "its own word"}),
    ("time_offset", {"offset_ms": -312}),
    ("time_offset", {}),
    ("stream_silent", {"why": "its own word", "detail": "454"}),
    ("slot_fault", {"slot": 3, "fault": "E7", "equipment": "R-12"}),
    ("terminals_refused", {"count": 3, "why": "its own word"}),
    ("pushes_refused", {"count": 3, "error": "a wrong password"}),
    ("mode_not_normal", {"mode": "free"}),
    ("profile_mismatch", {"detail": "device says model 2"}),
    ("login_refused", {"link": "http-server://10.0.0.2:8090/a", "error": "a wrong password"}),
    ("doubtful", {"point": "draught_m", "why": "its own word"}),
    ("signal", {"topic": "its own topic", "source": "ups"}),
    ("count_drift", {"counted": 70, "passed": 50, "buckets": 3}),
    ("cabin_power", {}),
    ("cabin_emergency", {}),
    ("cabin_sensor", {"name": "sensor_dirty"}),
    ("cabin_count_stale", {}),
    ("cabin_bolt", {"door": "exit"}),
    ("cabin_door_open", {"door": "entrance"}),
    ("cabin_door_forced", {"door": "exit"}),
    ("cabin_officer_late", {"attempt": "NX101-0003"}),
    ("cabin_occupied", {"persons": 2}),
    ("cabin_mode", {"mode": "emergency"}),
    ("cabin_no_record", {}),
    ("cabin_command_failed", {"error": "timeout"}),
    ("stream_silent", {"why": "device_silent", "detail": "the stream gives no packets"}),
    ("platform_ok", {}),
    ("platform_not_registered", {"place": "http://10.8.0.1", "error": "no answer in 10 s"}),
    ("platform_not_durable", {"error": "disk full"}),
    ("platform_refuses", {"count": 3, "last": "8 Invalid JSON Content"}),
    ("platform_dropped", {"pictures": 70, "objects": 5}),
    *(("fault_bit", {"name": name}) for name in (*FAULTS, "bit_7")),
]


@pytest.mark.parametrize(("code", "args"), FINDINGS)
@pytest.mark.parametrize("lang", language.LANGUAGES)
def test_each_finding_is_a_sentence_with_its_arguments(code, args, lang):
    language.speak(lang)
    why, cure = told({"code": code, "args": args})
    assert why.endswith(("。", ".", "）。", ")."))
    assert "?" not in why
    assert "{" not in why + cure
    assert bool(cure) == (code not in {"ok", "platform_ok"})
    if code != "fault_bit" or args["name"] == "bit_7":
        for value in args.values():
            assert str(value) in why


def test_every_sentence_is_tried():
    assert {code for code, _args in FINDINGS} == set(SENTENCES) | {"fault_bit"}


@pytest.mark.parametrize(
    ("finding", "shown"),
    [
        ({"code": "new_thing", "args": {"n": 3}}, "new_thing n=3"),
        ({"code": "new_thing"}, "new_thing"),
        ({}, "-"),
        ({"code": ["x"], "args": "y"}, "x"),
        ({"code": "link_down", "args": {"link": "a{b}\x1b"}}, "The link a{b}\\x1b is down: ?."),
        ({"code": "fault_bit"}, "The device tells the fault ?."),
    ],
)
def test_what_is_not_known_is_shown_raw(finding, shown):
    assert told(finding)[0] == shown
