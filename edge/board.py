"""How every device is, and why: what the technician asks, what central hears, what Prometheus scrapes."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from core.errors import NotFound
from core.messages.event import Event
from core.messages.events import DeviceHealthChanged, Health, LaneMode
from drivers.facts import Fact, GateObserved, Measured
from edge.sections import DeviceSpec

_MOST_NOTED: Final = 32
_MOST_READINGS: Final = 64
_GARBLED_FOR: Final = timedelta(seconds=60)
"""So long after the last rejected frame a good one makes a device well again: one that flickers is not well."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for a device's health; the CLI turns the code into a sentence and a cure."""

    code: str
    args: Mapping[str, Any] = field(default_factory=dict)
    mild: bool = False
    """Worth knowing, and no reason to call the device sick."""


@dataclass(slots=True)
class DeviceRecord:
    """The present state of one device."""

    spec: DeviceSpec
    health: Health = Health.UNKNOWN
    faults: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = (Finding("never_seen"),)
    since: datetime | None = None
    last_seen: datetime | None = None
    last_fact: Fact | None = None
    counters: Counter[str] = field(default_factory=Counter)
    readings: dict[str, float] = field(default_factory=dict)
    """The last of each point, of so many."""
    watchers: list[asyncio.Queue[Fact]] = field(default_factory=list)
    _link: Finding | None = Finding("never_seen")
    _degraded: Finding | None = None
    _noted: dict[str, Finding] = field(default_factory=dict)
    _garbled_at: datetime | None = None
    _gate: GateObserved | None = None


class Board:
    """All devices of a daemon. `tell` gets an event whenever a device's health or faults change."""

    def __init__(
        self,
        specs: Mapping[str, DeviceSpec],
        *,
        now: Callable[[], datetime],
        tell: Callable[[Event], None],
    ) -> None:
        self.hears: Callable[[str, Fact], None] = lambda _device, _fact: None
        """Hears every fact of every device; must be quick."""
        self.devices = {name: DeviceRecord(spec) for name, spec in specs.items()}
        self._now = now
        self._tell = tell

    def record(self, device: str) -> DeviceRecord:
        """Return a device's record; raise NotFound."""
        if device not in self.devices:
            raise NotFound(f"there is no device {device!r} here", cure="gatefleet device list shows those there are")
        return self.devices[device]

    def answers(self, device: str) -> None:
        """Note that the device's link is up or its unit answers."""
        self._set(self.devices[device], link=None)

    def silent(self, device: str, finding: Finding) -> None:
        """Note that nothing comes from the device."""
        self._set(self.devices[device], link=finding)

    def degraded(self, device: str, finding: Finding | None) -> None:
        """Note that part of the device does not work, or does again."""
        record = self.devices[device]
        record._degraded = finding  # noqa: SLF001 the board is the record's only writer
        self._judge(record)

    def noted(self, device: str, name: str, finding: Finding | None) -> None:
        """Note that something, by its name, is not as it should be, or is again; each device has some of them."""
        record = self.devices[device]
        noted = record._noted  # noqa: SLF001 as above
        if finding is None:
            noted.pop(name, None)
        elif name in noted or len(noted) < _MOST_NOTED:
            noted[name] = finding
        self._judge(record)

    def fact(self, device: str, fact: Fact) -> None:
        """Note a fact; facts with faults change the health."""
        record = self.devices[device]
        record.last_seen = self._now()
        record.last_fact = fact
        record.counters["facts"] += 1
        for queue in record.watchers:
            if not queue.full():
                queue.put_nowait(fact)
        if isinstance(fact, Measured):
            record.counters["measured"] += 1
            record.readings |= fact.readings if len(record.readings) < _MOST_READINGS else {}
        self.hears(device, fact)
        changed, record._link = record._link is not None, None  # noqa: SLF001 as above
        if isinstance(fact, GateObserved):
            before, record._gate = record._gate, fact  # noqa: SLF001 as above
            changed = changed or before is None or before.faults != fact.faults or before.mode is not fact.mode
        if changed:
            self._judge(record)
        if record._garbled_at is not None and record.last_seen - record._garbled_at >= _GARBLED_FOR:  # noqa: SLF001
            record._garbled_at = None  # noqa: SLF001 as above
            self.degraded(device, None)

    def rejected(self, device: str, detail: str) -> None:
        """Count bytes that were no frame."""
        record = self.devices[device]
        record.counters["rejected"] += 1
        record._garbled_at = self._now()  # noqa: SLF001 as above
        self.degraded(device, Finding("garbled", {"count": record.counters["rejected"], "last": detail[:120]}))

    def health_counts(self) -> dict[str, int]:
        """Return how many devices are in each health."""
        counts = Counter(record.health.value for record in self.devices.values())
        return {health.value: counts[health.value] for health in Health if health is not Health.MAINTENANCE}

    def _set(self, record: DeviceRecord, link: Finding | None) -> None:
        record._link = link  # noqa: SLF001 as above
        self._judge(record)

    def _judge(self, record: DeviceRecord) -> None:
        findings = tuple(_findings(record))
        health, faults = _health(record), tuple(sorted(record._gate.faults)) if record._gate else ()  # noqa: SLF001
        record.findings = findings or (Finding("ok"),)
        if (health, faults) == (record.health, record.faults):
            return
        record.health, record.faults, record.since = health, faults, self._now()
        detail = findings[0].code if findings else ""
        self._tell(DeviceHealthChanged(device=record.spec.id, health=health, faults=faults, detail=detail))


def _health(record: DeviceRecord) -> Health:
    link, gate = record._link, record._gate  # noqa: SLF001 as above
    if link is not None:
        return Health.UNKNOWN if link.code == "never_seen" else Health.OFFLINE
    if gate is not None and gate.faults:
        return Health.FAULT
    noted = record._noted.values()  # noqa: SLF001 as above
    sick = record._degraded is not None or any(not one.mild for one in noted)  # noqa: SLF001 as above
    return Health.DEGRADED if sick else Health.OK


def _findings(record: DeviceRecord) -> Iterator[Finding]:
    if record._link is not None:  # noqa: SLF001 as above
        yield record._link  # noqa: SLF001 as above
    gate = record._gate  # noqa: SLF001 as above
    if gate is not None:
        for name in sorted(gate.faults):
            yield Finding("fault_bit", {"name": name})
        if gate.mode is not LaneMode.NORMAL:
            yield Finding("mode_not_normal", {"mode": gate.mode.value})
    if record._degraded is not None:  # noqa: SLF001 as above
        yield record._degraded  # noqa: SLF001 as above
    yield from (record._noted[name] for name in sorted(record._noted))  # noqa: SLF001 as above
