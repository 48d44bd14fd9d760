"""What the inputs at a barrier tell: whether its line is free, and from which side something came.

Promises
1. What was never told is unknown, neither on nor off; the first word of an input is its baseline and no movement.
2. The line is free only when every input across it says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from edge.lanes.vehicle_words import Loop, LoopChanged

LINE: Final = frozenset({Loop.UNDER, Loop.PHOTOCELL})
"""The inputs that say what the arm would hit."""
_FROM_EXIT_MS: Final = 2_000
"""The longest time between leaving the exit loop backwards and coming into the line."""


@dataclass(slots=True)
class Road:
    """The inputs of one lane."""

    exit_pulses: int = 0
    """How often the exit loop came on during the passage that is under way."""
    _on: dict[Loop, bool] = field(default_factory=dict)
    _backwards: bool = False
    _backwards_until: int | None = None

    @property
    def occupied(self) -> bool:
        """Tell whether something is in the barrier's line."""
        return any(self._on.get(loop, False) for loop in LINE)

    @property
    def approach(self) -> bool | None:
        """Tell whether a vehicle waits in front; None where no input says."""
        return self._on.get(Loop.APPROACH)

    @property
    def exit(self) -> bool | None:
        """Tell whether a vehicle is behind the barrier; None where no input says."""
        return self._on.get(Loop.EXIT)

    def knows(self, loops: Iterable[Loop]) -> bool:
        """Tell whether each of these across the line has told of itself."""
        return all(loop in self._on for loop in loops if loop in LINE)

    def change(self, changed: LoopChanged, now_ms: int, *, passing: bool) -> bool:
        """Take one input; return True where a vehicle that passes comes onto the exit loop."""
        before = self._on.get(changed.loop)
        self._on[changed.loop] = changed.on
        if changed.loop is not Loop.EXIT or before is None or before is changed.on:
            return False
        if changed.on and passing:
            self.exit_pulses += 1
            return True
        if changed.on:
            self._backwards = not self.occupied
            self._backwards_until = None
        elif self._backwards:
            self._backwards, self._backwards_until = False, now_ms + _FROM_EXIT_MS
        return False

    def take_backwards(self, now_ms: int) -> bool:
        """Tell, once, whether what comes into the line now comes from the exit."""
        recent = self._backwards_until is not None and now_ms <= self._backwards_until
        found = (self._backwards or recent) and not self.approach
        self._backwards, self._backwards_until = False, None
        return found
