"""The promises of `central.flow.drift` by their words, on both databases, from events to the ticket."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from central.clearance import passed
from central.clearance.service import Records
from central.equipment.service import Equipment
from central.flow.drift import Drifts
from central.flow.routes import routes
from central.flow.service import Flow
from central.ticketing.alarms import Alarms, AlarmSettings
from central.ticketing.model import tickets
from central.ticketing.service import Tickets
from core.drift import DriftRule
from core.messages.device_events import PeopleCountReported
from core.messages.events import (
    DeviceHealthChanged,
    DeviceSeen,
    FreePassage,
    PassageAnomaly,
    PassageCleared,
    PassageTimedOut,
)

RULE = DriftRule(site="north", counter="PC-1", lanes=("E1", "E2"), side="entered", periods=2, at_least=4)
GATES, EYES = "north.gates", "north.eyes"
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def hour(number):
    """The begin of an hour; hour 0 is twelve hours ago."""
    return NOW - timedelta(hours=12 - number)


def counted(number, entered, left=0):
    return PeopleCountReported(
        device="PC-1", bucket_start=hour(number) + timedelta(minutes=5), entered=entered, left=left
    )


def cleared(lane="E1", direction="in"):
    return PassageCleared(lane=lane, attempt="A", direction=direction, subject_token="t", opened_ms=1, duration_ms=1)


class Site:
    """One site: a counter at one edge, lanes at another."""

    def __init__(self, world):
        self.world = world
        self.drifts = Drifts(
            world.database, world.bus, world.metrics, [RULE], passed=passed.persons, told_until=passed.told_until
        )
        tickets_ = Tickets(world.bus)
        for part in (
            Records(world.bus), Flow(), Equipment(world.bus), Alarms(world.database, tickets_, AlarmSettings())
        ):  # fmt: skip
            part.register(world.bus)
        world.serve(routes(self.drifts))

    async def count(self, number, entered, left=0):
        await self.world.happen(counted(number, entered, left), edge=EYES, at=hour(number) + timedelta(minutes=6))

    async def go(self, number, *events, edge=GATES):
        await self.world.happen(*events, edge=edge, at=hour(number) + timedelta(minutes=30))

    async def hours(self, begin, *pairs):
        """Let each hour tell (counted, passed)."""
        for number, (told, gone) in enumerate(pairs, begin):
            await self.count(number, told)
            await self.go(number, *[cleared("E1" if one % 2 else "E2") for one in range(gone)])

    async def sweep(self):
        told = await self.drifts.sweep()
        await self.world.bus.drain()
        return told

    async def tickets(self):
        async with self.world.database.read() as conn:
            rows = (await conn.execute(select(tickets).order_by(tickets.c.id))).all()
        return [(row.asset, row.fault_class, row.state, row.recovered_at is not None) for row in rows]

    async def shown(self, **who):
        answer = await self.world.ask("GET", "/v1/flow/drift", **who)
        assert answer.status_code == 200, answer.text
        return answer.json()["counters"]

    def gauge(self):
        return self.world.metrics.registry.get_sample_value(
            "gatefleet_count_drift", {"site": "north", "device": "PC-1"}
        )


@pytest.fixture
async def site(world):
    made = Site(world)
    seen = DeviceSeen(device="PC-1", driver="hik-counting", profile="hikvision/isapi-counting", kind="people counter")
    await world.happen(seen, DeviceHealthChanged(device="PC-1", health="ok"), edge=EYES)
    return made


async def test_a_drift_is_told_once_when_it_begins_and_once_when_it_ends_and_becomes_a_ticket(site):
    await site.hours(0, (8, 8), (8, 4), (9, 4), (1, 1))
    assert await site.sweep() == 1
    assert await site.sweep() == 0
    assert site.gauge() == 1
    assert await site.tickets() == [("PC-1", "count_drift", "new", False)]
    (shown,) = await site.shown()
    assert (shown["drifting"], shown["counted"], shown["passed"], shown["periods"]) == (True, 17, 8, 2)
    assert datetime.fromisoformat(shown["until"]) == hour(3)
    await site.hours(4, (8, 8), (1, 1))
    assert await site.sweep() == 1
    assert site.gauge() == 0
    assert await site.tickets() == [("PC-1", "count_drift", "new", True)]


async def test_counts_that_agree_are_no_drift(site):
    await site.hours(0, (8, 8), (9, 8), (8, 8), (1, 1))
    await site.sweep()
    assert (site.gauge(), await site.tickets()) == (0, [])


async def test_what_an_edge_still_keeps_is_no_drift(site):
    await site.hours(0, (8, 8), (1, 1))
    for number in range(2, 8):
        await site.count(number, 20)  # the gates' edge is offline
    await site.sweep()
    assert (await site.tickets(), (await site.shown())[0]["drifting"]) == ([], False)
    for number in range(2, 8):
        await site.go(number, *[cleared()] * 20)
    await site.sweep()
    assert (await site.tickets(), (await site.shown())[0]["drifting"]) == ([], False)


async def test_a_lane_of_another_edge_is_waited_for_too(site):
    await site.hours(0, (8, 4), (8, 4), (8, 4), (1, 1))
    await site.go(0, cleared("E2"), edge="north.more-gates")
    await site.sweep()
    assert (await site.shown())[0]["drifting"] is None


async def test_all_who_went_through_count_and_those_who_did_not_do_not(site):
    for number in range(4):
        free = FreePassage(lane="E1", direction="in", persons=3, mode="free")
        tail = PassageAnomaly(lane="E2", kind="tailgate", direction="in", persons=1)
        out = PassageTimedOut(lane="E1", attempt="B", subject_token="t")
        await site.count(number, 5, left=90)
        await site.go(number, cleared(), free, tail, out, cleared("E9"), *[cleared(direction="out")] * 30)
    assert await site.sweep() == 1
    assert (await site.shown())[0] | {"until": None} == {
        "site": "north", "device": "PC-1", "lanes": ["E1", "E2"], "drifting": False,
        "counted": 5, "passed": 5, "periods": 1, "until": None,
    }  # fmt: skip


async def test_an_edge_that_says_the_counter_is_well_does_not_end_the_drift(site):
    await site.hours(0, (8, 4), (8, 4), (1, 1))
    await site.sweep()
    await site.world.happen(DeviceHealthChanged(device="PC-1", health="degraded"), edge=EYES)
    await site.world.happen(DeviceHealthChanged(device="PC-1", health="ok"), edge=EYES)
    await site.world.bus.drain()
    assert await site.tickets() == [("PC-1", "count_drift", "new", False)]


async def test_after_a_restart_what_is_so_is_told_again_and_joins_its_ticket(site):
    await site.hours(0, (8, 4), (8, 4), (1, 1))
    await site.sweep()
    site.drifts._told.clear()
    assert await site.sweep() == 1
    assert await site.tickets() == [("PC-1", "count_drift", "new", False)]


async def test_nobody_sees_the_counters_of_another_site(site):
    await site.hours(0, (8, 8), (1, 1))
    assert await site.shown(scopes=("flow:read",), sites=("south",)) == []
    assert len(await site.shown(scopes=("flow:read",), sites=("north",))) == 1


async def test_a_counter_that_never_told_anything_says_nothing(site):
    assert await site.sweep() == 0
    assert (await site.shown())[0]["drifting"] is None
