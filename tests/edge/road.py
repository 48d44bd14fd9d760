"""Simulated barriers and plate cameras at a road, and the real daemon that owns them; broker and central are off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from core.clearance.lists import make_content, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.crypto import suite
from core.identity.tokens import TokenKind, subject_token
from core.messages.signed import Signed
from drivers.digest import Login
from edge import daemon
from edge.config import parse_config
from edge.profiles import load_profile
from simulators.barrier import Barrier, barrier_bank
from simulators.hik_anpr import PlateCamera
from simulators.hik_barrier import LOGIN, serve_gate_camera
from simulators.modbus import serve_tcp
from simulators.pushing import pushing

from .bridge import Running
from .conftest import TOKEN_KEY, until

BLOCK = "hq-block"
TIMING = {
    "reads_wanted": 1,
    "read_window_ms": 300,
    "unread_after_ms": 600,
    "gap_ms": 100,
    "enter_timeout_ms": 1_500,
    "rear_window_ms": 400,
    "tailgate_window_ms": 1_000,
}


def token(plate):
    return subject_token(TokenKind.PLATE, plate, TOKEN_KEY.encode(), suite("sm").hmac)


def device(name, driver, profile, link, **more):
    return {"id": name, "driver": driver, "profile": profile, "link": link, **more}


def camera(name):
    access = {"users": {"cam": "env:GATEFLEET_TEST_CAM"}, "peers": ["127.0.0.0/8"]}
    return device(name, "hik-anpr", "hikvision/isapi-anpr", f"http-server://127.0.0.1:0/{name}", access=access)


def barrier_at(name, profile, link):
    driver = load_profile(profile).driver
    login = {"username": LOGIN.username, "password": "env:GATEFLEET_TEST_GATE"}
    return device(name, driver, profile, link, **({"settings": login} if driver == "hik-barrier" else {}))


@dataclass
class Road:
    """Lanes V1, V2, ... with a barrier and two cameras each, and a camera that serves no lane."""

    folder: Path
    signer: object
    barriers: dict[str, Barrier]
    links: dict[str, str]
    profile: str
    stack: contextlib.AsyncExitStack
    changes: dict = field(default_factory=dict)
    lane_changes: dict = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)

    def table(self):
        devices, lanes = [camera("ROAD-CAM")], []
        for lane, link in self.links.items():
            devices += [barrier_at(f"{lane}-BR", self.profile, link)]
            devices += [camera(f"{lane}-F"), camera(f"{lane}-R")]
            lanes.append(
                {
                    "id": lane,
                    "kind": "vehicle",
                    "barrier": f"{lane}-BR",
                    "cameras": {"front": f"{lane}-F", "rear": f"{lane}-R"},
                    "direction": "in",
                    "rules": {"default": "release", "lists": [BLOCK]},
                    "timing": TIMING,
                    **self.lane_changes.get(lane, {}),
                }
            )
        return {
            "schema": 1,
            "edge": {"site": "hengqin-test", "name": "road"},
            "buffer": {"path": str(self.folder / "buffer.db"), "quota_mb": 64},
            "uplink": {"url": "mqtt://127.0.0.1:9"},
            "crypto": {
                "suite": "sm",
                "token_key": f"file:{self.folder / 'token.key'}",
                "trusted_keys": [self.signer.public.text],
            },
            "control": {"socket": str(self.folder / "control.sock")},
            "metrics": {"host": ""},
            "device": devices,
            "lane": lanes,
            **self.changes,
        }

    async def start(self, *listed):
        """Start the daemon with a list of plates to refuse; return once every lane has seen its barrier."""
        started = asyncio.get_running_loop().create_future()
        config = parse_config(tomli_w.dumps(self.table()).encode(), "road.toml")
        task = asyncio.create_task(daemon.serve(config, started.set_result))
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        parts = started.result()
        running = Running(task, parts)
        self.running.append(running)
        for lane in parts.lanes.values():
            watch(lane, running)
        if len(self.running) == 1:
            await parts.lists.apply(self.snapshot(listed))
        await until(lambda: all(lane.lane._settled for lane in parts.lanes.values()), 5)
        return running

    def snapshot(self, plates):
        rows = [(token(plate), ListEntry(f"E{number}")) for number, plate in enumerate(plates)]
        content = make_content(BLOCK, 1, ListEffect.REFUSE, 10, rows)
        return Signed.make("snapshot", write_snapshot(content), self.signer).model_dump_json()

    async def camera(self, running, name, seed=0):
        """Return a camera that pushes to the daemon."""
        (server,) = running.parts.devices.servers.values()
        await until(lambda: server.port)
        url = f"http://127.0.0.1:{server.port}/{name}"
        pusher = await self.stack.enter_async_context(pushing(url, login=Login("cam", "secret"), seed=seed))
        return PlateCamera(pusher)


def watch(lane, running):
    """Note the lane's events and the times of its commands, beside what the daemon does with them."""
    watched = lane._observers
    lane._observers = type(watched)(
        event=lambda event: (running.events.append(event), watched.event(event)),
        opened=lambda seconds: (running.opened_s.append(seconds), watched.opened(seconds)),
        decided=watched.decided,
    )


@contextlib.asynccontextmanager
async def road_in(folder, signer, *, lanes=1, profile="reference/barrier") -> AsyncIterator[Road]:
    (folder / "token.key").write_text(TOKEN_KEY, encoding="utf-8")
    async with contextlib.AsyncExitStack() as stack:
        barriers, links = {}, {}
        for number in range(1, lanes + 1):
            lane = f"V{number}"
            barriers[lane] = Barrier(travel_s=0.05)
            links[lane] = await _served(barriers[lane], load_profile(profile), stack)
        road = Road(folder, signer, barriers, links, profile, stack)
        try:
            yield road
        finally:
            for one in road.running:
                await one.stop()


async def _served(barrier, profile, stack):
    """Serve a barrier as its profile says: behind a Modbus board, or at a camera's own contacts."""
    if profile.driver == "hik-barrier":
        _, link = await stack.enter_async_context(serve_gate_camera(profile, barrier))
        return link
    server = await stack.enter_async_context(serve_tcp({1: barrier_bank(barrier, profile)}))
    return f"{server.url}?unit=1"
