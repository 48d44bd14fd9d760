"""Single devices that are called: each opener serves one on a port or a pty."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from core.clearance.model import Direction
from core.errors import ConfigInvalid
from drivers.cabin.layout import CabinMap
from drivers.profile import checked_map
from simulators.cabin import Cabin, Controller, Flaw
from simulators.gb28181 import serve_platform
from simulators.instrument import Instrument
from simulators.modbus import Bank, Faults, Server, serve_pty, serve_tcp
from simulators.nmea0183 import Receiver, Track, serve_pty_receiver
from simulators.ntp import TimeServer, serve_ntp
from simulators.onvif_camera import Camera
from simulators.onvif_words import Emitted
from simulators.people import specimen
from simulators.reader import Reader, serve_pty_reader
from simulators.single import Place, Running, Tell, Wish, again_and_again
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_mibs import SwitchState, switch_mib
from simulators.turnstile import Gate, gate_bank

_WALK_S: Final = 0.6
_PATIENCE_S: Final = 3_600.0
_PLATFORM: Final = "44040000002000000001"
_ACCOUNT: Final = "44040000002000000002"
LINE_BAD: Final = ("silent", "mute", "slow", "late", "garbled", "cut", "wrong-unit", "refusing")
"""What any unit on a Modbus line may do wrong."""


def line_faults(bad: frozenset[str]) -> Faults:
    """Return the faults of a unit by their words."""
    return Faults(
        dead="silent" in bad,
        mute="mute" in bad,
        delay_s=0.4 if "slow" in bad else 0.0,
        late="late" in bad,
        garble="garbled" in bad,
        truncate="cut" in bad,
        wrong_unit="wrong-unit" in bad,
        exception=4 if "refusing" in bad else 0,
    )


@contextlib.asynccontextmanager
async def serve_unit(bank: Bank, wish: Wish) -> AsyncIterator[tuple[Server, str]]:
    """Serve one unit; give the server and the device's link."""
    unit = wish.place.number("unit", 1)
    if not 1 <= unit <= 247:
        raise ConfigInvalid(f"unit {unit}", place="--listen", cure="1 to 247")
    if wish.place.is_pty:
        serving = serve_pty({unit: bank}, baud=wish.place.number("baud", 0), seed=wish.seed)
    else:
        serving = serve_tcp({unit: bank}, host=wish.place.host, port=wish.place.port, seed=wish.seed)
    async with serving as server:
        server.faults[unit] = line_faults(wish.bad)
        yield server, f"{server.url}{'&' if '?' in server.url else '?'}unit={unit}"


@contextlib.asynccontextmanager
async def turnstile(wish: Wish) -> AsyncIterator[Running]:
    """Serve a gate through which somebody walks whenever it opens."""
    gate = Gate()
    if "jammed" in wish.bad:
        gate.fault("door_jam", on=True)

    async def walking(direction: Direction) -> None:
        while True:
            if await gate.wait_open(direction, _PATIENCE_S):
                await gate.walk(direction, _WALK_S)

    async def live(_tell: Tell) -> None:
        await asyncio.gather(*(walking(direction) for direction in Direction))

    async with serve_unit(gate_bank(gate, wish.profile), wish) as (_server, url):
        yield Running(url, live=live)


@contextlib.asynccontextmanager
async def instrument(wish: Wish) -> AsyncIterator[Running]:
    """Serve an instrument, a UPS or a transmitter, by its profile."""
    made = Instrument(wish.profile, seed=wish.seed)
    made.faults.swapped = "swapped" in wish.bad
    points = wish.profile.map.get("point", ())
    if "no-value" in wish.bad:
        made.faults.sentinel |= {row["name"] for row in points if row.get("invalid")}
    if "implausible" in wish.bad:
        made.faults.implausible |= {row["name"] for row in points}
    async with serve_unit(made.bank, wish) as (_server, url):
        yield Running(url)


@contextlib.asynccontextmanager
async def cabin(wish: Wish) -> AsyncIterator[Running]:
    """Serve a cabin with its watchdog."""
    flaws = {Flaw(word.replace("-", "_")) for word in wish.bad - set(LINE_BAD)}
    controller = Controller(Cabin(flaws=flaws), checked_map(wish.profile, CabinMap))
    try:
        async with serve_unit(controller.bank, wish) as (_server, url):
            yield Running(url)
    finally:
        controller.close()


@contextlib.asynccontextmanager
async def reader(wish: Wish) -> AsyncIterator[Running]:
    """Serve a document reader to which specimens are shown."""

    async def live(_tell: Tell) -> None:
        await again_and_again(wish.every_s, show)

    async def show(number: int) -> None:
        text = specimen(wish.seed * 1_000 + number)
        for _ in range(2 if "twice" in wish.bad else 1):
            made.show(text[:-3] + "#?!" if "garbled" in wish.bad else text)

    async with serve_pty_reader() if wish.place.is_pty else _tcp_reader(wish.place) as made:
        yield Running(made.url, live=live)


@contextlib.asynccontextmanager
async def _tcp_reader(place: Place) -> AsyncIterator[Reader]:
    made = Reader()
    async with _listening(asyncio.start_server(made.client, place.host, place.port)) as port:
        made.url = f"tcp://{place.host}:{port}"
        try:
            yield made
        finally:
            await made.leave()


