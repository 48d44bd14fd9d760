"""Each configured device gets its session: what runs it, on which link, and who hears its facts.

What only some daemons need, such as an HTTP stack, is imported where a device asks for it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from pydantic import SecretStr

from core.errors import BufferFull, BufferUnavailable
from drivers.barrier.facts import BarrierSeen
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import Fact, PeopleCounted, PlateRead
from edge.board import Board
from edge.buffer import Buffer
from edge.cabins.lane import CabinRunner
from edge.clock import Clock
from edge.config import read_secret
from edge.counters import CounterRunner
from edge.files import FileStore
from edge.lane import LaneRunner
from edge.ledger import Ledger
from edge.library import OPENED_BY, LibrarySession, Shared
from edge.links.modbus import Bus
from edge.links.modbus_url import SCHEMES, BusAddress, open_bus, parse_modbus_url
from edge.links.stream import stream_link
from edge.relay import Relay
from edge.reporting import Reporter
from edge.roads.lane import VehicleLaneRunner
from edge.roads.plate_cameras import of_lane, of_road
from edge.sections import DeviceSpec
from edge.session import Deliver, RegisterSession, Session, StreamSession
from edge.terminals import Terminals
from edge.upward.platforms import Platforms

if TYPE_CHECKING:
    from edge.links.http_server import HttpServer, Mount
    from edge.push import PushSession
    from edge.roads.displays import DisplaySession

AnyLane = LaneRunner | VehicleLaneRunner | CabinRunner
AnySession = Union[Session, Terminals, LibrarySession, "PushSession", "DisplaySession"]


@dataclass(frozen=True, slots=True)
class Around:
    """What sessions need of the daemon."""

    board: Board
    buffer: Buffer
    ledger: Ledger
    clock: Clock
    lanes: Mapping[str, AnyLane]
    plate_token: Callable[[str], str]
    """Makes the token of a plate; raises IdentifierRefused."""
    platforms: Platforms = field(default_factory=Platforms)
    files: FileStore = field(default_factory=lambda: FileStore(Path("media"), 0))
    """What devices send that is no event: pictures, sounds."""
    untold: Counter[str] = field(default_factory=Counter)
    """Facts that became no event, by their name."""


@dataclass(slots=True)
class Devices:
    """The sessions of all devices, and what they share."""

    sessions: dict[str, AnySession] = field(default_factory=dict)
    buses: dict[BusAddress, Bus] = field(default_factory=dict)
    servers: "dict[str, HttpServer]" = field(default_factory=dict)
    """By address."""
    counters: dict[str, CounterRunner] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    """By those whose library does the talking."""
    platforms: Platforms = field(default_factory=Platforms)
    files: FileStore = field(default_factory=lambda: FileStore(Path("media"), 0))
    untold: Counter[str] = field(default_factory=Counter)

    def on(self, server: "HttpServer") -> list[AnySession]:
        """Return the devices that push to a server."""
        return [self.sessions[device] for device in server.devices if device in self.sessions]


def build_devices(specs: Mapping[str, DeviceSpec], around: Around) -> Devices:
    """Build a session for each device, and what they share."""
    made = Devices(platforms=around.platforms, files=around.files, untold=around.untold)
    mounts: dict[str, list[Mount]] = {}
    for spec in specs.values():
        scheme = spec.link.partition(":")[0]
        if scheme in SCHEMES:
            made.sessions[spec.id] = _register(spec, around, made.buses)
        elif spec.driver.many:
            made.sessions[spec.id] = _terminals(spec, around)
        elif scheme == "http-server":
            session, mount = _pushing(spec, around, made)
            made.sessions[spec.id] = session
            mounts.setdefault(f"{mount.place.host}:{mount.place.port}", []).append(mount)
        elif scheme in OPENED_BY:
            routed = _relayed(spec, around, _routed(spec, around, made, _reporter(spec, around).pushed))
            deliver = _unanswered(spec, around, routed)
            made.sessions[spec.id] = LibrarySession(spec, around.board, deliver, made.shared, OPENED_BY[scheme])
        elif spec.driver.kind == "display":
            made.sessions[spec.id] = _display(spec, around)
        else:
            made.sessions[spec.id] = _stream(spec, around)
    for mount in around.platforms.mounts():
        mounts.setdefault(f"{mount.place.host}:{mount.place.port}", []).append(mount)
    for address, some in mounts.items():
        made.servers[address] = _server(some, around.clock)
    return made


def _server(mounts: "Sequence[Mount]", clock: Clock) -> "HttpServer":
    from edge.links.http_server import HttpServer

    return HttpServer(mounts, now=lambda: clock.wall().astimezone(), monotonic_ms=clock.monotonic_ms)


def _pushing(spec: DeviceSpec, around: Around, made: Devices) -> "tuple[PushSession, Mount]":
    from edge.links.http_server import Mount
    from edge.links.push_places import place_of
    from edge.push import PushSession

    deliver = _relayed(spec, around, _routed(spec, around, made, _reporter(spec, around).pushed))
    access = spec.access
    assert access is not None, "a device that pushes has been checked to say who may"
    session = PushSession(spec, around.board, deliver, silent_after_s=access.silent_after_s)
    mount = Mount(
        place_of(spec.id, spec.link, access),
        spec.driver.body_cap,
        session.handle,
        {user: read_secret(reference) for user, reference in access.users.items()},
        session.refused,
    )
    return session, mount


def _routed(spec: DeviceSpec, around: Around, made: Devices, others: Deliver) -> Deliver:
    """Return what hands each fact to whom it is for; `others` gets what is for nobody else."""
    deliver = others
    if PlateRead in spec.driver.facts:
        deliver = _plates(spec, around, deliver)
    if BarrierSeen in spec.driver.facts:
        deliver = _seen_too(_seen_by(spec, around), deliver)
    if FaceCompared in spec.driver.facts:
        deliver = _faces(spec, around, deliver)
    if PeopleCounted in spec.driver.facts:
        counter = CounterRunner(spec.id, around.buffer, around.ledger, around.clock.wall, others=deliver)
        made.counters[spec.id] = counter
        deliver = counter.counted
    return deliver


def _relayed(spec: DeviceSpec, around: Around, deliver: Deliver) -> Deliver:
    """Return what hands facts on, then to who keeps their pictures, then to the platforms above."""
    takers = [deliver, *around.platforms.feeds(spec.id)]
    if any(fact.__name__ == "PictureSent" for fact in spec.driver.facts):  # a view library: it keeps what it confirms
        takers.insert(1, _reporter(spec, around).pictured)
    return deliver if len(takers) == 1 else Relay(takers).deliver


def _unanswered(spec: DeviceSpec, around: Around, deliver: Deliver) -> Deliver:
    """Return what takes facts of a device that waits for no answer: what cannot be committed is counted."""

    async def take(fact: Fact) -> None:
        try:
            await deliver(fact)
        except (BufferFull, BufferUnavailable):
            around.board.record(spec.id).counters["not_committed"] += 1

    return take


def _seen_too(seen: Callable[[Fact], None], others: Deliver) -> Deliver:
    async def deliver(fact: Fact) -> None:
        seen(fact)
        await others(fact)

    return deliver


def _plates(spec: DeviceSpec, around: Around, others: Deliver) -> Deliver:
    lane = around.lanes.get(spec.lane) if spec.lane else None
    if isinstance(lane, VehicleLaneRunner):
        return of_lane(lane, spec.id, others)
    return of_road(spec.id, around.buffer, around.clock.stamp, around.plate_token, others)


def _faces(spec: DeviceSpec, around: Around, others: Deliver) -> Deliver:
    lane = around.lanes.get(spec.lane) if spec.lane else None

    async def deliver(fact: Fact) -> None:
        if isinstance(fact, FaceCompared) and isinstance(lane, CabinRunner):
            await lane.face(fact)
        else:
            await others(fact)

    return deliver


def _register(spec: DeviceSpec, around: Around, buses: dict[BusAddress, Bus]) -> RegisterSession:
    url, seen, noted = parse_modbus_url(spec.link), _seen_by(spec, around), _reporter(spec, around).noted

    def told(fact: Fact) -> None:
        seen(fact)
        noted(fact)

    session = RegisterSession(spec, around.board, told)
    session.attach(buses.setdefault(url.bus, open_bus(url.bus)), url.unit, url.timeout_s)
    return session


def _seen_by(spec: DeviceSpec, around: Around) -> Callable[[Fact], None]:
    """Return what of a lane hears a register device; a board that only lights a lane is none of its eyes."""
    match around.lanes.get(spec.lane) if spec.lane else None:
        case LaneRunner(observed=observed):
            return observed
        case VehicleLaneRunner(observed=observed, spec=lane) if lane.barrier == spec.id:
            return observed
        case CabinRunner(observed=observed):
            return observed
    return lambda _: None


def _stream(spec: DeviceSpec, around: Around) -> StreamSession:
    lane = around.lanes.get(spec.lane) if spec.lane else None
    deliver = lane.credential if isinstance(lane, LaneRunner | CabinRunner) else _reporter(spec, around).heard
    return StreamSession(resolved(spec), stream_link(spec.link), around.board, deliver)


def _display(spec: DeviceSpec, around: Around) -> "DisplaySession":
    from edge.roads.displays import DisplaySession

    return DisplaySession(resolved(spec), stream_link(spec.link), around.board, _reporter(spec, around).heard)


def _terminals(spec: DeviceSpec, around: Around) -> Terminals:
    reporter = _reporter(spec, around)
    return Terminals(
        resolved(spec),
        around.board,
        reporter.taken,
        lambda terminal, online: around.ledger.tell(reporter.moved(terminal, online)),
        wall=around.clock.wall,
    )


def _reporter(spec: DeviceSpec, around: Around) -> Reporter:
    return Reporter(
        spec,
        around.buffer,
        stamp=around.clock.stamp,
        tell=around.ledger.tell,
        noted=lambda name, finding: around.board.noted(spec.id, name, finding),
        now_ms=around.clock.monotonic_ms,
        files=around.files,
        untold=around.untold,
    )


def resolved(spec: DeviceSpec) -> DeviceSpec:
    """Return a device whose settings hold its secrets instead of where they are; raise ConfigInvalid."""
    values = {name: _opened(getattr(spec.settings, name)) for name in type(spec.settings).model_fields}
    changed = {name: value for name, value in values.items() if value is not getattr(spec.settings, name)}
    if not changed:
        return spec
    # Made anew: a copy would keep what was derived from the references, such as a key.
    return spec.with_settings(type(spec.settings).model_validate(values))


def _opened(value: Any) -> Any:
    match value:
        case SecretStr():
            reference = value.get_secret_value()
            return SecretStr(read_secret(reference)) if reference else value
        case dict() if any(isinstance(one, SecretStr) for one in value.values()):
            return {key: _opened(one) for key, one in value.items()}
    return value
