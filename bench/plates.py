"""42 plate cameras, each with its barrier, at one vehicle per 4 s. `python -m bench.plates [--quick]`.

The daemon is the real one, with its uplink cut and 2,000 plates on a list; cameras and barriers are simulated in this
process on real sockets, each camera at an address of its own. A vehicle stops at the approach loop, its camera posts
100 kB by HTTP Digest, the decision is durable (fsync), and the barrier's coil is written over Modbus TCP: the time is
taken from the first byte of the post to the coil. The daemon's own samples are read from its records.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from bench.figures import Figure, quantile, table
from bench.limits import fdatasyncs
from bench.lone import BLOCK, LOGIN, Table, device, lone_daemon, pushes, records, write_site
from bench.stack import Program, work_folder
from edge.profiles import load_profile
from simulators.barrier import Barrier, barrier_bank
from simulators.demo.processes import free_port
from simulators.hik_anpr import PlateCamera
from simulators.modbus import serve_tcp
from simulators.pushing import Pusher

CAMERAS: Final = 42
EVERY_S: Final = 4.0
SECONDS: Final = 40.0
DECISION_MS: Final = 50.0
PICTURE_BYTES: Final = 97_000
_LISTED: Final = 2_000
_PROFILE: Final = "reference/barrier"
_PATIENCE_S: Final = 3.0
_STEP_S: Final = 0.2
_SETTLE_S: Final = 1.0


class Camera(Pusher):
    """A camera whose picture is as large as a real one's; zeros, for noise would measure this process."""

    def picture(self, width: int, height: int, size: int = PICTURE_BYTES) -> bytes:
        """Return a JPEG head and zeros."""
        return super().picture(width, height, 10)[:-2] + bytes(size) + b"\xff\xd9"


@dataclass(slots=True)
class Took:
    """What was measured at the road, in ms, and how many vehicles came and were let in."""

    coil: list[float] = field(default_factory=list)
    answer: list[float] = field(default_factory=list)
    came: int = 0
    through: int = 0


@dataclass(slots=True)
class Lane:
    """One lane's machinery."""

    barrier: Barrier
    camera: PlateCamera
    seed: int
    visits: int = 0

    def plate(self) -> str:
        """Return the next plate: no sign as before it, for a near one within seconds is taken as the same vehicle's."""
        self.visits += 1
        return "京K" + "".join(str((int(sign) * 3 + self.visits) % 10) for sign in f"{self.seed * 1237:05d}")

    async def vehicle(self, took: Took) -> None:
        """Let one vehicle come and go through."""
        barrier = self.barrier
        took.came += 1
        raised: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def ordered(move: str) -> None:
            if move == "raise" and not raised.done():
                raised.set_result(time.perf_counter())

        barrier.on_order = ordered
        await barrier.arrive(_STEP_S)
        began = time.perf_counter()
        status = await self.camera.vehicle(self.plate())
        took.answer.append((time.perf_counter() - began) * 1000)
        with contextlib.suppress(TimeoutError):
            took.coil.append((await asyncio.wait_for(raised, _PATIENCE_S) - began) * 1000)
            if status == 200 and await barrier.wait_arm("open", _PATIENCE_S):
                took.through += 1
                await barrier.drive(_STEP_S)
                return
        await barrier.back_out()


def lane_tables(folder: Path, name: str, barrier: str, camera: str) -> tuple[list[Table], Table]:
    """Return the devices and the lane of one barrier at a Modbus URL and one camera that pushes to a URL."""
    devices = [
        device(f"{name}-BR", "barrier", _PROFILE, barrier),
        device(f"{name}-F", "hik-anpr", "hikvision/isapi-anpr", camera, access=pushes(folder)),
    ]
    lane = {
        "id": name,
        "kind": "vehicle",
        "barrier": f"{name}-BR",
        "cameras": {"front": f"{name}-F"},
        "direction": "in",
        "rules": {"default": "release", "lists": [BLOCK]},
        "timing": {"reads_wanted": 1, "confidence_wanted": 0.5},
    }
    return devices, lane


@contextlib.asynccontextmanager
async def camera_at(host: str, url: str, seed: int) -> AsyncIterator[PlateCamera]:
    """Open a camera whose own address is `host`."""
    connector = aiohttp.TCPConnector(local_addr=(host, 0))
    digest = aiohttp.DigestAuthMiddleware(LOGIN.username, LOGIN.password)
    async with aiohttp.ClientSession(connector=connector, middlewares=(digest,)) as session:
        yield PlateCamera(Camera(url, session, seed=seed))


