"""What Prometheus scrapes of the devices: by device, never by plate, token, terminal or ticket."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.messages.events import Health
from edge.board import Board, DeviceRecord
from edge.counters import CounterRunner
from edge.devices import Devices
from edge.library import LibrarySession
from edge.terminals import Terminals

_OPEN: Final = frozenset({"connections", "requests", "bytes"})
"""Of a server's counters those that are no refusals."""


class DeviceCollector(Collector):
    """Reads terminals, pushes, cameras and people counters at scrape time."""

    def __init__(self, devices: Devices, board: Board) -> None:
        self._devices = devices
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Yield the families; one of devices that this daemon does not have is left out."""
        yield from self._all()
        if ports := [one for one in self._devices.sessions.values() if isinstance(one, Terminals)]:
            yield from _terminals(ports)
        if self._devices.servers:
            yield from self._pushes()
        if cameras := [one for one in self._devices.sessions.values() if _is_camera(one)]:
            yield from _cameras([self._board.devices[one.spec.id] for one in cameras])
        if self._devices.counters:
            yield from _people(self._devices.counters)

    def _all(self) -> Iterator[Metric]:
        facts = CounterMetricFamily("gatefleet_device_facts", "Facts told", labels=["device"])
        rejected = CounterMetricFamily("gatefleet_device_rejected", "Frames or requests refused", labels=["device"])
        findings = GaugeMetricFamily("gatefleet_device_findings", "Findings now", labels=["device", "code"])
        for device, record in self._board.devices.items():
            facts.add_metric([device], record.counters["facts"])
            rejected.add_metric([device], record.counters["rejected"])
            codes = [one.code for one in record.findings if one.code != "ok"]
            for code in sorted(set(codes)):
                findings.add_metric([device, code], codes.count(code))
        yield from (facts, rejected, findings)

    def _pushes(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("gatefleet_push_requests", "HTTP requests of devices", labels=["listen"])
        read = CounterMetricFamily("gatefleet_push_bytes", "Bytes of their bodies", labels=["listen"])
        refused = CounterMetricFamily("gatefleet_push_refused", "Requests refused", labels=["listen", "why"])
        for listen, server in self._devices.servers.items():
            requests.add_metric([listen], server.counters["requests"])
            read.add_metric([listen], server.counters["bytes"])
            for why, count in sorted(server.counters.items()):
                if why not in _OPEN:
                    refused.add_metric([listen, why], count)
        later = CounterMetricFamily("gatefleet_push_later", "Pushes told to come again", labels=["device", "why"])
        repeats = CounterMetricFamily("gatefleet_push_repeats", "Reads that were pushed again", labels=["device"])
        for device in (one for server in self._devices.servers.values() for one in server.devices):
            counters = self._board.devices[device].counters
            repeats.add_metric([device], counters["repeats"])
            for why in ("busy", "not_committed"):
                later.add_metric([device, why], counters[why])
        yield from (requests, read, refused, later, repeats)


def _is_camera(session: object) -> bool:
    return isinstance(session, LibrarySession) and session.spec.driver.kind == "camera"


def _terminals(ports: list[Terminals]) -> Iterator[Metric]:
    online = GaugeMetricFamily("gatefleet_terminals_online", "Terminals that proved who they are", labels=["device"])
    told = {
        "accepted": "Connections taken",
        "refused": "Connections refused or closed for cause",
        "rejected": "Frames that break the protocol",
        "reports": "Reports committed",
        "unconfirmed": "Reports that could not be committed",
    }
    counts = {
        name: CounterMetricFamily(f"gatefleet_terminal_{name}", what, labels=["device"]) for name, what in told.items()
    }
    for port in ports:
        online.add_metric([port.spec.id], len(port.online))
        for name, family in counts.items():
            family.add_metric([port.spec.id], getattr(port.counts, name))
    yield from (online, *counts.values())


def _cameras(records: list[DeviceRecord]) -> Iterator[Metric]:
    up = GaugeMetricFamily("gatefleet_camera_up", "1 while it answers", labels=["device"])
    checks = CounterMetricFamily("gatefleet_camera_checks", "Looks at its clock and its picture", labels=["device"])
    offset = GaugeMetricFamily("gatefleet_camera_clock_offset_seconds", "Its clock, ahead of ours", labels=["device"])
    for record in records:
        device = record.spec.id
        up.add_metric([device], int(record.health not in {Health.OFFLINE, Health.UNKNOWN}))
        checks.add_metric([device], record.counters["measured"])
        if "clock_offset_s" in record.readings:
            offset.add_metric([device], record.readings["clock_offset_s"])
    yield from (up, checks, offset)


def _people(counters: dict[str, CounterRunner]) -> Iterator[Metric]:
    people = CounterMetricFamily("gatefleet_people", "Persons counted", labels=["device", "way"])
    doubted = CounterMetricFamily("gatefleet_people_reports_doubted", "Reports set aside", labels=["device", "why"])
    for device, counter in counters.items():
        people.add_metric([device, "entered"], counter.told["entered"])
        people.add_metric([device, "left"], counter.told["left"])
        for why, count in sorted(counter.doubted.items()):
            doubted.add_metric([device, why], count)
    yield from (people, doubted)
