"""Reading what a query names: instances in small messages, columns side by side by GETBULK (RFC 3416, 4.2.3).

Its promises: a column ends at its last row, at the cap, or where OIDs do not grow; a message asks for no more than
MAX_BINDS values, so that decoding one does not hold up the daemon; what the device has not is left out.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from core.errors import DeviceRefused, FrameInvalid
from drivers.snmp.memory import Answer, Query
from drivers.snmp.values import Value
from edge.links.snmp_engine import Response, SnmpEngine, Target

MAX_BINDS: Final = 16
_MAX_SCALARS: Final = 16
_TOO_BIG: Final = 1
_NO_ACCESS: Final = frozenset({6, 16})
"""noAccess, authorizationError (RFC 3416, 3)."""


@dataclass(slots=True)
class _Column:
    """How far a column has been read."""

    oid: str
    last: str
    rows: dict[str, Value] = field(default_factory=dict)
    more: bool = True

    def take(self, oid: str, value: Value | None) -> None:
        """Take the next instance; raise FrameInvalid where it does not come after the last."""
        if value is None or not oid.startswith(f"{self.oid}."):
            self.more = False
            return
        if _order(oid) <= _order(self.last):
            raise FrameInvalid(f"OIDs that do not grow after {self.last}")
        self.last = oid
        self.rows[oid[len(self.oid) + 1 :]] = value


class Reader:
    """Reads for one device; `asking` is held for each message, so that a command need not wait for a table."""

    def __init__(
        self, engine: SnmpEngine, target: Target, asking: asyncio.Lock, rejected: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._target = target
        self._asking = asking
        self._rejected = rejected
        self._most = MAX_BINDS

    async def answer(self, query: Query) -> Answer:
        """Read all that a query names; raise as the engine does, or FrameInvalid for OIDs that do not grow."""
        scalars: dict[str, Value] = {}
        for at in range(0, len(query.scalars), _MAX_SCALARS):
            scalars |= await self._scalars(query.scalars[at : at + _MAX_SCALARS])
        if not query.columns:
            return Answer(scalars)
        columns = [_Column(oid, oid) for oid in query.columns]
        while going := [one for one in columns if one.more and len(one.rows) <= query.rows]:
            await self._step(going, query.rows)
        cut = any(len(one.rows) > query.rows for one in columns)
        kept = {one.oid: dict(list(one.rows.items())[: query.rows]) for one in columns}
        return Answer(scalars, kept, truncated=cut)

    async def _scalars(self, wanted: Sequence[str]) -> dict[str, Value]:
        """Read instances; those that an agent stumbles over are found by halves and left out."""
        async with self._asking:
            response = await self._engine.get(self._target, wanted)
        if not response.status:
            return {oid: value for oid, value in response.rows if value is not None and oid in wanted}
        self._refused(response)
        if len(wanted) == 1:
            self._rejected(f"{wanted[0]}: {response.status_name}")
            return {}
        half = len(wanted) // 2
        return {**await self._scalars(wanted[:half]), **await self._scalars(wanted[half:])}

    async def _step(self, going: Sequence[_Column], cap: int) -> None:
        """Read the next rows of columns; fewer at once where the device says that it is too much."""
        going = going[: self._most]
        left = max(1, cap + 1 - min(len(one.rows) for one in going))
        rows = max(1, min(self._most // len(going), left))
        async with self._asking:
            response = await self._engine.bulk(self._target, [one.last for one in going], rows)
        if response.status == _TOO_BIG and self._most > 1:
            self._most //= 2
            return
        if response.status:
            self._refused(response)
            raise FrameInvalid(f"GETBULK was answered by {response.status_name}", place=self._target.place)
        if not response.rows:
            raise FrameInvalid("GETBULK was answered by nothing", place=self._target.place)
        for number, (oid, value) in enumerate(response.rows[: rows * len(going)]):
            column = going[number % len(going)]
            if column.more:
                column.take(oid, value)

    def _refused(self, response: Response) -> None:
        if response.status in _NO_ACCESS:
            cure = "give the user or community the right to read"
            raise DeviceRefused(f"reading was refused: {response.status_name}", place=self._target.place, cure=cure)


def _order(oid: str) -> tuple[int, ...]:
    return tuple(map(int, oid.split(".")))
