"""Daemons that break their word: half lines, garbage, silence, a closed door. Nothing but a clear error comes of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from core.errors import LinkLost, MessageInvalid
from edge.cli import sockets
from edge.cli.errors import Told, UsageWrong
from edge.cli.sockets import MAX_LINE, MAX_REQUEST, Connection, ask, encode, follow, opened

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _answer(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
    writer.close()


def _sends(data: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await _answer(writer, data)

    return behave


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send bytes without an end of line, as long as anybody reads."""
    try:
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()
    except ConnectionError:
        pass


async def _one_byte_at_a_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    for byte in json.dumps({"ok": True, "data": {"edge": "慢"}}, ensure_ascii=False).encode() + b"\n":
        writer.write(bytes((byte,)))
        await writer.drain()
    writer.close()


async def _ask(folder: Path, behaviour: Behaviour, *, deadline_s: float = 5.0) -> object:
    path = folder / "odd.sock"
    server = await asyncio.start_unix_server(behaviour, path)
    async with server:
        return await asyncio.to_thread(ask, path, {"op": "status"}, deadline_s=deadline_s)


@pytest.mark.parametrize(
    ("sent", "kind", "words"),
    [
        (b"", LinkLost, "closed without an answer"),
        (b'{"ok": true, "data": {', LinkLost, "closed in the middle of a line"),
        (b"hello\n", MessageInvalid, "not a line of JSON"),
        (b"\xff\xfe\n", MessageInvalid, "not a line of JSON"),
        (b"[" * 200_000 + b"\n", MessageInvalid, "not a line of JSON"),
        (b"[]\n", MessageInvalid, "neither data nor an error"),
        (b'{"ok": 1, "data": {}}\n', MessageInvalid, "neither data nor an error"),
        (b'{"ok": false, "error": "no"}\n', MessageInvalid, "neither data nor an error"),
        (b'{"ok": true, "data": [1]}\n', MessageInvalid, "another kind"),
        (b'{"ok": true}\n', MessageInvalid, "another kind"),
    ],
)
async def test_what_is_no_answer_is_a_clear_error(folder, sent, kind, words):
    with pytest.raises(kind, match=words) as told:
        await _ask(folder, _sends(sent))
    assert told.value.place.endswith("odd.sock")


async def test_a_told_error_keeps_its_code(folder):
    error = {"code": "list_refused", "detail": "older", "place": "hq-block", "cure": "fetch"}
    with pytest.raises(Told) as told:
        await _ask(folder, _sends(json.dumps({"ok": False, "error": error}).encode() + b"\n"))
    assert (told.value.told_code, told.value.place, told.value.cure) == ("list_refused", "hq-block", "fetch")


async def test_a_daemon_that_hangs_costs_its_timeout(folder):
    with pytest.raises(LinkLost, match=r"no answer within 0\.1 s"):
        await _ask(folder, _hangs, deadline_s=0.1)


async def test_a_line_without_end_is_cut_off(folder):
    with pytest.raises(MessageInvalid, match=str(MAX_LINE)):
        await _ask(folder, _babbles)


async def test_an_answer_byte_by_byte_is_whole(folder):
    assert await _ask(folder, _one_byte_at_a_time) == {"edge": "慢"}


async def test_one_sick_daemon_of_a_stream_does_not_stop_the_other(folder):
    good = _sends(b'{"ok": true, "data": {"n": 1}}\n{"ok": true, "data": {"n": 2}}\n')
    bad = _sends(b'{"ok": true, "data": {"n": 9}}\ngarbage\n{"ok": true, "data": {"n": 10}}\n')
    async with (
        await asyncio.start_unix_server(good, folder / "good.sock"),
        await asyncio.start_unix_server(bad, folder / "bad.sock"),
    ):

        def read() -> dict[str, list[object]]:
            seen: dict[str, list[object]] = {"good.sock": [], "bad.sock": []}
            with Connection.open(folder / "good.sock") as one, Connection.open(folder / "bad.sock") as two:
                one.send({"op": "passages"})
                two.send({"op": "passages"})
                for path, item in follow([one, two], None):
                    seen[path.name].append(item)
            return seen

        seen = await asyncio.to_thread(read)
    assert seen["good.sock"] == [{"n": 1}, {"n": 2}]
    assert seen["bad.sock"][0] == {"n": 9}
    assert isinstance(seen["bad.sock"][1], MessageInvalid)
    assert len(seen["bad.sock"]) == 2


def test_a_request_longer_than_a_daemon_takes_is_not_sent():
    with pytest.raises(UsageWrong):
        encode({"op": "list_apply", "signed": "x" * MAX_REQUEST})


def test_an_error_without_words_is_still_one():
    with pytest.raises(Told) as told:
        opened(b'{"ok": false, "error": {}}', "place")
    assert told.value.told_code == "internal"


async def test_a_gate_command_whose_answer_is_lost_is_not_repeated(run, folder, monkeypatch):
    lines: list[dict[str, object]] = []

    async def loses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readline())
        lines.append(request)
        status = {"ok": True, "data": {"lanes": [{"id": "E03"}]}}
        await _answer(writer, json.dumps(status).encode() + b"\n" if request["op"] == "status" else b"")

    monkeypatch.setenv("GATEFLEET_SOCKET", str(folder / "odd.sock"))
    async with await asyncio.start_unix_server(loses, folder / "odd.sock"):
        shown = await asyncio.to_thread(run, "gate", "open", "E03", "--reason", "drill", "--json")
    assert shown.code == 1
    assert shown.json["error"]["code"] == "outcome_unknown"
    assert [line["op"] for line in lines] == ["status", "gate"]


@pytest.mark.parametrize("data", [{}, {"lanes": 5, "uplink": [], "buffer": {"streams": {"vital": 3}}, "uptime_s": "x"}])
@pytest.mark.parametrize("command", [("status",), ("buffer", "status"), ("status", "--json")])
async def test_a_daemon_of_another_age_is_shown_as_far_as_it_goes(run, folder, monkeypatch, data, command):
    monkeypatch.setenv("GATEFLEET_SOCKET", str(folder / "odd.sock"))
    behaviour = _sends(json.dumps({"ok": True, "data": data}).encode() + b"\n")
    async with await asyncio.start_unix_server(behaviour, folder / "odd.sock"):
        shown = await asyncio.to_thread(run, *command)
    assert (shown.code, shown.err) == (0, "")


def test_the_time_to_wait_is_short_enough_for_a_person():
    assert sockets.CONNECT_S + sockets.ANSWER_S <= 10
