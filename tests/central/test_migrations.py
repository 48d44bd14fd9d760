import importlib
from datetime import UTC, datetime

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from central import partitions
from central.db import Database, metadata, open_database
from central.migrations import behind, upgrade

_CLEARANCE = (
    "clearance.model",
    "clearance.list_model",
    "clearance.vehicle_model",
    "clearance.boarding_model",
    "clearance.seal_model",
)
_DOMAINS = ("equipment.model", "ticketing.model", "duty.model", "flow.model", *_CLEARANCE)
for _module in (
    "outbox",
    "idempotency",
    "eventstore",
    "access.model",
    "fleet.model",
    "fleet.view_model",
    "retention",
    *_DOMAINS,
):
    importlib.import_module(f"central.{_module}")


def _ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
    return not (kind == "table" and str(name).startswith(("event_", "locator_position_", "alembic_")))


def _differences(conn: Connection) -> list[object]:
    context = MigrationContext.configure(conn, opts={"include_object": _ours, "compare_type": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrations_make_exactly_the_tables_that_the_models_declare(database: Database) -> None:
    async with database.read() as conn:
        assert await conn.run_sync(_differences) == []


async def test_a_new_database_is_behind_and_migrating_twice_changes_nothing(database_url: str) -> None:
    database = open_database(database_url)
    async with database.read() as conn:
        assert await behind(conn)
    for _ in range(2):
        async with database.begin() as conn:
            await upgrade(conn)
        async with database.read() as conn:
            assert not await behind(conn)
    await database.close()


async def test_positions_that_are_there_stay_and_find_their_months(database_url: str) -> None:
    database = open_database(database_url)
    async with database.begin() as conn:
        await upgrade(conn, "0008")
        for moment in ("2007-04-07", "2026-11-02", "2026-12-31"):
            told = f"'site', 'e', 't', '{moment} 08:00:00+00', 0, 'L', '2026-11-21 08:00:00+00', true, false, 0, 0"
            names = "site, edge, terminal, taken_at, event, device, received_at, fixed, late, alarm_bits, status_bits"
            await conn.execute(text(f"INSERT INTO locator_position ({names}) VALUES ({told})"))
    async with database.begin() as conn:
        await upgrade(conn)
        made = await partitions.ensure(conn, partitions.POSITIONS, datetime(2026, 11, 21, tzinfo=UTC))
        assert (await conn.execute(text("SELECT count(*) FROM locator_position"))).scalar_one() == 3
        if not database.sqlite:
            assert len(made) == 4
            assert (await conn.execute(text("SELECT count(*) FROM locator_position_default"))).scalar_one() == 1
            assert (await conn.execute(text("SELECT count(*) FROM locator_position_2026_12"))).scalar_one() == 1
    await database.close()
