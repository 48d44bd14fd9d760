"""One site by itself, for an edge that is run by hand."""

import asyncio
import contextlib
import json
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w

from edge.config import load_config
from edge.sections import PassengerSection
from simulators import people, vehicles
from simulators.overlay import at_home
from simulators.site import Site, run_site
from simulators.site_buses import driving
from simulators.site_life import living
from simulators.site_roads import Road, ways
from simulators.site_secrets import write_secrets


async def simulate(
    file: Path, config_out: Path, truth: Path | None, *, seed: int, duration_s: float, gap_s: float
) -> None:
    """Serve the site's devices until SIGINT or SIGTERM; people and vehicles come for `duration_s`, buses drive."""
    config = load_config(file)
    lanes = [lane.id for lane in config.file.lane if isinstance(lane, PassengerSection)]
    travellers = people.plan(seed, lanes, duration_s, gap_s) if duration_s else []
    coming = vehicles.plan(seed, ways(config), duration_s, gap_s) if duration_s else []
    listed = len(people.listed_documents(travellers)) + len(vehicles.listed_plates(coming))
    tell = _teller(truth)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(run_site(config, seed))
        await asyncio.to_thread(_write, config_out, config.digest_source, site)
        print(f"{config.edge}: {len(site.links)} devices; the edge's file is {config_out}", flush=True)
        print(f"{len(travellers)} people and {len(coming)} vehicles will come, {listed} of them listed", flush=True)
        await stack.enter_async_context(living(site))
        buses = await stack.enter_async_context(driving(site))
        buses.heard = lambda place: tell(place.as_dict())
        come = asyncio.create_task(_come(site, travellers, coming, tell), name="people and vehicles")
        await stopping.wait()
        come.cancel()


async def _come(
    site: Site,
    travellers: list[people.Traveller],
    coming: list[vehicles.Vehicle],
    tell: Callable[[dict[str, Any]], None],
) -> None:
    road = Road(site)
    await asyncio.gather(
        site.receive(travellers, lambda outcome: tell(outcome.as_dict())),
        road.receive(coming, lambda leg: tell(leg.as_dict())),
    )
    print(f"{len(site.truth)} people have been, and vehicles at {len(road.truth)} barriers", flush=True)


def _teller(truth: Path | None) -> Callable[[dict[str, Any]], None]:
    """Return what writes a row of the truth."""

    def tell(row: dict[str, Any]) -> None:
        if truth is not None:
            with truth.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")

    return tell


def _write(config_out: Path, raw: bytes, site: Site) -> None:
    """Write the edge's file with the links of this run, and the made-up secrets of its devices beside it."""
    table = tomllib.loads(raw.decode())
    folder = config_out.resolve().parent
    write_secrets(folder, table)
    for device in table.get("device", ()):
        device["link"] = site.links[device["id"]]
        at_home(device, folder)
    config_out.write_text(tomli_w.dumps(table), "utf-8")
