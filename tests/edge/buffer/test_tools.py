"""What the technician's tools say of a buffer's file, and do to it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic_core import from_json, to_json

from central.envelope import read_batch
from core.errors import BufferUnavailable, NotFound
from core.messages.envelope import Packed, Stamp, pack
from core.messages.event import Stream
from core.messages.events import DeviceMeasured, FreePassage
from edge.buffer import Buffer
from edge.buffer.tools import export, repair, verify

VITAL, STATE, TELEMETRY = Stream
Make = Callable[..., list[Packed]]
Open = Callable[..., AbstractAsyncContextManager[Buffer]]


@pytest.fixture
async def written(opened: Open, path: Path, entries: Make) -> Path:
    async with opened() as buffer:
        await buffer.append([*entries(VITAL, 30), *entries(STATE, 20), *entries(TELEMETRY, 10)], {"a": b"b", "c": b"d"})
        await buffer.append([], {"c": None})
        await buffer.acked(STATE, 5)
    return path


def spoil(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute(statement)
        sql.commit()


def put(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def test_a_sound_file(written: Path) -> None:
    verdict = verify(written)
    assert (verdict.sound, verdict.trouble, len(verdict.epoch)) == (True, "", 26)
    assert verdict.entries == {"vital": 30, "state": 15, "telemetry": 10}
    assert verdict.acked == {"vital": 0, "state": 5, "telemetry": 0}
    assert verdict.holes == verdict.bad_rows == {"vital": 0, "state": 0, "telemetry": 0}
    assert verdict.memos == 1
    assert verdict.size_bytes == written.stat().st_size
    assert to_json(asdict(verdict))
    assert repair(written) == verdict
    assert names(written.parent) == {"gates.buffer", "gates.buffer.lock"}


async def test_it_may_be_verified_while_a_daemon_writes(opened: Open, path: Path, entries: Make) -> None:
    async with opened() as buffer:
        await buffer.append(entries(VITAL, 10))
        assert verify(path).entries["vital"] == 10
        await buffer.append(entries(VITAL, 1))
        assert verify(path).sound


def test_a_row_that_fails_its_checksum_is_counted_and_repair_leaves_it_out(written: Path) -> None:
    spoil(written, "UPDATE vital SET crc = crc + 1 WHERE seq = 7")
    verdict = verify(written)
    assert (verdict.sound, verdict.bad_rows["vital"], verdict.holes["vital"]) == (False, 1, 1)
    repaired = repair(written)
    assert repaired.sound
    assert repaired.epoch == verdict.epoch
    assert repaired.entries["vital"] == 30
    assert len(repaired.damaged_copies) == 1


@pytest.mark.parametrize(("offset", "content"), [(0, b"no database"), (4096, bytes(64)), (100, bytes(500))])
def test_a_damaged_file_tells_what_can_be_saved(written: Path, offset: int, content: bytes) -> None:
    sound = verify(written)
    put(written, offset, content)
    verdict = verify(written)
    assert not verdict.sound
    assert verdict.trouble
    assert verdict.epoch == sound.epoch
    assert verdict.entries["vital"] >= 30 - (offset == 4096)
    assert repair(written).sound


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_root_repairs_stays_its_owners(written: Path) -> None:
    os.chown(written, 12345, 12346)
    put(written, 0, b"no database")
    assert repair(written).sound
    assert (written.stat().st_uid, written.stat().st_gid) == (12345, 12346)


async def test_a_file_in_use_is_not_repaired(buffer: Buffer, path: Path, entries: Make) -> None:
    await buffer.append(entries(VITAL, 3))
    spoil(path, "UPDATE vital SET crc = crc + 1")
    with pytest.raises(BufferUnavailable, match="another process"):
        repair(path)


def test_no_file(path: Path) -> None:
    with pytest.raises(NotFound, match="no buffer"):
        verify(path)


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("damaged", [False, True])
async def test_export_writes_whole_events(
    opened: Open, path: Path, stamp: Callable[[], Stamp], tmp_path: Path, *, damaged: bool
) -> None:
    events = [FreePassage(lane="l-1", direction="in", persons=n, mode="free") for n in range(3)]
    events.append(DeviceMeasured(device="d-1", readings={"temp_c": 1.5}))
    async with opened() as buffer:
        epoch = buffer.epoch
        await buffer.append([pack(event, stamp()) for event in events])
        await buffer.acked(VITAL, 1)
    if damaged:
        put(path, 0, b"no database")
    out = tmp_path / "out.jsonl"
    assert export(path, out, source="hengqin.gates") == 3 + damaged
    lines = out.read_bytes().splitlines()
    batch = read_batch(b"[" + b",".join(lines) + b"]")
    assert [(one.stream, one.seq, one.epoch, one.source) for one in batch if "Repaired" not in one.type] == [
        (VITAL, 2, epoch, "hengqin.gates"),
        (VITAL, 3, epoch, "hengqin.gates"),
        (TELEMETRY, 1, epoch, "hengqin.gates"),
    ]
    assert from_json(lines[0])["data"]["persons"] == 1
    assert names(tmp_path) == {"out.jsonl", "gates.buffer", "gates.buffer.lock"}
