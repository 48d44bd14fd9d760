"""The values of clearance. Times are UTC unless a field says local."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field


class Direction(StrEnum):
    """Towards the zone, or out of it."""

    IN = "in"
    OUT = "out"

    @property
    def opposite(self) -> "Direction":
        """Return the other one."""
        return Direction.OUT if self is Direction.IN else Direction.IN


class Effect(StrEnum):
    """What is done with the traveller."""

    RELEASE = "release"
    REFUSE = "refuse"
    DIVERT_SECONDARY = "divert_secondary"
    HOLD_MANUAL = "hold_manual"
    SAMPLE_INSPECTION = "sample_inspection"


class ListEffect(StrEnum):
    """What a list asks for."""

    REFUSE = "refuse"
    DIVERT_SECONDARY = "divert_secondary"
    SILENT_ALERT = "silent_alert"
    RELEASE_FAST = "release_fast"
    INFO = "info"


class ReasonCode(StrEnum):
    """Why. Stable; texts belong to the languages."""

    LIST_HIT = "list_hit"
    LIST_STALE = "list_stale"
    LIST_MISSING = "list_missing"
    LANE_CLOSED = "lane_closed"
    CLASS_NOT_ALLOWED = "class_not_allowed"
    WRONG_DIRECTION = "wrong_direction"
    DOCUMENT_INVALID = "document_invalid"
    DOCUMENT_EXPIRED = "document_expired"
    DEFAULT = "default"
    NO_RECORD = "no_record"
    LANE_LOCKED = "lane_locked"
    GATE_SILENT = "gate_silent"


class Reason(BaseModel):
    """One ground of a decision."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: ReasonCode
    rule_id: str
    effect: str
    list_id: str | None = None
    entry_id: str | None = None
    list_version: int | None = None
    detail: str = ""


class Hours(BaseModel):
    """Opening hours in local time, for weekdays 1 (Monday) to 7. `until` 24:00 is written 00:00 and means midnight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    opens: time
    until: time


class StalePolicy(StrEnum):
    """What a lane does when a list it needs is older than its maximum age, or missing."""

    REFUSE = "refuse"
    DIVERT = "divert"
    RELEASE = "release"


class LaneRules(BaseModel):
    """The rules of one lane."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directions: tuple[Direction, ...] = (Direction.IN, Direction.OUT)
    hours: tuple[Hours, ...] = ()
    """Empty: open all day."""
    person_classes: tuple[str, ...] = ()
    """Empty: all."""
    default: Effect = Effect.REFUSE
    lists: tuple[str, ...] = ()
    """The lists that must be there and fresh for this lane."""
    list_max_age_s: int = Field(default=86_400, ge=60)
    when_stale: StalePolicy = StalePolicy.REFUSE


class RuleSet(BaseModel):
    """The rules of a site, with their version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1)
    timezone: str
    """IANA name."""
    lanes: dict[str, LaneRules]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody wants to pass."""

    lane: str
    direction: Direction
    tokens: tuple[str, ...]
    """Keyed tokens of all identifiers shown; never plain numbers."""
    near_tokens: tuple[str, ...] = ()
    """Of what may have been shown instead, such as a plate with confusable signs: these divert or alert, no more."""
    person_class: str = "other"
    document_valid: bool = True
    document_expired: bool = False


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of a list, valid from `valid_from` up to but not including `valid_to`."""

    entry_id: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    person_class: str | None = None
    """For release lists: the class this list vouches for."""


class Entries(Protocol):
    """Token to entries; a dict serves, and so does a sorted file."""

    def get(self, token: str, /) -> Sequence[ListEntry] | None:
        """Return the entries of a token."""


@dataclass(frozen=True, slots=True)
class ListInForce:
    """A list as the engine sees it."""

    list_id: str
    version: int
    effect: ListEffect
    priority: int
    """Smaller goes first."""
    confirmed_at: datetime
    """When central last said that this version is the newest."""
    entries: Entries


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome with its grounds; the first reason is the one that decided."""

    effect: Effect
    reasons: tuple[Reason, ...]
    ruleset_version: int
    list_versions: Mapping[str, int] = field(default_factory=dict)
    alerts: tuple[Reason, ...] = ()
    """Hits of silent lists: told upstream, never at the gate."""