async def plates(folder: Path, cameras: int, seconds: float) -> list[Figure]:
    """Measure the daemon with so many cameras."""
    port = free_port()
    devices: list[Table] = []
    tables: list[Table] = []
    lanes: list[Lane] = []
    async with contextlib.AsyncExitStack() as exits:
        for number in range(cameras):
            barrier, name = Barrier(), f"V{number:02d}"
            server = await exits.enter_async_context(serve_tcp({1: barrier_bank(barrier, load_profile(_PROFILE))}))
            some, lane = lane_tables(folder, name, f"{server.url}?unit=1", f"http-server://127.0.0.1:{port}/{name}")
            devices += some
            tables.append(lane)
            url = f"http://127.0.0.1:{port}/{name}"
            camera = await exits.enter_async_context(camera_at(f"127.0.2.{number + 1}", url, number))
            lanes.append(Lane(barrier, camera, number))
        listed = [f"粤B{number:05d}" for number in range(_LISTED)]
        daemon = await exits.enter_async_context(lone_daemon(folder, write_site(folder, devices, tables, listed)))
        await asyncio.sleep(_SETTLE_S)
        return await _measured(folder, daemon, lanes, seconds)


async def _measured(folder: Path, daemon: Program, lanes: list[Lane], seconds: float) -> list[Figure]:
    syncs = await asyncio.to_thread(fdatasyncs, folder, 1.0)
    took, began, cpu = Took(), time.perf_counter(), daemon.cpu_s()
    async with asyncio.TaskGroup() as group:
        for number, lane in enumerate(lanes):
            first = began + EVERY_S * number / len(lanes)
            group.create_task(_coming(lane, took, first, began + seconds), name=f"lane {number}")
    share = (daemon.cpu_s() - cpu) / (time.perf_counter() - began) * 100
    own: defaultdict[str, list[float]] = defaultdict(list)
    for kind, data in records(folder, "vital"):
        if "VehicleDecided" in kind:
            own["decided"].append(data["latency_ms"])
        elif "VehicleCleared" in kind:
            own["opened"].append(data["opened_ms"])
    what = f"{len(lanes)} plate cameras at one read per {EVERY_S:g} s"
    limit_ms = 1000 / syncs
    coil = quantile(took.coil, 0.99)
    note = f"{took.came} vehicles, posts of {PICTURE_BYTES // 1000 + 3} kB, {_LISTED} plates listed, uplink cut"
    return [
        Figure(f"{what}: CPU", share, "% of a core", note=note),
        Figure(f"{what}: RSS", daemon.rss_bytes() / 1e6, "MB"),
        Figure(f"{what}: let in and recorded", len(own["opened"]) / took.came * 100, "%", at_least=100),
        Figure(
            "read to decision, the daemon's records, p99", quantile(own["decided"], 0.99), "ms", at_most=DECISION_MS
        ),
        Figure(
            "read to barrier's answer, commit included, the daemon's records, p99", quantile(own["opened"], 0.99), "ms"
        ),
        Figure("post to its answer, p99", quantile(took.answer, 0.99), "ms"),
        Figure("post to the barrier's coil, p50", quantile(took.coil, 0.5), "ms"),
        Figure(
            "post to the barrier's coil, p99",
            coil,
            "ms",
            at_most=DECISION_MS,
            limit=limit_ms,
            limit_of="ms by a bare fdatasync",
            ratio=coil / limit_ms,
        ),
    ]


async def _coming(lane: Lane, took: Took, first: float, until: float) -> None:
    due = first
    while due < until:
        await asyncio.sleep(due - time.perf_counter())
        await lane.vehicle(took)
        due += EVERY_S
    await asyncio.sleep(_SETTLE_S)  # the arm comes down, and the passage is recorded


async def measure(*, quick: bool) -> list[Figure]:
    """Measure all of this."""
    with work_folder() as folder:
        return await plates(folder, 4 if quick else CAMERAS, EVERY_S if quick else SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(description="Plate cameras and barriers on one daemon.")
    parser.add_argument("--quick", action="store_true", help="few cameras, to see that it works")
    figures = asyncio.run(measure(quick=parser.parse_args().quick))
    print(table(figures))
    return 0 if all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
