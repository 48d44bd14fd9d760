"""What happened at the lanes, as the edges tell it.

Promises:
1. An event gives exactly one row, in the transaction that stores the event; no row is ever changed.
2. A late release is put before a person (`conflicts.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.clearance import store
from central.clearance.conflicts import Conflicts, Release
from central.clearance.model import PassageKind, decisions, passages
from central.columns import finite, kept, kept_int
from core.clearance.model import Effect
from core.messages.events import FreePassage, PassageAnomaly, PassageCleared, PassageDecided, PassageTimedOut

_PASSAGES: Final = (PassageCleared, PassageTimedOut, PassageAnomaly, FreePassage)

_Row = dict[str, Any]


class Records:
    """Projects the lanes' events into decisions and passages."""

    def __init__(self, bus: Bus) -> None:
        self._conflicts = Conflicts(bus)

    def register(self, bus: Bus) -> None:
        """Take the lanes' events from the bus."""
        bus.project(PassageDecided, self._decided)
        bus.project(_PASSAGES, self._passed)

    async def _passed(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        await store.add_rows(conn, passages, [_passage(row) for row in rows])

    async def _decided(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        await store.add_rows(conn, decisions, [_decision(row) for row in rows])
        await self._conflicts.find(conn, [release for row in rows if (release := _released(row)) is not None])


def _released(row: Recorded) -> Release | None:
    event = row.event
    assert isinstance(event, PassageDecided)
    if event.effect is not Effect.RELEASE:
        return None
    return Release(row, event.lane, event.attempt, (event.subject_token,), event.list_versions)


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
        "latency_ms": finite(event.latency_ms, 0.0),
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
                "opened_ms": finite(event.opened_ms),
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
