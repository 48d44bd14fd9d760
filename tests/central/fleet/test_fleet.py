import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import zstandard
from sqlalchemy import update

from central.access.routes import authenticator
from central.access.service import Access, NewKey
from central.batches import Inbound, read
from central.bus import Bus
from central.db import Database
from central.fleet.model import commands as commands_table
from central.fleet.orders import Commands
from central.fleet.routes import command_routes, edge_routes, lane_routes
from central.fleet.service import Fleet
from central.http import create_api
from central.ingest import Ingest
from central.metrics import Metrics
from core.clearance.model import Direction
from core.crypto import suite
from core.crypto.signing import SigningKey, TrustedKeys
from core.errors import LinkLost
from core.messages.commands import OpenLane, Order, SetLaneMode
from core.messages.envelope import ClockSource, Stamp, join_batch, pack, place
from core.messages.event import Event
from core.messages.events import CommandProgressed, CommandState, EdgeStarted, LaneMode, LaneSeen
from core.messages.signed import Signed
from core.messages.wire import Presence

KEY = SigningKey(suite("intl").generate())
TRUSTED = TrustedKeys([KEY.public])
STAMP = Stamp(datetime(2026, 3, 1, 1, 2, 3, tzinfo=UTC), 1, "boot-1", ClockSource.NTP, 0, 1)
LANE = LaneSeen(
    lane="in-1",
    kind="passenger",
    directions=(Direction.IN,),
    devices={"gate": "g1"},
    mode=LaneMode.NORMAL,
    ruleset_version=1,
)


