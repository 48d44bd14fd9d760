"""The tables of clearance: what happened at the lanes, and by which rules.

Passages and decisions have one row for each event, named by the event's position; the rows are never changed.
"""

from enum import StrEnum
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from central.db import UtcDateTime, metadata

_BIG: Final = BigInteger().with_variant(Integer, "sqlite")


class PassageKind(StrEnum):
    """How it ended: through, not in time, counted without a check, or in a way that no release covers."""

    CLEARED = "cleared"
    TIMED_OUT = "timed_out"
    FREE = "free"
    TAILGATE = "tailgate"
    WRONG_WAY = "wrong_way"
    FORCED = "forced"
    JAM = "jam"


decisions: Final = Table(
    "decision",
    metadata,
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("attempt", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("device", String(64), nullable=False),
    Column("direction", String(3), nullable=False),
    Column("token", String(64), nullable=False),
    Column("document_kind", String(64), nullable=False),
    Column("person_class", String(64), nullable=False),
    Column("effect", String(20), nullable=False),
    Column("reasons", Text, nullable=False),
    Column("ruleset_version", BigInteger, nullable=False),
    Column("list_versions", Text, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("offline", Boolean, nullable=False),
    Column("unrecorded", Boolean, nullable=False),
    Index("ix_decision_at", "at"),
    Index("ix_decision_lane_at", "lane", "at"),
    Index("ix_decision_token", "token"),
    Index("ix_decision_attempt", "attempt"),
)
"""`reasons` and `list_versions` are JSON as text: written often, read whole, never asked into."""

passages: Final = Table(
    "passage",
    metadata,
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("attempt", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("direction", String(3), nullable=False),
    Column("token", String(64), nullable=False),
    Column("persons", Integer, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("opened_ms", Float),
    Column("duration_ms", BigInteger),
    Column("recovered", Boolean, nullable=False),
    Index("ix_passage_at", "at"),
    Index("ix_passage_lane_at", "lane", "at"),
    Index("ix_passage_token", "token"),
    Index("ix_passage_attempt", "attempt"),
)
"""What an event does not tell is empty text: COPY and the filters like it better than NULL."""

reviews: Final = Table(
    "review_item",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("decision", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("attempt", String(64), nullable=False),
    Column("list_id", String(64), nullable=False),
    Column("entry", String(26), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    UniqueConstraint("decision"),
    Index("ix_review_item_site_id", "site", "id"),
)

rulesets: Final = Table(
    "ruleset",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("rules", Text, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("put_at", UtcDateTime, nullable=False),
    Column("put_by", String(128), nullable=False),
)
"""Every version that was ever in force, so that an old decision can be judged again."""
