"""A checkpoint on its stack: the daemon of a reference site as its own process, its simulated devices, a list in force.

The proxy between daemon and broker lets the uplink be cut.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.stack import Program, Stack, edge
from edge.config import EdgeConfig, load_config
from edge.profiles import data_folder
from edge.sections import PassengerSection
from simulators.demo.api import Api
from simulators.demo.fleet import LIST_ID
from simulators.faults import MqttProxy
from simulators.overlay import Here, overlaid
from simulators.people import specimen
from simulators.site import Site, run_site

LISTED: Final = 2_000
_NUMBER: Final = 50_000_000
_DELIVERED_S: Final = 60.0
_READY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A running checkpoint. `started_s` is the time from the process's start to its READY=1."""

    site: Site
    daemon: Program
    proxy: MqttProxy
    buffer: Path
    started_s: float


def reference(name: str) -> EdgeConfig:
    """Return the configuration of a reference site."""
    return load_config(data_folder("configs") / "sites" / f"{name}.toml")


def passenger_lanes(config: EdgeConfig) -> list[PassengerSection]:
    """Return the lanes for people."""
    return [lane for lane in config.file.lane if isinstance(lane, PassengerSection)]


async def key(stack: Stack, name: str, *scopes: str) -> Api:
    """Make an API key with just these scopes."""
    made = await stack.central.api.call("POST", "/v1/api-keys", {"name": name, "scopes": scopes, "sites": ["*"]})
    return Api(stack.central.api.base, made["key"])


async def block(stack: Stack, documents: Sequence[str]) -> None:
    """Put documents on the refuse list that the reference sites ask for: one key asks, another approves."""
    asks = await key(stack, "bench-asks", "lists:read", "lists:write")
    approves = await key(stack, "bench-approves", "lists:read", "lists:approve")
    path = f"/v1/lists/{LIST_ID}"
    await asks.call("POST", "/v1/lists", {"list_id": LIST_ID, "effect": "refuse", "priority": 10})
    for start in range(0, len(documents), 500):
        items = [{"identifier": document, "reason_code": "bench"} for document in documents[start : start + 500]]
        taken = await asks.call("POST", f"{path}:import", {"items": items})
        ids = [one["id"] for one in taken["items"]]
        await approves.call("POST", f"{path}/entries:approve", {"ids": ids, "reason": "bench"})


async def delivered(stack: Stack, daemon: Program, entries: int) -> None:
    """Return once an edge has all entries of the list."""
    reads = await key(stack, "bench-reads", "lists:read")
    async with asyncio.timeout(_DELIVERED_S):
        while True:
            daemon.check()
            page = await reads.call("GET", f"/v1/lists/{LIST_ID}/deliveries")
            if any(one["entries"] == entries for one in page["items"]):
                return
            await asyncio.sleep(0.1)


async def started(daemon: Program, address: socket.socket) -> float:
    """Start a daemon that has NOTIFY_SOCKET set to this socket; return seconds until its READY=1."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    await daemon.start()
    async with asyncio.timeout(_READY_S):
        while b"READY=1" not in await loop.sock_recv(address, 4096):
            daemon.check()
    return time.perf_counter() - began


@contextlib.contextmanager
def notified(folder: Path) -> Iterator[tuple[socket.socket, str]]:
    """Listen as systemd does; yield the socket and its address."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        try:
            yield listener, str(path)
        finally:
            path.unlink()


@contextlib.asynccontextmanager
async def checkpoint(
    stack: Stack, config: EdgeConfig, *, listed: int = LISTED, **environ: str
) -> AsyncIterator[Checkpoint]:
    """Start a reference site, and yield it once a list of `listed` documents is in force there."""
    folder = stack.folder
    secret = folder / "edge.key"
    secret.touch(mode=0o600)
    secret.write_text((await key(stack, "bench-edge", "lists:fetch")).key, encoding="ascii")
    await block(stack, [specimen(_NUMBER + number) for number in range(listed)])
    async with contextlib.AsyncExitStack() as exits:
        proxy = await exits.enter_async_context(MqttProxy("127.0.0.1", stack.broker.port).serve())
        site = await exits.enter_async_context(run_site(config))
        listener, address = exits.enter_context(notified(folder))
        here = Here(
            folder=folder,
            mqtt_url=f"mqtt://127.0.0.1:{proxy.port}",
            central_url=stack.central.api.base,
            api_key=f"file:{secret}",
            token_key=f"file:{stack.central.token_key}",
            trusted_keys=(stack.central.public_key,),
        )
        path = folder / "edge.toml"
        path.write_text(overlaid(config.digest_source, here, site.links), encoding="utf-8")
        daemon = edge(folder, path, NOTIFY_SOCKET=address, **environ)
        exits.push_async_callback(daemon.stop)
        started_s = await started(daemon, listener)
        await delivered(stack, daemon, listed)
        yield Checkpoint(site, daemon, proxy, folder / config.edge / "buffer.db", started_s)
