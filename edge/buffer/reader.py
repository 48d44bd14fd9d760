"""Reading on a connection of its own, so that a big read never delays a commit."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.messages.event import Stream
from edge.buffer.file import connect_reading, examine
from edge.buffer.rows import Entry, proved
from edge.buffer.statements import ON


@dataclass(frozen=True, slots=True)
class Reading:
    """Entries in order; `bad` are seqs that fail their proof; `hole` tells that seqs are missing between."""

    entries: tuple[Entry, ...]
    bad: tuple[int, ...]
    hole: bool


class Reader:
    """Reads what is committed. Any thread may call; one at a time gets through."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._sql: sqlite3.Connection | None = None

    def read(self, stream: Stream, after: int, entries: int, bytes_: int, acked: int) -> Reading:
        """Read at most so many entries and bytes, one at the least; raise sqlite3.Error."""
        taken: list[Entry] = []
        bad: list[int] = []
        on = ON[stream.value]
        with self._lock:
            sql = self._connected()
            sql.execute("BEGIN")
            try:
                before = max(sql.execute(on.before, (after,)).fetchone()[0] or 0, acked)
                for seq, key, crc, body in sql.execute(on.page, (after,)):
                    if not proved(stream.value, seq, key, crc, body):
                        bad.append(seq)
                        continue
                    bytes_ -= len(body)
                    if len(taken) >= entries or (taken and bytes_ < 0):
                        break
                    taken.append(Entry(seq, min(before, seq - 1), body))
                    before = seq
            finally:
                sql.execute("ROLLBACK")
        return Reading(tuple(taken), tuple(bad), any(entry.after != entry.seq - 1 for entry in taken))

    def examine(self) -> None:
        """Read the whole file; raise FileDamaged or sqlite3.Error."""
        with self._lock:
            examine(self._connected())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the file go while it is being replaced: the last close of a moved file would delete the new one's log."""
        with self._lock:
            self._close()
            yield

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._close()

    def _connected(self) -> sqlite3.Connection:
        if self._sql is None:
            self._sql = connect_reading(self._path)
        return self._sql

    def _close(self) -> None:
        if self._sql is not None:
            self._sql.close()
            self._sql = None
