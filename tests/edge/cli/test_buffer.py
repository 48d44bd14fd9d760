"""buffer: through the daemon, and as a real file that was written by the real buffer."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.messages.envelope import ClockSource, Packed, Stamp
from core.messages.event import Stream
from edge.buffer import open_buffer


def _stamp() -> Stamp:
    return Stamp(datetime(2026, 11, 21, 8, 0, tzinfo=UTC), 1, "boot-1", ClockSource.NTP, 0, 1)


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """Return a closed buffer of 30 vital entries."""
    path = tmp_path / "gates.db"
    head = '{"type":"t","time":"2026-11-21T08:00:00.000Z","data":{"x":"' + "y" * 400
    bodies = (f'{head}","n":{n}}}}}' for n in range(30))
    async with open_buffer(path, 64 << 20, _stamp) as buffer:
        await buffer.append([Packed(Stream.VITAL, f"t:{n}", body.encode()) for n, body in enumerate(bodies)])
    return path


@pytest.fixture
def damaged(file: Path) -> Path:
    """Return the buffer with its second half overwritten."""
    raw = bytearray(file.read_bytes())
    middle = len(raw) // 2 // 4096 * 4096
    raw[middle:] = b"\xaa" * (len(raw) - middle)
    file.write_bytes(raw)
    return file


async def test_what_waits_is_shown_by_stream(run, serve):
    desk = await serve()
    shown = await asyncio.to_thread(run, "buffer", "status")
    for words in ("hq-bridge.gates", "42 entries wait", "vital", "20.0 KiB", "1040"):
        assert words in shown.out
    as_json = await asyncio.to_thread(run, "buffer", "status", "--json")
    (buffer,) = as_json.json["buffers"]
    assert buffer["streams"] == desk.status["buffer"]["streams"]
    assert buffer["epoch"] == desk.status["epoch"]


def test_a_file_is_read_without_a_daemon(run, file):
    before = file.read_bytes()
    shown = run("buffer", "status", "--file", str(file), "--json")
    assert (shown.code, shown.json["entries"]["vital"]) == (0, 30)
    assert "sound" in run("buffer", "verify", str(file)).out
    assert file.read_bytes() == before


def test_a_damaged_file_is_told_and_repaired(run, damaged):
    verdict = run("buffer", "verify", str(damaged), "--json")
    assert (verdict.code, verdict.json["sound"]) == (1, False)
    assert "DAMAGED" in run("buffer", "verify", str(damaged)).out
    repaired = run("buffer", "repair", str(damaged), "--json")
    assert (repaired.code, repaired.json["sound"]) == (0, True)
    assert 0 < repaired.json["entries"]["vital"] < 32
    assert repaired.json["damaged_copies"]
    assert run("buffer", "verify", str(damaged)).code == 0


def test_events_are_written_as_json_lines(run, file, tmp_path):
    out = tmp_path / "events.jsonl"
    shown = run("buffer", "export", str(file), "--out", str(out), "--edge", "hq-bridge.gates", "--json")
    assert (shown.code, shown.json["events"]) == (0, 30)
    events = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [event["data"]["n"] for event in events] == list(range(30))
    assert events[0]["source"].endswith("hq-bridge.gates")


@pytest.mark.parametrize("words", [("verify",), ("repair",), ("status", "--file"), ("export", "--out", "x")])
def test_a_file_that_is_not_there(run, tmp_path, words):
    shown = run("buffer", words[0], *words[1:], str(tmp_path / "none.db"), "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, "not_found")


def test_a_place_that_cannot_be_written(run, file, tmp_path):
    shown = run("buffer", "export", str(file), "--out", str(tmp_path / "no" / "such" / "x"), "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, "buffer_unavailable")
    assert shown.json["error"]["place"].endswith("x")


def test_the_real_program(damaged):
    program = Path(sys.executable).with_name("gatefleet")
    done = subprocess.run([program, "buffer", "verify", damaged], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ""
