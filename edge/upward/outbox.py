"""What waits for one upper library, on the disk: a buffer file of its own, and its pictures beside it.

Promises
1. `put` returns after the object and its pictures are on the disk; nothing is confirmed to a camera before that.
2. An object leaves after the upper library has answered ok for it, or refused it for good: then it is set aside,
   without its pictures, and counted. One that others overtake, and that is never taken, is set aside too.
3. A restart loses nothing and renames nothing; what was answered just before may be sent once more, under its own id.
4. Bounded: the oldest pictures give way first, then the oldest objects; both are counted.
5. A picture is removed after the departure of its last object is on the disk.

In the file: `telemetry` has what waits, `state` what was set aside (the last MAX_ASIDE), memos the subscriptions.
"""

import asyncio
import base64
import json
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

from core.crypto.errors import SealBroken
from core.errors import BufferUnavailable, FrameInvalid
from core.messages.envelope import Packed, Stamp, iso_ms, packed_event
from core.messages.event import Stream
from drivers.gat1400.answers import Status
from drivers.gat1400.bodies import OutObject
from edge.buffer import Buffer, Entry, open_buffer
from edge.files import FileStore, Vault
from edge.upward.level import Item
from edge.upward.objects import as_row, from_row, with_pictures
from edge.upward.patience import MAX_BEHIND, Patience

MAX_ASIDE: Final = 1000
MAX_RECENT: Final = 4096
"""So many objects that were sent are known by their id, so that the same again is not sent again."""
_WAITS: Final = Stream.TELEMETRY
_ASIDE: Final = Stream.STATE
_ROWS: Final = 2000
_ROWS_BYTES: Final = 4 << 20
_LEAST_ROWS_BYTES: Final = 8 << 20
_TIDY_S: Final = 0.5

log = structlog.get_logger()


@dataclass(slots=True)
class OutboxCounts:
    """Counted since the start."""

    put: int = 0
    repeats: int = 0
    delivered: int = 0
    set_aside: int = 0
    lost: int = 0
    """Objects that gave way for want of room, or that nobody can read any more."""


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    files: tuple[str, ...]
    at: datetime


