"""The ONVIF client that others wrote (onvif-zeep-async, which Home Assistant uses) against the simulated camera."""

import asyncio
import contextlib
import datetime as dt
from pathlib import Path

import pytest

from simulators.onvif_camera import Camera, Habits, serve_camera
from simulators.onvif_words import Emitted

onvif = pytest.importorskip("onvif")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the peer, not ours
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),  # its cache of schemas stays open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # as above
]
WSDL = Path(onvif.__file__).parent / "wsdl"


@contextlib.asynccontextmanager
async def peer_of(camera, password=None):
    host, port = camera.url.split("/")[2].split(":")
    login = camera.login
    made = onvif.ONVIFCamera(
        host, int(port), login.username, password or login.password, str(WSDL), no_cache=True, adjust_time=True
    )
    try:
        await made.update_xaddrs()
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("old", [False, True])
async def test_it_reads_device_profiles_stream_picture_and_events(old):
    skew = dt.timedelta(minutes=-42)
    async with asyncio.timeout(60), serve_camera(Camera(habits=Habits(old=old, clock_skew=skew))) as camera:
        async with peer_of(camera) as peer:
            told = await (await peer.create_devicemgmt_service()).GetDeviceInformation()
            assert (told.Manufacturer, told.Model, told.SerialNumber) == ("gatefleet", "simulated dome", "SIM-1")
            media = await peer.create_media_service()
            profiles = await media.GetProfiles()
            assert [profile.token for profile in profiles] == ["main", "sub"]
            setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
            stream = await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": "main"})
            assert stream.Uri == "rtsp://127.0.0.1:554/trt/main"
            assert (await peer.get_snapshot("main")).startswith(b"\xff\xd8")
            await _events(camera, peer)
            await _ptz(camera, peer)
        assert camera.refused.total() == 0


async def _events(camera, peer):
    camera.emit(Emitted("tns1:VideoSource/MotionAlarm", {"Source": "1"}, {"State": "false"}))
    manager = await peer.create_pullpoint_manager(dt.timedelta(seconds=60), lambda: None)
    service = manager.get_service()
    first = await service.PullMessages({"Timeout": dt.timedelta(seconds=5), "MessageLimit": 10})
    assert [one.Message._value_1.PropertyOperation for one in first.NotificationMessage] == ["Initialized"]
    pulling = asyncio.create_task(service.PullMessages({"Timeout": dt.timedelta(seconds=20), "MessageLimit": 10}))
    await asyncio.sleep(0)
    camera.emit(Emitted("tns1:VideoSource/MotionAlarm", {"Source": "1"}, {"State": "true"}))
    (event,) = (await pulling).NotificationMessage
    assert event.Topic._value_1 == "tns1:VideoSource/MotionAlarm"
    (item,) = event.Message._value_1.Data.SimpleItem
    assert (item.Name, item.Value) == ("State", "true")
    await manager.shutdown()
    assert not camera.subscriptions


async def _ptz(camera, peer):
    ptz = await peer.create_ptz_service()
    assert [preset.Name for preset in await ptz.GetPresets({"ProfileToken": "main"})] == ["entry", "barrier"]
    await ptz.GotoPreset({"ProfileToken": "main", "PresetToken": "P002"})
    velocity = {"PanTilt": {"x": 0.5, "y": 0.0}}
    await ptz.ContinuousMove({"ProfileToken": "main", "Velocity": velocity})
    await ptz.Stop({"ProfileToken": "main", "PanTilt": True, "Zoom": True})
    assert [move.split()[0] for move in camera.moves] == ["GotoPresetP002", "ContinuousMove", "Stop"]


async def test_a_wrong_password_is_refused():
    async with asyncio.timeout(60), serve_camera() as camera:
        with pytest.raises(Exception, match="not Authorized"):
            await peer_of(camera, "wrong").__aenter__()
        assert camera.refused.total() >= 1
