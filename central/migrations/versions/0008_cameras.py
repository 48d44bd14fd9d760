"""Fleet: cameras with live pictures, and who was allowed to see them."""

import sqlalchemy as sa
from alembic import op

from central.db import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "camera",
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("live_url", sa.String(256), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "device", name="pk_camera"),
    )
    op.create_index("ix_camera_device", "camera", ["device"])
    op.create_index("ix_camera_site", "camera", ["site"])
    op.create_table(
        "camera_view",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(512), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_camera_view"),
    )
    op.create_index("ix_camera_view_edge_device_id", "camera_view", ["edge", "device", "id"])
