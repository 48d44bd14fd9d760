"""A turnstile with a controller of its own: mode, fault bits, sensors and 32-bit counters in one block of registers."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.clearance.model import Direction
from core.errors import FrameInvalid, Unsupported
from core.messages.commands import CloseGate, DeviceCommand, OpenGate, ResetDevice, SetGateMode
from core.messages.events import LaneMode
from drivers.base import Poll, Space, Write
from drivers.facts import Fact, GateObserved

_COUNTER_SPAN = 1 << 32
_WRITE_REGISTER = 6


class StatusBlock(BaseModel):
    """Where the status stands; offsets count from `address`. A counter takes two registers, high word first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: Literal["input", "holding"]
    address: int = Field(ge=0, le=0xFFFF)
    count: int = Field(ge=1, le=125)
    interval_ms: int = Field(ge=20, le=60_000)
    mode: int
    faults: int
    sensors: int
    released: int
    in_count: int
    out_count: int


class Controls(BaseModel):
    """Which holding register does what, and with which value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: int
    release_in: int
    release_out: int
    cancel: int
    reset: int


class GateRegisters(BaseModel):
    """The `map` of a profile with `layout = "registers"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["registers"]
    status: StatusBlock
    controls: Controls
    modes: dict[LaneMode, int]
    fault_bits: dict[str, int]
    """Name of the fault -> bit number."""
    sensor_bits: dict[str, int]


class RegisterTurnstile:
    """The registers of one turnstile <-> words."""

    def __init__(self, layout: GateRegisters) -> None:
        self._map = layout
        self._mode_of = {value: mode for mode, value in layout.modes.items()}
        status = layout.status
        self._poll = Poll("status", Space(status.space), status.address, status.count, status.interval_ms)

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the one block."""
        return (self._poll,)

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the gate's state."""
        status = self._map.status
        if len(values) != status.count:
            raise FrameInvalid(f"{len(values)} registers, the profile says {status.count}", place=poll.name)
        mode = self._mode_of.get(values[status.mode])
        if mode is None:
            raise FrameInvalid(f"mode {values[status.mode]} is none of {sorted(self._mode_of)}", place=poll.name)
        return (
            GateObserved(
                mode=mode,
                in_count=values[status.in_count] << 16 | values[status.in_count + 1],
                out_count=values[status.out_count] << 16 | values[status.out_count + 1],
                counter_span=_COUNTER_SPAN,
                released=values[status.released] > 0,
                sensors=_names(values[status.sensors], self._map.sensor_bits),
                faults=_names(values[status.faults], self._map.fault_bits),
            ),
        )

    def writes(self, command: DeviceCommand) -> tuple[Write, ...]:
        """Return the one register write of a command."""
        controls = self._map.controls
        match command:
            case OpenGate(direction=Direction.IN, passages=passages):
                return (_write(controls.release_in, passages),)
            case OpenGate(passages=passages):
                return (_write(controls.release_out, passages),)
            case CloseGate():
                return (_write(controls.cancel, 1),)
            case SetGateMode(mode=mode):
                return (_write(controls.mode, self._map.modes[mode]),)
            case ResetDevice():
                return (_write(controls.reset, 1),)
            case _:
                raise Unsupported(f"a turnstile has no {type(command).__name__}")


def _write(address: int, value: int) -> Write:
    return Write(_WRITE_REGISTER, address, (value,))


def _names(bits: int, table: dict[str, int]) -> frozenset[str]:
    known = frozenset(name for name, bit in table.items() if bits >> bit & 1)
    unknown = bits & ~sum(1 << bit for bit in table.values())
    return known | {f"bit_{bit}" for bit in range(16) if unknown >> bit & 1}
