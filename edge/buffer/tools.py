"""For the technician: look into a buffer's file, mend it, take its entries out.

`verify` and `export` only read, and work while a daemon has the file open; `repair` wants the daemon to be down.
"""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from core.errors import NotFound
from core.messages.envelope import ClockSource, Stamp, place
from core.messages.event import Stream
from edge.buffer.buffer import hold
from edge.buffer.file import FileDamaged, beside, check_header, connect_visiting, examine, read_titles
from edge.buffer.opening import wal_bytes
from edge.buffer.rescue import Rescue, damaged_copies, finish_swap, rescue
from edge.buffer.rows import MEMO, Title, proved
from edge.buffer.salvage import scan
from edge.buffer.statements import ON


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a buffer's file holds, by stream. `holes` counts seqs that are missing after `acked`: dropped or lost.

    Of a file that is not sound, `entries` are those that `repair` would find, and bad rows and holes are not counted.
    """

    sound: bool
    trouble: str
    epoch: str
    size_bytes: int
    entries: dict[str, int]
    bad_rows: dict[str, int]
    holes: dict[str, int]
    acked: dict[str, int]
    memos: int
    damaged_copies: tuple[str, ...]


def verify(path: Path) -> Verdict:
    """Read the whole file and tell what is there; raise NotFound."""
    if not path.is_file():
        raise NotFound("there is no buffer", place=str(path), cure="see [buffer] path in the edge's config")
    try:
        check_header(path)
        with closing(connect_visiting(path)) as sql:
            examine(sql)
            return _verdict_of_sound(path, sql)
    except (FileDamaged, sqlite3.Error) as error:
        return _verdict_of_damaged(path, str(error))


def repair(path: Path) -> Verdict:
    """Mend the file unless it is sound; the damaged one stays beside it. Raise BufferUnavailable while it is in use."""
    verdict = verify(path)
    if not verdict.sound:
        with hold(path):
            rescue(path, wal_bytes(path), verdict.trouble, _stamp)
            finish_swap(path, _stamp)
            verdict = verify(path)
    return verdict


def export(path: Path, out: Path, *, source: str = "") -> int:
    """Write all entries as whole CloudEvents, a JSON object a line; return how many. `source` is the edge's name."""
    count = 0
    with _sound(path, out.parent) as sound, closing(connect_visiting(sound)) as sql, out.open("wb") as file:
        sql.execute("BEGIN")
        epoch, titles = read_titles(sql)
        for stream in Stream:
            before = titles[stream.value].acked
            for seq, _, body in _proved_rows(sql, stream.value, Counter()):
                name = stream.value
                file.write(place(body, source=source or path.stem, epoch=epoch, stream=name, seq=seq, after=before))
                file.write(b"\n")
                before = seq
                count += 1
    return count


@contextmanager
def _sound(path: Path, work: Path) -> Iterator[Path]:
    """Yield the path of a file that can be read in order: the file, or what can be salvaged of it."""
    verdict = verify(path)
    if verdict.sound:
        yield path
        return
    with TemporaryDirectory(dir=work) as folder:
        copy = Path(folder) / path.name
        shutil.copy(path, copy)
        rescue(copy, wal_bytes(path), verdict.trouble, _stamp)
        finish_swap(copy, _stamp)
        yield copy


def _verdict_of_sound(path: Path, sql: sqlite3.Connection) -> Verdict:
    entries: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    holes: Counter[str] = Counter()
    sql.execute("BEGIN")
    epoch, titles = read_titles(sql)
    for stream in Stream:
        name, before = stream.value, titles[stream.value].acked
        for seq, *_ in _proved_rows(sql, name, bad):
            holes[name] += seq - before - 1
            entries[name] += 1
            before = seq
    memos = sum(1 for _, _, body in _proved_rows(sql, MEMO, bad) if body)
    trouble = f"{bad.total()} rows fail their checksum" if bad else ""
    return Verdict(
        sound=not bad,
        trouble=trouble,
        epoch=epoch,
        size_bytes=_size(path),
        entries=_by_stream(entries.__getitem__),
        bad_rows=_by_stream(bad.__getitem__),
        holes=_by_stream(holes.__getitem__),
        acked=_by_stream(lambda name: titles[name].acked),
        memos=memos,
        damaged_copies=_copies(path),
    )


def _verdict_of_damaged(path: Path, trouble: str) -> Verdict:
    with closing(sqlite3.connect(":memory:")) as memory:
        learnt = Rescue(memory)
        seqs = {(table, row[0]) for table, row in learnt.entries(scan(path, wal_bytes(path)))}
    acked = _by_stream(lambda name: learnt.titles.get(name, Title()).acked)
    entries = Counter(table for table, seq in seqs if seq > acked[table])
    return Verdict(
        sound=False,
        trouble=trouble,
        epoch=learnt.epoch,
        size_bytes=_size(path),
        entries=_by_stream(entries.__getitem__),
        bad_rows=_by_stream(lambda _: 0),
        holes=_by_stream(lambda _: 0),
        acked=acked,
        memos=len(learnt.memos),
        damaged_copies=_copies(path),
    )


def _proved_rows(sql: sqlite3.Connection, table: str, bad: Counter[str]) -> Iterator[tuple[int, bytes, bytes]]:
    for seq, key, crc, body in sql.execute(ON[table].page, (0,)):
        if proved(table, seq, key, crc, body):
            yield seq, key, body
        else:
            bad[table] += 1


def _copies(path: Path) -> tuple[str, ...]:
    return tuple(copy.name for copy in damaged_copies(path) if not copy.name.endswith("-wal"))


def _by_stream(value: Callable[[str], int]) -> dict[str, int]:
    return {stream.value: value(stream.value) for stream in Stream}


def _size(path: Path) -> int:
    wal = beside(path, "-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def _stamp() -> Stamp:
    boot = Path("/proc/sys/kernel/random/boot_id")
    boot_id = boot.read_text(encoding="ascii").strip() if boot.exists() else "unknown"
    return Stamp(datetime.now(UTC), int(monotonic() * 1000), boot_id, ClockSource.UNSYNCED, 0, 0)
