"""What of one stream is on its way to central, and what to do when no ack comes. Pure; time is an argument.

Promises
1. At most `size` batches are on their way; each covers seqs that follow the one before.
2. An entry is given up only by an ack of central's commit; everything else is sent again, from the oldest.
3. Without acks the pause doubles, to 30 s, and only one batch at a time is tried: a centre that is down is not flooded.
4. One batch that comes twice, or is lost, costs one window sent again, not a second copy of all that follows.
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
    first: bool = True
    """Sent for the first time: an ack of it cannot answer an earlier copy."""


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
    _farthest: int = 0
    _echoes: int = 0
    """So many acks that bring nothing new may still answer copies that were sent again."""
    _hole: bool = False
    """Something is missing at central; it is sent again as soon as `_REWIND_PAUSE_S` is over."""

    def __post_init__(self) -> None:
        self.sent = self.acked

    @property
    def open(self) -> bool:
        """Tell whether another batch may leave now."""
        return len(self.flights) < (1 if self._probing else self.size)

    @property
    def due_s(self) -> float | None:
        """Return when patience with the oldest batch ends, or a hole is due."""
        if not self.flights:
            return None
        due_s = self.flights[0].sent_s + self.patience_s
        return min(due_s, self._rewound_s + _REWIND_PAUSE_S) if self._hole else due_s

    def left(self, upto: int, now_s: float) -> None:
        """Note that a batch up to `upto` was sent."""
        self.sent = upto
        self.flights.append(Flight(upto, now_s, first=upto > self._farthest))
        self._farthest = max(self._farthest, upto)

    def on_ack(self, upto: int, now_s: float) -> float | None:
        """Take an ack; return the round trip in seconds where it answers exactly one batch that was sent, once.

        An ack that brings nothing new says that central got something twice, or with a hole before it: send again from
        the hole at once, though not more often than every 0.1 s, since each batch behind the hole says the same, and so
        does each copy of a batch that was not missing.
        """
        if upto <= self.acked:
            if upto == self.acked and self.flights:
                self._nothing_new(now_s)
            return None
        self.acked, self._hole = upto, False
        self.sent = max(self.sent, upto)
        self.patience_s, self._probing = _FIRST_PATIENCE_S, False
        round_trip = None
        while self.flights and self.flights[0].upto <= upto:
            flight = self.flights.popleft()
            round_trip = now_s - flight.sent_s if flight.upto == upto and flight.first else None
        return round_trip

    def _nothing_new(self, now_s: float) -> None:
        if (
            self._probing
        ):  # sent again for want of any word: this is no echo but central's first word, as after its start
            self.patience_s = _FIRST_PATIENCE_S
        elif self._echoes:
            self._echoes -= 1
            return
        if now_s - self._rewound_s >= _REWIND_PAUSE_S:
            self.rewind(now_s)
        else:
            self._hole = True

    def overdue(self, now_s: float) -> bool:
        """Rewind where patience is over, or a hole is due; tell whether it was."""
        due = self.due_s
        if due is None or now_s < due:
            return False
        if self._hole:
            self.rewind(now_s)
            return True
        self.patience_s = min(_LONGEST_PATIENCE_S, self.patience_s * 2)
        self._probing = True
        self.rewind(now_s)
        return True

    def hopeful(self) -> None:
        """Central was heard again, on another stream: have no more than the first patience with what is on its way."""
        self.patience_s = _FIRST_PATIENCE_S

    def rewind(self, now_s: float) -> None:
        """Forget what was sent and not acked."""
        self._echoes, self._hole = len(self.flights), False
        self.sent = self.acked
        self.flights.clear()
        self.rewinds += 1
        self._rewound_s = now_s

    def reconnected(self) -> None:
        """Begin again on a new connection."""
        self.sent = self.acked
        self.flights.clear()
        self._echoes, self._hole = 0, False
        self.patience_s, self._probing = _FIRST_PATIENCE_S, False
