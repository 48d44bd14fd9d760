"""What the API says about assets."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from central.columns import Word
from core.messages.events import Health


class AssetFilter(BaseModel):
    """Which assets; what is not given is any."""

    model_config = ConfigDict(extra="ignore")

    site: Word | None = Field(default=None, max_length=63)
    edge: Word | None = Field(default=None, max_length=127)
    lane: Word | None = Field(default=None, max_length=64)
    kind: Word | None = Field(default=None, max_length=64)
    health: Health | None = None


AssetQuery = Annotated[AssetFilter, Query()]


class AssetOut(BaseModel):
    """An asset on its three axes, with the facts its device told."""

    tag: str
    site: str
    device: str
    edge: str
    lane: str | None
    kind: str
    vendor: str
    model: str
    profile: str
    driver: str
    firmware: str
    lifecycle: str
    custody: str
    health: Health
    faults: list[str]
    detail: str
    health_since: datetime
    first_seen_at: datetime
    last_seen_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "AssetOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class HealthOut(BaseModel):
    """One change of health."""

    id: str
    at: datetime
    health: Health
    was: Health
    faults: list[str]
    detail: str
    cause: str

    @classmethod
    def of(cls, row: Row[Any]) -> "HealthOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})
