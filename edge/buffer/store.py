"""A buffer's file open for writing: synchronous, one thread at a time; every change is one durable transaction."""

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from core.errors import BufferFull
from core.messages.envelope import Packed, Stamp
from core.messages.event import Stream
from edge.buffer.file import read_titles
from edge.buffer.memos import MemoRow, Memos
from edge.buffer.quota import Quota, used_bytes
from edge.buffer.rows import Depth, Title, fits
from edge.buffer.statements import ON
from edge.buffer.transaction import Transaction

TITLE_EVERY: Final = 8192
"""Rows after which a stream's title is written anew: opening counts at most so many rows."""
_TIME: Final = re.compile(rb'"time":"([^"]{20,40})"')


@dataclass(frozen=True, slots=True)
class Append:
    """What one caller wants durable together."""

    packed: Sequence[Packed]
    memo: Mapping[str, bytes | None] = field(default_factory=dict)
    cost: int = field(init=False)
    """The bytes it takes of the quota."""

    def __post_init__(self) -> None:
        """Raise EntryRefused where a part is too large to keep."""
        entries = sum([fits(item.key, item.body) for item in self.packed])
        memos = sum([fits(key, value or b"") for key, value in self.memo.items()])
        object.__setattr__(self, "cost", entries + memos)

    @property
    def vital(self) -> bool:
        """Tell whether any of it may never be dropped."""
        return any(item.stream is Stream.VITAL for item in self.packed)


Result = tuple[int, ...] | BufferFull


@dataclass(slots=True)
class Counts:
    """What has become of entries since the daemon started; `lost` to damage, in `repairs` salvages or row by row."""

    appended: Counter[Stream] = field(default_factory=Counter)
    dropped: Counter[Stream] = field(default_factory=Counter)
    lost: int = 0
    repairs: int = 0

    def copy(self) -> "Counts":
        """Return a copy that stays as it is."""
        return Counts(self.appended.copy(), self.dropped.copy(), self.lost, self.repairs)


