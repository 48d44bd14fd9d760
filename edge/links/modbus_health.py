"""How a Modbus bus keeps time, what it counts, and how it tells that a unit is well."""

from dataclasses import dataclass, fields
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Timing:
    """How a bus keeps time; the defaults fit TCP."""

    timeout_s: float = 0.5
    connect_s: float = 3.0
    char_s: float = 0.0
    """How long a character takes on the line; time-outs grow by it with the size of question and answer."""
    gap_s: float = 0.0
    """Silence before a request."""
    settle_s: float = 0.02
    """Silence after a garbled answer."""
    turnaround_s: float = 0.1
    """Silence after a broadcast."""
    dead_after: int = 3
    """A unit is silent after so many requests in a row without a good answer."""
    probe_first_s: float = 1.0
    probe_max_s: float = 30.0
    suspect_share: float = 0.25
    dead_share: float = 0.05
    renew_after: int = 0
    """LinkLost after so many probes of a connection on which every unit is silent; 0: never."""


class Life(StrEnum):
    """Whether a unit answers."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class UnitHealth:
    """Told when it changes. `failing` names the polls that the unit refuses, garbles or leaves without answer."""

    unit: int
    life: Life
    failing: tuple[str, ...] = ()
    error: str = ""


@dataclass(slots=True)
class Counters:
    """Counted since the start, never reset."""

    requests: int = 0
    timeouts: int = 0
    mismatches: int = 0
    """Good frames that were no answer to what was asked: late, or another's."""
    garbled: int = 0
    """Bytes that were no good frame: crc, lrc or header."""
    exceptions: int = 0
    skipped: int = 0
    """Ticks of polls that were missed while the bus was busy."""

    def add(self, other: "Counters") -> None:
        """Add another's counts."""
        for name in fields(self):
            setattr(self, name.name, getattr(self, name.name) + getattr(other, name.name))
