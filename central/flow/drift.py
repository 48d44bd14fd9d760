"""People counters against the lanes beside them, hour by hour. Here, since central alone always has both numbers.

Promises:
1. An hour is judged only when the counter and every edge of the lanes have told of something after it: what an edge
   still keeps while it is offline is no drift.
2. A drift is told once when it begins and once when it ends; after a restart of central what is so is told again.
3. What is shown is worked out from the counts, and kept nowhere.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus
from central.db import Database, now
from central.flow import store
from central.flow.model import people
from central.flow.store import Span
from central.messages import CountDriftChanged
from central.metrics import Metrics
from core.drift import Drift, DriftRule, judged

HOUR: Final = timedelta(hours=1)
LOOK_BACK: Final = timedelta(hours=48)


class Passed(Protocol):
    """What clearance knows of lanes."""

    async def __call__(
        self, conn: AsyncConnection, site: str, lanes: Collection[str], begin: datetime, end: datetime, /
    ) -> tuple[int, int]:
        """Return (in, out) of the persons that went through in [begin, end)."""


ToldUntil = Callable[[AsyncConnection, str, Collection[str], datetime], Awaitable[datetime | None]]
"""(conn, site, lanes, since) -> up to when every edge of the lanes has told all; None for nothing since."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule, what its counts say, and up to when they were looked at."""

    rule: DriftRule
    drift: Drift
    until: datetime | None


class Drifts:
    """Judges the rules of the configuration."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        metrics: Metrics,
        rules: Sequence[DriftRule],
        *,
        passed: Passed,
        told_until: ToldUntil,
    ) -> None:
        self._database = database
        self._bus = bus
        self._rules = rules
        self._passed = passed
        self._told_until = told_until
        self._told: dict[tuple[str, str], bool] = {}
        self._gauge = Gauge(
            "gatefleet_count_drift",
            "1 while a people counter tells other numbers than the lanes beside it",
            ["site", "device"],
            registry=metrics.registry,
        )

    async def judged(self, conn: AsyncConnection, sites: Collection[str] | None = None) -> list[Judged]:
        """Judge the rules of these sites, None for all."""
        return [await self._judged(conn, rule) for rule in self._rules if sites is None or rule.site in sites]

    async def sweep(self) -> int:
        """Tell what has begun or ended; return how many of them there were. To be called every few minutes."""
        told: list[CountDriftChanged] = []
        async with self._database.begin() as conn:
            for one in await self.judged(conn):
                rule, drifting = one.rule, one.drift.drifting
                place = (rule.site, rule.counter)
                if drifting is None or self._told.get(place) is drifting:
                    continue
                told.append(_message(one, drifting=drifting))
            await self._bus.publish(conn, *told)
        for message in told:
            self._told[message.site, message.device] = message.drifting
            self._gauge.labels(message.site, message.device).set(message.drifting)
        return len(told)

    async def _judged(self, conn: AsyncConnection, rule: DriftRule) -> Judged:
        since = now() - LOOK_BACK
        counted_s = await store.latest(conn, people, rule.site, rule.counter)
        passed_until = await self._told_until(conn, rule.site, rule.lanes, since)
        if counted_s is None or passed_until is None:
            return Judged(rule, Drift(None), None)
        until = _hour(min(datetime.fromtimestamp(counted_s, UTC), passed_until))
        begin = _hour(since)
        if until <= begin:
            return Judged(rule, Drift(None), None)
        span = Span(int(begin.timestamp()), int(until.timestamp()), [rule.site], rule.counter)
        hours = await store.by_step(conn, people, span, int(HOUR.total_seconds()))
        steps: list[tuple[int, int]] = []
        for row in hours:  # an hour in which the counter told nothing is one that nobody compares
            start = begin + row.number * HOUR
            passed = await self._passed(conn, rule.site, rule.lanes, start, start + HOUR)
            steps.append((rule.persons(int(row.entered), int(row.left)), rule.persons(*passed)))
        return Judged(rule, judged(steps, rule), until)


def _message(one: Judged, *, drifting: bool) -> CountDriftChanged:
    return CountDriftChanged(
        site=one.rule.site,
        device=one.rule.counter,
        drifting=drifting,
        counted=one.drift.counted,
        passed=one.drift.passed,
        periods=one.drift.periods,
        at=now(),
    )


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
