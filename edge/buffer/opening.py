"""From a path to a store that can be written, whatever stands at the path."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from core.messages.envelope import Stamp
from core.messages.event import Stream
from edge.buffer.file import (
    PAGE,
    FileDamaged,
    beside,
    check_header,
    connect,
    examine,
    is_damage,
    migrate,
    new_epoch,
)
from edge.buffer.quota import Quota
from edge.buffer.rescue import Rescue, create, finish_swap, rescue
from edge.buffer.rows import Title
from edge.buffer.salvage import scan, unread_frames
from edge.buffer.store import Append, Store

_OUTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS})


def open_store(path: Path, quota: Quota, stamp: Callable[[], Stamp], *, epoch: str = "") -> Store:
    """Open the file; make it if there is none (with this epoch), mend it if it is damaged.

    Raise OSError, sqlite3.Error or FileDamaged only for what the disk or its permissions do.
    """
    finish_swap(path, stamp)
    if not path.exists() or path.stat().st_size == 0:
        create(path, epoch or new_epoch(stamp().wall))
    wal = wal_bytes(path)
    connections: list[sqlite3.Connection] = []
    try:
        return _open_trusted(path, wal, quota, stamp, connections)
    except (FileDamaged, sqlite3.Error) as error:
        try:
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise
            _, lost = rescue(path, wal, str(error), stamp)
        finally:
            # Only now: closing folds the log into the file, and the log may hold what SQLite cannot read of it.
            for sql in connections:
                with suppress(sqlite3.Error):
                    sql.close()
    finish_swap(path, stamp)
    store = _open_trusted(path, b"", quota, stamp, connections)
    store.counts.repairs, store.counts.lost = 1, lost
    return store


def _open_trusted(
    path: Path, wal: bytes, quota: Quota, stamp: Callable[[], Stamp], connections: list[sqlite3.Connection]
) -> Store:
    check_header(path)
    sql = connect(path, wal_pages=quota.wal // PAGE)
    connections.append(sql)
    migrate(sql)
    if wal:
        _examine_after_crash(sql, wal)
    store = Store(sql, path, quota, stamp)
    store.load()
    if store.used_bytes > quota.limit:
        store.commit([Append(())])
    _give_space_back(sql, quota)
    return store


def _examine_after_crash(sql: sqlite3.Connection, wal: bytes) -> None:
    """A log that is still there means that the last run did not end well: read everything once."""
    _, recognised, _ = sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    unread = unread_frames(wal, max(0, recognised))
    if unread:
        raise FileDamaged(f"{unread} pages at the end of the write-ahead log cannot be read")
    examine(sql)


def _give_space_back(sql: sqlite3.Connection, quota: Quota) -> None:
    """Shrink a file that is over the quota and half empty: the quota was lowered."""
    pages = sql.execute("PRAGMA page_count").fetchone()[0]
    free = sql.execute("PRAGMA freelist_count").fetchone()[0]
    if pages * PAGE > quota.bytes and free * 2 > pages:
        with suppress(sqlite3.OperationalError):
            sql.execute("VACUUM")
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def reopen(store: Store, quota: Quota, stamp: Callable[[], Stamp], reason: str) -> Store:
    """Open a store's file anew; where there is a reason, mend it first with what the store knows to be committed."""
    path, lost = store.path, 0
    if reason:
        _, lost = rescue(
            path, wal_bytes(path), reason, stamp, epoch=store.epoch, titles=store.titles, memos=store.memos.values
        )
    with suppress(sqlite3.Error):
        store.sql.close()
    renewed = open_store(path, quota, stamp, epoch=store.epoch)
    counts, more = store.counts.copy(), renewed.counts
    counts.repairs += more.repairs + bool(reason)
    counts.lost += more.lost + lost
    renewed.counts = counts
    return renewed


def is_outage(error: Exception, path: Path) -> bool:
    """Tell whether the disk is full, failing or turned read-only, rather than set up wrongly."""
    if isinstance(error, FileDamaged) or os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        return True
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_FULL", "SQLITE_IOERR")) or getattr(error, "errno", None) in _OUTAGES


def store_in_outage(path: Path, quota: Quota, stamp: Callable[[], Stamp]) -> Store:
    """Return a store that knows what can be learnt without writing, and commits nothing: it is to be reopened."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    store, learnt = Store(memory, path, quota, stamp), Rescue(memory)
    last: dict[str, int] = {}
    rescued = beside(path, ".rescued")
    source = rescued if rescued.exists() else path
    if source.exists():
        for table, (seq, *_) in learnt.entries(scan(source, wal_bytes(source))):
            last[table] = max(seq, last.get(table, 0))
    titles = {}
    for stream in Stream:
        title = learnt.titles.get(stream.value, Title())
        newest = max(title.newest, last.get(stream.value, 0))
        titles[stream] = replace(title, newest=newest, entries=title.entries + newest - title.newest)
    store.assume(learnt.epoch or new_epoch(stamp().wall), titles, learnt.memos)
    return store


def wal_bytes(path: Path) -> bytes:
    """Return the write-ahead log as it stands on disk."""
    wal = beside(path, "-wal")
    return wal.read_bytes() if wal.exists() else b""
