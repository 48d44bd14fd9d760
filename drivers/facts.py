"""What devices tell: facts, before a lane or a daemon makes events of them.

Facts never leave the edge as they are: a credential's text is a natural identifier; only its keyed token may travel.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from core.messages.events import LaneMode


@dataclass(frozen=True, slots=True)
class Fact:
    """One observation."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, for `gatefleet decode`."""
        return {key: _plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class CredentialRead(Fact):
    """A reader has read a document or a code."""

    text: str


@dataclass(frozen=True, slots=True)
class GateObserved(Fact):
    """The state of a gate at one moment. Counters only grow, but wrap at `counter_span` and restart with the gate."""

    mode: LaneMode
    in_count: int
    out_count: int
    counter_span: int
    released: bool = False
    """A release is armed and not yet used."""
    sensors: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    counts_survive: bool = True
    """Whether the gate itself counts, so that passages during a restart of the edge can be recovered."""


@dataclass(frozen=True, slots=True)
class Measured(Fact):
    """Readings by point name, unit in the name."""

    readings: dict[str, float] = field(default_factory=dict)


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value
