"""A barrier's relay board <-> words, from its profile.

- inputs, one block of bits, read together so that they agree: loops and photocell at the road, the arm's end switches,
  fault contacts; 1 is as the name says, `inverted` ones (break contacts) say the opposite
- outputs: for each move the writes that make it, such as a pulse on the relay that the barrier's controller listens to
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from core.errors import FrameInvalid
from core.messages.commands import DeviceCommand
from drivers.barrier.commands import BarrierCommand
from drivers.barrier.contacts import Board, Contacts, Moves, Section, Travel
from drivers.base import Poll, Space, Write
from drivers.facts import Fact


class Inputs(Contacts):
    """Which bit of the block is which contact, counted from `address`."""

    space: Literal["discrete", "coil"] = "discrete"
    address: int = Field(ge=0, le=0xFFFF)
    count: int = Field(ge=1, le=64)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if wrong := sorted(name for name, place in self.named.items() if place >= self.count):
            raise ValueError(f"outside of count: {', '.join(wrong)}")
        return self


class Output(Section):
    """One write: function 5 (a coil: 65280 on, 0 off, or what the vendor takes for a pulse) or 6 (a register)."""

    function: Literal[5, 6] = 5
    address: int = Field(ge=0, le=0xFFFF)
    value: int = Field(ge=0, le=0xFFFF)


_Writes = Annotated[tuple[Output, ...], Field(min_length=1, max_length=4)]


class Outputs(Moves):
    """The writes of each move."""

    raise_arm: _Writes
    lower_arm: _Writes
    light_on: tuple[Output, ...] = Field(default=(), max_length=4)
    light_off: tuple[Output, ...] = Field(default=(), max_length=4)


class BarrierMap(Section):
    """The `map` of a barrier's profile."""

    inputs: Inputs
    outputs: Outputs
    travel: Travel = Travel()


class BarrierBoard(Board):
    """The relay board of one barrier."""

    def __init__(self, layout: BarrierMap) -> None:
        inputs, outputs = layout.inputs, layout.outputs
        super().__init__(inputs, layout.travel, tells_arm=bool(inputs.arm), has_light=bool(outputs.light_on))
        self._outputs = outputs
        self._poll = Poll("inputs", Space(inputs.space), inputs.address, inputs.count, inputs.interval_ms)

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the one block."""
        return (self._poll,)

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the barrier's state, and its faults where they changed."""
        if len(values) != self._poll.count:
            raise FrameInvalid(f"{len(values)} bits, the profile says {self._poll.count}", place=poll.name)
        return self.seen(lambda place: bool(values[place]))

    def writes(self, command: DeviceCommand | BarrierCommand) -> tuple[Write, ...]:
        """Return the writes of a command."""
        return tuple(Write(one.function, one.address, (one.value,)) for one in self._outputs.of(command))
