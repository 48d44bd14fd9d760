"""Still pictures for those whom the stream does not reach: the camera's own, else the key pictures of its stream.

Promises
1. However many look, a camera is asked for a still at most once in PACE_S, and a key picture is decoded once.
2. Decoding happens in a thread, two at a time.
3. A picture is kept only while somebody looks at its camera.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from core.errors import FrameInvalid, GatefleetError, Unsupported
from edge.live.feeds import Feeds
from edge.live.h26x import AccessUnit
from edge.live.words import Camera, ViewRefused, Why

PACE_S: Final = 0.5
_DECODING: Final = 2
_SOI: Final = b"\xff\xd8"


@dataclass(slots=True)
class _Slot:
    """The last still of a camera, for all who look at it."""

    lookers: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = -1e9
    own: bytes | GatefleetError = b""
    unit: AccessUnit | None = None
    decoded: bytes | GatefleetError = b""


class Stills:
    """The stills of all cameras, by device."""

    def __init__(self, feeds: Feeds, pace_s: float = PACE_S) -> None:
        self.kept: dict[str, _Slot] = {}
        self._feeds = feeds
        self._pace_s = pace_s
        self._decoding = asyncio.Semaphore(_DECODING)

    async def pictures(self, device: str, camera: Camera) -> AsyncGenerator[bytes, None]:
        """Give JPEGs for as long as they are asked for; raise what the camera raises where there is none."""
        slot = self.kept.setdefault(device, _Slot())
        slot.lookers += 1
        try:
            while (still := await self._own(slot, camera)) is not None:
                yield still
                await asyncio.sleep(self._pace_s)
            async with self._feeds.watch(device, camera) as watcher:
                while True:
                    unit = await watcher.next()
                    if unit.key:
                        yield await self._of_unit(slot, unit, watcher.video.codec)
        finally:
            slot.lookers -= 1
            if not slot.lookers:
                del self.kept[device]

    async def _own(self, slot: _Slot, camera: Camera) -> bytes | None:
        """Return a still of the camera's own, None where it makes none."""
        async with slot.lock:
            now = asyncio.get_running_loop().time()
            if now - slot.at >= self._pace_s:
                slot.own = await _told(lambda: _checked(camera))
                slot.at = asyncio.get_running_loop().time()
            if isinstance(slot.own, Unsupported):
                return None
            return _or_raise(slot.own)

    async def _of_unit(self, slot: _Slot, unit: AccessUnit, codec: str) -> bytes:
        async with slot.lock:
            if slot.unit is not unit:
                async with self._decoding:
                    slot.decoded = await _told(lambda: asyncio.to_thread(_jpeg, unit.data, codec))
                slot.unit = unit
            return _or_raise(slot.decoded)


async def _told(ask: Callable[[], Awaitable[bytes]]) -> bytes | GatefleetError:
    try:
        return await ask()
    except GatefleetError as error:
        return error


def _or_raise(told: bytes | GatefleetError) -> bytes:
    if isinstance(told, GatefleetError):
        raise told
    return told


def _jpeg(data: bytes, codec: str) -> bytes:
    try:
        from edge.live.jpeg import jpeg_of  # noqa: PLC0415 PyAV is 20 MB, and mostly not needed
    except ModuleNotFoundError as error:
        raise ViewRefused(Why.NOT_INSTALLED, str(error), cure="pip install 'gatefleet[video]'") from error
    return jpeg_of(data, codec)


async def _checked(camera: Camera) -> bytes:
    picture = await camera.still()
    if not picture.startswith(_SOI):
        raise FrameInvalid("the camera's picture is no JPEG")
    return picture
