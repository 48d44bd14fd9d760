"""Every whole row is found in raw bytes, whatever stands around it; nothing that is not a row is taken for one."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages.envelope import Packed, Stamp
from core.messages.event import Stream
from edge.buffer.opening import open_store, wal_bytes
from edge.buffer.quota import Quota
from edge.buffer.rows import MAX_BODY, MAX_KEY
from edge.buffer.salvage import cells, frames, scan, unread_frames
from edge.buffer.store import Append, Store

VITAL, STATE, TELEMETRY = Stream
EDGES = [0, 1, 50, 51, 52, 57, 58, 59, 127, 128, 4030, *range(4040, 4064), 4070, 8000, 8140, 8190, 12_000, MAX_BODY]


@pytest.fixture
def store(path: Path, stamp: Callable[[], Stamp]) -> Store:
    return open_store(path, Quota(64 << 20), stamp)


def of_every_size() -> list[Packed]:
    chance = random.Random(1)
    return [Packed(stream, "键" * (size % 7), chance.randbytes(size)) for size in EDGES for stream in Stream]


def found(path: Path, wal: bytes) -> set[tuple[str, str, bytes]]:
    return {(table, key.decode(), body) for table, seq, key, body in scan(path, wal) if seq and table != "memo"}


@pytest.mark.parametrize("where", ["file", "log", "file without first page"])
def test_rows_of_every_size_are_found(store: Store, where: str) -> None:
    packed = of_every_size()
    store.commit([Append(packed)])
    wal = wal_bytes(store.path)
    if where != "log":
        store.close()
        wal = b""
    if where == "file without first page":
        with store.path.open("r+b") as file:
            file.write(bytes(4096))
    assert found(store.path, wal) == {(item.stream.value, item.key, item.body) for item in packed}


@pytest.mark.parametrize("seq", [1, 127, 128, 2**14, 2**32, 2**48, 2**55])
def test_a_seq_of_any_length(store: Store, seq: int) -> None:
    store.commit([Append([Packed(VITAL, "k", b"{}")])])
    store.sql.execute("DELETE FROM vital WHERE seq = 1")
    store.titles[VITAL] = store.titles[VITAL].__class__(newest=seq - 1)
    store.commit([Append([Packed(VITAL, "k" * MAX_KEY, b"{}")])])
    store.close()
    assert [row[1] for row in scan(store.path, b"") if row[0] == "vital" and row[1]] == [seq]


def test_one_changed_byte_loses_one_row_at_most(store: Store) -> None:
    store.commit([Append([Packed(VITAL, f"k{n}", b'{"n":%d}' % n) for n in range(60)])])
    store.close()
    raw = store.path.read_bytes()
    page = next(at for at in range(0, len(raw), 4096) if b'{"n":30}' in raw[at : at + 4096])
    for at in range(page, page + 4096):
        changed = bytearray(raw[page : page + 4096])
        changed[at - page] ^= 0x15
        assert len(list(cells(bytes(changed), lambda *_: b""))) >= 60


@given(st.binary(max_size=300))
def test_noise_is_no_row(noise: bytes) -> None:
    assert list(cells(noise, lambda *_: b"")) == []
    assert list(cells(b"\x07\x06\x00\x0f\x03" + noise, lambda *_: b"")) == []
    unread_frames(noise * 40, 0)


def test_frames_without_a_commit_at_the_end_are_no_loss(store: Store) -> None:
    for _ in range(3):
        store.commit([Append([Packed(VITAL, "k", b"{}")])])
    wal = wal_bytes(store.path)
    whole = frames(wal)
    assert unread_frames(wal, len(whole)) == 0
    assert unread_frames(wal, len(whole) - 1) == 1
    torn = bytearray(wal)
    torn[whole[-1].offset - 20 : whole[-1].offset - 16] = bytes(4)
    assert unread_frames(bytes(torn), whole.index(whole[-2])) in {0, 1}
    assert unread_frames(bytes(torn), len(whole) - 1) == 0


def test_frames_of_the_log_s_former_use_are_no_loss(store: Store) -> None:
    store.commit([Append([Packed(VITAL, "k", b"x" * 20_000)])])
    store.sql.execute("PRAGMA wal_checkpoint(RESTART)")
    store.commit([Append([Packed(VITAL, "k", b"{}")])])
    wal = wal_bytes(store.path)
    assert len(frames(wal)) > 2
    recognised = store.sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    assert unread_frames(wal, recognised) == 0
