"""Whether a camera's stream delivers pictures: a short session by RTSP, without decoding anything."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from core.errors import DeviceSilent, GatefleetError
from drivers.digest import Login
from drivers.onvif_camera.facts import StreamJudged
from edge.live.h26x import read_rtp
from edge.live.rtsp import Times, rtsp_stream

PACKETS: Final = 8
"""So many of the video must come: some cameras send one and then nothing."""
_WITHIN_S: Final = 15.0
_TIMES: Final = Times(connect_s=4.0, answer_s=5.0, silent_s=5.0)

Check = Callable[[str, Login | None], Awaitable[StreamJudged]]


async def check_stream(
    url: str, login: Login | None, times: Times = _TIMES, within_s: float = _WITHIN_S
) -> StreamJudged:
    """Play a stream until PACKETS of its video have come; say how it went. Raises nothing that a camera can cause."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(within_s):
            first_ms = await _played(url, login, times)
    except TimeoutError:
        return StreamJudged(delivers=False, why=DeviceSilent.code)
    except GatefleetError as error:
        return StreamJudged(delivers=False, why=error.code, detail=error.detail[:120])
    return StreamJudged(delivers=True, first_ms=round((first_ms - began) * 1000))


async def _played(url: str, login: Login | None, times: Times) -> float:
    """Return when the first packet came."""
    came = 0
    first = 0.0
    async with rtsp_stream(url, login, times) as stream:
        while came < PACKETS:
            packet = read_rtp(await stream.packet())
            if packet.payload_type == stream.video.payload_type:
                came += 1
                first = first or asyncio.get_running_loop().time()
    return first
