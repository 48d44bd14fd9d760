r"""Lists as they travel: snapshots and deltas of keyed tokens, as text to be signed (core.messages.signed).

Snapshot: one line of JSON (the head), then one line for each entry, tab-separated, in ascending order:

    {"list_id":"hq-block","version":7,"effect":"refuse","priority":10,"entries":2}
    <token>\t<entry id>\t<valid from, RFC 3339 or empty>\t<valid to or empty>\t<person class or empty>

Delta: a head with `from_version`, then `+` or `-` before each entry line. Both carry the number of entries that result,
so that a delta on the wrong base is found.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

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


@dataclass(frozen=True, slots=True)
class ListContent:
    """A list whole: its head and token -> entries."""

    head: ListHead
    entries: Mapping[str, tuple[ListEntry, ...]]

    def in_force(self, confirmed_at: datetime) -> ListInForce:
        """Return the list as the engine takes it."""
        head = self.head
        return ListInForce(head.list_id, head.version, head.effect, head.priority, confirmed_at, self.entries)

    def lines(self) -> set[str]:
        """Return the entry lines."""
        return {_line(token, entry) for token, entries in self.entries.items() for entry in entries}


def make_content(
    list_id: str, version: int, effect: ListEffect, priority: int, rows: Iterable[tuple[str, ListEntry]]
) -> ListContent:
    """Return a list of (token, entry) rows."""
    grouped: dict[str, tuple[ListEntry, ...]] = {}
    count = 0
    for token, entry in sorted(rows, key=lambda row: (row[0], row[1].entry_id)):
        grouped[token] = (*grouped.get(token, ()), entry)
        count += 1
    return ListContent(
        ListHead(list_id=list_id, version=version, effect=effect, priority=priority, entries=count), grouped
    )


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
    grouped: dict[str, tuple[ListEntry, ...]] = {}
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        if len(fields) != 5 or not fields[0] or not fields[1]:
            raise ListRefused("not an entry", place=f"{head.list_id} line {number}")
        token, entry_id, valid_from, valid_to, person_class = fields
        try:
            entry = ListEntry(entry_id, _moment(valid_from), _moment(valid_to), person_class or None)
        except ValueError as error:
            raise ListRefused(f"not a time: {error}", place=f"{head.list_id} line {number}") from error
        grouped[token] = (*grouped.get(token, ()), entry)
    return ListContent(head, grouped)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def _line(token: str, entry: ListEntry) -> str:
    times = (moment.isoformat() if moment else "" for moment in (entry.valid_from, entry.valid_to))
    return "\t".join((token, entry.entry_id, *times, entry.person_class or ""))
