"""The families of devices: what the edge's file says of each, and what happens at it.

`python -m bench.family_kinds PLAN.json` is one family, until it is stopped.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from bench.cameras import Noted
from bench.family_load import GARBAGE, LOST_MS, At, Lateness, Live, Plan, listening, run
from bench.lone import Table, device, pushes, secret
from bench.plates import lane_tables
from core.clearance.model import Direction
from drivers.snmp import oids
from drivers.snmp.ber import NULL, write, write_oid
from edge.profiles import load_profile
from simulators.barrier import Barrier, barrier_bank
from simulators.desk import Desk
from simulators.dock import Dock
from simulators.hik_anpr import PlateCamera
from simulators.hik_counting import PeopleCounter
from simulators.instrument import Instrument
from simulators.jt808 import Misbehaviour as TerminalMisbehaviour
from simulators.jt808 import Terminal
from simulators.modbus import Bank, Faults, serve_pty, serve_tcp
from simulators.people import specimen
from simulators.pushing import Misbehaviour
from simulators.reader import Reader
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_mibs import SwitchState, switch_mib
from simulators.turnstile import Gate, gate_bank

GATES: Final = 4
BARRIERS: Final = 4
CAMERAS: Final = 4
TERMINALS: Final = 20
UNITS: Final = 3
POLL_MS: Final = 200
SNMP_MS: Final = 1_000
_BAUD: Final = 115_200
_FIRST_NUMBER: Final = 13_800_000_000
_LIES: Final = TerminalMisbehaviour(wrong_checksum=True, unescaped=True)
_STEP_S: Final = 0.12
_TIMING: Final = {"enter_timeout_ms": 1_500, "pass_timeout_ms": 3_000, "close_timeout_ms": 2_000}
"""Of a vehicle lane: what a kill leaves half done is over soon."""

Tables = tuple[list[Table], list[Table]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One family. `ports` is how many it needs; `tables` are its devices and lanes in the edge's file."""

    ports: int
    tables: Callable[[Plan], Tables]
    live: Live


async def _modbus(at: At, port: int, banks: dict[int, Bank]) -> None:
    server = await at.exits.enter_async_context(serve_tcp(banks, port=port))

    def hear(lying: bool) -> None:
        for unit in server.faults:
            server.faults[unit] = Faults(garble=lying)

    at.mood.on_lie.append(hear)


# -- turnstiles and readers: a document shown, until the gate is open


def _gate_tables(plan: Plan) -> Tables:
    devices, lanes = [], []
    for number in range(GATES):
        name = f"P{number}"
        devices += [
            device(f"{name}-TS", "turnstile", "reference/swing-gate", f"modbus+tcp://127.0.0.1:{plan.ports[number]}"),
            device(f"{name}-RD", "reader", "generic/line-reader", f"tcp://127.0.0.1:{plan.ports[GATES + number]}"),
        ]
        rules = {"default": "release"}
        roles = {"gate": f"{name}-TS", "reader": f"{name}-RD"}
        lanes.append({"id": name, "kind": "passenger", **roles, "direction": "in", "rules": rules})
    return devices, lanes


async def _gates(at: At) -> Sequence[Awaitable[Any]]:
    happens = []
    for number in range(GATES):
        gate, reader = Gate(), Reader()
        await _modbus(at, at.plan.ports[number], {1: gate_bank(gate, load_profile("reference/swing-gate"))})
        await at.exits.enter_async_context(listening(reader.client, at.plan.ports[GATES + number]))
        happens.append(_passengers(at, gate, reader, itertools.count(number * 1_000_000 + int(time.time()) % 900_000)))
    return happens


async def _passengers(at: At, gate: Gate, reader: Reader, numbers: "itertools.count[int]") -> None:
    while True:
        await reader.wait_connected()
        while at.mood.lying:
            reader.show(os.urandom(GARBAGE).hex())
            await asyncio.sleep(0.05)
        began_s = time.monotonic()
        reader.show(specimen(next(numbers)))
        opened = await gate.wait_open(Direction.IN, LOST_MS / 1000)
        at.book.note(at.plan.name, began_s, None if opened else LOST_MS)
        if opened:
            await gate.walk(Direction.IN, 0.05)
        await asyncio.sleep(0.6)


# -- plate cameras, half of them with a barrier: a post, until the coil is written; or until it is answered


def _plate_tables(plan: Plan) -> Tables:
    folder = Path(plan.folder)
    devices, lanes = [], []
    for number in range(BARRIERS):
        name = f"V{number}"
        barrier = f"modbus+tcp://127.0.0.1:{plan.ports[number]}"
        some, lane = lane_tables(folder, name, barrier, plan.link(f"{name}"))
        devices += some
        lanes.append(lane | {"timing": lane["timing"] | _TIMING})
    link = plan.link("road")
    devices.append(device("ROAD", "hik-anpr", "hikvision/isapi-anpr", link, access=pushes(folder)))
    return devices, lanes


