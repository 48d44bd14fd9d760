"""Commands to devices: the same roles, sites, keys, signatures and states as those to lanes; no driver is known here."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from central.bus import Bus
from central.db import Database, now
from central.fleet.model import commands
from central.messages import CommandFinished
from central.metrics import Metrics
from core.messages.commands import MAX_ARGUMENTS, CommandDevice, Order
from core.messages.events import CommandState
from core.messages.signed import Signed
from core.messages.wire import Presence

from .test_fleet import LANE, TRUSTED, Centre

DOME = "/v1/edges/north.gates/devices/CAM-1.a:command"
MOVE = {"name": "MoveCamera", "arguments": {"pan": 0.5, "duration_ms": 300}}


@pytest.fixture
async def centre(database: Database, metrics: Metrics) -> AsyncIterator[Centre]:
    made = Centre(database, metrics)
    await made.key("admin")
    made.fleet.presence("north.gates", Presence(state="online", version="1.2", boot_id="b1", epoch="E"))
    await made.fleet.write_presence()
    yield made
    await made.client.aclose()


async def test_it_is_committed_signed_and_sent_to_the_devices_edge(centre: Centre) -> None:
    answer = await centre.order(DOME, ttl_s=10, **MOVE)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["device"], told["lane"], told["verb"]) == ("queued", "CAM-1.a", "", "CommandDevice")
    assert answer.headers["location"] == f"/v1/commands/{told['id']}"
    await centre.send()
    [(topic, payload)] = centre.published
    assert topic == "gf/v1/north.gates/down/command"
    order = Order.model_validate_json(Signed.read(payload, "command").opened(TRUSTED))
    assert (order.target, order.actor, order.reason) == ("CAM-1.a", "duty officer", "stuck traveller")
    assert order.command == CommandDevice(**MOVE)
    listed = (await centre.client.get("/v1/commands")).json()["items"]
    assert [(one["device"], one["state"]) for one in listed] == [("CAM-1.a", "sent")]


async def test_a_terminal_behind_a_device_is_named(centre: Centre) -> None:
    body = {"name": "ShowText", "terminal": "013800000001", "arguments": {"text": "绕行"}}
    assert (await centre.order("/v1/edges/north.gates/devices/LOC-1:command", **body)).status_code == 202
    await centre.send()
    order = Order.model_validate_json(Signed.read(centre.published[0][1], "command").body)
    assert order.command == CommandDevice(**body)


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "move camera"},
        {"name": "M" * 65},
        {"terminal": "../../x"},
        {"arguments": [1]},
        {"arguments": {str(number): 1 for number in range(33)}},
        {"arguments": {"data": "x" * MAX_ARGUMENTS}},
        {"reason": ""},
        {"ttl_s": 61},
        {"extra": 1},
        {"verb": "OpenLane"},
    ],
)
async def test_what_is_no_command_or_too_much_is_refused(centre: Centre, body: dict[str, object]) -> None:
    assert (await centre.order(DOME, **(MOVE | body))).status_code == 422
    await centre.send()
    assert centre.published == []


async def test_an_edge_that_there_is_not_and_a_name_that_is_none(centre: Centre) -> None:
    assert (await centre.order(DOME.replace("north", "south"), **MOVE)).status_code == 404
    for name in ("a%20b", "x" * 65, "-"):
        assert (await centre.order(DOME.replace("CAM-1.a", name), **MOVE)).status_code == 422


async def test_it_needs_the_scope_at_the_edges_site(centre: Centre) -> None:
    for scopes, sites in ((("fleet:read", "lanes:command"), ("north",)), (("devices:command",), ("south",))):
        await centre.key(*scopes, sites=sites)
        assert (await centre.order(DOME, **MOVE)).status_code == 403
    await centre.key("devices:command", "fleet:read", sites=("north",))
    command = (await centre.order(DOME, **MOVE)).json()["id"]
    assert (await centre.client.get(f"/v1/commands/{command}")).status_code == 200


async def test_the_same_by_its_key_is_given_once(centre: Centre) -> None:
    centre.client.headers["Idempotency-Key"] = "k"
    assert (await centre.order(DOME, **MOVE)).json()["id"] == (await centre.order(DOME, **MOVE)).json()["id"]
    assert (await centre.order(DOME, **(MOVE | {"name": "StopCamera"}))).status_code == 422
    await centre.send()
    assert len(centre.published) == 1


async def test_its_end_is_told_with_its_device(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    published = []
    publish = Bus.publish

    async def heard(bus: Bus, conn: object, message: object) -> None:
        published.append(message)
        await publish(bus, conn, message)

    monkeypatch.setattr(Bus, "publish", heard)
    command = (await centre.order(DOME, **MOVE)).json()["id"]
    await centre.progress(command, CommandState.REFUSED, detail="it has no MoveCamera")
    assert await centre.state(command) == ("refused", "it has no MoveCamera")
    [finished] = [one for one in published if isinstance(one, CommandFinished)]
    assert (finished.device, finished.lane, finished.state) == ("CAM-1.a", "", CommandState.REFUSED)


async def test_a_lanes_command_names_no_device(centre: Centre) -> None:
    await centre.tell(LANE)
    assert (await centre.order()).json()["device"] == ""


@pytest.mark.parametrize("ends", ["told", "swept"])
async def test_values_that_may_be_secrets_are_not_kept_beyond_its_end(
    centre: Centre, database: Database, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    secret = {"name": "SetParameters", "terminal": "1", "arguments": {"values": {"0012": "hunter2"}}}
    command = (await centre.order(DOME, **secret)).json()["id"]
    async with database.read() as conn:
        assert "hunter2" in (await conn.execute(select(commands.c.order))).scalar_one()
    if ends == "told":
        await centre.progress(command, CommandState.DONE)
    else:
        monkeypatch.setattr("central.fleet.orders.now", lambda: now() + timedelta(hours=1))
        await centre.commands.sweep()
    async with database.read() as conn:
        assert (await conn.execute(select(commands.c.order))).scalar_one() == ""
