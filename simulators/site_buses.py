"""Buses and duty vehicles of a site: their terminals call the edge, drive about, and note what it confirmed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import urlsplit

from simulators.jt808 import Terminal
from simulators.site import Site

_CST: Final = timezone(timedelta(hours=8))
_AGAIN_S: Final = 0.5
_EVERY_S: Final = 1.0
_ANSWER_S: Final = 10.0
_LOST: Final = -1


@dataclass(frozen=True, slots=True)
class Place:
    """A position that a terminal sent, by its own clock; what the edge confirmed must be at central exactly once."""

    terminal: str
    at: datetime
    confirmed: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"terminal": self.terminal, "at": self.at.isoformat(), "confirmed": self.confirmed}


@dataclass(slots=True)
class Buses:
    """The terminals of a site. `sent` is the truth; what was not confirmed is sent again as a supplement."""

    site: Site
    sent: dict[tuple[str, datetime], Place] = field(default_factory=dict)
    online: set[str] = field(default_factory=set)
    heard: Callable[[Place], None] | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _parked: bool = False
    _kept: dict[str, list[datetime]] = field(default_factory=dict)

    @property
    def confirmed(self) -> int:
        """Return how many positions the edge confirmed."""
        return sum(place.confirmed for place in self.sent.values())

    @property
    def all_online(self) -> bool:
        """Tell whether the edge has admitted every terminal."""
        return self.online == {one.number for some in self.site.callers.terminals.values() for one in some}

    async def park(self) -> None:
        """Let every vehicle tell what it has begun to tell, and no more."""
        self._parked = True
        await asyncio.gather(*self.tasks)

    async def drive(self, terminal: Terminal, host: str, port: int) -> None:
        """Call, and call again after a loss; tell a position every second, until it is parked."""
        terminal.route.at = datetime.now(_CST).replace(microsecond=0)
        while not self._parked:
            with contextlib.suppress(OSError):
                if await terminal.connect(host, port):
                    self.online.add(terminal.number)
                    await self._report(terminal)
            self.online.discard(terminal.number)
            terminal.cut()
            await asyncio.sleep(_AGAIN_S)

    async def _report(self, terminal: Terminal) -> None:
        """Tell where it is until the connection ends, first what was kept meanwhile."""
        closed = asyncio.ensure_future(terminal.wait_closed())
        try:
            while not closed.done() and not self._parked:
                if terminal.kept and await _answered(terminal.send_batch()) == 0:
                    self._batch_taken(terminal)
                at = (terminal.route.at + timedelta(seconds=_EVERY_S)).astimezone(UTC)
                result = await _answered(terminal.position_confirmed(_EVERY_S))
                self._note(terminal.number, at, confirmed=result == 0)
                if result == _LOST:
                    self._kept.setdefault(terminal.number, []).append(at)
                    return
                await asyncio.wait((closed,), timeout=_EVERY_S)
        finally:
            closed.cancel()

    def _note(self, number: str, at: datetime, *, confirmed: bool) -> None:
        place = self.sent[number, at] = Place(number, at, confirmed)
        if confirmed and self.heard is not None:
            self.heard(place)

    def _batch_taken(self, terminal: Terminal) -> None:
        """Note as confirmed what is in the flash no more: supplements go out oldest first."""
        kept = self._kept.get(terminal.number, [])
        taken, kept[:] = kept[: len(kept) - len(terminal.kept)], kept[len(kept) - len(terminal.kept) :]
        for at in taken:
            self._note(terminal.number, at, confirmed=True)


@contextlib.asynccontextmanager
async def driving(site: Site) -> AsyncIterator[Buses]:
    """Let all vehicles of a site drive until left; the edge need not be there yet."""
    buses = Buses(site)
    for device, terminals in site.callers.terminals.items():
        place = urlsplit(site.links[device])
        for terminal in terminals:
            work = buses.drive(terminal, place.hostname or "", place.port or 0)
            buses.tasks.append(asyncio.create_task(work, name=f"bus.{terminal.number}"))
    try:
        yield buses
    finally:
        for task in buses.tasks:
            task.cancel()
        await asyncio.gather(*buses.tasks, return_exceptions=True)
        for terminals in site.callers.terminals.values():
            for terminal in terminals:
                terminal.cut()


async def _answered(asking: Coroutine[Any, Any, int]) -> int:
    """Return the result that the edge answered, LOST where the connection ended or nothing came."""
    task = asyncio.create_task(asking)
    await asyncio.wait((task,), timeout=_ANSWER_S)
    if not task.done() or task.cancelled():
        task.cancel()
        return _LOST
    return task.result()
