"""Looks at a live picture as a browser does, without one: takes the page's offer path and counts what moves."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from core.errors import DeviceRefused, DeviceSilent, LinkLost, Unsupported

_FRAMES: Final = 15
_WITHIN_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen."""

    frames: int
    differing: int
    """Pictures that differ from the one before."""
    width: int
    height: int

    @property
    def moving(self) -> bool:
        """Tell whether it is a picture that moves."""
        return self.differing >= self.frames // 2 > 0


async def live_check(page_url: str, frames: int = _FRAMES, within_s: float = _WITHIN_S) -> Looked:
    """Open a page's address (`.../live/{camera}#{grant}`), decode some pictures and leave.

    Raises DeviceRefused with the reason where nothing is shown, DeviceSilent where nothing comes, Unsupported where
    aiortc is not installed.
    """
    try:
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription  # noqa: PLC0415 134 MB
    except ImportError as error:
        raise Unsupported("aiortc is not installed", cure="pip install 'gatefleet[video]'") from error
    parts = urlsplit(page_url)
    base = parts._replace(fragment="").geturl()
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @connection.on("track")
    def heard(found: Any) -> None:
        if not track.done():
            track.set_result(found)

    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name too
    try:
        async with asyncio.timeout(within_s), aiohttp.ClientSession(cookie_jar=jar) as http:
            connection.addTransceiver("video", direction="recvonly")
            await connection.setLocalDescription(await connection.createOffer())
            offer = {"grant": parts.fragment, "sdp": connection.localDescription.sdp}
            answer = await _asked(http, f"{base}/offer", offer)
            await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            looked = await _watched(await track, frames)
            async with http.post(f"{base}/leave"):
                return looked
    except TimeoutError as error:
        raise DeviceSilent("no pictures in time", place=base) from error
    except aiohttp.ClientError as error:
        raise LinkLost(str(error), place=base) from error
    finally:
        await connection.close()


async def _asked(http: aiohttp.ClientSession, url: str, offer: dict[str, str]) -> dict[str, Any]:
    async with http.post(url, json=offer) as response:
        told: dict[str, Any] = json.loads(await response.read())
        if response.status != 200:
            raise DeviceRefused(f"{told.get('why')}: {told.get('title')}", place=url)
        return told


async def _watched(track: Any, frames: int) -> Looked:
    before, differing, width, height = b"", 0, 0, 0
    for _ in range(frames):
        frame = await track.recv()
        bright = bytes(frame.planes[0])
        differing += bright != before
        before, width, height = bright, frame.width, frame.height
    return Looked(frames, differing, width, height)