async def _plates(at: At) -> Sequence[Awaitable[Any]]:
    happens: list[Awaitable[Any]] = [at.garbage("road", 0.05)]
    for number in range(BARRIERS):
        barrier = Barrier(travel_s=0.05)
        await _modbus(at, at.plan.ports[number], {1: barrier_bank(barrier, load_profile("reference/barrier"))})
        camera = PlateCamera(await at.pusher(f"V{number}", Misbehaviour.DTD))
        happens.append(_vehicles(at, barrier, camera, number))
    road = PlateCamera(await at.pusher("road", Misbehaviour.CUT))
    happens.append(at.again(0.1, lambda: _posted(road.vehicle("京K12345"))))
    return happens


async def _posted(answer: Awaitable[int]) -> bool:
    return await answer == 200


async def _vehicles(at: At, barrier: Barrier, camera: PlateCamera, number: int) -> None:
    await asyncio.sleep(0.5 * number)
    for visit in itertools.count():
        await barrier.arrive(_STEP_S)
        raised: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ordered(move: str, raised: "asyncio.Future[None]" = raised) -> None:
            if move == "raise" and not raised.done():
                raised.set_result(None)

        barrier.on_order = ordered
        began_s = time.monotonic()
        await camera.vehicle("京K" + str((visit + number) % 10) * 5)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(raised, LOST_MS / 1000)
        opened = raised.done() and not raised.cancelled()
        at.book.note(at.plan.name, began_s, None if opened else LOST_MS)
        if opened and await barrier.wait_arm("open", 2):
            await barrier.drive(_STEP_S)
        else:
            await barrier.back_out(_STEP_S)
        await barrier.wait_arm("closed", 2)
        await asyncio.sleep(0.4)


# -- ONVIF cameras: an event, until the camera is asked for the next


def _camera_tables(plan: Plan) -> Tables:
    settings = {"username": Noted().login.username, "password": f"file:{plan.folder}/camera.key", "look_s": 1.0}
    urls = [f"http://127.0.0.1:{port}/onvif/device_service" for port in plan.ports]
    return [device(f"CAM{n}", "onvif-camera", "onvif/camera", url, settings=settings) for n, url in enumerate(urls)], []


async def _cameras(at: At) -> Sequence[Awaitable[Any]]:
    happens = []
    for port in at.plan.ports:
        camera = Noted(note=lambda what, began_s: _pulled(at, what, began_s), size=50_000)
        app = web.Application(client_max_size=1 << 20)
        for name in ("device_service", "media", "media2", "events", "ptz", "subscription"):
            app.router.add_post(f"/onvif/{name}", camera.soap)
        app.router.add_get("/snap.jpg", camera.still)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        at.exits.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        camera.url = f"http://127.0.0.1:{port}/onvif/device_service"
        at.mood.on_lie.append(lambda lying, camera=camera: _lies(camera, lying))  # type: ignore[misc]  # bound default
        happens.append(_happens(camera))
    return happens


def _pulled(at: At, what: str, began_s: float) -> None:
    if what.startswith("pull."):
        at.book.note(at.plan.name, began_s)


def _lies(camera: Noted, lying: bool) -> None:
    camera.habits.garbled, camera.habits.picture = lying, "garbled" if lying else "moving"


async def _happens(camera: Noted) -> None:
    for number in itertools.count():
        if camera.subscriptions:
            camera.happen("true" if number % 2 else "false")
        await asyncio.sleep(0.3)


# -- locators: a position, until it is confirmed


def _locator_tables(plan: Plan) -> Tables:
    settings = {"terminals": ["138*"], "auth_key": secret(Path(plan.folder), "auth")}
    return [device("LOC", "jt808", "reference/jt808", f"tcp-server://127.0.0.1:{plan.ports[0]}", settings=settings)], []


async def _locators(at: At) -> Sequence[Awaitable[Any]]:
    return [_drives(at, Terminal(str(_FIRST_NUMBER + number), seed=number)) for number in range(TERMINALS)]


async def _drives(at: At, terminal: Terminal) -> None:
    async def half() -> None:
        terminal._write(bytes.fromhex("7e0200"))  # noqa: SLF001 half a frame

    def hear(lying: bool) -> None:
        terminal.misbehaviour = _LIES if lying else TerminalMisbehaviour()
        if lying:
            terminal._write(os.urandom(GARBAGE))  # noqa: SLF001 bytes that are no frame

    at.mood.on_lie.append(hear)
    at.mood.on_half.append(half)
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(terminal.connect("127.0.0.1", at.plan.ports[0]), 2)

    async def confirmed() -> bool:
        if terminal._transport is None:  # noqa: SLF001 nobody else knows
            await terminal.connect("127.0.0.1", at.plan.ports[0])
        return await terminal.position_confirmed() == 0

    await at.again(1.5, confirmed)


# -- people counters, docks and desks: a post, until it is answered


def _counter_tables(plan: Plan) -> Tables:
    access = pushes(Path(plan.folder))
    names = ("count-1", "count-2")
    return [device(n, "hik-counting", "hikvision/isapi-counting", plan.link(n), access=access) for n in names], []


