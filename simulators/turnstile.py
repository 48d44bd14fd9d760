"""A turnstile as a piece of machinery: wings, counters, sensors and faults behind real Modbus registers or relays.

`Gate` is the mechanics, the same for both wirings; `register_bank` and `contact_bank` put it behind the registers of a
firmware profile. A person is `await gate.walk(...)`; what physically happened is what the gate counted.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from core.clearance.model import Direction
from core.messages.events import LaneMode
from drivers.profile import Profile, checked_map
from drivers.turnstile.contacts import ContactMap
from drivers.turnstile.registers import GateRegisters
from simulators.modbus import ILLEGAL_ADDRESS, Bank

_RELEASE_S: Final = 8.0
"""How long a relay-board release stays armed in the turnstile's own controller."""
_CONTACT_S: Final = 0.7
"""How long a passage contact stays closed: some polls of the retrofit profile, also on a busy machine."""
_BEHIND_S: Final = 1.1
"""How far a tailgater is behind: longer than a contact, shorter than the tailgate window."""
_OPEN_MODES: Final = frozenset({LaneMode.FREE, LaneMode.EMERGENCY})


@dataclass(slots=True)
class Gate:
    """The mechanics of one gate."""

    mode: LaneMode = LaneMode.NORMAL
    released: dict[Direction, int] = field(default_factory=lambda: dict.fromkeys(Direction, 0))
    counts: dict[Direction, int] = field(default_factory=lambda: dict.fromkeys(Direction, 0))
    faults: set[str] = field(default_factory=set)
    inside: bool = False
    contacts: set[Direction] = field(default_factory=set)
    on_count: Callable[[Direction], None] | None = None
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self, direction: Direction, persons: int = 1) -> None:
        """Arm a release."""
        self.released[direction] = persons
        self._wake()

    def cancel(self) -> None:
        """Take releases back, unless somebody stands in the gate."""
        if not self.inside:
            self.released = dict.fromkeys(Direction, 0)
            self._wake()

    def set_mode(self, mode: LaneMode) -> None:
        """Change the mode."""
        self.mode = mode
        self._wake()

    def fault(self, name: str, *, on: bool) -> None:
        """Break or mend something."""
        (self.faults.add if on else self.faults.discard)(name)
        self._wake()

    def open_for(self, direction: Direction) -> bool:
        """Tell whether the wings let a person through."""
        if "door_jam" in self.faults or self.inside:
            return False
        return self.mode in _OPEN_MODES or (self.mode is LaneMode.NORMAL and self.released[direction] > 0)

    async def wait_open(self, direction: Direction, patience_s: float) -> bool:
        """Wait in front of the gate; tell whether it opened in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._until(lambda: self.open_for(direction))
                return True
        return False

    async def wait_closed(self, direction: Direction) -> None:
        """Wait until the gate has taken its release back."""
        await self._until(lambda: not self.open_for(direction))

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._moved.clear()
            await self._moved.wait()

    async def walk(self, direction: Direction, seconds: float, persons: int = 1) -> None:
        """Go through an open gate; `persons` above one follow so close that the wings do not close between."""
        self.inside = True
        if self.released[direction]:
            self.released[direction] -= 1
        await asyncio.sleep(seconds)
        self.inside = False
        self.count(direction)
        for _ in range(persons - 1):
            await asyncio.sleep(_BEHIND_S)
            self.count(direction)
        self._wake()

    def count(self, direction: Direction) -> None:
        """Count one person."""
        self.counts[direction] += 1
        if self.on_count is not None:
            self.on_count(direction)
        self.contacts.add(direction)
        asyncio.get_running_loop().call_later(_CONTACT_S, self.contacts.discard, direction)

    def _wake(self) -> None:
        self._moved.set()


def gate_bank(gate: Gate, profile: Profile) -> Bank:
    """Return the Modbus side of a gate, as its profile says."""
    if profile.map.get("layout") == "contacts":
        return contact_bank(gate, checked_map(profile, ContactMap))
    return register_bank(gate, checked_map(profile, GateRegisters))


def register_bank(gate: Gate, layout: GateRegisters) -> Bank:
    """Put a gate behind registers."""
    status, controls = layout.status, layout.controls
    mode_of = {value: mode for mode, value in layout.modes.items()}
    bank = Bank(inputs=dict.fromkeys(range(status.address, status.address + status.count), 0))
    bank.holdings = dict.fromkeys(
        (controls.mode, controls.release_in, controls.release_out, controls.cancel, controls.reset), 0
    )

    def refresh(*_: object) -> None:
        cells, base = bank.inputs, status.address
        cells[base + status.mode] = layout.modes[gate.mode]
        cells[base + status.faults] = sum(1 << layout.fault_bits[name] for name in gate.faults)
        cells[base + status.sensors] = 1 << layout.sensor_bits["middle"] if gate.inside else 0
        cells[base + status.released] = sum(gate.released.values())
        for offset, direction in ((status.in_count, Direction.IN), (status.out_count, Direction.OUT)):
            count = gate.counts[direction]
            cells[base + offset], cells[base + offset + 1] = count >> 16 & 0xFFFF, count & 0xFFFF

    def write(function: int, address: int, values: tuple[int, ...]) -> int | None:
        del function
        actions: dict[int, Callable[[int], None]] = {
            controls.mode: lambda value: gate.set_mode(mode_of[value]),
            controls.release_in: lambda value: gate.release(Direction.IN, value),
            controls.release_out: lambda value: gate.release(Direction.OUT, value),
            controls.cancel: lambda _: gate.cancel(),
            controls.reset: lambda _: gate.faults.clear(),
        }
        if address not in actions:
            return ILLEGAL_ADDRESS
        actions[address](values[0])
        return None

    bank.before_read, bank.on_write = refresh, write
    return bank


def contact_bank(gate: Gate, layout: ContactMap) -> Bank:
    """Put a gate behind a relay board."""
    contacts, relays = layout.contacts, layout.relays
    bank = Bank(
        coils=dict.fromkeys(range(relays.address, relays.address + relays.count), 0),
        discretes=dict.fromkeys(range(contacts.address, contacts.address + contacts.count), 0),
    )
    pulses = {
        relays.pulse_address + relays.open_in: Direction.IN,
        relays.pulse_address + relays.open_out: Direction.OUT,
    }
    modes = {relays.free: LaneMode.FREE, relays.lock: LaneMode.LOCKED, relays.emergency: LaneMode.EMERGENCY}

    def refresh(*_: object) -> None:
        cells = bank.discretes
        cells[contacts.address + contacts.passed_in] = int(Direction.IN in gate.contacts)
        cells[contacts.address + contacts.passed_out] = int(Direction.OUT in gate.contacts)
        if contacts.fault >= 0:
            cells[contacts.address + contacts.fault] = int(bool(gate.faults))

    def write(function: int, address: int, values: tuple[int, ...]) -> int | None:
        del function
        if address in pulses:
            gate.release(pulses[address])
            asyncio.get_running_loop().call_later(_RELEASE_S, gate.cancel)
            return None
        relay = address - relays.address
        if relay not in modes:
            return ILLEGAL_ADDRESS
        on = {place for place in modes if bank.coils[relays.address + place] and place != relay}
        on |= {relay} if values[0] else set()
        gate.set_mode(modes[max(on)] if on else LaneMode.NORMAL)
        return None

    bank.before_read, bank.on_write = refresh, write
    return bank
