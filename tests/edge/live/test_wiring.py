"""The live view inside the daemon: its section, its cameras, and the stream as part of a camera's health."""

import asyncio
import contextlib

import pytest
import tomli_w
from pydantic import ValidationError

from core.errors import LinkLost, Unsupported
from core.messages.envelope import packed_event
from core.messages.event import Stream
from drivers.digest import Login
from drivers.onvif_camera import CameraMap, CameraSettings, CameraWords
from drivers.onvif_camera.facts import StreamJudged
from drivers.profile import checked_map
from edge import daemon
from edge.buffer import open_buffer
from edge.conditions import Conditions
from edge.config import parse_config
from edge.links.onvif import OnvifCamera, camera_http
from edge.live.desk import LiveDesk
from edge.live.stream_check import check_stream
from edge.profiles import load_profile
from edge.sections import LiveSection
from simulators.onvif_camera import Camera, Habits, serve_camera
from simulators.rtsp import Manners, RtspCamera, serve_rtsp

from .conftest import QUICK, until

WORDS = checked_map(load_profile("onvif/camera"), CameraMap)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"listen": "127.0.0.1"}, "listen"),
        ({"listen": "127.0.0.1:70000"}, "port 70000"),
        ({"listen": "0.0.0.0:8443"}, "in the clear"),
        ({"listen": "0.0.0.0:8443", "public_url": "http://gw1"}, "in the clear"),
        ({"cert_file": "/a.pem"}, "belong together"),
        ({"max_viewers": 0}, "max_viewers"),
        ({"public_url": "https://gw1/#x"}, "public_url"),
        ({"port": 1}, "port"),
    ],
)
def test_a_section_that_cannot_be_is_refused(table, match):
    with pytest.raises(ValidationError, match=match):
        LiveSection.model_validate(table)


def test_sound_sections():
    assert (LiveSection().host, LiveSection().port) == ("127.0.0.1", 0)
    LiveSection(listen="0.0.0.0:8443", public_url="https://gw1")
    LiveSection(listen="0.0.0.0:8443", cert_file="/a.pem", key_file="/a.key")
    assert LiveSection(listen="[::1]:80").host == "::1"


@contextlib.asynccontextmanager
async def camera_of(url, **settings):
    """Run the client of an ONVIF camera; give it and what it tells."""
    told = []

    async def deliver(fact):
        told.append(fact)

    chosen = CameraSettings(url=url, username="operator", password="env:X", events=False, look_s=30, **settings)
    async with camera_http() as http:
        client = OnvifCamera(
            http,
            chosen,
            CameraWords(WORDS, chosen),
            login=Login("operator", "Gate&fleet<1>"),
            check=lambda url, login: check_stream(url, login, QUICK),
        )
        task = asyncio.create_task(client.run(deliver))
        try:
            await until(lambda: client.found or task.done())
            yield client, told
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def judged(told):
    return [fact for fact in told if isinstance(fact, StreamJudged)]


async def test_a_stream_that_stops_delivering_is_told_once_and_so_is_its_return():
    stream = RtspCamera(manners=Manners(silent=True))
    async with contextlib.AsyncExitStack() as exits:
        await exits.enter_async_context(serve_rtsp(stream))
        camera = await exits.enter_async_context(serve_camera(Camera(stream=stream.url)))
        _, told = await exits.enter_async_context(camera_of(camera.url, stream_check_s=0.05))
        await until(lambda: stream.asked["PLAY"] >= 2, 15)
        assert [(one.delivers, one.why) for one in judged(told)] == [(False, "device_silent")]
        stream.manners = Manners()
        await until(lambda: len(judged(told)) == 2, 15)
        assert judged(told)[1].delivers
        await until(lambda: any("stream_first_ms" in getattr(fact, "readings", {}) for fact in told))


async def test_a_stream_is_not_tried_unless_that_is_asked_for():
    stream = RtspCamera()
    async with serve_rtsp(stream), serve_camera(Camera(stream=stream.url)) as camera:
        async with camera_of(camera.url) as (client, told):
            assert client.stream() == (stream.url, Login("operator", "Gate&fleet<1>"))
            assert (await client.still()).startswith(b"\xff\xd8")
            await until(lambda: told)
        assert stream.asked.total() == 0


