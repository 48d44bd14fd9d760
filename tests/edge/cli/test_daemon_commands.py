"""status, device, why, gate, passage, list: against real control servers on real sockets."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.cli import daemons


async def test_status_shows_the_daemon_to_people(run, serve):
    await serve()
    shown = await asyncio.to_thread(run, "status")
    assert shown.code == 0
    for words in ("hq-bridge.gates", "down since 2026-11-21 08:00:00", "1d 2h", "42 entries wait", "E03", "hq-block"):
        assert words in shown.out
    assert "fault 1" in shown.out


async def test_status_gives_programs_all_the_daemon_said(run, serve):
    desk = await serve()
    shown = await asyncio.to_thread(run, "status", "--json")
    (daemon,) = shown.json["daemons"]
    assert {key: daemon[key] for key in desk.status} == desk.status
    assert shown.json["dead"] == []


async def test_a_dead_socket_is_told_and_the_others_are_shown(run, serve, monkeypatch, folder):
    await serve()
    dead = folder / "dead.sock"
    server = await asyncio.start_unix_server(lambda *_: None, dead)
    server.close()
    await server.wait_closed()
    monkeypatch.setenv("GATEFLEET_SOCKET", f"{os.environ['GATEFLEET_SOCKET']}:{dead}:{folder / 'gone.sock'}")
    shown = await asyncio.to_thread(run, "status", "--json")
    assert shown.code == 0
    assert len(shown.json["daemons"]) == 1
    assert [one["socket"] for one in shown.json["dead"]] == [str(dead), str(folder / "gone.sock")]
    assert "dead socket file" in shown.json["dead"][0]["error"]["detail"]
    for_people = await asyncio.to_thread(run, "status")
    assert str(dead) in for_people.err


async def test_the_sockets_of_a_user_and_of_the_demo_are_found(run, serve, monkeypatch, folder):
    demo = folder / "gatefleet-demo" / "hq" / "gates" / "control.sock"
    users = folder / "run" / "gatefleet" / "road" / "control.sock"
    too_deep = folder / "gatefleet-demo" / "a" / "b" / "c" / "control.sock"
    for place in (demo, users, too_deep):
        await serve(at=place)
    (folder / "gatefleet-demo" / "control.sock").write_text("not a socket")
    monkeypatch.delenv("GATEFLEET_SOCKET")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    shown = await asyncio.to_thread(run, "status", "--json")
    found = {one["socket"] for one in shown.json["daemons"]}
    assert found & set(map(str, (demo, users, too_deep))) == {str(demo), str(users)}


async def test_a_demo_socket_of_another_user_is_not_trusted(serve, folder, monkeypatch):
    place = folder / "gatefleet-demo" / "control.sock"
    await serve(at=place)
    environ = {"TMPDIR": str(folder)}
    assert place in daemons._looked_for(environ)
    owner = place.lstat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        os.lchown(place, 4242, -1)
    assert place not in daemons._looked_for(environ)


def test_no_daemon_is_exit_status_3(run):
    shown = run("status")
    assert shown.code == 3
    assert "no daemon found" in shown.err
    assert "systemctl start" in shown.err
    as_json = run("device", "list", "--json")
    assert as_json.code == 3
    assert as_json.json["error"]["code"] == "no_daemon"


async def test_devices_are_listed_and_the_sick_ones_alone(run, serve):
    await serve()
    every = await asyncio.to_thread(run, "device", "list", "--json")
    assert [one["id"] for one in every.json] == ["gate-03", "reader-03"]
    sick = await asyncio.to_thread(run, "device", "list", "--sick")
    assert "gate-03" in sick.out
    assert "reader-03" not in sick.out


async def test_a_device_is_shown_with_why_and_what_to_do(run, serve):
    await serve()
    shown = await asyncio.to_thread(run, "device", "show", "gate-03")
    assert shown.code == 0
    for words in ("Reference Swing", "door is jammed", "Cure: Lock the lane", "in_count", "reads"):
        assert words in shown.out
    assert "\\x" not in shown.out, "our own layout is not taken for a hostile device's"


async def test_the_daemon_that_has_the_device_is_asked(run, serve):
    await serve(devices=[])
    await serve()
    shown = await asyncio.to_thread(run, "why", "gate-03", "--json")
    assert shown.json["findings"][0]["sentence"] == "The gate tells that its door is jammed."
    nobody = await asyncio.to_thread(run, "why", "gate-99", "--json")
    assert nobody.code == 1
    assert nobody.json["error"]["code"] == "not_found"
    assert "gate-03, reader-03" in nobody.json["error"]["cure"]


async def test_why_answers_in_chinese(run, serve):
    await serve()
    shown = await asyncio.to_thread(run, "why", "gate-03", "--lang", "zh_CN")
    assert "闸机报告闸门卡住。" in shown.out
    assert "处理: 锁定通道" in shown.out


async def test_a_gate_is_opened_once_with_reason_and_actor(run, serve):
    desk = await serve()
    shown = await asyncio.to_thread(
        run, "gate", "open", "E03", "--reason", " stuck traveller ", "--direction", "out", "--json"
    )
    assert shown.code == 0
    assert shown.json["result"] == "done"
    (act,) = desk.acts
    assert act["actor"].startswith("cli:")
    assert {key: act[key] for key in ("lane", "action", "reason", "direction")} == {
        "lane": "E03",
        "action": "open",
        "reason": "stuck traveller",
        "direction": "out",
    }


@pytest.mark.parametrize("action", ["lock", "release", "free", "emergency"])
async def test_each_action_reaches_the_lane(run, serve, action):
    desk = await serve()
    shown = await asyncio.to_thread(run, "gate", action, "E03", "--reason", "drill")
    assert shown.code == 0
    assert desk.acts[0]["action"] == action


@pytest.mark.parametrize("reason", ["", "   ", "x" * 513])
async def test_a_reason_is_required(run, serve, reason):
    desk = await serve()
    shown = await asyncio.to_thread(run, "gate", "open", "E03", "--reason", reason)
    assert shown.code == 2
    assert desk.acts == []
    assert (await asyncio.to_thread(run, "gate", "open", "E03")).code == 2


async def test_a_gate_that_did_not_do_it_is_exit_status_1(run, serve):
    desk = await serve()
    desk.gate_result = "failed"
    assert (await asyncio.to_thread(run, "gate", "lock", "E03", "--reason", "drill")).code == 1


async def test_a_lane_of_two_daemons_is_not_guessed(run, serve):
    desks = [await serve(), await serve()]
    shown = await asyncio.to_thread(run, "gate", "open", "E03", "--reason", "drill", "--json")
    assert shown.code == 2
    assert shown.json["error"]["cure"] == "name one with --socket"
    assert [desk.acts for desk in desks] == [[], []]


async def test_an_unknown_lane_moves_nothing(run, serve):
    desk = await serve()
    shown = await asyncio.to_thread(run, "gate", "open", "E99", "--reason", "drill", "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, "not_found")
    assert desk.acts == []


async def test_the_last_passages_end_by_themselves(run, serve):
    desk = await serve()
    shown = await asyncio.to_thread(run, "passage", "tail", "-n", "2", "--json")
    assert shown.code == 0
    assert [json.loads(line) for line in shown.out.splitlines()] == desk.passages[-2:]


async def test_passages_of_one_lane(run, serve):
    await serve()
    shown = await asyncio.to_thread(run, "passage", "tail", "-n", "3", "--lane", "E04")
    assert shown.out == "2026-11-21 08:00:01  E04  decided  in  release  (no_hit)  4.5 ms  A1\n"


async def test_fewer_passages_than_asked_for_end_after_a_quiet_time(run, serve):
    await serve()
    shown = await asyncio.to_thread(run, "passage", "tail", "-n", "9", "--json")
    assert len(shown.out.splitlines()) == 3


async def test_a_signed_list_is_handed_to_all_daemons(run, serve, tmp_path):
    desks = [await serve(), await serve()]
    file = tmp_path / "list.signed"
    file.write_text('{"purpose":"snapshot"}', encoding="utf-8")
    shown = await asyncio.to_thread(run, "list", "apply", str(file), "--json")
    assert shown.code == 0
    assert [one["version"] for one in shown.json["applied"]] == [8, 8]
    assert all(desk.acts[0]["signed"] == '{"purpose":"snapshot"}' for desk in desks)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"x" * (64 << 20) + b"yy"])
def test_a_file_that_cannot_be_a_list_is_refused(run, tmp_path, content):
    file = tmp_path / "list.signed"
    if content is not None:
        file.write_bytes(content)
    shown = run("list", "apply", str(file), "--json")
    assert (shown.code, shown.json["error"]["code"]) == (1, "input_invalid")


async def test_what_a_device_says_cannot_steer_the_terminal(run, serve):
    await serve(devices=[{"id": "evil\x1b[2J", "health": "[red]x[/red]", "faults": ["\x07"]}])
    shown = await asyncio.to_thread(run, "device", "list")
    assert "\x1b" not in shown.out
    assert "\x07" not in shown.out
    assert "evil\\x1b[2J" in shown.out
    assert "[red]x[/red]" in shown.out


async def _process(*arguments: str) -> asyncio.subprocess.Process:
    program = Path(sys.executable).with_name("gatefleet")
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)


async def test_the_real_program_watches_a_device_until_ctrl_c(serve):
    desk = await serve()
    process = await _process("device", "watch", "gate-03", "--json")
    assert process.stdout is not None
    told: dict[str, Any] = {"at": "2026-11-21T08:00:00+00:00", "fact": "GateObserved", "values": {"in_count": 1}}
    await desk.facts.put(told)
    assert json.loads(await process.stdout.readline()) == told
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert process.returncode == 130
    assert errors == b""


async def test_the_real_program_tells_by_its_exit_status(serve):
    await serve()
    for arguments, status in (
        (("status",), 0),
        (("why", "gate-03"), 0),
        (("why", "nosuch"), 1),
        (("gate", "open", "E03"), 2),
        (("passage", "tail", "-n", "1"), 0),
        (("device", "list", "--socket", "nosuch.sock"), 3),
    ):
        process = await _process(*arguments)
        _, errors = await process.communicate()
        assert process.returncode == status, arguments
        assert not re.search(rb"Traceback", errors)
