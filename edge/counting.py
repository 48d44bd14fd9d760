"""People counters: what they tell, in whatever way -> 60-second buckets by the wall clock.

Promises
1. Nobody is counted twice: an interval that is sent again, and a total that comes late, count nothing.
2. A total that falls is a device that counts anew (or, where `span` is known, a counter that wrapped): what it counted
   since is added, never anything negative. The first total ever is where counting begins, and counts nobody; one that
   jumps beyond what people can do counts nobody either.
3. What a fact adds up to is in its buckets exactly: shared out, the parts make the whole.
4. A bucket is told once its minute and the grace are over; what comes later is told as an addition (`late`).
5. With its memo, committed with every fact, a restart loses nobody; who passed a counter of totals meanwhile is shared
   out over the gap.
6. Regions, open buckets and remembered intervals are bounded; what cannot be is refused and counted.

A bucket that is not told is one in which nothing was heard. Pure: time is an argument.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from core.messages.device_events import PeopleCountReported
from drivers.facts import PeopleCounted

BUCKET_S: Final = 60
MAX_REGIONS: Final = 64
MAX_OPEN: Final = 10_000
MAX_INTERVALS: Final = 256
_BUCKET: Final = timedelta(seconds=BUCKET_S)
_EARLY: Final = timedelta(seconds=2)
_OLDEST: Final = timedelta(hours=24)
"""What is older than this by the device's clock is of a wrong clock."""


class CountingSettings(BaseModel):
    """How a counter is understood."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace_s: float = Field(default=5.0, ge=0, le=600)
    """So long after its end a bucket still waits for late facts."""
    span: int = Field(default=0, ge=0)
    """The totals wrap to 0 after `span - 1`; 0 where that is not known."""
    most_per_minute: int = Field(default=1000, ge=1)
    """More than this through one line is no count of persons."""


class Total(BaseModel):
    """The last totals of a region."""

    entered: int
    left: int
    at: datetime
    """By the edge's clock."""
    told: datetime | None = None
    """By the device's own clock."""


class OpenBucket(BaseModel):
    """A bucket that is not told yet."""

    region: str
    start: datetime
    entered: int = 0
    left: int = 0
    inside: int | None = None
    estimated: bool = False
    late: bool = False


class CountingMemo(BaseModel):
    """What must outlive a restart. `intervals` are (region, since, until), oldest first."""

    totals: dict[str, Total] = Field(default_factory=dict)
    intervals: list[tuple[str, datetime, datetime]] = Field(default_factory=list)
    open: list[OpenBucket] = Field(default_factory=list)


