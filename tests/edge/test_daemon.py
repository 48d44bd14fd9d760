"""The real daemon on real sockets against the simulated bridge: it decides alone, and survives what it will meet."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta

import pytest
import tomli_w

from core.errors import BufferUnavailable, ConfigInvalid, GatefleetError
from core.messages.envelope import packed_event
from core.messages.event import Stream
from core.messages.events import PassageCleared, PassageDecided
from edge import daemon
from simulators.people import Manner, Traveller, specimen
from simulators.site import visit

from .bridge import BRIDGE, bridge_in, token
from .conftest import until


@pytest.fixture
async def bridge(nook, signer):
    async with bridge_in(nook, signer) as bridge:
        yield bridge


def quantile(values, share):
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


# -- alone -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_it_decides_alone_twenty_times_a_second_within_twenty_milliseconds(bridge):
    """Credential to gate command answered, the commit's fsync included, with broker and central off."""
    running = await bridge.start()
    blocked = [specimen(1_000_000 + number) for number in range(8)]
    await running.parts.lists.apply(bridge.snapshot(blocked))
    rng, outcomes = random.Random(5), []

    async def come(number, began):
        gate, reader, direction = bridge.gate(lane := bridge.lanes[number % 28])
        await asyncio.sleep(began + number / 20 + rng.uniform(0, 0.02) - asyncio.get_running_loop().time())
        if number % 30 == 29:
            reader.show(blocked[number // 30 % 8])
            assert not await gate.wait_open(direction, 0.5)
            return
        traveller = Traveller(lane, number, 0.0, specimen(number), Manner.PLAIN, rng.uniform(0.25, 0.4))
        outcomes.append(await visit(traveller, gate, reader, direction))

    async def queue(place):
        began = asyncio.get_running_loop().time()
        for number in range(place, 240, 28):
            await come(number, began)

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(queue(place) for place in range(28)))
    took_s = asyncio.get_running_loop().time() - began
    passed = [one for one in outcomes if one.passed]
    await until(lambda: sum(isinstance(one, PassageCleared) for one in running.events) >= len(passed), 5)
    p50, p99 = (quantile(running.opened_s, share) * 1000 for share in (0.5, 0.99))
    most = max(running.opened_s) * 1000
    print(f"{len(outcomes)} in {took_s:.1f} s; gate commands: p50 {p50:.2f} ms, p99 {p99:.2f} ms, most {most:.2f} ms")
    refused = [one for one in running.events if isinstance(one, PassageDecided) and one.effect.value == "refuse"]
    assert len(passed) == len(running.opened_s) == 232
    assert 240 / took_s >= 17
    assert p99 <= 20
    assert len(refused) == 8
    assert {one.subject_token for one in refused} <= {token(document) for document in blocked}
    assert all(reason.code.value == "list_hit" for one in refused for reason in one.reasons)
    assert all(one.offline for one in running.events if isinstance(one, PassageDecided))
    # All of it is on the disk, in order, each once.
    durable = await running.vital()
    cleared = [data["subject_token"] for kind, data in durable if kind == "PassageCleared"]
    assert sorted(cleared) == sorted(token(one.document) for one in passed)
    assert not [data for kind, data in durable if kind == "PassageAnomaly"]


@pytest.mark.slow
async def test_a_list_past_its_age_follows_each_lanes_policy_and_a_hit_refuses_even_then(bridge):
    policies = dict(zip(bridge.lanes, ("refuse", "divert", "release"), strict=False))
    bridge.changes = {lane: {"rules": {"when_stale": policy}} for lane, policy in policies.items()}
    running = await bridge.start()
    blocked = specimen(77)
    parts = running.parts

    async def show(lane, document):
        """Show a document; return (effect, codes) of the decision."""
        told = len(running.events)
        gate, reader, direction = bridge.gate(lane)
        reader.show(document)
        await until(lambda: len(running.events) > told)
        decided = running.events[told]
        if decided.effect.value == "release":
            assert await gate.wait_open(direction, 2)
            await gate.walk(direction, 0.05)
            await until(lambda: parts.lanes[lane].counters.passages > 0 and not parts.lanes[lane].lane.busy)
            parts.lanes[lane].counters.passages = 0
        return decided.effect.value, {reason.code.value for reason in decided.reasons}

    wanted = {"refuse": "refuse", "divert": "divert_secondary", "release": "release"}
    for number, (lane, policy) in enumerate(policies.items()):
        assert await show(lane, specimen(100 + number)) == (
            wanted[policy],
            {"list_missing"} | ({"default"} if policy == "release" else set()),
        )
    await parts.lists.apply(bridge.snapshot([blocked]))
    for number, lane in enumerate(policies):
        assert await show(lane, specimen(200 + number)) == ("release", {"default"})
    await parts.lists.announced(bridge.confirmed(datetime.now(UTC) - timedelta(days=2)))
    for number, (lane, policy) in enumerate(policies.items()):
        effect, codes = await show(lane, specimen(300 + number))
        assert (effect, "list_stale" in codes) == (wanted[policy], True)
        assert await show(lane, blocked) == ("refuse", {"list_hit"})
    await parts.lists.announced(bridge.confirmed(datetime.now(UTC), serial=2))
    for number, lane in enumerate(policies):
        assert await show(lane, specimen(400 + number)) == ("release", {"default"})


# -- what it will meet -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("when", ["released", "walking", "through"])
async def test_a_restart_in_mid_passage_counts_the_person_once(bridge, when):
    lane = bridge.lanes[0]
    gate, reader, direction = bridge.gate(lane)
    first = await bridge.start()
    await first.parts.lists.apply(bridge.snapshot([]))
    await first.parts.lists.announced(bridge.confirmed(datetime.now(UTC)))
    reader.show(specimen(1))
    assert await gate.wait_open(direction, 3)
    walking = None
    if when != "released":
        walking = asyncio.create_task(gate.walk(direction, 0.6))
        await until(lambda: first.parts.lanes[lane].lane.state.value == "passing")
    await first.stop()
    if when == "through":
        await walking
    second = await bridge.start()
    if walking is not None:
        await walking
    wanted = "timed_out" if when == "released" else "cleared"
    await until(lambda: any(one["kind"] == wanted for one in second.parts.tail.kept))
    assert not gate.open_for(direction)  # nobody takes the release over
    await until(lambda: not second.parts.lanes[lane].lane.busy)
    durable = await second.vital()
    about = [(kind, data.get("recovered")) for kind, data in durable if kind.startswith("Passage")]
    assert about == [("PassageDecided", None), ("PassageTimedOut" if when == "released" else "PassageCleared", True)]
    # And the lane serves the next.
    outcome = await visit(Traveller(lane, 2, 0, specimen(2), Manner.PLAIN, 0.1), gate, reader, direction)
    assert outcome.passed
    cleared = 1 if when == "released" else 2
    await until(lambda: [one["kind"] for one in second.parts.tail.kept].count("cleared") == cleared)
    assert [kind for kind, _ in await second.vital() if kind == "PassageAnomaly"] == []


@pytest.mark.slow
async def test_who_passes_while_the_edge_is_down_is_not_missed(bridge):
    lane = bridge.lanes[0]
    gate, reader, direction = bridge.gate(lane)
    first = await bridge.start()
    await first.parts.lists.apply(bridge.snapshot([]))
    outcome = await visit(Traveller(lane, 1, 0, specimen(1), Manner.PLAIN, 0.05), gate, reader, direction)
    assert outcome.passed
    await until(lambda: first.parts.lanes[lane].counters.passages == 1)
    await first.stop()
    for _ in range(3):
        gate.count(direction)
    second = await bridge.start()
    await until(
        lambda: second.parts.lanes[lane].lane.memo.in_count == 4 or second.parts.lanes[lane].lane.memo.out_count == 4
    )
    async with asyncio.timeout(5):  # what is known may not be committed yet
        while not (told := [data for kind, data in await second.vital() if kind == "PassageAnomaly"]):
            await asyncio.sleep(0.05)
    (data,) = told
    assert (data["kind"], data["persons"], data["recovered"]) == ("forced", 3, True)


@pytest.mark.slow
async def test_a_jammed_gate_shows_in_why_and_heals(bridge):
    running = await bridge.start()
    lane = running.parts.config.file.lane[3]
    gate = bridge.site.gates[lane.gate]
    assert (await running.ask("why", id=lane.gate))["findings"][0]["code"] == "ok"
    gate.fault("door_jam", on=True)
    await until(lambda: running.parts.board.record(lane.gate).health.value == "fault")
    why = await running.ask("why", id=lane.gate)
    assert (why["health"], why["findings"][0]["code"], why["findings"][0]["args"]) == (
        "fault",
        "fault_bit",
        {"name": "door_jam"},
    )
    assert (await running.ask("status"))["devices"]["fault"] == 1
    gate.fault("door_jam", on=False)
    await until(lambda: running.parts.board.record(lane.gate).health.value == "ok")
    async with asyncio.timeout(5):
        while await told_health(running, lane.gate) != ["ok", "fault", "ok"]:
            await asyncio.sleep(0.02)


async def told_health(running, device):
    """Return the health values of a device that are durable, in order."""
    entries = await running.parts.buffer.read(Stream.STATE, 0, entries=1000, bytes_=1 << 30)
    told = [packed_event(entry.body)[1] for entry in entries if b"DeviceHealthChanged" in entry.body]
    return [one["health"] for one in told if one["device"] == device]


@pytest.mark.slow
async def test_a_gate_that_falls_silent_and_a_reader_that_hangs_up_come_back(bridge):
    running = await bridge.start()
    lane = running.parts.config.file.lane[0]
    board, reader = running.parts.board, bridge.site.readers[lane.reader]
    for server in bridge.site.servers:
        for fault in server.faults.values():
            fault.dead = True
    await until(
        lambda: all(board.record(one.gate).health.value == "offline" for one in running.parts.config.file.lane), 20
    )
    reader.show(specimen(1))
    if not reader.url.startswith("serial"):
        for writer in list(reader._writers):
            writer.close()
        await until(lambda: board.record(lane.reader).health.value == "offline")
    for server in bridge.site.servers:
        for fault in server.faults.values():
            fault.dead = False
    await until(lambda: board.health_counts()["ok"] == 56, 40)


@pytest.mark.slow
async def test_the_control_socket_opens_and_locks_a_gate(bridge):
    running = await bridge.start()
    lane = bridge.lanes[0]
    gate, _, direction = bridge.gate(lane)
    done = await running.ask("gate", lane=lane, action="open", reason="luggage", actor="anna")
    assert done["result"] == "done"
    assert await gate.wait_open(direction, 1)
    await gate.walk(direction, 0.05)
    await until(lambda: not running.parts.lanes[lane].lane.busy)
    assert (await running.ask("gate", lane=lane, action="lock", reason="drill", actor="anna"))["result"] == "done"
    await until(lambda: gate.mode.value == "locked")
    kinds = [kind for kind, _ in await running.vital()]
    assert kinds[-3:] == ["GateOperated", "PassageCleared", "LaneModeChanged"]


# -- starting and stopping ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_second_daemon_on_the_same_buffer_or_socket_is_refused_and_the_first_goes_on(bridge):
    running = await bridge.start()
    with pytest.raises(BufferUnavailable, match="another process has this buffer open"):
        await bridge.start()
    table = tomllib.loads(bridge.text())
    table["buffer"]["path"] = str(bridge.folder / "other.db")
    path = bridge.folder / "other.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    other = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "edge.cli.main", "edge", "run", "-c", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert other.returncode == 1
    assert "another daemon listens there" in other.stderr
    assert "Traceback" not in other.stderr + other.stdout
    assert (await running.ask("status"))["edge"] == BRIDGE.edge


@pytest.mark.slow
async def test_a_token_key_that_is_too_short_is_told_at_the_start_and_not_at_the_gate(bridge):
    """Each credential then ended its lane for half a minute."""
    (bridge.folder / "token.key").write_text("short", encoding="utf-8")
    with pytest.raises(GatefleetError, match="at least 16 bytes"):
        await bridge.start()


@pytest.mark.slow
async def test_systemd_hears_when_it_is_ready_and_sigterm_ends_it_also_while_somebody_watches(bridge):
    path = bridge.folder / "bridge.toml"
    path.write_text(bridge.text(), encoding="utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(bridge.folder / "notify"))
        manager.setblocking(False)
        loop = asyncio.get_running_loop()
        environ = {**os.environ, "NOTIFY_SOCKET": str(bridge.folder / "notify"), "WATCHDOG_USEC": "3000000"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge.cli.main", "edge", "run", "-c", str(path)),
            env=environ,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        heard = b""
        async with asyncio.timeout(20):
            while b"READY=1" not in heard or b"WATCHDOG=1" not in heard:
                heard += await loop.sock_recv(manager, 4096) + b"\n"
        reader, writer = await asyncio.open_unix_connection(bridge.folder / BRIDGE.edge / "control.sock")
        writer.write(json.dumps({"op": "watch", "id": BRIDGE.file.lane[0].gate}).encode() + b"\n")
        assert json.loads(await reader.readline())["ok"]
        process.send_signal(signal.SIGTERM)
        _, told = await asyncio.wait_for(process.communicate(), 10)
        writer.close()
        while b"STOPPING=1" not in heard:
            heard += await asyncio.wait_for(loop.sock_recv(manager, 4096), 2) + b"\n"
        assert process.returncode == 0
        assert b"Traceback" not in told


async def test_a_file_that_is_wrong_starts_nothing(nook):
    (nook / "x.toml").write_text("schema = 1", encoding="utf-8")
    with pytest.raises(ConfigInvalid):
        await asyncio.to_thread(daemon.run, nook / "x.toml")
    assert list(nook.iterdir()) == [nook / "x.toml"]
