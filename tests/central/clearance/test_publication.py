import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from central.clearance.list_model import list_edges
from central.clearance.publication import Publication, PublicationSettings
from central.db import now
from central.messages import EdgePresenceChanged, ListRefusedAtEdge
from core.clearance.lists import apply_delta, read_snapshot
from core.errors import LinkLost, ListRefused, SignatureInvalid
from core.messages.events import ListApplied, ListRejected
from core.messages.signed import Signed
from core.messages.wire import ListAnnouncement

PLATES = ["粤ZA001澳", "粤ZA002澳", "粤ZA003澳"]
TOPIC = "gf/v1/north.gates/down/list"


class Reader:
    """An edge, as far as lists go: proves, applies, and knows what it has."""

    def __init__(self, house, edge="north.gates", site="north"):
        self.house = house
        self.edge = edge
        self.site = site
        self.held = {}
        self.serial = 0
        self.took = []

    def announcement(self):
        raw = self.house.wire.retained[f"gf/v1/{self.edge}/down/list"]
        return ListAnnouncement.model_validate_json(Signed.read(raw, "list").opened(self.house.trusted))

    async def fetch(self, path):
        got = await self.house.world.ask("GET", path, as_="edge", scopes=("lists:fetch",), sites=(self.site,))
        assert got.status_code == 200, got.text
        return got.content

    async def follow(self):
        news = self.announcement()
        assert news.edge == self.edge
        assert news.serial > self.serial
        self.serial = news.serial
        for one in news.lists:
            before = self.held.get(one.list_id)
            if before and before.head.version == one.version:
                continue
            if before and one.delta_path and one.delta_from == before.head.version:
                raw = await self.fetch(one.delta_path)
                assert len(raw) <= one.size + 4096
                after = apply_delta(before, Signed.read(raw, "delta").opened(self.house.trusted))
                self.took.append((one.list_id, one.version, "delta"))
            else:
                raw = await self.fetch(one.path)
                assert (len(raw), self.house.crypto.hash(raw).hex()) == (one.size, one.digest)
                after = read_snapshot(Signed.read(raw, "snapshot").opened(self.house.trusted))
                self.took.append((one.list_id, one.version, "snapshot"))
            self.held[one.list_id] = after
        for gone in set(self.held) - {one.list_id for one in news.lists}:
            del self.held[gone]

    def tokens(self, list_id="hq-block"):
        return set(self.held[list_id].entries)


async def test_a_new_entry_reaches_an_edge_as_a_delta_and_a_new_edge_as_a_snapshot(house):
    await house.start_edge()
    await house.make_list()
    for plate in PLATES[:2]:
        await house.refuse(plate)
    await house.publication.round()
    reader = Reader(house)
    await reader.follow()
    third = await house.refuse(PLATES[2])
    await house.publication.round()
    await reader.follow()
    assert reader.tokens() == {house.token(plate) for plate in PLATES}
    assert reader.took == [("hq-block", 1, "snapshot"), ("hq-block", 2, "delta")]
    late = Reader(house)
    await late.follow()
    assert late.held["hq-block"] == reader.held["hq-block"]
    await house.move("withdraw", third)
    await house.publication.round()
    await reader.follow()
    assert reader.tokens() == {house.token(plate) for plate in PLATES[:2]}


async def test_what_is_pending_draft_or_suspended_does_not_travel(house):
    await house.start_edge()
    await house.make_list()
    await house.enter(PLATES[0])
    await house.enter(PLATES[1], draft=True)
    await house.move("suspend", await house.refuse(PLATES[2]))
    await house.publication.round()
    reader = Reader(house)
    await reader.follow()
    assert reader.tokens() == set()


async def test_an_entry_past_its_time_leaves_the_list(house):
    await house.start_edge()
    await house.make_list()
    await house.refuse(PLATES[0], valid_to=(now() + timedelta(hours=1)).isoformat())
    await house.publication.round()
    reader = Reader(house)
    await reader.follow()
    assert reader.tokens() == {house.token(PLATES[0])}
    await house.lists.tidy(now() + timedelta(hours=2))
    await house.publication.round()
    await reader.follow()
    assert reader.tokens() == set()