@contextlib.asynccontextmanager
async def nmea0183(wish: Wish) -> AsyncIterator[Running]:
    """Serve a receiver that drives round its circle, a second an epoch."""
    track = Track(seed=wish.seed, start=datetime.now(UTC).replace(microsecond=0))
    async with serve_pty_receiver(track) if wish.place.is_pty else _tcp_receiver(track, wish.place) as made:
        faults = made.faults
        faults.slow, faults.lying, faults.no_fix = ("slow" in wish.bad, "lying" in wish.bad, "no-fix" in wish.bad)
        faults.garbled = 0.1 if "garbled" in wish.bad else 0.0

        async def tell_epoch(_number: int) -> None:
            await made.tell()

        async def live(_tell: Tell) -> None:
            await again_and_again(1.0, tell_epoch)

        yield Running(made.url, settings={"terminal": f"SIM-{wish.seed}"}, live=live)


@contextlib.asynccontextmanager
async def _tcp_receiver(track: Track, place: Place) -> AsyncIterator[Receiver]:
    made = Receiver(track)
    async with _listening(asyncio.start_server(made.client, place.host, place.port)) as port:
        made.url = f"tcp://{place.host}:{port}"
        try:
            yield made
        finally:
            await made.leave()


@contextlib.asynccontextmanager
async def _listening(starting: Awaitable[asyncio.Server]) -> AsyncIterator[int]:
    server = await starting
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def onvif_camera(wish: Wish) -> AsyncIterator[Running]:
    """Serve an ONVIF camera whose digital input changes now and then."""
    camera = Camera()
    habits = camera.habits
    habits.slow_s = 1.0 if "slow" in wish.bad else 0.0
    habits.garbled, habits.old = "garbled" in wish.bad, "old" in wish.bad
    for word in ("frozen", "black"):
        if word in wish.bad:
            habits.picture = word
    app = web.Application(client_max_size=1 << 20)
    for name in ("device_service", "media", "media2", "events", "ptz", "subscription"):
        app.router.add_post(f"/onvif/{name}", camera.soap)
    app.router.add_get("/snap.jpg", camera.still)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, wish.place.host, wish.place.port).start()
        camera.url = f"http://{wish.place.host}:{runner.addresses[0][1]}/onvif/device_service"

        async def change(number: int) -> None:
            state = "true" if number % 2 else "false"
            camera.emit(Emitted("tns1:Device/Trigger/DigitalInput", {"InputToken": "1"}, {"LogicalState": state}))

        async def live(_tell: Tell) -> None:
            await again_and_again(wish.every_s, change)

        settings = {"username": camera.login.username, "password": "env:SIM_CAMERA_PASSWORD"}
        yield Running(camera.url, settings=settings, environ={"SIM_CAMERA_PASSWORD": camera.login.password}, live=live)
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def snmp(wish: Wish) -> AsyncIterator[Running]:
    """Serve a switch with PoE, read by version 2c."""
    agent = Agent(switch_mib(SwitchState()))
    faults = agent.faults
    faults.silent, faults.garbled, faults.refuses = (
        "silent" in wish.bad,
        "garbled" in wish.bad,
        "refusing" in wish.bad,
    )
    faults.loops, faults.wrong_request_id = "endless" in wish.bad, "wrong-id" in wish.bad
    async with serve_snmp(agent, wish.place.host, wish.place.port) as url:
        settings = {"version": "2c", "community": "env:SIM_COMMUNITY"}
        yield Running(url, settings=settings, environ={"SIM_COMMUNITY": agent.community})


@contextlib.asynccontextmanager
async def ntp(wish: Wish) -> AsyncIterator[Running]:
    """Serve the time."""
    server = TimeServer(
        ahead_s=5.0 if "lying" in wish.bad else 0.0,
        stratum=16 if "unsynchronised" in wish.bad else 2,
        silent="silent" in wish.bad,
        replays="replaying" in wish.bad,
        garbled="garbled" in wish.bad,
    )
    async with serve_ntp(server, wish.place.host, wish.place.port) as url:
        yield Running(url)


@contextlib.asynccontextmanager
async def gb28181(wish: Wish) -> AsyncIterator[Running]:
    """Serve a platform above, on free ports of loopback."""
    if not wish.place.is_free:
        raise ConfigInvalid("the platform takes free ports of loopback", place="--listen", cure="leave it out")
    async with serve_platform(_PLATFORM, {_ACCOUNT: "sim-password"}) as platform:
        platform.bad.slow_s = 2.0 if "slow" in wish.bad else 0.0
        platform.bad.garbled = "garbled" in wish.bad
        platform.bad.silent = {"REGISTER"} if "silent" in wish.bad else set()
        known: set[str] = set()

        async def live(tell: Tell) -> None:
            while True:
                with contextlib.suppress(TimeoutError):
                    await platform.until(lambda: set(platform.guests) != known, _PATIENCE_S)
                for guest in set(platform.guests) - known:
                    tell(f"{guest} has registered over {platform.guests[guest].transport}")
                known.clear()
                known.update(platform.guests)

        settings = {
            "server_id": platform.id,
            "domain": platform.domain,
            "tcp_port": platform.ports["tcp"],
            "device_id": _ACCOUNT,
            "password": "env:SIM_PASSWORD",
        }
        url = f"sip://127.0.0.1:{platform.ports['udp']}"
        yield Running(url, settings=settings, environ={"SIM_PASSWORD": "sim-password"}, live=live, device=False)