class Store:
    """The one writer of a file. `depths` and the counters say what is committed."""

    def __init__(self, sql: sqlite3.Connection, path: Path, quota: Quota, stamp: Callable[[], Stamp]) -> None:
        self.sql = sql
        self.path = path
        self.epoch = ""
        self.memos = Memos()
        self.depths: dict[Stream, Depth] = {}
        self.counts = Counts()
        self.used_bytes = 0
        self._quota = quota
        self._stamp = stamp
        self.titles: dict[Stream, Title] = {}
        self._titled: dict[Stream, int] = {}
        self._opened_at: dict[Stream, int] = {}

    def load(self) -> None:
        """Read titles and memos, and add what came after the titles; raise FileDamaged or sqlite3.Error."""
        self.epoch, titles = read_titles(self.sql)
        for stream in Stream:
            title = titles[stream.value]
            last = max(self.sql.execute(ON[stream.value].last).fetchone()[0], title.newest)
            # Nothing has left since the title was written: a count would believe what damage hides.
            entries = title.entries + last - title.newest
            _, later_bytes = self.sql.execute(ON[stream.value].count, (title.newest + 1, last)).fetchone()
            self.titles[stream] = replace(title, newest=last, entries=entries, size=title.size + later_bytes)
            self._titled[stream] = title.newest
            self._opened_at[stream] = last
            self.depths[stream] = self._depth(stream, self.titles[stream], None)
        self.memos.load(self.sql)
        self._quota.forget()
        self.used_bytes = used_bytes(self.sql)

    def assume(self, epoch: str, titles: Mapping[Stream, Title], memos: Mapping[str, bytes]) -> None:
        """Take over what is known of a file that cannot be opened now."""
        self.epoch, self.titles = epoch, dict(titles)
        self.memos.values.update(memos)
        self.depths = {
            stream: Depth(title.entries, title.size, None, title.acked, title.newest)
            for stream, title in titles.items()
        }

    def commit(
        self,
        appends: Sequence[Append] = (),
        acks: Mapping[Stream, int] | None = None,
        condemned: Mapping[Stream, Iterable[int]] | None = None,
    ) -> tuple[list[Result], dict[Stream, int]]:
        """Do all in one transaction; return each append's seqs or refusal, and the acks that are not yet done whole."""
        self.sql.execute("BEGIN IMMEDIATE")
        tx = Transaction(self.sql, self.epoch, self.titles, self._stamp)
        try:
            for stream, seqs in (condemned or {}).items():
                tx.condemn(stream, seqs)
            left = {stream: upto for stream, upto in (acks or {}).items() if not self._ack(tx, stream, upto)}
            results, memos = self._append(tx, appends)
            rows = self.memos.write(self.sql, memos) if memos else ()
            self._finish(tx)
            depths, used = self._depths_after(tx), used_bytes(self.sql)
            self.sql.execute("COMMIT")
        except BaseException:
            self._quota.forget()
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK")
            raise
        # From here on nothing may fail: the entries are committed.
        self.depths, self.used_bytes = depths, used
        self._adopt(tx, rows)
        return results, left

    def _ack(self, tx: Transaction, stream: Stream, upto: int) -> bool:
        if upto <= tx.titles[stream].acked:
            return True
        if upto > tx.titles[stream].newest:
            tx.renumber(stream, self._opened_at[stream], upto)
            return tx.ack(stream, self._opened_at[stream])
        return tx.ack(stream, upto)

    def _append(self, tx: Transaction, appends: Sequence[Append]) -> tuple[list[Result], dict[str, bytes | None]]:
        results: list[Result] = []
        memos: dict[str, bytes | None] = {}
        room = self._quota.limit - (used_bytes(self.sql) if tx.shrunk else self.used_bytes)
        if room > self._quota.chunk:
            tx.tell_gaps()
        for append in appends:
            if room < append.cost:
                room = self._quota.make_room(tx, append.cost)
            result = self._admit(tx, append, room - append.cost)
            results.append(result)
            if not isinstance(result, BufferFull):
                room -= append.cost
                memos.update(append.memo)
        return results, memos

    def _admit(self, tx: Transaction, append: Append, spare: int) -> Result:
        """Insert where it fits; with no room refuse vital, let state overdraw, and drop telemetry at once."""
        if spare >= 0 or not append.packed:
            return tx.insert(append.packed)
        if append.vital:
            return BufferFull(
                f"{self.titles[Stream.VITAL].entries} vital entries use up the quota of {self._quota.bytes} bytes",
                place=str(self.path),
                cure="restore the uplink, or raise the quota",
            )
        if spare >= -self._quota.chunk and all(item.stream is Stream.STATE for item in append.packed):
            return tx.insert(append.packed)
        return tx.skip(append.packed)

    def _finish(self, tx: Transaction) -> None:
        for stream, title in tx.titles.items():
            if stream in tx.shrunk or title.newest - self._titled[stream] >= TITLE_EVERY:
                tx.write_title(stream)
                tx.shrunk.add(stream)
        tx.flush()

    def _adopt(self, tx: Transaction, rows: Sequence[MemoRow]) -> None:
        self._quota.committed(tx)
        self.memos.adopt(rows)
        self.titles = tx.titles
        for stream in tx.shrunk:
            self._titled[stream] = tx.titles[stream].newest
        self.counts.appended.update(tx.appended)
        self.counts.dropped.update(tx.dropped)
        self.counts.lost += tx.lost

    def _depths_after(self, tx: Transaction) -> dict[Stream, Depth]:
        depths = dict(self.depths)
        for stream in tx.shrunk | set(tx.appended):
            oldest = None if stream in tx.shrunk else self.depths[stream].oldest
            depths[stream] = self._depth(stream, tx.titles[stream], oldest)
        return depths

    def _depth(self, stream: Stream, title: Title, oldest: datetime | None) -> Depth:
        newest = title.newest
        if oldest is None:
            # What was dropped at the end, or at once, must not look as if it could be read.
            newest = max(title.acked, self.sql.execute(ON[stream.value].last).fetchone()[0])
            first = self.sql.execute(ON[stream.value].page, (0,)).fetchone()
            oldest = _time_of(first[3]) if first else None
        return Depth(title.entries, title.size, oldest, title.acked, newest)

    def probe(self) -> None:
        """Write something small durably; raise sqlite3.Error while the disk cannot."""
        self.sql.execute("BEGIN IMMEDIATE")
        tx = Transaction(self.sql, self.epoch, self.titles, self._stamp)
        try:
            tx.write_title(Stream.TELEMETRY)
            self.sql.execute("COMMIT")
        except BaseException:
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Write the titles, so that the next start counts nothing, and let the file go."""
        try:
            self.sql.execute("BEGIN IMMEDIATE")
            tx = Transaction(self.sql, self.epoch, self.titles, self._stamp)
            for stream in Stream:
                tx.write_title(stream)
            self.sql.execute("COMMIT")
        finally:
            self.sql.close()


def _time_of(body: object) -> datetime | None:
    found = _TIME.search(body) if isinstance(body, bytes) else None
    try:
        return datetime.fromisoformat(found[1].decode()) if found else None
    except ValueError:
        return None
