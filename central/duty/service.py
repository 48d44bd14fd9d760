"""Vehicle locators: where each was, and where it is.

Promises:
1. A position that a terminal sends again is one row.
2. What is late never stands in the place of what is newer, neither of a report nor of a place; a report without a fix
   leaves the last place as it is.
3. A locator with a wrong clock is the newest no longer than until it is heard again.
4. A locator is online only while its edge is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import Principal
from central.bus import Bus, Recorded
from central.columns import kept, kept_int
from central.duty import store
from central.duty.model import locators
from central.errors import Missing
from central.messages import EdgePresenceChanged
from core.messages.events import EdgeStarted
from core.messages.locator_events import PositionReported, TerminalSeen

_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_OF_NOTHING: Final = dict.fromkeys(column.name for column in locators.c)

_Locator = dict[str, Any]


class Duty:
    """Projects what locators tell."""

    def register(self, bus: Bus) -> None:
        """Take the locators' events and the edges' presence from the bus."""
        bus.project((PositionReported, TerminalSeen), self._project)
        bus.project(EdgeStarted, self._started)
        bus.subscribe(EdgePresenceChanged, "duty.presence", self._edge_moved)

    async def known(
        self, conn: AsyncConnection, terminal: str, caller: Principal, edge: str | None = None
    ) -> Sequence[Row[Any]]:
        """Return what the caller's edges know of a terminal, the latest first; raise Missing or Forbidden."""
        rows = await store.of_terminal(conn, terminal)
        rows = [row for row in rows if edge is None or row.edge == edge]
        if not rows:
            raise Missing(f"no locator {terminal}")
        mine = [row for row in rows if caller.may_site(row.site)]
        if not mine:
            caller.must_site(rows[0].site)
        return mine

    async def _project(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        taken: list[tuple[Any, ...]] = []
        news: dict[tuple[str, str], _Locator] = {}
        for row in rows:
            event = row.event
            assert isinstance(event, PositionReported | TerminalSeen)
            terminal = kept(event.terminal or event.device, 64)
            one = news.get((row.edge, terminal))
            if one is None:
                one = news[row.edge, terminal] = _fresh(row, terminal, kept(event.device, 64))
            _heard(one, row, kept(event.device, 64))
            if isinstance(event, PositionReported):
                position = _position(row, event, terminal)
                taken.append(position)
                _report(one, row, event, position)
            else:
                _seen(one, row, event)
        await store.add_positions(conn, taken)
        await store.save_locators(conn, list(news.values()))

    async def _started(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        """An edge that begins anew has no terminal connected; those that are told after it are."""
        for row in rows:
            await store.let_go(conn, row.edge, row.occurred_at)

    async def _edge_moved(self, conn: AsyncConnection, message: EdgePresenceChanged) -> None:
        await store.note_edge(conn, message.edge, online=message.online)


def _fresh(row: Recorded, terminal: str, device: str) -> _Locator:
    """Return a locator of which nothing is told yet."""
    return _OF_NOTHING | {
        "edge": row.edge,
        "terminal": terminal,
        "site": row.site,
        "device": device,
        "first_seen_at": row.occurred_at,
        "last_seen_at": row.occurred_at,
        "edge_online": True,
        "online_position": 0,
        "vendor": "",
        "model": "",
        "firmware": "",
        "described_position": 0,
    }


def _heard(one: _Locator, row: Recorded, device: str) -> None:
    if row.occurred_at >= one["last_seen_at"]:
        one["last_seen_at"], one["device"] = row.occurred_at, device


def _seen(one: _Locator, row: Recorded, event: TerminalSeen) -> None:
    one["online"], one["online_at"], one["online_position"] = event.online, row.occurred_at, row.position
    if event.vendor or event.model or event.firmware:
        for name in ("vendor", "model", "firmware"):
            one[name] = kept(getattr(event, name), 128)
        one["described_position"] = row.position


def _position(row: Recorded, event: PositionReported, terminal: str) -> tuple[Any, ...]:
    """Return the row of a position, values in the order of the table's columns."""
    taken_at = _usable(event.taken_at)
    return (
        row.site,
        row.edge,
        terminal,
        taken_at or _usable(row.occurred_at) or row.received_at,
        0 if taken_at else row.position,
        kept(event.device, 64),
        row.received_at,
        _number(event.latitude_deg),
        _number(event.longitude_deg),
        _number(event.altitude_m),
        _number(event.speed_kmh, 1 / 3.6),
        _number(event.course_deg),
        None if event.satellites is None else kept_int(event.satellites, 31),
        _number(event.mileage_km, 1000.0),
        event.fixed,
        event.late,
        event.acc_on,
        kept_int(event.alarm_bits),
        kept_int(event.status_bits),
    )


def _report(one: _Locator, row: Recorded, event: PositionReported, position: tuple[Any, ...]) -> None:
    """Take over what is not older than what was there."""
    taken_at = position[3]
    at = min(taken_at, row.occurred_at, row.received_at)
    if one["reported_at"] is None or at >= one["reported_at"]:
        one["reported_at"] = at
        one["mileage_m"] = position[13]
        one["fixed"], _, one["acc_on"], one["alarm_bits"], one["status_bits"] = position[14:]
    has_place = event.fixed and position[7] is not None and position[8] is not None
    if has_place and (one["fix_at"] is None or at >= one["fix_at"]):
        one["fix_at"], one["taken_at"] = at, taken_at
        one["latitude_deg"], one["longitude_deg"], one["altitude_m"] = position[7:10]
        one["speed_mps"], one["course_deg"], one["satellites"] = position[10:13]


def _usable(moment: datetime | None) -> datetime | None:
    """Return the moment in UTC; None where no locator can have been anywhere then."""
    try:
        told = moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except OverflowError:
        return None
    return told if told is not None and _EARLIEST <= told <= _LATEST else None


def _number(value: float | None, times: float = 1.0) -> float | None:
    return value * times if value is not None and isfinite(value) else None
