"""189 ONVIF cameras on one daemon, each looked at once a minute. `python -m bench.cameras [--quick]`.

The daemon is the real one; the cameras are real HTTP servers in another process, each at a port of its own, that ask
for WS-Security (the still for HTTP Digest). A look is the clock, and a still of 200 kB that is weighed and hashed; each
camera keeps a PullPoint subscription all the while. In the measured minute something happens once at every camera: the
time from then until the camera is asked for the next event has the first one delivered in it.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from aiohttp import web

from bench.figures import Figure, quantile, table
from bench.lone import Notebook, Sample, Table, device, lone_daemon, noted, records, write_site
from bench.stack import Program, running, work_folder
from simulators.onvif_camera import Camera, serve_camera
from simulators.onvif_words import Emitted

CAMERAS: Final = 189
LOOK_S: Final = 60.0
MOST_MB: Final = 250
PICTURE_BYTES: Final = 200_000
_SEGMENT: Final = 65_533
_CONNECT_S: Final = 60.0
_PULL: Final = "pull"
_EVENTS: Final = 0.8
"""Of the time between two looks: so that each camera has one in the measured time."""
_OVER_S: Final = 0.5
"""A look may be so much later than a minute after the last."""
_LOOKS: Final = frozenset({"GetSystemDateAndTime", "still"})
_FILES: Final = ("cameras.json", "cameras.samples")


def large(picture: bytes, size: int = PICTURE_BYTES) -> bytes:
    """Return a JPEG made as large as a real still, by comments in its head."""
    comments = b""
    while len(picture) + len(comments) < size:
        comments += b"\xff\xfe" + (_SEGMENT + 2).to_bytes(2) + bytes(_SEGMENT)
    return picture[:2] + comments + picture[2:]


@dataclass(slots=True)
class Noted(Camera):
    """A camera that notes what it is asked, and when the edge comes back after an event."""

    number: int = 0
    note: Callable[[str, float], None] = lambda _what, _began_s: None
    size: int = PICTURE_BYTES
    happened_s: list[float] = field(default_factory=list)
    told_s: list[float] = field(default_factory=list)

    def happen(self, state: str) -> None:
        """Let its digital input change."""
        self.happened_s.append(time.monotonic())
        self.emit(Emitted("tns1:Device/Trigger/DigitalInput", {"InputToken": "1"}, {"LogicalState": state}))

    async def still(self, request: web.Request) -> web.Response:
        """Answer with a still picture of a real one's size."""
        answer = await Camera.still(self, request)
        if answer.status == 200 and isinstance(answer.body, bytes):
            answer.body = large(answer.body, self.size)
            self.note(f"still.{self.number}", time.monotonic())
        return answer

    async def _answer(self, op: str, question: Element, header: Element | None, request: web.Request) -> web.Response:
        if op == "PullMessages":
            for began_s in self.told_s:
                self.note(f"{_PULL}.{self.number}", began_s)
            self.told_s = []
        elif op in _LOOKS:
            self.note(f"{op}.{self.number}", time.monotonic())
        answer = await Camera._answer(self, op, question, header, request)  # noqa: SLF001 its own, by name: slots
        if op == "PullMessages":
            self.told_s, self.happened_s = self.happened_s, []
        return answer


async def serve(folder: Path, count: int, every_s: float) -> None:
    """Be so many cameras until the end; something happens at each of them every so many seconds."""
    book = Notebook(folder / _FILES[1])
    cameras = [Noted(number=number, note=book.note) for number in range(count)]
    async with contextlib.AsyncExitStack() as exits:
        for camera in cameras:
            await exits.enter_async_context(serve_camera(camera))
        (folder / "part").write_text(json.dumps([camera.url for camera in cameras]), encoding="ascii")
        (folder / "part").rename(folder / _FILES[0])
        happened = 0
        while True:
            for camera in cameras:
                await asyncio.sleep(every_s / count)
                camera.happen("true" if happened % 2 else "false")
            happened += 1


def farm(folder: Path, count: int, every_s: float) -> Program:
    """Return the process of the cameras."""
    argv = [sys.executable, "-m", "bench.cameras", "--serve", str(folder), str(count), str(every_s)]
    return Program("cameras", argv, folder, _served(folder / _FILES[0]))


def _served(path: Path) -> Callable[[Program], Awaitable[None]]:
    async def ready(program: Program) -> None:
        while not path.exists():  # noqa: ASYNC240 a look at a folder of ours
            program.check()
            await asyncio.sleep(0.05)

    return ready


