"""The live board of a demo: what the operations room would see, in a terminal."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulators.demo.api import ApiRefused
from simulators.demo.run import Demo, demo
from simulators.site import Outcome

_ROUND_S: Final = 600.0
_REFRESH_S: Final = 1.0


async def live(seed: int) -> int:
    """Show the board until Ctrl-C."""
    console = Console()
    async with demo(seed, _ROUND_S, console.print) as running:
        people = asyncio.create_task(running.people(seed, _ROUND_S), name="people")
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
    table = Table(title="gatefleet: the reference site", expand=False)
    for head in ("checkpoint", "passages/min", "refused", "anomalies", "waiting", "uplink", "sick devices"):
        table.add_column(head, justify="left" if head == "checkpoint" else "right")
    minute = _last_minute(running.outcomes, running)
    for site in running.sites:
        edge = site.config.edge
        status = await _status(running.fleet.folder / edge / "control.sock")
        if status is None:
            table.add_row(edge, "-", "-", "-", "-", "-", "no answer")
            continue
        lanes, devices = status["lanes"], status["devices"]
        waiting = sum(stream["entries"] for stream in status["buffer"]["streams"].values())
        table.add_row(
            edge,
            str(minute[site.config.file.edge.site]),
            str(sum(lane["refusals"] for lane in lanes)),
            str(sum(lane["anomalies"] for lane in lanes)),
            str(waiting),
            status["uplink"]["state"],
            str(sum(count for health, count in devices.items() if health != "ok")),
        )
    return Group(table, Text(await _central(running)))


def _last_minute(outcomes: list[Outcome], running: Demo) -> Counter[str]:
    site_of = {lane.id: site.config.file.edge.site for site in running.sites for lane in site.config.file.lane}
    minutes = max(1.0, (time.monotonic() - running.began_s) / 60)
    counts = Counter(site_of[one.lane] for one in outcomes if one.passed)
    return Counter({site: round(count / minutes) for site, count in counts.items()})


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
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(b'{"op":"status"}\n')
        answer = json.loads(await asyncio.wait_for(reader.readline(), 2.0))
        writer.close()
    except (OSError, TimeoutError, ValueError):
        return None
    data: dict[str, Any] | None = answer.get("data")
    return data