@pytest.mark.parametrize("part", ["snapshots", "deltas"])
async def test_tampered_content_is_refused(house, part):
    await house.start_edge()
    await house.make_list()
    await house.refuse(PLATES[0])
    await house.refuse(PLATES[1])
    await house.publication.round()
    before = Reader(house)
    await before.follow()
    await house.refuse(PLATES[2])
    await house.publication.round()
    raw = await before.fetch(f"/v1/lists/hq-block/{part}/2/content")
    purpose = part[:-1]
    signed = Signed.read(raw, purpose)
    assert signed.opened(house.trusted)
    token = house.token(PLATES[2])
    assert token in signed.body
    forged = signed.model_copy(update={"body": signed.body.replace(token, house.token("粤ZA009澳"))})
    with pytest.raises(SignatureInvalid):
        forged.opened(house.trusted)


async def test_a_delta_on_the_wrong_base_is_refused(house):
    await house.start_edge()
    await house.make_list()
    reader = Reader(house)
    await house.refuse(PLATES[0])
    await house.publication.round()
    await reader.follow()
    for plate in PLATES[1:]:
        await house.refuse(plate)
        await house.publication.round()
    raw = await reader.fetch("/v1/lists/hq-block/deltas/3/content")
    with pytest.raises(ListRefused):
        apply_delta(reader.held["hq-block"], Signed.read(raw, "delta").opened(house.trusted))
    await reader.follow()
    assert reader.took[-1] == ("hq-block", 3, "snapshot")


async def test_an_announcement_is_made_again_so_that_the_lists_do_not_age(house):
    await house.start_edge()
    await house.make_list()
    await house.publication.round()
    first = Reader(house).announcement()
    await house.publication.round()
    assert house.wire.sent == 1
    async with house.world.database.begin() as conn:
        await conn.execute(update(list_edges).values(announced_at=now() - timedelta(seconds=61)))
    await house.publication.round()
    again = Reader(house).announcement()
    assert again.serial > first.serial
    assert again.issued_at > first.issued_at
    assert again.lists == first.lists


async def test_changes_that_come_to_nothing_make_no_version(house):
    await house.start_edge()
    await house.make_list()
    entry = await house.refuse(PLATES[0])
    await house.publication.round()
    entry = (await house.move("suspend", entry)).json()
    entry = (await house.move("submit", entry, as_="clerk")).json()
    await house.move("approve", entry, as_="officer")
    await house.publication.round()
    assert [one.version for one in Reader(house).announcement().lists] == [1]


async def test_versions_go_on_after_a_restart(house):
    await house.start_edge()
    await house.make_list()
    await house.refuse(PLATES[0])
    await house.refuse(PLATES[1])
    await house.publication.round()
    reader = Reader(house)
    await reader.follow()
    await house.refuse(PLATES[2])
    settings = PublicationSettings()
    restarted = Publication(
        house.world.database, house.key, house.crypto.hash, house.wire.publish, house.world.metrics, settings
    )
    await restarted.round()
    await reader.follow()
    assert reader.took[-1] == ("hq-block", 2, "delta")


async def test_several_workers_build_a_version_once(house):
    await house.start_edge()
    await house.make_list()
    await house.refuse(PLATES[0])
    workers = [
        Publication(
            house.world.database,
            house.key,
            house.crypto.hash,
            house.wire.publish,
            house.world.metrics,
            PublicationSettings(),
        )
        for _ in range(4)
    ]
    built = await asyncio.gather(*(worker.build("hq-block") for worker in workers))
    assert sorted(built, key=lambda version: version or 0) == [None, None, None, 1]


async def test_what_the_broker_did_not_take_is_announced_when_it_is_back(house):
    await house.start_edge()
    await house.make_list()
    house.wire.up = False
    with pytest.raises(LinkLost):
        await house.publication.round()
    house.wire.up = True
    await house.publication.round()
    assert [one.list_id for one in Reader(house).announcement().lists] == ["hq-block"]


