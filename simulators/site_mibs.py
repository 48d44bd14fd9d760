"""What a site's agents have in their MIBs: switches, servers of Net-SNMP, firewalls whose licences end on a day."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from drivers.snmp import oids
from simulators.snmp import COUNTER32, GAUGE32, Mib
from simulators.snmp_mibs import SwitchState, switch_mib

_UCD: Final = "1.3.6.1.4.1.2021"
_STORAGE: Final = "1.3.6.1.2.1.25.2.3.1"
_FORTI: Final = "1.3.6.1.4.1.12356.101.4"
_LICENCES: Final = (("FortiCare", 400), ("IPS", 116), ("AntiVirus", 116), ("Application", 93))
"""A contract and the days until its end."""


def mib_of(profile: str) -> Mib:
    """Return what an agent of a profile has."""
    if profile == "generic/net-snmp-server":
        return server_mib()
    if profile.startswith("fortinet/"):
        return firewall_mib(datetime.now(UTC))
    return switch_mib(SwitchState())


def server_mib(started: float = 0.0) -> Mib:
    """Return a Linux server: two interfaces, load, memory, one disk."""
    mib = switch_mib(SwitchState(), ports=2, poe=0)
    mib.octets(oids.SYS_DESCR, "Linux server, Net-SNMP 5.9.3")
    mib.number(f"{_UCD}.10.1.5.1", 23)
    mib.number(f"{_UCD}.11.53.0", lambda: int((time.monotonic() - started) * 380), COUNTER32)
    mib.number(f"{_UCD}.4.5.0", 8_000_000)
    mib.number(f"{_UCD}.4.6.0", 3_100_000)
    mib.octets(f"{_STORAGE}.3.31", "/")
    mib.number(f"{_STORAGE}.5.31", 10_000_000)
    mib.number(f"{_STORAGE}.6.31", 4_200_000)
    return mib


def firewall_mib(now: datetime) -> Mib:
    """Return a firewall: its load, and its contracts with their ends as text, as FortiOS writes them."""
    mib = switch_mib(SwitchState(), ports=4, poe=0)
    mib.octets(oids.SYS_DESCR, "simulated firewall")
    mib.octets("1.3.6.1.4.1.12356.100.1.1.1.0", "SIMFW0001")
    mib.octets(f"{_FORTI}.1.1.0", "v7.2.8")
    for arc, value in ((3, 7), (4, 41), (8, 1200)):
        mib.number(f"{_FORTI}.1.{arc}.0", value, GAUGE32)
    for row, (name, days) in enumerate(_LICENCES, 1):
        mib.octets(f"{_FORTI}.6.3.1.2.1.1.{row}", name)
        mib.octets(f"{_FORTI}.6.3.1.2.1.2.{row}", (now + timedelta(days=days)).strftime("%a %b %d %H:%M:%S %Y"))
    return mib
