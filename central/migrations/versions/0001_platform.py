"""The platform: events and watermarks, outbox, kept answers, API keys, the fleet."""

import sqlalchemy as sa
from alembic import op

from central.db import Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

EVENT_COLUMNS = (
    ("received_at", UtcDateTime()),
    ("site", sa.String(63)),
    ("edge", sa.String(127)),
    ("epoch", sa.String(26)),
    ("stream", sa.String(16)),
    ("seq", sa.BigInteger()),
    ("type", sa.String(128)),
    ("subject", sa.String(128)),
    ("occurred_at", UtcDateTime()),
    ("corrected_at", UtcDateTime()),
    ("boot_id", sa.String(64)),
    ("monotonic_ms", sa.BigInteger()),
    ("clock_source", sa.String(16)),
    ("clock_offset_ms", sa.BigInteger()),
    ("clock_error_ms", sa.BigInteger()),
    ("status", sa.String(20)),
    ("data", sa.Text()),
)


def upgrade() -> None:
    _events()
    _bus_and_http()
    _access()
    _fleet()


def _events() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    # A unique key of a partitioned table holds its partition's column, and one that Citus spreads holds the site.
    key = ("position", "site", "received_at") if postgresql else ("position",)
    op.create_table(
        "event",
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        *(sa.Column(name, kind, nullable=False) for name, kind in EVENT_COLUMNS),
        sa.PrimaryKeyConstraint(*key, name="pk_event"),
        postgresql_partition_by="RANGE (received_at)",
    )
    op.create_index("ix_event_name", "event", ["edge", "epoch", "stream", "seq"])
    failed = sa.text("status <> 'ok'")
    op.create_index(
        "ix_event_status", "event", ["status", "position"], postgresql_where=failed, sqlite_where=failed
    )
    if postgresql:
        op.execute("CREATE TABLE event_default PARTITION OF event DEFAULT")
        op.execute("CREATE SEQUENCE event_position_block AS bigint START 1")
    op.create_table(
        "watermark",
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("epoch", sa.String(26), nullable=False),
        sa.Column("stream", sa.String(16), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "epoch", "stream", name="pk_watermark"),
    )


def _bus_and_http() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", BIG, nullable=False, autoincrement=True),
        sa.Column("message", sa.String(26), nullable=False),
        sa.Column("type", sa.String(128), nullable=False),
        sa.Column("subscriber", sa.String(64), nullable=False),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(1024), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_subscriber_state_id", "outbox", ["subscriber", "state", "id"])
    op.create_table(
        "idempotent_answer",
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", Json, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("identity", name="pk_idempotent_answer"),
    )
    op.create_index("ix_idempotent_answer_made_at", "idempotent_answer", ["made_at"])


def _access() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("sites", Json, nullable=False),
        sa.Column("networks", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("revoked_at", UtcDateTime()),
        sa.Column("last_used_at", UtcDateTime()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("prefix", name="uq_api_key_prefix"),
    )


def _fleet() -> None:
    op.create_table(
        "edge",
        sa.Column("name", sa.String(127), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("epoch", sa.String(26), nullable=False),
        sa.Column("config_digest", sa.String(128), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("name", name="pk_edge"),
    )
    op.create_index("ix_edge_site", "edge", ["site"])
    op.create_table(
        "lane",
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("directions", Json, nullable=False),
        sa.Column("devices", Json, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("ruleset_version", sa.Integer(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "lane", name="pk_lane"),
    )
    op.create_index("ix_lane_site", "lane", ["site"])
    op.create_table(
        "command",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("verb", sa.String(64), nullable=False),
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.String(512), nullable=False),
        sa.Column("late_report", sa.String(600), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(512), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_command"),
    )
    op.create_index("ix_command_site_id", "command", ["site", "id"])
    op.create_index("ix_command_state_expires_at", "command", ["state", "expires_at"])
