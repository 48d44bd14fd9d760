"""Many rows or many keys in one statement, said to the drivers themselves: they decide how many events are stored.

Each works within the transaction of `conn` (one of `Database.begin`). Errors of the drivers are not wrapped;
`central.db.transient` knows them.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, String, Table, any_, column, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from central.db import UtcDateTime

_COPY_FROM: Final = 20
"""Rows from which COPY, with its two trips more, is faster than an insertion."""


async def driver_of(conn: AsyncConnection) -> Any:
    """Return the driver's own connection, in the transaction of `conn`."""
    driver = (await conn.get_raw_connection()).driver_connection
    assert driver is not None
    if conn.dialect.name != "sqlite" and not driver.is_in_transaction():
        await conn.execute(select(1))  # SQLAlchemy begins with its first statement, and these are not its own
    return driver


async def insert_rows(conn: AsyncConnection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows, values in the order of the table's columns: by COPY on PostgreSQL, unless they are few."""
    if not rows:
        return
    driver = await driver_of(conn)
    names = [one.name for one in table.c]
    if conn.dialect.name == "sqlite":
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 our own names
        await (await driver.executemany(statement, _for_sqlite(table, rows))).close()
    elif len(rows) < _COPY_FROM:
        places = ", ".join(f"${number + 1}" for number in range(len(names)))
        await driver.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608 our own names
    else:
        await driver.copy_records_to_table(table.name, records=rows, columns=names)


def _for_sqlite(table: Table, rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Return the rows with their moments as text; many are the same."""
    moments = [place for place, one in enumerate(table.c) if isinstance(one.type, UtcDateTime)]
    written: dict[datetime, str] = {}
    told = [list(row) for row in rows]
    for row in told:
        for place in moments:
            moment = row[place]
            if moment is None:
                continue
            text = written.get(moment)
            if text is None:
                text = written[moment] = sqlite_text(moment)
            row[place] = text
    return told


def sqlite_text(moment: datetime) -> str:
    """Return a UTC moment as UtcDateTime writes it on SQLite."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def among(conn: AsyncConnection, text: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Return whether a text is one of many: one parameter however many they are, so one statement."""
    if conn.dialect.name == "sqlite":
        each = func.json_each(json.dumps(list(values))).table_valued(column("value", String))
        return text.in_(select(each.c.value))
    return text == any_(literal(list(values), ARRAY(String)))
