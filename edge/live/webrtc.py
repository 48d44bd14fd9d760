"""A camera's pictures to one browser by WebRTC, H.264 passed through as it came. Imports aiortc: only when needed.

Host candidates only, both ways: no STUN or TURN server is asked, and a browser's hidden `.local` names are not looked
up by multicast: the browser reaches us, and we learn its address from that (RFC 8445, 7.3.1.3).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

from core.errors import GatefleetError
from edge.live.feeds import Watcher
from edge.live.words import ViewRefused, Why

_MAX_CANDIDATES: Final = 32
_MAX_LINES: Final = 1000
_ANSWER_S: Final = 10.0
_GONE: Final = frozenset({"failed", "closed"})


class PassedThrough(MediaStreamTrack):
    """The pictures of a feed as packets; nothing is decoded."""

    kind = "video"

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher
        self._base = Fraction(1, watcher.video.clock_hz)
        self.failed = asyncio.Event()

    async def recv(self) -> "av.Packet[Stream]":
        """Return the next picture; end where the feed does."""
        try:
            unit = await self._watcher.next()
        except GatefleetError as error:
            self.failed.set()
            raise MediaStreamError from error
        packet = av.Packet(unit.data)
        packet.pts, packet.time_base = unit.time, self._base
        return packet


@dataclass(frozen=True, slots=True)
class Call:
    """A connection to one browser."""

    answer: str
    """Its SDP."""
    gone: asyncio.Event
    """The browser left, or cannot be reached."""
    failed: asyncio.Event
    """The feed ended."""


@asynccontextmanager
async def call(offer: str, watcher: Watcher) -> AsyncIterator[Call]:
    """Answer a browser's offer and send it pictures meanwhile; raise ViewRefused for an offer that cannot be."""
    if watcher.video.codec != "H264":
        raise ViewRefused(Why.CODEC, f"the camera sends {watcher.video.codec}, browsers want H264")
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    gone = asyncio.Event()

    @connection.on("connectionstatechange")
    def changed() -> None:
        if connection.connectionState in _GONE:
            gone.set()

    track = PassedThrough(watcher)
    try:
        answer = await _answered(connection, _plain(offer), track)
        yield Call(answer, gone, track.failed)
    finally:
        track.stop()
        await connection.close()


async def _answered(connection: RTCPeerConnection, offer: str, track: PassedThrough) -> str:
    try:
        async with asyncio.timeout(_ANSWER_S):
            known = RTCRtpSender.getCapabilities("video").codecs
            transceiver = connection.addTransceiver(track, "sendonly")
            transceiver.setCodecPreferences([one for one in known if one.mimeType in {"video/H264", "video/rtx"}])
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
    except TimeoutError:
        raise ViewRefused(Why.OFFER, "the offer cannot be answered in time") from None
    except Exception as error:  # a library's reader met what a stranger wrote: his mistake, told as such
        raise ViewRefused(Why.OFFER, f"the offer cannot be answered: {type(error).__name__}") from error
    sdp = connection.localDescription.sdp
    if "H264/" not in sdp:
        raise ViewRefused(Why.CODEC, "the browser does not take H264")
    return sdp


def _plain(offer: str) -> str:
    """Return an offer with what we take of it: one video, and addresses that are addresses; raise ViewRefused."""
    lines = offer.splitlines()
    media = [line for line in lines if line.startswith("m=")]
    if len(lines) > _MAX_LINES or len(media) != 1 or not media[0].startswith("m=video "):
        raise ViewRefused(Why.OFFER, "an offer has one video and nothing else")
    kept, candidates = [], 0
    for line in lines:
        if line.startswith("a=candidate:"):
            candidates += 1
            if candidates > _MAX_CANDIDATES or not _usable(line):
                continue
        kept.append(line)
    return "\r\n".join([*kept, ""])


def _usable(line: str) -> bool:
    """Tell whether a candidate is by UDP and names an address rather than a name."""
    words = line.split()
    return len(words) >= 8 and words[2].lower() == "udp" and not words[4].lower().endswith(".local")