class DurableOutbox:
    """The outbox of one platform; made by `open_outbox`. All methods belong to one event loop."""

    def __init__(
        self, buffer: Buffer, files: FileStore, vault: Vault, stamp: Callable[[], Stamp], *, most_bytes: int
    ) -> None:
        self.counts = OutboxCounts()
        self.last_refusal = ""
        self.files = files
        self.buffer = buffer
        self._vault = vault
        self._stamp = stamp
        self._most_bytes = most_bytes
        self._waiting: OrderedDict[int, _Row] = OrderedDict()
        self._pictures: dict[str, int] = {}
        """Of each object that waits: how many pictures it has."""
        self._recent: OrderedDict[str, int] = OrderedDict()
        self._leaving: deque[tuple[int, tuple[str, ...]]] = deque()
        self._last = 0
        self._dropped = 0
        self._patience = Patience()
        self._loaded: dict[int, Item] = {}
        self._begun: set[asyncio.Future[None]] = set()
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Return how many objects wait."""
        return len(self._waiting)

    @property
    def oldest(self) -> datetime | None:
        """Return since when the first of them waits."""
        first = next(iter(self._waiting.values()), None)
        return None if first is None else first.at

    async def put(self, what: OutObject) -> None:
        """Make an object durable; the same again is nothing new. Raise BufferUnavailable or BufferFull."""
        shown = len(what.images)
        if max(self._pictures.get(what.object_id, -1), self._recent.get(what.object_id, -1)) >= shown:
            self.counts.repeats += 1
            return
        # Once begun it is brought to its end: a row of which nobody here knows would be passed over.
        begun = asyncio.ensure_future(self._put(what))
        self._begun.add(begun)
        begun.add_done_callback(self._begun.discard)
        await asyncio.shield(begun)

    async def _put(self, what: OutObject) -> None:
        files: tuple[str, ...] = ()
        try:
            for image in what.images:
                files += (await self.files.put(image.data, image.media_type),)
            async with self._turn:
                at = self._stamp().wall
                packed = self._packed(_WAITS, what.object_id, as_row(what, files), at)
                (seq,) = await self.buffer.append((packed,))
                self._wait(seq, _Row(what.object_id, files, at))
        except BaseException:
            await self.files.release(files)
            raise
        self.counts.put += 1
        if self.buffer.counts.dropped[_WAITS] != self._dropped:
            await self._gave_way()
        self._changed.set()
        await self._tidy()

    def _wait(self, seq: int, row: _Row) -> None:
        self._waiting[seq] = row
        self._pictures[row.name] = len(row.files)
        self._last = max(self._last, seq)

    async def peek(self, limit: int) -> Sequence[Item]:
        """Return the oldest, at most `limit` and within the bytes of one request; wait until there is one."""
        while True:
            self._changed.clear()
            if found := await self._oldest(limit):
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(_TIDY_S if self._leaving else None):
                    await self._changed.wait()
            await self._tidy()

    async def _oldest(self, limit: int) -> list[Item]:
        chosen = self._patience.chosen(self._waiting, limit)
        missing = [seq for seq in chosen if seq not in self._loaded]
        if missing:
            await self._load(missing[0], set(missing))
        self._loaded = {seq: self._loaded[seq] for seq in chosen if seq in self._loaded}
        return list(self._loaded.values())

    async def _load(self, first: int, wanted: set[int]) -> None:
        """Read what is to be sent next, until its pictures fill one request."""
        after = first - 1
        used = sum(_size(item) for item in self._loaded.values())
        while wanted:
            entries = await self.buffer.read(_WAITS, after, entries=len(wanted) + MAX_BEHIND, bytes_=_ROWS_BYTES)
            after = entries[-1].seq if entries else self._last
            found = {entry.seq for entry in entries}
            for seq in [one for one in wanted if one <= after and one not in found]:
                await self._lost(seq)
            for entry in entries:
                if entry.seq in wanted and (item := await self._item(entry)) is not None:
                    self._loaded[entry.seq] = item
                    used += _size(item)
                if used >= self._most_bytes:
                    return
            wanted = {seq for seq in wanted if seq > after}

    async def _item(self, entry: Entry) -> Item | None:
        try:
            what, files = from_row(self._opened(entry.body))
        except (FrameInvalid, SealBroken, ValueError, KeyError) as error:
            log.warning("outbox.unreadable", seq=entry.seq, error=str(error))
            await self._lost(entry.seq)
            return None
        contents = [await self.files.read(name) for name in files]
        return Item(entry.seq, with_pictures(what, tuple(contents)))

    async def acknowledge(self, item: Item) -> None:
        """Take an object out: the upper library has it."""
        seq = _seq(item)
        row = self._waiting.get(seq)
        if row is None:
            return
        self.counts.delivered += 1
        self._patience.delivered()
        self._recent[row.name] = len(row.files)
        while len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        await self._leave(seq)

    async def refused(self, item: Item, status: Status) -> None:
        """Set an object aside that the upper library finds fault with."""
        await self._set_aside(item, f"{status.code} {status.text}".strip()[:200])

    async def postponed(self, item: Item, why: str) -> None:
        """Put an object behind the others that was not taken, and set it aside when they were and it never is."""
        if self._patience.is_over(_seq(item)):
            await self._set_aside(item, why[:200])

    async def _set_aside(self, item: Item, why: str) -> None:
        seq = _seq(item)
        row = self._waiting.get(seq)
        if row is None:
            return
        told = as_row(with_pictures(item.what, (b"",) * len(item.what.images)), ()) | {"why": why}
        newest = (await self.buffer.append((self._packed(_ASIDE, row.name, told, self._stamp().wall),)))[0]
        await self.buffer.acked(_ASIDE, newest - MAX_ASIDE)
        self.counts.set_aside += 1
        self.last_refusal = why
        log.warning("outbox.set_aside", object_id=row.name, why=why)
        await self._leave(seq)

    async def _lost(self, seq: int) -> None:
        if seq in self._waiting:
            self.counts.lost += 1
            await self._leave(seq)

    async def _leave(self, seq: int) -> None:
        row = self._waiting.pop(seq)
        self._pictures.pop(row.name, None)
        self._loaded.pop(seq, None)
        self._patience.forget(seq)
        upto = next(iter(self._waiting), self._last + 1) - 1
        self._leaving.append((max(seq, upto), row.files))
        await self.buffer.acked(_WAITS, upto)
        await self._tidy()

    async def _tidy(self) -> None:
        """Remove the pictures of what has left, once that is on the disk."""
        acked = self.buffer.depth(_WAITS).acked
        while self._leaving and self._leaving[0][0] <= acked:
            await self.files.release(self._leaving.popleft()[1])

    async def _gave_way(self) -> None:
        """Forget the objects that the buffer has dropped for want of room."""
        self._dropped = self.buffer.counts.dropped[_WAITS]
        left = await self.buffer.read(_WAITS, 0, entries=1, bytes_=1)
        first = left[0].seq if left else self._last + 1
        for seq in [one for one in self._waiting if one < first]:
            await self._lost(seq)
        await self.buffer.acked(Stream.VITAL, self.buffer.newest(Stream.VITAL))  # the gap is told by what is counted

    def memo(self) -> dict[str, dict[str, Any]]:
        """Return the subscriptions that are kept, by id."""
        found = self.buffer.memos("subscription/")
        return {key.partition("/")[2]: json.loads(value) for key, value in found.items()}

    async def keep(self, subscriptions: dict[str, dict[str, Any]]) -> None:
        """Keep these subscriptions, and no others. Raise BufferUnavailable."""
        memos: dict[str, bytes | None] = dict.fromkeys(self.buffer.memos("subscription/"))
        memos |= {f"subscription/{name}": json.dumps(told).encode() for name, told in subscriptions.items()}
        await self.buffer.append((), memos)

    async def load(self) -> None:
        """Learn what waits; called once."""
        after, uses = 0, dict[str, int]()
        while entries := await self.buffer.read(_WAITS, after, entries=_ROWS, bytes_=_ROWS_BYTES):
            after = entries[-1].seq
            for entry in entries:
                self._wait(entry.seq, self._row(entry))
        for row in self._waiting.values():
            for name in row.files:
                uses[name] = uses.get(name, 0) + 1
        await self.files.open(uses)
        self._last = max(self._last, self.buffer.newest(_WAITS))
        self._dropped = self.buffer.counts.dropped[_WAITS]

    def _row(self, entry: Entry) -> _Row:
        try:
            told = self._opened(entry.body)
            at = datetime.fromisoformat(told["put"])
            return _Row(told["id"], tuple(one[0] for one in told["images"]), at)
        except (SealBroken, ValueError, KeyError, TypeError, IndexError):
            return _Row(f"unreadable {entry.seq}", (), self._stamp().wall)  # told and counted when its turn comes

    def _packed(self, stream: Stream, name: str, row: dict[str, Any], at: datetime) -> Packed:
        """Pack a row as the technician's tools read it; what it says is sealed, since it names cars."""
        sealed = base64.b64encode(self._vault.seal(json.dumps(row | {"put": at.isoformat()}).encode())).decode()
        kind = "gatefleet.UpwardObject.v1"
        told = {"type": kind, "time": iso_ms(at), "subject": name, "data": {"sealed": sealed}}
        return Packed(stream, f"{kind}:{name}", json.dumps(told, separators=(",", ":")).encode())

    def _opened(self, body: bytes) -> dict[str, Any]:
        _, data = packed_event(body)
        found = json.loads(self._vault.open(base64.b64decode(data["sealed"])))
        assert isinstance(found, dict)
        return found


@asynccontextmanager
async def open_outbox(
    folder: Path, quota_bytes: int, vault: Vault, stamp: Callable[[], Stamp], *, most_bytes: int
) -> AsyncIterator[DurableOutbox]:
    """Open the outbox in a folder of its own. Raise BufferUnavailable."""
    try:
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BufferUnavailable(error.strerror or str(error), place=str(folder)) from error
    rows_bytes = max(_LEAST_ROWS_BYTES, quota_bytes // 8)
    files = FileStore(folder / "pictures", max(quota_bytes - rows_bytes, quota_bytes // 2), vault)
    async with open_buffer(folder / "outbox.db", rows_bytes, stamp) as buffer:
        outbox = DurableOutbox(buffer, files, vault, stamp, most_bytes=most_bytes)
        await outbox.load()
        yield outbox


def _seq(item: Item) -> int:
    assert isinstance(item.key, int), "an item of another outbox"
    return item.key


def _size(item: Item) -> int:
    return sum(len(image.data) for image in item.what.images)
