"""The one thread that writes: it takes all that waits, commits it in one transaction, then tells the event loop.

append() --+                +-> futures resolved \
    append() --+-> queue -> one transaction, one fsync  +-> one call into the loop per group
acked()  --+                +-> snapshot         /
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from errno import errorcode
from pathlib import Path
from time import monotonic
from typing import Final

from core.errors import BufferUnavailable, GatefleetError
from core.messages.event import Stream
from edge.buffer.file import is_damage
from edge.buffer.reader import Reader
from edge.buffer.rows import Depth
from edge.buffer.store import Append, Counts, Result, Store

GROUP_ROWS: Final = 1000
GROUP_BYTES: Final = 1024 * 1024
ACK_DELAY_S: Final = 0.2
"""How long acks wait for an append to ride with; a lost ack is only a resend."""
PROBE_S: Final = 1.0
"""How often a disk that could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An append and who waits for it."""

    append: Append
    done: "asyncio.Future[tuple[int, ...]]"


@dataclass(frozen=True, slots=True)
class Acked:
    """Central has committed a stream up to a seq."""

    stream: Stream
    upto: int


@dataclass(frozen=True, slots=True)
class Condemned:
    """A reader found rows that fail their proof."""

    stream: Stream
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mend:
    """A reader found the file damaged when it had been repaired `repairs` times; `done` once it is mended."""

    reason: str
    repairs: int
    done: "asyncio.Future[None]"


Request = Waiting | Acked | Condemned | Mend


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is committed, as the loop's side sees it; `trouble` is empty while the disk takes what it is given."""

    epoch: str
    trouble: str
    used_bytes: int
    depths: Mapping[Stream, Depth]
    counts: Counts


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one group has come to."""

    appends: Sequence[tuple[Waiting, Result | GatefleetError]]
    mends: Sequence[tuple[Mend, GatefleetError | None]]
    snapshot: Snapshot


@dataclass(slots=True)
class Group:
    """The requests that are committed together."""

    waiting: list[Waiting] = field(default_factory=list)
    condemned: dict[Stream, set[int]] = field(default_factory=dict)
    mends: list[Mend] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    last: bool = False


class Writer:
    """Owns the store. `reopen` (with the reason for a repair, or none) and `deliver` are called in its thread."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        reopen: Callable[[Store, str], Store],
        deliver: Callable[[Delivery], None],
    ) -> None:
        self._store = store
        self._reader = reader
        self._reopen = reopen
        self._deliver = deliver
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._acks: dict[Stream, int] = {}
        self._acks_due = 0.0
        self._trouble = ""
        self._distrusted = False
        self._thread = threading.Thread(target=self._run, name="buffer-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def distrust(self, error: Exception) -> None:
        """Take the store for one that is to be reopened before anything can be written; call before `start`."""
        self._distrusted = True
        self._trouble = str(unavailable(error, self._store.path))

    def put(self, request: Request) -> None:
        """Hand over a request."""
        self._queue.put(request)

    def stop(self) -> None:
        """Commit what waits, close the file and return when that is done; blocks."""
        self._queue.put(None)
        self._thread.join()

    def snapshot(self) -> Snapshot:
        """Return what is committed."""
        store = self._store
        return Snapshot(store.epoch, self._trouble, store.used_bytes, dict(store.depths), store.counts.copy())

    def _run(self) -> None:
        group = Group()
        while not group.last:
            group = self._collect()
            try:
                self._write(group)
            except Exception as error:  # noqa: BLE001  the thread's outermost frame: whoever waits must hear of it
                self._fail(group, error)
        with suppress(sqlite3.Error):
            self._store.close()

    def _collect(self) -> Group:
        """Wait for a request, an ack's delay or a probe's time, then take what there is, up to a group's size."""
        group = Group()
        with suppress(queue.Empty):
            request = self._queue.get(timeout=self._patience())
            while self._take(group, request):
                request = self._queue.get_nowait()
        return group

    def _patience(self) -> float | None:
        if self._trouble:
            return PROBE_S
        return max(0.0, self._acks_due - monotonic()) if self._acks else None

    def _take(self, group: Group, request: Request | None) -> bool:
        """Sort a request in; return False when the group is full or the last."""
        match request:
            case Waiting(append):
                group.waiting.append(request)
                group.rows += len(append.packed) + 1
                group.bytes += append.cost
            case Acked(stream, upto):
                self._acks_due = self._acks_due if self._acks else monotonic() + ACK_DELAY_S
                self._acks[stream] = max(upto, self._acks.get(stream, 0))
            case Condemned(stream, seqs):
                group.condemned.setdefault(stream, set()).update(seqs)
            case Mend():
                group.mends.append(request)
            case None:
                group.last = True
        return not group.last and group.rows < GROUP_ROWS and group.bytes < GROUP_BYTES

    def _write(self, group: Group) -> None:
        if self._distrusted:
            self._renew("")
        for mend in group.mends:
            if mend.repairs == self._store.counts.repairs:
                self._renew(mend.reason)
        acks = self._acks if group.waiting or group.last or monotonic() >= self._acks_due else {}
        results: list[Result] = []
        if group.waiting or group.condemned or acks:
            results = self._commit(group, acks)
        elif self._trouble:
            self._store.probe()
        elif not group.mends:
            return
        self._trouble = ""
        self._tell(zip(group.waiting, results, strict=True), [(mend, None) for mend in group.mends])

    def _commit(self, group: Group, acks: Mapping[Stream, int]) -> list[Result]:
        appends = [waiting.append for waiting in group.waiting]
        try:
            results, left = self._store.commit(appends, acks, group.condemned)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._renew(str(error))
            results, left = self._store.commit(appends, acks)
        if acks:
            self._acks = left
        return results

    def _renew(self, reason: str) -> None:
        """Open the file again, after salvage where there is a reason for it."""
        with self._reader.paused():
            self._store = self._reopen(self._store, reason)
        self._distrusted = False

    def _fail(self, group: Group, error: Exception) -> None:
        """Tell all who wait that nothing is committed; `_patience` sees to it that the disk is tried again."""
        # After a failed write or fsync the file is read anew rather than trusted; a full disk is no reason for that.
        self._distrusted = self._distrusted or getattr(error, "sqlite_errorname", "") != "SQLITE_FULL"
        path = self._store.path
        self._trouble = str(unavailable(error, path))
        self._tell(
            [(waiting, unavailable(error, path)) for waiting in group.waiting],
            [(mend, unavailable(error, path)) for mend in group.mends],
        )

    def _tell(
        self,
        appends: Iterable[tuple[Waiting, Result | GatefleetError]],
        mends: Sequence[tuple[Mend, GatefleetError | None]],
    ) -> None:
        self._deliver(Delivery(list(appends), mends, self.snapshot()))


def unavailable(error: Exception, path: Path) -> BufferUnavailable:
    """Return what callers are told of a file that cannot be written."""
    name = getattr(error, "sqlite_errorname", "") or errorcode.get(getattr(error, "errno", None) or 0, "")
    cures = {
        "SQLITE_FULL": "free space on its file system; the buffer goes on by itself",
        "ENOSPC": "free space on its file system; the buffer goes on by itself",
        "SQLITE_READONLY": "make file and directory writable for the daemon's user",
        "SQLITE_CANTOPEN": "make file and directory writable for the daemon's user",
        "ENOENT": "make the directory, or correct the path",
        "EACCES": "make file and directory writable for the daemon's user",
    }
    return BufferUnavailable(
        f"{type(error).__name__}: {error}", place=str(path), cure=cures.get(name, "check the disk")
    )
