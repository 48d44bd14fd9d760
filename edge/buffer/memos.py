"""Small values that are committed together with entries: lane states, the journal of commands. Served from memory."""

import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from edge.buffer.file import FileDamaged
from edge.buffer.rows import MEMO, proved, row
from edge.buffer.statements import ON

MAX_MARKS: Final = 256
"""Marks of deleted memos that are kept, so that salvage does not bring a deleted memo back from an old page."""

MemoRow = tuple[int, str, bytes | None]


class Memos:
    """The memo table: each change is a new row, the key's former row goes."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self._rows: dict[str, int] = {}
        self._marks: deque[tuple[int, str]] = deque()
        self._newest = 0

    def load(self, sql: sqlite3.Connection) -> None:
        """Read all memos; raise FileDamaged where one fails its proof."""
        rows = sql.execute(ON[MEMO].page, (0,)).fetchall()
        if not all(proved(MEMO, *found) for found in rows):
            raise FileDamaged("a memo fails its checksum")
        self.adopt([(seq, key.decode(), body[1:] if body else None) for seq, key, _, body in rows])

    def write(self, sql: sqlite3.Connection, changes: Mapping[str, bytes | None]) -> Sequence[MemoRow]:
        """Write changes within a transaction; the rows are handed to `adopt` once it has committed."""
        rows = [(seq, key, value) for seq, (key, value) in enumerate(changes.items(), self._newest + 1)]
        gone = [(self._rows[key],) for key in changes if key in self._rows]
        gone += [(seq,) for seq, _ in list(self._marks)[: max(0, len(self._marks) - MAX_MARKS)]]
        sql.executemany(ON[MEMO].delete_one, gone)
        sql.executemany(ON[MEMO].insert, [row(MEMO, seq, key, memo_body(value)) for seq, key, value in rows])
        return rows

    def adopt(self, rows: Sequence[MemoRow]) -> None:
        """Take committed rows over."""
        while len(self._marks) > MAX_MARKS:
            seq, key = self._marks.popleft()
            if self._rows.get(key) == seq:
                del self._rows[key]
        for seq, key, value in rows:
            self._newest = seq
            self._rows[key] = seq
            if value is None:
                self.values.pop(key, None)
                self._marks.append((seq, key))
            else:
                self.values[key] = value


def memo_body(value: bytes | None) -> bytes:
    """Return the body of a memo's row."""
    return b"" if value is None else b"=" + value
