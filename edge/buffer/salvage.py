r"""Find every whole row in the raw bytes of a damaged file, whatever the pages around it say.

A row is a cell of a table leaf (SQLite file format, 1.6 and 2.1), and in our tables it always looks like this:

    payload length | seq     | header length | 0x00     | key type  | crc type | body type | key | crc | body
    varint         | varint  | 5..8          | seq NULL | 13 + 2n   | 1..6 8 9 | 12 + 2n   |

So the file is searched for that pattern, and a find counts only if its crc proves it: page headers, cell pointers,
interior pages and the schema may all be gone. Only a body that goes on in overflow pages needs page numbers.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from
from typing import Final
from zlib import crc32

from edge.buffer.file import PAGE
from edge.buffer.rows import MAX_BODY, MAX_KEY, TABLES

WAL_HEADER: Final = 32
WAL_FRAME: Final = 24
_CHUNK: Final = 256 * PAGE
_LOCAL_MAX: Final = PAGE - 35
_LOCAL_MIN: Final = (PAGE - 12) * 32 // 255 - 23
_INT_SIZES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
_HEADER: Final = re.compile(
    rb"[\x05-\x08]\x00(?=([\x80-\xff]?[\x00-\x7f])([\x01-\x06\x08\x09])([\x80-\xff]{0,2}[\x00-\x7f]))", re.DOTALL
)
"""A record's header. It must begin with a plain class of bytes: then `re` skips through JSON at a tenth of the cost."""

Found = tuple[str, int, bytes, bytes]
"""Table, seq, key, body of a proved row."""
Rest = Callable[[int, int], bytes]
"""Give `n` bytes of the overflow chain that starts at a page."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A page in the write-ahead log, at `offset`; `commit` ends a transaction."""

    page: int
    commit: bool
    salts: bytes
    offset: int


def frames(wal: bytes) -> list[Frame]:
    """Return all frames of a write-ahead log, trusting nothing but their size."""
    found = []
    for start in range(WAL_HEADER, len(wal) - WAL_FRAME - PAGE + 1, WAL_FRAME + PAGE):
        page, size = unpack_from(">II", wal, start)
        found.append(Frame(page, size != 0, wal[start + 8 : start + 16], start + WAL_FRAME))
    return found


def unread_frames(wal: bytes, recognised: int) -> int:
    """Return how many frames of the log's present generation lie behind those that SQLite recognises, up to a commit.

    An append that did not return leaves frames without a commit at the end: no loss.
    """
    all_frames = frames(wal)
    if not all_frames:
        return 0
    salts = _salts(wal, all_frames)
    last = max((n for n, frame in enumerate(all_frames, 1) if frame.commit and frame.salts == salts), default=0)
    return max(0, last - recognised)


def _salts(wal: bytes, all_frames: list[Frame]) -> bytes:
    """Return the present generation's salts; when the log's header is damaged, those of most frames."""
    one = two = 0
    order = "<" if wal[:4] == b"\x37\x7f\x06\x82" else ">"
    words = unpack_from(f"{order}6I", wal)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    if unpack_from(">II", wal, 24) == (one, two):
        return wal[16:24]
    salts = [frame.salts for frame in all_frames]
    return max(set(salts), key=salts.count)


class Image:
    """The bytes of a database file and its write-ahead log; a part that the disk cannot read is taken as zeros."""

    def __init__(self, descriptor: int, wal: bytes) -> None:
        self._descriptor = descriptor
        self._wal = wal
        self._frames = frames(wal)
        self._newest = {frame.page: frame.offset for frame in self._frames}

    def rows(self) -> Iterator[Found]:
        """Yield every proved row, from the file first, then from the log in the order of writing."""
        size = os.fstat(self._descriptor).st_size
        for offset in range(0, size, _CHUNK):
            yield from cells(self._read(offset, min(_CHUNK, size - offset)), self._rest)
        for frame in self._frames:
            yield from cells(self._wal[frame.offset : frame.offset + PAGE], self._rest)

    def _read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError:
            if size <= PAGE:
                return bytes(size)
        return b"".join(self._read(at, PAGE) for at in range(offset, offset + size, PAGE))

    def _rest(self, page: int, size: int) -> bytes:
        parts = []
        while size > 0 and page:
            offset = self._newest.get(page)
            raw = self._read((page - 1) * PAGE, PAGE) if offset is None else self._wal[offset : offset + PAGE]
            if len(raw) < PAGE:
                break
            page = int.from_bytes(raw[:4], "big")
            parts.append(raw[4 : 4 + min(size, PAGE - 4)])
            size -= PAGE - 4
        return b"".join(parts)


def scan(path: Path, wal: bytes) -> Iterator[Found]:
    """Yield every proved row of a file and its log, some more than once; raise OSError only if it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield from Image(descriptor, wal).rows()
    finally:
        os.close(descriptor)


def cells(raw: bytes, rest: Rest) -> Iterator[Found]:
    """Yield the proved rows in whole pages."""
    tables = list(TABLES)
    for match in _HEADER.finditer(raw):
        start = match.start()
        key_size = (_varint(match[1]) - 13) >> 1
        body_size = (_varint(match[3]) - 12) >> 1
        crc_size = _INT_SIZES[match[2][0]]
        if not (start and 0 <= key_size <= MAX_KEY * 4 and 0 <= body_size <= MAX_BODY):
            continue
        head = match.end(3) - start
        size = head + key_size + crc_size + body_size
        record = raw[start : start + size] if size <= _LOCAL_MAX else _overflowing(raw, start, size, rest)
        body_at = head + key_size + crc_size
        key, crc_raw, body = record[head : head + key_size], record[head + key_size : body_at], record[body_at:]
        if len(body) != body_size:
            continue
        crc = int.from_bytes(crc_raw, "big", signed=True) if crc_raw else match[2][0] - 8
        seq, body_crc = _seq_before(raw, start), crc32(body)
        for table in tables:
            if crc32(b"%b:%d:%b" % (table.encode(), seq, key), body_crc) == crc:
                yield table, seq, key, body
                if table != tables[0]:
                    tables.remove(table)
                    tables.insert(0, table)
                break


def _overflowing(raw: bytes, start: int, size: int, rest: Rest) -> bytes:
    """Return a record that goes on in overflow pages (SQLite file format, 1.6)."""
    local = _LOCAL_MIN + (size - _LOCAL_MIN) % (PAGE - 4)
    if local > _LOCAL_MAX:
        local = _LOCAL_MIN
    page = int.from_bytes(raw[start + local : start + local + 4], "big")
    return raw[start : start + local] + rest(page, size - local)


def _seq_before(raw: bytes, end: int) -> int:
    """Read the varint that ends here: only its last byte is below 0x80, as is the last one of what stands before it."""
    start = end - 1
    while start and end - start < 8 and raw[start - 1] >= 0x80:
        start -= 1
    return _varint(raw[start:end])


def _varint(raw: bytes) -> int:
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
    return value
