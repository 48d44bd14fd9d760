"""Reading batches of an edge: bounded, proved to be the edge's own, and in a chain. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import zstandard
from msgspec import Raw
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from central.columns import kept, kept_int
from central.envelope import Envelope, read_batch, read_entry, read_event
from central.eventstore import INVALID, OK, UNKNOWN, EventRow, StreamKey
from core.errors import MessageInvalid
from core.messages.envelope import MAX_BATCH_BYTES, ClockSource
from core.messages.event import Event, Stream

_MAX_SEQ: Final = 1 << 62
_MAX_WINDOW_BYTES: Final = 1 << 27
_CLOCKS: Final = {source: source.value for source in ClockSource}


@dataclass(frozen=True, slots=True)
class Inbound:
    """A batch as it came by the topic of an edge's stream."""

    edge: str
    stream: Stream
    payload: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was read: entries of one stream of one life of the edge's buffer, each following the one before."""

    key: StreamKey
    entries: Sequence[Envelope]
    damaged: frozenset[int]
    """Sequence numbers whose envelope is broken; what they hold is kept raw."""
    inbound: Inbound
    size: int
    """Unpacked, bytes."""

    @property
    def follows(self) -> int:
        """Return what must have been stored before it."""
        return self.entries[0].follows

    @property
    def acked(self) -> int:
        """Return what central said to have when it was sent, as far as the edge had heard."""
        return self.entries[0].acked or 0

    @property
    def last(self) -> int:
        """Return its last sequence number."""
        return self.entries[-1].seq


class _Place(BaseModel):
    """The least that an entry must say to be kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str = Field(max_length=96)
    epoch: str = Field(max_length=26)
    stream: Stream
    seq: int = Field(ge=1)
    after: int | None = Field(default=None, ge=0)


def read(inbound: Inbound) -> Batch:
    """Read a batch; raise MessageInvalid for one that must be refused as a whole."""
    raw = unpack(inbound.payload)
    damaged: frozenset[int] = frozenset()
    try:
        entries = read_batch(raw)
    except MessageInvalid:
        entries, damaged = _salvage(raw)
    if not entries:
        raise MessageInvalid("an empty batch")
    epoch = entries[0].epoch
    before: int | None = None
    for entry in entries:
        if entry.source != inbound.edge or entry.stream is not inbound.stream:
            raise MessageInvalid("an entry of another edge or stream than the topic's", place=entry.id)
        if entry.epoch != epoch:
            raise MessageInvalid("a batch of two epochs", place=entry.id)
        follows = entry.follows
        if not follows < entry.seq < _MAX_SEQ or (before is not None and follows != before):
            raise MessageInvalid("an entry that does not follow the one before it", place=entry.id)
        before = entry.seq
    return Batch(StreamKey(inbound.edge, epoch, inbound.stream.value), entries, damaged, inbound, len(raw))


def unpack(payload: bytes) -> bytes:
    """Decompress, to MAX_BATCH_BYTES at most: the size that a frame states is checked before it is believed."""
    try:
        stated = zstandard.get_frame_parameters(payload).content_size
        if stated not in {zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR} and stated > MAX_BATCH_BYTES:
            raise MessageInvalid(f"a batch of {stated} bytes is over the limit of {MAX_BATCH_BYTES}")
        made = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        return made.decompress(payload, max_output_size=MAX_BATCH_BYTES)
    except zstandard.ZstdError as error:
        raise MessageInvalid(f"not a zstd frame of at most {MAX_BATCH_BYTES} bytes: {error}") from error


def _salvage(raw: bytes) -> tuple[Sequence[Envelope], frozenset[int]]:
    """Read entry by entry: one that is broken but knows its place is kept, so that it cannot block its stream."""
    try:
        items = from_json(raw)
    except ValueError as error:
        raise MessageInvalid("not JSON", place="batch") from error
    if not isinstance(items, list):
        raise MessageInvalid("not a batch of CloudEvents", place="batch")
    entries, damaged = [], set()
    for index, item in enumerate(items):
        try:
            entries.append(read_entry(item))
        except MessageInvalid:
            entries.append(_placed(item, index))
            damaged.add(entries[-1].seq)
    return entries, frozenset(damaged)


def _placed(item: Any, index: int) -> Envelope:
    try:
        place = _Place.model_validate(item)
    except ValidationError as error:
        raise MessageInvalid("an entry without its place in the buffer", place=f"batch.{index}") from error
    return Envelope(
        specversion="1.0",
        id=f"{place.epoch}.{place.stream}.{place.seq}",
        source=place.source,
        type=str(item.get("type", ""))[:128],
        time=datetime.now(UTC),
        subject=str(item.get("subject", ""))[:128],
        epoch=place.epoch,
        stream=place.stream,
        seq=place.seq,
        after=place.after,
        bootid="",
        monotonic=0,
        clocksource=ClockSource.UNSYNCED,
        clockoffset=0,
        clockerror=0,
        data=Raw(to_json({"entry": item})),
    )


def moments(envelope: Envelope, received_at: datetime) -> tuple[datetime, datetime]:
    """Return (as the edge stamped it, by central's clock), both UTC; the time of receipt where the stamp is no time."""
    wall = envelope.time
    try:
        if wall.tzinfo is not UTC:
            wall = wall.astimezone(UTC) if wall.tzinfo else wall.replace(tzinfo=UTC)
        return wall, wall + timedelta(milliseconds=envelope.clockoffset)
    except OverflowError:
        return received_at, received_at


def typed(envelope: Envelope, *, damaged: bool) -> tuple[str, Event | None]:
    """Return the status of an event, and the event where it is known and fits its type."""
    if damaged:
        return INVALID, None
    try:
        event = read_event(envelope.type, bytes(envelope.data))
    except MessageInvalid:
        return INVALID, None
    return (UNKNOWN, None) if event is None else (OK, event)


def read_rows(
    batch: Batch, mark: int, positions: Iterator[int], received_at: datetime
) -> Iterator[tuple[EventRow, Event | None]]:
    """Yield the row of each entry after `mark`, and the event where it is known and fits its type."""
    edge, epoch, stream = batch.key
    site = edge.partition(".")[0]
    for entry in batch.entries:
        if entry.seq <= mark:
            continue
        status, event = typed(entry, damaged=entry.seq in batch.damaged)
        occurred_at, corrected_at = moments(entry, received_at)
        yield (
            (
                next(positions),
                received_at,
                site,
                edge,
                epoch,
                stream,
                entry.seq,
                kept(entry.type, 128),
                kept(entry.subject, 128),
                occurred_at,
                corrected_at,
                kept(entry.bootid, 64),
                kept_int(entry.monotonic),
                _CLOCKS[entry.clocksource],
                kept_int(entry.clockoffset),
                kept_int(entry.clockerror),
                status,
                str(memoryview(entry.data), "utf-8"),
            ),
            event,
        )
