"""The programs of a demo: broker, central, and an edge for each site, all on loopback at free ports."""

import asyncio
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import tomli_w

from core.crypto import key_id, suite
from core.identity.tokens import identify, subject_token
from edge.config import EdgeConfig, load_config
from simulators.demo.api import Api
from simulators.demo.processes import Child, ChildFailed, free_port, wait_port
from simulators.faults import MqttProxy
from simulators.overlay import Here, overlaid
from simulators.site import Site
from simulators.site_secrets import write_secrets

LIST_ID: Final = "hq-block"
_ROLES: Final = {
    "requester": ["lists:read", "lists:write"],
    "approver": ["lists:read", "lists:approve"],
    "edges": ["lists:fetch"],
    "monitor": [
        "fleet:read",
        "passages:read",
        "equipment:read",
        "tickets:read",
        "lists:read",
        "duty:read",
        "flow:read",
        "cameras:view",
    ],
}


@dataclass(slots=True)
class Fleet:
    """What runs. `proxy` stands between the edges and the broker, so that the uplink can be cut."""

    folder: Path
    proxy: MqttProxy
    broker: Child
    central: Child
    api: Api
    keys: dict[str, Api]
    public_key: str
    edges: dict[str, Child] = field(default_factory=dict)

    async def add_edge(self, site: Site) -> None:
        """Write the edge's file and start it."""
        name = site.config.edge
        path = self.folder / f"{name}.toml"
        here = Here(
            folder=self.folder,
            mqtt_url=f"mqtt://127.0.0.1:{self.proxy.port}",
            central_url=self.api.base,
            api_key=f"file:{self.folder / 'edges.key'}",
            token_key=f"file:{self.folder / 'token.key'}",
            trusted_keys=(self.public_key,),
            seal_key=await self._seal_key(name) if site.served.cabins else "",
        )
        write_secrets(self.folder, tomllib.loads(site.config.digest_source.decode()))
        path.write_text(overlaid(site.config.digest_source, here, site.links), encoding="utf-8")
        child = Child(name, ["-m", "edge.cli.main", "edge", "run", "-c", str(path)], self.folder / f"{name}.log")
        await child.start()
        self.edges[name] = child

    async def _seal_key(self, edge: str) -> str:
        """Make the key with which an edge seals its boardings, and have central know it; return where it is."""
        crypto, path = suite("sm"), self.folder / f"{edge}.seal.key"
        private = crypto.generate()
        public = crypto.public_of(private)
        _secret(path, private.secret_text())
        await self.api.call("PUT", f"/v1/edges/{edge}/seal-keys/{key_id(public)}", {"public_key": public.text})
        return f"file:{path}"

    def token_of(self, document: str) -> str:
        """Return the token that edges and central know a document by."""
        shown = identify(document)
        key = (self.folder / "token.key").read_text(encoding="ascii").strip().encode()
        return subject_token(shown.kind, shown.natural, key, suite("sm").hmac)

    def socket(self, edge: str) -> Path:
        """Return where an edge is asked."""
        return self.folder / edge / "control.sock"

    async def block(self, documents: Sequence[str]) -> None:
        """Put documents on the refuse list: one asks, another approves."""
        lists, requester, approver = "/v1/lists", self.keys["requester"], self.keys["approver"]
        await requester.call("POST", lists, {"list_id": LIST_ID, "effect": "refuse", "priority": 10})
        for start in range(0, len(documents), 500):
            items = [
                {"identifier": document, "reason_code": "demo", "reason_text": "on the demo's list"}
                for document in documents[start : start + 500]
            ]
            await requester.call("POST", f"{lists}/{LIST_ID}:import", {"items": items})
        pending = [one["id"] async for one in approver.every(f"{lists}/{LIST_ID}/entries", state="pending")]
        for start in range(0, len(pending), 500):
            ids = pending[start : start + 500]
            await approver.call("POST", f"{lists}/{LIST_ID}/entries:approve", {"ids": ids, "reason": "demo"})

    async def lists_delivered(self, edges: AbstractSet[str], seconds: float = 60.0) -> None:
        """Return once these edges have the newest version of a list with entries; raise TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                for child in (self.central, *self.edges.values()):
                    child.check()
                page = await self.keys["monitor"].call("GET", f"/v1/lists/{LIST_ID}/deliveries")
                there = [one for one in page["items"] if one["entries"] and one["version"] == one["current_version"]]
                if edges <= {one["edge"] for one in there}:
                    return
                await asyncio.sleep(0.2)

    async def stop(self) -> None:
        """End everything, edges first."""
        await asyncio.gather(*(child.stop() for child in self.edges.values()))
        await self.central.stop()
        await self.broker.stop()


async def start_fleet(folder: Path, proxy: MqttProxy, broker_port: int) -> Fleet:
    """Start broker and central, and make the keys."""
    broker = Child("broker", ["-m", "simulators.broker", str(broker_port)], folder / "broker.log")
    await broker.start()
    await wait_port(broker_port, broker)
    http_port = free_port()
    config = folder / "central.toml"
    config.write_text(tomli_w.dumps(_central(folder, broker_port, http_port)), encoding="utf-8")
    done = await _central_init(config)
    central = Child("central", ["-m", "edge.cli.main", "central", "run", "-c", str(config)], folder / "central.log")
    await central.start()
    await wait_port(http_port, central)
    api = Api(f"http://127.0.0.1:{http_port}", done["api_key"])
    keys = {}
    for name, scopes in _ROLES.items():
        made = await api.call("POST", "/v1/api-keys", {"name": name, "scopes": scopes, "sites": ["*"]})
        keys[name] = Api(api.base, made["key"])
    _secret(folder / "edges.key", keys["edges"].key)
    return Fleet(folder, proxy, broker, central, api, keys, done["public_key"])


def _central(folder: Path, broker_port: int, http_port: int) -> Mapping[str, object]:
    return {
        "schema": 1,
        "database": {"url": f"sqlite:///{folder / 'central.db'}"},
        "mqtt": {"url": f"mqtt://127.0.0.1:{broker_port}"},
        "http": {"host": "127.0.0.1", "port": http_port},
        "crypto": {
            "suite": "sm",
            "signing_key": f"file:{folder / 'signing.key'}",
            "token_key": f"file:{folder / 'token.key'}",
        },
        "log": {"level": "warning"},
    }


async def _central_init(config: Path) -> dict[str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "edge.cli.main", "central", "init", "-c", str(config), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise ChildFailed(f"ended with {process.returncode}: {err.decode()[-600:]}", place="central init")
    done: dict[str, str] = json.loads(out)
    return done


def _secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")


def edge_configs(folder: Path) -> list[EdgeConfig]:
    """Return the reference sites' configurations, of all their daemons."""
    return [load_config(path) for path in sorted(folder.glob("*.toml"))]
