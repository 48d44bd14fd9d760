"""Orders to cabins: 202 and a signed command, as other lane actions; only to cabins, only with tokens."""

import asyncio
from contextlib import suppress

import pytest

from central.fleet.cabin_routes import cabin_routes
from central.fleet.orders import Commands
from central.fleet.service import Fleet
from core.clearance.model import Direction
from core.crypto import suite
from core.crypto.signing import SigningKey, TrustedKeys
from core.messages.cabin_events import Ruling
from core.messages.commands import CloseBoarding, OpenBoarding, Order, RulePassenger
from core.messages.events import LaneMode, LaneSeen
from core.messages.signed import Signed

KEY = SigningKey(suite("intl").generate())
TOKENS = ["d" + letter * 43 for letter in "ab"]
OPENING = {"reason": "NX101 has landed", "boarding": "NX101-1", "flight": "NX101", "stand": "12A"}


class Centre:
    """The fleet with its cabin routes; the broker is a list."""

    def __init__(self, world):
        self.world = world
        self.published = []
        self.commands = Commands(world.database, world.bus, world.metrics, KEY, self._publish)
        fleet = Fleet(world.database, world.bus, world.metrics)
        fleet.register(world.bus)
        self.commands.register(world.bus)
        world.serve(cabin_routes(fleet, self.commands))

    async def _publish(self, topic, payload):
        self.published.append((topic, payload))

    async def lane(self, name, kind):
        seen = LaneSeen(
            lane=name, kind=kind, directions=(Direction.IN,), devices={}, mode=LaneMode.NORMAL, ruleset_version=1
        )
        await self.world.happen(seen, edge="airport.cabins")

    async def post(self, path, **options):
        return await self.world.ask("POST", f"/v1/lanes/{path}", **options)

    async def order(self):
        running = asyncio.create_task(self.commands.run())
        async with asyncio.timeout(5):
            await self.commands.tried()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        (topic, payload) = self.published.pop()
        assert topic == "gf/v1/airport.cabins/down/command"
        return Order.model_validate_json(Signed.read(payload, "command").opened(TrustedKeys([KEY.public])))


@pytest.fixture
async def centre(world):
    made = Centre(world)
    await made.lane("C1", "cabin")
    await made.lane("E1", "passenger")
    return made


@pytest.mark.parametrize(
    ("action", "body", "command"),
    [
        (
            "open-boarding",
            OPENING | {"tokens": TOKENS},
            OpenBoarding(boarding="NX101-1", flight="NX101", stand="12A", tokens=tuple(TOKENS)),
        ),
        (
            "open-boarding",
            OPENING | {"expected": 142, "officer": "P1"},
            OpenBoarding(boarding="NX101-1", flight="NX101", stand="12A", officer="P1", expected=142),
        ),
        ("close-boarding", {"reason": "all are met", "boarding": "NX101-1"}, CloseBoarding(boarding="NX101-1")),
        (
            "rule",
            {"reason": "seen by video", "attempt": "NX101-1-0003", "ruling": "release", "ttl_s": 30},
            RulePassenger(attempt="NX101-1-0003", ruling=Ruling.RELEASE),
        ),
    ],
)
async def test_an_order_is_answered_202_signed_and_sent(centre, action, body, command):
    answer = await centre.post(f"airport.cabins.C1:{action}", json=body)
    assert answer.status_code == 202, answer.text
    order = await centre.order()
    assert (order.command, order.target, order.reason, order.actor) == (command, "C1", body["reason"], "tester")
    assert answer.headers["location"] == f"/v1/commands/{order.id}"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"tokens": TOKENS, "expected": 2},
        {"tokens": [TOKENS[0]] * 2},
        {"tokens": ["U00000001"]},
        {"tokens": ["q" + "a" * 43]},
        {"documents": ["UTO/U00000001"]},
        {"expected": 1001},
        {"expected": 2, "flight": "nx101"},
        {"expected": 2, "boarding": "a b"},
        {"expected": 2, "reason": ""},
    ],
)
async def test_an_opening_that_says_who_comes_in_another_way_is_refused(centre, wrong):
    answer = await centre.post("C1:open-boarding", json=OPENING | wrong)
    assert answer.status_code == 422
    assert "U00000001" not in answer.text
    assert centre.published == []


async def test_only_a_cabin_and_only_with_the_scope_at_the_site(centre):
    answer = await centre.post("E1:open-boarding", json=OPENING | {"expected": 1})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not_a_cabin")
    for who in ({"scopes": ("fleet:read",)}, {"scopes": ("lanes:command",), "sites": ("north",)}):
        answer = await centre.post("C1:open-boarding", json=OPENING | {"expected": 1}, as_="other", **who)
        assert answer.status_code == 403
