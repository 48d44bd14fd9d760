"""What happened at the lanes, as the edges tell it.

Promises:
1. An event gives exactly one row, in the transaction that stores the event; no row is ever changed.
2. A release against a refuse entry that was in force by then, by an edge that had an older list, gives exactly one
   review item and one message. It edits nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.clearance import store
from central.clearance.list_model import ANY_SITE
from central.clearance.model import PassageKind, decisions, passages
from central.columns import kept, kept_int
from central.db import new_id, now
from central.messages import LateConflictFound
from core.clearance.model import Effect
from core.messages.events import FreePassage, PassageAnomaly, PassageCleared, PassageDecided, PassageTimedOut

LATE_CONFLICT: Final = "late_conflict"
_PASSAGES: Final = (PassageCleared, PassageTimedOut, PassageAnomaly, FreePassage)

_Row = dict[str, Any]


class Records:
    """Projects the lanes' events into decisions and passages."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def register(self, bus: Bus) -> None:
        """Take the lanes' events from the bus."""
        bus.project(PassageDecided, self._decided)
        bus.project(_PASSAGES, self._passed)

    async def _passed(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        await store.add_rows(conn, passages, [_passage(row) for row in rows])

    async def _decided(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        await store.add_rows(conn, decisions, [_decision(row) for row in rows])
        await self._find_conflicts(conn, rows)

    async def _find_conflicts(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        released = [(row, event) for row in rows if (event := _released(row)) is not None]
        tokens = {event.subject_token for _, event in released}
        if not tokens:
            return
        against: dict[str, list[Row[Any]]] = {}
        for entry in await store.refuse_entries(conn, tokens):
            against.setdefault(entry.token, []).append(entry)
        for row, event in released:
            late = [entry for entry in against.get(event.subject_token, ()) if _was_late(row, event, entry)]
            if late:
                await self._review(conn, row, event, late[0])

    async def _review(self, conn: AsyncConnection, row: Recorded, event: PassageDecided, entry: Row[Any]) -> None:
        item = {
            "id": new_id(),
            "decision": row.position,
            "kind": LATE_CONFLICT,
            "site": row.site,
            "edge": row.edge,
            "lane": kept(event.lane, 64),
            "attempt": kept(event.attempt, 64),
            "list_id": entry.list_id,
            "entry": entry.id,
            "at": row.occurred_at,
            "found_at": now(),
        }
        if await store.add_review(conn, item):
            names = LateConflictFound.model_fields.keys() - {"review"}
            found = LateConflictFound(review=item["id"], **{name: item[name] for name in names})
            await self._bus.publish(conn, found)


def _released(row: Recorded) -> PassageDecided | None:
    event = row.event
    assert isinstance(event, PassageDecided)
    return event if event.effect is Effect.RELEASE and event.subject_token and "\0" not in event.subject_token else None


def _was_late(row: Recorded, event: PassageDecided, entry: Row[Any]) -> bool:
    """Tell whether the entry was in force when the edge released, and missing from the list that the edge had."""
    at = row.occurred_at
    in_force = entry.approved_at <= at and (entry.ended_at is None or entry.ended_at > at)
    valid = (entry.valid_from is None or entry.valid_from <= at) and (entry.valid_to is None or entry.valid_to > at)
    here = ANY_SITE in entry.sites or row.site in entry.sites
    had = event.list_versions.get(entry.list_id, 0)
    return in_force and valid and here and (entry.first_version is None or had < entry.first_version)


def _common(row: Recorded, lane: str) -> _Row:
    return {
        "position": row.position,
        "site": row.site,
        "edge": row.edge,
        "lane": kept(lane, 64),
        "at": row.occurred_at,
        "received_at": row.received_at,
    }


def _decision(row: Recorded) -> _Row:
    event = row.event
    assert isinstance(event, PassageDecided)
    return _common(row, event.lane) | {
        "attempt": kept(event.attempt, 64),
        "device": kept(event.device, 64),
        "direction": event.direction.value,
        "token": kept(event.subject_token, 64),
        "document_kind": kept(event.document_kind, 64),
        "person_class": kept(event.person_class, 64),
        "effect": event.effect.value,
        "reasons": to_json(event.reasons).decode(),
        "ruleset_version": kept_int(event.ruleset_version),
        "list_versions": to_json(event.list_versions).decode(),
        "latency_ms": event.latency_ms,
        "offline": event.offline,
        "unrecorded": event.unrecorded,
    }


_NOTHING: Final[Mapping[str, Any]] = {
    "attempt": "",
    "direction": "",
    "token": "",
    "persons": 1,
    "mode": "",
    "opened_ms": None,
    "duration_ms": None,
}


def _passage(row: Recorded) -> _Row:
    match row.event:
        case PassageCleared() as event:
            told: _Row = {
                "kind": PassageKind.CLEARED.value,
                "attempt": kept(event.attempt, 64),
                "direction": event.direction.value,
                "token": kept(event.subject_token, 64),
                "opened_ms": event.opened_ms,
                "duration_ms": kept_int(event.duration_ms),
            }
        case PassageTimedOut() as event:
            told = {"kind": PassageKind.TIMED_OUT.value, "persons": 0}
            told |= {"attempt": kept(event.attempt, 64), "token": kept(event.subject_token, 64)}
        case PassageAnomaly() as event:
            told = {"kind": event.kind.value, "attempt": kept(event.attempt or "", 64)}
            told |= {"direction": event.direction or "", "persons": kept_int(event.persons, 31)}
        case FreePassage() as event:
            told = {"kind": PassageKind.FREE.value, "direction": event.direction.value, "mode": event.mode.value}
            told |= {"persons": kept_int(event.persons, 31)}
        case other:
            raise TypeError(f"{type(other).__name__} is no passage")
    return {**_NOTHING, **_common(row, event.lane), **told, "recovered": event.recovered}
