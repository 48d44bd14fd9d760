"""The contacts of a barrier, wherever they are wired to: loops and photocell, end switches of the arm, faults.

A contact that is on is as its name says; `inverted` ones (break contacts) say the opposite. `Board` is what all boards
have in common that such contacts and moves are wired to.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.errors import Unsupported
from core.messages.commands import DeviceCommand
from drivers.barrier.commands import BarrierCommand, LowerArm, RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.facts import DeviceSignal, Fact

RoadInput = Literal["approach", "under", "photocell", "exit"]
ArmSwitch = Literal["open", "closed"]
SWITCHES_DISAGREE: Final = "arm_switches"
"""The fault of an arm that is told to be open and closed at once."""
Place = Annotated[int, Field(ge=0, le=63)]


class Section(BaseModel):
    """A part of a barrier's `map`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contacts(Section):
    """Which place is which contact."""

    interval_ms: int = Field(ge=20, le=200)
    """A loop that is on for less than this is not seen: a car at 20 km/h is on one for about 700 ms."""
    road: dict[RoadInput, Place]
    arm: dict[ArmSwitch, Place] = Field(default_factory=dict)
    faults: dict[str, Place] = Field(default_factory=dict)
    inverted: tuple[str, ...] = ()
    """Names of contacts that say the opposite."""

    @property
    def named(self) -> dict[str, Place]:
        """Return all contacts by name."""
        return {str(name): place for part in (self.road, self.arm, self.faults) for name, place in part.items()}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [*self.road, *self.arm, *self.faults]
        if len(set(names)) != len(names) or len(set(self.named.values())) != len(names):
            raise ValueError("two contacts with one name or on one input")
        if unknown := sorted(set(self.inverted) - set(names)):
            raise ValueError(f"inverted, but not wired: {', '.join(unknown)}")
        if not self.road.keys() & {"under", "photocell"}:
            raise ValueError("a barrier needs an input `under` or `photocell`, or it would close on a vehicle")
        return self


class Travel(Section):
    """How long the arm may take; longer, with no fault told, and it does not do what it was told."""

    raise_ms: int = Field(default=8_000, ge=200, le=60_000)
    lower_ms: int = Field(default=8_000, ge=200, le=60_000)


class Moves(Section):
    """What makes each move, in the words of its board, in order; the light may be missing."""

    raise_arm: tuple[Any, ...]
    lower_arm: tuple[Any, ...]
    light_on: tuple[Any, ...] = ()
    light_off: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.light_on) != bool(self.light_off):
            raise ValueError("a light is turned on and off: light_on and light_off stand together")
        return self

    def of(self, command: DeviceCommand | BarrierCommand) -> tuple[Any, ...]:
        """Return what makes the move of a command; raise Unsupported where there is none."""
        match command:
            case RaiseArm():
                return self.raise_arm
            case LowerArm():
                return self.lower_arm
            case SetLight(on=on) if self.light_on:
                return self.light_on if on else self.light_off
            case SetLight():
                raise Unsupported("this barrier's board has no light", cure="map.outputs.light_on and light_off")
        raise Unsupported(f"a barrier has no {type(command).__name__}")


class Board:
    """What a lane's barrier is behind. Keeps the last faults, to tell what changed."""

    def __init__(self, contacts: Contacts, travel: Travel, *, tells_arm: bool, has_light: bool) -> None:
        self.travel = travel
        self.wired = frozenset(str(name) for name in contacts.road)
        """The inputs at the road that there are."""
        self.tells_arm = tells_arm
        self.has_light = has_light
        self._contacts = contacts
        self._faults: frozenset[str] = frozenset()

    def seen(self, closed: Callable[[Place], bool], arm: str | None = None) -> tuple[Fact, ...]:
        """Return the barrier's state, and its faults where they changed.

        `closed` tells of a contact by its place; `arm` is where the arm is, where that is told by no contact.
        """
        contacts = self._contacts

        def on(name: str, place: Place) -> bool:
            return closed(place) is not (name in contacts.inverted)

        occupied = frozenset(str(name) for name, place in contacts.road.items() if on(name, place))
        faults = frozenset(name for name, place in contacts.faults.items() if on(name, place))
        contradicts = False
        if arm is None:
            arm, contradicts = _arm({name: on(name, place) for name, place in contacts.arm.items()})
        faults |= {SWITCHES_DISAGREE} if contradicts else set()
        changed, self._faults = faults ^ self._faults, faults
        signals = [DeviceSignal("fault", name in faults, name) for name in sorted(changed)]
        return (BarrierSeen(self.wired, occupied, arm, faults), *signals)


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
