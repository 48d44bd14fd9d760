"""Which objects are tried next, and for how long one is tried that is never taken. Pure.

Promises
1. Objects are tried in their order; one that was not taken three times lets the others go first: it blocks none.
2. One is given up only while others are taken: twelve tries, and ten others in the meantime. An upper library that
   takes nothing loses nothing.
3. At most 64 stand behind the others.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

BEHIND_AFTER: Final = 3
TRIES: Final = 12
OVERTAKEN: Final = 10
MAX_BEHIND: Final = 64


@dataclass(slots=True)
class _Try:
    tries: int
    since: int
    """How many had been delivered at the first of them."""


class Patience:
    """The tries of what waits, by seq."""

    def __init__(self) -> None:
        self._tries: dict[int, _Try] = {}
        self._behind: set[int] = set()
        self._delivered = 0

    def chosen(self, waiting: Collection[int], limit: int) -> Sequence[int]:
        """Return the next to try, in their order."""
        first = list(islice(waiting, limit + MAX_BEHIND))
        ahead = [seq for seq in first if seq not in self._behind][:limit]
        if not ahead:
            self._behind.clear()
            return first[:limit]
        return ahead

    def delivered(self) -> None:
        """Note that some object was taken."""
        self._delivered += 1

    def is_over(self, seq: int) -> bool:
        """Note a try that failed; tell whether it is given up."""
        found = self._tries.setdefault(seq, _Try(0, self._delivered))
        found.tries += 1
        if found.tries >= TRIES and self._delivered - found.since >= OVERTAKEN:
            return True
        if found.tries >= BEHIND_AFTER and len(self._behind) < MAX_BEHIND:
            self._behind.add(seq)
        if len(self._tries) > 2 * MAX_BEHIND:
            del self._tries[next(iter(self._tries))]
        return False

    def forget(self, seq: int) -> None:
        """Forget one that has left."""
        self._tries.pop(seq, None)
        self._behind.discard(seq)
