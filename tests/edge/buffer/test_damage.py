"""A corrupt file never stops the daemon and never needs rm: what is whole is delivered, what is lost is reported."""

import random
import re
import shutil
import sqlite3
from bisect import bisect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing, suppress
from pathlib import Path

import pytest
from pydantic_core import from_json

from core.errors import BufferFull, BufferUnavailable
from core.messages.envelope import Packed
from core.messages.event import Stream
from edge.buffer import Buffer, Entry

MB = 1024 * 1024
VITAL, STATE, TELEMETRY = Stream
Make = Callable[..., list[Packed]]
Open = Callable[..., AbstractAsyncContextManager[Buffer]]


Crashed = tuple[Path, dict[Stream, list[bytes]]]


async def everything(buffer: Buffer, stream: Stream) -> list[Entry]:
    found: list[Entry] = []
    while part := await buffer.read(stream, found[-1].seq if found else 0, entries=2000, bytes_=MB):
        found += part
    return found


async def repairs(buffer: Buffer) -> list[dict[str, object]]:
    bodies = [from_json(entry.body) for entry in await everything(buffer, VITAL) if b"BufferRepaired" in entry.body]
    return [body["data"] for body in bodies]


def crash_copy(path: Path, to: Path) -> Path:
    """Copy what a power cut would leave: the file and its log as they are on the disk now."""
    to.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal"):
        if (source := path.with_name(path.name + suffix)).exists():
            shutil.copy(source, to / source.name)
    return to / path.name


def fold_log_into_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA wal_checkpoint(PASSIVE)")


@pytest.fixture
async def crashed(opened: Open, path: Path, entries: Make, tmp_path: Path) -> Crashed:
    """A buffer that ended with a crash: part of it in the file, part in the log, and what it must hold."""
    bodies: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
    async with opened() as buffer:
        for turn in range(25):
            made = [*entries(VITAL, 50), *entries(STATE, 20), *entries(TELEMETRY, 50), *entries(VITAL, 1, size=9000)]
            await buffer.append(made, {"lane/1": b"turn %d" % turn})
            for item in made:
                bodies[item.stream].append(item.body)
            if turn == 15:
                fold_log_into_file(path)
        await buffer.acked(VITAL, 500)
        await buffer.append([], {"lane/2": b"idle"})
        copy = crash_copy(path, tmp_path / "crashed")
    bodies[VITAL] = bodies[VITAL][500:]
    return copy, bodies


async def test_a_crash_is_no_damage(crashed: Crashed, opened: Open) -> None:
    copy, bodies = crashed
    async with opened(at=copy) as buffer:
        for stream in Stream:
            assert [entry.body for entry in await everything(buffer, stream)] == bodies[stream]
        assert buffer.counts.repairs == 0
        assert buffer.memos("") == {"lane/1": b"turn 24", "lane/2": b"idle"}
        assert buffer.depth(VITAL).acked == 500


def image(path: Path) -> bytes:
    """Return the file and its log as one."""
    wal = path.with_name(path.name + "-wal")
    return path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")


def flip(path: Path, many: int, seed: int) -> list[int]:
    """Change random bytes, spread over the file and its log as one; return where."""
    chance = random.Random(seed)
    size, raw = path.stat().st_size, bytearray(image(path))
    positions = sorted(chance.sample(range(len(raw)), many))
    for position in positions:
        raw[position] ^= chance.randrange(1, 256)
    path.write_bytes(raw[:size])
    if raw[size:]:
        path.with_name(path.name + "-wal").write_bytes(raw[size:])
    return positions


def spans(raw: bytes, bodies: dict[Stream, list[bytes]]) -> dict[bytes, list[tuple[int, int]]]:
    """Return where each body stands; those that go on in overflow pages are left out."""
    found = {}
    by_head = {body[:80]: body for part in bodies.values() for body in part if len(body) < 4000}
    for match in re.finditer(rb'\{"type":"t","time"', raw):
        body = by_head.get(raw[match.start() : match.start() + 80])
        if body:
            found.setdefault(body, []).append((match.start(), match.start() + len(body)))
    return found


