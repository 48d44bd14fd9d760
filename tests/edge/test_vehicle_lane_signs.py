"""The real daemon with a display at its vehicle lane, and with a barrier that obeys and does not move."""

import asyncio
import contextlib
import time

import pytest

from core.messages.vehicle_events import VehicleAnomaly, VehicleAnomalyKind, VehicleDecided
from edge.profiles import load_profile
from simulators.display import display_of, serve_tcp_display

from .conftest import until
from .road import device, road_in

pytestmark = pytest.mark.slow
STEP = 0.15
PLAIN, LISTED = "粤D67F66", "粤B12345"


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("GATEFLEET_TEST_CAM", "secret")


@contextlib.asynccontextmanager
async def with_display(nook, signer):
    """A road whose one lane has a display."""
    card = display_of(load_profile("olm/led-64x64"))
    async with road_in(nook, signer) as road, serve_tcp_display(card):
        table = road.table()
        road.changes = {"device": [*table["device"], device("V1-LED", "display", "olm/led-64x64", card.url)]}
        road.lane_changes = {"V1": {"display": "V1-LED"}}
        yield road, card


def of(running, kind):
    return [event for event in running.events if isinstance(event, kind)]


async def test_the_driver_reads_what_the_lane_decides(nook, signer):
    async with with_display(nook, signer) as (road, card):
        running = await road.start(LISTED)
        front, barrier = await road.camera(running, "V1-F"), road.barriers["V1"]
        assert await card.until(lambda rows: rows == ("欢迎", "Welcome"), 5)
        await barrier.arrive(STEP)
        await front.vehicle(PLAIN)
        assert await card.until(lambda rows: rows == ("粤D***66", "请通行", "Please go"), 5)
        await barrier.drive(STEP)
        assert await card.until(lambda rows: rows == ("欢迎", "Welcome"), 5)
        await barrier.arrive(STEP)
        await front.vehicle(LISTED)
        assert await card.until(lambda rows: rows == ("粤B***45", "禁止通行", "No entry"), 5)
        assert barrier.orders == ["raise", "lower"]


async def test_a_silent_display_never_delays_the_barrier_and_is_told(nook, signer):
    async with with_display(nook, signer) as (road, card):
        card.faults.silent = True
        running = await road.start()
        front, barrier = await road.camera(running, "V1-F"), road.barriers["V1"]
        await until(lambda: [one.code for one in running.parts.board.record("V1-LED").findings] == ["silent"], 5)
        await barrier.arrive(STEP)
        began = time.monotonic()
        await front.vehicle(PLAIN)
        assert await barrier.wait_arm("open", 2)
        assert time.monotonic() - began < 0.8  # a display's patience for one line is a second
        assert await barrier_lit(barrier)
        await barrier.drive(STEP)
        card.faults.silent = False
        assert await card.until(lambda rows: rows == ("欢迎", "Welcome"), 40)


async def barrier_lit(barrier):
    await until(lambda: barrier.light, 2)
    return True


@pytest.mark.parametrize(("where", "code"), [("up", "arm_stays_up"), ("down", "arm_stays_down")])
async def test_an_arm_that_obeys_and_does_not_move_is_an_anomaly_and_a_finding_until_it_moves(
    nook, signer, where, code
):
    async with road_in(nook, signer) as road:
        short = {"close_timeout_ms" if where == "up" else "raise_timeout_ms": 400}
        road.lane_changes = {"V1": {"timing": {**TIMES, **short}}}
        running = await road.start()
        front, barrier = await road.camera(running, "V1-F"), road.barriers["V1"]
        board = running.parts.board
        barrier.stuck = where == "down"
        await barrier.arrive(STEP)
        await front.vehicle(PLAIN)
        await until(lambda: of(running, VehicleDecided))
        if where == "up":
            assert await barrier.wait_arm("open", 2)
            barrier.stuck = True
            await barrier.drive(STEP)
        await until(lambda: [one.code for one in board.record("V1-BR").findings] == [code], 5)
        (anomaly,) = of(running, VehicleAnomaly)
        assert anomaly.kind is VehicleAnomalyKind.ARM_STUCK
        assert board.record("V1-BR").health.value == "degraded"
        assert running.parts.lanes["V1"].counters.anomalies == 1
        await until_durable(running)
        barrier.stuck = False
        barrier.order("lower" if where == "up" else "raise")  # by hand
        if where == "down":
            await until(lambda: barrier.orders[-1] == "lower", 5)  # the release has run out meanwhile
        await until(lambda: [one.code for one in board.record("V1-BR").findings] == ["ok"], 5)
        assert len(of(running, VehicleAnomaly)) == 1


TIMES = {
    "reads_wanted": 1,
    "read_window_ms": 300,
    "unread_after_ms": 600,
    "gap_ms": 100,
    "enter_timeout_ms": 1_500,
    "rear_window_ms": 400,
    "tailgate_window_ms": 1_000,
}


async def until_durable(running):
    async with asyncio.timeout(5):
        while not any(kind == "VehicleAnomaly" for kind, _ in await running.vital()):
            await asyncio.sleep(0.02)
