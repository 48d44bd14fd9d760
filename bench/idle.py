"""What an edge costs while nothing happens: 50 Modbus devices at 2 Hz. `python -m bench.idle [--quick]`.

Every device is a turnstile of the reference profile with a Modbus TCP connection of its own; broker and central are
there, nobody comes. The figures are the daemon's alone.
"""

import argparse
import asyncio
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import tomli_w

from bench.checkpoint import checkpoint, reference
from bench.figures import Figure, table
from bench.stack import running_stack, work_folder
from edge.config import EdgeConfig, parse_config
from edge.profiles import data_folder
from simulators.site import Site

BeforeRead = Callable[..., None]
DEVICES: Final = 50
EVERY_MS: Final = 500
SECONDS: Final = 20.0
_SETTLE_S: Final = 3.0
_PROFILE: Final = "reference/swing-gate"


def devices(count: int) -> EdgeConfig:
    """Return an edge that has only turnstiles, each on a bus of its own."""
    table_ = tomllib.loads(reference("hengqin-bridge").digest_source.decode())
    table_["lane"] = []
    table_["device"] = [
        {
            "id": f"HQ-BEN-TS-{number:03d}",
            "driver": "turnstile",
            "profile": _PROFILE,
            "link": f"modbus+tcp://10.0.{number // 250}.{number % 250 + 1}:502?unit=1",
        }
        for number in range(count)
    ]
    return parse_config(tomli_w.dumps(table_).encode(), "bench")


def share(folder: Path, every_ms: int) -> Path:
    """Make a folder of shared data whose turnstile profile is read at this interval; return it."""
    profile = tomllib.loads((data_folder("firmware_profiles") / f"{_PROFILE}.toml").read_text(encoding="utf-8"))
    profile["map"]["status"]["interval_ms"] = every_ms
    path = folder / "share" / "firmware_profiles" / f"{_PROFILE}.toml"
    path.parent.mkdir(parents=True)
    path.write_text(tomli_w.dumps(profile), encoding="utf-8")
    return folder / "share"


def count_reads(site: Site) -> Counter[str]:
    """Count, from now on, how often each server is read."""
    reads: Counter[str] = Counter()
    for server in site.servers:
        for bank in server.units.values():
            bank.before_read = _counted(bank.before_read, reads, server.url)
    return reads


def _counted(refresh: BeforeRead | None, reads: Counter[str], name: str) -> BeforeRead:
    def read(*place: Any) -> None:
        reads[name] += 1
        if refresh is not None:
            refresh(*place)

    return read


async def measure(seconds: float) -> list[Figure]:
    """Measure with a stack of its own."""
    with work_folder() as folder:
        shared = str(share(folder, EVERY_MS))
        async with (
            running_stack("sqlite", folder) as stack,
            checkpoint(stack, devices(DEVICES), listed=1, GATEFLEET_SHARE=shared) as place,
        ):
            await asyncio.sleep(_SETTLE_S)
            reads, cpu = count_reads(place.site), place.daemon.cpu_s()
            await asyncio.sleep(seconds)
            cpu = place.daemon.cpu_s() - cpu
            name = f"{DEVICES} Modbus devices at {1000 / EVERY_MS:g} Hz"
            cost_us = cpu / max(reads.total(), 1) * 1e6
            said = f"{reads.total() / seconds:.0f} reads a second, {cost_us:.0f} us a read, all included"
            return [
                Figure(f"idle CPU, {name}", cpu / seconds * 100, "% of a core", at_most=5, note=said),
                Figure(f"RSS, {name}", place.daemon.rss_bytes() / 1e6, "MB"),
                Figure(f"start-up, {name}", place.started_s, "s", at_most=1),
            ]


def main() -> int:
    parser = argparse.ArgumentParser(description="What an edge costs while nothing happens.")
    parser.add_argument("--quick", action="store_true", help="a short look, to see that it works")
    figures = asyncio.run(measure(3 if parser.parse_args().quick else SECONDS))
    print(table(figures))
    return 0 if all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
