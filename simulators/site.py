"""A whole checkpoint from its site file: turnstiles, barriers and readers on real sockets and ptys, and who comes.

The site file's links are the real site's; each is served here at a free port or on a new pty, and `Site.links` says
where, so that nothing has a fixed port and two sites never meet.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from core.clearance.model import Direction
from edge.config import EdgeConfig
from edge.links.modbus_url import BusAddress, ModbusUrl, parse_modbus_url
from edge.sections import DeviceSpec, PassengerSection
from simulators.barrier import Barrier, barrier_bank
from simulators.modbus import Bank, Server, serve_pty, serve_tcp
from simulators.people import Manner, Traveller
from simulators.reader import Reader, serve_pty_reader, serve_tcp_reader
from simulators.turnstile import Gate, gate_bank

_SHOW_AGAIN_S: Final = 1.7
_REFUSED_S: Final = 2.5
_GIVE_UP_S: Final = 120.0
_STEP_ASIDE_S: Final = 0.5
_JAM_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What really happened to one traveller: the truth that central's records are held against."""

    lane: str
    number: int
    document: str
    manner: str
    passed: bool
    followed_by: int = 0
    wrongly_released: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class Site:
    """One running checkpoint."""

    config: EdgeConfig
    gates: dict[str, Gate] = field(default_factory=dict)
    barriers: dict[str, Barrier] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Device id -> the URL at which it is served."""
    servers: list[Server] = field(default_factory=list)
    truth: list[Outcome] = field(default_factory=list)

    async def receive(self, travellers: Sequence[Traveller], told: Callable[[Outcome], None] | None = None) -> None:
        """Let the travellers come, each lane in its order; return when the last is gone."""
        lanes: dict[str, list[Traveller]] = defaultdict(list)
        for one in travellers:
            lanes[one.lane].append(one)
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for lane, people in lanes.items():
                group.create_task(self._lane(lane, people, began, told), name=f"people.{lane}")

    async def _lane(
        self, lane: str, people: Sequence[Traveller], began: float, told: Callable[[Outcome], None] | None
    ) -> None:
        lanes = (one for one in self.config.file.lane if isinstance(one, PassengerSection))
        spec = next(one for one in lanes if one.id == lane)
        gate, reader = self.gates[spec.gate], self.readers[spec.reader]
        for one in people:
            await asyncio.sleep(began + one.at_s - asyncio.get_running_loop().time())
            outcome = await visit(one, gate, reader, spec.direction)
            self.truth.append(outcome)
            if told is not None:
                told(outcome)
            await asyncio.sleep(_STEP_ASIDE_S)


async def visit(one: Traveller, gate: Gate, reader: Reader, direction: Direction) -> Outcome:
    """Do what this traveller does; return what came of it."""
    if one.manner is Manner.JAMMED:
        gate.fault("door_jam", on=True)
        await asyncio.sleep(_JAM_S)
        gate.fault("door_jam", on=False)
    patience = _REFUSED_S if one.manner is Manner.LISTED else _GIVE_UP_S
    opened = await _show_until_open(one, gate, reader, direction, patience)
    followed_by = 0
    if opened and one.manner is Manner.TURNS_BACK:
        await gate.wait_closed(direction)
        opened = False
    elif opened:
        followed_by = 1 if one.manner is Manner.TAILGATED else 0
        await gate.walk(direction, one.walk_s, 1 + followed_by)
    return Outcome(
        lane=one.lane,
        number=one.number,
        document=one.document,
        manner=one.manner.value,
        passed=opened,
        followed_by=followed_by,
        wrongly_released=opened and one.manner is Manner.LISTED,
    )


async def _show_until_open(one: Traveller, gate: Gate, reader: Reader, direction: Direction, patience: float) -> bool:
    """Hold the document to the reader, again and again, as people do while nothing happens."""
    clock = asyncio.get_running_loop().time
    await reader.wait_connected()
    until = clock() + patience
    while (left := until - clock()) > 0:
        reader.show(one.document)
        if await gate.wait_open(direction, min(_SHOW_AGAIN_S, left)):
            return True
    return False


@contextlib.asynccontextmanager
async def run_site(config: EdgeConfig, seed: int = 0) -> AsyncIterator[Site]:
    """Serve every device of a site file; those that push to the edge keep their link, and push when told to."""
    site = Site(config)
    async with contextlib.AsyncExitStack() as stack:
        buses: dict[BusAddress, list[tuple[DeviceSpec, ModbusUrl]]] = defaultdict(list)
        for spec in config.devices.values():
            if spec.link.startswith("http-server:"):
                continue
            if spec.driver.name in {"turnstile", "barrier"}:
                url = parse_modbus_url(spec.link)
                buses[url.bus].append((spec, url))
            else:
                await _serve_reader(site, spec, stack)
        for address, devices in buses.items():
            await _serve_bus(site, address, devices, stack, seed)
        yield site


async def _serve_reader(site: Site, spec: DeviceSpec, stack: contextlib.AsyncExitStack) -> None:
    serve = serve_pty_reader if urlsplit(spec.link).scheme == "serial" else serve_tcp_reader
    reader = await stack.enter_async_context(serve())
    site.readers[spec.id] = reader
    site.links[spec.id] = reader.url


async def _serve_bus(
    site: Site,
    address: BusAddress,
    devices: Sequence[tuple[DeviceSpec, ModbusUrl]],
    stack: contextlib.AsyncExitStack,
    seed: int,
) -> None:
    units: dict[int, Bank] = {}
    for spec, url in devices:
        units[url.unit] = _bank(site, spec)
    serve = serve_pty(units, seed=seed) if address.device else serve_tcp(units, seed=seed)
    server = await stack.enter_async_context(serve)
    site.servers.append(server)
    for spec, url in devices:
        joint = "&" if "?" in server.url else "?"
        site.links[spec.id] = f"{server.url}{joint}unit={url.unit}"


def _bank(site: Site, spec: DeviceSpec) -> Bank:
    if spec.driver.name == "barrier":
        barrier = site.barriers[spec.id] = Barrier()
        return barrier_bank(barrier, spec.profile)
    gate = site.gates[spec.id] = Gate()
    return gate_bank(gate, spec.profile)
