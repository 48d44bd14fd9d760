"""A barrier at a camera's contacts: looks and orders over a real socket, and what a camera may do wrong."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from aiohttp import web

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, FrameInvalid, LinkLost
from drivers.barrier.commands import LowerArm, RaiseArm
from drivers.barrier.facts import BarrierSeen
from drivers.digest import Login
from drivers.facts import DeviceDescribed
from drivers.hik_barrier import DRIVER, HikBarrierSettings
from edge.links.isapi import IsapiBarrier
from edge.profiles import load_profile
from simulators.barrier import Barrier
from simulators.hik_barrier import LOGIN, serve_gate_camera

GATE, OUTPUT = "hikvision/isapi-barrier-gate", "hikvision/isapi-barrier-output"


@dataclass
class Told:
    facts: list = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, fact):
        self.facts.append(fact)
        self.news.set()

    async def until(self, true):
        async with asyncio.timeout(5):
            while not any(true(one) for one in self.facts):
                self.news.clear()
                await self.news.wait()


def client(url, name=GATE, login=LOGIN, timeout_s=0.5):
    words = DRIVER.make(load_profile(name), HikBarrierSettings())
    return IsapiBarrier(url, words, login, timeout_s=timeout_s)


@contextlib.asynccontextmanager
async def served(name=GATE, **more):
    """Serve a camera and look at it; give all that there is."""
    barrier, told = Barrier(travel_s=0.05), Told()
    async with serve_gate_camera(load_profile(name), barrier) as (camera, url):
        one = client(url, name, **more)
        running = asyncio.create_task(one.run(told))
        try:
            yield SimpleNamespace(barrier=barrier, camera=camera, told=told, client=one, running=running)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def seen(fact):
    return isinstance(fact, BarrierSeen)


async def test_it_says_what_it_is_and_what_stands_there():
    async with served() as at:
        await at.told.until(lambda fact: seen(fact) and fact.arm == "closed" and not fact.occupied)
        assert at.told.facts[0] == DeviceDescribed("Hikvision", "simulated gate camera", "V1.0", "SIM-1")
        at.barrier.on.add("approach")
        await at.told.until(lambda fact: seen(fact) and fact.occupied == {"approach"})


async def test_its_gate_moves_the_arm():
    async with served() as at:
        await at.told.until(seen)
        await at.client.command(RaiseArm())
        await at.told.until(lambda fact: seen(fact) and fact.arm == "open")
        await at.client.command(LowerArm())
        await at.told.until(lambda fact: seen(fact) and fact.arm == "closed")
    assert at.barrier.orders == ["raise", "lower"]


async def test_an_output_is_high_for_half_a_second():
    async with served(OUTPUT) as at:
        await at.told.until(seen)
        raising = asyncio.create_task(at.client.command(RaiseArm()))
        assert await at.barrier.wait_arm("open", 2)
        assert at.camera.outputs == {1: "high"}
        await raising
    assert at.camera.outputs == {1: "low"}
    assert at.barrier.orders == ["raise"]


async def test_promise_a_pulse_that_was_begun_is_ended():
    async with served(OUTPUT) as at:
        await at.told.until(seen)
        raising = asyncio.create_task(at.client.command(RaiseArm()))
        assert await at.barrier.wait_arm("open", 2)
        at.camera.habits.slow_s = 0.6
        asyncio.get_running_loop().call_later(0.7, setattr, at.camera.habits, "slow_s", 0.0)
        with pytest.raises(DeviceSilent):
            await at.running  # no look was answered meanwhile
        await raising
        assert at.camera.outputs == {1: "low"}


async def test_promise_a_pulse_is_ended_when_the_daemon_stops_in_the_middle():
    async with served(OUTPUT) as at:
        await at.told.until(seen)
        raising = asyncio.create_task(at.client.command(RaiseArm()))
        assert await at.barrier.wait_arm("open", 2)
        raising.cancel()
        at.running.cancel()
        await asyncio.wait({raising, at.running}, timeout=3)
        assert at.camera.outputs == {1: "low"}


async def test_promise_a_pulse_whose_begin_was_not_answered_is_ended_too():
    async with served(OUTPUT) as at:
        await at.told.until(seen)
        at.camera.habits.garbled = True
        asyncio.get_running_loop().call_later(0.3, setattr, at.camera.habits, "garbled", False)
        with pytest.raises(FrameInvalid):
            await at.client.command(RaiseArm())
    assert (at.barrier.orders, at.camera.outputs) == (["raise"], {1: "low"})


async def test_a_pulse_that_could_not_be_ended_is_told():
    async with served(OUTPUT) as at:
        await at.told.until(seen)
        raising = asyncio.create_task(at.client.command(RaiseArm()))
        assert await at.barrier.wait_arm("open", 2)
        at.camera.habits.refusing = True
        with pytest.raises(DeviceRefused, match="half done"):
            await raising


async def test_its_digest_goes_on_when_the_camera_forgets_its_nonces():
    async with served() as at:
        await at.told.until(seen)
        at.camera.forget_nonces()
        await at.client.command(RaiseArm())
    assert at.barrier.orders == ["raise"]


@pytest.mark.parametrize("login", [Login("operator", "wrong"), None])
async def test_promise_a_wrong_login_is_refused_and_hopeless(login):
    async with served(login=login) as at:
        with pytest.raises(DeviceRefused, match="401") as caught:
            await asyncio.wait_for(at.running, 5)
    assert not caught.value.retriable
    assert "wrong" not in str(caught.value)
    assert at.camera.asked == 0


@pytest.mark.parametrize(
    ("habit", "value", "error"),
    [
        ("slow_s", 1.0, DeviceSilent),
        ("garbled", True, FrameInvalid),
        ("unplugged", True, FrameInvalid),
        ("huge", True, FrameInvalid),
    ],
)
async def test_promise_a_camera_that_misbehaves_ends_the_run_by_an_error(habit, value, error):
    async with served() as at:
        await at.told.until(seen)
        setattr(at.camera.habits, habit, value)
        with pytest.raises(error):
            await asyncio.wait_for(at.running, 5)
        with pytest.raises(LinkLost, match="not connected"):
            await at.client.command(RaiseArm())
    assert at.barrier.orders == []


async def test_an_order_that_the_camera_refuses_is_told_and_the_looks_go_on():
    async with served() as at:
        await at.told.until(seen)
        at.camera.habits.refusing = True
        with pytest.raises(DeviceRefused, match=r"isapi://.*4 notSupport"):
            await at.client.command(RaiseArm())
        assert not at.running.done()


async def test_promise_no_redirect_is_followed():
    asked = []

    async def elsewhere(request):
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere" + request.path)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        one = client(f"isapi://127.0.0.1:{runner.addresses[0][1]}")
        with pytest.raises(LinkLost, match="HTTP 307"):
            await one.run(Told())
    finally:
        await runner.cleanup()
    assert asked == ["/ISAPI/System/deviceInfo"]


@pytest.mark.parametrize(
    "link", ["isapi://", "isapi://u:p@host", "isapi://host/path", "isapi://host:99999", "isapi://h?a=1"]
)
def test_what_is_no_address_is_refused(link):
    with pytest.raises(ConfigInvalid):
        client(link)
