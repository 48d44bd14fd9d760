"""What the API says about decisions, passages and rules."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import from_json
from sqlalchemy import Row

from central.access.model import Principal
from central.clearance.evaluation import Question
from central.clearance.model import PassageKind
from central.clearance.store import Wanted
from central.columns import Moment, Word
from central.db import now
from core.clearance.model import Decision, Direction, Effect, Reason, RuleSet
from core.identity.tokens import TokenKind

_LARGEST = (1 << 31) - 1


class RecordFilter(BaseModel):
    """Which records, by time and place; what is not given is any."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    APART: ClassVar[frozenset[str]] = frozenset({"begin", "end"})
    """What is not the value of a column."""

    begin: Moment | None = Field(default=None, alias="from", description="From this moment on")
    end: Moment | None = Field(default=None, alias="to", description="Up to, not including, this moment")
    site: Word | None = Field(default=None, max_length=63)
    lane: Word | None = Field(default=None, max_length=64)

    def wanted(self, caller: Principal) -> Wanted:
        """Return what the caller may see of what is asked; raise Forbidden for a site that is not the caller's."""
        if self.site is not None:
            caller.must_site(self.site)
        return Wanted(
            sites=None if caller.everywhere else caller.sites,
            begin=self.begin,
            end=self.end,
            equal=self.model_dump(exclude=set(self.APART)),
        )


class SummaryFilter(RecordFilter):
    """Which passages to count."""


class PassageFilter(RecordFilter):
    """Which passages; what is not given is any."""

    token: Word | None = Field(default=None, max_length=64)
    attempt: Word | None = Field(default=None, max_length=64)
    kind: PassageKind | None = None
    direction: Direction | None = None


class DecisionFilter(RecordFilter):
    """Which decisions; what is not given is any."""

    token: Word | None = Field(default=None, max_length=64)
    attempt: Word | None = Field(default=None, max_length=64)
    effect: Effect | None = None
    offline: bool | None = None


SummaryQuery = Annotated[SummaryFilter, Query()]
PassageQuery = Annotated[PassageFilter, Query()]
DecisionQuery = Annotated[DecisionFilter, Query()]


class PassageOut(BaseModel):
    """What happened at a lane. Empty texts: the event did not tell."""

    position: int
    site: str
    edge: str
    lane: str
    kind: PassageKind
    attempt: str
    at: datetime
    received_at: datetime
    direction: str
    token: str
    persons: int
    mode: str
    opened_ms: float | None
    duration_ms: int | None
    recovered: bool

    @classmethod
    def of(cls, row: Row[Any]) -> "PassageOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class DecisionOut(BaseModel):
    """A decision with its grounds, as the edge made it."""

    position: int
    site: str
    edge: str
    lane: str
    attempt: str
    at: datetime
    received_at: datetime
    device: str
    direction: Direction
    token: str
    document_kind: str
    person_class: str
    effect: Effect
    reasons: list[Reason]
    ruleset_version: int
    list_versions: dict[str, int]
    latency_ms: float
    offline: bool
    unrecorded: bool

    @classmethod
    def of(cls, row: Row[Any]) -> "DecisionOut":
        """Return a row as the API shows it."""
        told = {name: getattr(row, name) for name in cls.model_fields}
        return cls.model_validate(told | {name: from_json(told[name]) for name in ("reasons", "list_versions")})


class SummaryLine(BaseModel):
    """How many passages of a kind a lane had, and how many persons they were."""

    site: str
    lane: str
    kind: PassageKind
    direction: str
    passages: int
    persons: int


class SummaryOut(BaseModel):
    """Counts by lane and kind."""

    lines: list[SummaryLine]


class ReviewOut(BaseModel):
    """Something that a person must look at. `decision` is the position of the record, which stays as it is."""

    id: str
    decision: int
    kind: str
    site: str
    edge: str
    lane: str
    attempt: str
    list_id: str
    entry: str
    at: datetime
    found_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "ReviewOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class RulesOut(BaseModel):
    """The rules in force at a site."""

    site: str
    put_at: datetime
    put_by: str
    rules: RuleSet

    @classmethod
    def of(cls, row: Row[Any]) -> "RulesOut":
        """Return a row as the API shows it."""
        rules = RuleSet.model_validate_json(row.rules)
        return cls(site=row.site, put_at=row.put_at, put_by=row.put_by, rules=rules)


class EvaluateIn(BaseModel):
    """Somebody at a lane: an identifier in the clear (used for this answer only) or a token."""

    model_config = ConfigDict(extra="forbid")

    lane: Word = Field(min_length=1, max_length=64)
    direction: Direction
    site: Word | None = Field(default=None, max_length=63, description="Needed where several sites have such a lane")
    identifier: str | None = Field(default=None, min_length=1, max_length=512, repr=False)
    kind: TokenKind | None = Field(default=None, description="Of the identifier; found by its shape if not given")
    token: Word | None = Field(default=None, min_length=1, max_length=64)
    person_class: Word = Field(default="other", max_length=64)
    document_valid: bool = True
    document_expired: bool = False
    at: Moment | None = Field(default=None, description="Now, if not given")
    ruleset: RuleSet | None = Field(default=None, description="Rules to try instead of those in force")
    ruleset_version: int | None = Field(default=None, ge=1, le=_LARGEST)
    list_versions: dict[Word, Annotated[int, Field(ge=1, le=_LARGEST)]] | None = Field(
        default=None, max_length=64, description="These versions and no other list, as far back as they are kept"
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.identifier is not None and self.token is not None:
            raise ValueError("either identifier or token")
        if self.ruleset is not None and self.ruleset_version is not None:
            raise ValueError("either ruleset or ruleset_version")
        return self

    def question(self) -> Question:
        """Return it as the service takes it."""
        told = {name: getattr(self, name) for name in type(self).model_fields}
        return Question(**(told | {"at": self.at or now()}))


class EvaluateOut(BaseModel):
    """What would be decided, and why."""

    effect: Effect
    reasons: list[Reason]
    alerts: list[Reason]
    ruleset_version: int
    list_versions: dict[str, int]
    token: str

    @classmethod
    def of(cls, decision: Decision, token: str) -> "EvaluateOut":
        """Return a decision as the API shows it."""
        return cls(
            effect=decision.effect,
            reasons=list(decision.reasons),
            alerts=list(decision.alerts),
            ruleset_version=decision.ruleset_version,
            list_versions=dict(decision.list_versions),
            token=token,
        )
