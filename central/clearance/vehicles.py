"""What happened at the vehicle lanes, as the edges tell it.

Promises:
1. An event gives exactly one row, in the transaction that stores the event; no row is ever changed.
2. A vehicle is found by each of its plates, also by that which only the rear camera read.
3. A late release is put before a person (`conflicts.py`), whichever of its plates is on the list.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.clearance import vehicle_store
from central.clearance.conflicts import Conflicts, Release
from central.clearance.vehicle_model import VehiclePassageKind, vehicle_decisions, vehicle_passages
from central.columns import finite, kept, kept_int
from core.clearance.model import Effect
from core.messages.vehicle_events import (
    ChannelPassed,
    VehicleAnomaly,
    VehicleCleared,
    VehicleDecided,
    VehiclePassedFree,
    VehicleTimedOut,
)

_PASSAGES: Final = (VehicleCleared, VehicleTimedOut, VehicleAnomaly, VehiclePassedFree, ChannelPassed)
_MOST_PLATES: Final = 16
"""Of one event that can be looked for; a vehicle has three at most."""

_Row = dict[str, Any]


class Vehicles:
    """Projects the vehicle lanes' events into decisions and passages."""

    def __init__(self, bus: Bus) -> None:
        self._conflicts = Conflicts(bus)

    def register(self, bus: Bus) -> None:
        """Take the vehicle lanes' events from the bus."""
        bus.project(VehicleDecided, self._decided)
        bus.project(_PASSAGES, self._passed)

    async def _passed(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        seen = [plate for row in rows for plate in _plates(row)]
        await vehicle_store.add(conn, vehicle_passages, [_passage(row) for row in rows], seen)

    async def _decided(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        seen = [plate for row in rows for plate in _plates(row)]
        await vehicle_store.add(conn, vehicle_decisions, [_decision(row) for row in rows], seen)
        await self._conflicts.find(conn, [release for row in rows if (release := _released(row)) is not None])


def _released(row: Recorded) -> Release | None:
    event = row.event
    assert isinstance(event, VehicleDecided)
    if event.effect is not Effect.RELEASE:
        return None
    tokens = dict.fromkeys((event.plate_token, *event.plate_tokens))
    return Release(row, event.lane, event.attempt, tuple(tokens)[:_MOST_PLATES], event.list_versions)


def _plates(row: Recorded) -> list[_Row]:
    event = row.event
    assert isinstance(event, (VehicleDecided, *_PASSAGES))
    tokens = [event.plate_token, *getattr(event, "plate_tokens", ()), *getattr(event, "other_tokens", ())]
    names = dict.fromkeys(kept(token, 64) for token in tokens if token)
    return [{"token": name, "position": row.position, "site": row.site} for name in list(names)[:_MOST_PLATES]]


def _common(row: Recorded) -> _Row:
    return {
        "position": row.position,
        "site": row.site,
        "edge": row.edge,
        "at": row.occurred_at,
        "received_at": row.received_at,
    }


def _decision(row: Recorded) -> _Row:
    event = row.event
    assert isinstance(event, VehicleDecided)
    return _common(row) | {
        "lane": kept(event.lane, 64),
        "attempt": kept(event.attempt, 64),
        "device": kept(event.device, 64),
        "channel": kept(event.channel, 64),
        "barrier": kept_int(event.barrier, 31),
        "direction": event.direction.value,
        "token": kept(event.plate_token, 64),
        "tokens": _json(event.plate_tokens),
        "regions": _json(event.plate_regions),
        "reads": kept_int(event.reads, 31),
        "empty_reads": kept_int(event.empty_reads, 31),
        "confidence": finite(event.confidence),
        "fuzzy": event.fuzzy,
        "effect": event.effect.value,
        "reasons": _json(event.reasons),
        "ruleset_version": kept_int(event.ruleset_version),
        "list_versions": _json(event.list_versions),
        "latency_ms": finite(event.latency_ms),
        "offline": event.offline,
        "unrecorded": event.unrecorded,
    }


_NOTHING: Final[Mapping[str, Any]] = {
    "lane": "",
    "barrier": None,
    "direction": "",
    "tokens": "[]",
    "other_tokens": "[]",
    "mode": "",
    "confidence": None,
    "opened_ms": None,
    "duration_ms": None,
    "legs": "[]",
    "missing": "[]",
    "paired_by": "",
    "timed_out": False,
    "recovered": False,
}


def _passage(row: Recorded) -> _Row:
    event = row.event
    assert isinstance(event, _PASSAGES)
    told: _Row = {"channel": kept(event.channel, 64), "token": kept(event.plate_token, 64)}
    if isinstance(event, ChannelPassed):
        told |= _of_channel(event)
    else:
        told |= {"lane": kept(event.lane, 64), "barrier": kept_int(event.barrier, 31), **_at_barrier(event)}
    return {**_NOTHING, **_common(row), **told}


def _at_barrier(event: VehicleCleared | VehicleTimedOut | VehicleAnomaly | VehiclePassedFree) -> _Row:
    match event:
        case VehicleCleared():
            return {
                "kind": VehiclePassageKind.CLEARED.value,
                "attempt": kept(event.attempt, 64),
                "direction": event.direction.value,
                "tokens": _json(event.plate_tokens),
                "confidence": finite(event.confidence),
                "opened_ms": finite(event.opened_ms),
                "duration_ms": kept_int(event.duration_ms),
                "recovered": event.recovered,
            }
        case VehicleTimedOut():
            attempt = kept(event.attempt, 64)
            return {"kind": VehiclePassageKind.TIMED_OUT.value, "attempt": attempt, "recovered": event.recovered}
        case VehicleAnomaly():
            return {
                "kind": event.kind.value,
                "attempt": kept(event.attempt or "", 64),
                "direction": event.direction.value if event.direction is not None else "",
                "tokens": _json(event.plate_tokens),
                "other_tokens": _json(event.other_tokens),
            }
        case VehiclePassedFree():
            told = {"kind": VehiclePassageKind.FREE.value, "attempt": "", "mode": event.mode.value}
            return told | {"direction": event.direction.value, "tokens": _json(event.plate_tokens)}


def _of_channel(event: ChannelPassed) -> _Row:
    return {
        "kind": VehiclePassageKind.CHANNEL.value,
        "attempt": kept(event.passage, 64),
        "direction": event.direction.value,
        "tokens": _json(event.plate_tokens),
        "confidence": finite(event.confidence),
        "duration_ms": kept_int(event.duration_ms),
        "legs": _json(event.legs),
        "missing": _json(event.missing),
        "paired_by": event.paired_by.value,
        "timed_out": event.timed_out,
        "recovered": event.recovered,
    }


def _json(value: Iterable[Any]) -> str:
    return to_json(value).decode()
