"""The tables of boarding-verification cabins: the meeting of one aircraft, its visits, and what went wrong."""

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


class BoardingState(StrEnum):
    """Whether it goes on."""

    OPEN = "open"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a visit stands, by its last event. Who was sent back to the document is still `held`."""

    VERIFIED = "verified"
    HELD = "held"
    RELEASED = "released_by_officer"
    REFUSED = "refused"


boardings: Final = Table(
    "boarding",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("boarding", String(64), nullable=False),
    Column("flight", String(16), nullable=False),
    Column("stand", String(16), nullable=False),
    Column("state", String(8), nullable=False),
    Column("opened_by", String(128), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("expected", Integer),
    Column("named", Boolean),
    Column("closed_by", String(128), nullable=False),
    Column("closed_at", UtcDateTime),
    Column("counts", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("signature", String(256), nullable=False),
    Column("key_id", String(64), nullable=False),
    UniqueConstraint("edge", "lane", "boarding"),
    Index("ix_boarding_site_id", "site", "id"),
    Index("ix_boarding_flight", "flight"),
)
"""`boarding` is the cabin's own name of it. `counts` is JSON as text; it, the summary and its signature are empty until
it is closed."""

visits: Final = Table(
    "boarding_passenger",
    metadata,
    Column("boarding_id", String(26), primary_key=True),
    Column("attempt", String(64), primary_key=True),
    Column("token", String(64), primary_key=True),
    Column("position", _BIG, nullable=False),
    Column("last_position", _BIG, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("why", String(32), nullable=False),
    Column("document_kind", String(64), nullable=False),
    Column("person_class", String(64), nullable=False),
    Column("expected", Boolean),
    Column("repeated", Boolean, nullable=False),
    Column("face_score", Float),
    Column("face_threshold", Float),
    Column("liveness", Float),
    Column("capture_digest", String(128), nullable=False),
    Column("effect", String(20), nullable=False),
    Column("reasons", Text, nullable=False),
    Column("ruleset_version", BigInteger, nullable=False),
    Column("list_versions", Text, nullable=False),
    Column("duration_ms", BigInteger),
    Column("offline", Boolean, nullable=False),
    Column("unrecorded", Boolean, nullable=False),
    Column("ruling", String(16), nullable=False),
    Column("ruled_by", String(128), nullable=False),
    Column("ruled_reason", String(512), nullable=False),
    Column("ruled_at", UtcDateTime),
    Column("left_at", UtcDateTime),
    Index("ix_boarding_passenger_boarding_id_position", "boarding_id", "position"),
    Index("ix_boarding_passenger_token", "token"),
)
"""One row for each visit to the cabin, by the document that was shown in it; `token` is empty where none could be read.
`position` is that of the visit's first event, `last_position` that of the last which told its outcome."""

cabin_anomalies: Final = Table(
    "cabin_anomaly",
    metadata,
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("site", String(63), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("boarding", String(64), nullable=False),
    Column("attempt", String(64), nullable=False),
    Column("door", String(16), nullable=False),
    Column("step", String(32), nullable=False),
    Column("persons", Integer),
    Index("ix_cabin_anomaly_at", "at"),
    Index("ix_cabin_anomaly_lane_at", "lane", "at"),
)
"""One row for each event, never changed. `boarding` is the cabin's own name of it."""
