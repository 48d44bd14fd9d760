"""An ONVIF camera's client against a camera that misbehaves in the ways cameras do."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, FrameInvalid, LinkLost, NotFound, Unsupported
from drivers.digest import Login
from drivers.facts import DeviceDescribed, DeviceSignal, Measured, PlateRead
from drivers.onvif_answers import NotAuthorized
from drivers.onvif_camera import BLANK, DRIVER, FROZEN, CameraSettings
from drivers.onvif_camera.commands import GotoPreset, MoveCamera, StopCamera
from drivers.profile import read_profile
from edge.links import onvif, onvif_soap
from edge.links.onvif import MISSING, OnvifCamera, camera_http
from simulators.onvif_camera import Camera, Habits, serve_camera
from simulators.onvif_words import Emitted

PROFILE = read_profile(
    (Path(__file__).parents[3] / "firmware_profiles/onvif/camera.toml").read_text("utf-8"), "camera.toml"
)
MOTION = Emitted("tns1:VideoSource/MotionAlarm", {"Source": "1"}, {"State": "true"})
PLATE = Emitted("tns1:RuleEngine/LicensePlateRecognition/Plate", {}, {"PlateNumber": "MA1234", "Likelihood": "0.9"})


class Told:
    """What the camera's client has delivered."""

    def __init__(self):
        self.facts = []
        self._more = asyncio.Event()

    async def deliver(self, fact):
        self.facts.append(fact)
        self._more.set()

    async def until(self, true):
        async with asyncio.timeout(10):
            while not any(true(fact) for fact in self.facts):
                self._more.clear()
                await self._more.wait()
        return next(fact for fact in self.facts if true(fact))

    async def signal(self, topic, on):
        return await self.until(lambda fact: isinstance(fact, DeviceSignal) and (fact.topic, fact.on) == (topic, on))


@contextlib.asynccontextmanager
async def client(camera, *, login=None, lease_s=60, poll_s=20, **settings):
    chosen = CameraSettings(**({"url": camera.url, "ptz": True, "look_s": 0.05} | settings))
    profile = PROFILE.model_copy(update={"map": PROFILE.map | {"lease_s": lease_s, "poll_s": poll_s}})
    async with camera_http() as http:
        yield OnvifCamera(http, chosen, DRIVER.make(profile, chosen), login=login or camera.login)


@contextlib.asynccontextmanager
async def running(camera, **settings):
    told = Told()
    async with client(camera, **settings) as made:
        task = asyncio.create_task(made.run(told.deliver))
        told.task = task
        first = asyncio.create_task(told.until(lambda fact: isinstance(fact, DeviceDescribed)))
        done, _ = await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
        if first not in done:
            first.cancel()
            await task
        try:
            yield made, told
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, DeviceRefused, LinkLost, DeviceSilent, FrameInvalid):
                await task


@pytest.mark.parametrize("login", ["wsse", "digest", "none"])
@pytest.mark.parametrize("old", [False, True])
async def test_it_finds_all_parts_at_the_host_that_was_dialled(login, old):
    habits = Habits(login=login, old=old, wrong_host="192.168.168.168", clock_skew=timedelta(hours=-8))
    async with serve_camera(Camera(habits=habits)) as camera, running(camera) as (made, told):
        assert told.facts[0] == DeviceDescribed("gatefleet", "simulated dome", "1.0", "SIM-1")
        root = camera.url.removesuffix("/onvif/device_service")
        assert made.found.snapshot == f"{root}/snap.jpg?profile=main"
        assert made.found.ptz_at == f"{root}/onvif/ptz"
        assert made.found.media_at.endswith("/media" if old else "/media2")
        assert made.found.stream == f"rtsp://127.0.0.1:554/{'trt' if old else 'tr2'}/main"
        assert made.stream_with_login().startswith("rtsp://operator:Gate%26fleet%3C1%3E@127.0.0.1:554/")
        assert made.way == ("digest" if login == "digest" else "wsse")
        reading = await told.until(lambda fact: isinstance(fact, Measured) and "picture_bytes" in fact.readings)
        assert reading.readings["clock_offset_s"] == pytest.approx(-8 * 3600, abs=2)
        assert reading.readings["picture_bits_per_block"] > 20


