"""What Prometheus scrapes: `gatefleet_*` on a loopback port. Names carry units; no token or plate is ever a label."""

import asyncio
from collections.abc import Iterator
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.errors import LinkLost
from core.messages.event import Stream
from core.messages.events import PassageAnomaly, PassageCleared, PassageDecided
from core.messages.vehicle_events import VehicleAnomaly, VehicleCleared, VehicleDecided
from edge.board import Board
from edge.buffer import Buffer
from edge.clock import Clock
from edge.ledger import Ledger
from edge.uplink import UplinkState

_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
_MAX_REQUEST: Final = 8192
_REQUEST_S: Final = 5.0


class Sources(Protocol):
    """What the metrics are read from."""

    board: Board
    buffer: Buffer
    ledger: Ledger
    clock: Clock

    @property
    def uplink(self) -> UplinkState:
        """Return the uplink's state."""


class Metrics:
    """The instruments of a daemon."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._decided = Histogram(
            "gatefleet_decision_seconds", "Credential to decision", buckets=_BUCKETS_S, registry=self.registry
        )
        self._opened = Histogram(
            "gatefleet_gate_command_seconds",
            "Credential to gate command answered, commit included",
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._decisions = Counter("gatefleet_decisions", "Decisions", ["lane", "effect"], registry=self.registry)
        self._passages = Counter("gatefleet_passages", "Cleared passages", ["lane"], registry=self.registry)
        self._anomalies = Counter("gatefleet_anomalies", "Anomalies", ["lane", "kind"], registry=self.registry)

    def decided(self, seconds: float) -> None:
        """Observe how long a decision took."""
        self._decided.observe(seconds)

    def opened(self, seconds: float) -> None:
        """Observe how long it took from the credential to the gate's answer."""
        self._opened.observe(seconds)

    def event(self, event: object) -> None:
        """Count a lane's event."""
        match event:
            case PassageDecided(lane=lane, effect=effect) | VehicleDecided(lane=lane, effect=effect):
                self._decisions.labels(lane, effect.value).inc()
            case PassageCleared(lane=lane) | VehicleCleared(lane=lane):
                self._passages.labels(lane).inc()
            case PassageAnomaly(lane=lane, kind=kind) | VehicleAnomaly(lane=lane, kind=kind):
                self._anomalies.labels(lane, kind.value).inc()
            case _:
                pass


class DaemonCollector(Collector):
    """Reads buffer, uplink, clock and devices at scrape time."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self._buffer()
        yield from self._uplink()
        devices = GaugeMetricFamily("gatefleet_devices", "Devices by health", labels=["health"])
        for health, count in self._sources.board.health_counts().items():
            devices.add_metric([health], count)
        yield devices
        quality = self._sources.clock.quality()
        yield GaugeMetricFamily("gatefleet_clock_offset_seconds", "Measured offset", quality.offset_ms / 1000)
        yield GaugeMetricFamily("gatefleet_clock_error_seconds", "Bound of the error", quality.error_ms / 1000)

    def _buffer(self) -> Iterator[Metric]:
        buffer = self._sources.buffer
        entries = GaugeMetricFamily("gatefleet_buffer_entries", "Entries that wait for central", labels=["stream"])
        used = GaugeMetricFamily("gatefleet_buffer_body_bytes", "Their bytes", labels=["stream"])
        dropped = CounterMetricFamily("gatefleet_buffer_dropped", "Dropped by the quota", labels=["stream"])
        for stream in Stream:
            depth = buffer.depth(stream)
            entries.add_metric([stream.value], depth.entries)
            used.add_metric([stream.value], depth.bytes)
            dropped.add_metric([stream.value], buffer.counts.dropped.get(stream, 0))
        yield from (entries, used, dropped)
        yield GaugeMetricFamily("gatefleet_buffer_used_bytes", "Of the quota", buffer.used_bytes)
        yield GaugeMetricFamily("gatefleet_buffer_quota_bytes", "The quota", buffer.quota_bytes)
        yield GaugeMetricFamily("gatefleet_buffer_healthy", "1 while commits succeed", int(buffer.healthy))
        ledger = self._sources.ledger
        yield GaugeMetricFamily("gatefleet_owed_entries", "Events the buffer could not take yet", ledger.owed)
        yield CounterMetricFamily("gatefleet_owed_shed", "Events given up before the buffer took them", ledger.shed)

    def _uplink(self) -> Iterator[Metric]:
        uplink = self._sources.uplink
        yield GaugeMetricFamily("gatefleet_uplink_up", "1 while connected to the broker", int(uplink.up))
        yield CounterMetricFamily("gatefleet_uplink_entries", "Entries sent, repeats included", uplink.entries)
        yield CounterMetricFamily("gatefleet_uplink_bytes", "Bytes sent", uplink.bytes)
        yield CounterMetricFamily("gatefleet_uplink_acks", "Acks of central's commits", uplink.acks)


async def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> asyncio.Server:
    """Serve `GET /metrics`; everything else is 404. Rendering runs in a thread. Raise LinkLost: cannot listen."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, body = b"404 Not Found", b"see /metrics\n"
            if head.startswith((b"GET /metrics ", b"GET /metrics?")):
                status, body = b"200 OK", await asyncio.to_thread(generate_latest, registry)
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)
            )
            async with asyncio.timeout(_REQUEST_S):
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # else a close would wait for a peer that takes nothing
        except asyncio.CancelledError:
            return  # the connection's outermost frame: asyncio would log a trace for it
        finally:
            writer.close()

    try:
        return await asyncio.start_server(answer, host, port, limit=_MAX_REQUEST)
    except OSError as error:
        raise LinkLost(f"cannot listen: {error.strerror}", place=f"metrics at {host}:{port}") from error
