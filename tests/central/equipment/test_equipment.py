from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from central import eventstore
from central.equipment.routes import routes
from central.equipment.service import Equipment
from central.eventstore import events
from central.messages import AssetHealthChanged, EdgePresenceChanged
from central.reproject import reproject
from core.messages.events import DeviceHealthChanged, DeviceSeen, Health

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def seen(device="TS-07", **more):
    facts = {"driver": "turnstile", "profile": "acme/x1", "kind": "turnstile", "vendor": "Acme", "model": "X1"}
    return DeviceSeen(device=device, **(facts | {"firmware": "1.4", "lane": "L1"} | more))


def health(state, *faults, device="TS-07"):
    return DeviceHealthChanged(device=device, health=state, faults=faults)


@pytest.fixture
def told(world):
    """The messages that other domains get."""
    equipment = Equipment(world.bus)
    equipment.register(world.bus)
    world.serve(routes(equipment))
    got: list[AssetHealthChanged] = []

    async def take(_conn, message):
        got.append(message)

    world.bus.subscribe(AssetHealthChanged, "test.ear", take)
    return got


async def presence(world, edge, *, online, at=T0):
    async with world.database.begin() as conn:
        message = EdgePresenceChanged(edge=edge, site=edge.split(".")[0], online=online, at=at)
        await world.bus.publish(conn, message)
    await world.bus.drain()


async def asset(world, tag="TS-07"):
    return (await world.ask("GET", f"/v1/assets/{tag}")).json()


async def test_a_device_becomes_one_asset_with_its_facts(world, told):
    await world.happen(seen(), health(Health.OK), at=T0)
    await world.happen(seen(firmware="1.5"), at=T0 + timedelta(hours=1))
    got = await asset(world)
    assert (got["vendor"], got["model"], got["firmware"], got["lane"]) == ("Acme", "X1", "1.5", "L1")
    assert (got["lifecycle"], got["custody"], got["health"]) == ("in_service", "fixed", "ok")
    assert (got["site"], got["edge"]) == ("north", "north.gates")
    assert got["first_seen_at"] == "2026-11-21T08:00:00Z"
    assert got["last_seen_at"] == "2026-11-21T09:00:00Z"
    assert len((await world.ask("GET", "/v1/assets")).json()["items"]) == 1


async def test_health_and_faults_move_with_what_the_edge_says(world, told):
    await world.happen(seen(), health(Health.OK), at=T0)
    await world.happen(health(Health.FAULT, "door_jam"), at=T0 + timedelta(minutes=1))
    await world.happen(health(Health.FAULT, "door_jam", "motor"), at=T0 + timedelta(minutes=2))
    got = await asset(world)
    assert (got["health"], got["faults"]) == ("fault", ["door_jam", "motor"])
    assert got["health_since"] == "2026-11-21T08:01:00Z"
    await world.bus.drain()
    assert [(one.was, one.health, one.faults) for one in told] == [
        ("unknown", "ok", ()),
        ("ok", "fault", ("door_jam",)),
        ("fault", "fault", ("door_jam", "motor")),
    ]
    assert told[-1].since == T0 + timedelta(minutes=1)


async def test_the_same_word_twice_is_no_change(world, told):
    await world.happen(health(Health.FAULT, "motor"), health(Health.FAULT, "motor"))
    await world.bus.drain()
    assert len(told) == 1


