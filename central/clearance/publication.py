"""From active entries to signed content, and to the edges.

Promises:
1. What is announced was signed, stored and committed before.
2. Versions and serials only grow; content of a version never changes.
3. A change of a list is announced to all its edges within a second or so, and again every `every_s`: the lists' age at
   the edges counts from then. What is due stands in the database: a restart, or another worker, goes on with it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import Row

from central.clearance import publication_store as store
from central.clearance.list_model import ANY_SITE
from central.db import Database, now
from central.metrics import Metrics
from core.clearance.lists import ListContent, make_content, read_snapshot, write_delta, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.errors import LinkLost
from core.messages import topics
from core.messages.signed import Signed, Signer
from core.messages.wire import Announced, ListAnnouncement

_log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Whoever holds the connection to the broker."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Return when the broker has it; raise LinkLost."""


_LOOK_S: Final = 5.0
"""How often the database is asked, without being woken."""
_KEEP_VERSIONS: Final = 10


@dataclass(frozen=True, slots=True)
class PublicationSettings:
    """How often lists are announced anew, and how long changes are gathered before a snapshot is built."""

    every_s: float = 60.0
    gather_s: float = 0.2


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a snapshot is to be made of."""

    row: Row[Any]
    entries: Sequence[Row[Any]]
    before: ListContent | None


class Publication:
    """Builds snapshots and deltas of lists, and announces them."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        digest: Callable[[bytes], bytes],
        publish: Publish,
        metrics: Metrics,
        settings: PublicationSettings,
    ) -> None:
        self._database = database
        self._signer = signer
        self._digest = digest
        self._publish = publish
        self._metrics = metrics
        self._settings = settings
        self._wake = asyncio.Event()
        self._built: dict[str, ListContent] = {}

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def run(self, *chores: Callable[[datetime], Awaitable[object]]) -> None:
        """Build and announce until cancelled; the chores are done before each round."""
        while True:
            pause_s = min(_LOOK_S, self._settings.every_s)
            try:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause_s)
                    await asyncio.sleep(self._settings.gather_s)
                self._wake.clear()
                for chore in chores:
                    await chore(now())
                await self.round()
            except LinkLost as error:
                _log.warning("lists.not_announced", error=str(error))
            except Exception:  # noqa: BLE001 (the outermost frame of the task)
                _log.exception("lists.round_failed")
                self._metrics.task_failures.labels("lists").inc()
                await asyncio.sleep(1.0)

    async def round(self) -> None:
        """Build what is due, then announce what is due."""
        async with self._database.read() as conn:
            due = await store.due_lists(conn)
        for list_id in due:
            await self.build(list_id)
        await self.announce()

    async def build(self, list_id: str) -> int | None:
        """Make a list's next version; return it, None where nothing changed or another worker was first."""
        draft = await self._draft(list_id)
        begun = time.perf_counter()
        content, made = await asyncio.to_thread(self._make, draft)
        row = draft.row
        async with self._database.begin() as conn:
            if not await store.still_due(conn, list_id, row.content_version, row.changes):
                return None
            if made is None:
                await store.nothing_new(conn, list_id, row.changes)
                return None
            await store.put_snapshot(conn, made, changes=row.changes, keep=_KEEP_VERSIONS)
        self._built[list_id] = content
        version = content.head.version
        took_ms = round((time.perf_counter() - begun) * 1000)
        _log.info("lists.built", list=list_id, version=version, entries=content.head.entries, took_ms=took_ms)
        return version

    async def _draft(self, list_id: str) -> _Draft:
        async with self._database.read() as conn:
            row = await store.list_row(conn, list_id)
            entries = await store.active_entries(conn, list_id)
            before = self._built.get(list_id)
            if before is None or before.head.version != row.content_version:
                stored = await store.snapshot(conn, list_id, row.content_version)
                before = await asyncio.to_thread(_read, stored.content) if stored is not None else None
        return _Draft(row, entries, before)

    def _make(self, draft: _Draft) -> tuple[ListContent, dict[str, Any] | None]:
        """Return the next content, and its row unless it says the same as the one before. Runs in a thread."""
        row, before = draft.row, draft.before
        content = make_content(
            row.id,
            row.content_version + 1,
            ListEffect(row.effect),
            row.priority,
            [(one.token, ListEntry(one.id, one.valid_from, one.valid_to, one.person_class)) for one in draft.entries],
        )
        if before is not None and before.head.priority == row.priority and before.entries == content.entries:
            return before, None
        signed = Signed.make("snapshot", write_snapshot(content), self._signer).model_dump_json().encode()
        delta = None
        if before is not None:
            delta = Signed.make("delta", write_delta(before, content), self._signer).model_dump_json().encode()
            delta = delta if len(delta) < len(signed) else None
        return content, {
            "list_id": row.id,
            "version": content.head.version,
            "entries": content.head.entries,
            "content": signed,
            "digest": self._digest(signed).hex(),
            "size": len(signed),
            "delta": delta,
            "delta_from": row.content_version if delta is not None else 0,
            "key_id": self._signer.key_id,
            "built_at": now(),
        }

    async def announce(self) -> int:
        """Announce all lists to the edges for which that is due; return how many."""
        before = now() - timedelta(seconds=self._settings.every_s)
        async with self._database.read() as conn:
            if not await store.any_due_edge(conn, before):
                return 0
        async with self._database.begin() as conn:
            edges = await store.take_due_edges(conn, before, int(time.time()))
            snapshots = await store.newest_snapshots(conn)
        told = 0
        try:
            for edge in edges:
                lists = tuple(_announced(one) for one in snapshots if {ANY_SITE, edge.site} & set(one.sites))
                news = ListAnnouncement(edge=edge.edge, serial=edge.serial, issued_at=edge.announced_at, lists=lists)
                signed = Signed.make("list", news.model_dump_json(), self._signer)
                await self._publish(topics.list_announcement(edge.edge), signed.model_dump_json().encode(), retain=True)
                told += 1
        finally:
            if told < len(edges):
                await self._owe([edge.edge for edge in edges[told:]])
        return told

    async def _owe(self, edges: Sequence[str]) -> None:
        async with self._database.begin() as conn:
            await store.make_due(conn, edges)


def _read(content: bytes) -> ListContent:
    """Read a snapshot of our own, out of our own database."""
    return read_snapshot(Signed.read(content, "snapshot").body)


def _announced(row: Row[Any]) -> Announced:
    base = f"/v1/lists/{row.list_id}"
    return Announced(
        list_id=row.list_id,
        version=row.version,
        digest=row.digest,
        size=row.size,
        path=f"{base}/snapshots/{row.version}/content",
        delta_path=f"{base}/deltas/{row.version}/content" if row.delta_from else "",
        delta_from=row.delta_from,
    )
