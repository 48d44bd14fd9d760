"""What central's database must hold after the faults: a pure comparison, and the queries that feed it."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

_EVENTS = "SELECT position, edge, epoch, stream, seq, type, status, data FROM event ORDER BY position"
_MARKS = "SELECT edge, epoch, stream, upto FROM watermark"
_PASSAGES = "SELECT position, attempt FROM passage"
_PASSAGE_TYPE = "gatefleet.PassageCleared.v1"


class Stored(NamedTuple):
    """A row of central's events."""

    position: int
    edge: str
    epoch: str
    stream: str
    seq: int
    type: str
    status: str
    data: str


Key = tuple[str, str, str]
"""(edge, epoch, stream)."""


@dataclass(frozen=True)
class Found:
    """All that central has. `passages` are (position, attempt); None where nothing projects them."""

    events: Sequence[Stored]
    marks: Mapping[Key, int]
    passages: Sequence[tuple[int, str]] | None


@dataclass(frozen=True)
class Verdict:
    """What the comparison came to; all but the first five must be zero."""

    wanted: int
    acked: int
    stored: int
    distinct: int
    passages: int
    missing: int = 0
    """Numbers that were acked to a caller, or came before one that was, and are not stored."""
    doubled: int = 0
    strangers: int = 0
    """Rows that no producer made, or that were not understood."""
    gaps: int = 0
    """Sequence numbers missing in a stream."""
    inversions: int = 0
    """Neighbours in the order of storing whose sequence numbers or event numbers do not grow."""
    lives: int = 0
    """Epochs beyond the first: a buffer that was made anew."""
    marks_off: int = 0
    """Watermarks that are not the last stored sequence number."""
    passages_off: int = 0
    """Passages that are missing, doubled, or of no event."""
    left: int = 0
    """Entries left in the buffer."""
    examples: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Tell whether nothing acked was lost and everything had its effect exactly once."""
        return 0 < self.acked <= self.wanted == self.distinct == self.stored and not any(self.faults().values())

    def faults(self) -> dict[str, int]:
        """Return the counts that must be zero."""
        kept = ("wanted", "acked", "stored", "distinct", "passages", "examples")
        return {name: value for name, value in asdict(self).items() if name not in kept}


def number_of(row: Stored) -> int | None:
    """Return the number that an event of the bench carries."""
    try:
        data = from_json(row.data)
        match row.type.split(".")[1]:
            case "PassageCleared":
                return int(data["attempt"])
            case "DeviceHealthChanged":
                return int(data["detail"])
            case "DeviceMeasured":
                return int(data["readings"]["number"])
            case _:
                return None
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def check(wanted: int, acked: Sequence[int], found: Found, left: int) -> Verdict:
    """Compare what was acked to callers, numbers 1 to `wanted`, with what central has in the order of its positions."""
    streams: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    strangers: list[int] = []
    for row in found.events:
        number = number_of(row)
        if number is None or row.status != "ok" or not 1 <= number <= wanted:
            strangers.append(row.position)
        streams[row.edge, row.epoch, row.stream].append((row.seq, number or 0))
    numbers = Counter(number for pairs in streams.values() for _, number in pairs)
    missing = sorted((set(acked) | set(range(1, wanted + 1))) - numbers.keys())
    doubled = sorted(number for number, count in numbers.items() if count > 1)
    inversions = [pair[1][0] for pairs in streams.values() for pair in pairwise(pairs) if _inverted(*pair)]
    gaps = [seq for pairs in streams.values() for seq in _gaps({seq for seq, _ in pairs})]
    last = {key: max(seq for seq, _ in pairs) for key, pairs in streams.items()}
    passages_off = _passages_off(found)
    return Verdict(
        wanted=wanted,
        acked=len(set(acked)),
        stored=len(found.events),
        distinct=len(numbers),
        passages=len(found.passages or ()),
        missing=len(missing),
        doubled=sum(numbers.values()) - len(numbers),
        strangers=len(strangers),
        gaps=len(gaps),
        inversions=len(inversions),
        lives=max(0, len({key[1] for key in streams}) - 1),
        marks_off=sum(found.marks.get(key) != last.get(key) for key in {*found.marks, *last}),
        passages_off=passages_off,
        left=left,
        examples={
            name: some[:10]
            for name, some in (
                ("missing", missing),
                ("doubled", doubled),
                ("strangers", strangers),
                ("gaps", gaps),
                ("inversions", inversions),
            )
            if some
        },
    )


def _inverted(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return other[0] <= one[0] or other[1] <= one[1]


def _gaps(seqs: set[int]) -> list[int]:
    return [seq for seq in range(1, max(seqs) + 1) if seq not in seqs]


def _passages_off(found: Found) -> int:
    if found.passages is None:
        return 0
    wanted = Counter((row.position, str(number_of(row))) for row in found.events if row.type == _PASSAGE_TYPE)
    there = Counter(found.passages)
    return (wanted - there).total() + (there - wanted).total()


async def read_central(database: str, *, projected: bool) -> Found:
    """Read all that central has; passages only where something projects them."""
    scheme, _, place = database.partition("://")
    queries = [_EVENTS, _MARKS, *([_PASSAGES] if projected else [])]
    if scheme == "sqlite":
        with closing(sqlite3.connect(f"file:{place[1:]}?mode=ro", uri=True)) as sql:
            rows: list[Any] = [sql.execute(query).fetchall() for query in queries]
    else:
        import asyncpg

        conn = await asyncpg.connect(database)
        try:
            rows = [[tuple(row) for row in await conn.fetch(query)] for query in queries]
        finally:
            await conn.close()
    marks = {(edge, epoch, stream): upto for edge, epoch, stream, upto in rows[1]}
    return Found([Stored(*row) for row in rows[0]], marks, rows[2] if projected else None)


def read_left(buffer: Path) -> int:
    """Count what is left in an edge's buffer file."""
    with closing(sqlite3.connect(f"file:{buffer}?mode=ro", uri=True)) as sql:
        counts = [sql.execute(f"SELECT count(*) FROM {name} WHERE seq > 0").fetchone()[0] for name in _STREAMS]
    return sum(counts)


_STREAMS = ("vital", "state", "telemetry")
