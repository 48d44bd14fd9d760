"""A simulated cabin with its pty reader and pushing terminal, and the real daemon that owns them; broker and central are off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from core.clearance.lists import make_content, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.crypto import suite
from core.identity.tokens import identify, subject_token
from core.messages.signed import Signed
from drivers.cabin.layout import CabinMap
from drivers.digest import Login
from drivers.profile import checked_map
from edge import daemon
from edge.config import parse_config
from edge.lanes.cabin_words import Step
from edge.profiles import load_profile
from simulators.boarding import CabinPlace
from simulators.cabin import Cabin, Controller
from simulators.face_terminal import FaceTerminal
from simulators.modbus import Server, serve_tcp
from simulators.pushing import pushing
from simulators.reader import serve_pty_reader

from .bridge import Running
from .conftest import TOKEN_KEY, until

BLOCK = "hq-block"
PASSWORD = "env:GATEFLEET_TEST_FACE"
SEAL_KEY = suite("sm").generate()


def token(document):
    shown = identify(document)
    return subject_token(shown.kind, shown.natural, TOKEN_KEY.encode(), suite("sm").hmac)


def device(name, driver, profile, link, **more):
    return {"id": name, "driver": driver, "profile": profile, "link": link, **more}


@dataclass
class Cabins:
    """One cabin C1 with everything around it."""

    folder: Path
    signer: object
    cabin: Cabin
    server: Server
    reader: object
    stack: contextlib.AsyncExitStack
    face_port: int = 0
    timing: dict = field(default_factory=dict)
    changes: dict = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)

    def table(self):
        face = {"users": {"face": PASSWORD}, "peers": ["127.0.0.0/8"]}
        push = f"http-server://127.0.0.1:{self.face_port}/C1-FACE"
        return {
            "schema": 1,
            "edge": {"site": "airport-test", "name": "cabins"},
            "buffer": {"path": str(self.folder / "buffer.db"), "quota_mb": 64},
            "uplink": {"url": "mqtt://127.0.0.1:9"},
            "crypto": {
                "suite": "sm",
                "token_key": f"file:{self.folder / 'token.key'}",
                "seal_key": f"file:{self.folder / 'seal.key'}",
                "trusted_keys": [self.signer.public.text],
            },
            "control": {"socket": str(self.folder / "control.sock")},
            "metrics": {"host": "127.0.0.1", "port": 0},
            "device": [
                device("C1-IO", "cabin", "reference/cabin", f"{self.server.url}?unit=1"),
                device("C1-RD", "reader", "generic/line-reader", self.reader.url),
                device("C1-FACE", "face-terminal", "reference/face-terminal", push, access=face),
            ],
            "lane": [
                {
                    "id": "C1",
                    "kind": "cabin",
                    "cabin": "C1-IO",
                    "reader": "C1-RD",
                    "face": "C1-FACE",
                    "direction": "in",
                    "rules": {"default": "release", "lists": [BLOCK]},
                    "timing": self.timing,
                }
            ],
            **self.changes,
        }

    def text(self):
        return tomli_w.dumps(self.table())

    def snapshot(self, documents):
        rows = [(token(document), ListEntry(f"E{number}")) for number, document in enumerate(documents)]
        content = make_content(BLOCK, 1, ListEffect.REFUSE, 10, rows)
        return Signed.make("snapshot", write_snapshot(content), self.signer).model_dump_json()

    async def start(self, *listed):
        """Start the daemon with a list of documents to refuse; return once it has seen the cabin."""
        started = asyncio.get_running_loop().create_future()
        config = parse_config(self.text().encode(), "cabins.toml")
        task = asyncio.create_task(daemon.serve(config, started.set_result))
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        running = Running(task, started.result())
        self.running.append(running)
        lane = running.parts.lanes["C1"]
        watched = lane._observers
        lane._observers = type(watched)(
            event=lambda event: (running.events.append(event), watched.event(event)),
            opened=watched.opened,
            decided=watched.decided,
        )
        if len(self.running) == 1:
            await running.parts.lists.apply(self.snapshot(listed))
        await until(lambda: lane.lane.step is not Step.LOST)
        return running

    async def place(self, running, walk_s=0.25):
        """Return the cabin with a reader and a terminal that pushes to the daemon."""
        (server,) = running.parts.devices.servers.values()
        await until(lambda: server.port)
        url = f"http://127.0.0.1:{server.port}/C1-FACE"
        pusher = await self.stack.enter_async_context(pushing(url, login=Login("face", "secret")))
        return CabinPlace(self.cabin, self.reader, FaceTerminal(pusher), walk_s)

    def officer(self, running, actor="cli:officer"):
        """Return an officer who rules on whoever is held."""

        async def rule(ruling):
            async with asyncio.timeout(5):
                while (held := (await running.ask("boarding_show", lane="C1"))["cabins"][0]["held"]) is None:
                    await asyncio.sleep(0.02)
            ruled = await running.ask(
                "boarding_rule", lane="C1", attempt=held, ruling=ruling, reason="seen in person", actor=actor
            )
            assert ruled["result"] == "done", ruled

        return rule


@contextlib.asynccontextmanager
async def cabins_in(folder, signer, monkeypatch=None) -> AsyncIterator[Cabins]:
    (folder / "token.key").write_text(TOKEN_KEY, encoding="utf-8")
    (folder / "seal.key").write_text(SEAL_KEY.secret_text(), encoding="utf-8")
    async with contextlib.AsyncExitStack() as stack:
        controller = Controller(Cabin(), checked_map(load_profile("reference/cabin"), CabinMap))
        stack.callback(controller.close)
        server = await stack.enter_async_context(serve_tcp({1: controller.bank}))
        reader = await stack.enter_async_context(serve_pty_reader())
        cabins = Cabins(folder, signer, controller.cabin, server, reader, stack)
        try:
            yield cabins
        finally:
            for one in cabins.running:
                await one.stop()