async def cameras(folder: Path, count: int, look_s: float) -> list[Figure]:
    """Measure the daemon with so many cameras."""
    (folder / "camera.key").write_text(Camera().login.password, encoding="utf-8")
    async with running(farm(folder, count, look_s * _EVENTS)) as simulated:
        urls = json.loads((folder / _FILES[0]).read_text(encoding="ascii"))
        config = write_site(folder, [_table(folder, *one, look_s) for one in enumerate(urls)])
        async with lone_daemon(folder, config) as daemon:
            began = time.monotonic()
            async with asyncio.timeout(_CONNECT_S):
                while len(_seen(folder, began, "still")) < count:
                    simulated.check()
                    await asyncio.sleep(0.2)
            connected_s = time.monotonic() - began
            await asyncio.sleep(look_s)
            cpu, most, began = daemon.cpu_s(), 0, time.monotonic()
            while time.monotonic() - began < look_s + _OVER_S:
                await asyncio.sleep(0.25)
                most = max(most, daemon.rss_bytes())
            took_s = time.monotonic() - began
            used = daemon.cpu_s() - cpu
            samples = [one for one in noted(folder / _FILES[1]) if began <= one.began_s < began + took_s]
            return _figures(folder, count, look_s, connected_s, used / took_s, most, samples)


def _table(folder: Path, number: int, url: str, look_s: float) -> Table:
    settings = {"username": Camera().login.username, "password": f"file:{folder / 'camera.key'}", "look_s": look_s}
    return device(f"CAM-{number:03d}", "onvif-camera", "onvif/camera", url, settings=settings)


def _seen(folder: Path, began: float, what: str) -> Counter[str]:
    """Count by camera what was noted since."""
    return Counter(
        one.what.partition(".")[2]
        for one in noted(folder / _FILES[1])
        if one.began_s >= began and one.what.startswith(f"{what}.")
    )


def _figures(
    folder: Path, count: int, look_s: float, connected_s: float, share: float, most: int, samples: list[Sample]
) -> list[Figure]:
    stills = Counter(one.what for one in samples if one.what.startswith("still."))
    clocks = Counter(one.what for one in samples if one.what.startswith("GetSystemDateAndTime."))
    pulls = [one for one in samples if one.what.startswith(f"{_PULL}.")]
    alive = len({one.what for one in pulls})
    described = sum(1 for kind, data in records(folder, "state") if "DeviceSeen" in kind and data.get("firmware"))
    measured = Counter(data["device"] for kind, data in records(folder, "telemetry") if "DeviceMeasured" in kind)
    what = f"{count} ONVIF cameras, each looked at every {look_s:g} s"
    busiest = Counter(int(one.began_s) for one in samples if one.what.startswith("still."))
    note = (
        f"{stills.total()} stills of {PICTURE_BYTES // 1000} kB, {clocks.total()} clocks, {len(pulls)} events;"
        f" all found and looked at once within {connected_s:.1f} s; busiest second {max(busiest.values())} stills;"
        f" {described} described, {len(measured)} measured in the daemon's records"
    )
    return [
        Figure(f"{what}: CPU", share * 100, "% of a core", note=note),
        Figure(f"{what}: RSS, the most of it", most / 1e6, "MB", at_most=MOST_MB),
        Figure(
            "cameras whose clock and still were looked at in that time",
            _share(stills, clocks, count),
            "%",
            at_least=100,
        ),
        Figure("cameras whose events came in that time", alive / count * 100, "%", at_least=100),
        Figure("event to the camera's next pull, p50", quantile([one.took_ms for one in pulls], 0.5), "ms"),
        Figure("event to the camera's next pull, p99", quantile([one.took_ms for one in pulls], 0.99), "ms"),
    ]


def _share(stills: Counter[str], clocks: Counter[str], count: int) -> float:
    both = {one.partition(".")[2] for one in stills} & {one.partition(".")[2] for one in clocks}
    return len(both) / count * 100


async def measure(*, quick: bool) -> list[Figure]:
    """Measure all of this."""
    with work_folder() as folder:
        return await cameras(folder, 12 if quick else CAMERAS, 3.0 if quick else LOOK_S)


def main() -> int:
    parser = argparse.ArgumentParser(description="Many ONVIF cameras on one daemon.")
    parser.add_argument("--quick", action="store_true", help="few cameras, to see that it works")
    parser.add_argument("--serve", nargs=3, metavar=("FOLDER", "COUNT", "SECONDS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        folder, count, seconds = arguments.serve
        asyncio.run(serve(Path(folder), int(count), float(seconds)))
    figures = asyncio.run(measure(quick=arguments.quick))
    print(table(figures))
    return 0 if all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
