"""A daemon's parts, wired together from its configuration. Nothing here runs or decides."""

import secrets
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from core.crypto import Suite, suite
from core.crypto.signing import TrustedKeys
from core.identity.tokens import TokenKind, subject_token
from core.messages.envelope import pack
from core.messages.event import Event
from core.messages.ids import ENTROPY_BYTES, ulid
from core.messages.wire import Presence
from edge.board import Board
from edge.buffer import Buffer
from edge.buffer.file import beside
from edge.clearance import Judge
from edge.clock import Clock
from edge.conditions import Conditions
from edge.config import EdgeConfig, read_secret
from edge.desk import Tail
from edge.devices import AnyLane, AnySession, Around, Devices, build_devices
from edge.execution import Execution
from edge.files import FileStore, Vault
from edge.health import Metrics
from edge.lane import Observers
from edge.lane_building import Wired, build_lanes
from edge.ledger import Ledger
from edge.lists import ListKeeper, https_fetch
from edge.orders import Orders
from edge.uplink import Uplink, UplinkState
from edge.upward.ground import Ground
from edge.upward.platforms import Platforms, build_platforms

if TYPE_CHECKING:
    from edge.live.live import Live

_MB = 1_000_000


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
    execution: Execution
    conditions: Conditions
    live: "Live | None" = None
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
    conditions = Conditions(board.noted, clock.wall)
    board.hears = conditions.fact
    lists = _lists(config, trusted, ledger, crypto)
    metrics, tail = Metrics(), Tail(clock)
    sessions: dict[str, AnySession] = {}
    lanes: dict[str, AnyLane] = {}

    async def record(event: Event) -> None:
        await buffer.append((pack(event, clock.stamp()),))

    execution = Execution(lanes, sessions, lambda: new_id(clock), record)
    orders = Orders(
        edge=config.edge,
        buffer=buffer,
        ledger=ledger,
        clock=clock,
        verifier=trusted,
        execute=execution.order,
        turn=execution.turn,
    )
    link = _uplink(config, buffer, clock, orders, lists)
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
        command=execution.command,
        memo=buffer.memo,
        noted=board.noted,
        registry=metrics.registry,
    )
    lanes.update(build_lanes(config, wired))
    platforms = _platforms(config, board, ledger, clock, _vault(crypto, token_key))
    files = FileStore(beside(buffer.path, "-media"), config.file.buffer.media_mb * _MB)
    around = Around(board, buffer, ledger, clock, lanes, judge.plate_token, platforms, files)
    devices = build_devices(config.devices, around)
    sessions.update(devices.sessions)
    parts = Parts(
        config, clock, buffer, ledger, board, lists, orders, lanes, devices, metrics, tail, link, execution, conditions
    )
    parts.live = _live(parts, trusted)
    return parts


def _live(parts: Parts, trusted: TrustedKeys) -> "Live | None":
    section, clock = parts.config.file.live, parts.clock
    if section is None:
        return None
    from edge.live.cameras import owned_cameras  # noqa: PLC0415 only some edges show pictures
    from edge.live.grants import Grants  # noqa: PLC0415 as above
    from edge.live.live import Live  # noqa: PLC0415 as above

    grants = Grants(parts.config.edge, trusted, clock, parts.buffer, parts.ledger)
    cameras = owned_cameras(parts.devices.sessions.values())
    return Live(section, cameras, grants, parts.ledger, new_id=lambda: new_id(clock))


def _uplink(config: EdgeConfig, buffer: Buffer, clock: Clock, orders: Orders, lists: ListKeeper) -> Uplink:
    return Uplink(
        edge=config.edge,
        section=config.file.uplink,
        buffer=buffer,
        clock=clock,
        presence=Presence(state="online", version=version("gatefleet"), boot_id=clock.boot_id, epoch=buffer.epoch),
        on_command=orders.heard,
        on_list=lists.heard,
    )


def _platforms(config: EdgeConfig, board: Board, ledger: Ledger, clock: Clock, vault: Vault) -> Platforms:
    folder = beside(config.file.buffer.path, "-platforms")
    ground = Ground(board, clock.wall, clock.stamp, folder, ledger.tell, vault)
    return build_platforms(config.file.platform, ground)


def _vault(crypto: Suite, token_key: bytes) -> Vault:
    """Return what hides plates and faces that wait for a platform: its key is known to this edge alone."""
    key = crypto.hmac(token_key, b"gatefleet: what waits for a platform")[: len(crypto.generate_seal_key())]
    return Vault(lambda data: crypto.seal(key, data), lambda sealed: crypto.open(key, sealed))


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
