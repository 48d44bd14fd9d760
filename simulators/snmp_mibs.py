"""What simulated devices have in their MIBs: a switch with PoE, and a firewall with licences."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.snmp import ber, oids
from simulators.snmp import COUNTER32, COUNTER64, GAUGE32, Mib


@dataclass(slots=True)
class SwitchState:
    """What a switch is like; set while it runs."""

    clock: Callable[[], float] = time.monotonic
    down: set[int] = field(default_factory=set)
    """Ports without a link, by ifIndex."""
    temperature_c: float = 41.5
    in_bps: int = 8_000_000
    """Through each port."""
    counted_from: float = 0.0
    octets_from: int = 0
    """Where each octet counter stood at `counted_from`."""

    def octets(self) -> int:
        """Return an octet counter."""
        return self.octets_from + int((self.clock() - self.counted_from) * self.in_bps / 8)


def switch_mib(state: SwitchState, *, ports: int = 10, poe: int = 4) -> Mib:
    """Return a switch: `ports` interfaces of 1 Gbit/s, PoE on the first, one temperature."""
    mib = Mib()
    mib.octets(oids.SYS_DESCR, "Reference switch, software 1.4")
    mib.octets(oids.SYS_NAME, "sw-1")
    for port in range(1, ports + 1):
        _interface(mib, state, port)
    for port in range(1, poe + 1):
        mib.writable(f"{oids.POE_ADMIN}.1.{port}", 1)
        oid = tuple(int(arc) for arc in f"{oids.POE_ADMIN}.1.{port}".split("."))
        mib.number(f"{oids.POE_DETECTION}.1.{port}", lambda oid=oid: 3 if mib.written[oid] == 1 else 1)  # type: ignore[misc]  # bound default
    mib.number(f"{oids.PSE_POWER}.1", 370, GAUGE32)
    mib.number(f"{oids.PSE_STATUS}.1", 1)
    mib.number(f"{oids.PSE_CONSUMPTION}.1", 7 * poe, GAUGE32)
    _entities(mib, state)
    return mib


def _interface(mib: Mib, state: SwitchState, port: int) -> None:
    mib.octets(f"{oids.IF_NAME}.{port}", f"GE0/0/{port}")
    mib.octets(f"{oids.IF_DESCR}.{port}", f"GigabitEthernet0/0/{port}")
    mib.number(f"{oids.IF_TYPE}.{port}", 6)
    mib.number(f"{oids.IF_SPEED}.{port}", 1_000_000_000, GAUGE32)
    mib.number(f"{oids.IF_HIGH_SPEED}.{port}", 1000, GAUGE32)
    mib.number(f"{oids.IF_ADMIN}.{port}", 1)
    mib.number(f"{oids.IF_OPER}.{port}", lambda: 2 if port in state.down else 1)
    for oid in (oids.IF_IN_OCTETS, oids.IF_OUT_OCTETS):
        mib.number(f"{oid}.{port}", state.octets, COUNTER32)
    for oid in (oids.IF_HC_IN_OCTETS, oids.IF_HC_OUT_OCTETS):
        mib.number(f"{oid}.{port}", state.octets, COUNTER64)
    for oid in (oids.IF_IN_ERRORS, oids.IF_OUT_ERRORS, oids.IF_IN_DISCARDS, oids.IF_OUT_DISCARDS):
        mib.number(f"{oid}.{port}", 0, COUNTER32)


def _entities(mib: Mib, state: SwitchState) -> None:
    for index, kind, name in ((1, 3, "Chassis"), (9, 8, "Inlet")):
        mib.octets(f"{oids.ENT_DESCR}.{index}", name)
        mib.octets(f"{oids.ENT_NAME}.{index}", name)
        mib.number(f"{oids.ENT_CLASS}.{index}", kind)
    for oid, text in (
        (oids.ENT_FIRMWARE, "boot 2"),
        (oids.ENT_SOFTWARE, "1.4"),
        (oids.ENT_SERIAL, "REF0001"),
        (oids.ENT_MAKER, "Reference"),
        (oids.ENT_MODEL, "SW-10P"),
    ):
        mib.octets(f"{oid}.1", text)
    mib.number(f"{oids.SENSOR_TYPE}.9", 8)
    mib.number(f"{oids.SENSOR_SCALE}.9", 9)
    mib.number(f"{oids.SENSOR_PRECISION}.9", 1)
    mib.number(f"{oids.SENSOR_VALUE}.9", lambda: round(state.temperature_c * 10), ber.INTEGER)
    mib.number(f"{oids.SENSOR_STATUS}.9", 1)


def long_table(mib: Mib, column: str, rows: int) -> None:
    """Add a column of many rows."""
    for row in range(1, rows + 1):
        mib.number(f"{column}.{row}", row, GAUGE32)
