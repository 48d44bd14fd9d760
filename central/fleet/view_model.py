"""The tables of cameras with live pictures, and of the grants to see them."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table

from central.db import UtcDateTime, metadata

cameras: Final = Table(
    "camera",
    metadata,
    Column("edge", String(127), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("live_url", String(256), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("ix_camera_device", "device"),
    Index("ix_camera_site", "site"),
)

views: Final = Table(
    "camera_view",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("edge", String(127), nullable=False),
    Column("site", String(63), nullable=False),
    Column("device", String(64), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", String(512), nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Index("ix_camera_view_edge_device_id", "edge", "device", "id"),
)
"""Append-only: the audit of who might look at what."""
