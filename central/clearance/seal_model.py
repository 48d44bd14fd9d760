"""The table of the keys with which edges seal their boardings."""

from typing import Final

from sqlalchemy import Column, Integer, String, Table

from central.db import UtcDateTime, metadata

seal_keys: Final = Table(
    "edge_seal_key",
    metadata,
    Column("edge", String(127), primary_key=True),
    Column("key_id", String(64), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("public_key", String(128), nullable=False),
    Column("note", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("version", Integer, nullable=False),
)
"""A row is never deleted: what was sealed with an old key is checked with it for ever. Only its note changes."""
