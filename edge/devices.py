"""Each configured device gets its session: what runs it, on which link, and who hears its facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from edge.board import Board
from edge.buffer import Buffer
from edge.clock import Clock
from edge.config import DeviceSpec, read_secret
from edge.lane import LaneRunner
from edge.ledger import Ledger
from edge.links.modbus import Bus
from edge.links.modbus_url import SCHEMES, BusAddress, open_bus, parse_modbus_url
from edge.links.stream import stream_link
from edge.reporting import Reporter
from edge.session import RegisterSession, Session, StreamSession
from edge.terminals import Terminals

AnySession = Session | Terminals


@dataclass(frozen=True, slots=True)
class Around:
    """What sessions need of the daemon."""

    board: Board
    buffer: Buffer
    ledger: Ledger
    clock: Clock
    lanes: Mapping[str, LaneRunner]


def build_sessions(
    specs: Mapping[str, DeviceSpec], around: Around
) -> tuple[dict[str, AnySession], dict[BusAddress, Bus]]:
    """Build a session for each device, and the buses that register devices share."""
    sessions: dict[str, AnySession] = {}
    buses: dict[BusAddress, Bus] = {}
    for spec in specs.values():
        if spec.link.partition(":")[0] in SCHEMES:
            sessions[spec.id] = _register(spec, around, buses)
        elif spec.driver.many:
            sessions[spec.id] = _terminals(spec, around)
        else:
            sessions[spec.id] = _stream(spec, around)
    return sessions, buses


def _register(spec: DeviceSpec, around: Around, buses: dict[BusAddress, Bus]) -> RegisterSession:
    lane = around.lanes.get(spec.lane) if spec.lane else None
    url = parse_modbus_url(spec.link)
    session = RegisterSession(spec, around.board, lane.observed if lane else _reporter(spec, around).noted)
    session.attach(buses.setdefault(url.bus, open_bus(url.bus)), url.unit, url.timeout_s)
    return session


def _stream(spec: DeviceSpec, around: Around) -> StreamSession:
    lane = around.lanes.get(spec.lane) if spec.lane else None
    deliver = lane.credential if lane else _reporter(spec, around).heard
    return StreamSession(resolved(spec), stream_link(spec.link), around.board, deliver)


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
        degraded=lambda finding: around.board.degraded(spec.id, finding),
        now_ms=around.clock.monotonic_ms,
    )


def resolved(spec: DeviceSpec) -> DeviceSpec:
    """Return a device whose settings hold its secrets instead of where they are; raise ConfigInvalid."""
    values = {name: _opened(getattr(spec.settings, name)) for name in type(spec.settings).model_fields}
    changed = {name: value for name, value in values.items() if value is not getattr(spec.settings, name)}
    if not changed:
        return spec
    return spec.with_settings(spec.settings.model_copy(update=changed))


def _opened(value: Any) -> Any:
    match value:
        case SecretStr():
            reference = value.get_secret_value()
            return SecretStr(read_secret(reference)) if reference else value
        case dict() if any(isinstance(one, SecretStr) for one in value.values()):
            return {key: _opened(one) for key, one in value.items()}
    return value
