"""The composition root of an edge: build, start in order, stop in reverse. Nothing here decides anything."""

import asyncio
import hashlib
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog
from pydantic import ValidationError

from core.crypto import suite
from core.crypto.signing import TrustedKeys
from core.errors import NotFound
from core.messages.commands import OpenLane, Order, ResetDevice, SetLaneMode
from core.messages.event import Event
from core.messages.events import DeviceSeen, EdgeStarted
from core.messages.ids import ENTROPY_BYTES, ulid
from core.messages.wire import Presence
from edge.board import Board
from edge.buffer import Buffer, open_buffer
from edge.clearance import Judge
from edge.clock import Clock
from edge.config import EdgeConfig, LaneSection, load_config, read_secret
from edge.control import ControlServer
from edge.desk import Desk, Tail
from edge.health import DaemonCollector, Metrics, serve_metrics
from edge.lane import LaneRunner, Observers
from edge.lanes.words import AskMode, AskOpen, Memo
from edge.ledger import Ledger
from edge.links.modbus import Bus
from edge.links.modbus_url import BusAddress, open_bus, parse_modbus_url
from edge.links.stream import stream_link
from edge.lists import ListKeeper, https_fetch
from edge.notify import Notifier
from edge.orders import Orders
from edge.session import RegisterSession, Session, StreamSession
from edge.supervisor import Supervisor
from edge.uplink import Uplink, UplinkState

_MB = 1_000_000

log = structlog.get_logger()


@dataclass(slots=True)
class Parts:
    """What a running daemon consists of, for metrics and tests."""

    config: EdgeConfig
    clock: Clock
    buffer: Buffer
    ledger: Ledger
    board: Board
    lists: ListKeeper
    orders: Orders
    lanes: dict[str, LaneRunner]
    sessions: dict[str, Session]
    buses: dict[BusAddress, Bus]
    metrics: Metrics
    tail: Tail
    link: Uplink
    metrics_port: int = 0

    @property
    def uplink(self) -> UplinkState:
        """Return the uplink's state."""
        return self.link.state


def run(path: Path) -> int:
    """Run the daemon of a config file until SIGTERM or SIGINT; return the exit status."""
    config = load_config(path)
    asyncio.run(serve(config))
    return 0


