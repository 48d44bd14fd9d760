"""A daemon's parts, wired together from its configuration. Nothing here runs or decides."""

import secrets
from dataclasses import dataclass
from importlib.metadata import version
from typing import cast

from pydantic import BaseModel

from core.crypto import Suite, suite
from core.crypto.signing import TrustedKeys
from core.errors import NotFound, Unsupported
from core.identity.tokens import TokenKind, subject_token
from core.messages.commands import DeviceCommand, OpenLane, Order, ResetDevice, SetLaneMode
from core.messages.event import Event
from core.messages.ids import ENTROPY_BYTES, ulid
from core.messages.wire import Presence
from edge.board import Board
from edge.buffer import Buffer
from edge.clearance import Judge
from edge.clock import Clock
from edge.config import EdgeConfig, read_secret
from edge.desk import Tail
from edge.devices import AnyLane, AnySession, Around, Devices, build_devices
from edge.health import Metrics
from edge.lane import Observers
from edge.lane_building import Wired, build_lanes
from edge.lanes.words import AskMode, AskOpen
from edge.ledger import Ledger
from edge.lists import ListKeeper, https_fetch
from edge.orders import Orders
from edge.terminals import Terminals
from edge.uplink import Uplink, UplinkState


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
    lanes: dict[str, AnyLane]
    devices: Devices
    metrics: Metrics
    tail: Tail
    link: Uplink
    metrics_port: int = 0

    @property
    def uplink(self) -> UplinkState:
        """Return the uplink's state."""
        return self.link.state


def build(config: EdgeConfig, clock: Clock, buffer: Buffer) -> Parts:
    """Wire everything together."""
    crypto = suite(config.file.crypto.suite)
    trusted = TrustedKeys.of_texts(config.file.crypto.trusted_keys)
    ledger = Ledger(buffer, clock.stamp)
    board = Board(config.devices, now=clock.wall, tell=ledger.tell)
    lists = _lists(config, trusted, ledger, crypto)
    metrics, tail = Metrics(), Tail(clock)
    sessions: dict[str, AnySession] = {}
    lanes: dict[str, AnyLane] = {}
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
        section=config.file.uplink,
        buffer=buffer,
        clock=clock,
        presence=Presence(state="online", version=version("gatefleet"), boot_id=clock.boot_id, epoch=buffer.epoch),
        on_command=orders.heard,
        on_list=lists.heard,
    )
    token_key = read_secret(config.file.crypto.token_key).encode()
    subject_token(TokenKind.OPAQUE, "probe", token_key, crypto.hmac)  # a key that is too short is told now
    judge = Judge(ruleset=config.ruleset, lists=lambda: lists.in_force, token_key=token_key, hmac=crypto.hmac)

    def observed(event: object) -> None:
        metrics.event(event)
        tail.event(event)

    wired = Wired(
        judge=judge,
        ledger=ledger,
        clock=clock,
        offline=lambda: not link.state.up,
        new_id=lambda: new_id(clock),
        observers=Observers(observed, metrics.opened, metrics.decided),
        command=lambda device, command: _commanded(sessions, device, command),
        memo=buffer.memo,
    )
    lanes.update(build_lanes(config, wired))
    devices = build_devices(config.devices, Around(board, buffer, ledger, clock, lanes, judge.plate_token))
    sessions.update(devices.sessions)
    return Parts(config, clock, buffer, ledger, board, lists, orders, lanes, devices, metrics, tail, link)


def _lists(config: EdgeConfig, trusted: TrustedKeys, ledger: Ledger, crypto: Suite) -> ListKeeper:
    section = config.file.uplink

    async def tell(event: Event) -> None:
        await ledger.commit((event,))

    return ListKeeper(
        edge=config.edge,
        folder=config.file.buffer.path.parent / "lists",
        verifier=trusted,
        fetch=https_fetch(
            section.central_url, lambda: read_secret(section.api_key) if section.api_key else "", section.ca_file
        ),
        tell=tell,
        digest=crypto.hash,
    )


def new_id(clock: Clock) -> str:
    """Return an id that sorts by time."""
    return ulid(int(clock.wall().timestamp() * 1000), secrets.token_bytes(ENTROPY_BYTES))


async def _execute(order: Order, lanes: dict[str, AnyLane], sessions: dict[str, AnySession], clock: Clock) -> str:
    if isinstance(order.command, ResetDevice):
        await _commanded(sessions, order.target, order.command)
        return ""
    lane = lanes.get(order.target)
    if lane is None:
        raise NotFound(f"there is no lane {order.target!r} here")
    match order.command:
        case OpenLane(direction=direction):
            return await lane.ask(AskOpen(new_id(clock), direction, order.actor, order.reason))
        case SetLaneMode(mode=mode):
            return await lane.ask(AskMode(mode, order.actor, order.reason))


async def _commanded(sessions: dict[str, AnySession], device: str, command: BaseModel) -> None:
    session = sessions.get(device)
    if session is None:
        raise NotFound(f"there is no device {device!r} here")
    if isinstance(session, Terminals):
        raise Unsupported("it is many terminals: name one", place=device)
    await session.command(cast("DeviceCommand", command))  # each driver refuses what it does not know
