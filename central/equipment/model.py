"""The tables of equipment: one asset for each device that was ever seen, and what became of its health."""

from enum import StrEnum
from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, UniqueConstraint

from central.db import Json, UtcDateTime, metadata


class Lifecycle(StrEnum):
    """Where an asset is between plan and disposal; people move it."""

    IN_SERVICE = "in_service"


class Custody(StrEnum):
    """Who has an asset; what is built in is `fixed`."""

    FIXED = "fixed"


assets: Final = Table(
    "asset",
    metadata,
    Column("tag", String(128), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("device", String(64), nullable=False),
    Column("edge", String(127), nullable=False),
    Column("lane", String(64)),
    Column("kind", String(64), nullable=False),
    Column("vendor", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("profile", String(128), nullable=False),
    Column("driver", String(64), nullable=False),
    Column("firmware", String(128), nullable=False),
    Column("lifecycle", String(16), nullable=False),
    Column("custody", String(16), nullable=False),
    Column("health", String(16), nullable=False),
    Column("faults", Json, nullable=False),
    Column("detail", String(512), nullable=False),
    Column("health_since", UtcDateTime, nullable=False),
    Column("reported_health", String(16), nullable=False),
    Column("reported_since", UtcDateTime, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("facts_position", BigInteger, nullable=False),
    Column("health_position", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("site", "device"),
    Index("ix_asset_edge", "edge"),
)
"""`health` is what central holds true; `reported_health` is what the edge said last, and counts while it is online. The
positions are those of the events that told the facts and the health."""

health_log: Final = Table(
    "asset_health",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("tag", String(128), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("health", String(16), nullable=False),
    Column("was", String(16), nullable=False),
    Column("faults", Json, nullable=False),
    Column("detail", String(512), nullable=False),
    Column("cause", String(16), nullable=False),
    Index("ix_asset_health_tag_id", "tag", "id"),
)
"""Append-only. `cause`: `device` where the edge reported it, `presence` where the edge itself came or went."""
