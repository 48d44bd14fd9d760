"""The live view in a real browser: Chromium opens the page of a real daemon and sees a picture that moves.

The camera is once the simulator and once GStreamer's RTSP server, a program of others. Chromium hides its addresses
behind `.local` names as it does by default, and once it does not.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import tomli_w

from core.crypto import suite
from core.crypto.signing import SigningKey
from core.messages.envelope import ClockSource, packed_event
from core.messages.event import Stream
from core.messages.ids import ulid
from core.messages.view_grant import ViewGrant
from drivers.digest import Login
from edge import clock, daemon
from edge.config import parse_config
from simulators.onvif_camera import Camera, serve_camera
from simulators.rtsp import Manners, RtspCamera, serve_rtsp

from .chromium import chromium

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="chromium-driver is not installed"),
]
LOGIN = Login("operator", "Gate&fleet<1>")
GSTREAMER = [*Path("/usr/lib").glob("*/girepository-1.0/GstRtspServer-1.0.typelib")]
KEY = SigningKey(suite("intl").generate())
PLAYS = "return document.documentElement.dataset.way === 'webrtc' && document.getElementById('figures').textContent"
CATCH = """
const Real = RTCPeerConnection;
window.calls = [];
window.RTCPeerConnection = class extends Real { constructor(...all) { super(...all); window.calls.push(this); } };
"""
DECODED = """
const stats = [...(await calls.at(-1).getStats()).values()];
const video = stats.find((one) => one.type === 'inbound-rtp');
return [video.framesDecoded, stats.find((one) => one.id === video.codecId).mimeType];
"""
MOVED = """
const shown = document.getElementById(arguments[0]);
const canvas = document.createElement('canvas');
canvas.width = shown.videoWidth || shown.naturalWidth;
canvas.height = shown.videoHeight || shown.naturalHeight;
const drawn = canvas.getContext('2d', { willReadFrequently: true });
const look = () => { drawn.drawImage(shown, 0, 0); return drawn.getImageData(0, 0, canvas.width, canvas.height).data; };
const before = look();
await new Promise((go) => setTimeout(go, 700));
const after = look();
let changed = 0;
for (let at = 0; at < before.length; at += 4) changed += Math.abs(before[at] - after[at]) > 24;
return [canvas.width, canvas.height, changed];
"""


@pytest.fixture
def nook():
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gf-") as path:
        yield Path(path)


@contextlib.asynccontextmanager
async def gstreamer():
    """Run GStreamer's server meanwhile; give its stream."""
    program = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", Path(__file__).with_name("rtsp_server.py"), LOGIN.username, LOGIN.password, "1",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            yield f"rtsp://127.0.0.1:{int(await program.stdout.readline())}/cam"
    finally:
        program.terminate()
        await program.wait()


@contextlib.asynccontextmanager
async def site(folder, stream):
    """Run the daemon of one ONVIF camera whose stream is elsewhere."""
    for name, secret in {"token": "a token key of thirty-two bytes!", "camera": LOGIN.password}.items():
        (folder / f"{name}.key").write_text(secret, encoding="utf-8")
    async with serve_camera(Camera(login=LOGIN, stream=stream)) as camera:
        text = tomli_w.dumps(
            {
                "schema": 1,
                "edge": {"site": "hengqin-port", "name": "eyes"},
                "buffer": {"path": str(folder / "buffer.db")},
                "uplink": {"url": "mqtt://127.0.0.1:9"},
                "crypto": {"token_key": f"file:{folder / 'token.key'}", "trusted_keys": [KEY.public.text]},
                "control": {"socket": str(folder / "control.sock")},
                "metrics": {"port": 0},
                "live": {"listen": "127.0.0.1:0"},
                "device": [
                    {
                        "id": "dome-1",
                        "driver": "onvif-camera",
                        "profile": "onvif/camera",
                        "link": camera.url,
                        "settings": {"username": LOGIN.username, "password": f"file:{folder / 'camera.key'}"},
                    }
                ],
            }
        )
        started = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(daemon.serve(parse_config(text.encode(), "eyes.toml"), started.set_result))
        try:
            parts = await asyncio.wait_for(started, 10)
            async with asyncio.timeout(10):
                await parts.live.listening.wait()
                while (
                    parts.devices.sessions["dome-1"].client is None or not parts.devices.sessions["dome-1"].client.found
                ):
                    await asyncio.sleep(0.05)
            yield parts
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)


