import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from central.clearance.boarding_routes import routes as boarding_routes
from central.clearance.boardings import Boardings
from central.clearance.delivery import Deliveries
from central.clearance.evaluation import Evaluation
from central.clearance.identities import Identities, SealKey
from central.clearance.list_routes import routes as list_routes
from central.clearance.lists import Lists
from central.clearance.publication import Publication, PublicationSettings
from central.clearance.routes import routes
from central.clearance.seal_routes import routes as seal_routes
from central.clearance.service import Records
from central.clearance.vehicle_routes import routes as vehicle_routes
from central.clearance.vehicles import Vehicles
from core.crypto import suite
from core.crypto.signing import SigningKey, TrustedKeys
from core.errors import LinkLost
from core.messages.events import EdgeStarted

TOKEN_KEY = b"a token key of at least 16 bytes"


@dataclass
class Wire:
    """A broker that keeps the last message of each topic, and can be away."""

    retained: dict[str, bytes] = field(default_factory=dict)
    sent: int = 0
    up: bool = True
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if not self.up:
            raise LinkLost("no broker")
        assert retain
        self.retained[topic] = payload
        self.sent += 1
        self.news.set()


class House:
    """Clearance in a world."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.crypto = suite("intl")
        self.key = SigningKey(self.crypto.generate())
        self.trusted = TrustedKeys([self.key.public])
        self.wire = Wire()
        sealing = SealKey("seal-1", self.crypto.generate_seal_key())
        self.identities = Identities(suite=self.crypto, token_key=TOKEN_KEY, seal_key=sealing)
        settings = PublicationSettings(every_s=60, gather_s=0.01)
        self.publication = Publication(
            world.database, self.key, self.crypto.hash, self.wire.publish, world.metrics, settings
        )
        self.lists = Lists(world.database, self.identities, changed=self.publication.wake)
        boardings = Boardings(world.bus)
        due = Deliveries(world.bus, due=self.publication.wake)
        for part in (Records(world.bus), Vehicles(world.bus), boardings, due):
            part.register(world.bus)
        evaluation = Evaluation(world.database, self.identities)
        world.serve(
            routes(evaluation), list_routes(self.lists), vehicle_routes(), boarding_routes(boardings), seal_routes()
        )

    async def start_edge(self, edge: str = "north.gates") -> None:
        await self.world.happen(EdgeStarted(edge=edge, version="1", boot_id="b", config_digest="d"), edge=edge)

    async def make_list(self, list_id: str = "hq-block", effect: str = "refuse", **more: Any) -> dict[str, Any]:
        made = await self.world.ask("POST", "/v1/lists", json={"list_id": list_id, "effect": effect} | more)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def enter(
        self, identifier: str, list_id: str = "hq-block", as_: str = "clerk", **more: Any
    ) -> dict[str, Any]:
        path = f"/v1/lists/{list_id}/entries"
        made = await self.world.ask("POST", path, as_=as_, json={"identifier": identifier} | more)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def move(self, verb: str, entry: dict[str, Any], as_: str = "officer", match: str | None = None) -> Any:
        path = f"/v1/lists/{entry['list_id']}/entries/{entry['id']}:{verb}"
        match = match or f'"{entry["version"]}"'
        return await self.world.ask("POST", path, as_=as_, match=match)

    async def refuse(self, identifier: str, list_id: str = "hq-block", **more: Any) -> dict[str, Any]:
        """Put somebody on a list, by two persons."""
        approved = await self.move("approve", await self.enter(identifier, list_id, **more))
        assert approved.status_code == 200, approved.text
        return dict(approved.json())

    def token(self, identifier: str) -> str:
        return self.identities.known(identifier).token


@pytest.fixture
def house(world: Any) -> House:
    return House(world)
