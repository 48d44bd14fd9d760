"""Barriers at a road behind a Modbus relay board: relays raise and lower the arm, inputs tell loops, photocell and arm.

What differs between boards and wirings stands in the profile's `map` (see `layout`): which bit is which contact, which
write makes which move.
"""

from drivers.barrier.commands import LowerArm, RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.barrier.layout import BarrierBoard, BarrierMap
from drivers.base import Driver, RegisterMap, Settings
from drivers.facts import DeviceSignal
from drivers.profile import Profile, checked_map


def _make(profile: Profile, settings: Settings) -> RegisterMap:  # noqa: ARG001 a barrier has no settings of its own
    return BarrierBoard(checked_map(profile, BarrierMap))


DRIVER = Driver(
    name="barrier",
    kind="barrier",
    settings=Settings,
    make=_make,
    commands=frozenset({RaiseArm, LowerArm, SetLight}),
    facts=frozenset({BarrierSeen, DeviceSignal}),
    links=frozenset({"modbus+tcp", "modbus+rtu"}),
)
