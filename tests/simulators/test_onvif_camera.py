"""The simulated camera keeps to its protocol, so that what is tested against it means something."""

import asyncio
import hashlib

import aiohttp
import pytest

from drivers import onvif
from drivers.onvif_answers import NotAuthorized, SoapFault, expected
from drivers.onvif_topics import notified
from simulators.jpeg import black_picture, moving_picture
from simulators.onvif_camera import Camera, Habits, serve_camera
from simulators.onvif_words import Emitted, notify


async def post(camera, call, created=None, nonce=b"n", password=None):
    token = None
    if created is not None:
        login = camera.login if password is None else type(camera.login)(camera.login.username, password)
        token = onvif.UsernameToken(login, nonce, f"{created:%Y-%m-%dT%H:%M:%SZ}")
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
        http.post(camera.url, data=onvif.envelope(call, token=token)) as answer,
    ):
        return expected(await answer.read(), call.op)


async def test_a_login_holds_once_and_for_seconds():
    async with serve_camera() as camera:
        now = camera.now()
        call = onvif.get_device_information()
        await post(camera, call, now)
        for wrong in ({"created": now}, {"nonce": b"m", "created": now.replace(year=2020)}, {"created": None}):
            with pytest.raises(NotAuthorized):
                await post(camera, call, **wrong)
        with pytest.raises(NotAuthorized):
            await post(camera, call, now, b"o", "wrong")
        await post(camera, onvif.get_system_date_and_time())
        assert camera.refused["GetDeviceInformation"] == 4


async def test_what_it_does_not_have_is_a_fault():
    async with serve_camera(Camera(habits=Habits(login="none", dome=False))) as camera:
        with pytest.raises(SoapFault, match="ActionNotSupported"):
            await post(camera, onvif.stop("main"))


async def test_it_hangs_up_when_it_is_cut_off():
    async with serve_camera(Camera(habits=Habits(login="none", slow_s=30))) as camera:
        asking = asyncio.create_task(post(camera, onvif.get_device_information()))
        await asyncio.sleep(0)
    with pytest.raises(aiohttp.ClientError):
        async with asyncio.timeout(5):
            await asking


def test_what_it_pushes_is_what_we_read():
    event = Emitted("tns1:Device/Trigger/DigitalInput", {"InputToken": "a<b"}, {"LogicalState": "true"})
    (told,) = notified(notify([event], Camera().now())).messages
    assert (told.topic, told.source, told.data, told.op) == (event.topic, event.source, event.data, "Changed")


def test_pictures_are_made_the_same_each_time():
    assert moving_picture(3) == moving_picture(3) != moving_picture(4)
    # Seen with another decoder (Pillow) when it was written: 160 x 96, grey, bands that move; and black.
    assert hashlib.sha256(black_picture()).hexdigest()[:16] == "c605c3a4fd8d7357"
    assert hashlib.sha256(moving_picture(0)).hexdigest()[:16] == "bf09fdb88df0e9c8"
