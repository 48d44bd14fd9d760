"""All that is asked of one device, and what its answers mean.

Promises:
1. A device that began anew is told so once, and no rate spans its restart.
2. What is remembered outlives a lost link, so that a restart in between is seen.
3. No answer can make it raise; no table can make it remember more than its last answer had rows.
"""

from typing import Final

from core.errors import Unsupported
from drivers.facts import Fact, Measured
from drivers.snmp import oids
from drivers.snmp.commands import PortSwitch, ResetPoePort
from drivers.snmp.facts import DeviceRestarted
from drivers.snmp.interfaces import InterfaceRows
from drivers.snmp.layout import SnmpMap, SnmpSettings
from drivers.snmp.memory import Answer, Description, Part, Query, Told
from drivers.snmp.physical import PhysicalRows, PoeRows
from drivers.snmp.points import ScalarPoints, TablePoints
from drivers.snmp.values import TICKS, restarted, text_of

_SYSTEM: Final = "system"


class SystemGroup:
    """sysDescr and sysUpTime (RFC 3418)."""

    def __init__(self, interval_ms: int, description: Description) -> None:
        self._query = Query(_SYSTEM, interval_ms, scalars=(oids.SYS_UP_TIME, oids.SYS_DESCR))
        self._description = description
        self._last: tuple[int, int] | None = None
        self._wraps = 0

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return the one query."""
        return (self._query,)

    def observe(self, query: Query, answer: Answer, at_ms: int) -> list[Fact]:  # noqa: ARG002 there is but one
        """Return a restart, the time since it, and the description where it is new."""
        self._description.suggest(firmware=text_of(answer.scalars.get(oids.SYS_DESCR, "")))
        ticks = answer.scalars.get(oids.SYS_UP_TIME)
        if not isinstance(ticks, int) or not 0 <= ticks < TICKS:
            return self._description.news()
        facts: list[Fact] = []
        if self._last is not None:
            before, before_ms = self._last
            if restarted(before, ticks, (at_ms - before_ms) / 1000):
                self._wraps = 0
                facts.append(DeviceRestarted(ticks / 100))
            elif ticks < before and before - ticks > TICKS // 2:
                self._wraps += 1
        self._last = (ticks, at_ms)
        up_s = (self._wraps * TICKS + ticks) / 100
        return [*facts, *self._description.news(), Measured({"uptime_s": up_s})]

    def forget(self) -> None:
        """Keep all: it is the clock that tells when to forget."""


class SnmpObserver:
    """One device: a profile's map and its settings."""

    def __init__(self, layout: SnmpMap, settings: SnmpSettings, *, vendor: str, model: str) -> None:
        self.layout = layout
        self.settings = settings
        description = Description(vendor, model)
        parts: list[Part] = [SystemGroup(layout.system_interval_ms, description)]
        if layout.entities or layout.sensors:
            parts.append(PhysicalRows(layout.entities, layout.sensors, description))
        if layout.interfaces:
            parts.append(InterfaceRows(layout.interfaces))
        if layout.poe:
            parts.append(PoeRows(layout.poe))
        parts.append(ScalarPoints(layout, description))
        parts += (TablePoints(table, layout, description) for table in layout.table)
        self._parts = parts
        self._of = {query: part for part in parts for query in part.queries}
        self._told = Told()
        self._long: frozenset[str] = frozenset()

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return what to ask, the device's clock and names first."""
        return tuple(self._of)

    def observe(self, query: Query, answer: Answer, at_ms: int) -> tuple[Fact, ...]:
        """Return what an answer means that came at `at_ms` of the edge's monotonic clock."""
        facts = self._of[query].observe(query, answer, at_ms)
        if any(isinstance(fact, DeviceRestarted) for fact in facts):
            for part in self._parts:
                part.forget()
        return (*facts, *self._cut(query, truncated=answer.truncated))

    def switch(self, command: ResetPoePort) -> PortSwitch:
        """Return where a port's power is switched; raise Unsupported where it may not be."""
        poe = self.layout.poe
        if poe is None:
            raise Unsupported("the profile knows no power over Ethernet")
        if command.port not in self.settings.ports:
            allowed = ", ".join(self.settings.ports[:16]) or "none"
            raise Unsupported(f"port {command.port} may not be switched", cure=f"the settings allow: {allowed}")
        return PortSwitch(f"{poe.admin_oid}.{command.port}", poe.off, poe.on)

    def _cut(self, query: Query, *, truncated: bool) -> list[Fact]:
        """Return that a table was longer than was read, or is no more."""
        if not query.columns or (not truncated and query.name not in self._long):
            return []
        self._long |= {query.name}
        return self._told.signal("table_truncated", truncated, query.name)
