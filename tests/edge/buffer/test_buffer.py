"""The promises of `edge.buffer` by their words; those about damage, crashes and the quota have their own files."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import BufferUnavailable
from core.messages.envelope import Packed
from core.messages.event import Stream
from edge.buffer import Buffer, EntryRefused

VITAL, STATE, TELEMETRY = Stream
Make = Callable[..., list[Packed]]
Open = Callable[..., AbstractAsyncContextManager[Buffer]]


async def test_three_streams_each_with_its_own_sequence(buffer: Buffer, entries: Make) -> None:
    mixed = [*entries(VITAL, 2), *entries(STATE, 1), *entries(TELEMETRY, 3), *entries(VITAL, 1)]
    assert await buffer.append(mixed) == (1, 2, 1, 1, 2, 3, 3)
    assert [buffer.newest(stream) for stream in Stream] == [3, 1, 3]


async def test_order_holds_within_a_stream(buffer: Buffer, entries: Make) -> None:
    made = [entries(VITAL, 7) for _ in range(40)]
    seqs = await asyncio.gather(*(buffer.append(part) for part in made))
    by_seq = {
        seq: item.body
        for part, numbers in zip(made, seqs, strict=True)
        for seq, item in zip(numbers, part, strict=True)
    }
    assert [numbers[0] for numbers in seqs] == list(range(1, 280, 7))
    read = await buffer.read(VITAL, 0, entries=1000, bytes_=10**6)
    assert [entry.seq for entry in read] == list(range(1, 281))
    assert [entry.body for entry in read] == [by_seq[entry.seq] for entry in read]
    assert [entry.after for entry in read] == list(range(280))


async def test_a_read_keeps_to_its_limits_and_gives_at_least_one(buffer: Buffer, entries: Make) -> None:
    await buffer.append(entries(VITAL, 10, size=400))
    assert [entry.seq for entry in await buffer.read(VITAL, 3, entries=2, bytes_=10**6)] == [4, 5]
    assert [entry.seq for entry in await buffer.read(VITAL, 3, entries=9, bytes_=1250)] == [4, 5, 6]
    assert [entry.seq for entry in await buffer.read(VITAL, 3, entries=9, bytes_=1)] == [4]
    assert await buffer.read(VITAL, 10, entries=9, bytes_=10**6) == ()


async def test_an_entry_leaves_only_after_central_has_committed_it(buffer: Buffer, opened: Open, entries: Make) -> None:
    await buffer.append(entries(VITAL, 10))
    for _ in range(3):
        assert len(await buffer.read(VITAL, 0, entries=100, bytes_=10**6)) == 10
    await buffer.acked(VITAL, 4)
    await buffer.append(entries(VITAL, 1))
    read = await buffer.read(VITAL, 0, entries=100, bytes_=10**6)
    assert [(entry.seq, entry.after) for entry in read] == [(seq, seq - 1) for seq in range(5, 12)]
    assert buffer.depth(VITAL).entries == 7


async def test_acks_take_effect_without_an_append_and_never_go_back(buffer: Buffer, entries: Make) -> None:
    await buffer.append(entries(STATE, 10))
    await buffer.acked(STATE, 6)
    await buffer.acked(STATE, 2)
    await until(buffer, lambda: buffer.depth(STATE).acked == 6)
    assert buffer.depth(STATE).entries == 4


async def until(buffer: Buffer, true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await buffer._changed.wait()


async def test_a_big_ack_is_done_in_parts(buffer: Buffer, entries: Make) -> None:
    for _ in range(20):
        await buffer.append(entries(TELEMETRY, 1000, size=60))
    await buffer.acked(TELEMETRY, 19_990)
    await until(buffer, lambda: buffer.depth(TELEMETRY).acked == 19_990)
    assert buffer.depth(TELEMETRY).entries == 10


async def test_what_was_committed_is_there_after_reopening(opened: Open, entries: Make) -> None:
    async with opened() as buffer:
        epoch = buffer.epoch
        await buffer.append([*entries(VITAL, 5), *entries(STATE, 5)], {"lane/1": b"idle", "lane/2": b"", "cmd/9": b"x"})
        await buffer.append([], {"cmd/9": None})
        await buffer.acked(VITAL, 2)
        before = [buffer.depth(stream) for stream in Stream]
        body = (await buffer.read(VITAL, 4, entries=1, bytes_=1))[0].body
    async with opened() as buffer:
        assert buffer.epoch == epoch
        assert buffer.depth(VITAL).acked == 2
        assert buffer.depth(VITAL).entries == 3
        assert buffer.depth(STATE) == before[1]
        assert (await buffer.read(VITAL, 4, entries=1, bytes_=1))[0].body == body
        assert buffer.memos("lane/") == {"lane/1": b"idle", "lane/2": b""}
        assert buffer.memo("cmd/9") is None


async def test_a_sequence_never_goes_back_even_when_all_entries_have_left(opened: Open, entries: Make) -> None:
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 5))
        await buffer.acked(VITAL, 5)
    async with opened() as buffer:
        assert buffer.depth(VITAL).entries == 0
        assert buffer.newest(VITAL) == 5
        assert await buffer.append(entries(VITAL, 1)) == (6,)
        assert [(e.seq, e.after) for e in await buffer.read(VITAL, 0, entries=9, bytes_=10**6)] == [(6, 5)]


async def test_a_new_file_is_a_new_epoch(opened: Open, tmp_path: Path) -> None:
    epochs = set()
    for name in ("a", "b"):
        async with opened(at=tmp_path / name) as buffer:
            epochs.add(buffer.epoch)
            assert len(buffer.epoch) == 26
    assert len(epochs) == 2


async def test_wait_newer_wakes_for_its_own_stream(buffer: Buffer, entries: Make) -> None:
    await buffer.append(entries(VITAL, 1))
    await buffer.wait_newer(VITAL, 0)
    waiting = asyncio.create_task(buffer.wait_newer(VITAL, 1))
    await buffer.append(entries(STATE, 1))
    assert not waiting.done()
    await buffer.append(entries(VITAL, 1))
    await asyncio.wait_for(waiting, 1)


async def test_depth_tells_entries_bytes_and_age(buffer: Buffer, entries: Make) -> None:
    made = entries(TELEMETRY, 3)
    await buffer.append(made)
    depth = buffer.depth(TELEMETRY)
    assert (depth.entries, depth.bytes) == (3, sum(len(item.body) for item in made))
    assert depth.oldest == datetime(2026, 11, 21, 8, 0, 0, 1000, tzinfo=UTC)
    await buffer.acked(TELEMETRY, 2)
    await buffer.append(entries(TELEMETRY, 1))
    assert buffer.depth(TELEMETRY).oldest == datetime(2026, 11, 21, 8, 0, 0, 3000, tzinfo=UTC)
    assert buffer.depth(TELEMETRY).entries == 2


@pytest.mark.parametrize(
    "item",
    [Packed(VITAL, "k", b"x" * (256 * 1024 + 1)), Packed(VITAL, "k" * 600, b"x"), Packed(VITAL, "\udc80", b"x")],
    ids=["body", "key", "no text"],
)
async def test_an_entry_that_is_too_large_is_refused_and_nothing_of_its_append_kept(
    buffer: Buffer, entries: Make, item: Packed
) -> None:
    with pytest.raises(EntryRefused, match="at most"):
        await buffer.append([*entries(VITAL, 1), item], {"a": b"b"})
    assert buffer.newest(VITAL) == 0
    assert buffer.memo("a") is None


async def test_the_largest_entry_goes_through(buffer: Buffer) -> None:
    body = os.urandom(256 * 1024)
    await buffer.append([Packed(VITAL, "k", body)])
    assert (await buffer.read(VITAL, 0, entries=1, bytes_=1))[0].body == body


async def test_a_memo_is_committed_with_its_entries_or_not_at_all(buffer: Buffer, entries: Make) -> None:
    await buffer.append(entries(VITAL, 1), {"lane/1": b"releasing"})
    rows = sqlite3.connect(buffer.path).execute("SELECT key, body FROM memo WHERE seq > 0").fetchall()
    assert rows == [("lane/1", b"=releasing")]
    assert buffer.memo("lane/1") == b"releasing"


async def test_deleted_memos_leave_few_marks(buffer: Buffer) -> None:
    for turn in range(6):
        keys = [f"cmd/{turn}/{number}" for number in range(100)]
        await buffer.append([], dict.fromkeys(keys, b"x"))
        await buffer.append([], dict.fromkeys(keys, None))
    await buffer.append([], {"cmd/last": b"x"})
    marks = sqlite3.connect(buffer.path).execute("SELECT count(*) FROM memo WHERE body = x''").fetchone()[0]
    assert marks == 256
    assert buffer.memos("") == {"cmd/last": b"x"}


async def test_one_process_has_it_at_a_time(buffer: Buffer, opened: Open) -> None:
    with pytest.raises(BufferUnavailable, match="another process"):
        async with opened():
            pass


async def test_after_closing_nothing_is_taken(opened: Open, entries: Make) -> None:
    async with opened() as buffer:
        pass
    with pytest.raises(BufferUnavailable, match="closed"):
        await buffer.append(entries(VITAL, 1))
    with pytest.raises(BufferUnavailable, match="closed"):
        await buffer.wait_newer(VITAL, 0)


async def test_a_caller_that_is_cancelled_harms_nobody_else(buffer: Buffer, entries: Make) -> None:
    tasks = [asyncio.create_task(buffer.append(entries(VITAL, 1), {"k": b"%d" % n})) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result[0] for result in results[1::2]] == list(range(2, 21, 2))
    assert buffer.memo("k") == b"19"


async def test_closing_commits_what_waits(opened: Open, entries: Make) -> None:
    async with opened() as buffer:
        waiting = [asyncio.create_task(buffer.append(entries(VITAL, 1))) for _ in range(50)]
        await asyncio.sleep(0)
    assert sorted(await asyncio.gather(*waiting)) == [(seq,) for seq in range(1, 51)]
    async with opened() as buffer:
        assert buffer.newest(VITAL) == 50


async def test_seqs_that_central_has_from_a_later_copy_are_not_given_again(opened: Open, entries: Make) -> None:
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 10))
    async with opened() as buffer:  # an older copy of the file was put back: central is at 500
        await buffer.append(entries(VITAL, 3))
        await buffer.acked(VITAL, 500)
        await until(buffer, lambda: buffer.depth(VITAL).acked == 10)
        read = await buffer.read(VITAL, 10, entries=100, bytes_=10**6)
        assert len(read) == 4
        assert read[0].after == 10
        assert min(entry.seq for entry in read) > 500
        assert buffer.depth(VITAL).entries == 4


async def test_a_big_read_never_delays_a_commit(buffer: Buffer, entries: Make) -> None:
    with buffer._reader._lock:  # as long as somebody reads
        assert await asyncio.wait_for(buffer.append(entries(VITAL, 1)), 5) == (1,)
