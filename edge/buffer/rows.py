"""The shape of a row, the same in all four tables, so that a row proves itself wherever its bytes are found.

A row is `(seq, key, crc, body)`. Row 0 of a table is its title: `key` is the epoch, `body` the table's counters; it
stands four times in the file, so that the epoch outlives damage. A memo's body is `=` + value, or empty once deleted:
after damage the highest seq of a key tells its value, so a deleted memo must not come back from an old page.
"""

from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import Final
from zlib import crc32

from core.errors import GatefleetError
from core.messages.event import Stream

MEMO: Final = "memo"
TABLES: Final = (*(stream.value for stream in Stream), MEMO)
MAX_BODY: Final = 256 * 1024
MAX_KEY: Final = 512
ROW_OVERHEAD: Final = 32
"""What a row takes beside its key and body: cell and record headers, crc, its share of the page."""

Row = tuple[int, str, int, bytes]


class EntryRefused(GatefleetError):
    """An entry or memo that is too large to keep; the caller must make it smaller."""

    code = "entry_refused"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as a reader gets it; `after` is the seq that it follows here."""

    seq: int
    after: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Depth:
    """What a stream holds: `bytes` of bodies, `oldest` the first entry's event time, `newest` the last entry's seq.

    With no entry left, `newest` is `acked`.
    """

    entries: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    acked: int = 0
    newest: int = 0


_TITLE: Final = Struct(">7Q")


@dataclass(frozen=True, slots=True)
class Title:
    """A stream's counters as of its seq `newest`; `size` in bytes of bodies.

    The gap is what was dropped at once for want of room and is not told yet.
    """

    acked: int = 0
    newest: int = 0
    entries: int = 0
    size: int = 0
    gap_first: int = 0
    gap_last: int = 0
    gap_count: int = 0

    def pack(self) -> bytes:
        """Return the body of row 0."""
        gap = (self.gap_first, self.gap_last, self.gap_count)
        return _TITLE.pack(self.acked, self.newest, self.entries, self.size, *gap)

    @classmethod
    def unpack(cls, body: bytes) -> "Title":
        """Read the body of a proved row 0."""
        return cls(*_TITLE.unpack(body[: _TITLE.size].ljust(_TITLE.size, b"\0")))


def proof(table: str, seq: int, key: bytes, body: bytes) -> int:
    """Return the CRC-32 that ties a body to its table, seq and key."""
    return crc32(b"%b:%d:%b" % (table.encode(), seq, key), crc32(body))


def proved(table: str, seq: int, key: object, crc: object, body: object) -> bool:
    """Tell whether a row as SQLite gave it is whole; damage may give any type."""
    return isinstance(key, bytes) and isinstance(body, bytes) and crc == proof(table, seq, key, body)


def row(table: str, seq: int, key: str, body: bytes) -> Row:
    """Return a row with its proof."""
    return seq, key, proof(table, seq, key.encode(), body), body


def title_row(table: str, epoch: str, title: Title) -> Row:
    """Return row 0."""
    return row(table, 0, epoch, title.pack())


def _is_text(key: str) -> bool:
    return key.isascii() or not any("\ud800" <= char <= "\udfff" for char in key)


def fits(key: str, body: bytes) -> int:
    """Return what a row costs of the quota; raise EntryRefused where key or body are too large."""
    if len(body) > MAX_BODY or len(key) > MAX_KEY or not _is_text(key):
        raise EntryRefused(
            f"an entry of {len(body)} bytes under a key of {len(key)} characters",
            place=key[:128],
            cure=f"at most {MAX_BODY} bytes and {MAX_KEY} Unicode characters: send content apart and name it here",
        )
    return len(body) + len(key) + ROW_OVERHEAD
