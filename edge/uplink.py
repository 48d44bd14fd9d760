"""The buffer <-> MQTT (docs/wire.md). All that knows the MQTT library stands here.

Each stream has a pump of its own, so that fresh vital entries overtake a backlog of telemetry. An entry leaves the
buffer when central has acked its commit; the broker's own acknowledgement counts for nothing.
"""

import asyncio
import math
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import aiomqtt
import structlog
import zstandard
from paho.mqtt import client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import ValidationError

from core.errors import BufferUnavailable, LinkLost
from core.messages import topics
from core.messages.envelope import join_batch, place
from core.messages.event import Stream
from core.messages.wire import Ack, Presence
from edge.buffer import Buffer, Entry
from edge.clock import Clock
from edge.config import read_secret
from edge.sections import UplinkSection
from edge.window import Window

BATCH_ENTRIES: Final = 500
BATCH_BYTES: Final = 192 * 1024
_WINDOW: Final[Mapping[Stream, int]] = {Stream.VITAL: 8, Stream.STATE: 4, Stream.TELEMETRY: 4}
_KEEPALIVE_S: Final = 15
_TIMEOUT_S: Final = 10.0
_GOODBYE_S: Final = 1.0
_SILENCE_S: Final = 2.0
_MAX_SEQ: Final = 1 << 53
_MAX_DOWN_BYTES: Final = 1024 * 1024

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(slots=True)
class UplinkState:
    """What a technician sees of the uplink."""

    url: str
    up: bool = False
    since: str = ""
    last_error: str = "not tried yet"
    batches: int = 0
    entries: int = 0
    bytes: int = 0
    acks: int = 0
    foreign_acks: int = 0
    """Acks for another epoch, or that cannot be meant: a seq that no stream reaches, a time without a zone."""


class _Client(aiomqtt.Client):
    """The library's client; alone it waits out its timeout when a connection is lost before the broker has answered.

    And it would keep the socket of a broker that never answers, and lose a stop that comes as the broker answers: its
    `asyncio.wait_for` swallows it before Python 3.12, and a task that was cancelled would go on for ever.
    """

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 the library's signature
        limit = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if math.isinf(limit) else limit):
                return await fut
        except TimeoutError as error:
            raise aiomqtt.MqttError("Operation timed out") from error

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._client.disconnect()
            raise

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if self._connected.cancelled():
            return
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(f"lost before the broker answered: {reason_code}"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)


