"""The tables of vehicle lanes: one row for each event, named by the event's position; the rows are never changed."""

from enum import StrEnum
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text

from central.db import UtcDateTime, metadata

_BIG: Final = BigInteger().with_variant(Integer, "sqlite")


class VehiclePassageKind(StrEnum):
    """How it ended at a barrier; `channel` is the passage of all barriers together, told beside theirs."""

    CLEARED = "cleared"
    TIMED_OUT = "timed_out"
    FREE = "free"
    TAILGATE = "tailgate"
    WRONG_WAY = "wrong_way"
    FORCED = "forced"
    JAM = "jam"
    PLATE_MISMATCH = "plate_mismatch"
    ARM_STUCK = "arm_stuck"
    CHANNEL = "channel"


vehicle_decisions: Final = Table(
    "vehicle_decision",
    metadata,
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("attempt", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("device", String(64), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("barrier", Integer, nullable=False),
    Column("direction", String(3), nullable=False),
    Column("token", String(64), nullable=False),
    Column("tokens", Text, nullable=False),
    Column("regions", Text, nullable=False),
    Column("reads", Integer, nullable=False),
    Column("empty_reads", Integer, nullable=False),
    Column("confidence", Float),
    Column("fuzzy", Boolean, nullable=False),
    Column("effect", String(20), nullable=False),
    Column("reasons", Text, nullable=False),
    Column("ruleset_version", BigInteger, nullable=False),
    Column("list_versions", Text, nullable=False),
    Column("latency_ms", Float),
    Column("offline", Boolean, nullable=False),
    Column("unrecorded", Boolean, nullable=False),
    Index("ix_vehicle_decision_at", "at"),
    Index("ix_vehicle_decision_lane_at", "lane", "at"),
    Index("ix_vehicle_decision_attempt", "attempt"),
)
"""`token` is the surest plate's; `tokens`, `regions`, `reasons` and `list_versions` are JSON as text."""

vehicle_passages: Final = Table(
    "vehicle_passage",
    metadata,
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("barrier", Integer),
    Column("kind", String(16), nullable=False),
    Column("attempt", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("direction", String(3), nullable=False),
    Column("token", String(64), nullable=False),
    Column("tokens", Text, nullable=False),
    Column("other_tokens", Text, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("confidence", Float),
    Column("opened_ms", Float),
    Column("duration_ms", BigInteger),
    Column("legs", Text, nullable=False),
    Column("missing", Text, nullable=False),
    Column("paired_by", String(16), nullable=False),
    Column("timed_out", Boolean, nullable=False),
    Column("recovered", Boolean, nullable=False),
    Index("ix_vehicle_passage_at", "at"),
    Index("ix_vehicle_passage_lane_at", "lane", "at"),
    Index("ix_vehicle_passage_channel_at", "channel", "at"),
    Index("ix_vehicle_passage_attempt", "attempt"),
)
"""What an event does not tell is empty text. Of a channel: `attempt` is the passage's name, `lane` is empty; `legs`,
`missing` and the tokens are JSON as text."""

plates: Final = Table(
    "vehicle_plate",
    metadata,
    Column("token", String(64), primary_key=True),
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("site", String(63), primary_key=True),
)
"""Each plate of each decision and passage, so that a vehicle with plates of two places is found by either."""