class Centre:
    """The fleet with its API; the broker is a list."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self.database = database
        self.metrics = metrics
        self.published: list[tuple[str, str]] = []
        self.link_up = True
        self.bus = Bus(database, metrics)
        self.ingest = Ingest(database, self.bus, metrics)
        self.access = Access(database)
        self.fleet = Fleet(database, self.bus, metrics)
        self.commands = Commands(database, self.bus, metrics, KEY, self._publish)
        self.fleet.register(self.bus)
        self.commands.register(self.bus)
        self.api = create_api(
            database=database,
            authenticate=authenticator(self.access),
            metrics=metrics,
            routers=[
                edge_routes(self.fleet, self.commands),
                lane_routes(self.fleet, self.commands),
                command_routes(self.commands),
            ],
            version="1",
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.api), base_url="http://central")
        self._seqs: dict[tuple[str, str], int] = {}

    async def _publish(self, topic: str, payload: str) -> None:
        if not self.link_up:
            raise LinkLost("down")
        self.published.append((topic, payload))

    async def key(self, *scopes: str, sites: tuple[str, ...] = ("*",)) -> None:
        async with self.database.begin() as conn:
            _, key = await self.access.create(conn, NewKey("duty officer", scopes, sites), by="test")
        self.client.headers["Authorization"] = f"Bearer {key}"

    async def tell(self, *events: Event, edge: str = "north.gates") -> None:
        """Ingest events of an edge, one batch for each stream."""
        for stream in {event.STREAM for event in events}:
            entries = []
            for event in events:
                if event.STREAM is stream:
                    seq = self._seqs[edge, stream] = self._seqs.get((edge, stream), 0) + 1
                    body = pack(event, STAMP).body
                    entries.append(place(body, source=edge, epoch="E", stream=stream.value, seq=seq, after=seq - 1))
            payload = zstandard.ZstdCompressor().compress(join_batch(entries))
            await self.ingest.store([read(Inbound(edge, stream, payload))])

    async def order(self, path: str = "/v1/lanes/in-1:open", **body: object) -> httpx.Response:
        return await self.client.post(path, json={"reason": "stuck traveller"} | body)

    async def ordered(self) -> str:
        return str((await self.order()).json()["id"])

    async def send(self) -> None:
        """Run the sender until all that waits has left."""
        running = asyncio.create_task(self.commands.run())
        async with asyncio.timeout(5):
            await self.commands.tried()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await self.commands.write_sent()

    async def state(self, command: str) -> tuple[str, str]:
        got = (await self.client.get(f"/v1/commands/{command}")).json()
        return got["state"], got["detail"]

    async def progress(self, command: str, state: CommandState, *, detail: str = "", edge: str = "north.gates") -> None:
        await self.tell(CommandProgressed(command=command, target="in-1", state=state, detail=detail), edge=edge)

    async def age(self, command: str, seconds: float) -> None:
        """Let a command be older than it is."""
        columns, by = commands_table.c, timedelta(seconds=seconds)
        got = (await self.client.get(f"/v1/commands/{command}")).json()
        expires_at = datetime.fromisoformat(got["expires_at"]) - by
        async with self.database.begin() as conn:
            await conn.execute(update(commands_table).where(columns.id == command).values(expires_at=expires_at))


@pytest.fixture
async def centre(database: Database, metrics: Metrics) -> AsyncIterator[Centre]:
    made = Centre(database, metrics)
    await made.key("admin")
    await made.tell(LANE)
    yield made
    await made.client.aclose()


async def test_edges_are_what_they_say_and_what_the_broker_says_of_them(centre: Centre) -> None:
    centre.fleet.presence("north.gates", Presence(state="online", version="1.2", boot_id="b1", epoch="E"))
    await centre.fleet.write_presence()
    await centre.tell(EdgeStarted(edge="north.gates", version="1.2", boot_id="b1", config_digest="abc"))
    got = (await centre.client.get("/v1/edges/north.gates")).json()
    assert (got["site"], got["online"], got["version"], got["config_digest"]) == ("north", True, "1.2", "abc")
    assert sorted((mark["stream"], mark["upto"]) for mark in got["watermarks"]) == [("state", 1), ("vital", 1)]
    centre.fleet.presence("north.gates", Presence(state="offline", boot_id="b1"))
    await centre.fleet.write_presence()
    got = (await centre.client.get("/v1/edges/north.gates")).json()
    assert (got["online"], got["version"]) == (False, "1.2")
    assert (await centre.client.get("/v1/edges/north.nobody")).status_code == 404


async def test_presence_that_could_not_be_written_is_kept(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    centre.fleet.presence("north.gates", Presence(state="online", version="1.2"))
    with monkeypatch.context() as patched:
        patched.setattr("central.fleet.store.put_edge", None)
        with pytest.raises(TypeError):
            await centre.fleet.write_presence()
    await centre.fleet.write_presence()
    assert (await centre.client.get("/v1/edges/north.gates")).json()["online"]


async def test_a_lane_is_what_its_last_event_said(centre: Centre) -> None:
    await centre.tell(LANE.model_copy(update={"mode": LaneMode.FREE}), LANE.model_copy(update={"lane": "in-2"}))
    page = (await centre.client.get("/v1/lanes")).json()["items"]
    assert [(lane["id"], lane["mode"]) for lane in page] == [
        ("north.gates.in-1", "free"),
        ("north.gates.in-2", "normal"),
    ]


async def test_a_lane_is_named_by_its_edge_or_by_its_own_id_where_that_is_enough(centre: Centre) -> None:
    assert (await centre.client.get("/v1/lanes/in-1")).json()["id"] == "north.gates.in-1"
    assert (await centre.client.get("/v1/lanes/north.gates.in-1")).json()["lane"] == "in-1"
    await centre.tell(LANE, edge="south.gates")
    ambiguous = await centre.client.get("/v1/lanes/in-1")
    assert (ambiguous.status_code, ambiguous.json()["type"]) == (409, "/problems/lane_ambiguous")
    assert (await centre.client.get("/v1/lanes/south.gates.in-1")).json()["site"] == "south"
    assert (await centre.client.get("/v1/lanes/in-9")).status_code == 404
    await centre.key("fleet:read", sites=("south",))
    assert (await centre.client.get("/v1/lanes/in-1")).json()["id"] == "south.gates.in-1"
    await centre.key("fleet:read", sites=("east",))
    other = await centre.client.get("/v1/lanes/in-1")
    assert other.status_code == 403
    assert ".gates" not in other.text


async def test_an_order_is_committed_then_signed_and_sent_with_its_actor_and_reason(centre: Centre) -> None:
    answer = await centre.order(direction="out", ttl_s=10)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert centre.published == []
    await centre.send()
    [(topic, payload)] = centre.published
    assert topic == "gf/v1/north.gates/down/command"
    order = Order.model_validate_json(Signed.read(payload, "command").opened(TRUSTED))
    assert (order.target, order.actor, order.reason) == ("in-1", "duty officer", "stuck traveller")
    assert order.command == OpenLane(direction=Direction.OUT)
    assert order.expires_at - order.issued_at == timedelta(seconds=10)
    assert answer.headers["location"] == f"/v1/commands/{order.id}"
    assert await centre.state(order.id) == ("sent", "")


@pytest.mark.parametrize(
    ("action", "mode"), [("free", "free"), ("lock", "locked"), ("emergency", "emergency"), ("normal", "normal")]
)
async def test_each_mode_has_its_verb(centre: Centre, action: str, mode: str) -> None:
    assert (await centre.order(f"/v1/lanes/in-1:{action}")).status_code == 202
    await centre.send()
    order = Order.model_validate_json(Signed.read(centre.published[0][1], "command").body)
    assert order.command == SetLaneMode(mode=LaneMode(mode))


@pytest.mark.parametrize("body", [{"reason": ""}, {"ttl_s": 61}, {"ttl_s": 0}, {"extra": 1}, {"direction": "up"}])
async def test_an_order_without_a_reason_or_out_of_bounds_is_refused(centre: Centre, body: dict[str, object]) -> None:
    assert (await centre.order(**body)).status_code == 422
    assert (await centre.order("/v1/lanes/in-1:lock", direction="in")).status_code == 422


async def test_orders_need_their_scope_at_their_site(centre: Centre) -> None:
    await centre.key("fleet:read")
    assert (await centre.order()).status_code == 403
    await centre.key("lanes:command", sites=("south",))
    assert (await centre.order()).status_code == 403
    await centre.key("lanes:command", "fleet:read", sites=("north",))
    command = await centre.ordered()
    assert (await centre.client.get(f"/v1/commands/{command}")).status_code == 200
    await centre.key("fleet:read", sites=("south",))
    assert (await centre.client.get(f"/v1/commands/{command}")).status_code == 403
    for path in ("/v1/commands", "/v1/lanes", "/v1/edges"):
        assert (await centre.client.get(path)).json()["items"] == []


async def test_the_same_order_by_its_key_is_given_once(centre: Centre) -> None:
    centre.client.headers["Idempotency-Key"] = "k"
    assert await centre.ordered() == await centre.ordered()
    await centre.send()
    assert len(centre.published) == 1


async def test_a_state_never_goes_back_and_a_final_one_stays(centre: Centre) -> None:
    command = await centre.ordered()
    for told, then in (
        (CommandState.EXECUTING, "executing"),
        (CommandState.RECEIVED, "executing"),
        (CommandState.DONE, "done"),
        (CommandState.FAILED, "done"),
        (CommandState.EXECUTING, "done"),
    ):
        await centre.progress(command, told)
        assert (await centre.state(command))[0] == then
    await centre.send()
    assert (await centre.state(command))[0] == "done"


async def test_a_batch_that_tells_several_states_ends_at_the_farthest(centre: Centre) -> None:
    command = await centre.ordered()
    states = (CommandState.EXECUTING, CommandState.REFUSED)
    await centre.tell(*(CommandProgressed(command=command, target="in-1", state=one, detail="x") for one in states))
    assert await centre.state(command) == ("refused", "x")
    name = "gatefleet_commands_total"
    assert centre.metrics.registry.get_sample_value(name, {"verb": "OpenLane", "state": "refused"}) == 1


async def test_an_edge_moves_its_own_commands_only(centre: Centre) -> None:
    command = await centre.ordered()
    await centre.progress(command, CommandState.DONE, edge="south.gates")
    assert (await centre.state(command))[0] == "queued"


async def test_who_waits_is_told_at_once(centre: Centre) -> None:
    command = await centre.ordered()
    waiting = asyncio.create_task(centre.client.get(f"/v1/commands/{command}?wait_s=20"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await centre.progress(command, CommandState.DONE)
    async with asyncio.timeout(2):
        assert (await waiting).json()["state"] == "done"
    again = await centre.client.get(f"/v1/commands/{command}?wait_s=20")
    assert again.json()["state"] == "done"


async def test_a_wait_ends_with_the_state_as_it_is(centre: Centre) -> None:
    got = await centre.client.get(f"/v1/commands/{await centre.ordered()}?wait_s=0.05")
    assert got.json()["state"] == "queued"
    assert (await centre.client.get(f"/v1/commands/{'0' * 26}?wait_s=1")).status_code == 404


async def test_what_nobody_ends_is_ended_and_a_late_report_is_kept(centre: Centre) -> None:
    never_left, silent, working = [await centre.ordered() for _ in range(3)]
    await centre.progress(working, CommandState.EXECUTING)
    centre.published.clear()
    await centre.send()
    async with centre.database.begin() as conn:
        await conn.execute(update(commands_table).where(commands_table.c.id == never_left).values(state="queued"))
    for command in (never_left, silent, working):
        await centre.age(command, 11)
    await centre.commands.sweep()
    assert await centre.state(never_left) == ("expired", "it never left central")
    assert await centre.state(silent) == ("unknown", "no answer after sent")
    assert (await centre.state(working))[0] == "executing"
    await centre.age(working, 60)
    await centre.commands.sweep()
    assert (await centre.state(working))[0] == "unknown"
    await centre.progress(silent, CommandState.DONE, detail="after all")
    got = (await centre.client.get(f"/v1/commands/{silent}")).json()
    assert (got["state"], got["late_report"]) == ("unknown", "done: after all")


async def test_what_did_not_leave_is_sent_when_the_broker_is_back(centre: Centre) -> None:
    centre.link_up = False
    command = await centre.ordered()
    await centre.send()
    assert (await centre.state(command))[0] == "queued"
    centre.link_up = True
    await centre.commands.resend()
    await centre.send()
    assert len(centre.published) == 1
    assert (await centre.state(command))[0] == "sent"
    await centre.commands.resend()
    await centre.send()
    assert len(centre.published) == 1


async def test_what_is_over_is_not_sent(centre: Centre) -> None:
    command = await centre.ordered()
    await centre.age(command, 10)
    restarted = Centre(centre.database, Metrics())
    await restarted.commands.resend()
    await restarted.send()
    assert restarted.published == []
    await restarted.client.aclose()
