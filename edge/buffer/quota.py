"""Who gives way when the quota is used up: telemetry first, oldest first, then superseded state; never vital.

Room is counted in pages that hold something (`page_count - freelist_count`), so the file itself stays in bounds. The
write-ahead log has its share of the quota. State may overdraw by a sixteenth: a newer state of a device always gets in
and makes the older one superseded, so the overdraft is as large as the devices are many.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

from core.messages.event import Stream
from edge.buffer.file import PAGE
from edge.buffer.statements import ON
from edge.buffer.transaction import Transaction

MIN_QUOTA: Final = 1024 * 1024
MAX_WAL: Final = 4 * 1024 * 1024


class Quota:
    """How a file's bytes are shared out, and what is dropped to keep to it."""

    def __init__(self, quota_bytes: int) -> None:
        self.bytes = max(quota_bytes, MIN_QUOTA)
        self.wal = min(MAX_WAL, self.bytes // 4)
        self.chunk = self.bytes // 16
        self.limit = self.bytes - self.wal - self.chunk
        self._newest_of_key: dict[bytes, int] | None = None
        self._barren_at = -1

    def make_room(self, tx: Transaction, need: int) -> int:
        """Drop until `need` bytes fit or nothing may be dropped; return the room there is."""
        tx.flush()
        room = self.limit - used_bytes(tx.sql)
        while room < need and (self._drop_telemetry(tx) or self._drop_superseded(tx)):
            tx.flush()
            room = self.limit - used_bytes(tx.sql)
        return room

    def _drop_telemetry(self, tx: Transaction) -> bool:
        chunk = _take(tx.sql.execute(ON[Stream.TELEMETRY.value].sizes), self.chunk)
        if chunk:
            tx.drop_oldest(Stream.TELEMETRY, chunk, "quota")
        return bool(chunk)

    def _drop_superseded(self, tx: Transaction) -> bool:
        newest_now = tx.titles[Stream.STATE].newest
        if self._barren_at == newest_now:
            return False
        newest = self._newest_of_keys(tx)
        rows = tx.sql.execute(ON[Stream.STATE.value].keys)
        chunk = _take(((seq, size) for seq, key, size in rows if newest.get(key, seq) > seq), self.chunk)
        if chunk:
            tx.drop(Stream.STATE, chunk, "superseded")
        else:
            self._barren_at = newest_now
        return bool(chunk)

    def _newest_of_keys(self, tx: Transaction) -> dict[bytes, int]:
        if self._newest_of_key is None:
            self._newest_of_key = dict(tx.sql.execute(ON[Stream.STATE.value].newest_of_keys).fetchall())
        return {**self._newest_of_key, **tx.state_keys}

    def committed(self, tx: Transaction) -> None:
        """Learn the state entries that a transaction has added."""
        if self._newest_of_key is not None:
            self._newest_of_key.update(tx.state_keys)

    def forget(self) -> None:
        """Forget what was learnt: the transaction did not come to be, or the file is another."""
        self._newest_of_key = None
        self._barren_at = -1


def used_bytes(sql: sqlite3.Connection) -> int:
    """Return the bytes of the pages that hold something."""
    pages: int = sql.execute("PRAGMA page_count").fetchone()[0]
    free: int = sql.execute("PRAGMA freelist_count").fetchone()[0]
    return (pages - free) * PAGE


def _take(sizes: Iterator[tuple[int, int]], want: int) -> list[tuple[int, int]]:
    """Take (seq, bytes) until they sum up to `want`."""
    taken, total = [], 0
    for seq, size in sizes:
        taken.append((seq, size))
        total += size
        if total >= want:
            break
    return taken
