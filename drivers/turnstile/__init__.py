"""Turnstiles: gates for one person at a time, by Modbus. The profile's `map.layout` tells which wiring it is."""

from core.errors import ConfigInvalid
from core.messages.commands import CloseGate, OpenGate, ResetDevice, SetGateMode
from drivers.base import Driver, RegisterMap, Settings
from drivers.facts import GateObserved
from drivers.profile import Profile, checked_map
from drivers.turnstile.contacts import ContactMap, ContactTurnstile
from drivers.turnstile.registers import GateRegisters, RegisterTurnstile


def _make(profile: Profile, settings: Settings) -> RegisterMap:  # noqa: ARG001 a turnstile has no settings of its own
    layout = profile.map.get("layout")
    if layout == "registers":
        return RegisterTurnstile(checked_map(profile, GateRegisters))
    if layout == "contacts":
        return ContactTurnstile(checked_map(profile, ContactMap))
    raise ConfigInvalid(f"map.layout is {layout!r}", place=profile.name, cure="one of: registers, contacts")


DRIVER = Driver(
    name="turnstile",
    kind="turnstile",
    settings=Settings,
    make=_make,
    commands=frozenset({OpenGate, CloseGate, SetGateMode, ResetDevice}),
    facts=frozenset({GateObserved}),
    links=frozenset({"modbus+tcp", "modbus+rtu"}),
)
