"""The schema's history. `upgrade` brings a database to the newest revision, on both dialects."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

_LOCK: Final = 0x6761_7465
"""Of PostgreSQL's advisory locks: two workers that start together migrate one after the other."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


async def upgrade(conn: AsyncConnection, revision: str = "head") -> None:
    """Migrate within the transaction of `conn`: all of it, or nothing."""
    if conn.dialect.name == "postgresql":
        await conn.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    await conn.run_sync(_upgrade, revision)


def _upgrade(conn: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


async def behind(conn: AsyncConnection) -> bool:
    """Tell whether the schema is not at the newest revision."""
    present = await conn.run_sync(lambda sync: MigrationContext.configure(sync).get_current_heads())
    return set(present) != set(ScriptDirectory.from_config(_config()).get_heads())
