"""Positions by the month on PostgreSQL; how far retention came."""

import sqlalchemy as sa
from alembic import op

from central.db import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_progress",
        sa.Column("piece", sa.String(63), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("piece", name="pk_retention_progress"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _positions_by_month()


def _positions_by_month() -> None:
    """What is there becomes the default partition: no row is moved by this."""
    for statement in (
        "ALTER TABLE locator_position RENAME TO locator_position_default",
        "ALTER TABLE locator_position_default RENAME CONSTRAINT pk_locator_position TO pk_locator_position_default",
        "CREATE TABLE locator_position (LIKE locator_position_default INCLUDING ALL EXCLUDING INDEXES)"
        " PARTITION BY RANGE (taken_at)",
        "ALTER TABLE locator_position ADD CONSTRAINT pk_locator_position"
        " PRIMARY KEY (site, edge, terminal, taken_at, event)",
        "ALTER TABLE locator_position ATTACH PARTITION locator_position_default DEFAULT",
    ):
        op.execute(statement)
