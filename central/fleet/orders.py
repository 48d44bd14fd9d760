"""Commands to lanes and devices: ordered, signed, sent, followed to their end.

Promises:
1. A command leaves only after it is committed, signed, with its actor, reason and time.
2. Its state never goes back; a final state stays. What an edge says after that is kept as its late report.
3. Each command ends: where no edge says how, a sweep ends it (`expired` if it never left, else `unknown`).
4. A restart or a lost broker forgets nothing: what is queued and in time is sent again; the edge does an id once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.bus import Bus, Recorded
from central.columns import kept
from central.db import Database, after_commit, new_id, now
from central.errors import Missing
from central.fleet import store
from central.messages import CommandFinished
from central.metrics import Metrics
from core.errors import LinkLost
from core.messages import topics
from core.messages.commands import Order, OrderCommand
from core.messages.events import CommandProgressed, CommandState
from core.messages.signed import Signed, Signer

_log = structlog.get_logger(__name__)

Publish = Callable[[str, str], Awaitable[None]]
"""(topic, payload), returns when the broker has it; raises LinkLost."""

_STEPS: Final = ("queued", "sent", "received", "executing")
_BEFORE: Final = {CommandState(state): _STEPS[:index] for index, state in enumerate(_STEPS)} | {
    state: _STEPS for state in CommandState if state.final
}
"""What a state may follow."""

_ANSWER_GRACE: Final = timedelta(seconds=5)
_GRACE: Final = {"executing": timedelta(seconds=60)}
"""A command that was begun in time may take its time: somebody walks through a gate."""
_LEAVING: Final = timedelta(seconds=1)
_SENT_PAUSE_S: Final = 0.05
_OTHER_WORKER_S: Final = 0.5
"""How often a long poll looks for what another worker has stored."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a command is for: a lane or a device of an edge; the other one is empty."""

    edge: str
    site: str
    lane: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants of a lane or a device."""

    command: OrderCommand
    reason: str
    ttl_s: float


@dataclass(slots=True, eq=False)
class _Follower:
    """A long poll: it is handed the command's row as each commit leaves it."""

    moved: asyncio.Event = field(default_factory=asyncio.Event)
    row: Row[Any] | None = None


