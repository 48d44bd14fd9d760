"""What a cabin's controller shows."""

from dataclasses import dataclass

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class Door:
    """One door by its own contacts: `locked` is the bolt's, not the relay's."""

    closed: bool
    locked: bool

    @property
    def secure(self) -> bool:
        """Tell whether nobody can go through."""
        return self.closed and self.locked


@dataclass(frozen=True, slots=True)
class CabinObserved(Fact):
    """The state of a cabin at one moment."""

    entrance: Door
    exit: Door
    occupancy: int
    """Persons inside."""
    call: bool = False
    """The call button is pressed."""
    egress: bool = False
    """The button for going back the way one came is pressed."""
    emergency: bool = False
    """The emergency button is pressed: the controller itself has freed both doors."""
    power_ok: bool = True
    """False on battery, or when mains are failing."""
    faults: frozenset[str] = frozenset()