async def test_the_timeline_has_each_change_once_newest_first_by_pages(world, told):
    for minute, state in enumerate([Health.OK, Health.FAULT, Health.OK, Health.OFFLINE, Health.OK]):
        await world.happen(health(state), at=T0 + timedelta(minutes=minute))
    got, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await world.ask("GET", "/v1/assets/TS-07/timeline", params=params)).json()
        got += [item["health"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert got == ["ok", "offline", "ok", "fault", "ok"]


async def test_an_edge_that_is_gone_leaves_its_devices_unknown_and_brings_them_back_as_they_were(world, told):
    await world.happen(seen(), health(Health.FAULT, "motor"), at=T0)
    await world.happen(health(Health.OK, device="TS-08"), edge="north.road", at=T0)
    await presence(world, "north.gates", online=False, at=T0 + timedelta(minutes=5))
    assert (await asset(world))["health"] == "unknown"
    assert (await asset(world, "TS-08"))["health"] == "ok"
    await presence(world, "north.gates", online=True, at=T0 + timedelta(minutes=9))
    got = await asset(world)
    assert (got["health"], got["faults"], got["health_since"]) == ("fault", ["motor"], "2026-11-21T08:00:00Z")
    assert [one.health for one in told if one.asset == "TS-07"] == ["fault", "unknown", "fault"]


async def test_what_the_edge_said_meanwhile_counts_when_it_is_back(world, told):
    await world.happen(health(Health.FAULT, "motor"), at=T0)
    await presence(world, "north.gates", online=False)
    await world.happen(health(Health.OK), at=T0 + timedelta(minutes=5))
    assert (await asset(world))["health"] == "ok"
    await presence(world, "north.gates", online=True)
    assert (await asset(world))["health"] == "ok"


async def test_a_device_that_moved_is_not_put_back_by_the_old_edges_late_words(world, told):
    await world.happen(seen(), health(Health.FAULT, "motor"), at=T0)
    await world.happen(seen(lane="L9"), health(Health.OK), edge="north.road", at=T0 + timedelta(hours=1))
    await world.happen(health(Health.OFFLINE), edge="north.gates", at=T0 + timedelta(minutes=30))
    got = await asset(world)
    assert (got["edge"], got["lane"], got["health"]) == ("north.road", "L9", "ok")


async def test_two_sites_with_the_same_device_id_have_two_assets(world, told):
    await world.happen(health(Health.OK), edge="north.gates")
    await world.happen(health(Health.FAULT), edge="south.gates")
    tags = {item["tag"]: item["health"] for item in (await world.ask("GET", "/v1/assets")).json()["items"]}
    assert tags == {"TS-07": "ok", "south.TS-07": "fault"}


async def test_words_that_fit_no_column_do_not_stop_the_stream(world, told):
    await world.happen(seen(vendor="v" * 5000, model="a\0b"), health(Health.FAULT, "f" * 5000))
    got = await asset(world)
    assert (len(got["vendor"]), got["model"], len(got["faults"][0])) == (128, "a\ufffdb", 64)


async def test_lists_are_filtered_and_held_to_the_callers_sites(world, told, is_problem):
    await world.happen(health(Health.OK, device="A"), health(Health.FAULT, device="B"), edge="north.gates")
    await world.happen(health(Health.FAULT, device="C"), edge="south.gates")

    async def tags(params="", **who):
        page = (await world.ask("GET", f"/v1/assets?{params}", **who)).json()
        return [item["tag"] for item in page["items"]]

    assert await tags("health=fault") == ["B", "C"]
    assert await tags("site=south") == ["C"]
    assert await tags(sites=("south",)) == ["C"]
    is_problem(await world.ask("GET", "/v1/assets?site=north", sites=("south",)), 403, "forbidden")
    is_problem(await world.ask("GET", "/v1/assets/A", sites=("south",)), 403, "forbidden")
    is_problem(await world.ask("GET", "/v1/assets/A/timeline", sites=("south",)), 403, "forbidden")
    is_problem(await world.ask("GET", "/v1/assets", scopes=("tickets:read",)), 403, "forbidden")
    is_problem(await world.ask("GET", "/v1/assets/Z"), 404, "missing")
    is_problem(await world.ask("GET", "/v1/assets?health=sick"), 422, "invalid")


async def test_an_old_word_that_is_projected_again_changes_nothing_that_is_newer(world, told):
    await world.happen(seen(firmware="1.4"), health(Health.FAULT, "motor"), at=T0)
    await world.happen(seen(firmware="1.5"), health(Health.OK), at=T0 + timedelta(hours=1))
    async with world.database.begin() as conn:
        oldest = select(events.c.position).order_by(events.c.position).limit(2)
        positions = (await conn.execute(oldest)).scalars().all()
        await eventstore.set_status(conn, positions, eventstore.PROJECTION_FAILED)
    assert await reproject(world.database, world.bus) == (2, 0)
    got = await asset(world)
    assert (got["health"], got["firmware"]) == ("ok", "1.5")