async def _counters(at: At) -> Sequence[Awaitable[Any]]:
    happens: list[Awaitable[Any]] = [at.garbage("count-1", 0.05)]
    for name in ("count-1", "count-2"):
        counter = PeopleCounter(await at.pusher(name, Misbehaviour.DTD))

        async def counted(counter: PeopleCounter = counter) -> bool:
            counter.cross(entered=1)
            return await counter.tell_totals() == 200

        happens.append(at.again(0.2, counted))
    return happens


def _desk_tables(plan: Plan) -> Tables:
    access = pushes(Path(plan.folder))
    return [
        device("DOCK", "dock", "reference/dock", plan.link("dock"), access=access),
        device("DESK", "desk", "reference/desk", plan.link("desk"), access=access),
    ], []


async def _desks(at: At) -> Sequence[Awaitable[Any]]:
    dock, desk = Dock(await at.pusher("dock", Misbehaviour.CUT)), Desk(await at.pusher("desk", Misbehaviour.CUT))

    async def charged() -> bool:
        dock.insert(1, "EQ-1")
        return await dock.push() == 200

    return [at.again(0.25, charged), at.again(0.25, lambda: _posted(desk.beat())), at.garbage("desk", 0.05)]


# -- instruments on a serial line, and SNMP agents: how late a poll is


def line(plan: Plan) -> Path:
    """Return where the serial line is found, whichever pty it is."""
    return Path(plan.folder) / "line"


def _instrument_tables(plan: Plan) -> Tables:
    links = [f"modbus+rtu://{line(plan)}?baud={_BAUD}&unit={unit}" for unit in range(1, UNITS + 1)]
    return [device(f"GAUGE{n}", "instrument", "reference/water-gauge", link) for n, link in enumerate(links)], []


async def _instruments(at: At) -> Sequence[Awaitable[Any]]:
    late = Lateness(at, POLL_MS / 1000)
    banks = {}
    for unit in range(1, UNITS + 1):
        bank = Instrument(load_profile("reference/water-gauge"), seed=unit).bank
        bank.before_read = _counted(bank.before_read, late, unit)
        banks[unit] = bank
    server = await at.exits.enter_async_context(serve_pty(banks, baud=_BAUD))

    def hear(lying: bool) -> None:
        for unit in server.faults:
            server.faults[unit] = Faults(garble=lying)

    at.mood.on_lie.append(hear)
    here = line(at.plan).with_suffix(".new")
    here.symlink_to(server.url.partition("://")[2].partition("?")[0])
    here.rename(line(at.plan))
    return [asyncio.Event().wait()]


def _counted(refresh: Callable[..., None] | None, late: Lateness, unit: int) -> Callable[..., None]:
    def read(space: object, address: int, count: int) -> None:
        late.polled((unit, space, address))
        if refresh is not None:
            refresh(space, address, count)

    return read


_WALKS: Final = tuple(write_oid(oid) + write(NULL, b"") for oid in (oids.IF_ADMIN, oids.POE_ADMIN))
"""What the first question of a walk has that is due each SNMP_MS; names are asked for at other times."""


@dataclass(slots=True)
class _Asked(Agent):
    late: Lateness | None = None

    def answer(self, data: bytes) -> bytes | None:
        """Answer a datagram; note where a walk begins."""
        for begin in _WALKS:
            if self.late is not None and begin in data:
                self.late.polled((id(self), begin))
        return Agent.answer(self, data)


def _snmp_tables(plan: Plan) -> Tables:
    settings = {"version": "2c", "community": f"file:{plan.folder}/community.key"}
    links = [f"snmp://127.0.0.1:{port}" for port in plan.ports]
    return [
        device(f"SW{n}", "snmp", "generic/snmp-switch", link, settings=settings) for n, link in enumerate(links)
    ], []


async def _snmp(at: At) -> Sequence[Awaitable[Any]]:
    late = Lateness(at, SNMP_MS / 1000)
    for port in at.plan.ports:
        agent = _Asked(switch_mib(SwitchState(), ports=24, poe=8), late=late)
        await at.exits.enter_async_context(serve_snmp(agent, port=port))
        at.mood.on_lie.append(lambda lying, agent=agent: setattr(agent.faults, "garbled", lying))  # type: ignore[misc]
    return [asyncio.Event().wait()]


KINDS: Final[dict[str, Kind]] = {
    "turnstiles": Kind(2 * GATES, _gate_tables, _gates),
    "plates": Kind(BARRIERS, _plate_tables, _plates),
    "cameras": Kind(CAMERAS, _camera_tables, _cameras),
    "locators": Kind(1, _locator_tables, _locators),
    "counters": Kind(0, _counter_tables, _counters),
    "desks": Kind(0, _desk_tables, _desks),
    "instruments": Kind(0, _instrument_tables, _instruments),
    "snmp": Kind(2, _snmp_tables, _snmp),
}


def main() -> int:
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    asyncio.run(run(plan, KINDS[plan.name].live))
    return 0


if __name__ == "__main__":
    sys.exit(main())