class Commands:
    """Orders to lanes and devices, and their states."""

    def __init__(self, database: Database, bus: Bus, metrics: Metrics, signer: Signer, publish: Publish) -> None:
        self._database = database
        self._bus = bus
        self._metrics = metrics
        self._signer = signer
        self._publish = publish
        self._to_send: asyncio.Queue[Order] = asyncio.Queue()
        self._sent: list[str] = []
        self._left = asyncio.Event()
        self._connected = asyncio.Event()
        self._followers: defaultdict[str, set[_Follower]] = defaultdict(set)

    def register(self, bus: Bus) -> None:
        """Take part in ingest."""
        bus.project(CommandProgressed, self._progressed)

    async def issue(self, conn: AsyncConnection, target: Target, wanted: Wanted, actor: str) -> Mapping[str, Any]:
        """Write a command down and send it once that is durable; return its row."""
        moment = now()
        order = Order(
            id=new_id(),
            edge=target.edge,
            target=target.lane or target.device,
            command=wanted.command,
            issued_at=moment,
            expires_at=moment + timedelta(seconds=wanted.ttl_s),
            actor=actor,
            reason=wanted.reason,
        )
        row = {
            "id": order.id,
            "edge": order.edge,
            "site": target.site,
            "lane": target.lane,
            "device": target.device,
            "verb": order.command.verb,
            "order": order.model_dump_json(),
            "state": CommandState.QUEUED.value,
            "detail": "",
            "late_report": "",
            "actor": actor,
            "reason": order.reason,
            "issued_at": moment,
            "expires_at": order.expires_at,
            "updated_at": moment,
        }
        await store.add_command(conn, row)
        after_commit(conn, lambda: self._to_send.put_nowait(order))
        return row

    async def run(self) -> None:
        """Sign and send until cancelled."""
        while True:
            order = await self._to_send.get()
            try:
                await self._send(order)
            except Exception:  # noqa: BLE001 (the outermost frame of the task)
                _log.exception("command.not_sent", command=order.id)
                self._metrics.task_failures.labels("commands").inc()
            finally:
                self._to_send.task_done()

    async def _send(self, order: Order) -> None:
        if order.expires_at <= now():
            return
        signed = Signed.make("command", order.model_dump_json(), self._signer)
        try:
            await self._publish(topics.command(order.edge), signed.model_dump_json())
        except LinkLost as error:
            _log.warning("command.not_sent", command=order.id, edge=order.edge, error=error.detail)
            return
        _log.info("command.sent", command=order.id, edge=order.edge, verb=order.command.verb)
        self._sent.append(order.id)
        self._left.set()

    async def note_sent(self) -> None:
        """Write down what left, until cancelled; a little later, so that no answer has to wait behind this."""
        while True:
            await self._left.wait()
            await asyncio.sleep(_SENT_PAUSE_S)
            try:
                await self.write_sent()
            except Exception:  # noqa: BLE001 (the outermost frame of the task)
                _log.exception("command.sent_not_written")
                self._metrics.task_failures.labels("command_sent").inc()
                await asyncio.sleep(1)

    async def write_sent(self) -> None:
        """Write down which commands left since the last time."""
        self._left.clear()
        sent, self._sent = self._sent, []
        if not sent:
            return
        try:
            async with self._database.begin() as conn:
                await store.mark_sent(conn, sent, now())
        except BaseException:
            self._sent[:0] = sent
            self._left.set()
            raise

    async def tried(self) -> None:
        """Return when all that waited to be sent has been tried."""
        await self._to_send.join()

    def connected(self) -> None:
        """Hear that the broker is there (again)."""
        self._connected.set()

    async def resend_when_connected(self) -> None:
        """Queue again what did not leave, at each connection, until cancelled."""
        while True:
            await self._connected.wait()
            self._connected.clear()
            try:
                await self.resend()
            except Exception:  # noqa: BLE001 (the outermost frame of the task)
                _log.exception("command.not_resent")
                self._metrics.task_failures.labels("command_resend").inc()

    async def resend(self) -> None:
        """Queue again what is written down, in time, and has not left."""
        async with self._database.read() as conn:
            rows = await store.queued(conn, now())
        for row in rows:
            if row.id not in self._sent:
                self._to_send.put_nowait(Order.model_validate_json(row.order))

    async def get(self, command: str, check: Callable[[Row[Any]], None], wait_s: float = 0.0) -> Row[Any]:
        """Return a command; with `wait_s` once it is final, or as it is when the time is over. Raise Missing.

        `check` sees it first and raises where the caller may not.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        follower = _Follower()
        self._followers[command].add(follower)
        try:
            while True:
                row = follower.row or await self._stored(command)
                follower.row = None
                check(row)
                left_s = deadline - asyncio.get_running_loop().time()
                if left_s <= 0 or CommandState(row.state).final:
                    return row
                await self._pause(follower.moved, left_s)
        finally:
            self._followers[command].discard(follower)
            if not self._followers[command]:
                del self._followers[command]

    async def _stored(self, command: str) -> Row[Any]:
        async with self._database.read() as conn:
            row = await store.command_by_id(conn, command)
        if row is None:
            raise Missing(f"no command {command}")
        return row

    async def _pause(self, moved: asyncio.Event, left_s: float) -> None:
        try:
            async with asyncio.timeout(left_s if self._database.sqlite else min(left_s, _OTHER_WORKER_S)):
                await moved.wait()
                moved.clear()
        except TimeoutError:
            return

    async def _progressed(self, conn: AsyncConnection, rows: Sequence[Recorded]) -> None:
        """Move each command to the farthest state that this batch tells of."""
        farthest: dict[str, Recorded] = {}
        for row in rows:
            event = row.event
            assert isinstance(event, CommandProgressed)
            before = farthest.get(event.command)
            if before is None or _reaches(event.state, before.event):
                farthest[event.command] = row
        for command, row in farthest.items():
            event = row.event
            assert isinstance(event, CommandProgressed)
            values: dict[str, Any] = {
                "state": event.state.value,
                "detail": kept(event.detail, 512),
                "updated_at": now(),
            }
            if event.state.final:
                values["order"] = store.ORDER_AFTERWARDS
            moved = await store.move(conn, command, row.edge, before=_BEFORE[event.state], values=values)
            if moved is not None:
                await self._moved(conn, moved)
            elif event.state.final:
                late = {"late_report": kept(f"{event.state.value}: {event.detail}", 600)}
                await store.move(conn, command, row.edge, before=("unknown", "expired"), values=late)

    async def _moved(self, conn: AsyncConnection, row: Row[Any]) -> None:
        state = CommandState(row.state)
        if state.final:
            finished = CommandFinished(
                command=row.id,
                edge=row.edge,
                site=row.site,
                lane=row.lane,
                device=row.device,
                state=state,
                actor=row.actor,
                reason=row.reason,
                at=row.updated_at,
            )
            await self._bus.publish(conn, finished)
        after_commit(conn, lambda: self._tell(row))

    def _tell(self, row: Row[Any]) -> None:
        if CommandState(row.state).final:
            self._metrics.commands.labels(row.verb, row.state).inc()
            self._metrics.command_seconds.observe((row.updated_at - row.issued_at).total_seconds())
        for follower in self._followers.get(row.id, ()):
            follower.row = row
            follower.moved.set()

    async def sweep(self) -> None:
        """End what nobody ended, and send again what is queued."""
        moment = now()
        async with self._database.read() as conn:
            rows = await store.open_until(conn, _STEPS)
        silent = [row for row in rows if row.expires_at + _GRACE.get(row.state, _ANSWER_GRACE) < moment]
        if silent:
            async with self._database.begin() as conn:
                for row in silent:
                    await self._end(conn, row)
        if any(row.state == "queued" and row.issued_at + _LEAVING < moment < row.expires_at for row in rows):
            await self.resend()

    async def _end(self, conn: AsyncConnection, row: Row[Any]) -> None:
        never_left = row.state == "queued"
        state = CommandState.EXPIRED if never_left else CommandState.UNKNOWN
        detail = "it never left central" if never_left else f"no answer after {row.state}"
        values = {"state": state.value, "detail": detail, "updated_at": now(), "order": store.ORDER_AFTERWARDS}
        moved = await store.move(conn, row.id, row.edge, before=(row.state,), values=values)
        if moved is not None:
            await self._moved(conn, moved)


def _reaches(state: CommandState, before: object) -> bool:
    """Tell whether a state is farther than that of an event before it."""
    assert isinstance(before, CommandProgressed)
    return before.state.value in _BEFORE[state]
