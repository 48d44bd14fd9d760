"""Clearance: decisions, passages, reviews, rules; lists, entries, snapshots, deliveries, audit."""

import sqlalchemy as sa
from alembic import op

from central.db import Json, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _records()
    _lists()
    _publication()


def _records() -> None:
    op.create_table(
        "decision",
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("document_kind", sa.String(64), nullable=False),
        sa.Column("person_class", sa.String(64), nullable=False),
        sa.Column("effect", sa.String(20), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("ruleset_version", sa.BigInteger(), nullable=False),
        sa.Column("list_versions", sa.Text(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("unrecorded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(*_key(), name="pk_decision"),
    )
    op.create_index("ix_decision_at", "decision", ["at"])
    op.create_index("ix_decision_attempt", "decision", ["attempt"])
    op.create_index("ix_decision_lane_at", "decision", ["lane", "at"])
    op.create_index("ix_decision_token", "decision", ["token"])
    op.create_table(
        "passage",
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("opened_ms", sa.Float()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("recovered", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(*_key(), name="pk_passage"),
    )
    op.create_index("ix_passage_at", "passage", ["at"])
    op.create_index("ix_passage_attempt", "passage", ["attempt"])
    op.create_index("ix_passage_lane_at", "passage", ["lane", "at"])
    op.create_index("ix_passage_token", "passage", ["token"])
    op.create_table(
        "review_item",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("decision", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("list_id", sa.String(64), nullable=False),
        sa.Column("entry", sa.String(26), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_review_item"),
        sa.UniqueConstraint("decision", name="uq_review_item_decision"),
    )
    op.create_index("ix_review_item_site_id", "review_item", ["site", "id"])
    op.create_table(
        "ruleset",
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("put_at", UtcDateTime(), nullable=False),
        sa.Column("put_by", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("site", "version", name="pk_ruleset"),
    )


def _lists() -> None:
    op.create_table(
        "clearance_list",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("effect", sa.String(20), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("owner_org", sa.String(128), nullable=False),
        sa.Column("two_person_rule", sa.Boolean(), nullable=False),
        sa.Column("sites", Json, nullable=False),
        sa.Column("content_version", sa.BigInteger(), nullable=False),
        sa.Column("content_entries", sa.Integer(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("built_changes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("updated_by", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clearance_list"),
    )
    op.create_table(
        "list_entry",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("list_id", sa.String(64), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("token_kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("person_class", sa.String(64)),
        sa.Column("reason_code", sa.String(64), nullable=False),
        sa.Column("reason_text", sa.String(1000), nullable=False),
        sa.Column("level", sa.String(1)),
        sa.Column("legal_basis", sa.String(500), nullable=False),
        sa.Column("valid_from", UtcDateTime()),
        sa.Column("valid_to", UtcDateTime()),
        sa.Column("source_system", sa.String(64), nullable=False),
        sa.Column("source_ref", sa.String(128), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("seal_key", sa.String(64)),
        sa.Column("requested_by", sa.String(128), nullable=False),
        sa.Column("requested_key", sa.String(26), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("approved_by", sa.String(128)),
        sa.Column("approved_at", UtcDateTime()),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("since_change", sa.BigInteger()),
        sa.Column("first_version", sa.BigInteger()),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("updated_by", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_list_entry"),
    )
    op.create_index("ix_list_entry_list_id_id", "list_entry", ["list_id", "id"])
    op.create_index("ix_list_entry_list_id_state", "list_entry", ["list_id", "state"])
    op.create_index("ix_list_entry_token", "list_entry", ["token"])
    op.create_index("ix_list_entry_valid_to", "list_entry", ["valid_to"])
    op.create_table(
        "list_audit",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("list_id", sa.String(64), nullable=False),
        sa.Column("entry", sa.String(26)),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(24), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("key_id", sa.String(26), nullable=False),
        sa.Column("requested_by", sa.String(128)),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_list_audit"),
    )
    op.create_index("ix_list_audit_list_id_id", "list_audit", ["list_id", "id"])


def _publication() -> None:
    op.create_table(
        "list_snapshot",
        sa.Column("list_id", sa.String(64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("delta", sa.LargeBinary()),
        sa.Column("delta_from", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("built_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "version", name="pk_list_snapshot"),
    )
    op.create_table(
        "list_edge",
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("announced_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("edge", name="pk_list_edge"),
    )
    op.create_table(
        "list_delivery",
        sa.Column("list_id", sa.String(64), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("version", sa.BigInteger()),
        sa.Column("entries", sa.Integer()),
        sa.Column("applied_at", UtcDateTime()),
        sa.Column("refused_version", sa.BigInteger()),
        sa.Column("refused_code", sa.String(64)),
        sa.Column("refused_detail", sa.String(500)),
        sa.Column("refused_at", UtcDateTime()),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "edge", name="pk_list_delivery"),
    )


def _key() -> tuple[str, ...]:
    """A key that Citus spreads holds the site."""
    return ("position", "site") if op.get_bind().dialect.name == "postgresql" else ("position",)
