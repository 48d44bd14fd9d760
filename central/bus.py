"""How the domains meet: projections of the edges' events, and messages among the domains through an outbox.

Promises:
1. A projection runs in the transaction that stores its events; both are there, or neither is.
2. A message is published in the caller's transaction: it goes out if, and only if, that commits.
3. Each subscriber gets each message at least once; its effect in the database is exactly once, since the delivery is
   struck out in the transaction of the handler.
4. Messages with the same key reach a subscriber in order; one that keeps failing is parked after some tries, counted,
   and holds up no other.
5. A restart forgets nothing: what is due is read from the outbox.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import outbox
from central.db import Database, after_commit, new_id, now, transient
from central.errors import Missing
from central.messages import Message
from central.metrics import Metrics
from core.messages.event import Event

_log = structlog.get_logger(__name__)

_WINDOW: Final = 500
_HANDLER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that was just stored. Positions grow in the order of storing; they have gaps."""

    position: int
    event: Event
    edge: str
    epoch: str
    seq: int
    site: str
    occurred_at: datetime
    """Central's time: the edge's, corrected by its measured offset."""
    received_at: datetime


M = TypeVar("M", bound=Message)
Project = Callable[[AsyncConnection, Sequence[Recorded]], Awaitable[None]]
Handler = Callable[[AsyncConnection, M], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Subscription:
    name: str
    kind: type[Message]
    handler: Handler[Any]


class Bus:
    """The registry of projections and subscribers, and the workers of the outbox."""

    def __init__(
        self, database: Database, metrics: Metrics, *, tries: int = 10, sweep_s: float = 5.0, back_off_s: float = 0.5
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._tries = tries
        self._sweep_s = sweep_s
        self._back_off_s = back_off_s
        self._projections: list[tuple[frozenset[type[Event]], Project]] = []
        self._projected: set[type[Event]] = set()
        self._subscriptions: dict[tuple[str, str], _Subscription] = {}
        self._wakes: dict[str, asyncio.Event] = {}

    def project(self, kinds: type[Event] | Iterable[type[Event]], handler: Project) -> None:
        """Call the handler with new events of these kinds, in order, in the transaction that stores them."""
        wanted = frozenset((kinds,) if isinstance(kinds, type) else kinds)
        self._projections.append((wanted, handler))
        self._projected |= wanted

    def projects(self, kind: type[Event]) -> bool:
        """Tell whether anyone wants events of a kind."""
        return kind in self._projected

    async def apply(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        """Run the projections over new rows (ingest calls this)."""
        present = {type(row.event) for row in rows}
        for wanted, handler in self._projections:
            if wanted.isdisjoint(present):
                continue
            await handler(conn, rows if present <= wanted else [row for row in rows if type(row.event) in wanted])

    def subscribe(self, kind: type[M], name: str, handler: Handler[M]) -> None:
        """Deliver messages of a kind to the handler; `name` is stable (it stands in the outbox) and may take many."""
        if (kind.TYPE, name) in self._subscriptions:
            raise TypeError(f"{name} subscribes to {kind.TYPE} twice")
        self._subscriptions[kind.TYPE, name] = _Subscription(name, kind, handler)
        self._wakes.setdefault(name, asyncio.Event())

    async def publish(self, conn: AsyncConnection, *messages: Message) -> None:
        """Put messages in the outbox, in the transaction of `conn` (one of Database.begin)."""
        moment = now()
        rows: list[dict[str, Any]] = []
        for message in messages:
            takers = [one.name for one in self._subscriptions.values() if one.kind.TYPE == message.TYPE]
            fields = {
                "message": new_id(),
                "type": message.TYPE,
                "key": message.key(),
                "body": message.model_dump_json(),
                "state": outbox.PENDING,
                "published_at": moment,
                "due_at": moment,
                "attempts": 0,
                "error": "",
            }
            rows.extend({**fields, "subscriber": name} for name in takers)
        if rows:
            await outbox.put(conn, rows)
            names = {row["subscriber"] for row in rows}
            after_commit(conn, lambda: self._wake(names))

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            self._wakes[name].set()

    async def retry_parked(self, conn: AsyncConnection, delivery: int) -> None:
        """Try a parked delivery again from the start; raise Missing where there is none."""
        name = await outbox.unpark(conn, delivery, now())
        if name is None:
            raise Missing(f"no parked delivery {delivery}")
        if name in self._wakes:
            after_commit(conn, lambda: self._wake([name]))

    async def run(self) -> None:
        """Deliver until cancelled: one task for each subscriber, so that a slow one holds up no other."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._wakes:
                tasks.create_task(self._serve(name), name=f"bus:{name}")

    async def drain(self) -> None:
        """Deliver all that is due now, then return (tests and one-shot commands)."""
        for _ in range(100):
            done = [await self._round(name) for name in self._wakes]
            if not any(delivered for delivered, _ in done):
                return

    async def _serve(self, name: str) -> None:
        wake = self._wakes[name]
        while True:
            wake.clear()
            try:
                delivered, pause_s = await self._round(name)
            except Exception:  # noqa: BLE001 (the outermost frame of the task)
                _log.exception("bus.round_failed", subscriber=name)
                self._metrics.task_failures.labels(f"bus:{name}").inc()
                delivered, pause_s = 0, 1.0
            if not delivered:
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), pause_s)

    async def _round(self, name: str) -> tuple[int, float]:
        """Deliver what is due; return how many succeeded, and the seconds until something is due again."""
        async with self._database.read() as conn:
            rows = await outbox.waiting(conn, name, _WINDOW)
        blocked: set[str] = set()
        delivered, pause_s, moment = 0, self._sweep_s, now()
        for row in rows:
            if row.key in blocked:
                continue
            wait_s = (row.due_at - moment).total_seconds()
            if wait_s <= 0 and await self._deliver(name, row.id):
                delivered += 1
                continue
            pause_s = min(pause_s, wait_s if wait_s > 0 else self._back_off_s)
            if row.key:
                blocked.add(row.key)
        return delivered, pause_s

    async def _deliver(self, name: str, delivery: int) -> bool:
        try:
            async with self._database.begin() as conn:
                row = await outbox.claim(conn, delivery)
                if row is None:
                    return False
                subscription = self._subscription(row.type, name)
                async with asyncio.timeout(_HANDLER_S):
                    await subscription.handler(conn, subscription.kind.model_validate_json(row.body))
                await outbox.delivered(conn, delivery)
        except Exception as error:  # a handler's bug must stop no stream
            if transient(error) and not isinstance(error, TimeoutError):
                raise
            await self._note_failure(name, delivery, error)
            return False
        self._metrics.deliveries.labels(name, "done").inc()
        return True

    def _subscription(self, kind: str, name: str) -> _Subscription:
        subscription = self._subscriptions.get((kind, name))
        if subscription is None:
            raise Missing(f"nothing handles {kind} for {name} in this release")
        return subscription

    async def _note_failure(self, name: str, delivery: int, error: Exception) -> None:
        async with self._database.begin() as conn:
            row = await outbox.claim(conn, delivery)
            if row is None:
                return
            park = row.attempts + 1 >= self._tries
            pause_s = min(self._back_off_s * 2**row.attempts, 60.0) * random.uniform(0.8, 1.2)  # noqa: S311 (jitter)
            due_at = now() + timedelta(seconds=pause_s)
            text = f"{type(error).__name__}: {error}"
            await outbox.failed(conn, delivery, error=text, due_at=due_at, park=park)
            if park:
                count = await outbox.parked_count(conn)
                after_commit(conn, lambda: self._metrics.bus_parked.set(count))
        outcome = "parked" if park else "failed"
        self._metrics.deliveries.labels(name, outcome).inc()
        _log.warning("bus.delivery_failed", subscriber=name, delivery=delivery, outcome=outcome, error=text)
