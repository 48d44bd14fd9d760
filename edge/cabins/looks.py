"""Looks at a cabin that wait while the lane does something else: few are kept, and none is believed too long.

Promises
1. A button that was pressed, and a door that was open, are seen, however many looks came since.
2. A look that waited longer than `trust_ms` proves no bolt: it may be older than the last lock command.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from drivers.cabin.facts import CabinObserved, Door


@dataclass(slots=True)
class Looks:
    """What was seen since the lane looked last."""

    newest: CabinObserved
    taken_ms: int
    _pressed: CabinObserved | None = None
    """A look with all buttons that were pressed meanwhile, where there is more than one look."""
    _opened: CabinObserved | None = None
    """A look with all doors that were open meanwhile."""

    def add(self, seen: CabinObserved, now_ms: int) -> None:
        """Take one look more."""
        before = self.newest
        if not (before.entrance.closed and before.exit.closed):
            kept = self._opened or before
            entrance = before.entrance.closed and kept.entrance.closed
            exit_ = before.exit.closed and kept.exit.closed
            self._opened = replace(before, entrance=Door(entrance, False), exit=Door(exit_, False))
        self._pressed = _with_buttons(seen, self._pressed or before)
        self.newest, self.taken_ms = seen, now_ms

    def since(self, now_ms: int, trust_ms: int) -> Iterator[CabinObserved]:
        """Yield what a lane has to see, in order."""
        opened, newest = self._opened, self.newest
        if opened is not None and (
            (newest.entrance.closed and not opened.entrance.closed) or (newest.exit.closed and not opened.exit.closed)
        ):
            yield _with_buttons(opened, self._pressed or newest)
        elif self._pressed is not None:
            newest = _with_buttons(newest, self._pressed)
        yield newest if now_ms - self.taken_ms <= trust_ms else unproven(newest)


def _with_buttons(seen: CabinObserved, other: CabinObserved) -> CabinObserved:
    return replace(
        seen,
        call=seen.call or other.call,
        egress=seen.egress or other.egress,
        emergency=seen.emergency or other.emergency,
    )


def unproven(seen: CabinObserved) -> CabinObserved:
    """Return a look that proves no bolt."""
    return replace(seen, entrance=Door(seen.entrance.closed, False), exit=Door(seen.exit.closed, False))
