"""How long a decision takes while the uplink is cut. `python -m bench.decisions [--quick]`.

The 28 turnstiles of the reference bridge, 20 passages a second, a list of 2,000 documents in force. The figures are
the edge's own samples, in its records: from the credential to the decision, and to the gate's answer, with the commit
of the decision (fsync) in between. Beside them what a traveller sees: from the document shown to the open gate.
"""

import argparse
import asyncio
import contextlib
import itertools
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.checkpoint import Checkpoint, checkpoint, passenger_lanes, reference
from bench.figures import Figure, quantile, table
from bench.stack import running_stack, work_folder
from core.messages.envelope import packed_event
from edge.sections import PassengerSection
from simulators.people import specimen
from simulators.site import Site

RATE: Final = 20.0
SECONDS: Final = 30.0
_WALK_S: Final = 0.2
_PATIENCE_S: Final = 3.0


async def decisions(place: Checkpoint, seconds: float) -> list[Figure]:
    """Cut the uplink, let people come, and read what the edge has recorded."""
    place.proxy.take_down()
    lanes = itertools.cycle(passenger_lanes(place.site.config))
    began, cpu = asyncio.get_running_loop().time(), place.daemon.cpu_s()
    people: list[asyncio.Task[float | None]] = []
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(began + number / RATE - asyncio.get_running_loop().time())
        people.append(asyncio.create_task(_visit(place.site, next(lanes), specimen(number + 1))))
    seen = [one for one in await asyncio.gather(*people) if one is not None]
    wall, cpu = asyncio.get_running_loop().time() - began, place.daemon.cpu_s() - cpu
    samples = recorded(place.buffer)
    rss = place.daemon.rss_bytes()
    place.proxy.bring_up()
    said = f"{len(people)} came at {RATE:g} a second, uplink cut; samples from the edge's records"
    decided, opened = samples["decided"], samples["opened"]
    return [
        Figure("decision, credential to decision p50", quantile(decided, 0.5), "ms", note=said),
        Figure("decision, credential to decision p99", quantile(decided, 0.99), "ms"),
        Figure("decision, credential to gate's answer p50", quantile(opened, 0.5), "ms"),
        Figure("decision, credential to gate's answer p99", quantile(opened, 0.99), "ms"),
        Figure("decision, document shown to open gate p50", quantile(seen, 0.5), "ms"),
        Figure("decision, document shown to open gate p99", quantile(seen, 0.99), "ms"),
        Figure("decision, travellers who went through", len(seen) / len(people) * 100, "%", at_least=100),
        Figure("CPU of 28 turnstiles at 20 passages/s", cpu / wall * 100, "% of a core"),
        Figure("RSS with 28 turnstiles", rss / 1e6, "MB", at_most=80),
    ]


async def _visit(site: Site, lane: PassengerSection, document: str) -> float | None:
    """Show a document, go through; return ms until the gate was open, None where it stayed shut."""
    gate, reader = site.gates[lane.gate], site.readers[lane.reader]
    began = time.perf_counter()
    reader.show(document)
    if not await gate.wait_open(lane.direction, _PATIENCE_S):
        return None
    took_ms = (time.perf_counter() - began) * 1000
    await gate.walk(lane.direction, _WALK_S)
    return took_ms


def recorded(buffer: Path) -> dict[str, Sequence[float]]:
    """Return the samples in the records of a buffer, as its edge took them offline."""
    samples: defaultdict[str, list[float]] = defaultdict(list)
    with contextlib.closing(sqlite3.connect(f"{buffer.as_uri()}?mode=ro", uri=True)) as file:
        bodies = [body for (body,) in file.execute("SELECT body FROM vital WHERE seq > 0")]
    for kind, data in map(packed_event, bodies):
        if "PassageDecided" in kind and data["offline"]:
            samples["decided"].append(data["latency_ms"])
        elif "PassageCleared" in kind:
            samples["opened"].append(data["opened_ms"])
    return dict(samples)


async def measure(seconds: float) -> list[Figure]:
    """Measure with a stack of its own."""
    with work_folder() as folder:
        async with running_stack("sqlite", folder) as stack, checkpoint(stack, reference("hengqin-bridge")) as place:
            started = Figure("start-up with 28 turnstiles, to READY=1", place.started_s, "s", at_most=1)
            return [started, *await decisions(place, seconds)]


def main() -> int:
    parser = argparse.ArgumentParser(description="How long a decision takes while the uplink is cut.")
    parser.add_argument("--quick", action="store_true", help="few people, to see that it works")
    figures = asyncio.run(measure(3 if parser.parse_args().quick else SECONDS))
    print(table(figures))
    return 0 if all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
