"""A changed schema never needs rm: every version ever shipped still opens, twice over."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest

from core.messages.envelope import Packed
from core.messages.event import Stream
from edge.buffer import Buffer
from edge.buffer.file import STEPS, migrate

VITAL, STATE, TELEMETRY = Stream
Open = Callable[..., AbstractAsyncContextManager[Buffer]]
SHIPPED = sorted((Path(__file__).parent / "shipped").glob("v*.buffer"))


def test_every_version_has_its_fixture() -> None:
    assert [file.stem for file in SHIPPED] == [f"v{number}" for number in range(1, len(STEPS) + 1)]


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda file: file.stem)
async def test_a_file_of_each_version_opens_twice(opened: Open, path: Path, shipped: Path) -> None:
    shutil.copy(shipped, path)
    for turn in range(2):
        async with opened() as buffer:
            assert buffer.epoch == "01M7YHX3008B5MGAT5QVEY0W6E"
            assert buffer.counts.repairs == 0
            read = await buffer.read(VITAL, 0, entries=99, bytes_=10**6)
            assert [(entry.seq, entry.after) for entry in read[:6]] == [(seq, seq - 1) for seq in range(5, 11)]
            assert read[0].body == b'{"n":5}'
            assert [buffer.depth(stream).entries for stream in Stream] == [6 + turn, 10, 10]
            assert buffer.memos("") == {"lane/1": b"idle"}
            assert await buffer.append(read[:0], {}) == ()
            await buffer.append([read_as_new(read[0].body)])


def read_as_new(body: bytes) -> Packed:
    return Packed(VITAL, "k", body)


def test_each_step_is_one_transaction_and_done_once(tmp_path: Path) -> None:
    steps = [*STEPS, "CREATE TABLE extra (n INTEGER);\nINSERT INTO extra VALUES (1);"]
    with closing(sqlite3.connect(tmp_path / "b", isolation_level=None)) as sql:
        migrate(sql)
        for _ in range(2):
            migrate(sql, steps)
        assert sql.execute("SELECT count(*) FROM extra").fetchone() == (1,)
        assert sql.execute("PRAGMA user_version").fetchone() == (len(steps),)


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    steps = [*STEPS, "CREATE TABLE extra (n INTEGER);\nINSERT INTO nowhere VALUES (1);"]
    with closing(sqlite3.connect(tmp_path / "b", isolation_level=None)) as sql:
        migrate(sql)
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(sql, steps)
        sql.execute("ROLLBACK")
        assert sql.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        assert not sql.execute("SELECT * FROM sqlite_schema WHERE name = 'extra'").fetchall()


async def test_a_file_of_a_newer_version_loses_nothing(opened: Open, path: Path) -> None:
    shutil.copy(SHIPPED[0], path)
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA user_version = 99")
    async with opened() as buffer:
        read = await buffer.read(VITAL, 0, entries=99, bytes_=10**6)
        assert b"schema version 99" in read[-1].body
        assert len(read) == 7
        assert buffer.epoch == "01M7YHX3008B5MGAT5QVEY0W6E"
