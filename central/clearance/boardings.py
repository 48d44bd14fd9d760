"""Boardings: the meeting of one aircraft at one cabin, as its edge tells it.

Promises:
1. A boarding is one row, a visit one row for each document that was shown in it; what came last in order holds, also
   when an older event is projected again later.
2. What is known is counted as the cabin counts: attempts with one token are one passenger, who has left stays counted
   so, and a refusal stands until an officer rules again.
3. The sealed summary is kept as the exact text that was signed; it is never changed.
4. A late release is put before a person (`conflicts.py`).
"""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.clearance import boarding_store as store
from central.clearance.boarding_model import BoardingState, Outcome, boardings, visits
from central.clearance.conflicts import Conflicts, Release
from central.clearance.seals import SealState, state_of
from central.columns import kept, kept_int
from central.db import new_id
from central.errors import Missing
from core.clearance.model import Effect
from core.messages.cabin_events import (
    BoardingClosed,
    BoardingOpened,
    CabinAnomaly,
    PassengerHeld,
    PassengerLeft,
    PassengerRuled,
    PassengerVerified,
    Ruling,
)

_OF_PASSENGERS: Final = (PassengerVerified, PassengerHeld, PassengerRuled, PassengerLeft)
_KINDS: Final = (BoardingOpened, *_OF_PASSENGERS, BoardingClosed)
_SUMMARY: Final = 65_536
_RULED: Final = {Ruling.RELEASE: Outcome.RELEASED, Ruling.REFUSE: Outcome.REFUSED, Ruling.AGAIN: Outcome.HELD}

_Row = dict[str, Any]


