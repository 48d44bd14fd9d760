"""Equipment: assets and their health."""

import sqlalchemy as sa
from alembic import op

from central.db import Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "asset",
        sa.Column("tag", sa.String(128), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("lane", sa.String(64)),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("vendor", sa.String(128), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("profile", sa.String(128), nullable=False),
        sa.Column("driver", sa.String(64), nullable=False),
        sa.Column("firmware", sa.String(128), nullable=False),
        sa.Column("lifecycle", sa.String(16), nullable=False),
        sa.Column("custody", sa.String(16), nullable=False),
        sa.Column("health", sa.String(16), nullable=False),
        sa.Column("faults", Json, nullable=False),
        sa.Column("detail", sa.String(512), nullable=False),
        sa.Column("health_since", UtcDateTime(), nullable=False),
        sa.Column("reported_health", sa.String(16), nullable=False),
        sa.Column("reported_since", UtcDateTime(), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("facts_position", sa.BigInteger(), nullable=False),
        sa.Column("health_position", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tag", name="pk_asset"),
        sa.UniqueConstraint("site", "device", name="uq_asset_site_device"),
    )
    op.create_index("ix_asset_edge", "asset", ["edge"])
    op.create_table(
        "asset_health",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("tag", sa.String(128), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("health", sa.String(16), nullable=False),
        sa.Column("was", sa.String(16), nullable=False),
        sa.Column("faults", Json, nullable=False),
        sa.Column("detail", sa.String(512), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_asset_health"),
    )
    op.create_index("ix_asset_health_tag_id", "asset_health", ["tag", "id"])
