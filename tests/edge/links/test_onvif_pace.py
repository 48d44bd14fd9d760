"""How often cameras are looked at: at the time that was asked for, and not all of them at once for ever."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from drivers.facts import Measured
from drivers.onvif_camera import DRIVER, CameraSettings
from drivers.profile import read_profile
from edge.links.onvif import OnvifCamera, camera_http
from simulators.onvif_camera import Camera, Habits, serve_camera

PROFILE = read_profile(
    (Path(__file__).parents[3] / "firmware_profiles/onvif/camera.toml").read_text("utf-8"), "camera.toml"
)
LOOK_S = 0.4


async def looks(camera, count):
    """Return when a camera's first looks were told."""
    told, enough = [], asyncio.Event()

    async def deliver(fact):
        if isinstance(fact, Measured):
            told.append(time.monotonic())
            if len(told) >= count:
                enough.set()

    settings = CameraSettings(url=camera.url, look_s=LOOK_S, events=False)
    async with camera_http() as http:
        made = OnvifCamera(http, settings, DRIVER.make(PROFILE, settings), login=camera.login)
        task = asyncio.create_task(made.run(deliver))
        async with asyncio.timeout(15):
            await enough.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return told


@pytest.mark.slow
async def test_a_slow_camera_is_looked_at_no_more_seldom_than_was_asked_for():
    async with serve_camera(Camera(habits=Habits(slow_s=0.15))) as camera:
        told = await looks(camera, 7)
    assert (told[6] - told[1]) / 5 == pytest.approx(LOOK_S, abs=0.08)


@pytest.mark.slow
async def test_cameras_that_were_found_at_once_are_not_looked_at_all_at_once_for_ever():
    async with contextlib.AsyncExitStack() as exits:
        cameras = [await exits.enter_async_context(serve_camera()) for _ in range(12)]
        told = await asyncio.gather(*(looks(camera, 2) for camera in cameras))
    first_s, second_s = ([one[number] for one in told] for number in (0, 1))
    apart_s = [after - before for before, after in zip(first_s, second_s, strict=True)]
    assert max(apart_s) - min(apart_s) > LOOK_S / 5
    assert min(apart_s) > LOOK_S / 2 - 0.1
    assert max(apart_s) < LOOK_S + 0.3
