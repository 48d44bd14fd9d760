"""What Prometheus scrapes, over a real socket and read by its own parser."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.clearance.model import Direction, Effect
from core.errors import LinkLost
from core.messages.event import Stream
from core.messages.events import AnomalyKind, PassageAnomaly, PassageCleared, PassageDecided
from edge import health
from edge.buffer import open_buffer
from edge.health import DaemonCollector, Metrics, serve_metrics
from edge.ledger import Ledger
from edge.uplink import UplinkState

from .conftest import HandClock


class FakeBoard:
    def health_counts(self):
        return {"ok": 27, "fault": 1}


@pytest.fixture
async def port(tmp_path):
    clock = HandClock()
    async with open_buffer(tmp_path / "buffer.db", 8_000_000, clock.stamp) as buffer:
        ledger = Ledger(buffer, clock.stamp)
        metrics = Metrics()
        sources = SimpleNamespace(
            board=FakeBoard(), buffer=buffer, ledger=ledger, clock=clock, uplink=UplinkState("mqtt://x", up=True)
        )
        metrics.registry.register(DaemonCollector(sources))
        common = {"lane": "L1", "attempt": "A", "direction": Direction.IN, "subject_token": "d-secret-token"}
        decided = PassageDecided(
            **common, device="RD", document_kind="passport", effect=Effect.RELEASE, reasons=(), ruleset_version=1
        )
        cleared = PassageCleared(**common, opened_ms=4.0, duration_ms=900)
        tailgate = PassageAnomaly(lane="L1", kind=AnomalyKind.TAILGATE)
        for event in (decided, cleared, tailgate, object()):
            metrics.event(event)
        metrics.decided(0.0004)
        metrics.opened(0.012)
        await ledger.commit((decided, cleared, tailgate))
        server = await serve_metrics(metrics.registry, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
        await asyncio.sleep(0.01)


async def fetch(port, request=b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    raw = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.decode(), body.decode()


def samples(body):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def test_the_page_parses_and_tells_the_truth(port):
    head, body = await fetch(port)
    assert head.startswith("HTTP/1.1 200 OK")
    assert f"Content-Length: {len(body.encode())}" in head
    found = samples(body)
    assert found["gatefleet_buffer_entries", (("stream", "vital"),)] == 3
    assert found["gatefleet_decisions_total", (("effect", "release"), ("lane", "L1"))] == 1
    assert found["gatefleet_passages_total", (("lane", "L1"),)] == 1
    assert found["gatefleet_anomalies_total", (("kind", "tailgate"), ("lane", "L1"))] == 1
    assert found["gatefleet_devices", (("health", "ok"),)] == 27
    assert found["gatefleet_uplink_up", ()] == 1
    assert found["gatefleet_buffer_healthy", ()] == 1
    assert found["gatefleet_owed_entries", ()] == 0
    assert found["gatefleet_owed_shed_total", ()] == 0
    assert found["gatefleet_gate_command_seconds_bucket", (("le", "0.02"),)] == 1
    assert found["gatefleet_gate_command_seconds_bucket", (("le", "0.01"),)] == 0
    assert {stream.value for stream in Stream} == {
        dict(labels)["stream"] for name, labels in found if name == "gatefleet_buffer_dropped_total"
    }


async def test_names_bear_the_house_and_a_unit_and_no_label_names_anybody(port):
    _, body = await fetch(port)
    for family in text_string_to_metric_families(body):
        assert family.name.startswith("gatefleet_")
        assert family.documentation
        for sample in family.samples:
            assert set(sample.labels) <= {"lane", "effect", "kind", "stream", "health", "le"}
    assert "secret" not in body


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.0\r\n\r\n", "200"),
        (b"GET /metrics?name[]=x HTTP/1.1\r\n\r\n", "200"),
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", "404"),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "404"),
        (b"\x00\xff\r\n\r\n", "404"),
    ],
)
async def test_other_paths_are_not_found(port, request_, status):
    head, _ = await fetch(port, request_)
    assert head.split(" ")[1] == status
    assert "Connection: close" in head


async def test_a_head_without_an_end_is_cut_off(port):
    with contextlib.suppress(OSError):
        head, _ = await fetch(port, b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 100_000)
        assert head == ""


async def test_a_caller_that_vanishes_is_no_error(port):
    for _ in range(10):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /met")
        writer.transport.abort()
    assert (await fetch(port))[0].startswith("HTTP/1.1 200")


async def test_slow_callers_hold_up_nobody_and_are_given_up(port, monkeypatch):
    monkeypatch.setattr(health, "_REQUEST_S", 0.1)
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
    for _, writer in slow:
        writer.write(b"GET /metrics")
    head, _ = await asyncio.wait_for(fetch(port), 2)
    assert head.startswith("HTTP/1.1 200")
    for reader, writer in slow:
        with contextlib.suppress(OSError):
            assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()


async def test_rendering_does_not_hold_up_the_lanes(port):
    """It runs beside the loop, so that a large page delays no gate by its whole length."""
    beats = []

    async def beat():
        while True:
            beats.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.001)

    beating = asyncio.create_task(beat())
    await asyncio.gather(*(fetch(port) for _ in range(20)))
    beating.cancel()
    assert max(after - before for before, after in zip(beats, beats[1:], strict=False)) < 0.1


async def test_a_port_that_is_taken_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LinkLost, match="cannot listen") as caught:
            await serve_metrics(Metrics().registry, "127.0.0.1", taken.getsockname()[1])
    assert "metrics" in caught.value.place
