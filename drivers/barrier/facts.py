"""What a barrier's board shows."""

from dataclasses import dataclass

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class BarrierSeen(Fact):
    """Every input of a barrier at one moment."""

    wired: frozenset[str]
    """The inputs at the road that there are: approach, under, photocell, exit."""
    occupied: frozenset[str]
    """Those at which something stands."""
    arm: str = ""
    """open, closed or moving; empty where no switch tells."""
    faults: frozenset[str] = frozenset()
