"""Many devices on one daemon: 5,000 locators, 189 cameras, 42 plate cameras with barriers.

    python -m bench.devices [--quick] [--json FILE] [--only locators | cameras | plates]

The daemon is the real one with its durable buffer, one for each part. The locators are simulated in this process, over
real sockets: they register, authenticate and send a position every ten seconds. A position's confirmation leaves after
its commit (fsync), so the time from sending to confirmation has it in it. Of the others see `cameras.py`, `plates.py`.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import tomli_w

from bench import cameras, plates
from bench.checkpoint import notified, started
from bench.figures import Figure, quantile, table
from bench.limits import fdatasyncs
from bench.stack import Program, edge, work_folder
from simulators.demo.processes import free_port
from simulators.jt808 import fleet

SESSIONS: Final = 5_000
EVERY_S: Final = 10.0
SECONDS: Final = 40.0
_PROBE_EVERY_S: Final = 0.05
_FIRST_NUMBER: Final = 13_800_000_000


def configuration(folder: Path, port: int) -> str:
    """Return a daemon's file with one port for locators, and nothing else."""
    (folder / "auth.key").write_text("a key of thirty-two characters..", encoding="ascii")
    (folder / "token.key").write_text("a key of thirty-two characters..", encoding="ascii")
    device = {
        "id": "LOC-1",
        "driver": "jt808",
        "profile": "reference/jt808",
        "link": f"tcp-server://127.0.0.1:{port}",
        "settings": {"terminals": ["138*"], "auth_key": f"file:{folder / 'auth.key'}"},
    }
    file = {
        "schema": 1,
        "edge": {"site": "bench", "name": "locators"},
        "buffer": {"path": str(folder / "buffer.db"), "quota_mb": 512},
        "uplink": {"url": "mqtt://127.0.0.1:9"},
        "crypto": {"token_key": f"file:{folder / 'token.key'}"},
        "control": {"socket": str(folder / "control.sock")},
        "metrics": {"host": ""},
        "device": [device],
    }
    return tomli_w.dumps(file)


async def locators(folder: Path, *, sessions: int, seconds: float) -> list[Figure]:
    """Measure the daemon with so many terminals."""
    port, path = free_port(), folder / "locators.toml"
    path.write_text(configuration(folder, port), encoding="utf-8")
    with notified(folder) as (listener, address):
        daemon = edge(folder, path, NOTIFY_SOCKET=address)
        try:
            await started(daemon, listener)
            await _listening(port)
            return await _measured(folder, daemon, port, sessions, seconds)
        finally:
            await daemon.stop()


async def _listening(port: int) -> None:
    """Return once the port of the locators is open: a daemon is ready before all its devices are; TimeoutError."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


async def _measured(folder: Path, daemon: Program, port: int, sessions: int, seconds: float) -> list[Figure]:
    began = time.perf_counter()
    async with fleet("127.0.0.1", port, sessions, seed=1, first=_FIRST_NUMBER) as many:
        admitted_s = time.perf_counter() - began
        syncs = await asyncio.to_thread(fdatasyncs, folder, 1.0)
        before, began = daemon.cpu_s(), time.perf_counter()
        reporting = asyncio.create_task(many.report(sessions / EVERY_S, seconds))
        took_ms = []
        probe = many.terminals[0]
        while not reporting.done():
            asked = time.perf_counter()
            await probe.position_confirmed()
            took_ms.append((time.perf_counter() - asked) * 1000)
            await asyncio.sleep(_PROBE_EVERY_S)
        sent = await reporting + len(took_ms)
        used = (daemon.cpu_s() - before) / (time.perf_counter() - began)
        async with asyncio.timeout(30):
            while many.confirmed < sent:  # noqa: ASYNC110 the terminals count, and tell nobody
                await asyncio.sleep(0.05)
        rss = daemon.rss_bytes()
    what = f"{sessions} locators at one position each {EVERY_S:g} s"
    return [
        Figure(f"{what}: CPU", used * 100, "% of a core", note=f"{sent} positions, all confirmed"),
        Figure(f"{what}: RSS", rss / 1e6, "MB", note=f"all were admitted within {admitted_s:.1f} s"),
        Figure("position to confirmation, commit included, p50", quantile(took_ms, 0.5), "ms"),
        Figure(
            "position to confirmation, commit included, p99",
            quantile(took_ms, 0.99),
            "ms",
            limit=1000 / syncs,
            limit_of="ms by a bare fdatasync",
            ratio=quantile(took_ms, 0.99) / (1000 / syncs),
        ),
    ]


async def _locators(*, quick: bool) -> Sequence[Figure]:
    with work_folder() as folder:
        return await locators(folder, sessions=200 if quick else SESSIONS, seconds=2.0 if quick else SECONDS)


PARTS: Final[dict[str, Callable[..., Awaitable[Sequence[Figure]]]]] = {
    "locators": _locators,
    "cameras": cameras.measure,
    "plates": plates.measure,
}


async def measure(parts: Sequence[str], *, quick: bool) -> list[Figure]:
    """Measure part by part."""
    return [figure for part in parts for figure in await PARTS[part](quick=quick)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Many devices on one daemon.")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--only", choices=list(PARTS), action="append", help="this part; repeatable")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.only or list(PARTS), quick=arguments.quick))
    print(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps([one.as_dict() for one in figures], indent=1) + "\n", encoding="utf-8")
    return 0 if arguments.quick or all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
