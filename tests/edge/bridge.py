"""The simulated bridge and the real daemon that owns its devices, on real sockets; broker and central are off."""

import asyncio
import contextlib
import json
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomli_w

from core.clearance.lists import make_content, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.crypto import suite
from core.identity.tokens import identify, subject_token
from core.messages.envelope import packed_event
from core.messages.event import Stream
from core.messages.signed import Signed
from core.messages.wire import Announced, ListAnnouncement
from edge import daemon
from edge.build import Parts
from edge.config import load_config, parse_config
from simulators.overlay import Here, overlaid
from simulators.site import Site, run_site

from .conftest import TOKEN_KEY, until

BRIDGE = load_config(Path(__file__).parents[2] / "configs" / "sites" / "hengqin-bridge.toml")
BLOCK = "hq-block"


def token(document):
    shown = identify(document)
    return subject_token(shown.kind, shown.natural, TOKEN_KEY.encode(), suite("sm").hmac)


@dataclass
class Running:
    """A daemon that runs beside the test."""

    task: asyncio.Task
    parts: Parts
    events: list = field(default_factory=list)
    opened_s: list[float] = field(default_factory=list)

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(self.task, 10)

    async def vital(self):
        """Return (kind, data) of all that is durable."""
        entries = await self.parts.buffer.read(Stream.VITAL, 0, entries=100_000, bytes_=1 << 30)
        return [(kind.split(".")[1], data) for kind, data in (packed_event(entry.body) for entry in entries)]

    async def ask(self, op, **request):
        """Ask through the control socket, as a technician does."""
        reader, writer = await asyncio.open_unix_connection(self.parts.config.file.control.socket)
        writer.write(json.dumps({"op": op, **request}).encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        return answer["data"] if answer["ok"] else answer["error"]


@dataclass
class Bridge:
    """The simulated bridge, and how its edge is started; broker and central are off."""

    site: Site
    folder: Path
    signer: object
    changes: dict[str, dict] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)

    @property
    def lanes(self):
        return [lane.id for lane in self.site.config.file.lane]

    def gate(self, lane):
        spec = next(one for one in self.site.config.file.lane if one.id == lane)
        return self.site.gates[spec.gate], self.site.readers[spec.reader], spec.direction

    def text(self):
        here = Here(
            folder=self.folder,
            mqtt_url="mqtt://127.0.0.1:9",
            central_url="",
            api_key="",
            token_key=f"file:{self.folder / 'token.key'}",
            trusted_keys=(self.signer.public.text,),
        )
        table = tomllib.loads(overlaid(BRIDGE.digest_source, here, self.site.links))
        for lane in table["lane"]:
            for section, values in self.changes.get(lane["id"], {}).items():
                lane.setdefault(section, {}).update(values)
        return tomli_w.dumps(table)

    async def start(self):
        """Start the daemon; return once it is ready and has seen every gate."""
        started = asyncio.get_running_loop().create_future()
        config = parse_config(self.text().encode(), "bridge.toml")
        task = asyncio.create_task(daemon.serve(config, started.set_result))
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        running = Running(task, started.result())
        for lane in running.parts.lanes.values():
            watched = lane._observers
            lane._observers = replace(
                watched,
                event=lambda event, told=watched.event: (running.events.append(event), told(event)),
                opened=lambda seconds, told=watched.opened: (running.opened_s.append(seconds), told(seconds)),
            )
        self.running.append(running)
        await until(lambda: running.parts.board.health_counts()["ok"] == 56, 10)
        return running

    def snapshot(self, documents, version=1):
        rows = [(token(document), ListEntry(f"E{number}")) for number, document in enumerate(documents)]
        content = make_content(BLOCK, version, ListEffect.REFUSE, 10, rows)
        return Signed.make("snapshot", write_snapshot(content), self.signer).model_dump_json()

    def confirmed(self, at, version=1, serial=1):
        """Return an announcement that says: this version was the newest then."""
        one = Announced(list_id=BLOCK, version=version, digest="", size=0, path="/")
        body = ListAnnouncement(edge=BRIDGE.edge, serial=serial, issued_at=at, lists=(one,))
        return Signed.make("list", body.model_dump_json(), self.signer).model_dump_json().encode()


@contextlib.asynccontextmanager
async def bridge_in(folder, signer) -> AsyncIterator[Bridge]:
    (folder / "token.key").write_text(TOKEN_KEY, encoding="utf-8")
    async with run_site(BRIDGE) as site:
        bridge = Bridge(site, folder, signer)
        try:
            yield bridge
        finally:
            for one in bridge.running:
                await one.stop()