async def test_a_digest_camera_is_asked_the_right_way_from_then_on():
    async with (
        serve_camera(Camera(habits=Habits(login="digest"))) as camera,
        running(camera, events=False) as (_, told),
    ):
        await told.until(lambda fact: isinstance(fact, Measured))
        assert camera.refused.total() == 1
        assert camera.asked["GetDeviceInformation"] == 1


async def test_a_stale_nonce_is_asked_for_anew():
    async with serve_camera(Camera(habits=Habits(login="digest"))) as camera, running(camera) as (made, told):
        await told.signal(MISSING, False)
        camera.forget_nonces()
        before = camera.pictures
        await made.command(StopCamera())
        await camera.until(lambda it: it.moves)
        assert camera.refused["Stop"] == 1
        async with asyncio.timeout(5):
            while camera.pictures <= before:
                await asyncio.sleep(0.01)


async def test_a_clock_that_was_set_meanwhile_is_asked_for_again():
    async with serve_camera() as camera, running(camera, look_s=3600) as (made, told):
        await told.until(lambda fact: isinstance(fact, Measured))
        camera.habits.clock_skew = timedelta(minutes=7)
        await made.command(StopCamera())
        assert camera.moves == ["Stop"]
        assert camera.refused["Stop"] == 1


@pytest.mark.parametrize("login", ["wsse", "digest"])
async def test_a_wrong_password_is_told_and_costs_few_tries(login):
    async with serve_camera(Camera(habits=Habits(login=login))) as camera:
        async with client(camera, login=Login("operator", "wrong")) as made:
            for _ in range(2):
                with pytest.raises(NotAuthorized) as caught:
                    await made.run(Told().deliver)
                assert not caught.value.retriable
                assert caught.value.place == camera.url
                assert "wrong" not in str(caught.value)
        assert camera.refused.total() <= 4


async def test_events_come_with_their_baseline_first():
    async with serve_camera() as camera:
        camera.emit(MOTION)
        async with running(camera) as (_, told):
            baseline = await told.signal(MOTION.topic, True)
            assert baseline.baseline
            camera.emit(Emitted(MOTION.topic, MOTION.source, {"State": "false"}))
            assert not (await told.signal(MOTION.topic, False)).baseline
            camera.emit(PLATE)
            plate = await told.until(lambda fact: isinstance(fact, PlateRead))
            assert (plate.plate, plate.confidence) == ("MA1234", 0.9)
            assert len(camera.subscriptions) == 1
            assert camera.asked["Renew"] == 0
        assert not camera.subscriptions, "a subscription that was made is given back"
        assert camera.asked["CreatePullPointSubscription"] == 1


async def test_a_subscription_that_is_named_by_a_parameter():
    habits = Habits(reference="parameter", wrong_host="10.9.9.9")
    async with serve_camera(Camera(habits=habits)) as camera:
        async with running(camera) as (_, told):
            await camera.until(lambda it: it.subscriptions)
            camera.emit(PLATE)
            await told.until(lambda fact: isinstance(fact, PlateRead))
        assert not camera.subscriptions


async def test_an_event_is_delivered_before_the_next_pull():
    held = asyncio.Event()

    async def deliver(fact):
        if isinstance(fact, PlateRead):
            await held.wait()

    async with serve_camera() as camera, client(camera) as made:
        running_ = asyncio.create_task(made.run(deliver))
        await camera.until(lambda it: it.subscriptions)
        camera.emit(PLATE)
        await camera.until(lambda it: it.asked["PullMessages"] == 1)
        await asyncio.sleep(0.1)
        assert camera.asked["PullMessages"] == 1
        held.set()
        camera.emit(PLATE)
        await camera.until(lambda it: it.asked["PullMessages"] == 2)
        running_.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running_


@pytest.mark.parametrize("lease", ["granted", "extended", "silent", "past"])
@pytest.mark.slow
async def test_leases_are_kept_whatever_the_camera_says_of_them(lease):
    camera = Camera(habits=Habits(lease=lease))
    async with serve_camera(camera), running(camera, lease_s=2, poll_s=1) as (_, told):
        await camera.until(lambda it: it.asked["PullMessages"] >= 4)
        assert camera.asked["CreatePullPointSubscription"] == 1
        assert camera.asked["Renew"] == 0 if lease == "extended" else camera.asked["Renew"] >= 1
        assert camera.asked["Renew"] <= camera.asked["PullMessages"]
        assert not told.task.done()


