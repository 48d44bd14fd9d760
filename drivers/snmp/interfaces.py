"""IF-MIB (RFC 2863): which interfaces are up, what goes through them, what is lost."""

from dataclasses import dataclass
from typing import Final

from drivers.facts import Fact, Measured
from drivers.snmp import oids
from drivers.snmp.layout import Interfaces
from drivers.snmp.memory import Answer, Counters, Query, Told, labels

_UP: Final = frozenset({1, 5})
"""ifOperStatus: up, dormant (waits for a call, and is well)."""
_DISABLED: Final = 2
_BURST: Final = 1.5
"""An agent that counts late shows so much more than the line can carry."""
_LOST: Final = {
    "in_errors_per_s": oids.IF_IN_ERRORS,
    "out_errors_per_s": oids.IF_OUT_ERRORS,
    "in_discards_per_s": oids.IF_IN_DISCARDS,
    "out_discards_per_s": oids.IF_OUT_DISCARDS,
}
_WIDE: Final = {"in_bps": oids.IF_HC_IN_OCTETS, "out_bps": oids.IF_HC_OUT_OCTETS}
_NARROW: Final = {"in_bps": oids.IF_IN_OCTETS, "out_bps": oids.IF_OUT_OCTETS}
_NAMES: Final = (oids.IF_NAME, oids.IF_DESCR, oids.IF_TYPE, oids.IF_HIGH_SPEED, oids.IF_SPEED)


@dataclass(frozen=True, slots=True)
class _Port:
    label: str
    bytes_per_s: float | None
    skipped: bool


class InterfaceRows:
    """The interfaces of one device. An interface that is gone is told as not up."""

    def __init__(self, layout: Interfaces) -> None:
        self._layout = layout
        self._octets = _WIDE if layout.wide else _NARROW
        self._lost = _LOST if layout.errors else {}
        self._ports: dict[str, _Port] = {}
        self._counters = Counters()
        self._told = Told()
        columns = (oids.IF_ADMIN, oids.IF_OPER, *self._octets.values(), *self._lost.values())
        self._names = Query("interface_names", layout.names_interval_ms, columns=_NAMES, rows=layout.rows)
        self._rows = Query("interfaces", layout.interval_ms, columns=columns, rows=layout.rows)

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return names and types, then states and counters."""
        return (self._names, self._rows)

    def observe(self, query: Query, answer: Answer, at_ms: int) -> list[Fact]:
        """Return states that changed, and rates."""
        if query == self._names:
            self._name(answer)
            return []
        readings: dict[str, float] = {}
        facts: list[Fact] = []
        rows: list[str] = []
        for index in answer.column(oids.IF_OPER):
            port = self._ports.get(index) or _Port(f"#{index}", None, skipped=False)
            if port.skipped:
                continue
            rows.append(port.label)
            facts += self._states(port, answer, index)
            readings |= self._rates(port, answer, index, at_ms)
        facts += self._told.only(rows)
        self._counters.only(rows)
        return [*facts, Measured(readings)] if readings else facts

    def forget(self) -> None:
        """Forget counters and names: an index may be another interface now."""
        self._counters.clear()
        self._ports.clear()

    def _name(self, answer: Answer) -> None:
        names = labels(answer.column(oids.IF_NAME), answer.column(oids.IF_DESCR))
        self._ports = {
            index: _Port(label, _speed(answer, index), answer.number(oids.IF_TYPE, index) in self._layout.skip_types)
            for index, label in names.items()
        }

    def _states(self, port: _Port, answer: Answer, index: str) -> list[Fact]:
        disabled = answer.number(oids.IF_ADMIN, index) == _DISABLED
        up = answer.number(oids.IF_OPER, index) in _UP
        return [
            *self._told.signal("interface_disabled", disabled, port.label),
            *self._told.signal("interface_up", up, port.label),
        ]

    def _rates(self, port: _Port, answer: Answer, index: str, at_ms: int) -> dict[str, float]:
        bits = 64 if self._layout.wide else 32
        found: dict[str, float] = {}
        for name, oid in (*self._octets.items(), *self._lost.items()):
            count = answer.number(oid, index)
            if count is None:
                continue
            octets = name in self._octets
            rate = self._counters.rate(
                name,
                port.label,
                count,
                at_ms,
                bits=bits if octets else 32,
                ceiling=port.bytes_per_s if octets else None,
            )
            if rate is not None:
                found[f"{name}[{port.label}]"] = round(rate * (8 if octets else 1), 3)
        return found


def _speed(answer: Answer, index: str) -> float | None:
    """Return how many bytes a second may be seen at most; None where the device does not tell its speed."""
    bits = (answer.number(oids.IF_HIGH_SPEED, index) or 0) * 1_000_000 or answer.number(oids.IF_SPEED, index) or 0
    return bits / 8 * _BURST or None
