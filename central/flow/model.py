"""The tables of flow: how many came and went. Times are whole seconds since 1970, to be divided into steps."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, String, Table

from central.db import metadata

people: Final = Table(
    "people_count",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("edge", String(127), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("bucket_s", Integer, primary_key=True, autoincrement=False),
    Column("entered", BigInteger, nullable=False),
    Column("left", BigInteger, nullable=False),
    Column("inside", BigInteger),
    Column("doubtful", BigInteger, nullable=False),
    Column("reports", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""`doubtful`: of those that came and went, how many were shared out or told by a wrong clock (`estimated`)."""

vehicles: Final = Table(
    "vehicle_count",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("edge", String(127), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("entered", BigInteger, nullable=False),
    Column("left", BigInteger, nullable=False),
    Column("doubtful", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Passages of channels by the minute in which they ended. `doubtful`: not paired by the plate at every barrier."""
