"""One transaction on a buffer's file: what it changes in memory takes effect only once it has committed."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from core.messages.envelope import Packed, Stamp, pack
from core.messages.event import Event, Stream
from core.messages.events import BufferRepaired, EntriesDropped
from edge.buffer.rows import Row, Title, proved, row, title_row
from edge.buffer.statements import ON

SAFE_DISTANCE: Final = 10_000_000
"""How far a sequence moves on when it cannot be known which seqs were given away: more than any quota holds."""
ACK_CHUNK: Final = 8192
"""The most rows that one transaction deletes for an ack, so that a big one does not hold up appends."""


class Transaction:
    """Writes between BEGIN and COMMIT; what it counts is taken over after the commit."""

    def __init__(
        self, sql: sqlite3.Connection, epoch: str, titles: Mapping[Stream, Title], stamp: Callable[[], Stamp]
    ) -> None:
        self.sql = sql
        self.titles = dict(titles)
        self.shrunk: set[Stream] = set()
        self.state_keys: dict[bytes, int] = {}
        self.appended: Counter[Stream] = Counter()
        self.dropped: Counter[Stream] = Counter()
        self.lost = 0
        self._epoch = epoch
        self._stamp = stamp
        self._pending: dict[Stream, list[Row]] = {stream: [] for stream in Stream}

    def insert(self, packed: Sequence[Packed]) -> tuple[int, ...]:
        """Append entries and return their seqs."""
        seqs = []
        by_stream: dict[Stream, list[tuple[int, Packed]]] = {}
        newest = {stream: title.newest for stream, title in self.titles.items()}
        for item in packed:
            newest[item.stream] = seq = newest[item.stream] + 1
            seqs.append(seq)
            by_stream.setdefault(item.stream, []).append((seq, item))
        for stream, items in by_stream.items():
            table = stream.value
            self._pending[stream] += [row(table, seq, item.key, item.body) for seq, item in items]
            self._grow(stream, newest[stream], len(items), sum(len(item.body) for _, item in items))
            if stream is Stream.STATE:
                self.state_keys.update((item.key.encode(), seq) for seq, item in items)
        return tuple(seqs)

    def _grow(self, stream: Stream, newest: int, entries: int, bytes_: int) -> None:
        title = self.titles[stream]
        self.titles[stream] = replace(title, newest=newest, entries=title.entries + entries, size=title.size + bytes_)
        self.appended[stream] += entries

    def _shrink(self, stream: Stream, entries: int, bytes_: int) -> None:
        title = self.titles[stream]
        self.titles[stream] = replace(title, entries=max(0, title.entries - entries), size=max(0, title.size - bytes_))
        self.shrunk.add(stream)

    def skip(self, packed: Sequence[Packed]) -> tuple[int, ...]:
        """Give entries their seqs and drop them at once; the gap is told when there is room again."""
        seqs = []
        for item in packed:
            title = self.titles[item.stream]
            seq = title.newest + 1
            self.titles[item.stream] = replace(
                title, newest=seq, gap_first=title.gap_first or seq, gap_last=seq, gap_count=title.gap_count + 1
            )
            self.appended[item.stream] += 1
            self.dropped[item.stream] += 1
            self.shrunk.add(item.stream)
            seqs.append(seq)
        return tuple(seqs)

    def tell_gaps(self) -> None:
        """Record what was skipped while there was no room."""
        for stream, title in self.titles.items():
            if title.gap_count:
                self.titles[stream] = replace(title, gap_first=0, gap_last=0, gap_count=0)
                self.shrunk.add(stream)
                self._tell_gap(stream, title.gap_first, title.gap_last, title.gap_count, "no room")

    def _tell_gap(self, stream: Stream, first: int, last: int, count: int, reason: str) -> None:
        self.note(EntriesDropped(stream=stream, first_seq=first, last_seq=last, count=count, reason=reason))

    def note(self, event: Event) -> None:
        """Append an event of the buffer's own."""
        self.insert([pack(event, self._stamp())])

    def drop_oldest(self, stream: Stream, sizes: Sequence[tuple[int, int]], reason: str) -> None:
        """Delete these (seq, bytes), which are the stream's first, and tell the gap in `vital`."""
        self.sql.execute(ON[stream.value].delete_range, (sizes[-1][0],))
        self._dropped(stream, sizes, reason)

    def drop(self, stream: Stream, sizes: Sequence[tuple[int, int]], reason: str) -> None:
        """Delete these (seq, bytes), ascending, and tell the gap in `vital`."""
        self.sql.executemany(ON[stream.value].delete_one, [(seq,) for seq, _ in sizes])
        self._dropped(stream, sizes, reason)

    def _dropped(self, stream: Stream, sizes: Sequence[tuple[int, int]], reason: str) -> None:
        self._shrink(stream, len(sizes), sum(size for _, size in sizes))
        self.dropped[stream] += len(sizes)
        self._tell_gap(stream, sizes[0][0], sizes[-1][0], len(sizes), reason)

    def ack(self, stream: Stream, upto: int) -> bool:
        """Delete entries up to a seq, at most ACK_CHUNK; return True when that was all."""
        self.flush()
        on = ON[stream.value]
        beyond = self.sql.execute(on.nth, (ACK_CHUNK,)).fetchone()
        stop = min(upto, self.titles[stream].newest, beyond[0] - 1 if beyond else upto)
        entries, bytes_ = self.sql.execute(on.count, (1, stop)).fetchone()
        self.sql.execute(on.delete_range, (stop,))
        self._shrink(stream, entries, bytes_)
        self.titles[stream] = replace(self.titles[stream], acked=max(stop, self.titles[stream].acked))
        return beyond is None or beyond[0] > upto

    def condemn(self, stream: Stream, seqs: Iterable[int]) -> None:
        """Delete those of the rows that fail their proof, and report them."""
        self.flush()
        on = ON[stream.value]
        bad = []
        for seq in seqs:
            found = self.sql.execute(on.one, (seq,)).fetchone()
            if found is not None and not proved(stream.value, *found):
                bad.append(seq)
                self.sql.execute(on.delete_one, (seq,))
                self._shrink(stream, 1, len(found[3]) if isinstance(found[3], bytes) else 0)
        if bad:
            self.lost += len(bad)
            detail = f"{len(bad)} entries of {stream.value} fail their checksum, seq {bad[0]} to {bad[-1]}"
            self.note(BufferRepaired(salvaged=0, lost=len(bad), detail=detail))

    def renumber(self, stream: Stream, known: int, taken: int) -> None:
        """Give the entries after `known` seqs after `taken`, since others already bear theirs; ack the rest."""
        self.flush()
        found = self.sql.execute(ON[stream.value].page, (known,)).fetchall()
        rows = [each for each in found if proved(stream.value, *each)]
        self.sql.executemany(ON[stream.value].delete_one, [(seq,) for seq, *_ in found])
        self._shrink(stream, len(found), sum(len(body) for *_, body in rows))
        self.titles[stream] = replace(self.titles[stream], newest=taken + SAFE_DISTANCE)
        detail = f"{stream.value}: central has seqs up to {taken} of this epoch: this file is an older copy"
        self.note(BufferRepaired(salvaged=len(rows), lost=0, detail=detail))
        self.insert([Packed(stream, key.decode(), body) for _, key, _, body in rows])
        self.appended[stream] -= len(rows)

    def flush(self) -> None:
        """Hand the rows that wait to SQLite."""
        for stream, rows in self._pending.items():
            if rows:
                self.sql.executemany(ON[stream.value].insert, rows)
                rows.clear()

    def write_title(self, stream: Stream) -> None:
        """Write a stream's counters into its row 0."""
        self.flush()
        self.sql.execute(ON[stream.value].put, title_row(stream.value, self._epoch, self.titles[stream]))
