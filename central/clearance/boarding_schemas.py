"""What the API says about boardings."""

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import Query
from pydantic import BaseModel, Field
from pydantic_core import from_json
from sqlalchemy import Row

from central.clearance.boarding_model import BoardingState, Outcome
from central.clearance.schemas import RecordFilter
from central.clearance.seals import SealState
from central.columns import Word
from core.clearance.model import Effect, Reason
from core.messages.cabin_events import BoardingCounts, CabinFault, HoldReason, Ruling


class BoardingFilter(RecordFilter):
    """Which boardings, by their opening; what is not given is any."""

    flight: Word | None = Field(default=None, max_length=16)
    state: BoardingState | None = None


class AnomalyFilter(RecordFilter):
    """Which anomalies; what is not given is any."""

    kind: CabinFault | None = None
    boarding: Word | None = Field(default=None, max_length=64, description="The cabin's own name of it")


BoardingQuery = Annotated[BoardingFilter, Query()]
AnomalyQuery = Annotated[AnomalyFilter, Query()]


class BoardingLine(BaseModel):
    """The meeting of one aircraft at one cabin. Empty texts and nulls: it was not told yet."""

    id: str
    site: str
    edge: str
    lane: str
    boarding: str = Field(description="The cabin's own name of it")
    flight: str
    stand: str
    state: BoardingState
    opened_by: str
    opened_at: datetime
    expected: int | None
    named: bool | None
    closed_by: str
    closed_at: datetime | None
    counts: BoardingCounts | None = Field(description="As the cabin closed it")

    @classmethod
    def of(cls, row: Row[Any], **more: Any) -> Self:
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields if name not in more}
        counts = from_json(row.counts) if row.counts else None
        return cls.model_validate(told | {"counts": counts} | more)


class Tally(BaseModel):
    """What central knows of the passengers. It agrees with the counts of a closed boarding, or something is missing."""

    seen: int
    verified: int
    held: int
    released_by_officer: int
    refused: int


class BoardingOut(BoardingLine):
    """A boarding with its sealed summary: the exact text that was signed."""

    tally: Tally
    summary: str
    signature: str
    key_id: str
    seal: SealState | None = Field(description="unknown_key: the edge has no such key here; null while it is open")


class VisitOut(BaseModel):
    """One visit to the cabin, by the document that was shown. `token` is empty where none could be read."""

    attempt: str
    token: str
    at: datetime
    outcome: Outcome
    why: HoldReason | None
    document_kind: str
    person_class: str
    expected: bool | None
    repeated: bool
    face_score: float | None
    face_threshold: float | None
    liveness: float | None
    capture_digest: str
    effect: Effect | None
    reasons: list[Reason]
    ruleset_version: int
    list_versions: dict[str, int]
    duration_ms: int | None
    offline: bool
    unrecorded: bool
    ruling: Ruling | None
    ruled_by: str
    ruled_reason: str
    ruled_at: datetime | None
    left_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> "VisitOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields}
        told |= {name: told[name] or None for name in ("why", "effect", "ruling")}
        return cls.model_validate(told | {name: from_json(told[name]) for name in ("reasons", "list_versions")})


class CabinAnomalyOut(BaseModel):
    """Something that no release covers, or that needed the officer."""

    position: int
    site: str
    edge: str
    lane: str
    at: datetime
    received_at: datetime
    kind: CabinFault
    boarding: str
    attempt: str
    door: str
    step: str
    persons: int | None

    @classmethod
    def of(cls, row: Row[Any]) -> "CabinAnomalyOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})
