"""Each promised metric of the devices, scraped from a real daemon and read by Prometheus' own parser."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from drivers.digest import Login
from edge.terminals import Bounds
from simulators.hik_anpr import PlateCamera
from simulators.hik_counting import PeopleCounter
from simulators.jt808 import Terminal
from simulators.onvif_camera import serve_camera
from simulators.pushing import pushing

from .conftest import until
from .test_all_devices import PUSHES, device, running, site, unused_port

pytestmark = pytest.mark.slow


async def scraped(parts):
    """Return the samples of one scrape: (name, labels) -> value."""
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.metrics_port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    body = raw.partition(b"\r\n\r\n")[2].decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def at_last(parts, *wanted):
    """Scrape until the samples are as wanted, and return the last scrape."""
    found = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not all(found.get(key) == value for key, value in wanted):
                found = await scraped(parts)
                await asyncio.sleep(0.05)
    assert {key: found.get(key) for key, _ in wanted} == dict(wanted)
    return found


async def test_terminals_pushes_cameras_and_counts_are_scraped(nook):
    port, pushed_to = unused_port(), unused_port()
    listen = f"127.0.0.1:{pushed_to}"
    access = {"users": {"camera": f"file:{nook / 'push.key'}"}}
    async with contextlib.AsyncExitStack() as exits:
        camera = await exits.enter_async_context(serve_camera())
        login = {"username": "operator", "password": f"file:{nook / 'camera.key'}", "look_s": 0.2}
        devices = [
            device(
                "LOC", "jt808", "reference/jt808", f"tcp-server://127.0.0.1:{port}",
                {"terminals": ["138*"], "auth_key": f"file:{nook / 'auth.key'}"},
            ),
            device("CNT", "hik-counting", "hikvision/isapi-counting", f"http-server://{listen}/count", None, access),
            device("ANPR", "hik-anpr", "hikvision/isapi-anpr", f"http-server://{listen}/plate", None, access),
            device("CAM", "onvif-camera", "onvif/camera", camera.url, login),
        ]  # fmt: skip
        parts = await exits.enter_async_context(running(site(nook, devices)))

        terminal = Terminal("13800000001", 2019, seed=1)
        assert await terminal.connect("127.0.0.1", port)
        assert await terminal.position_confirmed() == 0
        parts.devices.sessions["LOC"]._bounds = Bounds(connections=1)
        stranger = Terminal("99900000001", 2019, seed=2)
        with contextlib.suppress(ConnectionError, OSError):
            await stranger.connect("127.0.0.1", port)
        await at_last(
            parts,
            (("gatefleet_terminals_online", "LOC"), 1),
            (("gatefleet_terminal_accepted_total", "LOC"), 1),
            (("gatefleet_terminal_refused_total", "LOC"), 1),
            (("gatefleet_terminal_rejected_total", "LOC"), 0),
            (("gatefleet_terminal_unconfirmed_total", "LOC"), 0),
        )
        assert parts.board.record("LOC").health.value == "ok"
        assert [one.code for one in parts.board.record("LOC").findings] == ["terminals_refused"]

        async with pushing(f"http://{listen}/plate", login=PUSHES) as pusher:
            assert await PlateCamera(pusher).vehicle("粤D67F66") == 200
        async with pushing(f"http://{listen}/plate", login=Login("camera", "wrong")) as pusher:
            assert await PlateCamera(pusher).vehicle("粤D67F66") == 401
        found = await at_last(parts, (("gatefleet_push_refused_total", listen, "login_failed"), 1))
        assert found["gatefleet_push_requests_total", listen] >= 3
        assert found["gatefleet_push_bytes_total", listen] > 500
        assert [one.code for one in parts.board.record("ANPR").findings] == ["pushes_refused"]
        assert parts.board.record("ANPR").health.value == "ok"

        camera.habits.clock_skew = timedelta(seconds=60)
        found = await at_last(parts, (("gatefleet_camera_up", "CAM"), 1))
        await until(lambda: parts.board.record("CAM").counters["measured"] > 1, 10)
        assert (await scraped(parts))["gatefleet_camera_checks_total", "CAM"] > 1
        assert abs(found.get(("gatefleet_camera_clock_offset_seconds", "CAM"), 0.0)) < 90
        await until(lambda: parts.board.record("CAM").readings.get("clock_offset_s", 0) > 50, 10)
        found = await at_last(parts, (("gatefleet_device_findings", "CAM", "clock"), 1))
        assert found["gatefleet_camera_clock_offset_seconds", "CAM"] > 50

        counter = parts.devices.counters["CNT"]
        async with pushing(f"http://{listen}/count", login=PUSHES) as pusher:
            counts = PeopleCounter(pusher)
            counts.cross(entered=5, left=3)
            assert await counts.tell_interval() == 200
        counter.told.update(entered=5, left=3)  # told when its minute and the grace are over: too long for a test
        await at_last(
            parts,
            (("gatefleet_people_total", "CNT", "entered"), 5),
            (("gatefleet_people_total", "CNT", "left"), 3),
            (("gatefleet_device_facts_total", "ANPR"), 1),
            (("gatefleet_push_repeats_total", "ANPR"), 0),
            (("gatefleet_push_later_total", "ANPR", "busy"), 0),
        )
        text = str(await scraped(parts))
        assert not any(secret in text for secret in ("粤D67F66", "13800000001", "99900000001"))
