import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiomqtt
import pytest

from central.batches import Inbound
from central.config import MqttSection
from central.metrics import Metrics
from central.mqtt import Broker
from core.errors import LinkLost
from core.messages.event import Stream
from core.messages.wire import Ack, Presence

pytestmark = pytest.mark.real


class Heard:
    """What central's side of the link was told."""

    def __init__(self, broker: Any, metrics: Metrics) -> None:
        self.batches: asyncio.Queue[Inbound] = asyncio.Queue()
        self.presence: asyncio.Queue[tuple[str, Presence]] = asyncio.Queue()
        self.connected: asyncio.Queue[None] = asyncio.Queue()
        self.watermarks_fail = False
        self.link = Broker(
            MqttSection(url=broker.url),
            metrics,
            on_batch=self.batches.put_nowait,
            on_presence=lambda edge, presence: self.presence.put_nowait((edge, presence)),
            watermarks=self._watermarks,
        )
        self.link.when_connected(lambda: self.connected.put_nowait(None))

    async def _watermarks(self) -> Sequence[tuple[str, Ack]]:
        if self.watermarks_fail:
            self.watermarks_fail = False
            raise ZeroDivisionError("the database is away")
        return [("north.gates", Ack(epoch="E", stream=Stream.VITAL, upto=7, at="2026-01-01T00:00:00Z"))]


async def test_batches_presence_and_watermarks_pass_and_the_rest_is_refused_and_counted(
    mosquitto: Any, metrics: Metrics
) -> None:
    heard = Heard(mosquitto, metrics)
    async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", mosquitto.port) as edge:
        await edge.subscribe("gf/v1/north.gates/ack")
        await edge.publish("gf/v1/north.gates/presence", b'{"state":"online"}', qos=1, retain=True)
        running = asyncio.create_task(heard.link.run())
        ack = await anext(edge.messages)
        assert b'"upto":7' in bytes(ack.payload)
        name, presence = await heard.presence.get()
        assert (name, presence.state) == ("north.gates", "online")
        for topic, payload in (
            ("gf/v1/north.gates/presence", b"{"),
            ("gf/v1/north.gates/presence", b"x" * 5000),
            ("gf/v1/UPPER/up/vital", b"1"),
            ("gf/v1/north.gates/up/nonsense", b"1"),
            ("gf/v1/north.gates/up/vital", b"batch"),
        ):
            await edge.publish(topic, payload, qos=1)
        inbound = await heard.batches.get()
        assert (inbound.edge, inbound.stream, inbound.payload) == ("north.gates", Stream.VITAL, b"batch")
        assert metrics.registry.get_sample_value("gatefleet_mqtt_refused_total") == 4
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert not heard.link.up


async def test_the_link_comes_back_after_a_broker_or_a_database_that_was_away(mosquitto: Any, metrics: Metrics) -> None:
    heard = Heard(mosquitto, metrics)
    heard.watermarks_fail = True
    running = asyncio.create_task(heard.link.run())
    async with asyncio.timeout(30):
        for _ in range(2):
            await heard.connected.get()
        mosquitto.stop()
        while heard.link.up:
            await asyncio.sleep(0.01)
        with pytest.raises(LinkLost):
            await heard.link.publish("gf/v1/north.gates/down/command", b"x")
        mosquitto.start()
        await heard.connected.get()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()
