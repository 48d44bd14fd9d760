"""The composition root of an edge: start in order, stop in reverse. Nothing here decides anything."""

import asyncio
import gc
import hashlib
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

import structlog

from core.errors import GatefleetError
from core.messages.event import Event
from core.messages.events import DeviceSeen, EdgeStarted
from core.messages.view_events import CameraOffered
from edge.buffer import open_buffer
from edge.build import Parts, build, new_id
from edge.clock import Clock
from edge.config import EdgeConfig, load_config
from edge.control import ControlServer
from edge.desk import Desk
from edge.devices import AnySession
from edge.health import DaemonCollector, serve_metrics
from edge.health_devices import DeviceCollector
from edge.links.modbus_url import BusAddress, parse_modbus_url
from edge.live.desk import LiveDesk
from edge.notify import Notifier
from edge.session import RegisterSession
from edge.supervisor import Supervisor
from edge.upward.metrics import UpwardCollector

_MB = 1_000_000

log = structlog.get_logger()


def run(path: Path) -> int:
    """Run the daemon of a config file until SIGTERM or SIGINT; return the exit status."""
    config = load_config(path)
    try:
        asyncio.run(serve(config))
    except* GatefleetError as errors:
        raise _innermost(errors) from None
    return 0


def _innermost(error: BaseException) -> BaseException:
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


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
            gc.freeze()  # what is there now stays: collections need not look at it again
            notifier.send(READY="1", STATUS=_status(parts))
            supervisor.keep("notify", lambda: notifier.run(lambda: _status(parts)))
            log.info("edge.ready", edge=config.edge, devices=len(parts.devices.sessions), lanes=len(parts.lanes))
            if ready is not None:
                ready(parts)
            await stopping.wait()
        finally:
            notifier.send(STOPPING="1")
            await supervisor.stop()
            await parts.ledger.finish()


async def _start(parts: Parts, supervisor: Supervisor, stack: AsyncExitStack) -> None:
    await parts.lists.load()
    await parts.orders.recover()
    await parts.ledger.commit((_started(parts), *_seen(parts)))
    platforms = parts.devices.platforms
    await platforms.open(stack)
    await parts.devices.files.open()
    supervisor.keep("ledger", parts.ledger.run)
    supervisor.keep("told", parts.ledger.run_told)
    for lane in parts.lanes.values():
        supervisor.keep(f"lane.{lane.spec.id}", lane.run)
    for address, bus in parts.devices.buses.items():
        supervisor.keep(f"bus.{address}", bus.run, _on_bus_end(parts, address))
    for session in parts.devices.sessions.values():
        if not isinstance(session, RegisterSession):
            supervisor.keep(f"device.{session.spec.id}", session.run, session.lost)
    for place, pushed_to in parts.devices.servers.items():
        supervisor.keep(f"http.{place}", pushed_to.run, _all_lost(parts.devices.on(pushed_to)))
    for device, counter in parts.devices.counters.items():
        supervisor.keep(f"counter.{device}", counter.run)
    for name, platform in platforms.all.items():
        supervisor.keep(f"platform.{name}", platform.run, platform.lost)
    if platforms.all:
        supervisor.keep("platforms", platforms.run)
    supervisor.keep("conditions", parts.conditions.run)
    stack.push_async_callback(parts.devices.shared.close)
    _show(parts, supervisor)
    supervisor.keep("orders", parts.orders.run)
    supervisor.keep("lists", parts.lists.run)
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
        execution=parts.execution,
        platforms=platforms,
        live=LiveDesk(parts.live),
    )
    control = ControlServer(parts.config.file.control.socket, desk.operations(), desk.streams())
    # Closed, but not waited for: somebody who watches must not keep the daemon from ending.
    stack.callback((await control.serve()).close)
    section = parts.config.file.metrics
    if section.host:
        parts.metrics.registry.register(DaemonCollector(parts))
        parts.metrics.registry.register(DeviceCollector(parts.devices, parts.board))
        registered = UpwardCollector(platforms, parts.devices.untold, parts.devices.files, parts.clock.wall)
        parts.metrics.registry.register(registered)
        server = await serve_metrics(parts.metrics.registry, section.host, section.port)
        parts.metrics_port = server.sockets[0].getsockname()[1]
        stack.callback(server.close)


def _show(parts: Parts, supervisor: Supervisor) -> None:
    """Run the live view; where there is none, central hears that nobody can look at these cameras."""
    if parts.live is None:
        for spec in parts.config.devices.values():
            if spec.driver.name == "onvif-camera":
                parts.ledger.tell(CameraOffered(device=spec.id))
        return
    from edge.live.metrics import LiveCollector  # noqa: PLC0415 only some edges show pictures

    parts.metrics.registry.register(LiveCollector(parts.live))
    supervisor.keep("live", parts.live.run)


def _on_bus_end(parts: Parts, address: BusAddress) -> Callable[[Exception], None]:
    on_bus = [
        session
        for session in parts.devices.sessions.values()
        if isinstance(session, RegisterSession) and parse_modbus_url(session.spec.link).bus == address
    ]

    return _all_lost(on_bus)


def _all_lost(sessions: Sequence[AnySession]) -> Callable[[Exception], None]:
    def ended(error: Exception) -> None:
        for session in sessions:
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
