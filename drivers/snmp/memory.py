"""What is asked of a device, and what is remembered of its answers.

Promises: what is remembered is bounded by the rows of the last answer of each table; what is told once is told again
only when it changes; a counter's rate is told only where two readings can give one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from drivers.facts import DeviceDescribed, DeviceSignal, Fact
from drivers.snmp.facts import TextTold
from drivers.snmp.values import Value, rate, text_of

LABEL_CAP = 64


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked together: instances, and columns that are walked row by row, at most `rows` of each."""

    name: str
    interval_ms: int
    scalars: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: by OID, and by column and index. `truncated`: a table has more rows than were asked for."""

    scalars: Mapping[str, Value] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    truncated: bool = False

    def column(self, oid: str) -> Mapping[str, Value]:
        """Return a column's rows; none where it has none."""
        return self.columns.get(oid, {})

    def number(self, oid: str, index: str) -> int | None:
        """Return a whole number of a row; None where there is none."""
        value = self.column(oid).get(index)
        return value if isinstance(value, int) else None


class Part(Protocol):
    """One part of a device: what it asks, and what the answers mean."""

    @property
    def queries(self) -> tuple[Query, ...]:
        """Return what is to be asked."""

    def observe(self, query: Query, answer: Answer, at_ms: int) -> list[Fact]:
        """Return what an answer means that came at a moment of the edge's monotonic clock."""

    def forget(self) -> None:
        """Forget the counters: the device has begun anew."""


class Counters:
    """The last readings of counters, by reading and row."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, int]] = {}

    def rate(
        self, name: str, row: str, now: int, at_ms: int, *, bits: int, ceiling: float | None = None
    ) -> float | None:
        """Take a reading; return the growth a second since the one before."""
        before = self._last.get((name, row))
        self._last[name, row] = (now, at_ms)
        if before is None:
            return None
        return rate(before[0], now, (at_ms - before[1]) / 1000, bits=bits, ceiling=ceiling)

    def only(self, rows: Iterable[str]) -> None:
        """Forget the rows that are no more."""
        kept = set(rows)
        self._last = {key: value for key, value in self._last.items() if key[1] in kept}

    def clear(self) -> None:
        """Forget all."""
        self._last.clear()


class Told:
    """Signals and texts, so that each is told when it changes."""

    def __init__(self) -> None:
        self._on: dict[tuple[str, str], bool] = {}
        self._text: dict[tuple[str, str], str] = {}

    def signal(self, topic: str, on: bool, source: str = "") -> list[Fact]:
        """Return the signal where it is new or has changed."""
        before = self._on.get((topic, source))
        self._on[topic, source] = on
        return [] if before is on else [DeviceSignal(topic, on, source, baseline=before is None)]

    def changed(self, name: str, text: str, source: str = "") -> bool:
        """Tell whether a text is new or has changed."""
        before = self._text.get((name, source))
        self._text[name, source] = text
        return before != text

    def text(self, name: str, text: str, source: str = "") -> list[Fact]:
        """Return the text where it is new or has changed."""
        return [TextTold(name, text, source)] if self.changed(name, text, source) else []

    def only(self, rows: Iterable[str]) -> list[Fact]:
        """Forget the rows that are no more; return as off what was on there."""
        kept = set(rows)
        gone = [key for key in self._on if key[1] not in kept]
        facts: list[Fact] = [DeviceSignal(topic, on=False, source=row) for topic, row in gone if self._on[topic, row]]
        for key in gone:
            del self._on[key]
        self._text = {key: value for key, value in self._text.items() if key[1] in kept}
        return facts


class Description:
    """What is known of the device itself; shared by the parts that learn of it."""

    def __init__(self, vendor: str, model: str) -> None:
        self._known = DeviceDescribed(vendor, model)
        self._told: DeviceDescribed | None = None

    def learn(self, **words: str) -> None:
        """Take vendor, model, firmware or serial; what is empty is not taken."""
        self._known = replace(self._known, **{key: word for key, word in words.items() if word})

    def suggest(self, **words: str) -> None:
        """As `learn`, where nothing better is known."""
        self.learn(**{key: word for key, word in words.items() if not getattr(self._known, key)})

    def news(self) -> list[Fact]:
        """Return the description where it has changed."""
        if self._known == self._told:
            return []
        self._told = self._known
        return [self._known]


def labels(*columns: Mapping[str, Value]) -> dict[str, str]:
    """Return a label for each row, from the first column that has one; two alike get their index behind."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for index in sorted({index for column in columns for index in column}, key=index_order):
        texts = (text_of(column[index])[:LABEL_CAP] for column in columns if index in column)
        label = next((text for text in texts if text), f"#{index}")
        label = f"{label}#{index}" if label in taken else label
        taken.add(label)
        found[index] = label
    return found


def index_order(index: str) -> tuple[int, ...]:
    """Return what sorts an index as the device does."""
    return tuple(int(part) for part in index.split("."))
