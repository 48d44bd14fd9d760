"""One site by itself, for an edge that is run by hand."""

import asyncio
import json
import signal
import tomllib
from pathlib import Path

import tomli_w

from edge.config import load_config
from simulators.people import Traveller, listed_documents, plan
from simulators.site import Outcome, Site, run_site


async def simulate(
    file: Path, config_out: Path, truth: Path | None, *, seed: int, duration_s: float, gap_s: float
) -> None:
    """Serve the site's devices until SIGINT or SIGTERM; people come for `duration_s`, once an edge is connected."""
    config = load_config(file)
    travellers = plan(seed, [lane.id for lane in config.file.lane], duration_s, gap_s) if duration_s else []
    async with run_site(config, seed) as site:
        await asyncio.to_thread(config_out.write_text, _linked(config.digest_source, site), "utf-8")
        print(f"{config.edge}: {len(site.links)} devices; the edge's file is {config_out}", flush=True)
        print(f"{len(travellers)} people will come, {len(listed_documents(travellers))} of them listed", flush=True)
        coming = asyncio.create_task(_people(site, travellers, truth), name="people")
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await stopping.wait()
        coming.cancel()


async def _people(site: Site, travellers: list[Traveller], truth: Path | None) -> None:
    def told(outcome: Outcome) -> None:
        if truth is not None:
            with truth.open("a", encoding="utf-8") as out:
                out.write(json.dumps(outcome.as_dict(), ensure_ascii=False) + "\n")

    await site.receive(travellers, told)
    print(f"{len(site.truth)} people have been", flush=True)


def _linked(raw: bytes, site: Site) -> str:
    table = tomllib.loads(raw.decode())
    for device in table["device"]:
        device["link"] = site.links[device["id"]]
    return tomli_w.dumps(table)
