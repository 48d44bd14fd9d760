"""What only a display tells."""

from dataclasses import dataclass

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class DisplayAnswered(Fact):
    """The card has answered the last frame of a command."""

    what: str
    """lines or login."""
    accepted: bool
