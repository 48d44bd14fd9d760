"""The tables of the fleet: edges, lanes, commands."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from central.db import Json, UtcDateTime, metadata

edges: Final = Table(
    "edge",
    metadata,
    Column("name", String(127), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("online", Boolean, nullable=False),
    Column("version", String(32), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("epoch", String(26), nullable=False),
    Column("config_digest", String(128), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Index("ix_edge_site", "site"),
)

lanes: Final = Table(
    "lane",
    metadata,
    Column("edge", String(127), primary_key=True),
    Column("lane", String(64), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("directions", Json, nullable=False),
    Column("devices", Json, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("ruleset_version", Integer, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("ix_lane_site", "site"),
)

commands: Final = Table(
    "command",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("edge", String(127), nullable=False),
    Column("site", String(63), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    Column("verb", String(64), nullable=False),
    Column("order", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("detail", String(512), nullable=False),
    Column("late_report", String(600), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", String(512), nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_command_site_id", "site", "id"),
    Index("ix_command_state_expires_at", "state", "expires_at"),
)
