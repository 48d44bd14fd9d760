"""The live view over real HTTP and real WebRTC, against the simulated camera."""

import asyncio
import contextlib
import json
import subprocess
import sys

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from prometheus_client import CollectorRegistry, generate_latest

from core.errors import DeviceRefused, DeviceSilent, LinkLost, NotFound
from edge.live.desk import LiveDesk
from edge.live.live import Live
from edge.live.metrics import LiveCollector
from edge.live.server import MAX_BODY
from edge.live.words import Why
from edge.sections import LiveSection
from simulators.live_check import live_check
from simulators.rtsp import Manners, RtspCamera, pictures, serve_rtsp

from .conftest import Eye, grant, new_id, until


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@contextlib.asynccontextmanager
async def one_camera(make_live, manners=None, stills=None, **settings):
    async with serve_rtsp(RtspCamera(manners=manners or Manners())) as camera:
        eye = Eye(camera.url, camera.login, stills)
        async with make_live({"cam-1": eye}, **settings) as house:
            yield house, camera


@contextlib.asynccontextmanager
async def browser():
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    try:
        yield connection
    finally:
        await connection.close()


async def ask(http, url, **body):
    async with http.post(url, json=body) as answer:
        return answer.status, json.loads(await answer.read() or b"null"), answer.headers


# -- by WebRTC -------------------------------------------------------------------------------------------------------


async def test_a_picture_moves_and_leaving_gives_everything_back(make_live, signer):
    async with one_camera(make_live) as (house, camera):
        looked = await live_check(f"{house.url}/cam-1#{grant(signer)}")
        assert (looked.moving, looked.width, looked.height) == (True, 320, 240)
        await camera.until(lambda one: one.playing == 0)
        await until(lambda: not house.live.calls and not len(house.live.views))
        await until(lambda: "ViewEnded" in house.shelf.kinds())
        ended = dict(house.shelf.rows)["gatefleet.ViewEnded.v1"]
        assert (ended["why"], ended["by_webrtc_s"] > 0) == ("left", True)
        assert house.shelf.kinds()[:2] == ["CameraOffered", "ViewOpened"]


async def test_nothing_is_coded_again_the_units_that_arrive_are_those_the_camera_coded(
    make_live, signer, http, monkeypatch
):
    """Taken from the receiver's own depacketizer, behind SRTP: byte for byte the coder's units."""
    from aiortc.codecs import h264

    arrived = []
    real = h264.H264Decoder.decode
    monkeypatch.setattr(h264.H264Decoder, "decode", lambda self, frame: arrived.append(frame.data) or real(self, frame))
    async with one_camera(make_live) as (house, _), browser() as connection:
        tracks = asyncio.Queue()
        connection.on("track", tracks.put_nowait)
        _, told, _ = await ask(
            http, f"{house.url}/cam-1/offer", grant=grant(signer), sdp=connection.localDescription.sdp
        )
        await connection.setRemoteDescription(RTCSessionDescription(told["sdp"], "answer"))
        track = await tracks.get()
        for _ in range(20):
            await track.recv()
    ring = [set(units) for units in pictures()]
    coded = [{unit for unit in data.split(b"\x00\x00\x00\x01") if unit} for data in arrived]
    begins = next(place for place in range(len(ring)) if ring[place] == coded[0])
    assert len(coded) >= 20
    assert coded == [ring[(begins + number) % len(ring)] for number in range(len(coded))]


async def test_two_browsers_share_one_stream_and_one_that_goes_stops_nothing(make_live, signer, http):
    async with one_camera(make_live) as (house, camera):
        first = asyncio.create_task(live_check(f"{house.url}/cam-1#{grant(signer)}", frames=60))
        await until(lambda: house.live.calls == 1)
        second = await live_check(f"{house.url}/cam-1#{grant(signer)}", frames=5)
        assert second.moving
        assert (await first).moving
        assert camera.most == 1


