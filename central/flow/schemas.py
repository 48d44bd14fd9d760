"""What the API says about flow."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from central.access.model import Principal
from central.columns import Moment, Word
from central.errors import Invalid
from central.flow.drift import Judged
from central.flow.store import Span

MAX_STEPS: Final = 1_500


class Step(StrEnum):
    """How long a step is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Return its length."""
        return {"minute": 60, "hour": 3_600, "day": 86_400}[self.value]


class FlowFilter(BaseModel):
    """Which counts. Steps are counted from `begin`: a day in Macau begins at `...T00:00:00+08:00`."""

    model_config = ConfigDict(extra="ignore")

    begin: Moment = Field(description="From this moment on; the first step begins here")
    end: Moment = Field(description="Up to, not including, this moment")
    step: Step = Step.HOUR
    site: Word | None = Field(default=None, max_length=63)

    def span(self, caller: Principal, who: str | None) -> Span:
        """Return what the caller may see of what is asked; raise Invalid or Forbidden."""
        if self.site is not None:
            caller.must_site(self.site)
        begin_s, end_s = int(self.begin.timestamp()), int(self.end.timestamp())
        if begin_s >= end_s:
            raise Invalid("the end is not after the beginning", pointers=[("#/query/end", "after begin")])
        if end_s - begin_s > MAX_STEPS * self.step.seconds:
            raise Invalid("too many steps", pointers=[("#/query/step", f"at most {MAX_STEPS} from begin to end")])
        sites = None if caller.everywhere else caller.sites
        return Span(begin_s, end_s, sites if self.site is None else [self.site], who)


class PeopleFilter(FlowFilter):
    """Which counts of persons."""

    device: Word | None = Field(default=None, max_length=64)


class VehicleFilter(FlowFilter):
    """Which counts of vehicles."""

    channel: Word | None = Field(default=None, max_length=64)


PeopleQuery = Annotated[PeopleFilter, Query()]
VehicleQuery = Annotated[VehicleFilter, Query()]


class _Counts(BaseModel):
    entered: int
    left: int
    net: int
    doubtful: int = Field(description="Of those that came and went, how many are not surely counted then and there")

    @classmethod
    def of(cls, row: Row[Any], **more: Any) -> Self:
        """Return sums as the API shows them; PostgreSQL sums to decimals."""
        entered, left = int(row.entered), int(row.left)
        return cls(entered=entered, left=left, net=entered - left, doubtful=int(row.doubtful), **more)


class StepOut(_Counts):
    """One step. A step in which nothing was told is left out: that is not the same as nobody."""

    start: datetime


class DeviceOut(_Counts):
    """What one counter told, over the whole time."""

    site: str
    device: str


class ChannelOut(_Counts):
    """What passed one channel, over the whole time."""

    site: str
    channel: str


class FlowOut(_Counts):
    """Counts over the whole time, and by steps."""

    begin: datetime
    end: datetime
    step: Step
    steps: list[StepOut]


class PeopleOut(FlowOut):
    """Persons: who came in and went out by the people counters."""

    devices: list[DeviceOut]


class VehiclesOut(FlowOut):
    """Vehicles: what went in and out by the channels."""

    channels: list[ChannelOut]


class DriftOut(BaseModel):
    """A people counter and the lanes beside it; `drifting` is null where too few persons came to tell."""

    site: str
    device: str
    lanes: tuple[str, ...]
    drifting: bool | None
    counted: int = Field(description="By the counter, over the periods")
    passed: int = Field(description="Through the lanes, over the same")
    periods: int
    until: datetime | None = Field(description="Whole hours up to this moment were compared")


class DriftsOut(BaseModel):
    """All counters that are compared."""

    counters: list[DriftOut]


def drift_out(one: Judged) -> DriftOut:
    """Return what was judged, as the API shows it."""
    rule, drift = one.rule, one.drift
    return DriftOut(
        site=rule.site,
        device=rule.counter,
        lanes=rule.lanes,
        drifting=drift.drifting,
        counted=drift.counted,
        passed=drift.passed,
        periods=drift.periods,
        until=one.until,
    )


def told(asked: FlowFilter, rows: Sequence[Row[Any]]) -> dict[str, Any]:
    """Return the steps, and their sum, as the fields of FlowOut."""
    begin = asked.begin.astimezone(UTC).replace(microsecond=0)
    steps = [StepOut.of(row, start=begin + timedelta(seconds=row.number * asked.step.seconds)) for row in rows]
    sums = {name: sum(getattr(one, name) for one in steps) for name in _Counts.model_fields}
    return {"begin": asked.begin, "end": asked.end, "step": asked.step, "steps": steps} | sums