async def serve(config: EdgeConfig, ready: Callable[[Parts], None] | None = None) -> None:
    """Run until cancelled or signalled; `ready` hears when everything is up."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    notifier = Notifier()
    clock = Clock()
    async with AsyncExitStack() as stack:
        section = config.file.buffer
        section.path.parent.mkdir(parents=True, exist_ok=True)
        buffer = await stack.enter_async_context(open_buffer(section.path, section.quota_mb * _MB, clock.stamp))
        parts = build(config, clock, buffer)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        supervisor = Supervisor(group)
        try:
            await _start(parts, supervisor, stack)
            notifier.send(READY="1", STATUS=_status(parts))
            supervisor.keep("notify", lambda: notifier.run(lambda: _status(parts)))
            log.info("edge.ready", edge=config.edge, devices=len(parts.sessions), lanes=len(parts.lanes))
            if ready is not None:
                ready(parts)
            await stopping.wait()
        finally:
            notifier.send(STOPPING="1")
            await supervisor.stop()


def build(config: EdgeConfig, clock: Clock, buffer: Buffer) -> Parts:
    """Wire everything together; nothing runs yet."""
    crypto = suite(config.file.crypto.suite)
    trusted = TrustedKeys.of_texts(config.file.crypto.trusted_keys)
    ledger = Ledger(buffer, clock.stamp)
    background: set[asyncio.Task[bool]] = set()

    def tell(event: Event) -> None:
        task = asyncio.get_running_loop().create_task(ledger.commit((event,)), name="tell")
        background.add(task)
        task.add_done_callback(background.discard)

    async def tell_now(event: Event) -> None:
        await ledger.commit((event,))

    uplink_section = config.file.uplink
    lists = ListKeeper(
        edge=config.edge,
        folder=config.file.buffer.path.parent / "lists",
        verifier=trusted,
        fetch=https_fetch(
            uplink_section.central_url, lambda: read_secret(uplink_section.api_key) if uplink_section.api_key else ""
        ),
        tell=tell_now,
        digest=crypto.hash,
    )
    token_key = read_secret(config.file.crypto.token_key).encode()
    judge = Judge(ruleset=config.ruleset, lists=lambda: lists.in_force, token_key=token_key, hmac=crypto.hmac)
    metrics, tail = Metrics(), Tail(clock)
    board = Board(config.devices, now=clock.wall, tell=tell)
    sessions: dict[str, Session] = {}
    lanes: dict[str, LaneRunner] = {}

    def observed(event: object) -> None:
        metrics.event(event)
        tail.event(event)

    for lane in config.file.lane:
        lanes[lane.id] = LaneRunner(
            spec=lane,
            memo=_memo(buffer, lane),
            judge=judge,
            gate=lambda command, gate=lane.gate: sessions[gate].command(command),  # type: ignore[misc]  # bound default
            ledger=ledger,
            clock=clock,
            offline=lambda: not link.state.up,
            new_id=lambda: new_id(clock),
            observers=Observers(observed, metrics.opened, metrics.decided),
        )
    buses = _sessions(config, board, lanes, sessions)
    orders = Orders(
        edge=config.edge,
        buffer=buffer,
        ledger=ledger,
        clock=clock,
        verifier=trusted,
        execute=lambda order: _execute(order, lanes, sessions, clock),
    )
    link = Uplink(
        edge=config.edge,
        section=uplink_section,
        buffer=buffer,
        clock=clock,
        presence=Presence(state="online", version=version("gatefleet"), boot_id=clock.boot_id, epoch=buffer.epoch),
        on_command=orders.arrived,
        on_list=lists.announced,
    )
    return Parts(config, clock, buffer, ledger, board, lists, orders, lanes, sessions, buses, metrics, tail, link)


def new_id(clock: Clock) -> str:
    """Return an id that sorts by time."""
    return ulid(int(clock.wall().timestamp() * 1000), secrets.token_bytes(ENTROPY_BYTES))


def _memo(buffer: Buffer, lane: LaneSection) -> Memo:
    raw = buffer.memo(f"lane/{lane.id}")
    try:
        return Memo.model_validate_json(raw) if raw else Memo()
    except ValidationError:
        log.warning("lane.memo_unreadable", lane=lane.id)
        return Memo()


def _sessions(
    config: EdgeConfig, board: Board, lanes: dict[str, LaneRunner], sessions: dict[str, Session]
) -> dict[BusAddress, Bus]:
    """Build a session for each device, and the buses that register devices share."""
    buses: dict[BusAddress, Bus] = {}
    for spec in config.devices.values():
        lane = lanes.get(spec.lane) if spec.lane else None
        if spec.link.startswith("modbus"):
            url = parse_modbus_url(spec.link)
            session = RegisterSession(spec, board, lane.observed if lane else _nobody)
            bus = buses.setdefault(url.bus, open_bus(url.bus))
            session.attach(bus, url.unit, url.timeout_s)
            sessions[spec.id] = session
        else:
            deliver = lane.credential if lane else _nobody_waits
            sessions[spec.id] = StreamSession(spec, stream_link(spec.link), board, deliver)
    return buses


def _nobody(fact: object) -> None:
    """Take a fact of a device that serves no lane: the board has it already."""


async def _nobody_waits(fact: object) -> None:
    """Take a fact of a stream device that serves no lane."""


async def _execute(order: Order, lanes: dict[str, LaneRunner], sessions: dict[str, Session], clock: Clock) -> str:
    if isinstance(order.command, ResetDevice):
        session = sessions.get(order.target)
        if session is None:
            raise NotFound(f"there is no device {order.target!r} here")
        await session.command(order.command)
        return ""
    lane = lanes.get(order.target)
    if lane is None:
        raise NotFound(f"there is no lane {order.target!r} here")
    match order.command:
        case OpenLane(direction=direction):
            return await lane.ask(AskOpen(new_id(clock), direction, order.actor, order.reason))
        case SetLaneMode(mode=mode):
            return await lane.ask(AskMode(mode, order.actor, order.reason))


async def _start(parts: Parts, supervisor: Supervisor, stack: AsyncExitStack) -> None:
    await parts.lists.load()
    await parts.orders.recover()
    await parts.ledger.commit((_started(parts), *_seen(parts)))
    supervisor.keep("ledger", parts.ledger.run)
    for lane in parts.lanes.values():
        supervisor.keep(f"lane.{lane.spec.id}", lane.run)
    for address, bus in parts.buses.items():
        supervisor.keep(f"bus.{address}", bus.run, _on_bus_end(parts, address))
    for session in parts.sessions.values():
        if isinstance(session, StreamSession):
            supervisor.keep(f"device.{session.spec.id}", session.run, session.lost)
    supervisor.keep("uplink", parts.link.run)
    desk = Desk(
        edge=parts.config.edge,
        version=version("gatefleet"),
        started_s=time.monotonic(),
        board=parts.board,
        buffer=parts.buffer,
        clock=parts.clock,
        lists=parts.lists,
        lanes=parts.lanes,
        uplink=parts.uplink,
        tail=parts.tail,
        new_id=lambda: new_id(parts.clock),
    )
    control = ControlServer(parts.config.file.control.socket, desk.operations(), desk.streams())
    await stack.enter_async_context(await control.serve())
    section = parts.config.file.metrics
    if section.host:
        parts.metrics.registry.register(DaemonCollector(parts))
        server = await serve_metrics(parts.metrics.registry, section.host, section.port)
        parts.metrics_port = server.sockets[0].getsockname()[1]
        await stack.enter_async_context(server)


def _on_bus_end(parts: Parts, address: BusAddress) -> Callable[[Exception], None]:
    on_bus = [
        session
        for session in parts.sessions.values()
        if isinstance(session, RegisterSession) and parse_modbus_url(session.spec.link).bus == address
    ]

    def ended(error: Exception) -> None:
        for session in on_bus:
            session.lost(error)

    return ended


def _started(parts: Parts) -> Event:
    digest = hashlib.sha256(parts.config.digest_source).hexdigest()
    return EdgeStarted(
        edge=parts.config.edge, version=version("gatefleet"), boot_id=parts.clock.boot_id, config_digest=digest
    )


def _seen(parts: Parts) -> list[Event]:
    return [
        DeviceSeen(
            device=spec.id,
            driver=spec.driver.name,
            profile=spec.profile.name,
            kind=spec.driver.kind,
            vendor=spec.profile.vendor,
            model=spec.profile.model,
            link=spec.link,
            lane=spec.lane,
        )
        for spec in parts.config.devices.values()
    ]


def _status(parts: Parts) -> str:
    counts = parts.board.health_counts()
    sick = sum(count for health, count in counts.items() if health != "ok")
    uplink = "up" if parts.uplink.up else "down"
    waiting = sum(parts.buffer.depth(stream).entries for stream in parts.link.windows)
    return f"uplink {uplink}, {len(parts.lanes)} lanes, {sick} devices not ok, {waiting} entries wait"
