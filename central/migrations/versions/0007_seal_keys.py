"""Clearance: the public keys with which edges seal their boardings."""

import sqlalchemy as sa
from alembic import op

from central.db import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "edge_seal_key",
        sa.Column("edge", sa.String(127), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("public_key", sa.String(128), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "key_id", name="pk_edge_seal_key"),
    )