class Uplink:
    """One edge's connection to the broker. `on_command` and `on_list` must be quick: acks wait behind them."""

    def __init__(
        self,
        *,
        edge: str,
        section: UplinkSection,
        buffer: Buffer,
        clock: Clock,
        presence: Presence,
        on_command: Callable[[bytes], None],
        on_list: Callable[[bytes], None],
    ) -> None:
        self._edge = edge
        self._section = section
        self._buffer = buffer
        self._clock = clock
        self._presence = presence
        self._handlers = {topics.command(edge): on_command, topics.list_announcement(edge): on_list}
        self._compress = zstandard.ZstdCompressor(level=1)
        self._acked = {stream: asyncio.Event() for stream in Stream}
        self.windows = {stream: Window(buffer.depth(stream).acked, _WINDOW[stream]) for stream in Stream}
        self.state = UplinkState(section.url)
        self._heard_s = float("-inf")

    async def run(self) -> None:
        """Connect and sync until the connection is lost: raises LinkLost."""
        try:
            async with self._client() as client:
                try:
                    await self._sync(client)
                except asyncio.CancelledError:
                    await self._goodbye(client)
                    raise
        except* (aiomqtt.MqttError, BufferUnavailable, OSError, TimeoutError) as errors:
            self._down(str(errors.exceptions[0]) or "lost")
            raise LinkLost(self.state.last_error, place=self._section.url) from errors
        finally:
            self.state.up = False

    async def _sync(self, client: aiomqtt.Client) -> None:
        async with asyncio.TaskGroup() as group:
            await self._hello(client)
            for stream in Stream:
                group.create_task(self._pump(client, stream), name=f"uplink.{stream.value}")
            group.create_task(self._receive(client), name="uplink.receive")

    async def _goodbye(self, client: aiomqtt.Client) -> None:
        """Say what the last will would say: after a clean end of the connection the broker keeps it to itself."""
        topic = topics.presence(self._edge)
        with suppress(aiomqtt.MqttError):
            await client.publish(topic, self._offline(), qos=1, retain=True, timeout=_GOODBYE_S)

    def _offline(self) -> str:
        return Presence(state="offline", boot_id=self._presence.boot_id).model_dump_json()

    def _client(self) -> _Client:
        url = urlsplit(self._section.url)
        secure = url.scheme == "mqtts"
        return _Client(
            hostname=url.hostname or "localhost",
            port=url.port or (8883 if secure else 1883),
            identifier=f"gatefleet-{self._edge}",
            username=self._section.username or None,
            password=read_secret(self._section.password) if self._section.password else None,
            tls_context=self._tls() if secure else None,
            will=aiomqtt.Will(topics.presence(self._edge), self._offline(), qos=1, retain=True),
            keepalive=_KEEPALIVE_S,
            timeout=_TIMEOUT_S,
            clean_session=True,
            max_inflight_messages=64,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # a result must not wait for an ack of TCP's
        )

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._section.ca_file)
        if self._section.client_cert is not None:
            context.load_cert_chain(self._section.client_cert, self._section.client_key)
        return context

    async def _hello(self, client: aiomqtt.Client) -> None:
        for topic in (topics.ack(self._edge), *self._handlers):
            await client.subscribe(topic, qos=1)
        await client.publish(topics.presence(self._edge), self._presence.model_dump_json(), qos=1, retain=True)
        for window in self.windows.values():
            window.reconnected()
        self.state.up, self.state.since, self.state.last_error = True, self._clock.wall().isoformat(), ""
        log.info("uplink.up", url=self._section.url)

    def _down(self, error: str) -> None:
        if self.state.up:
            self.state.since = self._clock.wall().isoformat()
            log.warning("uplink.down", url=self._section.url, error=error)
        self.state.up, self.state.last_error = False, error

    async def _pump(self, client: aiomqtt.Client, stream: Stream) -> None:
        window, topic = self.windows[stream], topics.up(self._edge, stream)
        while True:
            window.overdue(time.monotonic())
            entries: list[Entry] = []
            if window.open and self._buffer.newest(stream) > window.sent:
                after = window.sent
                read = await self._buffer.read(stream, after, entries=BATCH_ENTRIES, bytes_=BATCH_BYTES)
                # An ack that came while the disk was read may have moved the window: on, or back before what was read.
                entries = [entry for entry in read if entry.seq > window.sent >= after]
            if not entries:
                await self._idle(stream, window)
                continue
            payload = self._batch(stream, entries)
            window.left(entries[-1].seq, time.monotonic())
            self.state.batches += 1
            self.state.entries += len(entries)
            self.state.bytes += len(payload)
            await client.publish(topic, payload, qos=1)

    async def _idle(self, stream: Stream, window: Window) -> None:
        """Wait for an ack, a new entry where one may leave, or the end of patience."""
        acked = self._acked[stream]
        acked.clear()
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(acked.wait())]
        if window.open:
            waits.append(asyncio.ensure_future(self._buffer.wait_newer(stream, window.sent)))
        timeout = None if window.due_s is None else max(0.0, window.due_s - time.monotonic())
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _batch(self, stream: Stream, entries: list[Entry]) -> bytes:
        epoch = self._buffer.epoch
        whole = (
            place(
                entry.body,
                source=self._edge,
                epoch=epoch,
                stream=stream.value,
                seq=entry.seq,
                after=entry.after,
                acked=None if number else self.windows[stream].acked,
            )
            for number, entry in enumerate(entries)
        )
        return self._compress.compress(join_batch(whole))

    async def _receive(self, client: aiomqtt.Client) -> None:
        ack_topic = topics.ack(self._edge)
        async for message in client.messages:
            payload = message.payload
            if not isinstance(payload, bytes) or len(payload) > _MAX_DOWN_BYTES:
                log.warning("uplink.refused", topic=str(message.topic), size=len(payload or b""))
            elif message.topic.value == ack_topic:
                await self._ack(payload)
            elif handler := self._handlers.get(message.topic.value):
                handler(payload)

    async def _ack(self, payload: bytes) -> None:
        try:
            ack = Ack.model_validate_json(payload)
        except ValidationError as error:
            log.warning("uplink.bad_ack", mistakes=error.error_count())
            return
        window = self.windows[ack.stream]
        if ack.epoch != self._buffer.epoch or ack.upto > _MAX_SEQ or ack.at.tzinfo is None:
            self.state.foreign_acks += 1
            return
        self.state.acks += 1
        now_s = time.monotonic()
        if now_s - self._heard_s > _SILENCE_S:
            self._central_is_back()
        self._heard_s = now_s
        round_trip = window.on_ack(ack.upto, now_s)
        if round_trip is not None:
            self._clock.measured(ack.at, round(round_trip * 1000))
        # Beyond what this buffer ever held, it is an older copy of itself: the buffer gives its entries new places.
        await self._buffer.acked(ack.stream, ack.upto)
        self._acked[ack.stream].set()

    def _central_is_back(self) -> None:
        """Let no stream sit out the long patience that it had with a centre that was down."""
        for stream, window in self.windows.items():
            window.hopeful()
            self._acked[stream].set()
