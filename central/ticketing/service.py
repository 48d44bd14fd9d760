"""Tickets and their moves.

Promises:
1. A ticket moves only as TRANSITIONS says; each move is one line of its append-only log, in the same transaction.
2. Nobody verifies his own work.
3. A ticket of a device that is still at fault closes only with a stated reason.
4. Codes are unique and numbered by the local day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus
from central.db import new_id, now
from central.errors import Conflict, Forbidden, Missing
from central.messages import TicketMoved
from central.ticketing import store
from central.ticketing.model import TRANSITIONS, Channel, Kind, Resolution, State, Verb
from core.messages.events import Health

SYSTEM: Final = "system"
REOPEN_WITHIN: Final = timedelta(days=7)


class TicketStateForbids(Conflict):
    """The ticket's state does not allow this move."""

    code = "ticket_state"


class DeviceAtFault(Conflict):
    """The device of the ticket is still at fault."""

    code = "device_at_fault"


class AnotherIsOpen(Conflict):
    """The same trouble has another open ticket by now."""

    code = "ticket_open_elsewhere"


class OwnWork(Forbidden):
    """Whoever did the work does not verify it."""

    code = "own-work"


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket to be. With an asset and a fault class it is the one open ticket of that trouble."""

    kind: Kind
    channel: Channel
    site: str
    title: str
    at: datetime
    description: str = ""
    asset: str | None = None
    lane: str | None = None
    fault_class: str | None = None
    priority: str = "P3"
    follows: str | None = None

    @property
    def dedup_key(self) -> str | None:
        """Return what tells troubles apart; None where every report is a ticket."""
        return f"{self.asset}|{self.fault_class}" if self.asset and self.fault_class else None


class Tickets:
    """Opens tickets and moves them. `timezone` decides the day in their codes."""

    def __init__(self, bus: Bus, *, timezone: str = "Asia/Shanghai") -> None:
        self._bus = bus
        self._zone = ZoneInfo(timezone)

    async def get(self, conn: AsyncConnection, code: str, *, lock: bool = False) -> Row[Any]:
        """Return a ticket; raise Missing."""
        row = await store.by_code(conn, code, lock=lock)
        if row is None:
            raise Missing(f"no ticket {code}")
        return row

    async def open(self, conn: AsyncConnection, new: NewTicket, *, actor: str) -> str | None:
        """Open a ticket and return its code; None where its trouble has an open one already."""
        row = _row(new, await self._code(conn), actor)
        if not await store.add(conn, row):
            return None
        await self._note(conn, row["id"], actor, "opened", state=State.NEW, was=None, payload={"title": new.title})
        await self._tell(conn, row, State.NEW, None, actor)
        return str(row["code"])

    async def report(self, conn: AsyncConnection, new: NewTicket, *, actor: str) -> tuple[Row[Any], bool]:
        """Open a ticket for a person, or join the trouble's open one; return it, and whether it is new."""
        for _ in range(3):
            key = new.dedup_key
            row = await store.open_for(conn, key) if key else None
            if row is not None:
                values = {"occurrences": row.occurrences + 1, "last_seen_at": max(row.last_seen_at, new.at)}
                payload = {"title": new.title, "description": new.description}
                await self._note(conn, row.id, actor, "reported", state=State(row.state), payload=payload)
                return await store.change(conn, row.id, values), False
            code = await self.open(conn, new, actor=actor)
            if code is not None:
                return await self.get(conn, code), True
        raise AnotherIsOpen("the ticket of this trouble is opened and closed faster than it can be joined")

    async def join(self, conn: AsyncConnection, row: Row[Any], at: datetime) -> None:
        """Note that the trouble of an open ticket is there: still, or again after it was over."""
        values: dict[str, Any] = {"last_seen_at": max(row.last_seen_at, at)}
        state = State(row.state)
        if row.recovered_at is not None:
            values |= {"recovered_at": None, "close_proposed": False, "occurrences": row.occurrences + 1}
            again = State.REOPENED if state in {State.RESOLVED, State.VERIFIED} else state
            if again is not state:
                values |= {"state": again.value, "state_since": at, "reopened": row.reopened + 1}
                await self._tell(conn, row._mapping, again, state, SYSTEM)  # noqa: SLF001 (public by its documentation)
            await self._note(conn, row.id, SYSTEM, "recurred", state=again, was=state)
        await store.change(conn, row.id, values)

    async def open_again(self, conn: AsyncConnection, row: Row[Any], at: datetime) -> None:
        """Reopen a closed ticket, since its trouble is back."""
        values = {"occurrences": row.occurrences + 1, "last_seen_at": max(row.last_seen_at, at)}
        await self._move(conn, row, Verb.REOPEN, SYSTEM, values | _reopened(row), payload={"cause": "recurred"})

    async def note_recovery(self, conn: AsyncConnection, row: Row[Any], at: datetime) -> None:
        """Note that the trouble is over, and propose to close; people close."""
        await store.change(conn, row.id, {"recovered_at": at, "close_proposed": True})
        payload = {"proposal": "close", "recovered_at": at.isoformat()}
        await self._note(conn, row.id, SYSTEM, "recovered", state=State(row.state), payload=payload)

    async def assign(self, conn: AsyncConnection, row: Row[Any], actor: str, assignee: str) -> Row[Any]:
        """Give a ticket to somebody."""
        return await self._move(conn, row, Verb.ASSIGN, actor, {"assignee": assignee}, payload={"assignee": assignee})

    async def resolve(
        self, conn: AsyncConnection, row: Row[Any], actor: str, resolution: Resolution, note: str
    ) -> Row[Any]:
        """Say that the work is done, and how."""
        values = {"resolution_code": resolution.value, "solution": note, "resolved_at": now(), "resolved_by": actor}
        payload = {"resolution_code": resolution.value, "note": note}
        return await self._move(conn, row, Verb.RESOLVE, actor, values, payload=payload)

    async def verify(self, conn: AsyncConnection, row: Row[Any], actor: str, note: str) -> Row[Any]:
        """Accept the work; raise OwnWork to whoever did it."""
        if actor in {row.assignee, row.resolved_by}:
            raise OwnWork(f"{actor} did the work on {row.code}", cure="somebody else verifies it")
        values = {"verified_at": now(), "verified_by": actor}
        return await self._move(conn, row, Verb.VERIFY, actor, values, payload={"note": note})

    async def close(
        self, conn: AsyncConnection, row: Row[Any], actor: str, note: str, override_reason: str | None
    ) -> Row[Any]:
        """Close a verified ticket; raise DeviceAtFault unless there is a reason to do so nevertheless."""
        at_fault = row.asset is not None and await store.condition_of(conn, row.asset) == Health.FAULT.value
        if at_fault and not override_reason:
            raise DeviceAtFault(f"{row.asset} is at fault", cure="mend it, or give an override_reason")
        values = {"closed_at": now(), "closed_by": actor, "open_key": None, "close_proposed": False}
        payload = {"note": note, "override_reason": override_reason if at_fault else None}
        return await self._move(conn, row, Verb.CLOSE, actor, values, payload=payload)

    async def reopen(self, conn: AsyncConnection, row: Row[Any], actor: str, reason: str) -> Row[Any]:
        """Take up again what was not done after all, within seven days of closing."""
        if row.closed_at is not None and now() > row.closed_at + REOPEN_WITHIN:
            raise TicketStateForbids(f"{row.code} was closed more than 7 days ago", cure="open a new ticket")
        try:
            async with conn.begin_nested():
                return await self._move(conn, row, Verb.REOPEN, actor, _reopened(row), payload={"reason": reason})
        except IntegrityError as error:
            raise AnotherIsOpen("the same trouble has another open ticket", cure="work on that one") from error

    async def _move(
        self,
        conn: AsyncConnection,
        row: Row[Any],
        verb: Verb,
        actor: str,
        values: Mapping[str, Any],
        *,
        payload: Mapping[str, Any],
    ) -> Row[Any]:
        starts, target = TRANSITIONS[verb]
        was = State(row.state)
        if was not in starts:
            raise TicketStateForbids(
                f"{row.code} is {was}", cure=f"{verb} needs it to be {' or '.join(sorted(starts))}"
            )
        changed = await store.change(conn, row.id, {**values, "state": target.value, "state_since": now()})
        await self._note(conn, row.id, actor, verb, state=target, was=was, payload=payload)
        await self._tell(conn, row._mapping, target, was, actor)  # noqa: SLF001 (public by its documentation)
        return changed

    async def _note(
        self,
        conn: AsyncConnection,
        ticket: str,
        actor: str,
        kind: str,
        *,
        state: State,
        was: State | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> None:
        row = {"id": new_id(), "ticket": ticket, "at": now(), "actor": actor, "kind": kind}
        row |= {"was": was and was.value, "state": state.value, "payload": dict(payload or {})}
        await store.log(conn, row)

    async def _tell(
        self, conn: AsyncConnection, row: Mapping[Any, Any], state: State, was: State | None, actor: str
    ) -> None:
        moved = TicketMoved(
            ticket=row["code"],
            site=row["site"],
            asset=row["asset"],
            state=state,
            was=was,
            actor=actor,
            at=now(),
        )
        await self._bus.publish(conn, moved)

    async def _code(self, conn: AsyncConnection) -> str:
        day = now().astimezone(self._zone).strftime("%Y%m%d")
        return f"TK-{day}-{await store.next_number(conn, day):04d}"


def _row(new: NewTicket, code: str, actor: str) -> dict[str, Any]:
    opened_at = now()
    return {
        "id": new_id(),
        "code": code,
        "open_key": new.dedup_key,
        "dedup_key": new.dedup_key,
        "kind": new.kind.value,
        "channel": new.channel.value,
        "site": new.site,
        "asset": new.asset,
        "lane": new.lane,
        "fault_class": new.fault_class,
        "title": new.title[:200],
        "description": new.description,
        "priority": new.priority,
        "state": State.NEW.value,
        "state_since": opened_at,
        "reporter": actor,
        "solution": "",
        "occurrences": 1,
        "reopened": 0,
        "follows": new.follows,
        "first_at": new.at,
        "last_seen_at": new.at,
        "close_proposed": False,
        "opened_at": opened_at,
        "version": 1,
    }


def _reopened(row: Row[Any]) -> dict[str, Any]:
    """Return what a ticket forgets when it is taken up again; its log keeps it."""
    forgotten = ("closed_at", "closed_by", "verified_at", "verified_by", "recovered_at")
    fresh = {"reopened": row.reopened + 1, "open_key": row.dedup_key, "close_proposed": False}
    return dict.fromkeys(forgotten) | fresh
