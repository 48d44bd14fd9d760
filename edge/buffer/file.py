"""A buffer's file: how it is made, opened, migrated and examined.

A file is made apart and renamed into place, so what stands at the path is always complete: anything odd is damage.
"""

import os
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from edge.buffer.rows import MEMO, TABLES, Title, proved, title_row
from edge.buffer.statements import ON

PAGE: Final = 4096
APPLICATION_ID: Final = 0x67664246
STEPS: Final = tuple(
    path.read_text(encoding="utf-8")
    for path in sorted(Path(__file__).parent.glob("schema_v*.sql"), key=lambda path: int(path.stem[8:]))
)
"""The schema's versions; step N brings a file from version N-1 to N."""

_ENVIRONMENT: Final = frozenset(
    {"BUSY", "LOCKED", "NOMEM", "READONLY", "IOERR", "FULL", "CANTOPEN", "PROTOCOL", "PERM", "AUTH", "NOLFS", "MISUSE"}
)
_FIXED: Final = (
    (0, b"SQLite format 3\0" + PAGE.to_bytes(2, "big") + bytes((2, 2, 0, 64, 32, 32))),
    (44, b"\0\0\0\4"),
    (52, bytes(4)),
    (56, b"\0\0\0\1"),
    (64, bytes(4)),
    (68, APPLICATION_ID.to_bytes(4, "big") + bytes(20)),
)
"""What the first hundred bytes of the file must say (SQLite file format, 1.3); SQLite itself believes most of them."""


class FileDamaged(Exception):
    """The file's content cannot be trusted; salvage is the cure, so this never leaves the buffer."""


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error comes from the file's content rather than from the disk or its permissions."""
    name = getattr(error, "sqlite_errorname", "SQLITE_MISUSE")
    if name in ("SQLITE_IOERR_READ", "SQLITE_IOERR_CORRUPTFS", "SQLITE_IOERR_DATA"):
        return True
    return isinstance(error, sqlite3.DatabaseError) and name.split("_")[1] not in _ENVIRONMENT


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a companion file, such as `-wal`."""
    return path.with_name(path.name + suffix)


def connect(path: Path, *, wal_pages: int = 1000) -> sqlite3.Connection:
    """Open an existing file for writing; text comes back as bytes, since damage may break UTF-8."""
    sql = sqlite3.connect(_uri(path, "rw"), uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    sql.text_factory = bytes
    try:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = FULL")
        sql.execute("PRAGMA temp_store = MEMORY")
        sql.execute(f"PRAGMA wal_autocheckpoint = {wal_pages}")
        sql.execute(f"PRAGMA journal_size_limit = {wal_pages * PAGE}")
    except sqlite3.Error:
        sql.close()
        raise
    return sql


def connect_reading(path: Path) -> sqlite3.Connection:
    """Open an existing file for reading only."""
    return _reading(_uri(path, "ro"))


def connect_visiting(path: Path) -> sqlite3.Connection:
    """Open for a short look: beside a file at rest, which has no log, no companion files are left."""
    at_rest = not beside(path, "-wal").exists()
    return _reading(_uri(path, "ro&immutable=1" if at_rest else "ro"))


def _reading(uri: str) -> sqlite3.Connection:
    sql = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    sql.text_factory = bytes
    return sql


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


def new_epoch(now: datetime) -> str:
    """Return a name for a buffer's life: 26 characters of Crockford's base 32, time first."""
    number = int(now.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> shift & 31] for shift in range(125, -1, -5))


def build(path: Path, epoch: str) -> sqlite3.Connection:
    """Make an empty file at `path`, in place of what is there, and return it open."""
    for suffix in ("", "-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)
    path.touch(mode=0o640)
    sql = connect(path)
    sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(sql)
    for table in TABLES:
        sql.execute(ON[table].insert, title_row(table, epoch, Title()))
    return sql


def migrate(sql: sqlite3.Connection, steps: Sequence[str] = STEPS) -> None:
    """Bring the schema to the newest version, each step in one transaction."""
    version: int = sql.execute("PRAGMA user_version").fetchone()[0]
    for number, step in enumerate(steps[version:], version + 1):
        sql.executescript(f"BEGIN IMMEDIATE;\n{step}\n;PRAGMA user_version = {number};\nCOMMIT;")


def sync_directory(path: Path) -> None:
    """Make renames in the file's directory durable."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def check_header(path: Path) -> None:
    """Raise FileDamaged unless the first hundred bytes are those of a buffer that this version can use."""
    with path.open("rb") as file:
        head = file.read(100)
    for offset, content in _FIXED:
        if head[offset : offset + len(content)] != content:
            raise FileDamaged(f"the file's header is not a buffer's (byte {offset} on)")
    version = int.from_bytes(head[60:64], "big")
    if not 1 <= version <= len(STEPS):
        raise FileDamaged(f"schema version {version} is not one of 1 to {len(STEPS)}")


def read_titles(sql: sqlite3.Connection) -> tuple[str, Mapping[str, Title]]:
    """Return epoch and titles; raise FileDamaged unless all four are proved and agree."""
    epochs, titles = set(), {}
    for table in TABLES:
        found = sql.execute(ON[table].one, (0,)).fetchone()
        if found is None or not proved(table, *found):
            raise FileDamaged(f"the title of {table} is damaged")
        epochs.add(found[1].decode())
        titles[table] = Title.unpack(found[3])
    if len(epochs) != 1:
        raise FileDamaged("the titles name several epochs")
    return epochs.pop(), titles


def examine(sql: sqlite3.Connection) -> None:
    """Read the whole file; raise FileDamaged where pages are broken or rows are missing that the titles count."""
    sql.execute("BEGIN")
    try:
        verdict = sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict not in (b"ok", "ok"):
            raise FileDamaged(_text(verdict))
        _, titles = read_titles(sql)
        for table in set(TABLES) - {MEMO}:
            _examine_stream(sql, table, titles[table])
    finally:
        sql.execute("ROLLBACK")


def _examine_stream(sql: sqlite3.Connection, table: str, title: Title) -> None:
    entries, _ = sql.execute(ON[table].count, (1, title.newest)).fetchone()
    if entries != title.entries:
        raise FileDamaged(f"{table} holds {entries} entries up to {title.newest}, its title says {title.entries}")
    last = max(sql.execute(ON[table].last).fetchone()[0], title.newest)
    later, _ = sql.execute(ON[table].count, (title.newest + 1, last)).fetchone()
    if later != last - title.newest:
        raise FileDamaged(f"{table} holds {later} of the {last - title.newest} entries after {title.newest}")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
