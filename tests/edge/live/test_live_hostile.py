"""What a viewer who takes more than his share, a page of somebody else, and a reader who reads nothing get."""

import asyncio
import contextlib
import socket

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from edge.live.live import Live
from edge.live.server import LiveServer
from edge.live.views import MOST_LOOKS
from simulators.rtsp import RtspCamera, serve_rtsp

from .conftest import Eye, grant, until


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@contextlib.asynccontextmanager
async def browser():
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    try:
        yield connection
    finally:
        await connection.close()


def calls_running():
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("live.call.")]


# -- more than one's share -------------------------------------------------------------------------------------------


async def test_a_view_is_one_call_who_calls_again_ends_the_call_before(make_live, signer, http):
    """Else one grant was as many calls as somebody liked, past max_viewers, and each a connection of its own."""
    async with serve_rtsp(RtspCamera()) as camera:
        eye = Eye(camera.url, camera.login)
        async with make_live({"cam-1": eye}) as house, browser() as first, browser() as second:
            url = f"{house.url}/cam-1/offer"
            for connection, body in ((first, {"grant": grant(signer)}), (second, {})):
                async with http.post(url, json={**body, "sdp": connection.localDescription.sdp}) as answer:
                    assert answer.status == 200
                    told = await answer.json()
                await connection.setRemoteDescription(RTCSessionDescription(told["sdp"], "answer"))
            assert (house.live.calls, len(calls_running())) == (1, 1)
            await until(lambda: second.connectionState == "connected")
            house.live.views.end_all("left")
            await camera.until(lambda one: one.playing == 0)


async def test_a_call_that_another_takes_the_place_of_is_told_so(make_live, signer, http):
    """Two offers of one view at once: the one that is being answered still hears something."""
    async with make_live({"cam-1": Eye("rtsp://127.0.0.1:9/none")}) as house:
        began, goes_on = asyncio.Event(), asyncio.Event()
        real = Live._library

        async def slow(live):
            began.set()
            await goes_on.wait()
            return await real(live)

        house.live._library = lambda: slow(house.live)
        url = f"{house.url}/cam-1/offer"
        async with http.post(url, json={"grant": grant(signer)}) as answer:
            assert answer.status == 200
        first = asyncio.create_task(http.post(url, json={"sdp": "v=0"}))
        await began.wait()
        second = asyncio.create_task(http.post(url, json={"sdp": "v=0"}))
        async with asyncio.timeout(5), await first as answer:
            assert (answer.status, (await answer.json())["why"]) == (401, "over")
        goes_on.set()
        async with await second as answer:
            assert answer.status == 502


async def test_a_view_is_looked_at_so_often_at_once_and_no_oftener(make_live, signer, http):
    async with make_live({"cam-1": Eye(stills=True)}) as house, contextlib.AsyncExitStack() as stack:
        async with http.post(f"{house.url}/cam-1/offer", json={"grant": grant(signer)}) as answer:
            assert answer.status == 200
        asked = [await stack.enter_async_context(http.get(f"{house.url}/cam-1/mjpeg")) for _ in range(MOST_LOOKS + 1)]
        assert [one.status for one in asked] == [200] * MOST_LOOKS + [503]


# -- a page of somebody else -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Sec-Fetch-Site": "same-site"}])
async def test_a_page_of_a_neighbour_cannot_call_with_the_viewers_cookie(make_live, signer, http, headers):
    """A neighbour's page is of the same site: a strict cookie goes with its requests. The offer would be its own."""
    async with make_live({"cam-1": Eye(stills=True)}) as house:
        async with http.post(f"{house.url}/cam-1/offer", json={"grant": grant(signer)}) as answer:
            assert answer.status == 200
        wanted = {"Content-Type": "application/json"} | headers
        async with http.post(f"{house.url}/cam-1/offer", data=b'{"sdp": "v=0"}', headers=wanted) as answer:
            assert (answer.status, (await answer.json())["why"]) == (400, "request")
        if "Sec-Fetch-Site" in headers:
            async with http.post(f"{house.url}/cam-1/leave", headers=headers) as answer:
                assert answer.status == 400
        assert len(house.live.views) == 1


async def test_behind_a_proxy_that_speaks_tls_the_cookie_goes_by_tls_only(make_live, signer, http):
    async with (
        make_live({"cam-1": Eye()}, public_url="https://gate.example/eyes") as house,
        http.post(f"{house.url}/cam-1/offer", json={"grant": grant(signer)}) as answer,
    ):
        assert "; Secure" in answer.headers["Set-Cookie"]


# -- a reader who reads nothing --------------------------------------------------------------------------------------


async def test_who_asks_and_does_not_read_is_cut_off(make_live, monkeypatch):
    """A stranger needs no grant for the page: 256 such connections were the end of the live view."""
    monkeypatch.setattr("edge.live.server._WRITE_S", 0.1)
    servers = []
    real = LiveServer.admit
    monkeypatch.setattr(LiveServer, "admit", lambda server: servers.append(server) or real(server))
    loop = asyncio.get_running_loop()
    async with make_live({"cam-1": Eye()}) as house:
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stranger.setblocking(False)
            await loop.sock_connect(stranger, ("127.0.0.1", house.live.port))
            asks = b"GET /live/-/page.js HTTP/1.1\r\nHost: x\r\n\r\n" * 2000

            async def ask():
                with contextlib.suppress(ConnectionError):
                    while True:
                        await loop.sock_sendall(stranger, asks)

            asking = asyncio.create_task(ask())
            await until(lambda: servers)
            await until(lambda: servers[0]._connections == 0)
            await asking
