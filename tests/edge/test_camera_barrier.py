"""The real daemon at a road whose barriers are at cameras' own contacts: no relay board, and the same promises."""

import pytest

from core.messages.event import Stream
from core.messages.vehicle_events import VehicleAnomaly, VehicleCleared, VehicleDecided, VehicleTimedOut
from edge.lanes.vehicle_words import State
from simulators.hik_barrier import LOGIN

from .conftest import until
from .road import road_in, token

pytestmark = pytest.mark.slow
STEP = 0.4
"""From one input to the next: some looks of the profiles."""
PROFILES = ("hikvision/isapi-barrier-gate", "hikvision/isapi-barrier-output")
LISTED, PLAIN = "粤B12345", "粤D67F66"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setenv("GATEFLEET_TEST_CAM", "secret")
    monkeypatch.setenv("GATEFLEET_TEST_GATE", LOGIN.password)


@pytest.fixture(params=PROFILES, ids=["gate", "output"])
async def road(request, nook, signer):
    async with road_in(nook, signer, profile=request.param) as road:
        yield road


def of(running, kind):
    return [event for event in running.events if isinstance(event, kind)]


async def idle(running):
    """Wait until nobody is served; where nothing tells of the arm, its time to come down is waited for."""
    await until(lambda: running.parts.lanes["V1"].lane.state is State.IDLE, 6)


async def started(road, *listed):
    running = await road.start(*listed)
    await idle(running)
    road.barriers["V1"].orders.clear()
    return running


async def test_a_vehicle_is_released_only_after_its_decision_is_durable_and_the_arm_comes_down_behind_it(road):
    running = await started(road, LISTED)
    front = await road.camera(running, "V1-F")
    barrier, buffer = road.barriers["V1"], running.parts.buffer
    at_order = []
    barrier.on_order = lambda move: at_order.append((move, buffer.newest(Stream.VITAL)))
    await barrier.arrive(STEP)
    assert await front.vehicle(PLAIN) == 200
    assert await barrier.wait_arm("open", 3)
    await barrier.drive(STEP)
    await until(lambda: of(running, VehicleCleared))
    assert await barrier.wait_arm("closed", 5)
    await idle(running)
    entries = await buffer.read(Stream.VITAL, 0, entries=100, bytes_=1 << 20)
    decided = next(entry.seq for entry in entries if b"VehicleDecided" in entry.body)
    assert [move for move, _ in at_order] == ["raise", "lower"]
    assert decided <= at_order[0][1]
    assert of(running, VehicleCleared)[0].plate_tokens == (token(PLAIN),)
    assert not of(running, VehicleAnomaly)
    assert barrier.struck == 0


async def test_a_listed_plate_finds_the_arm_down(road):
    running = await started(road, LISTED)
    front = await road.camera(running, "V1-F")
    barrier = road.barriers["V1"]
    await barrier.arrive(STEP)
    assert await front.vehicle(LISTED) == 200
    await until(lambda: running.parts.lanes["V1"].lane.state is State.HELD)
    assert of(running, VehicleDecided)[0].effect.value == "refuse"
    assert (barrier.orders, barrier.arm) == ([], "closed")


async def test_a_release_that_nobody_uses_is_taken_back(road):
    running = await started(road)
    front = await road.camera(running, "V1-F")
    barrier = road.barriers["V1"]
    await barrier.arrive(STEP)
    await front.vehicle(PLAIN)
    assert await barrier.wait_arm("open", 3)
    await barrier.back_out(STEP)
    await until(lambda: of(running, VehicleTimedOut))
    assert await barrier.wait_arm("closed", 3)


async def test_a_restart_in_mid_passage_counts_the_vehicle_once_and_the_arm_waits_for_it(road):
    running = await started(road)
    front = await road.camera(running, "V1-F")
    barrier = road.barriers["V1"]
    await barrier.arrive(STEP)
    await front.vehicle(PLAIN)
    assert await barrier.wait_arm("open", 3)
    await barrier.enter(STEP)
    await until(lambda: running.parts.lanes["V1"].lane.state is State.PASSING)
    await running.stop()
    again = await road.start()
    await barrier.leave(STEP)
    await until(lambda: of(again, VehicleCleared))
    assert of(again, VehicleCleared)[0].recovered
    assert await barrier.wait_arm("closed", 5)
    assert barrier.struck == 0
