"""Vehicles at the simulated road and the real daemon: what it makes durable is what happened."""

import asyncio
from collections import Counter

import pytest

from edge.config import load_config
from simulators.barrier import Barrier
from simulators.site_roads import Road, Spot, visit, ways
from simulators.vehicles import Manner, Vehicle, Way, listed_plates, plan

from .edges import SITES, edge_of, token, until


class Source:
    """A camera whose first read has the barrier raised, or never."""

    def __init__(self, barrier, *, opens=True):
        self.barrier, self.opens, self.reads = barrier, opens, []

    async def tell(self, plate, confidence=0.97):
        self.reads.append((plate, confidence))
        if self.opens:
            self.barrier.order("raise")
            asyncio.get_running_loop().call_later(1.6, self.barrier.order, "lower")
        return True


async def come(manner, reads=("藏KA1208",), *, opens=True, behind="", last=True):
    barrier = Barrier()
    front, rear = Source(barrier, opens=opens), Source(barrier, opens=False)
    spot = Spot("V1", barrier, front, rear, first=True, last=last)
    one = Vehicle("CH", 0, 0.0, reads[-1], reads, manner, behind)
    return await visit(one, spot), barrier, front, rear


async def test_a_plain_vehicle_is_read_passes_once_and_is_seen_from_behind():
    leg, barrier, front, rear = await come(Manner.PLAIN)
    assert (leg.passed, leg.last, leg.wrongly_released, barrier.struck) == (True, True, False, 0)
    assert [plate for plate, _ in front.reads] == [plate for plate, _ in rear.reads] == ["藏KA1208"]
    assert (barrier.arm, barrier.on) == ("closed", set())


@pytest.mark.slow
async def test_who_is_not_let_through_backs_out():
    leg, barrier, _, rear = await come(Manner.LISTED, opens=False)
    assert (leg.passed, leg.last, leg.wrongly_released, rear.reads, barrier.on) == (False, False, False, [], set())


async def test_a_listed_vehicle_that_is_let_in_is_told_as_a_wrong_release():
    leg, *_ = await come(Manner.LISTED)
    assert leg.wrongly_released


async def test_what_is_misread_is_read_again_and_the_first_read_is_less_sure():
    _, _, front, _ = await come(Manner.MISREAD, ("藏KA120B", "藏KA1208", "藏KA1208"))
    assert [confidence < 0.9 for _, confidence in front.reads] == [True, False, False]


async def test_another_plate_behind_is_told_by_the_camera_behind():
    leg, _, _, rear = await come(Manner.MISMATCH, behind="藏KA7755")
    assert (leg.mismatched, rear.reads[0][0]) == (True, "藏KA7755")


@pytest.mark.slow
async def test_a_tailgater_follows_at_the_last_barrier_only():
    assert (await come(Manner.TAILGATED))[0].followed_by == 1
    assert (await come(Manner.TAILGATED, last=False))[0].followed_by == 0


def test_the_ways_of_a_site_are_its_channels_in_the_order_of_travel():
    found = ways(load_config(SITES / "hengqin-tunnel-road.toml"))
    assert found[0] == Way("HQ-TUN-CH-01", ("HQ-TUN-VEH-01", "HQ-TUN-VEH-05"))
    assert found[-1] == Way("HQ-TUN-CH-05", ("HQ-TUN-VEH-08",), rear=True)
    assert len(found) == 5


@pytest.mark.slow
async def test_what_the_edge_makes_durable_is_what_happened(nook):
    async with edge_of("hengqin-tunnel-road", nook) as edge:
        road = Road(edge.site)
        vehicles = plan(145, ways(edge.site.config), 12.0, 3.0)
        assert {one.manner for one in vehicles} == set(Manner)
        await edge.start(listed_plates(vehicles))
        await until(lambda: all(lane.lane._settled for lane in edge.parts.lanes.values()))
        await road.receive(vehicles)

        legs = road.truth
        cleared = Counter((one["lane"], one["plate_token"]) for one in await edge.vital("VehicleCleared"))
        assert cleared == Counter((leg.lane, token(leg.plate)) for leg in legs if leg.passed)
        passed = Counter((one["channel"], one["plate_token"]) for one in await edge.vital("ChannelPassed"))
        assert passed == Counter((leg.channel, token(leg.plate)) for leg in legs if leg.last)
        assert any(leg.lane == "HQ-TUN-VEH-05" and leg.last for leg in legs), "nobody came to a third barrier"

        decided = await edge.vital("VehicleDecided")
        effects = {one["plate_token"]: one["effect"] for one in decided if one["plate_token"]}
        for leg in legs:
            wanted = {"listed": "refuse", "fuzzy": "divert_secondary"}.get(leg.manner, "release")
            assert not leg.plate or effects[token(leg.plate)] == wanted
        unread = [one["effect"] for one in decided if not one["plate_token"]]
        assert unread == ["divert_secondary"] * sum(leg.manner == "unreadable" for leg in legs)
        assert sum(one["fuzzy"] for one in decided) == sum(leg.manner == "fuzzy" for leg in legs)

        kinds = Counter(one["kind"] for one in await edge.vital("VehicleAnomaly"))
        assert kinds == {
            "tailgate": sum(leg.followed_by for leg in legs),
            "wrong_way": sum(leg.wrong_way for leg in legs),
            "plate_mismatch": sum(leg.mismatched for leg in legs),
        }
        seen = await edge.telemetry("RoadPlateSeen")  # by the cameras over the road
        assert Counter(one["plate_token"] for one in seen) == Counter(token(leg.plate) for leg in legs if leg.last)
        assert sum(barrier.struck for barrier in edge.site.barriers.values()) == 0
