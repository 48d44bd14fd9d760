"""A demo from start to reckoning."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.profiles import data_folder
from simulators.demo import families
from simulators.demo.cabins import cabins, central_rows
from simulators.demo.fleet import Fleet, edge_configs, start_fleet
from simulators.demo.picture import live_picture
from simulators.demo.processes import free_port
from simulators.demo.reckoning import Reckoning, reckon
from simulators.demo.scene import Scene, scene
from simulators.faults import MqttProxy

_DRAIN_S: Final = 60.0
_PLAYED_S: Final = 120.0
"""So long after the demo's time the last must be gone."""
_PLAYERS: Final = ("people.", "vehicles.", "road.", "boarding.", "bus.", "faults")
_KILLED: Final = ("hengqin-bridge.gates", "hengqin-fleet.locators")

Say = Callable[[str], None]


@dataclass(slots=True)
class Demo:
    """A running demo."""

    fleet: Fleet
    scene: Scene
    began_s: float = field(default_factory=time.monotonic)
    agreed: bool = True
    """False keeps what was written, for whoever looks for the reason."""

    async def faults(self, duration_s: float, say: Say) -> None:
        """Cut the uplink for a third of the time, and kill one edge while it is cut."""
        await asyncio.sleep(duration_s / 3)
        say("the uplink is cut")
        self.fleet.proxy.take_down()
        await asyncio.sleep(duration_s / 6)
        say(f"{' and '.join(_KILLED)} are killed (SIGKILL)")
        for name in _KILLED:
            await self.fleet.edges[name].kill()
            await self.fleet.edges[name].start()
        await asyncio.sleep(duration_s / 6)
        self.fleet.proxy.bring_up()
        say("the uplink is back")

    async def play(self, duration_s: float, say: Say) -> None:
        """Let everybody come while the faults happen; return when the last is gone."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.faults(duration_s, say), name="faults")
            group.create_task(self.scene.play(), name="people and vehicles")

    async def reckon(self) -> Reckoning:
        """Compare truth and records as they are now."""
        every, played = self.fleet.keys["monitor"].every, self.scene
        places = [place for buses in played.buses for place in buses.sent.values()]
        ours = {place.terminal for place in places}
        known = [row["terminal"] for row in await _all(every("/v1/locators")) if row["terminal"].lstrip("0") in ours]
        positions = [row for one in known for row in await _all(every(f"/v1/locators/{one}/positions"))]
        boarded = await central_rows(
            lambda path: self.fleet.keys["monitor"].call("GET", path), lambda path: _all(every(path))
        )
        road = families.vehicles(
            played.legs,
            await _all(every("/v1/vehicle-passages")),
            await _all(every("/v1/vehicle-decisions")),
            self.fleet.token_of,
        )
        return reckon(
            played.outcomes,
            await _all(every("/v1/passages")),
            self.fleet.token_of,
            len(await _all(every("/v1/tickets"))),
            {
                "vehicles": road,
                "positions": families.positions(places, positions),
                "cabins": cabins(played.boardings, boarded, self.fleet.token_of),
            },
        )

    async def drained(self) -> Reckoning:
        """Wait until the records agree with the truth, or time is over."""
        until = time.monotonic() + _DRAIN_S
        while True:
            found = await self.reckon()
            if found.good or time.monotonic() > until:
                return found
            await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def demo(seed: int, duration_s: float, say: Say) -> AsyncIterator[Demo]:
    """Start everything; people have not come yet."""
    folder = Path(tempfile.mkdtemp(prefix="gatefleet-demo-"))
    configs = edge_configs(data_folder("configs") / "sites")
    async with contextlib.AsyncExitStack() as stack:
        made: list[Demo] = []
        stack.push(lambda _kind, error, _trace: _clean(folder, made, say, failed=error is not None))
        broker_port = free_port()
        proxy = await stack.enter_async_context(MqttProxy("127.0.0.1", broker_port).serve())
        say("starting broker and central")
        fleet = await start_fleet(folder, proxy, broker_port)
        stack.push_async_callback(fleet.stop)
        say(f"central: {fleet.api.base} (docs at {fleet.api.base}/docs), logs in {folder}")
        played = await stack.enter_async_context(scene(configs, seed, duration_s, fleet.socket))
        listed = played.listed()
        say(f"{len(listed)} documents and plates go on the refuse list: one key asks, another approves")
        await fleet.block(listed)
        say(f"starting {len(played.sites)} edges: {played.devices()}")
        say(f"{played.cameras[0]} of the {played.cameras[1]} cameras run: as many as two cores carry")
        for site in played.sites:
            await fleet.add_edge(site)
        await fleet.lists_delivered(played.with_lanes)
        await played.settled()
        say("every edge with lanes has the list; people and vehicles come, buses drive")
        made.append(Demo(fleet, played))
        yield made[0]


def _clean(folder: Path, made: Sequence[Demo], say: Say, *, failed: bool) -> None:
    if not failed and all(one.agreed for one in made):
        shutil.rmtree(folder, ignore_errors=True)
        return
    truth = [json.dumps(row) for one in made for row in one.scene.truth()]
    (folder / "truth.jsonl").write_text("\n".join(truth), encoding="utf-8")
    say(f"what was written stays in {folder}")


async def headless(seed: int, duration_s: float, out: Path | None, say: Say) -> int:
    """Run for a while with faults, reckon, write the result; 0 only if it agrees."""
    async with demo(seed, duration_s, say) as running:
        await _within(running.play(duration_s, say), duration_s + _PLAYED_S)
        played = running.scene
        say(f"{len(played.outcomes)} people and {len(played.legs)} vehicles have been; waiting for the drain")
        found = await running.drained()
        seen = await live_picture(running.fleet, running.scene.watched)
        running.agreed = found.good and seen.good
    words = json.dumps(found.as_dict() | {"live": seen.as_dict()}, indent=2)
    if out is not None:
        await asyncio.to_thread(out.write_text, words + "\n", "utf-8")
    say(words)
    return 0 if running.agreed else 1


async def _within(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Do the work; raise TimeoutError, naming who has not come to an end, after so long."""
    doing = asyncio.create_task(work)
    try:
        await asyncio.wait((doing,), timeout=seconds)
        if not doing.done():
            waiting = sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(_PLAYERS))
            raise TimeoutError(f"not at their end after {seconds:.0f} s: {', '.join(waiting)}")
    finally:
        doing.cancel()
        await asyncio.wait((doing,))
    await doing


async def _all(rows: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row async for row in rows]
