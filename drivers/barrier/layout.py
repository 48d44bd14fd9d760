"""A barrier's relay board <-> words, from its profile.

- inputs, one block of bits, read together so that they agree: loops and photocell at the road, the arm's end switches,
  fault contacts; 1 is as the name says, `inverted` ones (break contacts) say the opposite
- outputs: for each move the writes that make it, such as a pulse on the relay that the barrier's controller listens to
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.errors import FrameInvalid, Unsupported
from core.messages.commands import DeviceCommand
from drivers.barrier.commands import BarrierCommand, LowerArm, RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.base import Poll, Space, Write
from drivers.facts import DeviceSignal, Fact

RoadInput = Literal["approach", "under", "photocell", "exit"]
ArmSwitch = Literal["open", "closed"]
SWITCHES_DISAGREE: Final = "arm_switches"
"""The fault of an arm that is told to be open and closed at once."""
_Place = Annotated[int, Field(ge=0, le=63)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Inputs(_Section):
    """Which bit of the block is which contact, counted from `address`."""

    space: Literal["discrete", "coil"] = "discrete"
    address: int = Field(ge=0, le=0xFFFF)
    count: int = Field(ge=1, le=64)
    interval_ms: int = Field(ge=20, le=200)
    """A loop that is on for less than this is not seen: a car at 20 km/h is on one for about 700 ms."""
    road: dict[RoadInput, _Place]
    arm: dict[ArmSwitch, _Place] = Field(default_factory=dict)
    faults: dict[str, _Place] = Field(default_factory=dict)
    inverted: tuple[str, ...] = ()
    """Names of contacts that say the opposite."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        named = [*self.road.items(), *self.arm.items(), *self.faults.items()]
        names, places = [name for name, _ in named], [place for _, place in named]
        if len(set(names)) != len(names) or len(set(places)) != len(places):
            raise ValueError("two contacts with one name or on one input")
        if wrong := sorted(name for name, place in named if place >= self.count):
            raise ValueError(f"outside of count: {', '.join(wrong)}")
        if unknown := sorted(set(self.inverted) - set(names)):
            raise ValueError(f"inverted, but not wired: {', '.join(unknown)}")
        if not self.road.keys() & {"under", "photocell"}:
            raise ValueError("a barrier needs an input `under` or `photocell`, or it would close on a vehicle")
        return self


class Output(_Section):
    """One write: function 5 (a coil: 65280 on, 0 off, or what the vendor takes for a pulse) or 6 (a register)."""

    function: Literal[5, 6] = 5
    address: int = Field(ge=0, le=0xFFFF)
    value: int = Field(ge=0, le=0xFFFF)


_Writes = Annotated[tuple[Output, ...], Field(min_length=1, max_length=4)]


class Outputs(_Section):
    """The writes of each move, in order; the light may be missing."""

    raise_arm: _Writes
    lower_arm: _Writes
    light_on: tuple[Output, ...] = Field(default=(), max_length=4)
    light_off: tuple[Output, ...] = Field(default=(), max_length=4)

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.light_on) != bool(self.light_off):
            raise ValueError("a light is turned on and off: light_on and light_off stand together")
        return self


class Travel(_Section):
    """How long the arm may take; longer, with no fault told, and it does not do what it was told."""

    raise_ms: int = Field(default=8_000, ge=200, le=60_000)
    lower_ms: int = Field(default=8_000, ge=200, le=60_000)


class BarrierMap(_Section):
    """The `map` of a barrier's profile."""

    inputs: Inputs
    outputs: Outputs
    travel: Travel = Travel()


class BarrierBoard:
    """The board of one barrier. Keeps the last faults, to tell what changed."""

    def __init__(self, layout: BarrierMap) -> None:
        self._map = layout
        self._wired = frozenset(str(name) for name in layout.inputs.road)
        self._faults: frozenset[str] = frozenset()
        inputs = layout.inputs
        self._poll = Poll("inputs", Space(inputs.space), inputs.address, inputs.count, inputs.interval_ms)

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the one block."""
        return (self._poll,)

    @property
    def wired(self) -> frozenset[str]:
        """Return the inputs at the road that there are."""
        return self._wired

    @property
    def tells_arm(self) -> bool:
        """Tell whether a switch says where the arm is."""
        return bool(self._map.inputs.arm)

    @property
    def travel(self) -> Travel:
        """Return how long the arm may take."""
        return self._map.travel

    @property
    def has_light(self) -> bool:
        """Tell whether the board has the fill light."""
        return bool(self._map.outputs.light_on)

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the barrier's state, and its faults where they changed."""
        inputs = self._map.inputs
        if len(values) != inputs.count:
            raise FrameInvalid(f"{len(values)} bits, the profile says {inputs.count}", place=poll.name)

        def on(name: str, place: int) -> bool:
            return bool(values[place]) is not (name in inputs.inverted)

        occupied = frozenset(str(name) for name, place in inputs.road.items() if on(name, place))
        faults = frozenset(name for name, place in inputs.faults.items() if on(name, place))
        arm, contradicts = _arm({name: on(name, place) for name, place in inputs.arm.items()})
        faults |= {SWITCHES_DISAGREE} if contradicts else set()
        changed, self._faults = faults ^ self._faults, faults
        signals = [DeviceSignal("fault", name in faults, name) for name in sorted(changed)]
        return (BarrierSeen(self._wired, occupied, arm, faults), *signals)

    def writes(self, command: DeviceCommand | BarrierCommand) -> tuple[Write, ...]:
        """Return the writes of a command."""
        outputs = self._map.outputs
        match command:
            case RaiseArm():
                chosen = outputs.raise_arm
            case LowerArm():
                chosen = outputs.lower_arm
            case SetLight(on=on) if outputs.light_on:
                chosen = outputs.light_on if on else outputs.light_off
            case SetLight():
                raise Unsupported("this barrier's board has no light", cure="map.outputs.light_on and light_off")
            case _:
                raise Unsupported(f"a barrier has no {type(command).__name__}")
        return tuple(Write(one.function, one.address, (one.value,)) for one in chosen)


def _arm(switches: dict[ArmSwitch, bool]) -> tuple[str, bool]:
    """Return where the arm is, and whether its switches contradict each other; one switch alone tells both ends."""
    match switches.get("open"), switches.get("closed"):
        case None, None:
            return "", False
        case True, True:
            return "moving", True
        case (True, _) | (None, False):
            return "open", False
        case (_, True) | (False, None):
            return "closed", False
    return "moving", False
