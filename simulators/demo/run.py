"""A demo from start to reckoning."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.profiles import data_folder
from simulators.demo.fleet import Fleet, edge_configs, start_fleet
from simulators.demo.processes import free_port
from simulators.demo.reckoning import Reckoning, reckon
from simulators.faults import MqttProxy
from simulators.people import listed_documents, plan
from simulators.site import Outcome, Site, run_site

_GAP_S: Final = 6.0
"""Mean time between two arrivals at one turnstile: the peak of the reference site."""
_DRAIN_S: Final = 60.0
_KILLED: Final = "hengqin-bridge.gates"

Say = Callable[[str], None]


@dataclass(slots=True)
class Demo:
    """A running demo."""

    fleet: Fleet
    sites: list[Site]
    outcomes: list[Outcome] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)
    agreed: bool = True
    """False keeps what was written, for whoever looks for the reason."""

    async def people(self, seed: int, duration_s: float) -> None:
        """Let the people of all sites come; return when the last is gone."""
        async with asyncio.TaskGroup() as group:
            for number, site in enumerate(self.sites):
                lanes = [lane.id for lane in site.config.file.lane]
                travellers = plan(seed, lanes, duration_s, _GAP_S, first=number * 10_000_000)
                group.create_task(site.receive(travellers, self.outcomes.append), name=f"site.{site.config.edge}")

    async def faults(self, duration_s: float, say: Say) -> None:
        """Cut the uplink for a third of the time, and kill one edge while it is cut."""
        await asyncio.sleep(duration_s / 3)
        say("the uplink is cut")
        self.fleet.proxy.take_down()
        await asyncio.sleep(duration_s / 6)
        say(f"{_KILLED} is killed (SIGKILL)")
        await self.fleet.edges[_KILLED].kill()
        await self.fleet.edges[_KILLED].start()
        await asyncio.sleep(duration_s / 6)
        self.fleet.proxy.bring_up()
        say("the uplink is back")

    async def passages(self) -> list[dict[str, Any]]:
        """Return all that central knows of passages."""
        return [row async for row in self.fleet.keys["monitor"].every("/v1/passages")]

    async def reckon(self) -> Reckoning:
        """Compare truth and records as they are now."""
        tickets = [row async for row in self.fleet.keys["monitor"].every("/v1/tickets")]
        return reckon(self.outcomes, await self.passages(), self.fleet.token_of, len(tickets))

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
        sites = [await stack.enter_async_context(run_site(config, seed)) for config in configs]
        documents = [
            document
            for number, site in enumerate(sites)
            for document in listed_documents(
                plan(
                    seed,
                    [lane.id for lane in site.config.file.lane],
                    duration_s,
                    _GAP_S,
                    first=number * 10_000_000,
                )
            )
        ]
        say(f"{len(documents)} documents go on the refuse list: one key asks, another approves")
        await fleet.block(documents)
        say(f"starting {len(sites)} edges for {sum(len(site.gates) for site in sites)} turnstiles")
        for site in sites:
            await fleet.add_edge(site)
        await fleet.lists_delivered(len(sites))
        say("every edge has the list; people come")
        made.append(Demo(fleet, sites))
        yield made[0]


def _clean(folder: Path, made: Sequence[Demo], say: Say, *, failed: bool) -> None:
    if not failed and all(one.agreed for one in made):
        shutil.rmtree(folder, ignore_errors=True)
        return
    truth = [json.dumps(outcome.as_dict()) for one in made for outcome in one.outcomes]
    (folder / "truth.jsonl").write_text("\n".join(truth), encoding="utf-8")
    say(f"what was written stays in {folder}")


async def headless(seed: int, duration_s: float, out: Path | None, say: Say) -> int:
    """Run for a while with faults, reckon, write the result; 0 only if it agrees."""
    async with demo(seed, duration_s, say) as running:
        async with asyncio.TaskGroup() as group:
            group.create_task(running.faults(duration_s, say), name="faults")
            group.create_task(running.people(seed, duration_s), name="people")
        say(f"{len(running.outcomes)} people have been; waiting for the drain")
        found = await running.drained()
        running.agreed = found.good
    words = json.dumps(found.as_dict(), indent=2)
    if out is not None:
        await asyncio.to_thread(out.write_text, words + "\n", "utf-8")
    say(words)
    return 0 if found.good else 1
