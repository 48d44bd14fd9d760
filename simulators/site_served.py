"""The devices of a site that are called: each at a free port of loopback or on a new pty."""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, cast
from urllib.parse import urlsplit

from drivers.cabin.layout import CabinMap
from drivers.digest import Login
from drivers.hik_barrier import HikBarrierSettings
from drivers.onvif_camera import CameraSettings
from drivers.profile import checked_map
from drivers.snmp.layout import SnmpSettings
from edge.links.modbus_url import SCHEMES, BusAddress, ModbusUrl, parse_modbus_url
from edge.sections import DeviceSpec
from simulators.barrier import Barrier, barrier_bank
from simulators.cabin import Cabin, Controller
from simulators.display import Display, display_of, serve_pty_display, serve_tcp_display
from simulators.hik_barrier import serve_gate_camera
from simulators.instrument import Instrument
from simulators.modbus import Bank, Server, serve_pty, serve_tcp
from simulators.nmea0183 import Receiver, Track, serve_pty_receiver, serve_tcp_receiver
from simulators.ntp import TimeServer, serve_ntp
from simulators.onvif_camera import Camera, Habits
from simulators.reader import Reader, serve_pty_reader, serve_tcp_reader
from simulators.site_cameras import serve_cameras
from simulators.site_mibs import mib_of
from simulators.site_secrets import secret
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_usm import AgentUser
from simulators.turnstile import Gate, gate_bank

_Stack = contextlib.AsyncExitStack


@dataclass(slots=True)
class Served:
    """What is served, by device."""

    seed: int = 0
    gates: dict[str, Gate] = field(default_factory=dict)
    barriers: dict[str, Barrier] = field(default_factory=dict)
    cabins: dict[str, Cabin] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    receivers: dict[str, Receiver] = field(default_factory=dict)
    displays: dict[str, Display] = field(default_factory=dict)
    cameras: dict[str, Camera] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    clocks: dict[str, TimeServer] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serve(specs: Mapping[str, DeviceSpec], seed: int = 0) -> AsyncIterator[Served]:
    """Serve all of a site's devices that are called."""
    served = Served(seed)
    async with contextlib.AsyncExitStack() as stack:
        buses: dict[BusAddress, list[tuple[DeviceSpec, ModbusUrl]]] = defaultdict(list)
        for spec in specs.values():
            scheme = spec.link.partition(":")[0]
            if scheme in SCHEMES:
                url = parse_modbus_url(spec.link)
                buses[url.bus].append((spec, url))
            elif spec.driver.name in _SERVED:
                await _SERVED[spec.driver.name](served, spec, stack)
        for address, devices in buses.items():
            await _bus(served, address, devices, stack)
        served.links |= await stack.enter_async_context(serve_cameras(served.cameras))
        yield served


async def _reader(served: Served, spec: DeviceSpec, stack: _Stack) -> None:
    opening = serve_pty_reader if urlsplit(spec.link).scheme == "serial" else serve_tcp_reader
    reader = served.readers[spec.id] = await stack.enter_async_context(opening())
    served.links[spec.id] = reader.url


async def _receiver(served: Served, spec: DeviceSpec, stack: _Stack) -> None:
    track = Track(seed=served.seed + len(served.receivers), start=datetime.now(UTC).replace(microsecond=0))
    opening = serve_pty_receiver if urlsplit(spec.link).scheme == "serial" else serve_tcp_receiver
    receiver = served.receivers[spec.id] = await stack.enter_async_context(opening(track))
    served.links[spec.id] = receiver.url


async def _display(served: Served, spec: DeviceSpec, stack: _Stack) -> None:
    opening = serve_pty_display if urlsplit(spec.link).scheme == "serial" else serve_tcp_display
    made = display_of(spec.profile, served.seed + len(served.displays))
    display = served.displays[spec.id] = await stack.enter_async_context(opening(made))
    served.links[spec.id] = display.url


async def _gate_camera(served: Served, spec: DeviceSpec, stack: _Stack) -> None:
    settings = cast("HikBarrierSettings", spec.settings)
    login = Login(settings.username, secret(settings.password))
    barrier = served.barriers[spec.id] = Barrier()
    _, served.links[spec.id] = await stack.enter_async_context(serve_gate_camera(spec.profile, barrier, login=login))


async def _camera(served: Served, spec: DeviceSpec, _stack: _Stack) -> None:
    settings = cast("CameraSettings", spec.settings)
    login = Login(settings.username, secret(settings.password))
    served.cameras[spec.id] = Camera(login=login, habits=Habits(dome=settings.ptz))


async def _agent(served: Served, spec: DeviceSpec, stack: _Stack) -> None:
    settings = cast("SnmpSettings", spec.settings)
    agent = served.agents[spec.id] = Agent(mib_of(spec.profile.name))
    if settings.version == "3":
        secrets = (secret(settings.auth_secret), secret(settings.priv_secret))
        agent.usm.users[settings.user] = AgentUser(settings.user, *secrets, settings.auth)
    else:
        agent.community = secret(settings.community)
    served.links[spec.id] = await stack.enter_async_context(serve_snmp(agent))


async def _clock(served: Served, spec: DeviceSpec, stack: _Stack) -> None:
    clock = served.clocks[spec.id] = TimeServer()
    served.links[spec.id] = await stack.enter_async_context(serve_ntp(clock))


_SERVED: Final[dict[str, Callable[[Served, DeviceSpec, _Stack], Awaitable[None]]]] = {
    "reader": _reader,
    "display": _display,
    "nmea0183": _receiver,
    "hik-barrier": _gate_camera,
    "onvif-camera": _camera,
    "snmp": _agent,
    "ntp": _clock,
}


async def _bus(
    served: Served, address: BusAddress, devices: Sequence[tuple[DeviceSpec, ModbusUrl]], stack: _Stack
) -> None:
    units = {url.unit: _bank(served, spec, stack) for spec, url in devices}
    opening = serve_pty(units, seed=served.seed) if address.device else serve_tcp(units, seed=served.seed)
    server = await stack.enter_async_context(opening)
    served.servers.append(server)
    for spec, url in devices:
        joint = "&" if "?" in server.url else "?"
        served.links[spec.id] = f"{server.url}{joint}unit={url.unit}"


def _bank(served: Served, spec: DeviceSpec, stack: _Stack) -> Bank:
    match spec.driver.name:
        case "turnstile":
            gate = served.gates[spec.id] = Gate()
            return gate_bank(gate, spec.profile)
        case "barrier":
            barrier = served.barriers[spec.id] = Barrier()
            return barrier_bank(barrier, spec.profile)
        case "cabin":
            cabin = served.cabins[spec.id] = Cabin()
            controller = Controller(cabin, checked_map(spec.profile, CabinMap))
            stack.callback(controller.close)
            return controller.bank
    made = served.instruments[spec.id] = Instrument(spec.profile, seed=served.seed + len(served.instruments))
    return made.bank