async def test_the_offer_names_hosts_only_and_no_server_is_asked(make_live, signer, http):
    async with one_camera(make_live) as (house, _), browser() as connection:
        sdp = connection.localDescription.sdp + "a=candidate:1 1 udp 1 secret-name.local 9 typ host\r\n"
        status, told, _ = await ask(http, f"{house.url}/cam-1/offer", grant=grant(signer), sdp=sdp)
        assert status == 200
        candidates = [line for line in told["sdp"].splitlines() if "a=candidate" in line]
        assert candidates
        assert all(line.endswith("typ host") for line in candidates)
        assert "H264" in told["sdp"]
        assert "VP8" not in told["sdp"]


# -- by pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "why"), [("H265", "codec"), ("JPEG", "codec")])
async def test_a_codec_that_browsers_do_not_take_is_told_and_pictures_come_instead(make_live, signer, http, codec, why):
    async with one_camera(make_live, Manners(codec=codec), stills=True) as (house, _), browser() as connection:
        offer = {"grant": grant(signer), "sdp": connection.localDescription.sdp}
        status, told, headers = await ask(http, f"{house.url}/cam-1/offer", **offer)
        assert (status, told["why"]) == (409, why)
        assert headers["Content-Type"] == "application/problem+json"
        async with http.get(f"{house.url}/cam-1/snapshot.jpg") as answer:
            assert (answer.status, answer.content_type) == (200, "image/jpeg")
            assert (await answer.read()).startswith(b"\xff\xd8")


async def test_mjpeg_goes_on_until_the_view_ends_and_a_bearer_is_enough(make_live, signer, http):
    async with one_camera(make_live, stills=True) as (house, _):
        bearer = {"Authorization": f"Bearer {grant(signer)}"}
        async with http.get(f"{house.url}/cam-1/mjpeg", headers=bearer) as answer:
            assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace; boundary=")
            got = b""
            while got.count(b"--gatefleet-picture\r\n") < 3:
                got += await answer.content.readany()
            house.live.views.end_all("over")
            async with asyncio.timeout(3):
                got += await answer.content.read()
        first = got.split(b"\r\n\r\n", 1)[1]
        assert first.startswith(b"\xff\xd8")
        await until(lambda: "ViewEnded" in house.shelf.kinds())


async def test_key_pictures_of_the_stream_where_the_camera_makes_no_stills(make_live, signer, http):
    async with one_camera(make_live) as (house, camera):
        async with http.get(
            f"{house.url}/cam-1/snapshot.jpg", headers={"Authorization": f"Bearer {grant(signer)}"}
        ) as one:
            assert (one.status, (await one.read())[:2]) == (200, b"\xff\xd8")
        await camera.until(lambda one: one.playing == 0)


async def test_a_camera_that_gives_nothing_is_told_without_saying_where_it_is(make_live, signer, http):
    async with one_camera(make_live, Manners(mute=True)) as (house, camera), browser() as connection:
        offer = {"grant": grant(signer), "sdp": connection.localDescription.sdp}
        status, told, _ = await ask(http, f"{house.url}/cam-1/offer", **offer)
        assert (status, told["why"]) == (502, "camera")
        port = camera.url.split(":")[2].partition("/")[0]
        assert port not in json.dumps(told)
        async with http.get(f"{house.url}/cam-1/mjpeg") as answer:
            assert answer.status == 502


# -- who may ---------------------------------------------------------------------------------------------------------


async def test_without_a_good_grant_nobody_sees_anything_and_each_refusal_is_counted(make_live, signer, stranger, http):
    async with one_camera(make_live, stills=True) as (house, camera):
        url = f"{house.url}/cam-1/offer"
        used = grant(signer)
        assert (await ask(http, url, grant=used))[0] == 200
        await ask(http, f"{house.url}/cam-1/leave")
        rows = [
            ({}, 401, "over"),
            ({"grant": "x"}, 401, "malformed"),
            ({"grant": grant(stranger)}, 401, "signature"),
            ({"grant": grant(signer, device="cam-2")}, 403, "other_camera"),
            ({"grant": grant(signer, edge="x.y")}, 403, "other_edge"),
            ({"grant": used}, 403, "replayed"),
            ({"grant": 5}, 400, "request"),
        ]
        for body, status, why in rows:
            answer = await ask(http, url, **body)
            assert (answer[0], answer[1]["why"]) == (status, why)
        http.cookie_jar.clear()
        for path in ("snapshot.jpg", "mjpeg"):
            async with http.get(f"{house.url}/cam-1/{path}") as answer:
                assert answer.status == 401
        assert camera.asked.total() == 0
        assert house.eyes["cam-1"].asked == 0
        assert house.live.refusals[Why.NO_GRANT] == 2
        assert house.live.refusals[Why.REPLAYED] == 1
        status, told, _ = await ask(http, f"{house.url}/cam-9/offer", grant=grant(signer, device="cam-9"))
        assert (status, told["why"]) == (404, "no_camera")


