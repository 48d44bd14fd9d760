"""A cabin's controller <-> words, from its profile.

- inputs, discrete: a contact for each door and its bolt, the buttons, mains; one read, so that they agree
- persons, input: how many are inside
- locks, coil: 1 = powered = locked, so that without power both doors are free
- screen, holding: a number for each text
"""

from collections.abc import Sequence
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.errors import FrameInvalid, Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Poll, Space, Write
from drivers.cabin.commands import CabinCommand, Screen, SetDoors, ShowScreen
from drivers.cabin.facts import CabinObserved, Door
from drivers.facts import Fact

MAX_PERSONS: Final = 32
"""A count above this is no count."""
COUNT_STALE: Final = "count_stale"
_STALE_LOOKS: Final = 5
"""More looks than may come between two counts when both polls work."""
_WRITE_COIL: Final = 5
_WRITE_REGISTER: Final = 6
_COIL_ON: Final = 0xFF00
_NOT_WIRED: Final = -1


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Inputs(_Section):
    """Which discrete input is which contact, from `address`; -1 where a button is not wired. 1 is as the name says."""

    address: int = Field(ge=0, le=0xFFFF)
    count: int = Field(ge=4, le=64)
    interval_ms: int = Field(ge=20, le=1_000)
    entrance_closed: int = Field(ge=0)
    entrance_locked: int = Field(ge=0)
    exit_closed: int = Field(ge=0)
    exit_locked: int = Field(ge=0)
    call: int = _NOT_WIRED
    egress: int = _NOT_WIRED
    emergency: int = _NOT_WIRED
    power_ok: int = _NOT_WIRED
    inverted: tuple[str, ...] = ()
    """Contacts that say the opposite, as break contacts do."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wired = {name: place for name in CONTACTS if (place := getattr(self, name)) != _NOT_WIRED}
        if wrong := sorted(name for name, place in wired.items() if not 0 <= place < self.count):
            raise ValueError(f"outside of count: {', '.join(wrong)}")
        if len(set(wired.values())) != len(wired):
            raise ValueError("two contacts on one input")
        if unknown := sorted(set(self.inverted) - set(wired)):
            raise ValueError(f"inverted, but no contact that is wired: {', '.join(unknown)}")
        return self


CONTACTS: Final = (
    "entrance_closed", "entrance_locked", "exit_closed", "exit_locked", "call", "egress", "emergency", "power_ok",
)  # fmt: skip


class Persons(_Section):
    """Where the number of persons inside stands, and which bits of the register after it are faults of the sensor."""

    address: int = Field(ge=0, le=0xFFFF)
    interval_ms: int = Field(ge=20, le=1_000)
    fault_bits: dict[str, int] = Field(default_factory=dict, max_length=16)


class Locks(_Section):
    """The coils of the locks. There is no setting for locks that lose power to lock: such a cabin is not safe."""

    entrance: int = Field(ge=0, le=0xFFFF)
    exit: int = Field(ge=0, le=0xFFFF)


class ScreenCodes(_Section):
    """The register of the screen, and the number of each text."""

    address: int = Field(ge=0, le=0xFFFF)
    codes: dict[Screen, int]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if missing := sorted(set(Screen) - set(self.codes)):
            raise ValueError(f"no code for: {', '.join(missing)}")
        if wrong := sorted(code for code in self.codes.values() if not 0 <= code <= 0xFFFF):
            raise ValueError(f"not a register's value: {wrong}")
        return self


class CabinMap(_Section):
    """The `map` of a cabin's profile."""

    watchdog_ms: int = Field(ge=200, le=60_000)
    """After so long without a request the controller frees both doors by itself."""
    inputs: Inputs
    persons: Persons
    locks: Locks
    screen: ScreenCodes

    @model_validator(mode="after")
    def _kept_awake(self) -> Self:
        slowest = max(self.inputs.interval_ms, self.persons.interval_ms)
        if self.watchdog_ms < 3 * slowest:
            raise ValueError(f"watchdog_ms below three polls of {slowest} ms: one lost answer would free the doors")
        if self.persons.interval_ms > 3 * self.inputs.interval_ms:
            raise ValueError("persons are counted less than once in three looks at the contacts")
        if self.locks.entrance == self.locks.exit:
            raise ValueError("one coil for both locks")
        return self


class CabinRegisters:
    """The registers of one cabin. Each look at the contacts is one state, with the count that was read before it.

    A count that is older than some looks is told as it is, with the fault `count_stale`: buttons are seen all the same.
    """

    def __init__(self, layout: CabinMap) -> None:
        self._map = layout
        inputs, persons = layout.inputs, layout.persons
        self._inputs = Poll("inputs", Space.DISCRETE, inputs.address, inputs.count, inputs.interval_ms)
        cells = 2 if persons.fault_bits else 1
        self._persons = Poll("persons", Space.INPUT, persons.address, cells, persons.interval_ms)
        self._counted: tuple[int, frozenset[str]] | None = None
        self._looks = 0

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the count first: a state is made when the contacts are read after it."""
        return (self._persons, self._inputs)

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the cabin's state for each look at the contacts once there is a count; raise FrameInvalid."""
        if len(values) != poll.count:
            raise FrameInvalid(f"{len(values)} values, the profile says {poll.count}", place=poll.name)
        if poll.name == self._persons.name:
            self._counted, self._looks = self._count(values), 0
            return ()
        if self._counted is None:
            return ()
        self._looks += 1
        persons, faults = self._counted
        stale = {COUNT_STALE} if self._looks > _STALE_LOOKS else set()
        return (_state(self._read(values), persons, faults | stale),)

    def writes(self, command: DeviceCommand | CabinCommand) -> tuple[Write, ...]:
        """Return the writes of a command; raise Unsupported."""
        match command:
            case SetDoors(entrance_locked=entrance, exit_locked=exit_):
                wanted = ((self._map.locks.entrance, entrance), (self._map.locks.exit, exit_))
                lock_first = sorted(wanted, key=lambda one: not one[1])
                return tuple(Write(_WRITE_COIL, address, (_COIL_ON if on else 0,)) for address, on in lock_first)
            case ShowScreen(screen=screen):
                return (Write(_WRITE_REGISTER, self._map.screen.address, (self._map.screen.codes[screen],)),)
            case _:
                raise Unsupported(f"a cabin has no {type(command).__name__}")

    def _count(self, values: Sequence[int]) -> tuple[int, frozenset[str]]:
        if values[0] > MAX_PERSONS:
            raise FrameInvalid(f"{values[0]} persons in a cabin", place=self._persons.name)
        bits = values[1] if len(values) > 1 else 0
        return values[0], frozenset(name for name, bit in self._map.persons.fault_bits.items() if bits >> bit & 1)

    def _read(self, values: Sequence[int]) -> dict[str, bool]:
        inputs = self._map.inputs
        wired = {name: getattr(inputs, name) for name in CONTACTS}
        return {
            name: bool(values[place]) is not (name in inputs.inverted)
            for name, place in wired.items()
            if place != _NOT_WIRED
        }


def _state(contacts: dict[str, bool], persons: int, faults: frozenset[str]) -> CabinObserved:
    return CabinObserved(
        entrance=Door(contacts["entrance_closed"], contacts["entrance_locked"]),
        exit=Door(contacts["exit_closed"], contacts["exit_locked"]),
        occupancy=persons,
        call=contacts.get("call", False),
        egress=contacts.get("egress", False),
        emergency=contacts.get("emergency", False),
        power_ok=contacts.get("power_ok", True),
        faults=faults,
    )