@pytest.mark.slow
async def test_a_camera_that_refuses_to_renew_is_subscribed_to_anew():
    camera = Camera(habits=Habits(renew="refused"))
    async with serve_camera(camera), running(camera, lease_s=2, poll_s=1) as (_, told):
        async with asyncio.timeout(15):
            await camera.until(lambda it: it.asked["CreatePullPointSubscription"] == 2)
        camera.emit(PLATE)
        await told.until(lambda fact: isinstance(fact, PlateRead))
        assert len(camera.subscriptions) == 1


async def test_a_camera_that_started_anew_is_subscribed_to_anew():
    async with serve_camera() as camera, running(camera) as (_, told):
        await camera.until(lambda it: it.subscriptions)
        camera.emit(PLATE)
        await told.until(lambda fact: isinstance(fact, PlateRead))
        camera.emit(PLATE)
        camera.forget_subscriptions()
        async with asyncio.timeout(5):
            await camera.until(lambda it: it.asked["CreatePullPointSubscription"] == 2)
        camera.emit(MOTION)
        await told.signal(MOTION.topic, True)


async def test_a_camera_that_does_not_wait_is_asked_once_a_second(monkeypatch):
    monkeypatch.setattr(onvif, "_PACE_S", 0.2)
    async with serve_camera(Camera(habits=Habits(waits=False))) as camera, running(camera):
        await camera.until(lambda it: it.asked["PullMessages"] == 1)
        began = asyncio.get_running_loop().time()
        await camera.until(lambda it: it.asked["PullMessages"] == 4)
        assert asyncio.get_running_loop().time() - began >= 0.5


async def test_pictures_are_judged():
    async with serve_camera(Camera(habits=Habits(picture="frozen"))) as camera, running(camera) as (made, told):
        assert (await told.signal(FROZEN, False)).baseline
        assert not (await told.signal(FROZEN, True)).baseline
        camera.habits.picture = "black"
        await told.signal(BLANK, True)
        camera.habits.picture = "garbled"
        await told.signal(MISSING, True)
        assert "JPEG" in made.picture_error
        camera.habits.picture = "moving"
        told.facts.clear()
        await told.signal(BLANK, False)
        assert made.picture_error == ""


@pytest.mark.parametrize("way", ["digest", "basic", "none"])
async def test_a_picture_is_fetched_with_the_login_that_it_takes(way):
    async with serve_camera(Camera(habits=Habits(picture_login=way))) as camera, running(camera) as (_, told):
        await told.signal(MISSING, False)
        assert camera.pictures >= 1


async def test_a_camera_without_a_picture_says_so_and_lives_on():
    async with serve_camera(Camera(habits=Habits(picture="none"))) as camera, running(camera) as (made, told):
        assert (await told.signal(MISSING, True)).baseline
        await told.until(lambda fact: isinstance(fact, Measured))
        assert "HTTP 404" in made.picture_error


async def test_a_picture_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(onvif_soap, "PICTURE_CAP", 1000)
    async with serve_camera() as camera, running(camera) as (made, told):
        await told.signal(MISSING, True)
        assert "more than 1000 bytes" in made.picture_error


async def test_only_so_many_pictures_are_on_their_way_at_once():
    async with serve_camera() as camera, client(camera) as made:
        made._looking = looking = asyncio.Semaphore(1)
        told = Told()
        async with looking:
            task = asyncio.create_task(made.run(told.deliver))
            await camera.until(lambda it: it.asked["GetSystemDateAndTime"] == 2)
            assert camera.asked["still"] == 0
        await told.signal(MISSING, False)
        assert camera.asked["still"] >= 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_dome_moves_and_always_stops():
    async with serve_camera() as camera, running(camera) as (made, _):
        await made.command(MoveCamera(pan=0.5, tilt=-0.25, duration_ms=50))
        assert camera.moves == ["ContinuousMove 0.500 -0.250", "Stop"]
        camera.moves.clear()
        moving = asyncio.create_task(made.command(MoveCamera(pan=1, duration_ms=10_000)))
        await camera.until(lambda it: it.moves)
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving
        assert camera.moves == ["ContinuousMove 1.000 0.000", "Stop"]


