"""The tables of duty: vehicle locators and where they were."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table

from central.db import UtcDateTime, metadata

locators: Final = Table(
    "locator",
    metadata,
    Column("edge", String(127), primary_key=True),
    Column("terminal", String(64), primary_key=True),
    Column("site", String(63), nullable=False),
    Column("device", String(64), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("edge_online", Boolean, nullable=False),
    Column("online", Boolean),
    Column("online_at", UtcDateTime),
    Column("online_position", BigInteger, nullable=False),
    Column("vendor", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("firmware", String(128), nullable=False),
    Column("described_position", BigInteger, nullable=False),
    Column("reported_at", UtcDateTime),
    Column("fixed", Boolean),
    Column("acc_on", Boolean),
    Column("alarm_bits", BigInteger),
    Column("status_bits", BigInteger),
    Column("mileage_m", Float),
    Column("fix_at", UtcDateTime),
    Column("taken_at", UtcDateTime),
    Column("latitude_deg", Float),
    Column("longitude_deg", Float),
    Column("altitude_m", Float),
    Column("speed_mps", Float),
    Column("course_deg", Float),
    Column("satellites", Integer),
    Index("ix_locator_terminal", "terminal"),
    Index("ix_locator_site", "site"),
)
"""`online` is what the edge said last, NULL where it never did; it counts while the edge itself is there. From
`reported_at` on: the newest report; from `fix_at` on: the newest place. Both times are the locator's, but never later
than the report's arrival, so that a locator with a wrong clock cannot stay the newest for years."""

positions: Final = Table(
    "locator_position",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("edge", String(127), primary_key=True),
    Column("terminal", String(64), primary_key=True),
    Column("taken_at", UtcDateTime, primary_key=True),
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("device", String(64), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("latitude_deg", Float),
    Column("longitude_deg", Float),
    Column("altitude_m", Float),
    Column("speed_mps", Float),
    Column("course_deg", Float),
    Column("satellites", Integer),
    Column("mileage_m", Float),
    Column("fixed", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("acc_on", Boolean),
    Column("alarm_bits", BigInteger, nullable=False),
    Column("status_bits", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""`event` is 0 where the locator told when it was there: then the time names the position. Where it did not, `taken_at`
is when the edge heard of it, and the event's position tells it from another of the same moment."""
