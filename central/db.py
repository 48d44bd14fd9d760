"""The database: SQLAlchemy 2 Core over asyncpg or aiosqlite.

Promises:
1. What `begin()` yields is one transaction: all of it is durable when the block ends, or nothing is.
2. Callbacks of `after_commit` run once the commit is durable, and never when it is not.
3. On SQLite there is one writer at a time, first come first served, so that none waits in a busy loop.
4. Moments go in and come out as aware UTC, and sort by time in both dialects.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import JSON, DateTime, Dialect, MetaData, TypeDecorator, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.errors import ConfigInvalid
from core.messages.ids import ENTROPY_BYTES, ulid

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""The tables of all domains; each domain's model.py adds its own."""

Json: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""A JSON column: JSONB on PostgreSQL, text on SQLite."""

T = TypeVar("T")

_ENTROPY_MASK: Final = (1 << 8 * ENTROPY_BYTES) - 1
_TRANSIENT_STATES: Final = ("08", "40", "53", "55", "57", "58")
_DRIVERS_OWN: Final = (OSError, TimeoutError, sqlite3.OperationalError, asyncpg.InterfaceError)
_READ_ONLY: Final = "gatefleet_read_only"
_AFTER_COMMIT: Final = "gatefleet_after_commit"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment with microseconds; a naive one is our bug and is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """Return what its values are, so that a cursor can hold them."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments; SQLite keeps text without a zone, so it is given UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def now() -> datetime:
    """Return the wall clock in UTC."""
    return datetime.now(UTC)


class _Ids:
    """Makes 26 characters that sort by time: 48 bits of milliseconds, 80 random bits, growing within a process."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> str:
        fresh = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(ENTROPY_BYTES), "big")
        number = self._last = max(fresh, self._last + 1)
        return ulid(number >> 80, (number & _ENTROPY_MASK).to_bytes(ENTROPY_BYTES, "big"))


new_id: Final = _Ids()
"""Return a new id: 26 characters of 0-9 A-Z, sorting by time."""


class Database:
    """One engine. `begin()` gives a transaction for writing, `read()` one for reading."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        self._writer = asyncio.Lock() if self.sqlite else nullcontext()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction that commits when the block ends well. Never nest on SQLite."""
        callbacks: list[Callable[[], None]] = []
        async with self._writer, self.engine.begin() as conn:
            info = conn.info
            info[_AFTER_COMMIT] = callbacks
            try:
                yield conn
            finally:
                info.pop(_AFTER_COMMIT, None)
        for callback in callbacks:
            callback()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a read-only transaction; on SQLite it does not wait for writers."""
        options = {_READ_ONLY: True} if self.sqlite else {"postgresql_readonly": True}
        async with self.engine.connect() as conn:
            await conn.execution_options(**options)
            async with conn.begin():
                yield conn

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do work in a transaction of its own; return what it returned once that is durable."""
        async with self.begin() as conn:
            return await work(conn)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def after_commit(conn: AsyncConnection, callback: Callable[[], None]) -> None:
    """Call back once the transaction of `Database.begin()` is durable; never if it is rolled back. Must not raise."""
    conn.info[_AFTER_COMMIT].append(callback)


def transient(error: BaseException) -> bool:
    """Tell whether the database, not the statement, is at fault, so that trying again later may help."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
            return True
        error = error.orig or error
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, _DRIVERS_OWN) or state.startswith(_TRANSIENT_STATES)


def open_database(url: str, *, echo: bool = False) -> Database:
    """Return the database of `sqlite:///path` or `postgresql://user@host/name`; nothing is connected yet."""
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite":
            engine = create_async_engine(f"sqlite+aiosqlite://{rest}", echo=echo, connect_args={"timeout": 10})
            _dress_sqlite(engine)
        case "postgresql" | "postgres":
            engine = create_async_engine(
                f"postgresql+asyncpg://{rest}", echo=echo, pool_size=10, max_overflow=10, pool_pre_ping=False
            )
        case _:
            raise ConfigInvalid(
                f"unknown database {scheme!r}", place="database.url", cure="use sqlite:///path or postgresql://..."
            )
    return Database(engine)


def _dress_sqlite(engine: AsyncEngine) -> None:
    """Write-ahead log, fsync at each commit, foreign keys, and transactions begun by us: the driver begins too late."""

    @event.listens_for(engine.sync_engine, "connect")
    def pragmas(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(conn: Any) -> None:
        read_only = conn.get_execution_options().get(_READ_ONLY, False)
        conn.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
