"""One RTSP session for each camera that is looked at, shared by all who look.

Promises
1. A camera is asked for its stream when the first comes, and let go when the last leaves.
2. One who is slow loses pictures up to the next key picture, and hurts nobody else; what waits for him is bounded.
3. A stream that ends tells all who watch it why. Nothing is tried again here: who watches asks again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from core.errors import GatefleetError, LinkLost, Unsupported
from drivers.digest import Login
from edge.live.h26x import CODECS, AccessUnit, Depacketizer, read_rtp
from edge.live.rtsp import Times, rtsp_stream
from edge.live.sdp import Video
from edge.live.words import Camera

MOST_UNITS: Final = 60
MOST_BYTES: Final = 8 << 20
_START_S: Final = 12.0

log = structlog.get_logger()

Start = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
"""Starts a task that its owner ends."""


class Watcher:
    """One who watches a feed."""

    def __init__(self, feed: "Feed") -> None:
        self.dropped = 0
        self.units = 0
        self._feed = feed
        self._units: deque[AccessUnit] = deque()
        self._bytes = 0
        self._waits = True
        self._woken = asyncio.Event()
        self._error: GatefleetError | None = None

    @property
    def video(self) -> Video:
        """Return what the camera says of its video."""
        return self._feed.video

    async def next(self) -> AccessUnit:
        """Return the next picture, the first a key picture; raise what ended the feed."""
        while not self._units:
            if self._error is not None:
                raise self._error
            self._woken.clear()
            await self._woken.wait()
        unit = self._units.popleft()
        self._bytes -= len(unit.data)
        self.units += 1
        return unit

    def put(self, unit: AccessUnit) -> None:
        """Take a picture of the feed."""
        if len(self._units) >= MOST_UNITS or self._bytes + len(unit.data) > MOST_BYTES:
            self._drop(len(self._units))
            self._units.clear()
            self._bytes, self._waits = 0, True
        if self._waits and not unit.key:
            self._drop(1 if self.units else 0)
            return
        self._waits = False
        self._units.append(unit)
        self._bytes += len(unit.data)
        self._woken.set()

    def fail(self, error: GatefleetError) -> None:
        """Hear why the feed ended."""
        self._error = error
        self._woken.set()

    def _drop(self, many: int) -> None:
        self.dropped += many
        self._feed.dropped += many


class Feed:
    """One camera's stream while somebody watches it."""

    def __init__(self, url: str, login: Login | None, times: Times | None) -> None:
        self.video: Video
        self.watchers: set[Watcher] = set()
        self.units = 0
        self.dropped = 0
        self.ready = asyncio.Event()
        self.error: GatefleetError | None = None
        self.task: asyncio.Task[None] | None = None
        self._address = (url, login, times)
        self._place = url.partition("?")[0]

    async def run(self) -> None:
        """Play until cancelled; an error is told to who watches."""
        try:
            await self._play()
        except GatefleetError as error:
            self._end(error)
        except Exception:  # the task's outermost frame: others who watch other cameras go on
            log.exception("live.feed_failed", camera=self._place)
            self._end(LinkLost("a bug ended the stream", place=self._place))

    async def _play(self) -> None:
        async with rtsp_stream(*self._address) as stream:
            self.video = stream.video
            if stream.video.codec not in CODECS:
                raise Unsupported(f"the camera sends {stream.video.codec}", place=self._place)
            units = Depacketizer(CODECS[stream.video.codec], stream.video.parameters)
            self.ready.set()
            while True:
                packet = read_rtp(await stream.packet())
                if packet.payload_type != stream.video.payload_type:
                    continue
                for unit in units.receive(packet):
                    self.units += 1
                    for watcher in self.watchers:
                        watcher.put(unit)

    def _end(self, error: GatefleetError) -> None:
        self.error = error
        self.ready.set()
        for watcher in self.watchers:
            watcher.fail(error)


class Feeds:
    """The feeds of all cameras, by device."""

    def __init__(self, start: Start, times: Times | None = None) -> None:
        self.playing: dict[str, Feed] = {}
        self._start = start
        self._times = times
        self._past_units = 0
        self._past_dropped = 0

    @property
    def units(self) -> int:
        """Return how many pictures have come of all cameras since the start."""
        return self._past_units + sum(feed.units for feed in self.playing.values())

    @property
    def dropped(self) -> int:
        """Return how many were not given to one who was slow."""
        return self._past_dropped + sum(feed.dropped for feed in self.playing.values())

    @asynccontextmanager
    async def watch(self, device: str, camera: Camera) -> AsyncIterator[Watcher]:
        """Watch a camera meanwhile; the video is known then. Raises what `rtsp_stream` and the camera raise."""
        feed = self.playing.get(device)
        if feed is None or feed.error is not None:
            self._forget(device, feed)
            feed = self.playing[device] = Feed(*camera.stream(), self._times)
            feed.task = self._start(feed.run(), f"live.feed.{device}")
        watcher = Watcher(feed)
        feed.watchers.add(watcher)
        try:
            try:
                async with asyncio.timeout(_START_S):
                    await feed.ready.wait()
            except TimeoutError:
                raise LinkLost("the stream does not begin", place=device) from None
            if feed.error is not None:
                raise feed.error
            yield watcher
        finally:
            feed.watchers.discard(watcher)
            if not feed.watchers:
                if self.playing.get(device) is feed:
                    self._forget(device, feed)
                assert feed.task is not None
                feed.task.cancel()
                await asyncio.wait((feed.task,))

    def _forget(self, device: str, feed: Feed | None) -> None:
        if feed is not None:
            self._past_units += feed.units
            self._past_dropped += feed.dropped
            del self.playing[device]
