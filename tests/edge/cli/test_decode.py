"""`gatefleet decode`: whatever a line holds, it gives exactly one line of JSON."""

import io
import json
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import registry
from edge.cli.decode import MAX_LINE, answer, bounded_lines, line_decoder, source_of
from simulators.dahua_anpr import TollgateCamera
from simulators.desk import Desk
from simulators.dock import Dock
from simulators.face_terminal import FaceTerminal
from simulators.hik_anpr import PlateCamera
from simulators.hik_counting import PeopleCounter
from simulators.pushing import Pusher

VECTORS = Path(__file__).parents[2] / "vectors"
KINDS = {"mrz": "mrz", "plate": "plate", "id-resident": "resident-id", "id-home-return": "permit"}
RESPONSE = "110306014101440147d120"
ZONE = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<|L898902C36UTO7408122F1204159ZE184226B<<<<<10"


def vectors(file, protocols):
    return list(_vectors(file, protocols))


def _vectors(file, protocols):
    for line in (VECTORS / file).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["protocol"] in protocols:
            yield pytest.param(protocols[row["protocol"]], row["input"], row["expected"], id=str(row["input"])[:40])


def answers(shown):
    return [json.loads(line) for line in shown.out.splitlines()]


@pytest.mark.parametrize(("kind", "text", "expected"), vectors("ids_plates.jsonl", KINDS))
def test_documents_of_the_vectors(run, kind, text, expected):
    shown = run("decode", kind, "-", stdin=text.replace("\n", "|").encode() + b"\n")
    (line,) = answers(shown)
    (report,) = line["reports"]
    for key in ("valid", "format", "issuer", "surname", "number", "checks", "check_ok", "sex", "lifetime_no"):
        if key in expected and key in report and (key, kind) != ("issuer", "permit"):
            assert report[key] == expected[key], key


@pytest.mark.parametrize(
    ("kind", "digits", "expected"),
    vectors("modbus.jsonl", {"modbus-rtu": "modbus-rtu", "modbus-tcp": "modbus-tcp"}),
)
def test_frames_of_the_vectors(run, kind, digits, expected):
    (line,) = answers(run("decode", kind, "-", stdin=digits.encode() + b"\n"))
    if "error" in expected:
        assert line["error"]["code"] == "frame_invalid"
        assert expected["error"] in line["error"]["detail"]
        return
    (report,) = line["reports"]
    for key in set(report) & set(expected):
        assert report[key] == expected[key], key
    assert report["function"] == expected["function"]


def test_the_fields_that_are_promised(run):
    stdin = ZONE.encode() + b"\n"
    assert list(answers(run("decode", "mrz", "-", stdin=stdin))[0]["reports"][0]) == [
        "format",
        "issuer",
        "surname",
        "given",
        "number",
        "nationality",
        "birth",
        "sex",
        "expiry",
        "checks",
        "valid",
    ]
    assert list(answers(run("decode", "plate", "-", stdin="粤B12345\n".encode()))[0]["reports"][0]) == [
        "valid",
        "kind",
        "region",
    ]
    assert list(answers(run("decode", "resident-id", "-", stdin=b"440524188001010014\n"))[0]["reports"][0]) == [
        "valid",
        "birth",
        "sex",
        "check_ok",
    ]


def test_each_line_gives_one_line_and_the_run_goes_on(run):
    lines = [RESPONSE, "", "1", "zz", "110306014101440147d121", "1103", RESPONSE + RESPONSE, RESPONSE.upper()]
    shown = run("decode", "modbus-rtu", "-", stdin="\n".join(lines).encode())
    assert shown.code == 0
    kinds = [len(one["reports"]) if "reports" in one else one["error"]["code"] for one in answers(shown)]
    assert kinds == [
        1,
        "frame_incomplete",
        "input_invalid",
        "input_invalid",
        "frame_invalid",
        "frame_invalid",
        2,
        1,
    ]
    assert all(set(one["error"]) == {"code", "detail"} for one in answers(shown) if "error" in one)


def test_a_stream_is_one_connection_cut_anywhere(run):
    pieces = [RESPONSE[:2], RESPONSE[2:6], "zz", RESPONSE[6:], ""]
    shown = run("decode", "modbus-rtu", "--stream", "-", stdin="\n".join(pieces).encode() + b"\n")
    kinds = [len(one["reports"]) if "reports" in one else one["error"]["code"] for one in answers(shown)]
    assert kinds == [0, 0, "input_invalid", 1, 0]


