"""What the API says about vehicles."""

from datetime import datetime
from typing import Annotated, Any, ClassVar

from fastapi import Query
from pydantic import BaseModel, Field
from pydantic_core import from_json
from sqlalchemy import Row

from central.clearance.schemas import RecordFilter
from central.clearance.vehicle_model import VehiclePassageKind
from central.columns import Word
from core.clearance.model import Direction, Effect, Reason
from core.messages.vehicle_events import ChannelLeg


class _VehicleFilter(RecordFilter):
    APART: ClassVar[frozenset[str]] = RecordFilter.APART | {"token"}

    token: Word | None = Field(default=None, max_length=64, description="Of any of the vehicle's plates")
    channel: Word | None = Field(default=None, max_length=64)
    attempt: Word | None = Field(default=None, max_length=64)
    direction: Direction | None = None


class VehicleDecisionFilter(_VehicleFilter):
    """Which decisions; what is not given is any."""

    effect: Effect | None = None
    offline: bool | None = None
    fuzzy: bool | None = None


class VehiclePassageFilter(_VehicleFilter):
    """Which passages; what is not given is any."""

    kind: VehiclePassageKind | None = None


VehicleDecisionQuery = Annotated[VehicleDecisionFilter, Query()]
VehiclePassageQuery = Annotated[VehiclePassageFilter, Query()]


class VehicleDecisionOut(BaseModel):
    """A decision with its grounds, as the edge made it. `token`: of the surest plate; empty where none was read."""

    position: int
    site: str
    edge: str
    lane: str
    attempt: str
    at: datetime
    received_at: datetime
    device: str
    channel: str
    barrier: int
    direction: Direction
    token: str
    tokens: list[str]
    regions: list[str]
    reads: int
    empty_reads: int
    confidence: float | None
    fuzzy: bool
    effect: Effect
    reasons: list[Reason]
    ruleset_version: int
    list_versions: dict[str, int]
    latency_ms: float | None
    offline: bool
    unrecorded: bool

    @classmethod
    def of(cls, row: Row[Any]) -> "VehicleDecisionOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields}
        packed = ("tokens", "regions", "reasons", "list_versions")
        return cls.model_validate(told | {name: from_json(told[name]) for name in packed})


class VehiclePassageOut(BaseModel):
    """What happened at a barrier, or in a channel as a whole. Empty texts: the event did not tell."""

    position: int
    site: str
    edge: str
    lane: str
    channel: str
    barrier: int | None
    kind: VehiclePassageKind
    attempt: str
    at: datetime
    received_at: datetime
    direction: str
    token: str
    tokens: list[str]
    other_tokens: list[str]
    mode: str
    confidence: float | None
    opened_ms: float | None
    duration_ms: int | None
    legs: list[ChannelLeg]
    missing: list[int]
    paired_by: str
    timed_out: bool
    recovered: bool

    @classmethod
    def of(cls, row: Row[Any]) -> "VehiclePassageOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields}
        packed = ("tokens", "other_tokens", "legs", "missing")
        return cls.model_validate(told | {name: from_json(told[name]) for name in packed})
