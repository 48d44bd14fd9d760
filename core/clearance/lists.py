r"""Lists as they travel: snapshots and deltas of keyed tokens, as text to be signed (core.messages.signed).

Snapshot: one line of JSON (the head), then one line for each entry, tab-separated, in ascending order:

    {"list_id":"hq-block","version":7,"effect":"refuse","priority":10,"entries":2}
    <token>\t<entry id>\t<valid from, RFC 3339 or empty>\t<valid to or empty>\t<person class or empty>

Delta: a head with `from_version`, then `+` or `-` before each entry line. Both carry the number of entries that result,
so that a delta on the wrong base is found.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.clearance.model import ListEffect, ListEntry, ListInForce
from core.errors import ListRefused

MAX_ENTRIES: Final = 2_000_000


class ListHead(BaseModel):
    """The first line of a snapshot or delta."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    list_id: str = Field(max_length=64)
    version: int = Field(ge=1)
    effect: ListEffect
    priority: int
    entries: int = Field(ge=0, le=MAX_ENTRIES)
    from_version: int | None = None


class Rows(Mapping[str, tuple[ListEntry, ...]]):
    """Token -> entries, kept as the text they came as.

    At hundreds of thousands of objects the collector looks for a tenth of a second, and every gate waits; not at text.
    """

    __slots__ = ("_rests",)

    def __init__(self, rests: Mapping[str, str]) -> None:
        """Take of each token what follows it in its lines, these parted by line feeds; each is known to be an entry."""
        self._rests = rests

    def __getitem__(self, token: str) -> tuple[ListEntry, ...]:
        return tuple(_entry(rest) for rest in self._rests[token].split("\n"))

    def get(self, token: str, default: Any = None) -> Any:
        """Return the entries of a token."""
        return self[token] if token in self._rests else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._rests)

    def __len__(self) -> int:
        return len(self._rests)

    def __eq__(self, other: object) -> bool:
        return self._rests == other._rests if isinstance(other, Rows) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of every mapping

    def lines(self) -> set[str]:
        """Return the entry lines."""
        return {f"{token}\t{rest}" for token, rests in self._rests.items() for rest in rests.split("\n")}


@dataclass(frozen=True, slots=True)
class ListContent:
    """A list whole: its head and its entries."""

    head: ListHead
    entries: Rows

    def in_force(self, confirmed_at: datetime) -> ListInForce:
        """Return the list as the engine takes it."""
        head = self.head
        return ListInForce(head.list_id, head.version, head.effect, head.priority, confirmed_at, self.entries)

    def lines(self) -> set[str]:
        """Return the entry lines."""
        return self.entries.lines()


def make_content(
    list_id: str, version: int, effect: ListEffect, priority: int, rows: Iterable[tuple[str, ListEntry]]
) -> ListContent:
    """Return a list of (token, entry) rows."""
    rests: dict[str, str] = {}
    count = 0
    for token, entry in sorted(rows, key=lambda row: (row[0], row[1].entry_id)):
        _add(rests, token, _rest(entry))
        count += 1
    head = ListHead(list_id=list_id, version=version, effect=effect, priority=priority, entries=count)
    return ListContent(head, Rows(rests))


def write_snapshot(content: ListContent) -> str:
    """Return the text of a snapshot."""
    return "\n".join([content.head.model_dump_json(exclude_none=True), *sorted(content.lines())])


def read_snapshot(text: str) -> ListContent:
    """Read a snapshot whose signature is proved; raise ListRefused where it is not one."""
    head, lines = _split(text)
    if head.from_version is not None:
        raise ListRefused("a delta where a snapshot was asked for", place=head.list_id)
    return _content(head, lines)


def write_delta(old: ListContent, new: ListContent) -> str:
    """Return the text that turns `old` into `new`."""
    before, after = old.lines(), new.lines()
    head = new.head.model_copy(update={"from_version": old.head.version})
    changes = [*(f"-{line}" for line in sorted(before - after)), *(f"+{line}" for line in sorted(after - before))]
    return "\n".join([head.model_dump_json(exclude_none=True), *changes])


def apply_delta(content: ListContent, text: str) -> ListContent:
    """Return the list after a delta whose signature is proved; raise ListRefused where it does not follow."""
    head, changes = _split(text)
    if head.list_id != content.head.list_id or head.from_version != content.head.version:
        raise ListRefused(
            f"the delta follows version {head.from_version}, here is {content.head.version}",
            place=head.list_id,
            cure="fetch the snapshot",
        )
    lines = content.lines()
    for change in changes:
        line = change[1:]
        if change[:1] == "-" and line in lines:
            lines.remove(line)
        elif change[:1] == "+":
            lines.add(line)
        else:
            raise ListRefused("a change that fits neither `+` nor an entry here", place=head.list_id)
    return _content(head.model_copy(update={"from_version": None}), sorted(lines))


def _split(text: str) -> tuple[ListHead, list[str]]:
    first, _, rest = text.partition("\n")
    try:
        head = ListHead.model_validate_json(first)
    except ValidationError as error:
        raise ListRefused(f"the head is not one: {error.error_count()} mistakes", place="line 1") from error
    return head, rest.split("\n") if rest else []


def _content(head: ListHead, lines: list[str]) -> ListContent:
    if len(lines) != head.entries:
        raise ListRefused(f"{len(lines)} entries, the head says {head.entries}", place=head.list_id)
    rests: dict[str, str] = {}
    for number, line in enumerate(lines, start=2):
        token, _, rest = line.partition("\t")
        try:
            _entry(rest)
        except ValueError as error:
            raise ListRefused(str(error), place=f"{head.list_id} line {number}") from error
        if not token:
            raise ListRefused("an entry without a token", place=f"{head.list_id} line {number}")
        _add(rests, token, rest)
    return ListContent(head, Rows(rests))


def _add(rests: dict[str, str], token: str, rest: str) -> None:
    rests[token] = f"{rests[token]}\n{rest}" if token in rests else rest


def _entry(rest: str) -> ListEntry:
    """Return what a line says after its token; raise ValueError where it is no entry."""
    fields = rest.split("\t")
    if len(fields) != 4 or not fields[0]:
        raise ValueError("not an entry")
    entry_id, valid_from, valid_to, person_class = fields
    return ListEntry(entry_id, _moment(valid_from), _moment(valid_to), person_class or None)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not a time: {text}") from None
    if moment.tzinfo is None:
        raise ValueError(f"not a time: {text} has no time zone")
    return moment


def _rest(entry: ListEntry) -> str:
    times = (moment.astimezone(UTC).isoformat() if moment else "" for moment in (entry.valid_from, entry.valid_to))
    return "\t".join((entry.entry_id, *times, entry.person_class or ""))
