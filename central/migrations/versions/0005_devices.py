"""Duty: locators and positions; flow: counts; clearance: vehicles and boardings."""

import sqlalchemy as sa
from alembic import op

from central.db import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _duty()
    _flow()
    _vehicles()
    _boardings()


def _duty() -> None:
    op.create_table(
        "locator",
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("terminal", sa.String(64), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("edge_online", sa.Boolean(), nullable=False),
        sa.Column("online", sa.Boolean()),
        sa.Column("online_at", UtcDateTime()),
        sa.Column("online_position", sa.BigInteger(), nullable=False),
        sa.Column("vendor", sa.String(128), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("firmware", sa.String(128), nullable=False),
        sa.Column("described_position", sa.BigInteger(), nullable=False),
        sa.Column("reported_at", UtcDateTime()),
        sa.Column("fixed", sa.Boolean()),
        sa.Column("acc_on", sa.Boolean()),
        sa.Column("alarm_bits", sa.BigInteger()),
        sa.Column("status_bits", sa.BigInteger()),
        sa.Column("mileage_m", sa.Float()),
        sa.Column("fix_at", UtcDateTime()),
        sa.Column("taken_at", UtcDateTime()),
        sa.Column("latitude_deg", sa.Float()),
        sa.Column("longitude_deg", sa.Float()),
        sa.Column("altitude_m", sa.Float()),
        sa.Column("speed_mps", sa.Float()),
        sa.Column("course_deg", sa.Float()),
        sa.Column("satellites", sa.Integer()),
        sa.PrimaryKeyConstraint("edge", "terminal", name="pk_locator"),
    )
    op.create_index("ix_locator_site", "locator", ["site"])
    op.create_index("ix_locator_terminal", "locator", ["terminal"])
    op.create_table(
        "locator_position",
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("terminal", sa.String(64), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("latitude_deg", sa.Float()),
        sa.Column("longitude_deg", sa.Float()),
        sa.Column("altitude_m", sa.Float()),
        sa.Column("speed_mps", sa.Float()),
        sa.Column("course_deg", sa.Float()),
        sa.Column("satellites", sa.Integer()),
        sa.Column("mileage_m", sa.Float()),
        sa.Column("fixed", sa.Boolean(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("acc_on", sa.Boolean()),
        sa.Column("alarm_bits", sa.BigInteger(), nullable=False),
        sa.Column("status_bits", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "edge", "terminal", "taken_at", "event", name="pk_locator_position"),
        sqlite_with_rowid=False,
    )


def _flow() -> None:
    op.create_table(
        "people_count",
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("start_s", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("bucket_s", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("entered", sa.BigInteger(), nullable=False),
        sa.Column("left", sa.BigInteger(), nullable=False),
        sa.Column("inside", sa.BigInteger()),
        sa.Column("doubtful", sa.BigInteger(), nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site", "start_s", "edge", "device", "region", "bucket_s", name="pk_people_count"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vehicle_count",
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("start_s", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("entered", sa.BigInteger(), nullable=False),
        sa.Column("left", sa.BigInteger(), nullable=False),
        sa.Column("doubtful", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", "start_s", "edge", "channel", name="pk_vehicle_count"),
        sqlite_with_rowid=False,
    )


def _vehicles() -> None:
    op.create_table(
        "vehicle_decision",
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("barrier", sa.Integer(), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("tokens", sa.Text(), nullable=False),
        sa.Column("regions", sa.Text(), nullable=False),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.Column("empty_reads", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float()),
        sa.Column("fuzzy", sa.Boolean(), nullable=False),
        sa.Column("effect", sa.String(20), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("ruleset_version", sa.BigInteger(), nullable=False),
        sa.Column("list_versions", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Float()),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("unrecorded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(*_key(), name="pk_vehicle_decision"),
    )
    op.create_index("ix_vehicle_decision_at", "vehicle_decision", ["at"])
    op.create_index("ix_vehicle_decision_attempt", "vehicle_decision", ["attempt"])
    op.create_index("ix_vehicle_decision_lane_at", "vehicle_decision", ["lane", "at"])
    op.create_table(
        "vehicle_passage",
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("barrier", sa.Integer()),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("tokens", sa.Text(), nullable=False),
        sa.Column("other_tokens", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("confidence", sa.Float()),
        sa.Column("opened_ms", sa.Float()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("legs", sa.Text(), nullable=False),
        sa.Column("missing", sa.Text(), nullable=False),
        sa.Column("paired_by", sa.String(16), nullable=False),
        sa.Column("timed_out", sa.Boolean(), nullable=False),
        sa.Column("recovered", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(*_key(), name="pk_vehicle_passage"),
    )
    op.create_index("ix_vehicle_passage_at", "vehicle_passage", ["at"])
    op.create_index("ix_vehicle_passage_attempt", "vehicle_passage", ["attempt"])
    op.create_index("ix_vehicle_passage_channel_at", "vehicle_passage", ["channel", "at"])
    op.create_index("ix_vehicle_passage_lane_at", "vehicle_passage", ["lane", "at"])
    op.create_table(
        "vehicle_plate",
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint("token", "position", "site", name="pk_vehicle_plate"),
    )


def _boardings() -> None:
    op.create_table(
        "boarding",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("boarding", sa.String(64), nullable=False),
        sa.Column("flight", sa.String(16), nullable=False),
        sa.Column("stand", sa.String(16), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("opened_by", sa.String(128), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("expected", sa.Integer()),
        sa.Column("named", sa.Boolean()),
        sa.Column("closed_by", sa.String(128), nullable=False),
        sa.Column("closed_at", UtcDateTime()),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("signature", sa.String(256), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_boarding"),
        sa.UniqueConstraint("edge", "lane", "boarding", name="uq_boarding_edge_lane_boarding"),
    )
    op.create_index("ix_boarding_flight", "boarding", ["flight"])
    op.create_index("ix_boarding_site_id", "boarding", ["site", "id"])
    op.create_table(
        "boarding_passenger",
        sa.Column("boarding_id", sa.String(26), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("last_position", BIG, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("why", sa.String(32), nullable=False),
        sa.Column("document_kind", sa.String(64), nullable=False),
        sa.Column("person_class", sa.String(64), nullable=False),
        sa.Column("expected", sa.Boolean()),
        sa.Column("repeated", sa.Boolean(), nullable=False),
        sa.Column("face_score", sa.Float()),
        sa.Column("face_threshold", sa.Float()),
        sa.Column("liveness", sa.Float()),
        sa.Column("capture_digest", sa.String(128), nullable=False),
        sa.Column("effect", sa.String(20), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("ruleset_version", sa.BigInteger(), nullable=False),
        sa.Column("list_versions", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("unrecorded", sa.Boolean(), nullable=False),
        sa.Column("ruling", sa.String(16), nullable=False),
        sa.Column("ruled_by", sa.String(128), nullable=False),
        sa.Column("ruled_reason", sa.String(512), nullable=False),
        sa.Column("ruled_at", UtcDateTime()),
        sa.Column("left_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("boarding_id", "attempt", "token", name="pk_boarding_passenger"),
    )
    op.create_index("ix_boarding_passenger_boarding_id_position", "boarding_passenger", ["boarding_id", "position"])
    op.create_index("ix_boarding_passenger_token", "boarding_passenger", ["token"])
    op.create_table(
        "cabin_anomaly",
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("boarding", sa.String(64), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("door", sa.String(16), nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("persons", sa.Integer()),
        sa.PrimaryKeyConstraint(*_key(), name="pk_cabin_anomaly"),
    )
    op.create_index("ix_cabin_anomaly_at", "cabin_anomaly", ["at"])
    op.create_index("ix_cabin_anomaly_lane_at", "cabin_anomaly", ["lane", "at"])


def _key() -> tuple[str, ...]:
    """A key that Citus spreads holds the site."""
    return ("position", "site") if op.get_bind().dialect.name == "postgresql" else ("position",)
