"""Central's API -> a real broker -> the real daemon -> simulated devices, and back: commands to devices end to end.

Nobody here shares an address space with central: it is a process of its own, as in a checkpoint's network.
"""

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from core.messages.envelope import packed_event
from core.messages.event import Stream
from drivers.snmp import oids
from edge import daemon
from edge.build import Parts
from edge.config import parse_config
from simulators.jt808 import Misbehaviour, Terminal
from simulators.onvif_camera import Camera, serve_camera
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_mibs import SwitchState, switch_mib

from .test_central_process import Process

pytestmark = [pytest.mark.real, pytest.mark.slow]

NUMBER = "13800000001"
POE = tuple(int(arc) for arc in f"{oids.POE_ADMIN}.1.1".split("."))
SECRETS = {
    "edge-token": "a token key of thirty-two bytes!",
    "auth": "0123456789abcdef",
    "camera": "Gate&fleet<1>",
    "community": "public",
    "writing": "private",
}


class Fleet:
    """Central, and an edge with its devices."""

    def __init__(self, central: Process, parts: Parts, camera: Camera, agent: Agent, terminal: Terminal) -> None:
        self.central, self.parts = central, parts
        self.camera, self.agent, self.terminal = camera, agent, terminal

    async def command(self, device: str, name: str, terminal: str = "", **arguments: Any) -> dict[str, Any]:
        """Give a command by the API and return it as it ended."""
        body = {"name": name, "terminal": terminal, "arguments": arguments, "reason": "a drill", "ttl_s": 20}
        answer = await self.central.client.post(f"/v1/edges/port.all/devices/{device}:command", json=body)
        assert answer.status_code == 202, answer.text
        ended = (await self.central.client.get(f"{answer.headers['location']}?wait_s=30")).json()
        assert (ended["device"], ended["lane"], ended["reason"]) == (device, "", "a drill")
        return dict(ended)


@pytest.fixture
async def fleet(tmp_path: Path, mosquitto: Any) -> AsyncIterator[Fleet]:
    central = Process(tmp_path, f"sqlite:///{tmp_path}/central.db", f"mqtt://127.0.0.1:{mosquitto.port}")
    await central.init()
    await central.start()
    for name, secret in SECRETS.items():
        (tmp_path / f"{name}.key").write_text(secret, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with contextlib.AsyncExitStack() as exits:
        exits.push_async_callback(central.client.aclose)
        camera = await exits.enter_async_context(serve_camera())
        agent = Agent(switch_mib(SwitchState(), ports=2, poe=1))
        switch = await exits.enter_async_context(serve_snmp(agent))
        text = _site(tmp_path, mosquitto.port, central, (camera.url, switch, f"tcp-server://127.0.0.1:{port}"))
        started: asyncio.Future[Parts] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(daemon.serve(parse_config(text.encode(), "port.toml"), started.set_result))
        parts = await asyncio.wait_for(started, 20)
        terminal = Terminal(NUMBER, 2019, seed=1)
        made = Fleet(central, parts, camera, agent, terminal)
        await central.until(lambda: _ready(made, port))
        yield made
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        await central.end(15)


def _site(home: Path, broker: int, central: Process, links: tuple[str, str, str]) -> str:
    def key(name: str) -> str:
        return f"file:{home / name}.key"

    profiles = (("DOME", "onvif-camera", "onvif/camera"), ("SW", "snmp", "generic/snmp-switch"))
    rows = (*profiles, ("LOC", "jt808", "reference/jt808"))
    settings: tuple[dict[str, Any], ...] = (
        {"username": "operator", "password": key("camera"), "ptz": True, "look_s": 0.5},
        {"version": "2c", "community": key("community"), "write_community": key("writing"), "ports": ["1.1"]},
        {"terminals": ["138*"], "auth_key": key("auth")},
    )
    return tomli_w.dumps(
        {
            "schema": 1,
            "edge": {"site": "port", "name": "all"},
            "buffer": {"path": str(home / "buffer.db")},
            "uplink": {"url": f"mqtt://127.0.0.1:{broker}"},
            "crypto": {
                "suite": "intl",
                "token_key": key("edge-token"),
                "trusted_keys": [one.text for one in central.trusted._keys.values()],
            },
            "control": {"socket": str(home / "c.sock")},
            "metrics": {"host": ""},
            "device": [
                {"id": name, "driver": driver, "profile": profile, "link": link, "settings": values}
                for (name, driver, profile), link, values in zip(rows, links, settings, strict=True)
            ],
        }
    )


async def _ready(fleet: Fleet, port: int) -> bool:
    """Tell whether all devices answer, the edge is known to central and knows central's time."""
    if not fleet.terminal.code:
        with contextlib.suppress(OSError):
            await fleet.terminal.connect("127.0.0.1", port)
        return False
    known = (await fleet.central.client.get("/v1/edges/port.all")).status_code == 200
    clock = fleet.parts.clock.quality().source.value != "unsynced"
    return known and clock and fleet.parts.board.health_counts()["ok"] == 3


async def test_a_command_reaches_the_device_and_its_end_is_told(fleet: Fleet) -> None:
    software = bytes(number % 251 for number in range(200_000))
    for device, name, terminal, arguments in (
        ("DOME", "MoveCamera", "", {"pan": 0.5, "duration_ms": 100}),
        ("SW", "ResetPoePort", "", {"port": "1.1", "off_ms": 500}),
        ("LOC", "ShowText", NUMBER, {"text": "绕行"}),
        ("LOC", "ControlTerminal", NUMBER, {"word": 4}),
        ("LOC", "SetParameters", NUMBER, {"values": {"0001": 60}}),
        ("LOC", "QueryParameters", NUMBER, {}),
        (
            "LOC",
            "UpgradeTerminal",
            NUMBER,
            {"maker": "GFSIM", "version": "2", "data": base64.b64encode(software).decode()},
        ),
    ):
        ended = await fleet.command(device, name, terminal, **arguments)
        assert (ended["state"], ended["detail"]) == ("done", ""), name
    assert fleet.camera.moves == ["ContinuousMove 0.500 0.000", "Stop"]
    assert fleet.agent.mib.written[POE] == 1
    terminal = fleet.terminal
    assert (terminal.texts, terminal.controls, terminal.parameters[1]) == (["绕行"], [4], (60).to_bytes(4, "big"))
    assert terminal.software.installed == [software]
    entries = await fleet.parts.buffer.read(Stream.VITAL, 0, entries=1000, bytes_=1 << 24)
    events = [packed_event(entry.body) for entry in entries]
    assert all(data["actor"] and data["order"] for kind, data in events if "DeviceCommanded" in kind)


async def test_a_no_is_told_with_its_reason(fleet: Fleet) -> None:
    for device, name, terminal, arguments, words in (
        ("DOME", "OpenGate", "", {}, "MoveCamera"),
        ("DOME", "MoveCamera", "", {"pan": 7}, "pan: "),
        ("SW", "ResetPoePort", "", {"port": "1.2"}, "1.2"),
        ("LOC", "ShowText", "13899999999", {"text": "x"}, "not connected"),
        ("NOBODY", "ShowText", "", {}, "no device"),
    ):
        ended = await fleet.command(device, name, terminal, **arguments)
        assert ended["state"] == "refused"
        assert words in ended["detail"]
    fleet.terminal.misbehaviour = Misbehaviour(refuses=3)
    ended = await fleet.command("LOC", "ShowText", NUMBER, text="x")
    assert (ended["state"], "3: it does not support that" in ended["detail"]) == ("failed", True)
    assert fleet.camera.moves == []
