"""What ingest feels of the retention's sweep. `python -m bench.retention`: about a minute.

A batch of 100 positions every 50 ms (2,000/s: 20,000 locators at one per 10 s), alone, and while a sweep deletes what
is old: 40,000 events and 40,000 positions one batch at a time, on PostgreSQL a month of 40,000 more as a partition.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import structlog
import zstandard

from bench.figures import Figure, quantile, table
from bench.stack import Engine, postgresql, running, work_folder
from central import partitions
from central.batches import Inbound
from central.bulk import insert_rows
from central.bus import Bus
from central.db import Database, now, open_database
from central.duty.aging import OldPositions
from central.duty.model import positions
from central.duty.service import Duty
from central.eventstore import events
from central.ingest import Ingest
from central.metrics import Metrics
from central.retention import OldTelemetry, Retention, Rule
from central.schema import bring_up_to_date
from core.messages.envelope import ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Stream
from core.messages.locator_events import PositionReported

EDGE: Final = "bench.locators"
ROWS: Final = 40_000
LOCATORS: Final = 1_000
SECONDS: Final = 5.0
_EVERY_S: Final = 0.05
_AT_ONCE: Final = 100


def _event(number: int, at: datetime) -> tuple[Any, ...]:
    name = (number, at, "bench", EDGE, "OLD", "telemetry", number, "gatefleet.DeviceMeasured.v1", "T")
    return (*name, at, at, "b", 0, "ntp", 0, 1, "ok", '{"device":"T","readings":{"air_c":21.5}}')


def _position(number: int, at: datetime) -> tuple[Any, ...]:
    taken_at = at + timedelta(seconds=number // LOCATORS)
    place_ = (22.1, 113.5, 10.0, 8.0, 90.0, 9, 1000.0)
    return ("bench", EDGE, f"t{number % LOCATORS}", taken_at, 0, "L", at, *place_, True, False, True, 0, 3)


def _old() -> tuple[datetime, datetime]:
    """Return a month that has a partition, and one that has none."""
    month = (now() - timedelta(days=150)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return month, datetime(2020, 1, 1, tzinfo=UTC)


async def _fill(database: Database) -> None:
    month, elsewhere = _old()
    async with database.begin() as conn:
        for one in partitions.ALL:
            await partitions.ensure(conn, one, month, months_ahead=0)
    for start in range(0, ROWS, 20_000):
        numbers = range(start, start + 20_000)
        async with database.begin() as conn:
            await insert_rows(conn, events, [_event(number + 1, month) for number in numbers])
            await insert_rows(conn, positions, [_position(number, elsewhere) for number in numbers])
            if not database.sqlite:
                await insert_rows(conn, positions, [_position(number, month) for number in numbers])


class _Load:
    """An edge whose locators report all the time."""

    def __init__(self, database: Database) -> None:
        metrics = Metrics()
        bus = Bus(database, metrics)
        Duty().register(bus)
        self._ingest = Ingest(database, bus, metrics)
        self._seqs = count(1)

    def _batch(self) -> Inbound:
        moment = now()
        stamp = Stamp(moment, 0, "b", ClockSource.NTP, 0, 1)
        placed = []
        for _ in range(_AT_ONCE):
            seq = next(self._seqs)
            where: dict[str, Any] = {"latitude_deg": 22.1, "longitude_deg": 113.5, "fixed": True, "taken_at": moment}
            told = PositionReported(device="L", terminal=f"t{seq % LOCATORS}", **where)
            packed = pack(told, stamp)
            placed.append(place(packed.body, source=EDGE, epoch="NEW", stream="telemetry", seq=seq, after=seq - 1))
        return Inbound(EDGE, Stream.TELEMETRY, zstandard.compress(join_batch(placed)))

    async def run(self, until: asyncio.Future[Any]) -> list[float]:
        """Store a batch every so often until something is done; return how long each took."""
        took: list[float] = []
        due = time.perf_counter()
        while not until.done():
            batch = self._ingest.read(self._batch())
            assert batch is not None
            began = time.perf_counter()
            await self._ingest.store([batch])
            took.append(time.perf_counter() - began)
            due = max(due + _EVERY_S, time.perf_counter())
            await asyncio.sleep(due - time.perf_counter())
        return took


async def measure(engine: Engine, folder: Path) -> Sequence[Figure]:
    """Measure one database."""
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{folder}/central.db"
        if engine == "postgresql":
            server = await postgresql(folder)
            await stack.enter_async_context(running(server.program))
            url = server.url("postgres")
        database = open_database(url)
        stack.push_async_callback(database.close)
        await bring_up_to_date(database, migrate=True)
        await _fill(database)
        load = _Load(database)
        await load.run(asyncio.ensure_future(asyncio.sleep(1.0)))
        alone = await load.run(asyncio.ensure_future(asyncio.sleep(SECONDS)))
        rules = Rule(OldPositions(), 90, partitions.POSITIONS), Rule(OldTelemetry(), 90)
        sweep = asyncio.create_task(Retention(database, Metrics().registry, rules).sweep())
        began = time.perf_counter()
        swept = await load.run(sweep)
        await sweep
        return _figures(engine, alone, swept, time.perf_counter() - began)


def _figures(engine: Engine, alone: Sequence[float], swept: Sequence[float], took_s: float) -> Sequence[Figure]:
    return [
        Figure(f"{engine}: batch of {_AT_ONCE} positions stored, {when}, {name}", quantile(some, share) * 1000, "ms")
        for when, some in (("alone", alone), ("while a sweep deletes", swept))
        for name, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0))
    ] + [Figure(f"{engine}: rows deleted one batch at a time", 2 * ROWS / took_s, "rows/s")]


async def main() -> None:
    """Measure both and tell."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    figures: list[Figure] = []
    for engine in ("sqlite", "postgresql"):
        with work_folder() as folder:
            figures += await measure(engine, folder)
    print(table(figures))


if __name__ == "__main__":
    asyncio.run(main())