def test_a_reader_takes_lines_of_text(run):
    shown = run("decode", "reader", "-", stdin=b"HELLO 1\r\n\n\xff\n" + "珠\n".encode())
    assert answers(shown)[0]["reports"] == [{"fact": "CredentialRead", "text": "HELLO 1"}]
    assert answers(shown)[1]["error"]["code"] == "frame_incomplete"
    assert answers(shown)[2]["error"]["code"] == "input_invalid"
    assert answers(shown)[3]["reports"][0]["text"] == "珠"
    first, second = ZONE.split("|")
    stream = answers(run("decode", "reader", "-", "--stream", stdin=f"{first}\n{second}\n".encode()))
    assert [len(one["reports"]) for one in stream] == [0, 1]
    assert stream[1]["reports"][0]["text"] == ZONE


def test_a_profile_tells_how_the_reader_writes(run):
    shown = run("decode", "reader", "--text", "HELLO", "--profile", "generic/line-reader", "--json")
    assert shown.json == {"reports": [{"fact": "CredentialRead", "text": "HELLO"}]}
    wrong = run("decode", "reader", "--text", "HELLO", "--profile", "reference/swing-gate", "--json")
    assert (wrong.code, wrong.json["error"]["code"]) == (2, "config_invalid")
    absent = run("decode", "reader", "--text", "HELLO", "--profile", "no/such", "--json")
    assert (absent.code, absent.json["error"]["code"]) == (1, "not_found")


def test_one_input_for_people(run):
    shown = run("decode", "plate", "--text", "粤Z1234港")
    assert shown.code == 0
    assert "cross_border_hk" in shown.out


def test_one_bad_input_is_exit_status_1(run):
    shown = run("decode", "modbus-rtu", "--hex", "110306014101440147d121", "--json")
    assert shown.code == 1
    assert shown.json["error"]["code"] == "frame_invalid"
    assert "crc" in shown.json["error"]["detail"]


def test_a_driver_without_bytes_names_the_cure(run):
    shown = run("decode", "turnstile", "-", "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, "unsupported")
    assert "modbus-rtu" in shown.json["error"]["cure"]
    unknown = run("decode", "nosuch", "-", "--json")
    assert unknown.code == 1
    assert "reader" in unknown.json["error"]["cure"]
    assert "resident-id" in unknown.json["error"]["cure"]


@pytest.mark.parametrize("words", [(), ("-", "--hex", "00"), ("--hex", "00", "--text", "x"), ("file.txt",)])
def test_exactly_one_input(run, words):
    assert run("decode", "mrz", *words).code == 2


def test_no_input_is_no_output(run):
    shown = run("decode", "mrz", "-")
    assert (shown.code, shown.out) == (0, "")


def test_a_line_too_long_is_one_error_and_the_next_is_read(run):
    stdin = b"x" * (MAX_LINE + 1) + b"\n" + b"x" * (3 * MAX_LINE) + b"\n" + RESPONSE.encode() + b"\n"
    shown = answers(run("decode", "modbus-rtu", "-", stdin=stdin))
    assert [one.get("error", {}).get("code") for one in shown] == ["input_invalid", "input_invalid", None]
    assert str(MAX_LINE) in shown[0]["error"]["detail"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"."))), st.integers(1, 7), st.booleans())
def test_lines_are_the_same_however_they_are_cut(lines, cut, ends):
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    source = io.BytesIO(data)
    found = [line for batch in bounded_lines(lambda _size: source.read(cut), limit=20) for line in batch]
    whole = data.split(b"\n")[:-1] + ([data.split(b"\n")[-1]] if data.split(b"\n")[-1] else [])
    assert found == [None if len(line) > 20 else line.removesuffix(b"\r") for line in whole]


DECODING = [name for name in registry.names() if registry.driver(name).decoder is not None]


class Tape(Pusher):
    """Keeps what a push device would have sent, as whole requests."""

    async def post(self, body, content_type, path=""):
        head = f"POST {path or '/'} HTTP/1.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.answers.append((200, head.encode() + body))
        return 500


async def pushed(name):
    """Return a request of a push device."""
    tape = Tape("http://127.0.0.1:1", None)
    dock = Dock(tape)
    dock.insert(1, "EQ-1")
    says = {
        "hik-anpr": PlateCamera(tape).heartbeat,
        "dahua-anpr": TollgateCamera(tape).describe,
        "hik-counting": PeopleCounter(tape).tell_totals,
        "desk": Desk(tape).beat,
        "face-terminal": FaceTerminal(tape).beat,
        "dock": dock.push,
    }
    await says[name]()
    return tape.answers[0][1]


def captured(file, protocols):
    """Return the first row of a file that one of these drivers can read."""
    for line in (VECTORS / file).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["protocol"] in protocols and isinstance(row["input"], str) and "error" not in row["expected"]:
            yield row["input"], row["expected"]