async def technicians(folder):
    """Return the address that the technician's tool gives."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.cli.main", "camera", "view", "dome-1", "--json", "--socket", str(folder / "control.sock"),
        stdout=subprocess.PIPE, env={**os.environ, "LANG": "C.UTF-8"},
    )  # fmt: skip
    out, _ = await asyncio.wait_for(program.communicate(), 30)
    assert program.returncode == 0
    return json.loads(out)["url"]


def centrals(parts):
    """Return the address that central would give."""
    now = datetime.now(UTC)
    grant = ViewGrant(
        id=ulid(int(now.timestamp() * 1000), secrets.token_bytes(10)),
        edge="hengqin-port.eyes",
        device="dome-1",
        actor="duty officer",
        issued_at=now,
        expires_at=now + timedelta(seconds=60),
        until=now + timedelta(seconds=600),
    )
    return f"{parts.live.url}/live/dome-1#{grant.text(KEY)}"


async def recorded(parts):
    entries = await parts.buffer.read(Stream.VITAL, 0, entries=1000, bytes_=1 << 24)
    events = [packed_event(entry.body) for entry in entries]
    return {name.split(".")[1]: data for name, data in events if "View" in name}


async def until(true, seconds=15.0):
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


async def sees_it_move(parts, browser, url):
    await browser.before_each_page(CATCH)
    await browser.open(url)
    await browser.until(PLAYS)
    assert "#" not in await browser.run("return location.href"), "the grant does not stay in the address"
    width, height, changed = await browser.run(MOVED, "video")
    assert width * height > changed > 200
    await browser.until(f"{DECODED.replace('return [', 'return 20 < video.framesDecoded && [')}")
    frames, codec = await browser.run(DECODED)
    assert (frames > 20, codec) == (True, "video/H264")
    assert parts.live.calls == 1
    return width, height


async def test_a_technician_sees_the_simulated_camera_move_and_a_tab_that_is_closed_gives_it_back(nook):
    async with serve_rtsp(RtspCamera(login=LOGIN)) as camera, site(nook, camera.url) as parts, chromium() as browser:
        assert await sees_it_move(parts, browser, await technicians(nook)) == (320, 240)
        await browser.open("about:blank")
        await camera.until(lambda one: one.playing == 0)
        await until(lambda: not len(parts.live.views))
        told = await recorded(parts)
        assert told["ViewOpened"]["granted_by"] == "local"
        assert told["ViewEnded"]["why"] == "left"


@pytest.mark.skipif(not GSTREAMER, reason="gir1.2-gst-rtsp-server-1.0 is not installed")
async def test_by_a_grant_of_central_it_sees_the_picture_of_gstreamers_server(nook, monkeypatch):
    monkeypatch.setattr(clock, "kernel_quality", lambda: clock.Quality(ClockSource.NTP, 0, 5))
    shown = chromium("--disable-features=WebRtcHideLocalIpsWithMdns")
    async with gstreamer() as stream, site(nook, stream) as parts, shown as browser:
        url = centrals(parts)
        assert await sees_it_move(parts, browser, url) == (640, 480)
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(4)
        share = (time.process_time() - used) / (time.monotonic() - began)
        print(f"the daemon with one viewer of 640x480 at 25/s: {share:.1%} of a core")
        assert share < 0.5
        await browser.open("about:blank")
        await browser.open(url)
        words = await browser.until(
            "return document.documentElement.dataset.way === 'refused' && document.getElementById('state').textContent"
        )
        assert words == "This address has been used. Ask for the picture again."
        assert (await recorded(parts))["ViewOpened"]["actor"] == "duty officer"


async def test_where_the_camera_sends_what_browsers_do_not_take_the_page_shows_pictures(nook):
    camera = RtspCamera(login=LOGIN, manners=Manners(codec="H265"))
    async with serve_rtsp(camera), site(nook, camera.url) as parts, chromium("--lang=zh-CN") as browser:
        await browser.open(await technicians(nook))
        await browser.until("return document.documentElement.dataset.way === 'mjpeg'")
        width, height, changed = await browser.run(MOVED, "picture")
        assert (width, height, changed > 200) == (160, 96, True)
        assert parts.live.calls == 0
        assert parts.live.refusals["codec"] == 1
        assert not [line for line in await browser.log() if "Content Security Policy" in line]
