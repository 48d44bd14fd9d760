"""The buffer as the rest of the edge sees it: asyncio in front, one writing and one reading thread behind."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from core.errors import BufferUnavailable, GatefleetError
from core.messages.envelope import Packed, Stamp
from core.messages.event import Stream
from edge.buffer.file import FileDamaged, beside, is_damage
from edge.buffer.opening import is_outage, open_store, reopen, store_in_outage
from edge.buffer.quota import Quota
from edge.buffer.reader import Reader, Reading
from edge.buffer.rows import Depth, Entry
from edge.buffer.store import Append, Counts, Store
from edge.buffer.writer import Acked, Condemned, Delivery, Mend, Waiting, Writer, unavailable

T = TypeVar("T")


class Buffer:
    """The durable outbox of one daemon. Made by `open_buffer`; all methods belong to one event loop."""

    def __init__(self, writer: Writer, reader: Reader, quota: Quota, store: Store) -> None:
        self.path = store.path
        self.quota_bytes = quota.bytes
        self.refused = 0
        self._writer = writer
        self._reader = reader
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="buffer-reader")
        self._memos = dict(store.memos.values)
        self._snapshot = writer.snapshot()
        self._changed = asyncio.Event()
        self._believed = -1
        self._closed = False

    @property
    def epoch(self) -> str:
        """Name this buffer's life: a new file, a new epoch."""
        return self._snapshot.epoch

    @property
    def healthy(self) -> bool:
        """Tell whether the last write was durable; it turns true again by itself."""
        return not self._snapshot.trouble

    @property
    def trouble(self) -> str:
        """Say why nothing can be committed now; empty while all is well."""
        return self._snapshot.trouble

    @property
    def used_bytes(self) -> int:
        """Return the bytes of the file that hold something, of `quota_bytes`."""
        return self._snapshot.used_bytes

    @property
    def counts(self) -> Counts:
        """Return what was appended and dropped by stream, lost and repaired, since the start."""
        return self._snapshot.counts

    def depth(self, stream: Stream) -> Depth:
        """Return what a stream holds."""
        return self._snapshot.depths[stream]

    def newest(self, stream: Stream) -> int:
        """Return the seq of a stream's last entry; with none left, what is acked."""
        return self._snapshot.depths[stream].newest

    def memo(self, key: str) -> bytes | None:
        """Return a memo's committed value."""
        return self._memos.get(key)

    def memos(self, prefix: str) -> dict[str, bytes]:
        """Return all memos whose key starts so."""
        return {key: value for key, value in self._memos.items() if key.startswith(prefix)}

    async def append(self, packed: Sequence[Packed], memo: Mapping[str, bytes | None] | None = None) -> tuple[int, ...]:
        """Commit entries and memos together; return the entries' seqs once they are on the disk. A memo of None goes.

        Raise BufferFull, BufferUnavailable or EntryRefused: then none of it is kept. A caller that is cancelled while
        it waits cannot tell.
        """
        waiting = Waiting(Append(packed, memo or {}), asyncio.get_running_loop().create_future())
        self._check_open()
        self._writer.put(waiting)
        return await waiting.done

    async def acked(self, stream: Stream, upto: int) -> None:
        """Let go of entries up to a seq, since central has committed them. Done soon: a lost ack is only a resend."""
        self._check_open()
        if upto > self.depth(stream).acked:
            self._writer.put(Acked(stream, upto))

    async def read(self, stream: Stream, after: int, *, entries: int, bytes_: int) -> Sequence[Entry]:
        """Return entries after a seq, in order, at most so many and so many bytes, one at the least if there is one."""
        self._check_open()

        def read() -> Reading:
            return self._reader.read(stream, after, entries, bytes_, self.depth(stream).acked)

        reading = await self._in_reader(read)
        if reading.hole and self._believed != self.counts.repairs:
            # A hole is what the quota leaves, or what damage hides: believe it once the whole file has been examined.
            await self._in_reader(self._reader.examine)
            self._believed = self.counts.repairs
            reading = await self._in_reader(read)
        if reading.bad:
            self._writer.put(Condemned(stream, reading.bad))
        return reading.entries

    async def wait_newer(self, stream: Stream, seq: int) -> None:
        """Return when the stream has an entry after a seq."""
        while self.newest(stream) <= seq:
            self._check_open()
            await self._changed.wait()

    async def _in_reader(self, call: Callable[[], T]) -> T:
        """Run in the reader's thread; where the file turns out damaged, have it mended and run again."""
        loop = asyncio.get_running_loop()
        repairs = self.counts.repairs
        try:
            try:
                return await loop.run_in_executor(self._reading, call)
            except (FileDamaged, sqlite3.Error) as error:
                if isinstance(error, sqlite3.Error) and not is_damage(error):
                    raise
                mend = Mend(str(error), repairs, loop.create_future())
            self._writer.put(mend)
            await mend.done
            return await loop.run_in_executor(self._reading, call)
        except (FileDamaged, sqlite3.Error) as error:
            raise unavailable(error, self.path) from error

    def settle(self, delivery: Delivery) -> None:
        """Take over what a group has come to; called in the loop."""
        self._snapshot = delivery.snapshot
        for waiting, result in delivery.appends:
            if isinstance(result, GatefleetError):
                self.refused += 1
            else:
                self._remember(waiting.append.memo)
            _resolve(waiting.done, result)
        for mend, error in delivery.mends:
            _resolve(mend.done, error)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _remember(self, memo: Mapping[str, bytes | None]) -> None:
        for key, value in memo.items():
            if value is None:
                self._memos.pop(key, None)
            else:
                self._memos[key] = value

    def _check_open(self) -> None:
        if self._closed:
            raise BufferUnavailable("the buffer is closed", place=str(self.path))

    async def close(self) -> None:
        """Commit what waits, and let the file go."""
        self._closed = True
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._reading.shutdown)
        self._reader.close()
        self._changed.set()


