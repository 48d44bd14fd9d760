"""Orders to devices, done by the real daemon on simulated devices on real sockets; and what ONVIF cameras tell."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
import tomli_w

from core.crypto import suite
from core.errors import BufferUnavailable
from core.identity.tokens import TokenKind, subject_token
from core.messages.commands import CommandDevice, Order
from core.messages.event import Stream
from core.messages.ids import ulid
from core.messages.signed import Signed
from core.messages.vehicle_events import VehicleDecided
from drivers.snmp import oids
from edge.cli.main import main
from edge.execution import Who
from simulators.jt808 import Terminal
from simulators.onvif_camera import serve_camera
from simulators.onvif_words import Emitted
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_mibs import SwitchState, switch_mib

from .conftest import TOKEN_KEY, until
from .road import road_in, token
from .test_all_devices import device, running, stored, until_stored, unused_port

EDGE = "hengqin-port.all"
POE = tuple(int(arc) for arc in f"{oids.POE_ADMIN}.1.1".split("."))
PLATE = "粤C12345"


def site(folder, signer, devices):
    secrets = {
        "token": TOKEN_KEY,
        "auth": "0123456789abcdef",
        "camera": "Gate&fleet<1>",
        "community": "public",
        "writing": "private",
    }
    for name, secret in secrets.items():
        (folder / f"{name}.key").write_text(secret, encoding="utf-8")
    return tomli_w.dumps(
        {
            "schema": 1,
            "edge": {"site": "hengqin-port", "name": "all"},
            "buffer": {"path": str(folder / "buffer.db")},
            "uplink": {"url": "mqtt://127.0.0.1:9"},
            "crypto": {
                "suite": "intl",
                "token_key": f"file:{folder / 'token.key'}",
                "trusted_keys": [signer.public.text],
            },
            "control": {"socket": str(folder / "control.sock")},
            "metrics": {"host": ""},
            "device": devices,
        }
    )


def camera_settings(folder, **more):
    return {"username": "operator", "password": f"file:{folder / 'camera.key'}", "look_s": 0.5} | more


@pytest.fixture
async def yard(nook, signer):
    """A dome, a switch and a port for terminals, and the daemon that owns them."""
    async with contextlib.AsyncExitStack() as exits:
        enter = exits.enter_async_context
        camera = await enter(serve_camera())
        agent = Agent(switch_mib(SwitchState(), ports=2, poe=1))
        switch_url = await enter(serve_snmp(agent))
        port = unused_port()
        devices = [
            device("DOME", "onvif-camera", "onvif/camera", camera.url, camera_settings(nook, ptz=True, look_s=60)),
            device(
                "SW", "snmp", "generic/snmp-switch", switch_url,
                {"version": "2c", "community": f"file:{nook / 'community.key'}", "write_community": f"file:{nook / 'writing.key'}", "ports": ["1.1"]},
            ),
            device(
                "LOC", "jt808", "reference/jt808", f"tcp-server://127.0.0.1:{port}",
                {"terminals": ["138*"], "auth_key": f"file:{nook / 'auth.key'}"},
            ),
        ]  # fmt: skip
        parts = await enter(running(site(nook, signer, devices)))
        parts.clock.measured(datetime.now(UTC), 2)  # as an acknowledgement of central would
        made = Yard(parts, camera, agent, Terminal("13800000001", 2019, seed=1), signer)
        await until(lambda: parts.devices.sessions["LOC"].port)
        assert await made.terminal.connect("127.0.0.1", port)
        await until(lambda: parts.board.health_counts()["ok"] == 3, 15)
        yield made


class Yard:
    def __init__(self, parts, camera, agent, terminal, signer):
        self.parts, self.camera, self.agent, self.terminal, self.signer = parts, camera, agent, terminal, signer
        self._number = 0

    def order(self, target, name, terminal="", **arguments):
        """Send an order as central does; return its id."""
        self._number += 1
        now = datetime.now(UTC)
        order = Order(
            id=ulid(self._number, b"0123456789"),
            edge=EDGE,
            target=target,
            command=CommandDevice(name=name, terminal=terminal, arguments=arguments),
            issued_at=now,
            expires_at=now + timedelta(seconds=30),
            actor="duty officer",
            reason="a look",
        )
        self.parts.orders.heard(Signed.make("command", order.model_dump_json(), self.signer).model_dump_json().encode())
        return order.id

    async def ended(self, order):
        """Return how an order ended: (state, detail)."""

        def last(found):
            return [
                one for one in found if one["command"] == order and one["state"] in {"done", "failed", "refused", "expired"}
            ]  # fmt: skip

        found = await until_stored(self.parts, Stream.VITAL, "CommandProgressed", last)
        return last(found)[0]["state"], last(found)[0]["detail"]

    async def commanded(self):
        return await stored(self.parts, Stream.VITAL, "DeviceCommanded")


async def test_a_dome_is_turned_stopped_and_sent_to_its_presets(yard):
    assert await yard.ended(yard.order("DOME", "MoveCamera", pan=0.5, tilt=-0.25, duration_ms=100)) == ("done", "")
    assert yard.camera.moves == ["ContinuousMove 0.500 -0.250", "Stop"]
    state, detail = await yard.ended(yard.order("DOME", "GotoPreset", preset="nowhere"))
    assert (state, "nowhere" in detail) == ("refused", True)
    assert await yard.ended(yard.order("DOME", "GotoPreset", preset="barrier")) == ("done", "")
    recorded = await yard.commanded()
    assert [(one["device"], one["command"]) for one in recorded] == [
        ("DOME", "MoveCamera"), ("DOME", "GotoPreset"), ("DOME", "GotoPreset"),
    ]  # fmt: skip
    assert recorded[0]["arguments"] == {"pan": 0.5, "tilt": -0.25, "duration_ms": 100}
    assert (recorded[0]["actor"], recorded[0]["reason"]) == ("duty officer", "a look")


async def test_the_stop_of_a_dome_waits_for_no_move_before_it(yard):
    moving = yard.order("DOME", "MoveCamera", pan=1, duration_ms=10_000)
    await until(lambda: yard.camera.moves)
    waiting = yard.order("DOME", "GotoPreset", preset="entry")
    async with asyncio.timeout(4):
        assert await yard.ended(yard.order("DOME", "StopCamera")) == ("done", "")
        assert await yard.ended(moving) == ("done", "")
        assert await yard.ended(waiting) == ("done", "")


async def test_a_ports_power_is_taken_away_and_given_back(yard):
    resetting = yard.order("SW", "ResetPoePort", port="1.1", off_ms=500)
    await until(lambda: yard.agent.mib.written[POE] == 2)
    assert await yard.ended(resetting) == ("done", "")
    assert yard.agent.mib.written[POE] == 1
    state, detail = await yard.ended(yard.order("SW", "ResetPoePort", port="1.7"))
    assert (state in {"refused", "failed"}, bool(detail)) == (True, True)


async def test_a_terminal_is_told_asked_and_set_by_orders(yard):
    number = "13800000001"
    for name, arguments in (
        ("ShowText", {"text": "绕行"}),
        ("ControlTerminal", {"word": 4}),
        ("SetParameters", {"values": {"0001": 60}}),
        ("QueryParameters", {}),
        ("UpgradeTerminal", {"maker": "GFSIM", "version": "2", "data": "AAEC" * 2000}),
    ):
        assert await yard.ended(yard.order("LOC", name, number, **arguments)) == ("done", "")
    assert (yard.terminal.texts, yard.terminal.controls) == (["绕行"], [4])
    assert yard.terminal.parameters[1] == (60).to_bytes(4, "big")
    assert yard.terminal.software.installed == [bytes((0, 1, 2)) * 2000]
    recorded = await yard.commanded()
    assert {one["terminal"] for one in recorded} == {number}
    assert recorded[-1]["arguments"]["data"] == "(8002 characters)"


@pytest.mark.parametrize(
    ("target", "name", "terminal", "arguments", "words"),
    [
        ("DOME", "OpenGate", "", {"direction": "in"}, "GotoPreset, MoveCamera, StopCamera"),
        ("DOME", "MoveCamera", "", {"pan": 7, "speed": 1}, "pan: "),
        ("DOME", "MoveCamera", "", {"pan": 7, "speed": 1}, "speed: "),
        ("DOME", "MoveCamera", "138", {}, "no terminals"),
        ("LOC", "ShowText", "", {"text": "x"}, "name one"),
        ("LOC", "ShowText", "13899999999", {"text": "x"}, "not connected"),
        ("LOC", "UpgradeTerminal", "13800000001", {"maker": "x", "version": "1", "data": "?"}, "data: "),
        ("NOBODY", "MoveCamera", "", {}, "no device"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_mistake_and_not_recorded_as_done(
    yard, target, name, terminal, arguments, words
):
    state, detail = await yard.ended(yard.order(target, name, terminal, **arguments))
    assert state == "refused"
    assert words in detail
    assert await yard.commanded() == []
    assert yard.camera.moves == []


async def test_a_technician_has_it_done_with_the_uplink_down(yard, capsys):
    socket = str(yard.parts.config.file.control.socket)

    def gatefleet(*arguments):
        return main(["device", "command", *arguments, "--socket", socket, "--json"])

    done = await asyncio.to_thread(
        gatefleet, "LOC", "SetParameters", "values.0001=90", "--terminal", "13800000001", "--reason", "drill"
    )
    assert done == 0
    assert '"result": "done"' in capsys.readouterr().out
    assert yard.terminal.parameters[1] == (90).to_bytes(4, "big")
    assert await asyncio.to_thread(gatefleet, "SW", "ResetPoePort", "port=1.1", "off_ms=500", "--reason", "drill") == 0
    assert await asyncio.to_thread(gatefleet, "DOME", "MoveCamera", "pan=9", "--reason", "drill") == 1
    assert "pan: " in capsys.readouterr().out
    assert await asyncio.to_thread(gatefleet, "DOME", "MoveCamera") == 2  # without a reason
    recorded = await yard.commanded()
    assert [(one["device"], one["order"]) for one in recorded] == [("LOC", ""), ("SW", "")]
    assert all(one["actor"].startswith("local:cli:") and one["reason"] == "drill" for one in recorded)
    assert await asyncio.to_thread(gatefleet, "DOME", "--list") == 0
    told = capsys.readouterr().out
    assert "MoveCamera" in told
    assert "number -1.0..1.0" in told


async def test_the_people_that_an_onvif_camera_counts_are_counted(yard):
    await until(lambda: yard.camera.subscriptions, 10)
    for count in ("41", "44"):
        topic = "tns1:RuleEngine/CountAggregation/Counter"
        yard.camera.emit(Emitted(topic, {"Rule": "door"}, {"Count": count}))
    await until(lambda: b'"entered":3' in (yard.parts.buffer.memo("counter/DOME") or b""), 10)


async def test_the_plates_that_an_onvif_camera_of_no_lane_reads_are_the_roads(yard):
    await until(lambda: yard.camera.subscriptions, 10)
    data = {"LicensePlate": PLATE, "Likelihood": "0.9"}
    yard.camera.emit(Emitted("tns1:RuleEngine/LicensePlateRecognition/Plate", {"Rule": "road"}, data))
    (seen,) = await until_stored(yard.parts, Stream.TELEMETRY, "RoadPlateSeen")
    plate = subject_token(TokenKind.PLATE, PLATE, TOKEN_KEY.encode(), suite("intl").hmac)
    assert (seen["device"], seen["plate_token"]) == ("DOME", plate)
    assert PLATE not in str(seen)


async def test_the_plates_that_an_onvif_camera_reads_at_a_lane_are_the_lanes(nook, signer, monkeypatch):
    monkeypatch.setenv("GATEFLEET_TEST_CAM", "secret")
    (nook / "camera.key").write_text("Gate&fleet<1>", encoding="utf-8")
    async with road_in(nook, signer) as road, serve_camera() as camera:
        front = device("V1-F", "onvif-camera", "onvif/camera", camera.url, camera_settings(nook))
        road.changes["device"] = [front if one["id"] == "V1-F" else one for one in road.table()["device"]]
        running_ = await road.start()
        await until(lambda: camera.subscriptions, 10)
        await road.barriers["V1"].arrive()
        data = {"LicensePlate": PLATE, "Likelihood": "0.95"}
        for _ in range(3):
            camera.emit(Emitted("tns1:RuleEngine/LicensePlateRecognition/Plate", {"Rule": "in"}, data))
        await until(lambda: any(isinstance(one, VehicleDecided) for one in running_.events), 10)
        (decided,) = (one for one in running_.events if isinstance(one, VehicleDecided))
        assert (decided.lane, decided.device, decided.plate_token) == ("V1", "V1-F", token(PLATE))
        assert await road.barriers["V1"].wait_arm("open", 5)


async def test_what_cannot_be_committed_of_a_device_that_waits_for_no_answer_is_counted(yard):
    await until(lambda: yard.camera.subscriptions, 10)

    counters, append = yard.parts.board.record("DOME").counters, yard.parts.buffer.append

    async def full(packed, *more):
        if any(b"RoadPlateSeen" in one.body or b"DeviceCommanded" in one.body for one in packed):
            raise BufferUnavailable("no space left")
        return await append(packed, *more)

    yard.parts.buffer.append = full
    try:
        data = {"LicensePlate": PLATE, "Likelihood": "0.9"}
        yard.camera.emit(Emitted("tns1:RuleEngine/LicensePlateRecognition/Plate", {"Rule": "road"}, data))
        await until(lambda: counters["not_committed"] == 1, 10)
        state = await refused_for_want_of_a_record(yard)
        assert "no space left" in state
        assert yard.camera.moves == []
    finally:
        yard.parts.buffer.append = append


async def refused_for_want_of_a_record(yard):
    with pytest.raises(BufferUnavailable) as caught:
        await yard.parts.execution.device("DOME", CommandDevice(name="StopCamera"), Who("a", "b"))
    return str(caught.value)