async def test_one_too_many_is_told_and_his_grant_is_not_used_up(make_live, signer, http):
    async with one_camera(make_live, stills=True, max_viewers=1) as (house, _):
        assert (await ask(http, f"{house.url}/cam-1/offer", grant=grant(signer)))[0] == 200
        mine = grant(signer)
        status, told, headers = await ask(http, f"{house.url}/cam-1/offer", grant=mine)
        assert (status, told["why"], headers["Retry-After"]) == (503, "full", "10")
        house.live.views.end_all("left")
        assert (await ask(http, f"{house.url}/cam-1/offer", grant=mine))[0] == 200


async def test_a_cookie_is_of_one_camera_and_is_out_of_reach_of_scripts(make_live, signer, http):
    async with make_live({"cam-1": Eye(stills=True), "cam-2": Eye(stills=True)}) as house:
        _, _, headers = await ask(http, f"{house.url}/cam-1/offer", grant=grant(signer))
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        async with http.get(f"{house.url}/cam-1/snapshot.jpg") as answer:
            assert answer.status == 200
        secret = cookie.partition("=")[2].partition(";")[0]
        async with http.get(f"{house.url}/cam-2/snapshot.jpg", headers={"Cookie": f"gf_view_cam-2={secret}"}) as answer:
            assert answer.status == 401


async def test_the_page_asks_nothing_of_others_and_is_the_same_for_every_name(make_live, http):
    async with make_live({"cam-1": Eye()}) as house:
        pages = []
        for name in ("cam-1", "no-such"):
            async with http.get(f"{house.url}/{name}") as answer:
                pages.append(await answer.text())
                policy = answer.headers["Content-Security-Policy"]
                assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert pages[0] == pages[1]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for asset in ("page.js", "page.css", "icon.svg"):
            async with http.get(f"{house.url}/-/{asset}") as answer:
                assert answer.status == 200
                pages.append(await answer.text())
        assert not any(
            "//" in line.partition("http://www.w3.org")[0] and "http" in line
            for page in pages
            for line in page.splitlines()
        )
        for path in ("", "-/other", "cam-1/other", "cam-1/offer/x", "../secret"):
            async with http.get(f"{house.url}/{path}") as answer:
                assert answer.status == 404


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 50_000, b'{"sdp": 5}'])
async def test_a_body_that_is_no_offer_is_refused(make_live, http, body):
    async with make_live({"cam-1": Eye()}) as house, http.post(f"{house.url}/cam-1/offer", data=body) as answer:
        assert answer.status == 400


