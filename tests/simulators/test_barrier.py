"""The simulated barrier behaves like one, and speaks its profile on a real socket."""

import asyncio

import pytest

from core.errors import DeviceRefused
from drivers.barrier import DRIVER
from drivers.barrier.commands import LowerArm, RaiseArm, SetLight
from drivers.base import Write
from edge.links.modbus_url import open_bus, parse_modbus_url
from edge.profiles import load_profile
from simulators.barrier import Barrier, barrier_bank
from simulators.modbus import serve_tcp

STEP = 0.02


async def test_the_arm_takes_its_time_and_says_so():
    barrier = Barrier(travel_s=0.02)
    barrier.order("raise")
    assert barrier.arm == "moving"
    assert await barrier.wait_arm("open", 1)
    barrier.order("lower")
    assert await barrier.wait_arm("closed", 1)
    assert (barrier.orders, barrier.struck) == (["raise", "lower"], 0)


async def test_an_order_on_the_way_turns_the_arm_round():
    barrier = Barrier(travel_s=0.05)
    barrier.order("raise")
    assert await barrier.wait_arm("open", 1)
    barrier.order("lower")
    barrier.order("raise")
    await asyncio.sleep(0.07)
    assert barrier.arm == "open"


async def test_a_motor_that_is_broken_moves_nothing():
    barrier = Barrier(faults={"motor"})
    barrier.order("raise")
    assert not await barrier.wait_arm("open", 0.02)
    assert barrier.arm == "closed"


async def test_an_arm_that_comes_down_on_a_vehicle_is_told():
    barrier = Barrier(travel_s=0.01, arm="open")
    await barrier.enter(STEP)
    barrier.order("lower")
    assert barrier.struck == 1


async def test_a_vehicle_meets_the_inputs_in_their_order():
    barrier = Barrier(arm="open")
    seen = []

    class Watched(set):
        def add(self, name):
            seen.append(f"+{name}")
            super().add(name)

        def discard(self, name):
            seen.append(f"-{name}")
            super().discard(name)

        def __ior__(self, names):
            seen.extend(f"+{name}" for name in sorted(names))
            return super().__ior__(names)

        def __isub__(self, names):
            seen.extend(f"-{name}" for name in sorted(names))
            return super().__isub__(names)

    barrier.on = Watched()
    await barrier.arrive(STEP)
    await barrier.drive(STEP)
    assert seen == ["+approach", "+photocell", "+under", "-approach", "+exit", "-photocell", "-under", "-exit"]


@pytest.mark.parametrize("name", ["reference/barrier", "waveshare/barrier-modbus-rtu-relay-d"])
async def test_it_speaks_its_profile_on_a_socket(name, task):
    barrier, profile = Barrier(travel_s=0.01), load_profile(name)
    board = DRIVER.make(profile, DRIVER.settings())
    async with serve_tcp({1: barrier_bank(barrier, profile)}) as server:
        url = parse_modbus_url(f"{server.url}?unit=1")
        bus = open_bus(url.bus)
        looked = asyncio.Event()
        unit = bus.attach(1, board.polls, on_block=lambda *_: looked.set(), on_health=lambda *_: None, timeout_s=1.0)
        task(bus.run())
        await asyncio.wait_for(looked.wait(), 2)
        await unit.write(board.writes(RaiseArm()), timeout_s=2)
        await unit.write(board.writes(SetLight(on=True)), timeout_s=2)
        assert await barrier.wait_arm("open", 1)
        barrier.on |= {"under", "photocell"}
        barrier.blind.add("photocell")
        fact = board.observe(board.polls[0], await unit.read_now(board.polls[0]))[0]
        assert (fact.arm, fact.occupied, barrier.light) == ("open", {"under"}, True)
        barrier.on.clear()
        await unit.write(board.writes(LowerArm()), timeout_s=2)
        await unit.write(board.writes(SetLight(on=False)), timeout_s=2)
        assert await barrier.wait_arm("closed", 1)
        assert not barrier.light
        with pytest.raises(DeviceRefused):
            await unit.write((Write(5, 40, (0xFF00,)),), timeout_s=2)


@pytest.fixture
async def task():
    running = []
    yield lambda awaitable: running.append(asyncio.ensure_future(awaitable))
    for one in running:
        one.cancel()
    await asyncio.gather(*running, return_exceptions=True)
