"""A simulated site and the real daemon that owns it, in one loop; broker and central are off."""

import asyncio
import contextlib
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from core.clearance.lists import make_content, write_snapshot
from core.clearance.model import ListEffect, ListEntry
from core.crypto import suite
from core.crypto.signing import SigningKey
from core.identity.tokens import identify, subject_token
from core.messages.envelope import packed_event
from core.messages.event import Stream
from core.messages.signed import Signed
from edge import daemon
from edge.build import Parts
from edge.config import load_config, parse_config
from simulators.overlay import Here, overlaid
from simulators.site import Site, run_site
from simulators.site_secrets import write_secrets

SITES = Path(__file__).parents[2] / "configs" / "sites"
TOKEN_KEY = "a token key of thirty-two bytes!"


def token(document):
    """Return what the edge makes of a document or plate."""
    shown = identify(document)
    return subject_token(shown.kind, shown.natural, TOKEN_KEY.encode(), suite("sm").hmac)


@dataclass
class Edge:
    """A daemon that runs beside the test, and its site."""

    site: Site
    text: str
    signer: SigningKey
    parts: Parts | None = None
    task: asyncio.Task | None = None

    async def start(self, listed=()):
        """Start the daemon; the first time with a list of whom to refuse."""
        started = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(daemon.serve(parse_config(self.text.encode(), "edge.toml"), started.set_result))
        await asyncio.wait({self.task, started}, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()
        first, self.parts = self.parts is None, started.result()
        if not first:
            return
        rows = [(token(one), ListEntry(f"E{number}")) for number, one in enumerate(listed)]
        content = write_snapshot(make_content("hq-block", 1, ListEffect.REFUSE, 10, rows))
        await self.parts.lists.apply(Signed.make("snapshot", content, self.signer).model_dump_json())

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(self.task, 15)

    async def stored(self, stream, kind):
        """Return the data of all events of a kind that are durable."""
        entries = await self.parts.buffer.read(stream, 0, entries=100_000, bytes_=1 << 30)
        return [data for name, data in (packed_event(one.body) for one in entries) if name.split(".")[1] == kind]

    async def vital(self, kind):
        return await self.stored(Stream.VITAL, kind)

    async def telemetry(self, kind):
        return await self.stored(Stream.TELEMETRY, kind)


async def until(true, seconds=20.0):
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def edge_of(name, folder: Path) -> AsyncIterator[Edge]:
    """Serve a site file's devices; its daemon is started by hand."""
    config = load_config(SITES / f"{name}.toml")
    (folder / "token.key").write_text(TOKEN_KEY, encoding="utf-8")
    signer = SigningKey(suite("sm").generate())
    async with run_site(config, seed=1) as site:
        write_secrets(folder, tomllib.loads(config.digest_source.decode()))
        here = Here(folder, "mqtt://127.0.0.1:9", "", "", f"file:{folder / 'token.key'}", (signer.public.text,))
        edge = Edge(site, overlaid(config.digest_source, here, site.links), signer)
        try:
            yield edge
        finally:
            if edge.task is not None:
                await edge.stop()