FIXED = {
    "display": b"0064ffff620100976a",
    "hik-barrier": b"<BarrierGateStatus><barrierGateStatus>2</barrierGateStatus></BarrierGateStatus>".hex().encode(),
    "ntp": (b"\x24" + bytes(47)).hex().encode(),
    "snmp": b"302902010104067075626c6963a01c02047b4c3f4b020100020100300e300c06082b060102010101000500",
}


async def a_good_line(name):
    """Return a line of input that means something to a driver."""
    match name:
        case "reader":
            return b"HELLO"
        case "nmea0183":
            return next(captured("nmea0183.jsonl", {"nmea0183"}))[0].encode()
        case "jt808":
            return next(captured("jt808.jsonl", {"jt808"}))[0].encode()
        case "modbus-rtu" | "modbus-tcp":
            return next(captured("modbus.jsonl", {name}))[0].encode()
        case "gat1400":
            return b'{"KeepaliveObject": {"DeviceID": "1"}}'.hex().encode()
        case "gb28181":
            return next(captured("gb28181.jsonl", {"gb28181-sip"}))[0].encode().hex().encode()
        case "onvif-camera" | "onvif-event":
            rows = captured("onvif.jsonl", {"onvif"})
            events = name == "onvif-event"
            return next(text for text, expected in rows if ("events" in expected) is events).encode().hex().encode()
        case _ if name in FIXED:
            return FIXED[name]
    return (await pushed(name)).hex().encode()


@pytest.mark.parametrize("kind", DECODING)
async def test_a_line_of_every_driver_is_one_line_of_reports(kind):
    line = await a_good_line(kind)
    value = json.loads(answer(line_decoder(source_of(kind, None), stream=False), line))
    assert value.get("reports"), value


def test_sentences_are_text_and_may_be_hexadecimal(run):
    text = "$GPGGA,,,,,,0,00,99.99,,,,,,*48"
    (line,) = answers(run("decode", "nmea0183", "-", stdin=text.encode() + b"\n"))
    assert line["reports"][0]["type"] == "GGA"
    assert run("decode", "nmea0183", "--text", text, "--json").json == line
    assert run("decode", "nmea0183", "--hex", text.encode().hex(), "--json").json == line
    epoch = [text, text.replace("GGA", "GLL"), text]
    stream = answers(run("decode", "nmea0183", "-", "--stream", stdin="\n".join(epoch).encode()))
    assert ["error" in one for one in stream] == [False, True, False]


def test_the_help_names_the_drivers_that_are_asked_for_most(run):
    shown = run("decode", "--help").out
    assert "decode jt808 --hex" in shown
    assert "decode nmea0183 -" in shown


@pytest.mark.parametrize("kind", ["mrz", "plate", "resident-id", "permit", *DECODING])
@pytest.mark.parametrize("stream", [False, True])
def test_no_line_stops_the_run(kind, stream):
    decode = line_decoder(source_of(kind, None), stream=stream)

    @settings(deadline=None)
    @given(st.one_of(st.binary(max_size=300), st.binary(max_size=150).map(lambda raw: raw.hex().encode())))
    def check(line):
        out = answer(decode, line)
        assert out.count(b"\n") == 1
        value = json.loads(out)
        assert list(value) in (["reports"], ["error"])

    check()


def test_a_line_without_end_is_not_kept():
    chunks = iter([bytes(65536)] * 200 + [b"\nshort\n"])
    tracemalloc.start()
    try:
        found = [line for batch in bounded_lines(lambda _size: next(chunks, b""), limit=1 << 18) for line in batch]
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [None, b"short"]
    assert peak < 4 << 18


def test_a_program_gets_each_answer_before_it_sends_the_next_line(monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    program = Path(sys.executable).with_name("gatefleet")
    with subprocess.Popen([program, "decode", "plate", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        watchdog = threading.Timer(10, process.kill)
        watchdog.start()
        assert process.stdin is not None
        assert process.stdout is not None
        for plate, valid in (("粤Z1234港", True), ("nonsense", False)):
            process.stdin.write(plate.encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["reports"][0]["valid"] is valid
        process.stdin.close()
        assert process.wait(10) == 0
        watchdog.cancel()


def test_a_reader_that_goes_away_gets_no_traceback():
    program = Path(sys.executable).with_name("gatefleet")
    with subprocess.Popen(
        [program, "decode", "plate", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(b"x\n" * 50_000)
        assert errors == b""
        assert process.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "line"), [("mrz", ZONE), ("modbus-rtu", RESPONSE), ("plate", "粤Z1234港"), ("reader", "HELLO")]
)
def test_a_hundred_thousand_lines_take_seconds(kind, line):
    program = Path(sys.executable).with_name("gatefleet")
    done = subprocess.run(
        [program, "decode", kind, "-"],
        input=f"{line}\n".encode() * 100_000,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count(b"\n") == 100_000
    assert done.stdout.count(b'{"reports": ') == 100_000
