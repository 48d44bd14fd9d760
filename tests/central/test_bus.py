import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import outbox
from central.bus import Bus
from central.db import Database, now
from central.eventstore import watermarks
from central.messages import Message
from central.metrics import Metrics


class CountHappened(Message):
    who: str
    number: int

    def key(self) -> str:
        return self.who


def _bus(database: Database, metrics: Metrics, **options: float) -> Bus:
    return Bus(database, metrics, back_off_s=0.001, **options)  # type: ignore[arg-type]


async def _note(conn: AsyncConnection, message: CountHappened) -> None:
    """The effect of a handler that cannot be done twice: a primary key."""
    row = {"edge": message.who, "epoch": str(message.number), "stream": "x", "upto": 0, "changed_at": now()}
    await conn.execute(insert(watermarks), row)


async def _effects(database: Database) -> int:
    async with database.read() as conn:
        return int((await conn.execute(select(func.count()).select_from(watermarks))).scalar_one())


async def _publish(database: Database, bus: Bus, *messages: Message) -> None:
    async with database.begin() as conn:
        await bus.publish(conn, *messages)


async def test_a_message_goes_out_only_if_its_transaction_commits(database: Database, metrics: Metrics) -> None:
    bus, got = _bus(database, metrics), []

    async def take(_: AsyncConnection, message: CountHappened) -> None:
        got.append(message.number)

    bus.subscribe(CountHappened, "counter", take)
    with suppress(ZeroDivisionError):
        async with database.begin() as conn:
            await bus.publish(conn, CountHappened(who="a", number=1))
            raise ZeroDivisionError
    await _publish(database, bus, CountHappened(who="a", number=2))
    await bus.drain()
    assert got == [2]


async def test_a_handler_that_fails_is_retried_and_its_effect_is_there_once(
    database: Database, metrics: Metrics
) -> None:
    bus, tries = _bus(database, metrics), []

    async def fragile(conn: AsyncConnection, message: CountHappened) -> None:
        tries.append(message.number)
        await _note(conn, message)
        if len(tries) < 3:
            raise RuntimeError("after the effect, before the commit")

    bus.subscribe(CountHappened, "fragile", fragile)
    await _publish(database, bus, CountHappened(who="a", number=1))
    async with asyncio.timeout(5):
        running = asyncio.create_task(bus.run())
        while await _effects(database) == 0:
            await asyncio.sleep(0.005)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert tries == [1, 1, 1]
    assert await _effects(database) == 1


async def test_messages_of_one_key_stay_in_order_while_others_go_on(database: Database, metrics: Metrics) -> None:
    bus, got, failing = _bus(database, metrics), [], True

    async def take(_: AsyncConnection, message: CountHappened) -> None:
        if failing and message.who == "stuck":
            raise RuntimeError("not yet")
        got.append((message.who, message.number))

    bus.subscribe(CountHappened, "orderly", take)
    for number in (1, 2):
        await _publish(
            database, bus, CountHappened(who="stuck", number=number), CountHappened(who="free", number=number)
        )
    await bus.drain()
    assert got == [("free", 1), ("free", 2)]
    failing = False
    await asyncio.sleep(0.01)  # longer than the back-off
    await bus.drain()
    assert got[2:] == [("stuck", 1), ("stuck", 2)]


async def test_poison_is_parked_counted_and_holds_up_nothing(database: Database, metrics: Metrics) -> None:
    bus, got = _bus(database, metrics, tries=2), []

    async def take(_: AsyncConnection, message: CountHappened) -> None:
        if message.number == 1:
            raise ValueError("poison")
        got.append(message.number)

    bus.subscribe(CountHappened, "taster", take)
    await _publish(database, bus, CountHappened(who="a", number=1), CountHappened(who="a", number=2))
    async with asyncio.timeout(5):
        while not got:
            await bus.drain()
            await asyncio.sleep(0.002)
    async with database.read() as conn:
        parked = await outbox.parked(conn, 10)
    assert [(row.subscriber, row.error) for row in parked] == [("taster", "ValueError: poison")]
    assert metrics.registry.get_sample_value("gatefleet_bus_parked_messages") == 1


async def test_a_restart_forgets_nothing(database: Database, metrics: Metrics) -> None:
    first = _bus(database, metrics)
    first.subscribe(CountHappened, "heir", _note)
    await _publish(database, first, CountHappened(who="a", number=1))
    second = _bus(database, metrics)
    second.subscribe(CountHappened, "heir", _note)
    await second.drain()
    assert await _effects(database) == 1


async def test_several_workers_deliver_each_message_once_and_in_order(database: Database, metrics: Metrics) -> None:
    got: list[tuple[str, int]] = []

    async def take(conn: AsyncConnection, message: CountHappened) -> None:
        await _note(conn, message)
        await asyncio.sleep(0)
        got.append((message.who, message.number))

    workers = [_bus(database, metrics) for _ in range(3)]
    for bus in workers:
        bus.subscribe(CountHappened, "many", take)
    messages = [CountHappened(who=who, number=number) for number in range(12) for who in "abc"]
    await _publish(database, workers[0], *messages)
    async with asyncio.timeout(20):
        while await _effects(database) < len(messages):
            await asyncio.gather(*(bus.drain() for bus in workers))
    assert len(got) == len(messages)
    for who in "abc":
        assert [number for name, number in got if name == who] == list(range(12))


def test_one_name_takes_a_kind_once(database: Database, metrics: Metrics) -> None:
    bus = _bus(database, metrics)
    bus.subscribe(CountHappened, "twice", _note)
    with pytest.raises(TypeError, match="twice"):
        bus.subscribe(CountHappened, "twice", _note)