class PeopleBuckets:
    """The buckets of one counter. `counters`: repeated, late, reset, refused, implausible."""

    def __init__(self, device: str, settings: CountingSettings, memo: CountingMemo, began: datetime) -> None:
        self.counters: Counter[str] = Counter()
        self._device = device
        self._settings = settings
        self._grace = timedelta(seconds=settings.grace_s)
        self._began = began
        self._totals = dict(memo.totals)
        self._suspects: dict[str, Total] = {}
        self._intervals = dict.fromkeys(memo.intervals)
        self._open = {(one.start, one.region): one.model_copy() for one in memo.open}

    @property
    def memo(self) -> CountingMemo:
        """Return what must outlive a restart; to be committed after each fact, and with the events of each `due`."""
        return CountingMemo(totals=self._totals, intervals=list(self._intervals), open=list(self._open.values()))

    def counted(self, fact: PeopleCounted, at: datetime) -> bool:
        """Take a fact that came at a time by the edge's clock; False where it counted nothing."""
        known = fact.region in self._totals or any(region == fact.region for _, region in self._open)
        regions = self._totals.keys() | {region for _, region in self._open}
        wrong = min(fact.entered, fact.left) < 0 or not all(_is_usable(time) for time in (fact.since, fact.until))
        if wrong or (not known and len(regions) >= MAX_REGIONS):
            self.counters["refused"] += 1
            return False
        return self._total(fact, at) if fact.cumulative else self._interval(fact, at)

    def due(self, now: datetime) -> tuple[PeopleCountReported, ...]:
        """Return the buckets that are over, oldest first, and forget them."""
        over = sorted(key for key in self._open if key[0] + _BUCKET + self._grace <= now)
        return tuple(self._told(self._open.pop(key)) for key in over)

    def next_due(self) -> datetime | None:
        """Return when there is something to tell; None while nothing is open."""
        return min(self._open)[0] + _BUCKET + self._grace if self._open else None

    def _told(self, bucket: OpenBucket) -> PeopleCountReported:
        return PeopleCountReported(
            device=self._device,
            region=bucket.region,
            bucket_start=bucket.start,
            bucket_s=BUCKET_S,
            entered=bucket.entered,
            left=bucket.left,
            inside=bucket.inside,
            estimated=bucket.estimated,
            late=bucket.late,
        )

    def _interval(self, fact: PeopleCounted, at: datetime) -> bool:
        """Add what came between two times, by the device's clock as far as that can be."""
        since = until = at
        if fact.until is not None:
            until = fact.until
            since = min(fact.since or until, until)
            name = (fact.region, since.astimezone(UTC), until.astimezone(UTC))
            if name in self._intervals:
                self.counters["repeated"] += 1
                return False
            if until - since > _OLDEST:
                self.counters["refused"] += 1
                return False
            self._intervals[name] = None
            if len(self._intervals) > MAX_INTERVALS:
                del self._intervals[next(iter(self._intervals))]
        wrong = until > at + _EARLY or until < at - _OLDEST
        if wrong:
            since, until = at - (until - since), at
        starts = _starts(since, until)
        if not self._plausible((fact.entered, fact.left), len(starts)):
            return False
        return self._add(fact, (fact.entered, fact.left), (since, until), starts, at, estimated=wrong)

    def _total(self, fact: PeopleCounted, at: datetime) -> bool:
        """Add what a total has grown by. One that jumps is believed once the next goes on from there."""
        told = fact.until.astimezone(UTC) if fact.until is not None else None
        now = Total(entered=fact.entered, left=fact.left, at=at, told=told)
        last = self._totals.get(fact.region)
        if last is None:
            self._totals[fact.region] = now
            return False
        if _is_late(now, last):
            self.counters["late"] += 1
            return False
        suspect = self._suspects.pop(fact.region, None)
        if suspect is not None and now.entered >= suspect.entered and now.left >= suspect.left:
            last = suspect
        grown = self._grown(now, last)
        if not self._plausible(grown, (at - last.at) / _BUCKET):
            self._suspects[fact.region] = now
            return False
        self._totals[fact.region] = now
        gap = last.at < self._began and at - last.at > _BUCKET
        moment = told if told is not None and at - _OLDEST <= told <= at + _EARLY else at
        since, until = (max(last.at, at - _OLDEST), at) if gap else (moment, moment)
        return self._add(fact, grown, (since, until), _starts(since, until), at)

    def _plausible(self, counts: tuple[int, int], minutes: float) -> bool:
        if max(counts) <= self._settings.most_per_minute * max(minutes, 1):
            return True
        self.counters["implausible"] += 1
        return False

    def _grown(self, now: Total, last: Total) -> tuple[int, int]:
        pairs = ((now.entered, last.entered), (now.left, last.left))
        span = self._settings.span
        fell = [new < old for new, old in pairs]
        wrapped = [span > 0 and old * 10 >= span * 9 and new * 10 <= span for new, old in pairs]
        if any(down and not over for down, over in zip(fell, wrapped, strict=True)):
            self.counters["reset"] += 1
            return now.entered, now.left
        entered, left = (new - old + (span if down else 0) for (new, old), down in zip(pairs, fell, strict=True))
        return entered, left

    def _add(
        self,
        fact: PeopleCounted,
        counts: tuple[int, int],
        interval: tuple[datetime, datetime],
        starts: list[datetime],
        at: datetime,
        *,
        estimated: bool = False,
    ) -> bool:
        if len(self._open) + len(starts) > MAX_OPEN:
            self.counters["refused"] += 1
            return False
        entered, left = (_shared(count, starts, *interval) for count in counts)
        for number, start in enumerate(starts):
            late = start + _BUCKET + self._grace <= at
            bucket = self._open.setdefault((start, fact.region), OpenBucket(region=fact.region, start=start, late=late))
            bucket.entered += entered[number]
            bucket.left += left[number]
            bucket.estimated |= estimated or len(starts) > 1
            if fact.inside is not None and start == starts[-1]:
                bucket.inside = fact.inside
        return True


def _is_usable(time: datetime | None) -> bool:
    """Tell whether a time can be reckoned with in any zone."""
    return time is None or 1 < time.year < 9999


def _is_late(now: Total, last: Total) -> bool:
    """Tell whether a total is no newer than the last. One that grew is of a clock set back; so is one by over a day."""
    if now.told is None or last.told is None or not timedelta(0) <= last.told - now.told <= _OLDEST:
        return False
    return now.entered <= last.entered and now.left <= last.left


def _starts(since: datetime, until: datetime) -> list[datetime]:
    """Return the buckets that [since, until) touches; that of the moment where it is one."""
    start = _start(since)
    found: list[datetime] = []
    while start < until or not found:
        found.append(start)
        start += _BUCKET
    return found


def _start(at: datetime) -> datetime:
    seconds = int(at.timestamp()) // BUCKET_S * BUCKET_S
    return datetime.fromtimestamp(seconds, UTC)


def _shared(count: int, starts: list[datetime], since: datetime, until: datetime) -> list[int]:
    """Share a count out by how much of the interval lies in each bucket; the parts add up to it."""
    if len(starts) == 1:
        return [count]
    whole = until - since
    upto = [round(count * ((min(start + _BUCKET, until) - since) / whole)) for start in starts]
    return [now - before for now, before in zip(upto, [0, *upto], strict=False)]