def whole(body_spans: list[tuple[int, int]], flips: list[int]) -> bool:
    return all(bisect(flips, start - 1) == bisect(flips, end - 1) for start, end in body_spans)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "copies", "flips"), [("a crash", 50, 100), ("a clean end", 20, 100), ("a clean end", 30, 3)]
)
async def test_damaged_copies_all_open_and_deliver_what_is_whole(
    crashed: Crashed, opened: Open, tmp_path: Path, after: str, copies: int, flips: int
) -> None:
    source, bodies = crashed
    if after == "a clean end":
        async with opened(at=source):
            pass
    where = spans(image(source), bodies)
    epochs = set()
    for seed in range(copies):
        copy = crash_copy(source, tmp_path / f"copy-{seed}")
        flipped = flip(copy, flips, seed)
        async with opened(at=copy) as buffer:
            epochs.add(buffer.epoch)
            read = {entry.body for stream in Stream for entry in await everything(buffer, stream)}
            expected = {body for body, body_spans in where.items() if whole(body_spans, flipped)}
            assert len(expected) >= len(where) - flips
            assert len(read & expected) >= 0.99 * len(expected), seed
            lost = sum(len(set(part) - read) for part in bodies.values())
            await buffer.append([Packed(VITAL, "k", b"{}")])
            assert buffer.counts.lost >= 0.9 * lost, seed
            assert sum(int(str(event["lost"])) for event in await repairs(buffer)) == buffer.counts.lost
        shutil.rmtree(copy.parent)
    assert len(epochs) == 1


@pytest.mark.parametrize("at", [0, 4, 8, 16, 20, 24])
async def test_a_log_with_a_damaged_header_still_delivers_all(
    crashed: Crashed, opened: Open, entries: Make, at: int
) -> None:
    copy, bodies = crashed
    wal = copy.with_name(copy.name + "-wal")
    put(wal, wal.read_bytes()[:at] + b"\xa5\x5a" + wal.read_bytes()[at + 2 :])
    async with opened(at=copy) as buffer:
        for stream in Stream:
            read = [entry.body for entry in await everything(buffer, stream)]
            assert read[: len(bodies[stream])] == bodies[stream]
        (event,) = await repairs(buffer)
        assert event["lost"] == 0
        assert buffer.depth(VITAL).acked == 500
        assert buffer.memos("") == {"lane/1": b"turn 24", "lane/2": b"idle"}


def spoil_page_of(path: Path, body: bytes) -> None:
    """Zero the header of the page that holds a body."""
    page = path.read_bytes().index(body) // 4096
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(8))


async def test_damage_in_the_file_is_found_at_the_start_after_a_crash(crashed: Crashed, opened: Open) -> None:
    copy, bodies = crashed
    spoil_page_of(copy, bodies[VITAL][100])
    async with opened(at=copy) as buffer:
        assert buffer.counts.repairs == 1
        read = [entry.body for entry in await everything(buffer, VITAL)]
        assert read[: len(bodies[VITAL])] == bodies[VITAL]


