"""One daemon that owns one device of each kind, each a simulator on real sockets: what they tell is in the buffer."""

import asyncio
import contextlib
import socket

import pytest
import tomli_w

from core.messages.envelope import packed_event
from core.messages.event import Stream
from drivers.digest import Login
from edge import daemon
from edge.config import parse_config
from edge.profiles import load_profile
from simulators.hik_anpr import PlateCamera
from simulators.hik_counting import PeopleCounter
from simulators.instrument import Instrument
from simulators.jt808 import Terminal
from simulators.modbus import serve_tcp
from simulators.nmea0183 import Track, serve_tcp_receiver
from simulators.ntp import TimeServer, serve_ntp
from simulators.onvif_camera import serve_camera
from simulators.pushing import pushing
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_mibs import SwitchState, switch_mib

from .conftest import TOKEN_KEY, until

pytestmark = pytest.mark.slow
PUSHES = Login("camera", "a password of the camera")


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def device(name, driver, profile, link, settings=None, access=None):
    table = {"id": name, "driver": driver, "profile": profile, "link": link}
    return table | ({"settings": settings} if settings else {}) | ({"access": access} if access else {})


def site(folder, devices):
    secrets = {"token": TOKEN_KEY, "auth": "0123456789abcdef", "push": PUSHES.password, "camera": "Gate&fleet<1>"}
    for name, secret in (secrets | {"community": "public"}).items():
        (folder / f"{name}.key").write_text(secret, encoding="utf-8")
    return tomli_w.dumps(
        {
            "schema": 1,
            "edge": {"site": "hengqin-port", "name": "all"},
            "buffer": {"path": str(folder / "buffer.db")},
            "uplink": {"url": "mqtt://127.0.0.1:9"},
            "crypto": {"token_key": f"file:{folder / 'token.key'}"},
            "control": {"socket": str(folder / "control.sock")},
            "metrics": {"port": 0},
            "device": devices,
        }
    )


@contextlib.asynccontextmanager
async def running(text):
    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.serve(parse_config(text.encode(), "all.toml"), started.set_result))
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield started.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)


async def stored(parts, stream, kind):
    entries = await parts.buffer.read(stream, 0, entries=10_000, bytes_=1 << 28)
    events = [packed_event(entry.body) for entry in entries]
    return [data for name, data in events if name.split(".")[1] == kind]


async def until_stored(parts, stream, kind, true=bool):
    async with asyncio.timeout(15):
        while not true(found := await stored(parts, stream, kind)):
            await asyncio.sleep(0.05)
    return found


async def test_each_kind_of_device_is_owned_and_what_it_tells_is_durable(nook):
    port, pushed_to = unused_port(), unused_port()
    gauge = Instrument(load_profile("reference/water-gauge"), seed=1)
    ups = Instrument(load_profile("apc/smart-ups"), seed=1)
    access = {"users": {"camera": f"file:{nook / 'push.key'}"}}
    async with contextlib.AsyncExitStack() as exits:
        enter = exits.enter_async_context
        bus = await enter(serve_tcp({1: gauge.bank, 2: ups.bank}))
        receiver = await enter(serve_tcp_receiver(Track(seed=3)))
        camera = await enter(serve_camera())
        switch_url = await enter(serve_snmp(Agent(switch_mib(SwitchState(), ports=4, poe=2))))
        clock_url = await enter(serve_ntp(TimeServer()))
        joint = "&" if "?" in bus.url else "?"
        push = f"http-server://127.0.0.1:{pushed_to}"
        login = {"username": "operator", "password": f"file:{nook / 'camera.key'}", "look_s": 0.2}
        devices = [
            device(
                "LOC", "jt808", "reference/jt808", f"tcp-server://127.0.0.1:{port}",
                {"terminals": ["138*"], "auth_key": f"file:{nook / 'auth.key'}"},
            ),
            device("GPS", "nmea0183", "generic/nmea0183", receiver.url, {"terminal": "boat-1"}),
            device("GAUGE", "instrument", "reference/water-gauge", f"{bus.url}{joint}unit=1"),
            device("UPS", "power", "apc/smart-ups", f"{bus.url}{joint}unit=2"),
            device("CNT", "hik-counting", "hikvision/isapi-counting", f"{push}/count", None, access),
            device("ANPR", "hik-anpr", "hikvision/isapi-anpr", f"{push}/plate", None, access),
            device("CAM", "onvif-camera", "onvif/camera", camera.url, login),
            device(
                "SW", "snmp", "generic/snmp-switch", switch_url,
                {"version": "2c", "community": f"file:{nook / 'community.key'}"},
            ),
            device("NTP", "ntp", "generic/ntp", clock_url, {"interval_s": 0.1}),
        ]  # fmt: skip
        parts = await enter(running(site(nook, devices)))
        health = parts.board.health_counts

        terminal = Terminal("13800000001", 2019, seed=1)
        assert await terminal.connect("127.0.0.1", port)
        assert await terminal.position_confirmed() == 0
        (first,) = await stored(parts, Stream.TELEMETRY, "PositionReported")  # confirmed: so it is there already
        assert (first["device"], first["terminal"].lstrip("0")) == ("LOC", "13800000001")

        await receiver.wait_connected()
        await receiver.drive(4, 0.01)
        found = await until_stored(
            parts, Stream.TELEMETRY, "PositionReported", lambda found: any(one["device"] == "GPS" for one in found)
        )
        assert {one["terminal"] for one in found if one["device"] == "GPS"} == {"boat-1"}

        measured = await until_stored(
            parts,
            Stream.TELEMETRY,
            "DeviceMeasured",
            lambda found: {one["device"] for one in found} >= {"GAUGE", "UPS", "SW", "NTP", "CAM"},
        )
        assert all(one["readings"] for one in measured)

        async with pushing(f"http://127.0.0.1:{pushed_to}/count", login=PUSHES) as pusher:
            counter = PeopleCounter(pusher)
            counter.cross(entered=5, left=3)
            assert await counter.tell_interval() == 200
            assert b'"entered":' in parts.buffer.memo("counter/CNT")  # counted, and kept over a restart
        async with pushing(f"http://127.0.0.1:{pushed_to}/plate", login=PUSHES) as pusher:
            assert await PlateCamera(pusher).heartbeat() == 200
        async with pushing(f"http://127.0.0.1:{pushed_to}/plate", login=Login("camera", "wrong")) as pusher:
            assert await PlateCamera(pusher).vehicle("粤C12345") == 401

        await until(lambda: health()["ok"] == len(devices), 15)

        # And each tells when something is wrong with it, in words that a technician can be told.
        ups.switch("on_battery", on=True)
        await until(lambda: parts.board.record("UPS").health.value == "degraded", 10)
        assert parts.board.record("UPS").findings[0].code == "signal"
        assert parts.board.record("UPS").findings[0].args["topic"] == "on_battery"
        ups.switch("on_battery", on=False)
        await until(lambda: parts.board.record("UPS").health.value == "ok", 10)
        terminal.cut()
        seen = await until_stored(
            parts, Stream.STATE, "TerminalSeen", lambda found: [one["online"] for one in found] == [True, False]
        )
        assert {one["device"] for one in seen} == {"LOC"}
