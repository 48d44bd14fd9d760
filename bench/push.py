"""Camera posts through the whole path, HTTP to disk: `python bench/push.py [--dir DIR] [--seconds 5] [--cameras 4]`.

Each post is 300 kB of multipart, logged in by Digest, parsed by the ISAPI driver, committed with fsync, then answered.
Client and server share this process; the CPU of the driver alone is told beside it.
"""

import argparse
import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from core.messages.envelope import pack
from core.messages.events import DeviceMeasured
from drivers import registry
from drivers.base import PushParser, Request, Settings
from drivers.digest import Login
from drivers.facts import Fact, PlateRead
from edge.board import Board
from edge.buffer import open_buffer
from edge.clock import Clock
from edge.links.http_server import HttpServer, Mount
from edge.links.push_places import Access, place_of
from edge.profiles import load_profile
from edge.push import PushSession
from edge.sections import DeviceSpec
from simulators.hik_anpr import PlateCamera
from simulators.pushing import Pusher, pushing

LOGIN = Login("cam", "secret")
ACCESS = Access(users={"cam": "env:CAM"})
PICTURE_BYTES = 297_000


class Camera(Pusher):
    """A simulated camera whose scene is as large as a real one's; keeps its last body."""

    body: bytes = b""
    kind: str = ""

    def picture(self, width: int, height: int, size: int = PICTURE_BYTES) -> bytes:
        """Return a JPEG head and zeros: its noise is not what is measured."""
        return super().picture(width, height, 10)[:-2] + bytes(size) + b"\xff\xd9"

    async def post(self, body: bytes, content_type: str, path: str = "") -> int:
        """Post as all cameras do."""
        self.body, self.kind = body, content_type
        return await super().post(body, content_type, path)


async def push(cameras: int, seconds: float, folder: Path) -> None:
    clock = Clock()
    profile, driver = load_profile("hikvision/isapi-anpr"), registry.driver("hik-anpr")
    specs = {
        name: DeviceSpec(name, driver, profile, Settings(), f"http-server://127.0.0.1:0/{name}", None)
        for name in (f"cam-{number}" for number in range(cameras))
    }
    board = Board(specs, now=clock.wall, tell=lambda _: None)
    async with AsyncExitStack() as stack:
        buffer = await stack.enter_async_context(open_buffer(folder / "push.buffer", 256 << 20, clock.stamp))

        async def deliver(fact: Fact) -> None:
            assert isinstance(fact, PlateRead)
            readings = {"bytes": float(sum(len(image.data) for image in fact.images))}
            await buffer.append([pack(DeviceMeasured(device="cam", readings=readings), clock.stamp())])

        mounts = [_mount(spec, board, deliver) for spec in specs.values()]
        server = HttpServer(mounts, now=clock.wall, monotonic_ms=clock.monotonic_ms)
        port = await stack.enter_async_context(server.serving())
        pushers = []
        for number, name in enumerate(specs):
            plain = await stack.enter_async_context(
                pushing(f"http://127.0.0.1:{port}/{name}", login=LOGIN, seed=number)
            )
            pushers.append(Camera(plain.url, plain.session, seed=number))
        took: list[float] = []
        busy, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(_drive(camera, began + seconds, took) for camera in pushers))
        cpu, wall = time.process_time() - busy, time.perf_counter() - began
    took.sort()
    size = len(pushers[0].body)
    parse_ms = _parse_ms(driver.make(profile, Settings()), pushers[0])  # type: ignore[arg-type]  # it is a parser
    print(
        f"{cameras:>3} cameras x {size / 1000:.0f} kB: {len(took) / wall:7.0f} posts/s"
        f"  p50 {statistics.median(took) * 1000:6.2f} ms  p99 {took[int(len(took) * 0.99)] * 1000:6.2f} ms"
        f"  CPU {cpu / len(took) * 1000:5.2f} ms a post, client and server; the driver {parse_ms:5.2f} ms"
    )


def _mount(spec: DeviceSpec, board: Board, deliver) -> Mount:  # type: ignore[no-untyped-def]  # noqa: ANN001
    session = PushSession(spec, board, deliver)
    return Mount(place_of(spec.id, spec.link, ACCESS), spec.driver.body_cap, session.handle, {"cam": "secret"})


async def _drive(camera: Camera, until: float, took: list[float]) -> None:
    source = PlateCamera(camera)
    while time.perf_counter() < until:
        began = time.perf_counter()
        assert await source.vehicle("粤C12345") == 200
        took.append(time.perf_counter() - began)


def _parse_ms(parser: PushParser, camera: Camera) -> float:
    request = Request("POST", "/", Clock().wall(), headers={"content-type": camera.kind}, body=camera.body)
    rounds = []
    for _ in range(50):
        began = time.perf_counter()
        assert parser.receive(request).facts
        rounds.append(time.perf_counter() - began)
    return statistics.median(rounds) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--cameras", type=int, nargs="*", default=[1, 4, 16])
    args = parser.parse_args()
    for cameras in args.cameras:
        with TemporaryDirectory(dir=args.dir) as folder:
            asyncio.run(push(cameras, args.seconds, Path(folder)))


if __name__ == "__main__":
    main()
