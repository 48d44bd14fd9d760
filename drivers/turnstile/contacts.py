"""A turnstile behind a relay board: dry contacts in, relays out, as retrofits are wired.

The board does not count: a passage is a rising edge of a contact, so the polls must be quicker than the pulse, and what
passes while nobody polls is not seen (`counts_survive` is False).
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.clearance.model import Direction
from core.errors import FrameInvalid, Unsupported
from core.messages.commands import DeviceCommand, OpenGate, SetGateMode
from core.messages.events import LaneMode
from drivers.base import Poll, Space, Write
from drivers.facts import Fact, GateObserved

_WRITE_COIL = 5
_COIL_ON = 0xFF00
_COUNTER_SPAN = 1 << 32


class Contacts(BaseModel):
    """Which discrete input is which contact; -1 where it is not wired."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: int = Field(ge=0)
    count: int = Field(ge=1, le=64)
    interval_ms: int = Field(ge=20, le=1_000)
    passed_in: int
    passed_out: int
    fault: int = -1
    emergency: int = -1
    """An escape push-button wired to the gate itself."""


class Relays(BaseModel):
    """Which relay does what. `pulse_address` + relay takes a time in tenths of a second; the board ends it itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: int = Field(ge=0)
    count: int = Field(ge=1, le=64)
    interval_ms: int = Field(ge=50, le=60_000)
    open_in: int
    open_out: int
    free: int
    lock: int
    emergency: int
    pulse_address: int
    pulse_ms: int = Field(ge=100, le=5_000)


class ContactMap(BaseModel):
    """The `map` of a profile with `layout = "contacts"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["contacts"]
    contacts: Contacts
    relays: Relays


class ContactTurnstile:
    """Contacts and relays of one turnstile <-> words. Keeps the last contacts, to see edges."""

    def __init__(self, layout: ContactMap) -> None:
        self._map = layout
        contacts, relays = layout.contacts, layout.relays
        self._inputs = Poll("contacts", Space.DISCRETE, contacts.address, contacts.count, contacts.interval_ms)
        self._outputs = Poll("relays", Space.COIL, relays.address, relays.count, relays.interval_ms)
        self._mode: LaneMode | None = None
        self._last: tuple[int, ...] | None = None
        self._passed = {Direction.IN: 0, Direction.OUT: 0}

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the relays first: without the mode no state is whole."""
        return (self._outputs, self._inputs)

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the gate's state once relays and contacts are both known."""
        if len(values) != poll.count:
            raise FrameInvalid(f"{len(values)} bits, the profile says {poll.count}", place=poll.name)
        if poll.name == self._outputs.name:
            self._mode = self._mode_of(values)
        else:
            self._count_edges(tuple(values))
        if self._mode is None or self._last is None:
            return ()
        return (self._state(self._mode, self._last),)

    def writes(self, command: DeviceCommand) -> tuple[Write, ...]:
        """Return the coil writes of a command."""
        relays = self._map.relays
        match command:
            case OpenGate(passages=passages) if passages > 1:
                raise Unsupported("a relay board opens for one person at a time", cure="send OpenGate for each person")
            case OpenGate(direction=direction):
                relay = relays.open_in if direction is Direction.IN else relays.open_out
                return (Write(_WRITE_COIL, relays.pulse_address + relay, (relays.pulse_ms // 100,)),)
            case SetGateMode(mode=mode):
                wanted = {
                    LaneMode.FREE: relays.free,
                    LaneMode.LOCKED: relays.lock,
                    LaneMode.EMERGENCY: relays.emergency,
                }
                on = wanted.get(mode)
                # Off before on, so that lock and free are never closed together.
                off = [relay for relay in wanted.values() if relay != on]
                writes = [Write(_WRITE_COIL, relays.address + relay, (0,)) for relay in off]
                return (*writes, *([Write(_WRITE_COIL, relays.address + on, (_COIL_ON,))] if on is not None else []))
            case _:
                raise Unsupported(f"a relay board has no {type(command).__name__}")

    def _mode_of(self, relays: Sequence[int]) -> LaneMode:
        layout = self._map.relays
        if relays[layout.emergency]:
            return LaneMode.EMERGENCY
        if relays[layout.lock]:
            return LaneMode.LOCKED
        return LaneMode.FREE if relays[layout.free] else LaneMode.NORMAL

    def _count_edges(self, now: tuple[int, ...]) -> None:
        contacts = self._map.contacts
        before = self._last if self._last is not None else now
        for direction, contact in ((Direction.IN, contacts.passed_in), (Direction.OUT, contacts.passed_out)):
            if now[contact] and not before[contact]:
                self._passed[direction] += 1
        self._last = now

    def _state(self, mode: LaneMode, now: tuple[int, ...]) -> GateObserved:
        contacts = self._map.contacts
        sensors = {"in": contacts.passed_in, "out": contacts.passed_out}
        pressed = contacts.emergency >= 0 and now[contacts.emergency]
        return GateObserved(
            mode=LaneMode.EMERGENCY if pressed else mode,
            in_count=self._passed[Direction.IN],
            out_count=self._passed[Direction.OUT],
            counter_span=_COUNTER_SPAN,
            sensors=frozenset(name for name, contact in sensors.items() if now[contact]),
            faults=frozenset({"contact"} if contacts.fault >= 0 and now[contacts.fault] else ()),
            counts_survive=False,
        )
