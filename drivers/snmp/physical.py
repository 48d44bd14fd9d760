"""What a device is made of and feels: ENTITY-MIB, ENTITY-SENSOR-MIB, POWER-ETHERNET-MIB."""

from typing import Final

from drivers.facts import Fact, Measured
from drivers.snmp import oids
from drivers.snmp.layout import Entities, Poe, Sensors
from drivers.snmp.memory import Answer, Description, Query, Told, index_order, labels
from drivers.snmp.values import text_of

_CHASSIS: Final = 3
_ENTITY: Final = (
    oids.ENT_NAME,
    oids.ENT_DESCR,
    oids.ENT_CLASS,
    oids.ENT_FIRMWARE,
    oids.ENT_SOFTWARE,
    oids.ENT_SERIAL,
    oids.ENT_MAKER,
    oids.ENT_MODEL,
)
_SENSOR: Final = (
    oids.SENSOR_TYPE,
    oids.SENSOR_SCALE,
    oids.SENSOR_PRECISION,
    oids.SENSOR_VALUE,
    oids.SENSOR_STATUS,
)
_SENSOR_NAMES: Final = {
    3: "ac_v",
    4: "dc_v",
    5: "current_a",
    6: "power_w",
    7: "frequency_hz",
    8: "temperature_c",
    9: "humidity_pct",
    10: "fan_rpm",
    11: "air_m3_per_min",
}
"""EntitySensorDataType; truth values and others are not measured."""
_SENSOR_OK: Final = 1
_SENSOR_BROKEN: Final = 3
_OVERFLOW: Final = 1_000_000_000
"""A sensor over or under its range gives this number or its negative (RFC 3433, EntitySensorValue)."""
_UNITS: Final = 9
_DELIVERING: Final = 3
_FAULTS: Final = frozenset({4, 6})
_PSE_FAULTY: Final = 3


class PhysicalRows:
    """Entities and the sensors among them."""

    def __init__(self, entities: Entities | None, sensors: Sensors | None, description: Description) -> None:
        self._description = description
        self._names: dict[str, str] = {}
        self._told = Told()
        self._entities = (
            Query("entities", entities.interval_ms, columns=_ENTITY, rows=entities.rows) if entities else None
        )
        self._sensors = Query("sensors", sensors.interval_ms, columns=_SENSOR, rows=sensors.rows) if sensors else None

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return entities, then sensors."""
        return tuple(query for query in (self._entities, self._sensors) if query)

    def observe(self, query: Query, answer: Answer, at_ms: int) -> list[Fact]:  # noqa: ARG002 nothing here is a rate
        """Return the device's description, or what its sensors read."""
        return self._made_of(answer) if query == self._entities else self._felt(answer)

    def forget(self) -> None:
        """Forget the names: modules may have been changed."""
        self._names.clear()

    def _made_of(self, answer: Answer) -> list[Fact]:
        self._names = labels(answer.column(oids.ENT_NAME), answer.column(oids.ENT_DESCR))
        rows = sorted(answer.column(oids.ENT_CLASS), key=index_order)
        chassis = [row for row in rows if answer.number(oids.ENT_CLASS, row) == _CHASSIS]
        for row in chassis[:1]:

            def told(oid: str, row: str = row) -> str:
                return text_of(answer.column(oid).get(row, ""))

            firmware = told(oids.ENT_SOFTWARE) or told(oids.ENT_FIRMWARE)
            self._description.learn(
                vendor=told(oids.ENT_MAKER), model=told(oids.ENT_MODEL), serial=told(oids.ENT_SERIAL), firmware=firmware
            )
        return self._description.news()

    def _felt(self, answer: Answer) -> list[Fact]:
        readings: dict[str, float] = {}
        facts: list[Fact] = []
        rows: list[str] = []
        for index in answer.column(oids.SENSOR_VALUE):
            label = self._names.get(index, f"#{index}")
            status = answer.number(oids.SENSOR_STATUS, index)
            rows.append(label)
            facts += self._told.signal("sensor_fault", status == _SENSOR_BROKEN, label)
            name = _SENSOR_NAMES.get(answer.number(oids.SENSOR_TYPE, index) or 0)
            value = _sensed(answer, index)
            if name and value is not None and status == _SENSOR_OK:
                readings[f"{name}[{label}]"] = value
        facts += self._told.only(rows)
        return [*facts, Measured(readings)] if readings else facts


def _sensed(answer: Answer, index: str) -> float | None:
    """Return value * 1000^(scale - units) / 10^precision (RFC 3433); None where one of them cannot be."""
    value, scale = answer.number(oids.SENSOR_VALUE, index), answer.number(oids.SENSOR_SCALE, index)
    precision = answer.number(oids.SENSOR_PRECISION, index)
    if value is None or scale is None or precision is None or abs(value) >= _OVERFLOW:
        return None
    if not (1 <= scale <= 17 and -8 <= precision <= 9):
        return None
    return float(f"{value}e{3 * (scale - _UNITS) - precision}")


class PoeRows:
    """Power over Ethernet, by port and by supply."""

    def __init__(self, layout: Poe) -> None:
        self._layout = layout
        self._told = Told()
        ports, supplies = (oids.POE_ADMIN, oids.POE_DETECTION), (oids.PSE_POWER, oids.PSE_STATUS, oids.PSE_CONSUMPTION)
        self._ports = Query("poe_ports", layout.interval_ms, columns=ports, rows=layout.rows)
        self._supplies = Query("poe_supplies", layout.interval_ms, columns=supplies, rows=layout.rows)
        self._supply_told = Told()

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return ports, then supplies; nothing where the device has only its maker's tables."""
        return (self._ports, self._supplies) if self._layout.standard else ()

    def observe(self, query: Query, answer: Answer, at_ms: int) -> list[Fact]:  # noqa: ARG002 nothing here is a rate
        """Return what changed at ports, or the supplies' power."""
        return self._of_ports(answer) if query == self._ports else self._of_supplies(answer)

    def forget(self) -> None:
        """Keep all: nothing here is counted."""

    def _of_ports(self, answer: Answer) -> list[Fact]:
        facts: list[Fact] = []
        for index, state in answer.column(oids.POE_DETECTION).items():
            facts += self._told.signal("poe_delivering", state == _DELIVERING, index)
            facts += self._told.signal("poe_fault", state in _FAULTS, index)
            facts += self._told.signal("poe_disabled", answer.number(oids.POE_ADMIN, index) == 2, index)  # TruthValue
        return facts + self._told.only(answer.column(oids.POE_DETECTION))

    def _of_supplies(self, answer: Answer) -> list[Fact]:
        readings: dict[str, float] = {}
        facts: list[Fact] = []
        for name, oid in (("poe_capacity_w", oids.PSE_POWER), ("poe_used_w", oids.PSE_CONSUMPTION)):
            for index, watts in answer.column(oid).items():
                if isinstance(watts, int):
                    readings[f"{name}[{index}]"] = watts * self._layout.scale
        for index, state in answer.column(oids.PSE_STATUS).items():
            facts += self._supply_told.signal("poe_supply_fault", state == _PSE_FAULTY, index)
        facts += self._supply_told.only(answer.column(oids.PSE_STATUS))
        return [*facts, Measured(readings)] if readings else facts
