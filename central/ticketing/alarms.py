"""From the health of an asset to tickets.

Promises:
1. An (asset, fault class) has at most one ticket that is not closed, however many handlers see the fault at once.
2. A fault that is over never closes its ticket: it is noted, and closing is proposed.
3. A trouble that must last before it counts waits in the database: a restart forgets none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus
from central.db import Database, now
from central.errors import Conflict
from central.messages import AssetHealthChanged, AssetTroubleTold
from central.ticketing import store
from central.ticketing.model import Channel, Kind
from central.ticketing.service import SYSTEM, NewTicket, Tickets
from core.messages.events import Health

OFFLINE: Final = "offline"
CENTRALS: Final = frozenset({"count_drift"})
"""Fault classes that central itself finds: no edge can say that they are over."""
UNNAMED: Final = "fault"
_SWEEP_ROWS: Final = 200
_BLIND: Final = frozenset({Health.UNKNOWN, Health.OFFLINE})
"""In these nobody can say whether a fault is over."""


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """How long a trouble lasts before it is a ticket, and how long after closing the same one opens it again."""

    fault_hold_s: float = 0.0
    offline_hold_s: float = 60.0
    reopen_window_s: float = 7 * 86_400.0


class Fault(BaseModel):
    """One trouble of one asset."""

    model_config = ConfigDict(frozen=True)

    asset: str
    fault_class: str
    site: str
    lane: str | None
    detail: str
    at: datetime

    @property
    def key(self) -> str:
        """Return what tells troubles apart."""
        return f"{self.asset}|{self.fault_class}"


class Alarms:
    """Opens, joins and reopens tickets of faults."""

    def __init__(self, database: Database, tickets: Tickets, settings: AlarmSettings) -> None:
        self._database = database
        self._tickets = tickets
        self._settings = settings

    def register(self, bus: Bus) -> None:
        """Take the health of assets from the bus."""
        bus.subscribe(AssetHealthChanged, "ticketing.health", self.health_changed)
        bus.subscribe(AssetTroubleTold, "ticketing.trouble", self.trouble_told)

    async def health_changed(self, conn: AsyncConnection, message: AssetHealthChanged) -> None:
        """Open, join or hold what is wrong; note what is over."""
        await store.note_condition(conn, message.asset, message.health.value, message.at)
        present = _faults(message)
        await store.unhold(conn, message.asset, keep=[fault.fault_class for fault in present])
        for fault in present:
            hold_s = self._settings.offline_hold_s if fault.fault_class == OFFLINE else self._settings.fault_hold_s
            if hold_s > 0:
                due_at = message.since + timedelta(seconds=hold_s)
                body = fault.model_dump(mode="json")
                await store.hold(conn, fault.asset, fault.fault_class, body, due_at)
            else:
                await self.raise_fault(conn, fault)
        for row in await store.open_of_asset(conn, message.asset):
            if row.recovered_at is None and _is_over(row.fault_class, message, present):
                await self._tickets.note_recovery(conn, row, message.at)

    async def trouble_told(self, conn: AsyncConnection, message: AssetTroubleTold) -> None:
        """Open or join what central has found; note that it is over."""
        if message.present:
            fault = Fault(
                asset=message.asset,
                fault_class=message.trouble,
                site=message.site,
                lane=message.lane,
                detail=message.detail,
                at=message.at,
            )
            await self.raise_fault(conn, fault)
            return
        for row in await store.open_of_asset(conn, message.asset):
            if row.fault_class == message.trouble and row.recovered_at is None:
                await self._tickets.note_recovery(conn, row, message.at)

    async def sweep(self) -> int:
        """Make tickets of the troubles that lasted; return how many there were. To be called every second or so."""
        async with self._database.begin() as conn:
            due = await store.take_due(conn, now(), _SWEEP_ROWS)
            for row in due:
                await self.raise_fault(conn, Fault.model_validate(row.fault))
        return len(due)

    async def raise_fault(self, conn: AsyncConnection, fault: Fault) -> None:
        """Give a fault its one ticket: the open one, the one closed lately, or a new one."""
        for _ in range(3):
            row = await store.open_for(conn, fault.key)
            if row is not None:
                await self._tickets.join(conn, row, fault.at)
                return
            closed = await store.last_closed(conn, fault.key)
            if closed is not None and fault.at <= closed.closed_at + timedelta(seconds=self._settings.reopen_window_s):
                await self._tickets.open_again(conn, closed, fault.at)
                return
            if await self._tickets.open(conn, _ticket(fault, closed), actor=SYSTEM) is not None:
                return
        raise Conflict(f"the ticket of {fault.key} is opened and closed faster than it can be joined")


def _faults(message: AssetHealthChanged) -> list[Fault]:
    match message.health:
        case Health.FAULT:
            classes = sorted(set(message.faults) or {UNNAMED})
        case Health.OFFLINE:
            classes = [OFFLINE]
        case _:
            classes = []
    place: Mapping[str, Any] = {
        "asset": message.asset,
        "site": message.site,
        "lane": message.lane,
        "detail": message.detail,
        "at": message.at,
    }
    return [Fault(fault_class=name, **place) for name in classes]


def _is_over(fault_class: str, message: AssetHealthChanged, present: list[Fault]) -> bool:
    if fault_class in CENTRALS:
        return False
    return message.health not in _BLIND and fault_class not in {fault.fault_class for fault in present}


def _ticket(fault: Fault, before: Row[Any] | None) -> NewTicket:
    return NewTicket(
        kind=Kind.FAULT,
        channel=Channel.AUTO_ALARM,
        site=fault.site,
        title=f"{fault.asset}: {fault.fault_class}",
        description=fault.detail,
        asset=fault.asset,
        lane=fault.lane,
        fault_class=fault.fault_class,
        priority="P2" if fault.lane else "P3",
        follows=before.code if before is not None else None,
        at=fault.at,
    )
