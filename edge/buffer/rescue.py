"""Put a new file with all that could be salvaged in the place of a damaged one.

The new file is complete and durable under `.rescued` before anything else is touched, and a start finishes a swap that
was cut off. The damaged file stays beside as `.damaged-<utc>`, the newest one only.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from core.messages.envelope import Stamp, pack
from core.messages.event import Stream
from core.messages.events import BufferRepaired
from edge.buffer.file import beside, build, new_epoch, sync_directory
from edge.buffer.memos import memo_body
from edge.buffer.rows import MEMO, TABLES, Row, Title, row, title_row
from edge.buffer.salvage import Found, scan
from edge.buffer.statements import ON
from edge.buffer.transaction import SAFE_DISTANCE

_BATCH = 4096


class Rescue:
    """What was found in a damaged file, on its way into a new one."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self.epoch = ""
        self.salvaged = 0
        self.lost = 0
        self.titles: dict[str, Title] = {}
        self._sql = sql
        self._memos: dict[str, tuple[int, bytes]] = {}

    def take(self, found: Iterator[Found]) -> None:
        """Write all proved entries into the new file; keep titles and memos for the end."""
        entries = self.entries(found)
        while batch := list(islice(entries, _BATCH)):
            self._sql.execute("BEGIN")
            for table in TABLES:
                self._sql.executemany(ON[table].keep, [item for name, item in batch if name == table])
            self._sql.execute("COMMIT")

    @property
    def memos(self) -> dict[str, bytes]:
        """Return the memos that were not deleted."""
        return {key: body[1:] for key, (_, body) in self._memos.items() if body}

    def entries(self, found: Iterator[Found]) -> Iterator[tuple[str, Row]]:
        """Yield the entries, and learn titles and memos on the way."""
        for table, seq, key, body in found:
            if seq == 0:
                self._take_title(table, key.decode(errors="replace"), Title.unpack(body))
            elif table != MEMO:
                yield table, row(table, seq, key.decode(errors="replace"), body)
            elif seq > self._memos.get(key.decode(errors="replace"), (0, b""))[0]:
                self._memos[key.decode(errors="replace")] = seq, body

    def _take_title(self, table: str, epoch: str, title: Title) -> None:
        self.epoch = epoch or self.epoch
        known = self.titles.get(table, Title())
        if (title.newest, title.acked) >= (known.newest, known.acked):
            self.titles[table] = title

    def finish(self, epoch: str, titles: Mapping[Stream, Title], memos: Mapping[str, bytes] | None) -> None:
        """Write titles and memos; what the daemon still knows goes before what was found."""
        self.epoch = epoch or self.epoch
        self._sql.execute("BEGIN")
        for stream in Stream:
            self._sql.execute(ON[stream.value].put, self._stream_title(stream, titles.get(stream)))
        if memos is not None:
            self._memos = {key: (seq, memo_body(value)) for seq, (key, value) in enumerate(memos.items(), 1)}
        rows = [row(MEMO, seq, key, body) for key, (seq, body) in self._memos.items()]
        self._sql.executemany(ON[MEMO].keep, rows)
        self._sql.execute(ON[MEMO].put, title_row(MEMO, self.epoch, Title()))
        self._sql.execute("COMMIT")

    def _stream_title(self, stream: Stream, known: Title | None) -> Row:
        on = ON[stream.value]
        title = known or self.titles.get(stream.value, Title())
        last = max(self._sql.execute(on.last).fetchone()[0], title.newest)
        self._sql.execute(on.delete_range, (title.acked,))
        entries, size = self._sql.execute(on.count, (1, last)).fetchone()
        self.salvaged += entries
        self.lost += max(0, title.entries + last - title.newest - entries)
        newest = title.newest if known else last + SAFE_DISTANCE
        title = replace(title, newest=max(newest, last), entries=entries, size=size)
        return title_row(stream.value, self.epoch, title)

    def report(self, reason: str, stamp: Stamp) -> None:
        """Append the event that tells of it."""
        newest = self._sql.execute(ON[Stream.VITAL.value].one, (0,)).fetchone()
        event = BufferRepaired(salvaged=self.salvaged, lost=self.lost, detail=reason[:400])
        packed = pack(event, stamp)
        seq = Title.unpack(newest[3]).newest + 1
        self._sql.execute(ON[Stream.VITAL.value].insert, row(Stream.VITAL.value, seq, packed.key, packed.body))


def rescue(
    path: Path,
    wal: bytes,
    reason: str,
    stamp: Callable[[], Stamp],
    *,
    epoch: str = "",
    titles: Mapping[Stream, Title] | None = None,
    memos: Mapping[str, bytes] | None = None,
) -> tuple[int, int]:
    """Salvage `path` into `.rescued`; return (salvaged, lost). Raise OSError or sqlite3.Error when the disk cannot."""
    for old in damaged_copies(path):
        old.unlink(missing_ok=True)
    new = beside(path, ".new")
    sql = build(new, "")
    try:
        _same_owner(path, new)
        work = Rescue(sql)
        work.take(scan(path, wal))
        now = stamp()
        work.finish(epoch or work.epoch or new_epoch(now.wall), titles or {}, memos)
        work.report(reason, now)
    except BaseException:
        sql.close()
        new.unlink(missing_ok=True)
        raise
    sql.close()
    _publish(new, beside(path, ".rescued"))
    return work.salvaged, work.lost


def _same_owner(path: Path, new: Path) -> None:
    """Give the new file to the old one's owner: a technician mends as root, the daemon has a user of its own."""
    if os.geteuid() == 0:
        owner = path.stat()
        for suffix in ("", "-wal", "-shm"):
            if beside(new, suffix).exists():
                os.chown(beside(new, suffix), owner.st_uid, owner.st_gid)


def create(path: Path, epoch: str) -> None:
    """Make an empty buffer at `path`, whole or not at all."""
    new = beside(path, ".new")
    build(new, epoch).close()
    _publish(new, path)


def _publish(new: Path, path: Path) -> None:
    new.replace(path)
    sync_directory(path)


def finish_swap(path: Path, stamp: Callable[[], Stamp]) -> None:
    """Put a complete `.rescued` file in the place of the damaged one; nothing to do is fine."""
    rescued = beside(path, ".rescued")
    if not rescued.exists():
        return
    kept = beside(path, f".damaged-{stamp().wall:%Y%m%dT%H%M%SZ}")
    for suffix in ("-wal", ""):
        if beside(path, suffix).exists():
            beside(path, suffix).replace(beside(kept, suffix))
    beside(path, "-shm").unlink(missing_ok=True)
    _publish(rescued, path)


def damaged_copies(path: Path) -> list[Path]:
    """Return the damaged files that were kept, with their logs."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))