class Boardings:
    """Projects the cabins' events."""

    def __init__(self, bus: Bus) -> None:
        self._conflicts = Conflicts(bus)

    def register(self, bus: Bus) -> None:
        """Take the cabins' events from the bus."""
        bus.project(_KINDS, self._project)
        bus.project(CabinAnomaly, self._went_wrong)

    async def get(self, conn: AsyncConnection, boarding: str) -> Row[Any]:
        """Return a boarding; raise Missing."""
        row = await store.by_id(conn, boarding)
        if row is None:
            raise Missing(f"no boarding {boarding}")
        return row

    async def tally(self, conn: AsyncConnection, boarding: str) -> dict[str, int]:
        """Count the passengers of a boarding by what central knows of it."""
        return count(await store.outcomes(conn, boarding))

    async def seal(self, conn: AsyncConnection, row: Row[Any]) -> SealState | None:
        """Tell how it is with the seal; None while the boarding is open."""
        return await state_of(conn, row) if row.state == BoardingState.CLOSED else None

    async def _project(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        heads = await self._boardings_of(conn, rows)
        names = {name for row in rows if (name := _name(row, heads)) is not None}
        known = {name: dict(row._mapping) for name, row in (await store.visits_of(conn, names)).items()}  # noqa: SLF001 (public by its documentation)
        for row in rows:
            name = _name(row, heads)
            match row.event:
                case BoardingOpened() as event:
                    heads[_place(row)].update(_opened(row, event))
                case BoardingClosed() as event:
                    heads[_place(row)].update(_closed(row, event))
                case event if name is not None:
                    visit = known.setdefault(name, _new_visit(name, row))
                    _tell(visit, row, event)
        await store.save(conn, [heads[place] for place in sorted(heads)])
        await store.save_visits(conn, list(known.values()))
        await self._conflicts.find(conn, [release for row in rows if (release := _released(row)) is not None])

    async def _boardings_of(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> dict[store.Place, _Row]:
        first: dict[store.Place, Recorded] = {}
        for row in rows:
            first.setdefault(_place(row), row)
        found = await store.locked(conn, first)
        missing = [place for place in sorted(first) if place not in found]
        for place in missing:
            await store.add(conn, _new_boarding(place, first[place]))
        if missing:
            found = await store.locked(conn, first)
        return {place: dict(row._mapping) for place, row in found.items()}  # noqa: SLF001 (public by its documentation)

    async def _went_wrong(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        await store.add_anomalies(conn, [_anomaly(row) for row in rows])


def count(rows: Sequence[Row[Any]]) -> dict[str, int]:
    """Return how many passengers came to which outcome, and `seen`; visits come in the order of their last events."""
    passengers: dict[str, Row[Any]] = {}
    for row in rows:
        if row.token:
            passengers.pop(row.attempt, None)
        before = passengers.get(row.token or row.attempt)
        if before is None or not _stands(before, row):
            passengers[row.token or row.attempt] = row
    outcomes = Counter(row.outcome for row in passengers.values())
    return {outcome.value: outcomes[outcome.value] for outcome in Outcome} | {"seen": len(passengers)}


def _stands(before: Row[Any], after: Row[Any]) -> bool:
    """Tell whether an earlier visit's outcome is not changed by a later one."""
    return before.left_at is not None or (before.outcome == Outcome.REFUSED and after.outcome == Outcome.HELD)


def _place(row: Recorded) -> store.Place:
    event = row.event
    assert isinstance(event, _KINDS)
    return row.edge, kept(event.lane, 64), kept(event.boarding, 64)


def _name(row: Recorded, heads: dict[store.Place, _Row]) -> store.Visit | None:
    event = row.event
    if not isinstance(event, _OF_PASSENGERS):
        return None
    return heads[_place(row)]["id"], kept(event.attempt, 64), kept(event.subject_token, 64)


def _new_boarding(place: store.Place, row: Recorded) -> _Row:
    """Return a boarding of which nothing is known but its name."""
    told = dict.fromkeys((column.name for column in boardings.c if column.nullable), None)
    told |= dict.fromkeys(("flight", "stand", "opened_by", "closed_by", "counts", "summary", "signature", "key_id"), "")
    named = {"id": new_id(), "site": row.site, "edge": place[0], "lane": place[1], "boarding": place[2]}
    return told | named | {"state": BoardingState.OPEN.value, "opened_at": row.occurred_at}


def _opened(row: Recorded, event: BoardingOpened) -> _Row:
    return {
        "flight": kept(event.flight, 16),
        "stand": kept(event.stand, 16),
        "opened_by": kept(event.officer, 128),
        "opened_at": row.occurred_at,
        "expected": kept_int(event.expected, 31),
        "named": event.named,
    }


def _closed(row: Recorded, event: BoardingClosed) -> _Row:
    return {
        "state": BoardingState.CLOSED.value,
        "closed_by": kept(event.officer, 128),
        "closed_at": row.occurred_at,
        "counts": event.counts.model_dump_json(),
        "summary": kept(event.summary, _SUMMARY),
        "signature": kept(event.signature, 256),
        "key_id": kept(event.key_id, 64),
    }


def _new_visit(name: store.Visit, row: Recorded) -> _Row:
    """Return a visit of which nothing is known but that it was."""
    told = dict.fromkeys((column.name for column in visits.c if column.nullable), None)
    texts = ("why", "document_kind", "person_class", "capture_digest", "effect", "ruling", "ruled_by", "ruled_reason")
    told |= dict.fromkeys(texts, "")
    told |= {"boarding_id": name[0], "attempt": name[1], "token": name[2]}
    told |= {"position": row.position, "last_position": 0, "at": row.occurred_at, "outcome": Outcome.HELD.value}
    told |= {"repeated": False, "offline": False, "unrecorded": False}
    return told | {"reasons": "[]", "ruleset_version": 0, "list_versions": "{}"}


def _tell(visit: _Row, row: Recorded, event: object) -> None:
    """Take over what an event tells of a visit, unless what is there is newer."""
    if isinstance(event, PassengerLeft):
        visit["left_at"] = row.occurred_at
        return
    if row.position <= visit["last_position"]:
        return
    visit["last_position"] = row.position
    match event:
        case PassengerVerified():
            visit.update(_seen(row, event), outcome=Outcome.VERIFIED.value, why="", unrecorded=event.unrecorded)
        case PassengerHeld():
            visit.update(_seen(row, event), outcome=Outcome.HELD.value, why=event.why.value)
        case PassengerRuled():
            visit.update(outcome=_RULED[event.ruling].value, unrecorded=event.unrecorded)
            visit.update(ruling=event.ruling.value, ruled_at=row.occurred_at)
            visit.update(ruled_by=kept(event.actor, 128), ruled_reason=kept(event.reason, 512))


def _seen(row: Recorded, event: PassengerVerified | PassengerHeld) -> _Row:
    return {
        "at": row.occurred_at,
        "document_kind": kept(event.document_kind, 64),
        "person_class": kept(event.person_class, 64),
        "expected": event.expected,
        "repeated": event.repeated,
        "face_score": _finite(event.face_score),
        "face_threshold": _finite(event.face_threshold),
        "liveness": _finite(event.liveness),
        "capture_digest": kept(event.capture_digest, 128),
        "effect": event.effect.value if event.effect is not None else "",
        "reasons": to_json(event.reasons).decode(),
        "ruleset_version": kept_int(event.ruleset_version),
        "list_versions": to_json(event.list_versions).decode(),
        "duration_ms": kept_int(event.duration_ms),
        "offline": event.offline,
    }


def _released(row: Recorded) -> Release | None:
    event = row.event
    if not isinstance(event, PassengerVerified) or event.effect not in {None, Effect.RELEASE}:
        return None
    return Release(row, event.lane, event.attempt, (event.subject_token,), event.list_versions)


def _anomaly(row: Recorded) -> _Row:
    event = row.event
    assert isinstance(event, CabinAnomaly)
    return {
        "position": row.position,
        "site": row.site,
        "edge": row.edge,
        "lane": kept(event.lane, 64),
        "at": row.occurred_at,
        "received_at": row.received_at,
        "kind": event.kind.value,
        "boarding": kept(event.boarding or "", 64),
        "attempt": kept(event.attempt or "", 64),
        "door": kept(event.door, 16),
        "step": kept(event.step, 32),
        "persons": None if event.persons is None else kept_int(event.persons, 31),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
