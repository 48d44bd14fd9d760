from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from central import eventstore
from central.duty.model import positions
from central.duty.routes import routes
from central.duty.service import Duty
from central.eventstore import events
from central.messages import EdgePresenceChanged
from central.reproject import reproject
from core.messages.events import EdgeStarted
from core.messages.locator_events import PositionReported, TerminalSeen

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
TERMINAL = "013800138000"


def at(minute, second=0):
    return T0 + timedelta(minutes=minute, seconds=second)


def position(taken_at=T0, terminal=TERMINAL, lat=22.14, lon=113.55, **more):
    told = {"device": "LOC-1", "latitude_deg": lat, "longitude_deg": lon, "fixed": True, "taken_at": taken_at}
    return PositionReported(terminal=terminal, **(told | more))


def seen(online, terminal=TERMINAL, **more):
    return TerminalSeen(device="LOC-1", terminal=terminal, online=online, **more)


@pytest.fixture
async def duty(world):
    """Whatever happens in a test, no event of it is left unprojected."""
    made = Duty()
    made.register(world.bus)
    world.serve(routes(made))
    yield world
    async with world.database.read() as conn:
        assert set((await conn.execute(select(events.c.status))).scalars()) <= {"ok"}


async def got(world, path, **who):
    answer = await world.ask("GET", path, **who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def one(world, query=""):
    return await got(world, f"/v1/locators/{TERMINAL}{query}")


async def track(world, query=""):
    return (await got(world, f"/v1/locators/{TERMINAL}/positions{query}"))["items"]


async def test_a_position_is_told_in_si_units_with_all_that_the_locator_said(duty):
    full = {"altitude_m": 12.5, "speed_kmh": 36.0, "course_deg": 90.0, "satellites": 9, "mileage_km": 1.5}
    await duty.happen(position(acc_on=True, alarm_bits=1 << 31, status_bits=3, late=True, **full), at=at(1))
    (row,) = await track(duty)
    assert (row["latitude_deg"], row["longitude_deg"], row["altitude_m"]) == (22.14, 113.55, 12.5)
    assert (row["speed_mps"], row["mileage_m"], row["course_deg"], row["satellites"]) == (10.0, 1500.0, 90.0, 9)
    assert (row["taken_at"], row["clocked"], row["late"]) == ("2026-11-21T08:00:00Z", True, True)
    assert (row["acc_on"], row["alarm_bits"], row["status_bits"]) == (True, 1 << 31, 3)
    told = await one(duty)
    assert (told["site"], told["edge"], told["device"]) == ("north", "north.gates", "LOC-1")
    assert (told["place"]["speed_mps"], told["place"]["latitude_deg"], told["mileage_m"]) == (10.0, 22.14, 1500.0)
    assert (told["reported_at"], told["last_seen_at"]) == ("2026-11-21T08:00:00Z", "2026-11-21T08:01:00Z")
    assert told["online"] is None


async def test_a_position_that_a_terminal_sends_again_is_one_row(duty):
    await duty.happen(position(), position(lat=99.0), at=at(1))
    await duty.happen(position(lat=98.0, late=True), at=at(2))
    await duty.happen(*(position(at(1, n)) for n in range(40)), *(position(at(1, n)) for n in range(40)), at=at(3))
    rows = await track(duty)
    assert len(rows) == 41
    assert rows[0]["latitude_deg"] == 22.14


async def test_what_is_late_never_stands_in_the_place_of_what_is_newer(duty):
    await duty.happen(position(at(5), lat=22.5, acc_on=True), at=at(5))
    await duty.happen(position(at(2), lat=22.2, acc_on=False, late=True), at=at(6))
    await duty.happen(position(at(4), lat=22.4), position(at(3), lat=22.3), at=at(7))
    told = await one(duty)
    assert (told["place"]["latitude_deg"], told["place"]["taken_at"], told["acc_on"]) == (
        22.5,
        "2026-11-21T08:05:00Z",
        True,
    )
    assert told["last_seen_at"] == "2026-11-21T08:07:00Z"
    assert [row["latitude_deg"] for row in await track(duty)] == [22.2, 22.3, 22.4, 22.5]


async def test_a_report_without_a_fix_leaves_the_last_place(duty):
    await duty.happen(position(at(1)), at=at(1))
    await duty.happen(position(at(2), lat=0.0, lon=0.0, fixed=False, alarm_bits=32), at=at(2))
    await duty.happen(position(at(3), lat=None, lon=None, fixed=True), at=at(3))
    told = await one(duty)
    assert (told["place"]["latitude_deg"], told["place"]["taken_at"]) == (22.14, "2026-11-21T08:01:00Z")
    assert (told["reported_at"], told["alarm_bits"]) == ("2026-11-21T08:03:00Z", 0)
    assert [row["fixed"] for row in await track(duty)] == [True, False, True]


async def test_a_locator_with_a_wrong_clock_is_the_newest_only_until_it_is_heard_again(duty):
    await duty.happen(position(datetime(2099, 1, 1, tzinfo=UTC), lat=1.0), at=at(1))
    assert (await one(duty))["place"]["latitude_deg"] == 1.0
    await duty.happen(position(at(2), lat=2.0), at=at(2))
    assert (await one(duty))["place"]["latitude_deg"] == 2.0


@pytest.mark.parametrize("moment", [None, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
async def test_a_position_without_a_usable_time_is_of_the_moment_it_was_heard(duty, moment):
    await duty.happen(position(moment, lat=1.0), position(moment, lat=2.0), at=at(1))
    rows = await track(duty)
    assert [(row["latitude_deg"], row["clocked"]) for row in rows] == [(1.0, False), (2.0, False)]
    assert {row["taken_at"] for row in rows} == {"2026-11-21T08:01:00Z"}
    assert (await one(duty))["place"]["latitude_deg"] == 2.0


async def test_what_no_column_takes_does_not_stop_the_stream(duty):
    odd = {"satellites": 1 << 80, "alarm_bits": 1 << 80, "status_bits": -(1 << 80), "speed_kmh": float("inf")}
    await duty.happen(position(terminal="a\0b", **odd), position(at(1)), at=at(1))
    items = (await got(duty, "/v1/locators"))["items"]
    assert [item["terminal"] for item in items] == [TERMINAL, "a\ufffdb"]
    assert items[1]["place"]["speed_mps"] is None


async def test_a_device_without_terminals_is_its_own(duty):
    await duty.happen(position(terminal=""), at=at(0))
    assert (await got(duty, "/v1/locators/LOC-1"))["place"]["latitude_deg"] == 22.14


async def presence(world, *, online, edge="north.gates"):
    async with world.database.begin() as conn:
        message = EdgePresenceChanged(edge=edge, site=edge.split(".")[0], online=online, at=T0)
        await world.bus.publish(conn, message)
    await world.bus.drain()


async def test_a_locator_is_online_only_while_its_edge_is(duty):
    await duty.happen(seen(True), seen(True, "other"), seen(False, "other"), at=at(0))
    await duty.happen(position(terminal="mute"), at=at(0))

    async def online(query=""):
        return {row["terminal"]: row["online"] for row in (await got(duty, f"/v1/locators{query}"))["items"]}

    assert await online() == {TERMINAL: True, "other": False, "mute": None}
    await presence(duty, online=False)
    assert await online() == {TERMINAL: False, "other": False, "mute": None}
    assert await online("?online=true") == {}
    await duty.happen(position(at(1)), at=at(1))
    assert await online("?online=false") == {TERMINAL: False, "other": False}
    await presence(duty, online=True)
    assert await online("?online=true") == {TERMINAL: True}


async def test_an_edge_that_starts_anew_has_only_the_terminals_that_come_after(duty):
    await duty.happen(seen(True), seen(True, "gone"), at=at(0))
    await duty.happen(EdgeStarted(edge="north.gates", version="1", boot_id="b", config_digest="d"), at=at(1))
    await duty.happen(seen(True), at=at(2))
    items = (await got(duty, "/v1/locators"))["items"]
    assert {item["terminal"]: item["online"] for item in items} == {TERMINAL: True, "gone": False}


async def test_a_description_stays_until_there_is_another(duty):
    await duty.happen(seen(True, vendor="BSJ", model="EG-01", firmware="1.2"), at=at(0))
    await duty.happen(seen(False), at=at(1))
    await duty.happen(position(at(2)), at=at(2))
    told = await one(duty)
    assert (told["vendor"], told["model"], told["firmware"], told["online"]) == ("BSJ", "EG-01", "1.2", False)


async def test_an_old_word_that_is_projected_again_changes_nothing_that_is_newer(duty):
    await duty.happen(seen(True, vendor="old"), at=at(0))
    await duty.happen(seen(False, vendor="new"), at=at(1))
    async with duty.database.begin() as conn:
        oldest = (await conn.execute(select(func.min(events.c.position)))).scalar_one()
        await eventstore.set_status(conn, [oldest], eventstore.PROJECTION_FAILED)
    assert await reproject(duty.database, duty.bus) == (1, 0)
    told = await one(duty)
    assert (told["vendor"], told["online"]) == ("new", False)


async def test_a_terminal_that_two_edges_know_is_told_as_the_last_one_knows_it(duty):
    await duty.happen(position(at(1), lat=1.0), edge="north.gates", at=at(1))
    await duty.happen(position(at(2), lat=2.0), edge="south.road", at=at(2))
    assert (await one(duty))["edge"] == "south.road"
    assert (await one(duty, "?edge=north.gates"))["place"]["latitude_deg"] == 1.0
    assert [row["edge"] for row in await track(duty)] == ["north.gates", "south.road"]
    assert [row["edge"] for row in await track(duty, "?edge=south.road")] == ["south.road"]


async def test_a_track_is_cut_by_time_and_read_by_pages(duty):
    await duty.happen(*(position(at(0, n), lat=float(n)) for n in range(30)), at=at(1))
    found, cursor = [], None
    while True:
        params = {"limit": 7, "begin": at(0, 5).isoformat(), "end": at(0, 25).isoformat()}
        params |= {"cursor": cursor} if cursor else {}
        page = (await duty.ask("GET", f"/v1/locators/{TERMINAL}/positions", params=params)).json()
        found += [row["latitude_deg"] for row in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == [float(n) for n in range(5, 25)]


async def test_lists_are_filtered_and_held_to_the_callers_sites(duty, is_problem):
    for edge in ("north.gates", "south.gates"):
        await duty.happen(position(terminal=edge), edge=edge)

    async def terminals(query="", **who):
        return [row["terminal"] for row in (await got(duty, f"/v1/locators{query}", **who))["items"]]

    mine = {"sites": ("south",), "scopes": ("duty:read",)}
    assert await terminals() == ["north.gates", "south.gates"]
    assert await terminals("?site=south") == ["south.gates"]
    assert await terminals("?edge=north.gates") == ["north.gates"]
    assert await terminals("?device=LOC-2") == []
    assert await terminals(**mine) == ["south.gates"]
    for path in ("?site=north", "/north.gates", "/north.gates/positions"):
        is_problem(await duty.ask("GET", f"/v1/locators{path}", **mine), 403, "forbidden")
    is_problem(await duty.ask("GET", "/v1/locators", scopes=("flow:read",)), 403, "forbidden")
    is_problem(await duty.ask("GET", "/v1/locators/nobody"), 404, "missing")
    is_problem(await duty.ask("GET", "/v1/locators/nobody/positions?begin=yesterday"), 422, "invalid")


async def test_another_sites_positions_of_a_shared_terminal_are_not_told(duty):
    for edge in ("north.gates", "south.gates"):
        await duty.happen(position(lat=1.0 if edge < "o" else 2.0), edge=edge)
    rows = (await got(duty, f"/v1/locators/{TERMINAL}/positions", sites=("south",)))["items"]
    assert [row["latitude_deg"] for row in rows] == [2.0]
    async with duty.database.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(positions))).scalar_one() == 2
