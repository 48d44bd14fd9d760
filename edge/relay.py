"""One fact to several takers, each of whom has made durable what follows from it when it returns.

Promises
1. Takers are asked in their order, and all of them, before the device is answered.
2. Where one fails, the device sends the fact again: those before it are not asked a second time, as long as it is among
   the last 64 that failed.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Final

from core.errors import GatefleetError
from drivers.facts import Fact
from edge.session import Deliver

MAX_HALF_DONE: Final = 64


class Relay:
    """The takers of one device's facts."""

    def __init__(self, takers: Sequence[Deliver]) -> None:
        self._takers = tuple(takers)
        self._done: OrderedDict[str, int] = OrderedDict()
        """Of facts that failed: how many of the takers have them."""

    async def deliver(self, fact: Fact) -> None:
        """Hand a fact to all; raise what one of them raises."""
        name = _name(fact)
        for number, taker in enumerate(self._takers):
            if number < self._done.get(name, 0):
                continue
            try:
                await taker(fact)
            except GatefleetError:
                self._done[name] = max(number, self._done.get(name, 0))
                self._done.move_to_end(name)
                if len(self._done) > MAX_HALF_DONE:
                    self._done.popitem(last=False)
                raise
        self._done.pop(name, None)


def _name(fact: Fact) -> str:
    """Return what tells one fact of a device from another; pictures are not needed for that."""
    slim = replace(fact, images=()) if any(one.name == "images" for one in fields(fact)) else fact  # type: ignore[call-arg]  # as in edge.push
    return repr(slim)