async def test_the_settings_stream_goes_before_the_cameras_own_and_one_that_is_away_says_so():
    async with contextlib.AsyncExitStack() as exits:
        camera = await exits.enter_async_context(serve_camera(Camera(habits=Habits(picture="none"))))
        client, _ = await exits.enter_async_context(camera_of(camera.url, stream_url="rtsp://10.0.0.9/sub"))
        assert client.stream()[0] == "rtsp://10.0.0.9/sub"
    with pytest.raises(LinkLost):
        await client.still()
    async with camera_http() as http:
        chosen = CameraSettings(url="http://127.0.0.1:9/x")
        with pytest.raises(LinkLost):
            OnvifCamera(http, chosen, CameraWords(WORDS, chosen)).stream()


def test_a_silent_stream_is_a_finding_until_it_delivers(clock):
    noted = []
    conditions = Conditions(lambda *told: noted.append(told), clock.wall)
    conditions.fact("dome-1", StreamJudged(delivers=False, why="device_silent", detail="no packets"))
    conditions.fact("dome-1", StreamJudged(delivers=True))
    assert [(device, finding and finding.code) for device, _, finding in noted] == [
        ("dome-1", "stream_silent"),
        ("dome-1", None),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("live", [True, False])
async def test_central_hears_of_each_camera_whether_it_can_be_seen(nook, live):
    (nook / "token.key").write_text("a token key of thirty-two bytes!", encoding="utf-8")
    (nook / "camera.key").write_text("Gate&fleet<1>", encoding="utf-8")
    async with serve_camera() as camera:
        table = {
            "schema": 1,
            "edge": {"site": "hengqin-port", "name": "eyes"},
            "buffer": {"path": str(nook / "buffer.db")},
            "uplink": {"url": "mqtt://127.0.0.1:9"},
            "crypto": {"token_key": f"file:{nook / 'token.key'}"},
            "control": {"socket": str(nook / "control.sock")},
            "metrics": {"port": 0},
            "device": [
                {
                    "id": "dome-1",
                    "driver": "onvif-camera",
                    "profile": "onvif/camera",
                    "link": camera.url,
                    "settings": {"username": "operator", "password": f"file:{nook / 'camera.key'}"},
                }
            ],
        } | ({"live": {}} if live else {})
        started = asyncio.get_running_loop().create_future()
        config = parse_config(tomli_w.dumps(table).encode(), "eyes.toml")
        task = asyncio.create_task(daemon.serve(config, started.set_result))
        try:
            parts = await asyncio.wait_for(started, 10)
            desk = LiveDesk(parts.live).operations()["camera_view"]
            if live:
                await asyncio.wait_for(parts.live.listening.wait(), 5)
                told = await desk({"op": "camera_view", "id": "dome-1", "actor": "cli:wei"})
                assert told["url"].startswith(f"http://127.0.0.1:{parts.live.port}/live/dome-1#local.")
                await parts.live.enter("dome-1", told["url"].partition("#")[2], "")
            else:
                with pytest.raises(Unsupported, match="no pictures"):
                    await desk({"op": "camera_view", "id": "dome-1", "actor": "cli:wei"})

            async def offered():
                entries = await parts.buffer.read(Stream.STATE, 0, entries=1000, bytes_=1 << 24)
                events = [packed_event(entry.body) for entry in entries]
                return [data["live_url"] for name, data in events if "CameraOffered" in name]

            async with asyncio.timeout(10):
                while not (urls := await offered()):
                    await asyncio.sleep(0.02)
            assert urls == [parts.live.url if live else ""]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)
    async with open_buffer(nook / "buffer.db", 1 << 24, parts.clock.stamp) as buffer:
        entries = await buffer.read(Stream.VITAL, 0, entries=1000, bytes_=1 << 24)
    ends = [data["why"] for name, data in (packed_event(entry.body) for entry in entries) if "ViewEnded" in name]
    assert ends == (["stopped"] if live else []), "who looked is told to look no more, also at the daemon's end"
