"""How many came and went: persons by the people counters, vehicles by the channels.

Promises:
1. Reports of one bucket add up; each event counts once, since ingest gives each once.
2. A vehicle counts once, however many barriers it passed: by its channel, when the passage is told.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.columns import kept, kept_int
from central.flow import store
from central.flow.model import people, vehicles
from core.clearance.model import Direction
from core.messages.device_events import PeopleCountReported
from core.messages.vehicle_events import ChannelPassed, PairedBy

_MINUTE_S: Final = 60
_EARLIEST_S: Final = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
_LATEST_S: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())

_Counts = dict[tuple[Any, ...], dict[str, Any]]


class Flow:
    """Projects counts into buckets."""

    def register(self, bus: Bus) -> None:
        """Take the counts from the bus."""
        bus.project(PeopleCountReported, self._counted)
        bus.project(ChannelPassed, self._passed)

    async def _counted(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        counts: _Counts = {}
        for row in rows:
            event = row.event
            assert isinstance(event, PeopleCountReported)
            place = {
                "site": row.site,
                "start_s": _seconds(event.bucket_start),
                "edge": row.edge,
                "device": kept(event.device, 64),
                "region": kept(event.region, 64),
                "bucket_s": kept_int(event.bucket_s, 31),
            }
            entered, left = kept_int(event.entered, 31), kept_int(event.left, 31)
            one = _bucket(counts, place, inside=None, reports=0)
            _grow(one, entered, left, doubtful=entered + left if event.estimated else 0)
            one["reports"] += 1
            if event.inside is not None:
                one["inside"] = kept_int(event.inside)
        await store.add(conn, people, list(counts.values()))

    async def _passed(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        counts: _Counts = {}
        for row in rows:
            event = row.event
            assert isinstance(event, ChannelPassed)
            start_s = _seconds(row.occurred_at) // _MINUTE_S * _MINUTE_S
            place = {"site": row.site, "start_s": start_s, "edge": row.edge, "channel": kept(event.channel, 64)}
            entered = int(event.direction is Direction.IN)
            _grow(_bucket(counts, place), entered, 1 - entered, doubtful=int(event.paired_by is not PairedBy.PLATE))
        await store.add(conn, vehicles, list(counts.values()))


def _bucket(counts: _Counts, place: dict[str, Any], **more: Any) -> dict[str, Any]:
    return counts.setdefault(tuple(place.values()), place | {"entered": 0, "left": 0, "doubtful": 0} | more)


def _grow(one: dict[str, Any], entered: int, left: int, *, doubtful: int) -> None:
    one["entered"] += entered
    one["left"] += left
    one["doubtful"] += doubtful


def _seconds(moment: datetime) -> int:
    """Return the nearest that a counter can have told."""
    try:
        told = int(moment.timestamp())
    except OverflowError:
        return _EARLIEST_S
    return max(_EARLIEST_S, min(told, _LATEST_S))
