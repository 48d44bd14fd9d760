"""Boarding-verification cabins: two doors, occupancy, buttons and a result screen on a Modbus controller."""

from drivers.base import Driver, RegisterMap, Settings
from drivers.cabin.commands import SetDoors, ShowScreen
from drivers.cabin.facts import CabinObserved
from drivers.cabin.layout import CabinMap, CabinRegisters
from drivers.profile import Profile, checked_map


def _make(profile: Profile, settings: Settings) -> RegisterMap:  # noqa: ARG001 a cabin has no settings of its own
    return CabinRegisters(checked_map(profile, CabinMap))


DRIVER = Driver(
    name="cabin",
    kind="cabin",
    settings=Settings,
    make=_make,
    commands=frozenset({SetDoors, ShowScreen}),
    facts=frozenset({CabinObserved}),
    links=frozenset({"modbus+tcp", "modbus+rtu"}),
)
