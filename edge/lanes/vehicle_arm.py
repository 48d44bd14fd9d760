"""Whether a barrier's arm does what it was told: one that obeys on the bus and does not move tells of no fault itself.

Promises
1. It is told once that the arm stays where it was, when its time is over, and once that it does move again.
2. What is not seen is not judged: without a look at the arm no time runs out.
3. An order takes the place of the one before it; an arm that is moved by hand, without an order, is nothing here.
"""

from dataclasses import dataclass
from typing import Final, Literal

from edge.lanes.vehicle_words import Arm

_TARGET: Final = {"open": Arm.OPEN, "close": Arm.CLOSED}


@dataclass(frozen=True, slots=True)
class Stuck:
    """An arm that did not go where it was told to go; `arm` is where it was seen last."""

    move: Literal["open", "close"]
    arm: str
    after_ms: int


@dataclass(slots=True)
class ArmWatch:
    """The arm of one barrier. Times are monotonic milliseconds; `open_ms`, `close_ms`: how long it may take."""

    open_ms: int
    close_ms: int
    stuck: Stuck | None = None
    _move: Literal["open", "close"] | None = None
    _since_ms: int = 0

    def ordered(self, move: Literal["open", "close"], now_ms: int) -> None:
        """Note an order that the board has taken."""
        if self._move != move or self.stuck is None:
            self._since_ms = now_ms
        self._move = move

    def saw(self, arm: str, now_ms: int) -> bool:
        """Note where the arm is, empty where nobody tells; return whether `stuck` has changed."""
        move = self._move
        if move is None or not arm:
            return False
        if arm == _TARGET[move]:
            self._move, was, self.stuck = None, self.stuck, None
            return was is not None
        took_ms = now_ms - self._since_ms
        if took_ms < (self.open_ms if move == "open" else self.close_ms) or (self.stuck and self.stuck.move == move):
            return False
        self.stuck = Stuck(move, arm, took_ms)
        return True
