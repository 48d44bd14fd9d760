"""Ticketing: tickets, their log, numbers, holds and the health of their assets."""

import sqlalchemy as sa
from alembic import op

from central.db import Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tickets()
    op.create_table(
        "ticket_event",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("ticket", sa.String(26), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("was", sa.String(16)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("payload", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_event"),
    )
    op.create_index("ix_ticket_event_ticket_id", "ticket_event", ["ticket", "id"])
    op.create_table(
        "ticket_number",
        sa.Column("day", sa.String(8), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_ticket_number"),
    )
    op.create_table(
        "ticket_condition",
        sa.Column("asset", sa.String(128), nullable=False),
        sa.Column("health", sa.String(16), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("asset", name="pk_ticket_condition"),
    )
    op.create_table(
        "ticket_hold",
        sa.Column("asset", sa.String(128), nullable=False),
        sa.Column("fault_class", sa.String(64), nullable=False),
        sa.Column("fault", Json, nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("asset", "fault_class", name="pk_ticket_hold"),
    )
    op.create_index("ix_ticket_hold_due_at", "ticket_hold", ["due_at"])


def _tickets() -> None:
    op.create_table(
        "ticket",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("code", sa.String(20), nullable=False),
        sa.Column("open_key", sa.String(256)),
        sa.Column("dedup_key", sa.String(256)),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("asset", sa.String(128)),
        sa.Column("lane", sa.String(64)),
        sa.Column("fault_class", sa.String(64)),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("priority", sa.String(2), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_since", UtcDateTime(), nullable=False),
        sa.Column("reporter", sa.String(128), nullable=False),
        sa.Column("assignee", sa.String(128)),
        sa.Column("resolution_code", sa.String(16)),
        sa.Column("solution", sa.Text(), nullable=False),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("follows", sa.String(20)),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("recovered_at", UtcDateTime()),
        sa.Column("close_proposed", sa.Boolean(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime()),
        sa.Column("resolved_by", sa.String(128)),
        sa.Column("verified_at", UtcDateTime()),
        sa.Column("verified_by", sa.String(128)),
        sa.Column("closed_at", UtcDateTime()),
        sa.Column("closed_by", sa.String(128)),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticket"),
        sa.UniqueConstraint("code", name="uq_ticket_code"),
        sa.UniqueConstraint("open_key", name="uq_ticket_open_key"),
    )
    op.create_index("ix_ticket_dedup_key_closed_at", "ticket", ["dedup_key", "closed_at"])
    op.create_index("ix_ticket_asset", "ticket", ["asset"])
    op.create_index("ix_ticket_site_id", "ticket", ["site", "id"])