async def test_a_body_over_the_cap_is_refused_also_where_it_does_not_say_its_size(make_live, http):
    async def endless():
        for _ in range(MAX_BODY // 1000 + 10):
            yield b"x" * 1000

    async with make_live({"cam-1": Eye()}) as house:
        for data in (b"x" * (MAX_BODY + 1), endless()):
            async with http.post(f"{house.url}/cam-1/offer", data=data) as answer:
                assert answer.status == 413


@pytest.mark.parametrize(
    "offer",
    [
        "nonsense",
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        "v=0\r\n" + "m=video 9 x 96\r\n" * 3,
        "v=0\r\nm=audio 9 x 8\r\n",
    ],
)
async def test_an_offer_that_cannot_be_is_the_browsers_mistake_and_leaves_no_call(make_live, signer, http, offer):
    async with one_camera(make_live) as (house, camera):
        status, told, _ = await ask(http, f"{house.url}/cam-1/offer", grant=grant(signer), sdp=offer)
        assert (status, told["why"]) in {(400, "offer"), (409, "codec")}
        await camera.until(lambda one: one.playing == 0)
        assert house.live.calls == 0


async def test_a_head_without_end_and_one_connection_too_many_are_closed(make_live, monkeypatch):
    monkeypatch.setattr("edge.live.server._HEAD_S", 0.1)
    monkeypatch.setattr("edge.live.server._MAX_CONNECTIONS", 2)
    async with make_live({"cam-1": Eye()}) as house:
        lines = [await asyncio.open_connection("127.0.0.1", house.live.port) for _ in range(3)]
        for _, writer in lines:
            writer.write(b"GET /live/cam-1 HTTP/1.1\r\nX: ")
        async with asyncio.timeout(3):
            for reader, writer in lines:
                with contextlib.suppress(ConnectionError):
                    assert b"200" not in await reader.read()
                writer.close()


# -- around it -------------------------------------------------------------------------------------------------------


async def test_a_technician_gets_an_address_that_opens_once_with_the_uplink_down(make_live, clock):
    async with one_camera(make_live) as (house, _):
        clock.known = None
        clock._kernel, clock._kernel_at = None, clock.ms
        desk = LiveDesk(house.live).operations()["camera_view"]
        told = await desk({"op": "camera_view", "id": "cam-1", "actor": "cli:wei"})
        assert (await live_check(told["url"], frames=4)).moving
        with pytest.raises(DeviceRefused, match="replayed"):
            await live_check(told["url"], frames=4)
        opened = dict(house.shelf.rows)["gatefleet.ViewOpened.v1"]
        assert (opened["actor"], opened["granted_by"]) == ("local:cli:wei", "local")
        with pytest.raises(NotFound):
            await desk({"op": "camera_view", "id": "cam-9", "actor": "cli:wei"})


async def test_central_hears_where_it_can_be_seen(make_live):
    async with make_live({"cam-1": Eye()}, public_url="https://gate.example/eyes/") as house:
        await until(lambda: house.shelf.rows)
        assert house.shelf.rows[0][1]["live_url"] == "https://gate.example/eyes"


async def test_what_is_promised_to_prometheus_is_there(make_live, signer, http):
    async with one_camera(make_live, stills=True) as (house, _):
        registry = CollectorRegistry()
        registry.register(LiveCollector(house.live))
        await ask(http, f"{house.url}/cam-1/offer", grant="x")
        await live_check(f"{house.url}/cam-1#{grant(signer)}", frames=3)
        await ask(http, f"{house.url}/cam-1/offer", grant=grant(signer))
        text = generate_latest(registry).decode()
    assert 'gatefleet_live_viewers{way="pictures"} 1.0' in text
    assert 'gatefleet_live_refused_total{why="malformed"} 1.0' in text
    for name in ("gatefleet_live_frames_total", "gatefleet_live_frames_dropped_total", "gatefleet_live_streams"):
        assert f"\n{name} " in text


async def test_an_address_that_is_taken_is_told(make_live):
    async with make_live({}) as house:
        other = Live(LiveSection(listen=f"127.0.0.1:{house.live.port}"), {}, None, house.live._ledger, new_id=new_id)
        with pytest.raises(LinkLost):
            await other.run()


async def test_a_check_of_what_is_not_there_ends(make_live):
    with pytest.raises((LinkLost, DeviceSilent)):
        await live_check("http://127.0.0.1:9/live/cam-1#x", within_s=1)


def test_what_webrtc_needs_is_not_loaded_before_somebody_calls():
    code = (
        "import sys, edge.daemon, edge.live.live, edge.live.cameras, edge.live.metrics, edge.live.stream_check;"
        "print([one for one in ('aiortc', 'av', 'aioice', 'pylibsrtp', 'edge.live.webrtc') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    done = subprocess.run(
        [sys.executable, "-c", "import sys, edge.daemon; print('edge.live.live' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