async def test_seqs_that_a_damaged_file_may_have_given_away_are_not_given_again(
    crashed: Crashed, opened: Open, entries: Make
) -> None:
    copy, bodies = crashed
    wal = copy.with_name(copy.name + "-wal")
    put(wal, b"damage" + wal.read_bytes()[6 : wal.stat().st_size // 3])
    async with opened(at=copy) as buffer:
        assert buffer.counts.repairs == 1
        given_away = 500 + len(bodies[VITAL])
        assert 0 < len(await everything(buffer, VITAL)) < given_away
        assert (await buffer.append(entries(VITAL, 1)))[0] > given_away


@pytest.mark.parametrize(
    "at", [0, 15, 16, 18, 19, 20, 21, 22, 23, 44, 47, 52, 55, 56, 59, 60, 63, 64, 67, 68, 71, 72, 91]
)
async def test_each_byte_of_the_header_that_matters_is_checked(
    opened: Open, path: Path, entries: Make, at: int
) -> None:
    async with opened() as buffer:
        await buffer.append(made := entries(VITAL, 30))
    change_byte(path, at)
    async with opened() as buffer:
        assert buffer.counts.repairs == 1
        assert [entry.body for entry in await everything(buffer, VITAL)][:30] == [item.body for item in made]


async def test_a_row_that_fails_its_checksum_is_left_out_reported_once_and_blocks_nobody(
    opened: Open, path: Path, entries: Make
) -> None:
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 10))
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("UPDATE vital SET body = x'00' WHERE seq IN (4, 5, 10)")
        sql.commit()
    async with opened() as buffer:
        read = await buffer.read(VITAL, 0, entries=100, bytes_=MB)
        assert [(entry.seq, entry.after) for entry in read] == [(1, 0), (2, 1), (3, 2), (6, 3), (7, 6), (8, 7), (9, 8)]
        await buffer.wait_newer(VITAL, 10)
        (event,) = await repairs(buffer)
        assert event["lost"] == 3
        assert buffer.depth(VITAL).entries == 8
        assert buffer.counts.lost == 3


@pytest.mark.parametrize("ended", ["well", "with a crash"])
async def test_a_page_that_hides_rows_without_a_trace_is_found_when_the_hole_is_read(
    opened: Open, path: Path, entries: Make, tmp_path: Path, ended: str
) -> None:
    async with opened() as buffer:
        await buffer.append(made := entries(VITAL, 500))
        copy = crash_copy(path, tmp_path / "copy")
    file = path if ended == "well" else copy
    with closing(sqlite3.connect(file)) as sql:  # as if a page had been written without these cells
        sql.execute("DELETE FROM vital WHERE seq BETWEEN 200 AND 209")
        sql.commit()
    async with opened(at=file) as buffer:
        read = {entry.body for entry in await everything(buffer, VITAL)}
        assert buffer.counts.repairs == 1
        assert len({item.body for item in made} - read) == buffer.counts.lost <= 10
        assert (await repairs(buffer))[0]["lost"] == buffer.counts.lost


def change_byte(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 7
    path.write_bytes(raw)


def zero_page_headers(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(0, path.stat().st_size, 4096):
            file.seek(page)
            file.write(bytes(16))


async def test_a_file_that_breaks_while_it_is_open_is_mended_and_the_append_goes_through(
    opened: Open, path: Path, entries: Make
) -> None:
    async with opened() as buffer:
        epoch = buffer.epoch
        for _ in range(40):
            await buffer.append(entries(VITAL, 100), {"lane/1": b"idle"})
        with closing(sqlite3.connect(path)) as sql:
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        zero_page_headers(path)
        (seq,) = await buffer.append(entries(VITAL, 1))
        assert seq >= 4001
        read = await everything(buffer, VITAL)
        assert len(read) >= 0.99 * 4000
        assert buffer.counts.repairs == 1
        assert (await repairs(buffer))[0]["salvaged"] == len(read) - 2
        assert (buffer.epoch, buffer.healthy, buffer.memo("lane/1")) == (epoch, True, b"idle")
    async with opened() as buffer:
        assert await everything(buffer, VITAL) == read


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"SQLite format 3\0", bytes(100_000)])
async def test_whatever_stands_at_the_path_a_buffer_opens(
    opened: Open, path: Path, entries: Make, content: bytes
) -> None:
    put(path, content)
    put(path.with_name(path.name + "-wal"), content)
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 1))
        assert len(await repairs(buffer)) == bool(content)
    async with opened() as buffer:
        assert len(await everything(buffer, VITAL)) == 1 + bool(content)


