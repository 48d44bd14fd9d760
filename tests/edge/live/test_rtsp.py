"""Our RTSP against the simulated camera, which speaks the real protocol and misbehaves as cameras do."""

import asyncio
import contextlib
import time

import pytest

from core.errors import DeviceSilent, FrameInvalid, GatefleetError, LinkLost, Unsupported
from drivers.digest import Login
from edge.live.h26x import CODECS, START, Depacketizer, read_rtp
from edge.live.rtsp import RtspLoginRefused, Times, rtsp_stream
from edge.live.stream_check import check_stream
from simulators.rtsp import Manners, RtspCamera, pictures, serve_rtsp

from .conftest import QUICK


@contextlib.asynccontextmanager
async def playing(manners):
    async with (
        serve_rtsp(RtspCamera(manners=manners)) as camera,
        rtsp_stream(camera.url, camera.login, QUICK) as stream,
    ):
        yield camera, stream


async def some(stream, many):
    reader = Depacketizer(CODECS[stream.video.codec], stream.video.parameters)
    found = []
    while len(found) < many:
        found += reader.receive(read_rtp(await stream.packet()))
    return found


@pytest.mark.parametrize("auth", ["digest", "basic", "none"])
async def test_the_bytes_that_arrive_are_those_that_were_coded(auth):
    async with serve_rtsp(RtspCamera(manners=Manners(auth=auth))) as camera:
        async with rtsp_stream(camera.url, camera.login, QUICK) as stream:
            found = await some(stream, 20)
        wanted = [b"".join(START + unit for unit in units) for units in pictures()[:20]]
        assert [unit.data for unit in found] == wanted
        assert camera.asked["TEARDOWN"] == 1
        assert camera.refused.total() == (0 if auth == "none" else 1)
        await camera.until(lambda one: one.playing == 0)


async def test_parameter_sets_that_only_the_description_has_come_before_the_key_picture():
    async with playing(Manners(parameters_aside=True)) as (_, stream):
        (unit,) = await some(stream, 1)
    kinds = [one[0] & 0x1F for one in unit.data.split(START)[1:]]
    assert kinds[:2] == [7, 8]
    assert 5 in kinds


async def test_a_login_goes_to_no_other_host_than_the_one_that_was_dialled():
    async with playing(Manners(absolute=True)) as (camera, stream):
        assert stream.video.control.startswith(camera.url.rpartition("/")[0])
        await some(stream, 1)


@pytest.mark.parametrize(
    ("manners", "error"),
    [
        (Manners(mute=True), DeviceSilent),
        (Manners(silent=True), DeviceSilent),
        (Manners(stalls_after=2), DeviceSilent),
        (Manners(udp_only=True), Unsupported),
        (Manners(garbled=True), FrameInvalid),
    ],
    ids=["mute", "silent", "stalls", "UDP only", "garbled"],
)
async def test_each_way_of_not_delivering_ends_in_its_time_with_its_own_error(manners, error):
    began = time.monotonic()
    async with serve_rtsp(RtspCamera(manners=manners)) as camera:
        with pytest.raises(error):
            async with rtsp_stream(camera.url, camera.login, Times(1, 0.4, 0.4)) as stream:
                await some(stream, 100)
        await camera.until(lambda one: one.playing == 0)
    assert time.monotonic() - began < 5


async def test_a_wrong_password_is_one_refusal_and_is_in_no_error():
    async with serve_rtsp() as camera:
        with pytest.raises(RtspLoginRefused) as raised:
            async with rtsp_stream(camera.url, Login("operator", "s3cret"), QUICK):
                pass
        assert camera.asked["DESCRIBE"] <= 3
    assert "s3cret" not in str(raised.value)


async def test_what_cannot_be_dialled_is_told():
    with pytest.raises(LinkLost):
        async with rtsp_stream("rtsp://127.0.0.1:1/x", None, QUICK):
            pass
    for url in ("http://127.0.0.1/x", "rtsp:///x", "rtsp://user:secret@127.0.0.1/x"):
        with pytest.raises(Unsupported) as raised:
            async with rtsp_stream(url, None, QUICK):
                pass
        assert "secret" not in str(raised.value)


async def test_what_a_query_says_such_as_a_login_is_in_no_error():
    async def mute(_reader, writer):
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        for port, error in ((1, LinkLost), (server.sockets[0].getsockname()[1], LinkLost), (99_999, LinkLost)):
            with pytest.raises(error) as raised:
                async with rtsp_stream(f"rtsp://127.0.0.1:{port}/x?user=u&password=s3cret", None, QUICK):
                    pass
            assert "s3cret" not in str(raised.value)


@pytest.mark.slow
async def test_a_session_is_kept_alive_before_its_time_is_over():
    async with playing(Manners(timeout_s=4)) as (camera, stream):
        ends = asyncio.get_running_loop().time() + 5
        while asyncio.get_running_loop().time() < ends:
            await stream.packet()
    assert camera.asked["GET_PARAMETER"] >= 2


@pytest.mark.parametrize("frame", [b"$\x00\xff\xff" + bytes(0xFFFF), b"$\x00\x00\x00" * 16384], ids=["long", "empty"])
async def test_a_peer_that_floods_before_it_answers_is_given_up(frame):
    async def flood(_reader, writer):
        try:
            while True:
                writer.write(frame)
                await writer.drain()
        except OSError:
            writer.close()
        over.set()

    over = asyncio.Event()
    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        with pytest.raises(FrameInvalid, match="no answer"):
            async with rtsp_stream(f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", None):
                pass
        await over.wait()


# -- the check -------------------------------------------------------------------------------------------------------


async def test_a_stream_that_delivers_is_found_to_and_its_session_is_given_back():
    async with serve_rtsp() as camera:
        judged = await check_stream(camera.url, camera.login, QUICK)
        await camera.until(lambda one: one.playing == 0)
    assert judged.delivers
    assert 0 <= judged.first_ms < 1000


@pytest.mark.parametrize(
    ("manners", "why"),
    [
        (Manners(silent=True), "device_silent"),
        (Manners(stalls_after=1), "device_silent"),
        (Manners(mute=True), "device_silent"),
        (Manners(garbled=True), "frame_invalid"),
        (Manners(udp_only=True), "unsupported"),
    ],
)
async def test_a_stream_that_does_not_deliver_is_told_with_its_reason(manners, why):
    async with serve_rtsp(RtspCamera(manners=manners)) as camera:
        judged = await check_stream(camera.url, camera.login, Times(0.5, 0.5, 0.5))
    assert (judged.delivers, judged.why) == (False, why)


async def test_a_refused_login_is_told_as_such_and_a_whole_check_has_an_end():
    async with serve_rtsp() as camera:
        assert (await check_stream(camera.url, Login("operator", "no"), QUICK)).why == "rtsp_login_refused"
        judged = await check_stream(camera.url, camera.login, Times(5, 5, 5), within_s=0.05)
    assert (judged.delivers, judged.why) == (False, "device_silent")
    assert issubclass(RtspLoginRefused, GatefleetError)
