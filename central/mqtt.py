"""Central's connection to the broker. All that knows the MQTT library stands here.

Batches go to ingest's bounded queue, presence to the fleet; acks and commands leave by `publish`. At each connection
the committed watermarks are published, so that the edges resume at once.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Self
from urllib.parse import urlsplit

import aiomqtt
import structlog
from paho.mqtt import client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import ValidationError

from central.batches import Inbound
from central.config import MqttSection, read_secret
from central.db import new_id
from central.metrics import Metrics
from core.errors import LinkLost, MessageInvalid
from core.messages import topics
from core.messages.event import Stream
from core.messages.wire import Ack, Presence

_log = structlog.get_logger(__name__)

_KEEPALIVE_S: Final = 15
_TIMEOUT_S: Final = 10.0
_MAX_PAYLOAD: Final = 8 * 1024 * 1024
_MAX_PRESENCE: Final = 4096
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 15.0
_STREAMS: Final = {f"up/{stream.value}": stream for stream in Stream}

OnPresence = Callable[[str, Presence], None]
Watermarks = Callable[[], Awaitable[Sequence[tuple[str, Ack]]]]


class _Client(aiomqtt.Client):
    """The library's client; alone it waits out its timeout when a connection is lost before the broker has answered.

    And it would keep the socket of a broker that never answers.
    """

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


class Broker:
    """The link to the broker; `run` keeps it up."""

    def __init__(
        self,
        section: MqttSection,
        metrics: Metrics,
        *,
        on_batch: Callable[[Inbound], None],
        on_presence: OnPresence,
        watermarks: Watermarks,
    ) -> None:
        self._section = section
        self._metrics = metrics
        self._on_batch = on_batch
        self._on_presence = on_presence
        self._when_connected: list[Callable[[], None]] = []
        self._watermarks = watermarks
        self._client: aiomqtt.Client | None = None
        self._name = section.client_id or f"gatefleet-central-{new_id()}"

    @property
    def up(self) -> bool:
        """Tell whether the broker has us."""
        return self._client is not None

    def when_connected(self, callback: Callable[[], None]) -> None:
        """Call back at each connection."""
        self._when_connected.append(callback)

    async def publish(self, topic: str, payload: bytes | str, *, qos: int = 1, retain: bool = False) -> None:
        """Publish; with QoS 1 return when the broker has it. Raise LinkLost."""
        if self._client is None:
            raise LinkLost("the broker is not connected", place=self._section.url)
        try:
            await self._client.publish(topic, payload, qos=qos, retain=retain)
        except aiomqtt.MqttError as error:
            raise LinkLost(f"not published: {error}", place=self._section.url) from error

    async def send_ack(self, edge: str, ack: Ack) -> None:
        """Publish an ack; one that is lost is sent again when the edge sends again."""
        try:
            await self.publish(topics.ack(edge), ack.model_dump_json(), qos=0)
        except LinkLost as error:
            _log.info("mqtt.ack_not_sent", edge=edge, error=error.detail)

    async def run(self) -> None:
        """Keep the connection until cancelled, with growing, jittered pauses between the tries."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._make_client() as client:
                    pause_s = _FIRST_PAUSE_S
                    await self._serve(client)
            except (aiomqtt.MqttError, OSError) as error:
                _log.warning("mqtt.down", url=self._section.url, error=str(error), pause_s=round(pause_s, 2))
            except Exception:  # noqa: BLE001 (the outermost frame of the task)
                _log.exception("mqtt.failed", url=self._section.url)
                self._metrics.task_failures.labels("mqtt").inc()
            finally:
                self._client = None
                self._metrics.mqtt_connected.set(0)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _serve(self, client: aiomqtt.Client) -> None:
        share = f"$share/{self._section.shared_group}/" if self._section.shared_group else ""
        await client.subscribe([(share + topics.ALL_UP, 1), (topics.ALL_PRESENCE, 1)])
        self._client = client
        self._metrics.mqtt_connected.set(1)
        _log.info("mqtt.up", url=self._section.url, shared_group=self._section.shared_group)
        for callback in self._when_connected:
            callback()
        for edge, ack in await self._watermarks():
            await self.send_ack(edge, ack)
        async for message in client.messages:
            payload = message.payload
            try:
                self._take(message.topic.value, payload if isinstance(payload, bytes) else b"")
            except MessageInvalid as error:
                self._metrics.mqtt_refused.inc()
                _log.warning("mqtt.refused", topic=message.topic.value[:256], error=str(error))

    def _take(self, topic: str, payload: bytes) -> None:
        edge, rest = topics.parse(topic)
        if len(payload) > _MAX_PAYLOAD:
            raise MessageInvalid(f"{len(payload)} bytes", place=edge)
        stream = _STREAMS.get(rest)
        if stream is not None:
            self._on_batch(Inbound(edge, stream, payload))
        elif rest == "presence":
            self._on_presence(edge, _presence(payload))
        else:
            raise MessageInvalid("nothing is expected here", place=rest[:64])

    def _make_client(self) -> _Client:
        url = urlsplit(self._section.url)
        secure = url.scheme == "mqtts"
        return _Client(
            hostname=url.hostname or "127.0.0.1",
            port=url.port or (8883 if secure else 1883),
            identifier=self._name,
            username=self._section.username or None,
            password=read_secret(self._section.password) if self._section.password else None,
            tls_context=self._tls() if secure else None,
            keepalive=_KEEPALIVE_S,
            timeout=_TIMEOUT_S,
            clean_session=True,
            max_inflight_messages=256,
            max_queued_incoming_messages=1000,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # an order must not wait for an ack of TCP's
        )

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._section.ca_file)
        if self._section.client_cert is not None:
            context.load_cert_chain(self._section.client_cert, self._section.client_key)
        return context


def _presence(payload: bytes) -> Presence:
    if len(payload) > _MAX_PRESENCE:
        raise MessageInvalid(f"presence of {len(payload)} bytes")
    try:
        return Presence.model_validate_json(payload)
    except ValidationError as error:
        raise MessageInvalid(f"not a presence: {error.error_count()} mistakes") from error
