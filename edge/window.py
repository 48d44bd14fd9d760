"""What of one stream is on its way to central, and what to do when no ack comes. Pure; time is an argument.

Promises
1. At most `size` batches are on their way; each covers seqs that follow the one before.
2. An entry is given up only by an ack of central's commit; everything else is sent again, from the oldest.
3. Without acks the pause doubles, to 30 s, and only one batch at a time is tried: a centre that is down is not flooded.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_FIRST_PATIENCE_S: Final = 2.0
_LONGEST_PATIENCE_S: Final = 30.0
_REWIND_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Flight:
    """One batch on its way."""

    upto: int
    sent_s: float


@dataclass(slots=True)
class Window:
    """The sending state of one stream."""

    acked: int
    size: int
    sent: int = 0
    flights: deque[Flight] = field(default_factory=deque)
    patience_s: float = _FIRST_PATIENCE_S
    rewinds: int = 0
    _rewound_s: float = float("-inf")
    _probing: bool = False

    def __post_init__(self) -> None:
        self.sent = self.acked

    @property
    def open(self) -> bool:
        """Tell whether another batch may leave now."""
        return len(self.flights) < (1 if self._probing else self.size)

    @property
    def due_s(self) -> float | None:
        """Return when patience with the oldest batch ends."""
        return self.flights[0].sent_s + self.patience_s if self.flights else None

    def left(self, upto: int, now_s: float) -> None:
        """Note that a batch up to `upto` was sent."""
        self.sent = upto
        self.flights.append(Flight(upto, now_s))

    def on_ack(self, upto: int, now_s: float) -> float | None:
        """Take an ack; return the round trip in seconds where it answers exactly one batch that was sent.

        An ack that brings nothing new says that central got something twice, or with a hole before it: send again from
        the hole at once, though not more often than every 0.1 s, since each batch behind the hole says the same.
        """
        if upto <= self.acked:
            if upto == self.acked and self.flights and now_s - self._rewound_s > _REWIND_PAUSE_S:
                self.rewind(now_s)
            return None
        self.acked = upto
        self.sent = max(self.sent, upto)
        self.patience_s, self._probing = _FIRST_PATIENCE_S, False
        round_trip = None
        while self.flights and self.flights[0].upto <= upto:
            flight = self.flights.popleft()
            round_trip = now_s - flight.sent_s if flight.upto == upto else None
        return round_trip

    def overdue(self, now_s: float) -> bool:
        """Rewind where patience is over; tell whether it was."""
        due = self.due_s
        if due is None or now_s < due:
            return False
        self.patience_s = min(_LONGEST_PATIENCE_S, self.patience_s * 2)
        self._probing = True
        self.rewind(now_s)
        return True

    def rewind(self, now_s: float) -> None:
        """Forget what was sent and not acked."""
        self.sent = self.acked
        self.flights.clear()
        self.rewinds += 1
        self._rewound_s = now_s

    def reconnected(self) -> None:
        """Begin again on a new connection."""
        self.sent = self.acked
        self.flights.clear()
        self.patience_s, self._probing = _FIRST_PATIENCE_S, False