def _resolve(future: "asyncio.Future[T]", result: T | GatefleetError) -> None:
    if future.done():
        return
    if isinstance(result, GatefleetError):
        future.set_exception(result)
    else:
        future.set_result(result)


@asynccontextmanager
async def open_buffer(path: Path, quota_bytes: int, stamp: Callable[[], Stamp]) -> AsyncIterator[Buffer]:
    """Open the buffer at a path: made if there is none, mended if it is damaged. `stamp` is called in a thread.

    With the disk full or failing it opens all the same, and is not `healthy` until it can write. Raise
    BufferUnavailable when path or permissions are wrong, or when another process has it.
    """
    loop = asyncio.get_running_loop()
    quota = Quota(quota_bytes)
    with hold(path):
        reader = Reader(path)
        outage: Exception | None = None
        try:
            store = await asyncio.to_thread(open_store, path, quota, stamp)
        except (OSError, sqlite3.Error, FileDamaged) as error:
            if not is_outage(error, path):
                raise unavailable(error, path) from error
            outage = error
            store = await asyncio.to_thread(store_in_outage, path, quota, stamp)

        def deliver(delivery: Delivery) -> None:
            loop.call_soon_threadsafe(buffer.settle, delivery)

        writer = Writer(store, reader, lambda old, reason: reopen(old, quota, stamp, reason), deliver)
        if outage:
            writer.distrust(outage)
        buffer = Buffer(writer, reader, quota, store)
        writer.start()
        try:
            yield buffer
        finally:
            await buffer.close()


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Keep other processes from writing the file meanwhile; raise BufferUnavailable when one already does."""
    lock = beside(path, ".lock")
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unavailable(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            cure = "stop it, or give each daemon its own path"
            raise BufferUnavailable("another process has this buffer open", place=str(path), cure=cure) from error
        yield
    finally:
        os.close(descriptor)
