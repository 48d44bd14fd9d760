"""The promises of `central.retention` by their words, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from central import eventstore, partitions
from central.app import build
from central.batches import Inbound
from central.config import CentralConfig
from central.duty.aging import OldPositions
from central.duty.model import locators, positions
from central.duty.service import Duty
from central.eventstore import events
from central.ingest import Ingest
from central.retention import BATCH_ROWS, OldTelemetry, Retention, Rule, progress
from core.crypto import suite
from core.crypto.signing import SigningKey
from core.messages.event import Stream
from core.messages.events import DeviceHealthChanged, DeviceMeasured, EdgeStarted, Health
from core.messages.locator_events import PositionReported

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
EDGE = "north.gates"
DAYS = 90


def measured(value):
    return DeviceMeasured(device="T-1", readings={"air_c": float(value)})


def vital(number):
    return EdgeStarted(edge=EDGE, version=str(number), boot_id="b", config_digest="d")


def state(detail):
    return DeviceHealthChanged(device="T-1", health=Health.OK, detail=detail)


def reported(taken_at, terminal="013800138000"):
    return PositionReported(
        device="LOC-1", terminal=terminal, latitude_deg=22.0, longitude_deg=113.0, fixed=True, taken_at=taken_at
    )


@pytest.fixture
def at(monkeypatch):
    """Set the moment at which central receives."""

    def set_(moment):
        monkeypatch.setattr("central.ingest.now", lambda: moment)

    set_(NOW)
    return set_


@pytest.fixture
async def parted(world):
    """Months from the oldest that the tests use."""
    async with world.database.begin() as conn:
        for month in (5, 6, 7, 8, 11):
            for one in partitions.ALL:
                await partitions.ensure(conn, one, datetime(2026, month, 1, tzinfo=UTC), months_ahead=0)
    Duty().register(world.bus)
    return world


def retention(world, *, days=DAYS, moment=NOW, rest=None, rules=None):
    async def none(_seconds):
        pass

    rules = rules or [Rule(OldPositions(), days, partitions.POSITIONS), Rule(OldTelemetry(), days)]
    return Retention(world.database, world.metrics.registry, rules, clock=lambda: moment, rest=rest or none)


def counted(world, name, **labels):
    return world.metrics.registry.get_sample_value(f"gatefleet_retention_{name}_total", labels) or 0


async def kept(world):
    async with world.database.read() as conn:
        rows = (await conn.execute(select(events.c.stream).order_by(events.c.position))).scalars().all()
    return {stream: rows.count(stream) for stream in sorted(set(rows))}


async def taken(world):
    async with world.database.read() as conn:
        return list((await conn.execute(select(positions.c.taken_at).order_by(positions.c.taken_at))).scalars())


async def test_old_telemetry_leaves_and_vital_and_state_never_do(parted, at):
    at(NOW - timedelta(days=170))
    await parted.happen(*map(measured, range(700)), vital(1), state("old"), edge=EDGE)
    at(NOW - timedelta(days=1))
    await parted.happen(*map(measured, range(5)), vital(2), edge=EDGE)
    await retention(parted).sweep()
    assert await kept(parted) == {"state": 1, "telemetry": 5, "vital": 2}
    assert counted(parted, "rows", what="telemetry") == 700


async def test_what_is_not_old_stays_and_zero_days_keep_for_ever(parted, at):
    at(NOW - timedelta(days=89))
    await parted.happen(measured(1), measured(2), reported(NOW - timedelta(days=89)))
    await retention(parted).sweep()
    assert (await kept(parted))["telemetry"] == 3
    at(NOW - timedelta(days=170))
    await parted.happen(measured(1), edge="south.gates")
    parted.metrics = type(parted.metrics)()
    await retention(parted, days=0, moment=NOW + timedelta(days=9_999)).sweep()
    assert (await kept(parted))["telemetry"] == 4
    assert len(await taken(parted)) == 1


async def test_what_was_stored_once_is_never_stored_again_though_it_was_deleted(parted, at):
    at(NOW - timedelta(days=170))
    payload = parted._batch(EDGE, Stream.TELEMETRY, [measured(n) for n in range(20)], NOW)
    inbound = Inbound(EDGE, Stream.TELEMETRY, payload)
    (first,) = await parted.ingest.store([parted.ingest.read(inbound)])
    await parted.happen(vital(1), edge=EDGE)
    await retention(parted).sweep()
    assert await kept(parted) == {"vital": 1}
    at(NOW)
    restarted = Ingest(parted.database, parted.bus, parted.metrics)
    (again,) = await restarted.store([restarted.read(inbound)])
    assert again[1].upto == first[1].upto == 20
    assert await kept(parted) == {"vital": 1}


async def test_positions_of_events_grow_on_though_the_newest_are_old(parted, at):
    at(NOW - timedelta(days=170))
    await parted.happen(vital(1), *map(measured, range(30)), edge=EDGE)
    async with parted.database.read() as conn:
        newest = (await conn.execute(select(func.max(events.c.position)))).scalar_one()
    await retention(parted).sweep()
    at(NOW)
    parted.ingest = Ingest(parted.database, parted.bus, parted.metrics)  # central starts anew
    await parted.happen(vital(2), edge=EDGE)
    async with parted.database.read() as conn:
        assert (await conn.execute(select(func.max(events.c.position)))).scalar_one() > newest


async def test_rows_leave_in_small_transactions_with_a_rest_between_them(parted, at):
    at(NOW - timedelta(days=170))
    for _ in range(4):
        await parted.happen(*map(measured, range(BATCH_ROWS)), edge=EDGE)
    await parted.happen(vital(1), edge=EDGE)
    at(NOW)
    rests, left = [], []

    async def rest(seconds):
        rests.append(seconds)
        left.append((await kept(parted)).get("telemetry", 0))
        async with asyncio.timeout(2):  # nothing is held while it rests
            await parted.happen(vital(len(rests)), edge=EDGE)

    await retention(parted, rest=rest).sweep()
    assert left[:4] == [1500, 1000, 500, 0]
    assert all(0.02 <= seconds <= 2.0 for seconds in rests)


async def test_after_a_restart_a_sweep_goes_on_from_where_the_last_one_was(parted, at):
    at(NOW - timedelta(days=170))
    await parted.happen(*map(vital, range(BATCH_ROWS)), edge=EDGE)
    await parted.happen(*map(measured, range(BATCH_ROWS)), edge=EDGE)
    await parted.happen(vital(0), edge=EDGE)

    async def die(_seconds):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await retention(parted, rest=die, rules=[Rule(OldTelemetry(), DAYS)]).sweep()
    assert (await kept(parted))["telemetry"] == BATCH_ROWS
    async with parted.database.read() as conn:
        upto = (await conn.execute(select(progress.c.upto).where(progress.c.upto > 0))).scalar_one()
        first = (await conn.execute(select(func.min(events.c.position)))).scalar_one()
        passed = select(func.count()).where(events.c.position <= upto)
        assert (await conn.execute(passed)).scalar_one() == BATCH_ROWS
    assert upto > first
    parted.metrics = type(parted.metrics)()
    await retention(parted).sweep()
    assert "telemetry" not in await kept(parted)


async def test_a_clock_of_centrals_that_was_ahead_once_does_not_end_the_walk(parted, at):
    at(NOW + timedelta(days=9_000))
    await parted.happen(measured(1), vital(1), edge=EDGE)
    at(NOW - timedelta(days=170))
    await parted.happen(*map(measured, range(9)), vital(2), edge=EDGE)
    await retention(parted).sweep()
    assert (await kept(parted))["vital"] == 2
    assert (await kept(parted)).get("telemetry", 0) <= 1


async def test_old_positions_leave_whatever_the_locators_clock_says(parted, at):
    old, young = NOW - timedelta(days=150), NOW - timedelta(days=10)
    ahead, behind = datetime(2038, 1, 1, tzinfo=UTC), datetime(2007, 4, 7, tzinfo=UTC)
    at(old)
    await parted.happen(*(reported(old + timedelta(seconds=n)) for n in range(600)), reported(ahead), reported(behind))
    at(young)
    for terminal in ("a", "b"):
        later = [ahead + timedelta(1), behind + timedelta(1), young]
        await parted.happen(*(reported(moment, terminal) for moment in later))
    await parted.happen(reported(old + timedelta(days=1), "came late"))
    await retention(parted).sweep()
    expected = sorted([ahead + timedelta(1), behind + timedelta(1), young] * 2)
    if parted.database.sqlite:  # on PostgreSQL it stood in a month that left
        expected = sorted([*expected, old + timedelta(days=1)])
    assert await taken(parted) == expected
    async with parted.database.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(locators))).scalar_one() == 4


async def test_many_locators_are_swept_batch_by_batch(parted, at):
    old = datetime(2025, 1, 1, tzinfo=UTC)
    at(old)
    await parted.happen(*(reported(old + timedelta(seconds=n), f"t{n % 120}") for n in range(1_700)))
    await retention(parted).sweep()
    assert await taken(parted) == []
    assert counted(parted, "rows", what="positions") == 1_700


@pytest.mark.real
async def test_whole_months_of_positions_leave_as_partitions(parted, at):
    if parted.database.sqlite:
        pytest.skip("SQLite has one table")
    may, august = datetime(2026, 5, 31, 23, 59, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
    at(may)
    await parted.happen(reported(may))
    at(august)
    await parted.happen(reported(august))
    sweeping = retention(parted)
    for _ in range(2):
        await sweeping.sweep()
    assert await taken(parted) == [august]
    assert counted(parted, "months", what="positions", outcome="dropped") == 3  # May, June, July
    assert counted(parted, "rows", what="positions") == 0
    async with parted.database.read() as conn:
        found = await conn.execute(text("SELECT to_regclass('locator_position_2026_05')"))
        assert found.scalar_one() is None


@pytest.mark.real
async def test_a_month_whose_lock_is_held_delays_nobody_and_is_tried_again(parted, at):
    if parted.database.sqlite:
        pytest.skip("SQLite has one table")
    may = datetime(2026, 5, 3, tzinfo=UTC)
    at(may)
    await parted.happen(reported(may))
    sweeping = retention(parted, rules=[Rule(OldPositions(), DAYS, partitions.POSITIONS)])
    async with parted.database.read() as reader:  # a dump, or somebody's long look
        await reader.execute(select(func.count()).select_from(positions))
        sweep = asyncio.create_task(sweeping.sweep())
        async with asyncio.timeout(5):
            await parted.happen(reported(NOW))
            await sweep
        assert counted(parted, "months", what="positions", outcome="busy") == 3
    assert len(await taken(parted)) == 2
    await sweeping.sweep()
    assert await taken(parted) == [NOW]


@pytest.mark.real
async def test_what_was_detached_and_not_yet_dropped_is_dropped_by_the_next_sweep(parted):
    if parted.database.sqlite:
        pytest.skip("SQLite has one table")
    async with parted.database.begin() as conn:
        await conn.execute(text("ALTER TABLE locator_position DETACH PARTITION locator_position_2026_05"))
    sweeping = retention(parted)
    await sweeping.sweep()
    async with parted.database.read() as conn:
        assert await partitions.months_before(conn, partitions.POSITIONS, NOW - timedelta(days=DAYS)) == []


@pytest.mark.real
async def test_two_workers_that_sweep_at_once_do_each_others_work_no_harm(parted, at):
    at(NOW - timedelta(days=170))
    await parted.happen(*map(measured, range(1_200)), reported(NOW - timedelta(days=170)), edge=EDGE)
    await parted.happen(vital(1), edge=EDGE)
    one = retention(parted)
    parted.metrics = type(parted.metrics)()
    other = retention(parted)
    await asyncio.gather(one.sweep(), other.sweep())
    assert await kept(parted) == {"vital": 1}
    assert await taken(parted) == []


async def test_reprojecting_what_is_gone_meanwhile_changes_nothing(parted, at):
    at(NOW - timedelta(days=170))
    await parted.happen(measured(1), edge=EDGE)
    await parted.happen(vital(1), edge=EDGE)
    async with parted.database.begin() as conn:
        await conn.execute(update(events).values(status=eventstore.PROJECTION_FAILED))
    await retention(parted).sweep()
    assert await kept(parted) == {"vital": 1}


async def test_central_sweeps_as_its_configuration_says(world, at, tmp_path):
    (tmp_path / "token").write_text("0" * 64)
    crypto = {"suite": "intl", "signing_key": "env:NONE", "token_key": f"file:{tmp_path}/token"}
    told = {
        "schema": 1,
        "database": {"url": world.database.engine.url.render_as_string(hide_password=False).replace("+aiosqlite", "")},
        "mqtt": {"url": "mqtt://127.0.0.1"},
        "crypto": crypto,
        "retention": {"telemetry_days": 10, "positions_days": 0},
    }
    if not world.database.sqlite:
        told["database"]["url"] = told["database"]["url"].replace("+asyncpg", "")
    made = build(CentralConfig.model_validate(told), SigningKey(suite("intl").generate()))
    at(datetime(2020, 1, 1, tzinfo=UTC))
    await world.happen(measured(1))
    await world.happen(vital(1))
    (sweep,) = [one for one in made.sweeps if one.name == "retention"]
    await sweep.work()
    await made.database.close()
    assert await kept(world) == {"vital": 1}
