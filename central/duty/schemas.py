"""What the API says about locators."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from central.columns import Moment, Word


class LocatorFilter(BaseModel):
    """Which locators; what is not given is any."""

    model_config = ConfigDict(extra="ignore")

    site: Word | None = Field(default=None, max_length=63)
    edge: Word | None = Field(default=None, max_length=127)
    device: Word | None = Field(default=None, max_length=64)
    online: bool | None = Field(default=None, description="Of which the edge never told is neither")


class TrackFilter(BaseModel):
    """Which positions of a terminal; what is not given is any."""

    model_config = ConfigDict(extra="ignore")

    begin: Moment | None = Field(default=None, description="From this moment on")
    end: Moment | None = Field(default=None, description="Up to, not including, this moment")
    edge: Word | None = Field(default=None, max_length=127)


LocatorQuery = Annotated[LocatorFilter, Query()]
TrackQuery = Annotated[TrackFilter, Query()]


class PlaceOut(BaseModel):
    """The newest place that is known, WGS-84."""

    taken_at: datetime
    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None
    speed_mps: float | None
    course_deg: float | None
    satellites: int | None


class LocatorOut(BaseModel):
    """A locator, as one edge knows it. `online` is null where the edge never told that it came or went."""

    terminal: str
    edge: str
    site: str
    device: str
    online: bool | None
    vendor: str
    model: str
    firmware: str
    first_seen_at: datetime
    last_seen_at: datetime
    reported_at: datetime | None
    fixed: bool | None
    acc_on: bool | None
    alarm_bits: int | None
    status_bits: int | None
    mileage_m: float | None
    place: PlaceOut | None

    @classmethod
    def of(cls, row: Row[Any]) -> "LocatorOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields if name != "place"}
        told["online"] = None if row.online is None else row.online and row.edge_online
        place = {name: getattr(row, name) for name in PlaceOut.model_fields} if row.fix_at is not None else None
        return cls.model_validate(told | {"place": place})


class PositionOut(BaseModel):
    """Where a locator was, WGS-84. `clocked`: `taken_at` is by the locator's own clock, else when its edge heard of it.

    `late`: kept by the locator while it had no network.
    """

    terminal: str
    edge: str
    site: str
    device: str
    taken_at: datetime
    clocked: bool
    received_at: datetime
    latitude_deg: float | None
    longitude_deg: float | None
    altitude_m: float | None
    speed_mps: float | None
    course_deg: float | None
    satellites: int | None
    mileage_m: float | None
    fixed: bool
    late: bool
    acc_on: bool | None
    alarm_bits: int
    status_bits: int

    @classmethod
    def of(cls, row: Row[Any]) -> "PositionOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields if name != "clocked"}
        return cls.model_validate(told | {"clocked": row.event == 0})
