import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, StatementError

from central.db import Database, after_commit, new_id, transient
from central.eventstore import watermarks

MOMENT = datetime(2026, 3, 1, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=8)))


def _row(edge: str, at: datetime = MOMENT) -> dict[str, object]:
    return {"edge": edge, "epoch": "E", "stream": "vital", "upto": 1, "changed_at": at}


async def _edges(database: Database) -> list[str]:
    async with database.read() as conn:
        return list((await conn.execute(select(watermarks.c.edge).order_by(watermarks.c.changed_at))).scalars())


async def test_what_begin_yields_is_all_durable_or_nothing(database: Database) -> None:
    async with database.begin() as conn:
        await conn.execute(insert(watermarks), _row("a.a"))
    with suppress(RuntimeError):
        async with database.begin() as conn:
            await conn.execute(insert(watermarks), _row("b.b"))
            raise RuntimeError
    assert await _edges(database) == ["a.a"]


async def test_callbacks_run_after_the_commit_and_never_without_it(database: Database) -> None:
    called: list[str] = []
    async with database.begin() as conn:
        after_commit(conn, lambda: called.append("committed"))
        assert called == []
    assert called == ["committed"]
    with suppress(RuntimeError):
        async with database.begin() as conn:
            after_commit(conn, lambda: called.append("never"))
            raise RuntimeError
    async with database.begin():
        pass
    assert called == ["committed"]


async def test_moments_come_back_as_utc_and_sort_by_time(database: Database) -> None:
    async with database.begin() as conn:
        await conn.execute(insert(watermarks), _row("late.x"))
        await conn.execute(insert(watermarks), _row("early.x", datetime(2026, 3, 1, 1, 29, tzinfo=UTC)))
    assert await _edges(database) == ["early.x", "late.x"]
    async with database.read() as conn:
        query = select(watermarks.c.changed_at).where(watermarks.c.edge == "late.x")
        got = (await conn.execute(query)).scalar_one()
    assert got == MOMENT
    assert got.tzinfo is UTC


async def test_a_naive_moment_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="time zone"):
        async with database.begin() as conn:
            await conn.execute(insert(watermarks), _row("a.a", MOMENT.replace(tzinfo=None)))


async def test_reading_cannot_write_on_postgresql_and_sees_no_unfinished_work(database: Database) -> None:
    async with database.begin() as conn:
        await conn.execute(insert(watermarks), _row("a.a"))
        assert await _edges(database) == []
    if not database.sqlite:
        with pytest.raises(DBAPIError, match="read-only"):
            async with database.read() as conn:
                await conn.execute(insert(watermarks), _row("b.b"))
        async with database.begin() as conn:  # the pooled connection is not left read-only
            await conn.execute(insert(watermarks), _row("c.c"))


async def test_writers_wait_for_one_another_without_errors(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.begin() as conn:
            await conn.execute(insert(watermarks), _row(f"a.{number}"))

    await asyncio.gather(*(write(number) for number in range(40)))
    assert len(await _edges(database)) == 40


async def test_a_wrong_statement_is_not_transient_and_a_lost_connection_is(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with database.begin() as conn:
            await conn.execute(insert(watermarks), [_row("a.a"), _row("a.a")])
    assert not transient(caught.value)
    assert transient(ConnectionResetError())
    if not database.sqlite:
        with pytest.raises(DBAPIError) as caught:
            async with database.begin() as conn:
                await conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert transient(caught.value)


def test_ids_have_26_characters_and_grow() -> None:
    made = [new_id() for _ in range(2000)]
    assert made == sorted(set(made))
    assert {len(one) for one in made} == {26}
