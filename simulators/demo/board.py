"""The live board of a demo: what the operations room would see, in a terminal."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from core.errors import GatefleetError
from simulators.demo.api import ApiRefused
from simulators.demo.asking import ask
from simulators.demo.run import Demo, demo
from simulators.demo.scene import Scene

_ROUND_S: Final = 600.0
_REFRESH_S: Final = 1.0


async def live(seed: int) -> int:
    """Show the board until Ctrl-C."""
    console = Console()
    async with demo(seed, _ROUND_S, console.print) as running:
        people = asyncio.create_task(running.scene.play(), name="people and vehicles")
        with Live(console=console, auto_refresh=False) as screen:
            try:
                while not people.done():
                    screen.update(await picture(running), refresh=True)
                    await asyncio.sleep(_REFRESH_S)
            except (KeyboardInterrupt, asyncio.CancelledError):
                console.print("stopping")
            finally:
                people.cancel()
    return 0


async def picture(running: Demo) -> Group:
    """Return the board as it is now."""
    played = running.scene
    shown = f"{played.cameras[0]} of {played.cameras[1]} cameras"
    table = Table(title=f"gatefleet: the reference site, {shown}", expand=False)
    for head in ("edge", "passages/min", "refused", "anomalies", "waiting", "uplink", "sick devices"):
        table.add_column(head, justify="left" if head == "edge" else "right")
    minute = _last_minute(running)
    for site in played.sites:
        edge = site.config.edge
        status = await _status(running.fleet.socket(edge))
        if status is None:
            table.add_row(edge, "-", "-", "-", "-", "-", "no answer")
            continue
        lanes, devices = status["lanes"], status["devices"]
        waiting = sum(stream["entries"] for stream in status["buffer"]["streams"].values())
        table.add_row(
            edge,
            str(minute[edge]) if lanes else "",
            str(sum(lane["refusals"] for lane in lanes)) if lanes else "",
            str(sum(lane["anomalies"] for lane in lanes)) if lanes else "",
            str(waiting),
            status["uplink"]["state"],
            str(sum(count for health, count in devices.items() if health != "ok")),
        )
    return Group(table, Text(_moving(played)), Text(_looking(running)), Text(await _central(running)))


def _last_minute(running: Demo) -> Counter[str]:
    played = running.scene
    edge_of = {lane.id: site.config.edge for site in played.sites for lane in site.config.file.lane}
    minutes = max(1.0, (time.monotonic() - running.began_s) / 60)
    lanes = [one.lane for one in played.outcomes if one.passed] + [one.lane for one in played.legs if one.passed]
    lanes += [boarding.lane for boarding in played.boardings for one in boarding.truth if one.left]
    counts = Counter(edge_of[lane] for lane in lanes)
    return Counter({edge: round(count / minutes) for edge, count in counts.items()})


def _moving(played: Scene) -> str:
    """Say what moves: vehicles, buses, and one bus by its place."""
    online = sum(len(buses.online) for buses in played.buses)
    places = sum(buses.confirmed for buses in played.buses)
    found = [f"{len(played.legs)} vehicles at barriers, {online} buses and duty vehicles, {places} positions confirmed"]
    bus = next((some[0] for one in played.buses for some in one.site.callers.terminals.values()), None)
    if bus is not None:
        route = bus.route
        place = f"{route.lat_deg:.5f} N {route.lon_deg:.5f} E, {route.speed_kmh:.0f} km/h"
        found.append(f"bus {bus.number}: {place}")
    for boarding in played.boardings:
        met = boarding.counts
        words = f"{met['seen']} of {met['expected']} met, {met['released_by_officer'] + met['refused']} ruled on"
        found.append(f"{boarding.plan.flight} at {boarding.lane}: {words}")
    return "  |  ".join(found)


def _looking(running: Demo) -> str:
    """Say how to see a live picture."""
    edge, _, device = running.scene.watched.rpartition(".")
    if not device:
        return "no live picture: the extra `video` is not installed"
    return f"a live picture: gatefleet camera view {device} --socket {running.fleet.socket(edge)}"


async def _central(running: Demo) -> str:
    api = running.fleet.keys["monitor"]
    try:
        tickets = [one async for one in api.every("/v1/tickets")]
    except ApiRefused as error:
        return f"central: {error}"
    states = Counter(one["state"] for one in tickets)
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    return f"central {api.base}  tickets: {words}  key of the monitor: {api.key}  (Ctrl-C ends)"


async def _status(socket: Path) -> dict[str, Any] | None:
    try:
        return await ask(socket, "status", within_s=2.0)
    except GatefleetError:
        return None