async def test_stop_ends_a_move_at_once():
    async with serve_camera() as camera, running(camera) as (made, _):
        moving = asyncio.create_task(made.command(MoveCamera(pan=1, duration_ms=10_000)))
        await camera.until(lambda it: it.moves)
        async with asyncio.timeout(5):
            await made.command(StopCamera())
            await moving
        assert camera.moves == ["ContinuousMove 1.000 0.000", "Stop", "Stop"]


async def test_a_dome_that_does_not_stop_is_told():
    async with serve_camera(Camera(habits=Habits(stops=False))) as camera, running(camera) as (made, _):
        with pytest.raises(DeviceRefused, match="stop failed"):
            await made.command(MoveCamera(duration_ms=50))


async def test_presets_go_by_token_or_name():
    async with serve_camera() as camera, running(camera) as (made, _):
        await made.command(GotoPreset(preset="P001"))
        await made.command(GotoPreset(preset="barrier"))
        assert camera.moves == ["GotoPresetP001", "GotoPresetP002"]
        with pytest.raises(NotFound, match="entry, barrier"):
            await made.command(GotoPreset(preset="elsewhere"))


async def test_commands_where_there_is_no_dome():
    async with serve_camera() as camera:
        async with running(camera, ptz=False) as (made, _):
            with pytest.raises(Unsupported):
                await made.command(StopCamera())
        with pytest.raises(LinkLost):
            await made.command(StopCamera())
        with pytest.raises(Unsupported):
            made.stream_with_login()


async def test_a_profile_that_there_is_not_is_named():
    async with serve_camera() as camera, client(camera, profile="third") as made:
        with pytest.raises(DeviceRefused, match="main, sub"):
            await made.run(Told().deliver)


async def test_without_an_address():
    async with serve_camera() as camera, client(camera, url="") as made:
        with pytest.raises(ConfigInvalid):
            await made.run(Told().deliver)


async def test_a_camera_that_speaks_no_onvif():
    async with serve_camera(Camera(habits=Habits(garbled=True))) as camera, client(camera) as made:
        with pytest.raises(FrameInvalid):
            await made.run(Told().deliver)


async def test_a_camera_that_is_away_or_goes_away():
    async with serve_camera() as camera, client(camera) as made:
        pass
    async with client(camera) as made:
        with pytest.raises(LinkLost):
            await made.run(Told().deliver)
    async with serve_camera() as camera:
        context = running(camera)
        _, told = await context.__aenter__()
    with pytest.raises((LinkLost, DeviceSilent)):
        await told.task
    await context.__aexit__(None, None, None)


async def test_a_camera_that_is_slow_is_silent(monkeypatch):
    monkeypatch.setattr(onvif_soap, "ANSWER_S", 0.1)
    async with serve_camera(Camera(habits=Habits(slow_s=1))) as camera, client(camera) as made:
        with pytest.raises(DeviceSilent):
            await made.run(Told().deliver)


async def test_a_bug_in_who_hears_is_not_taken_for_the_camera():
    async def deliver(fact):
        if isinstance(fact, Measured):
            raise ZeroDivisionError

    async with serve_camera() as camera, client(camera) as made:
        with pytest.raises(ExceptionGroup) as caught:
            await made.run(deliver)
        assert caught.group_contains(ZeroDivisionError)


async def test_redirects_are_not_followed_and_answers_are_bounded():
    asked = []

    async def redirect(request):
        asked.append(request.path)
        if len(asked) > 1:
            return web.Response(body=b"<" + b"x" * (2 << 20))
        raise web.HTTPFound("/elsewhere")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", redirect)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    camera = Camera(url=f"http://127.0.0.1:{runner.addresses[0][1]}/onvif/device_service")
    try:
        async with client(camera) as made:
            with pytest.raises(DeviceRefused, match="HTTP 302"):
                await made.run(Told().deliver)
            assert asked == ["/onvif/device_service"]
            with pytest.raises(FrameInvalid, match="more than 1048576 bytes"):
                await made.run(Told().deliver)
    finally:
        await runner.cleanup()