async def test_a_memo_that_fails_its_checksum_goes_and_the_others_stay(opened: Open, path: Path) -> None:
    async with opened() as buffer:
        await buffer.append([], {"lane/1": b"idle", "lane/2": b"idle"})
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("UPDATE memo SET body = '=busy' WHERE key = 'lane/1'")
        sql.commit()
    async with opened() as buffer:
        assert buffer.memos("") == {"lane/2": b"idle"}
        assert len(await repairs(buffer)) == 1


@pytest.mark.parametrize("value", ["NULL", "1.5", "'text'", "x'ff'"])
async def test_values_of_any_type_in_a_damaged_row_stop_nothing(
    opened: Open, path: Path, entries: Make, value: str
) -> None:
    async with opened() as buffer:
        await buffer.append([*entries(VITAL, 3), *entries(TELEMETRY, 3)])
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA writable_schema = ON")
        sql.execute("UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '')")
        sql.commit()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute(f"UPDATE vital SET key = {value}, crc = {value}, body = {value} WHERE seq = 1")
        sql.execute(f"UPDATE telemetry SET key = {value}, crc = {value}, body = {value} WHERE seq > 0")
        sql.commit()
    async with opened(MB) as buffer:
        with suppress(BufferFull):
            while not buffer.counts.dropped[TELEMETRY]:
                await buffer.append(entries(VITAL, 50))
        assert buffer.counts.dropped[TELEMETRY] == 3
        assert [entry.seq for entry in await buffer.read(VITAL, 0, entries=2, bytes_=MB)] == [2, 3]
        await buffer.acked(VITAL, 2)
        await buffer.append(entries(STATE, 1))
        assert buffer.depth(VITAL).oldest is not None


async def test_a_row_in_the_way_of_the_next_seq_is_damage_too(opened: Open, path: Path, entries: Make) -> None:
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 3))
        with closing(sqlite3.connect(path)) as sql:
            sql.execute("INSERT INTO vital VALUES (4, 'k', 1, x'00')")
            sql.commit()
        assert await buffer.append(entries(VITAL, 1)) >= (4,)
        assert buffer.counts.repairs == 1
        assert len(await everything(buffer, VITAL)) == 5


@pytest.mark.parametrize("log", [b"", b"short", bytes(5000), b"noise " * 3000])
async def test_whatever_stands_in_place_of_the_log_a_buffer_opens(
    opened: Open, path: Path, entries: Make, log: bytes
) -> None:
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 10))
    put(path.with_name(path.name + "-wal"), log)
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 1))
        assert len(await everything(buffer, VITAL)) - len(await repairs(buffer)) == 11


async def test_the_damaged_file_is_kept_but_only_the_last(opened: Open, path: Path) -> None:
    for number in range(3):
        put(path, b"damage %d" % number)
        async with opened() as buffer:
            assert buffer.counts.repairs == 1
    (kept,) = path.parent.glob("*.damaged-*")
    assert kept.read_bytes() == b"damage 2"


async def test_a_directory_in_its_place_is_told_clearly(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(BufferUnavailable, match=str(tmp_path)):
        async with opened(at=tmp_path):
            pass


def cut_off(path: Path, stage: str) -> None:
    """Put the files as a rescue leaves them when it ends at a stage."""
    if stage == "building":
        put(path.with_name(path.name + ".new"), b"half a file")
        return
    path.replace(path.with_name(path.name + ".rescued"))
    if stage == "complete":
        put(path, b"the damaged file")


@pytest.mark.parametrize("stage", ["building", "complete", "moved"])
async def test_a_rescue_that_was_cut_off_is_finished_at_the_next_start(
    opened: Open, path: Path, entries: Make, stage: str
) -> None:
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 10))
    cut_off(path, stage)
    async with opened() as buffer:
        assert len(await everything(buffer, VITAL)) == 10
        assert buffer.counts.repairs == 0
    async with opened() as buffer:
        assert len(await everything(buffer, VITAL)) == 10
    assert {file.name for file in path.parent.glob("*.rescued")} == set()