async def test_an_edge_hears_of_the_lists_of_its_site_and_of_no_others(house):
    await house.start_edge("north.gates")
    await house.start_edge("south.gates")
    await house.make_list("everywhere", "info")
    await house.make_list("north-only", "info", sites=["north"])
    await house.publication.round()
    north, south = Reader(house), Reader(house, "south.gates", "south")
    assert [one.list_id for one in north.announcement().lists] == ["everywhere", "north-only"]
    assert [one.list_id for one in south.announcement().lists] == ["everywhere"]
    path = "/v1/lists/north-only/snapshots/1/content"
    got = await house.world.ask("GET", path, scopes=("lists:fetch",), sites=("south",))
    assert got.status_code == 403


async def test_an_edge_that_comes_online_is_told_at_once(house):
    await house.make_list()
    await house.publication.round()
    assert house.wire.retained == {}
    async with house.world.database.begin() as conn:
        message = EdgePresenceChanged(edge="north.gates", site="north", online=True, at=now())
        await house.world.bus.publish(conn, message)
    await house.world.bus.drain()
    await house.publication.round()
    assert TOPIC in house.wire.retained


async def test_a_new_refuse_entry_is_announced_within_a_second_by_the_running_worker(house):
    await house.start_edge()
    await house.make_list()
    running = asyncio.create_task(house.publication.run(house.lists.tidy))
    try:
        async with asyncio.timeout(5):
            await house.wire.news.wait()
            await house.refuse(PLATES[0])
            begun, reader = asyncio.get_running_loop().time(), Reader(house)
            await reader.follow()
            while house.token(PLATES[0]) not in reader.tokens():
                house.wire.news.clear()
                await house.wire.news.wait()
                await reader.follow()
        assert asyncio.get_running_loop().time() - begun < 1.0
    finally:
        running.cancel()


async def test_deliveries_show_what_each_edge_has_and_what_it_refused(house, is_problem):
    heard = []

    async def take(_conn, message):
        heard.append((message.edge, message.list_id, message.code))

    house.world.bus.subscribe(ListRefusedAtEdge, "test.ear", take)
    for edge in ("north.gates", "north.road", "south.gates"):
        await house.start_edge(edge)
    await house.make_list()
    await house.publication.round()
    await house.world.happen(ListApplied(list_id="hq-block", version=1, entries=0), edge="north.gates")
    bad = ListRejected(list_id="hq-block", version=1, code="signature_invalid", detail="tampered")
    await house.world.happen(bad, edge="north.road")
    page = (await house.world.ask("GET", "/v1/lists/hq-block/deliveries")).json()
    told = [(one["edge"], one["version"], one["refused_code"], one["current_version"]) for one in page["items"]]
    assert told == [
        ("north.gates", 1, None, 1),
        ("north.road", None, "signature_invalid", 1),
        ("south.gates", None, None, 1),
    ]
    await house.world.bus.drain()
    assert heard == [("north.road", "hq-block", "signature_invalid")]
    await house.world.happen(ListApplied(list_id="hq-block", version=1, entries=0), edge="north.road")
    page = (await house.world.ask("GET", "/v1/lists/hq-block/deliveries", sites=("north",))).json()
    assert [(one["edge"], one["version"], one["refused_code"]) for one in page["items"]] == [
        ("north.gates", 1, None),
        ("north.road", 1, None),
    ]


@pytest.mark.slow
async def test_old_versions_go_and_the_newest_ones_stay(house, is_problem):
    await house.start_edge()
    await house.make_list("friends", "release_fast")
    for number in range(13):
        await house.enter(f"粤ZB{number:03d}澳", "friends")
        await house.publication.round()
    page = (await house.world.ask("GET", "/v1/lists/friends/snapshots?limit=500")).json()
    assert [one["version"] for one in page["items"]] == list(range(13, 3, -1))
    got = await house.world.ask("GET", "/v1/lists/friends/snapshots/3/content")
    is_problem(got, 404, "missing")
    async with house.world.database.read() as conn:
        assert (await conn.execute(select(list_edges.c.serial))).scalar_one() > 13
