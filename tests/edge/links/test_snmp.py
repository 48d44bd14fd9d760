import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, FrameInvalid, LinkLost, Unsupported
from drivers.facts import DeviceSignal, Measured
from drivers.profile import Profile
from drivers.snmp import DRIVER, ResetPoePort, SnmpSettings, oids
from drivers.snmp.facts import DeviceRestarted
from edge.links.snmp import SnmpDevice
from edge.links.snmp_engine import Community, SnmpEngine
from edge.links.snmp_walk import MAX_BINDS
from simulators.snmp import Agent, arcs, serve_snmp
from simulators.snmp_mibs import SwitchState, long_table, switch_mib
from simulators.snmp_usm import AgentUser, Usm

SECRETS = {
    "env:COMMUNITY": "public",
    "env:WRITE": "private",
    "env:AUTH": "authsecret1",
    "env:PRIV": "privsecret1",
    "env:WRONG": "wrongsecret",
    "env:SHORT": "short",
}
V2C = SnmpSettings(
    version="2c", community="env:COMMUNITY", write_community="env:WRITE", ports=("1.1",), timeout_ms=150, retries=0
)
V3 = SnmpSettings(user="mon", auth_secret="env:AUTH", priv_secret="env:PRIV", ports=("1.1",), timeout_ms=150, retries=0)
PORT = arcs(f"{oids.POE_ADMIN}.1.1")
ALL = {"interfaces": {}, "poe": {}, "sensors": {}, "entities": {}}


@pytest.fixture
async def engine():
    async with SnmpEngine() as found:
        yield found


@pytest.fixture
def agent():
    made = Agent(switch_mib(SwitchState(), ports=3, poe=2))
    made.usm.users["mon"] = AgentUser("mon", "authsecret1", "privsecret1")
    return made


@dataclass(slots=True)
class Asked(Agent):
    """Notes when it was asked."""

    asked: list = field(default_factory=list)

    def answer(self, data):
        self.asked.append(time.monotonic())
        return Agent.answer(self, data)


@dataclass(slots=True)
class _Loses(Agent):
    """Loses the first question about its clock, all of its tries; answers who it is."""

    lost: int = 0

    def answer(self, data):
        answer = Agent.answer(self, data)
        asks_who = len(data) < 70 and data[4:5] == b"\x03"
        if answer is None or asks_who or self.lost >= V2C.retries + 1:
            return answer
        self.lost += 1
        return None


@dataclass
class Told:
    facts: list = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, fact):
        self.facts.append(fact)
        self.news.set()

    async def until(self, true):
        async with asyncio.timeout(5):
            while not true(self.facts):
                self.news.clear()
                await self.news.wait()

    def readings(self):
        return {name: value for one in self.facts if isinstance(one, Measured) for name, value in one.readings.items()}


def words_of(settings, map_=None):
    profile = Profile(name="t/t", driver="snmp", vendor="Maker", model="M1", source="test", map=map_ or ALL)
    return DRIVER.make(profile, settings)


def device(engine, url, settings=V2C, map_=None, rejected=lambda _: None):
    return SnmpDevice(engine, url, words_of(settings, map_), SECRETS.__getitem__, rejected=rejected, jitter=lambda: 0.0)


@asynccontextmanager
async def running(one, told):
    task = asyncio.create_task(one.run(told))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def fails(one, error, match=None):
    async with asyncio.timeout(10):
        with pytest.raises(error, match=match):
            await one.run(Told())


def whole(facts):
    return any("poe_used_w[1]" in one.readings for one in facts if isinstance(one, Measured))


@pytest.mark.parametrize("settings", [V2C, V3], ids=["2c", "3"])
async def test_a_switch_is_read(engine, agent, settings):
    told = Told()
    async with serve_snmp(agent) as url, running(device(engine, url, settings), told):
        await told.until(whole)
    assert told.readings()["temperature_c[Inlet]"] == 41.5
    assert told.readings()["poe_used_w[1]"] == 14.0
    up = {one.source for one in told.facts if isinstance(one, DeviceSignal) and one.topic == "interface_up" and one.on}
    assert up == {"GE0/0/1", "GE0/0/2", "GE0/0/3"}


@pytest.mark.parametrize("auth", ["md5", "sha", "sha224", "sha384", "sha512"])
async def test_every_hash_of_version_3(engine, agent, auth):
    agent.usm.users["mon"] = AgentUser("mon", "authsecret1", "privsecret1", auth)
    told = Told()
    settings = V3.model_copy(update={"auth": auth})
    async with serve_snmp(agent) as url, running(device(engine, url, settings, {"poe": {}}), told):
        await told.until(whole)


async def test_devices_with_the_same_user_have_each_their_own_secrets(engine, agent):
    other = Agent(switch_mib(SwitchState()), usm=Usm(b"\x80\0\0\1other"))
    other.usm.users["mon"] = AgentUser("mon", "wrongsecret", "privsecret1")
    told, told_other = Told(), Told()
    theirs = V3.model_copy(update={"auth_secret": "env:WRONG"})
    async with (
        serve_snmp(agent) as url,
        serve_snmp(other) as url_other,
        running(device(engine, url, V3, {"poe": {}}), told),
        running(device(engine, url_other, theirs, {"poe": {}}), told_other),
    ):
        await told.until(whole)
        await told_other.until(whole)


async def test_two_devices_of_one_engine_id_are_refused_where_their_secrets_differ(engine, agent):
    told = Told()
    async with serve_snmp(agent) as url, running(device(engine, url, V3), told):
        await told.until(whole)
        await fails(device(engine, url, V3.model_copy(update={"auth_secret": "env:WRONG"})), DeviceRefused, "engine id")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"user": "nobody"}, "credentials|does not answer this user"),
        ({"auth_secret": "env:WRONG"}, "credentials|does not answer this user"),
        ({"priv_secret": "env:WRONG"}, "credentials|does not answer this user"),
        ({"priv": "none", "priv_secret": ""}, "credentials|does not answer this user"),
    ],
)
async def test_wrong_credentials_of_version_3_are_refused_and_not_silent(engine, agent, change, match):
    async with serve_snmp(agent) as url:
        await fails(device(engine, url, V3.model_copy(update=change)), DeviceRefused, match)


async def test_a_wrong_community_is_told_from_a_device_that_is_away(engine, agent):
    wrong = V2C.model_copy(update={"community": "env:WRONG"})
    async with serve_snmp(agent) as url:
        await fails(device(engine, url, wrong), DeviceRefused, "this community")
        agent.faults.silent = True
        await fails(device(engine, url), DeviceSilent)
        await fails(device(engine, url, V3), DeviceSilent)
    await fails(device(engine, url, V3), LinkLost)


@pytest.mark.parametrize("settings", [V2C, V3], ids=["2c", "3"])
async def test_a_device_that_comes_back_while_it_is_asked_is_not_called_one_that_refuses(engine, agent, settings):
    """A switch that started anew was left alone for half a minute, with a cure that was none."""
    lost = _Loses(agent.mib, usm=agent.usm)
    told = Told()
    async with serve_snmp(lost) as url, running(device(engine, url, settings), told):
        await told.until(whole)
    assert lost.lost > 0


async def test_a_secret_that_is_too_short_is_refused_before_it_is_used(engine, agent):
    async with serve_snmp(agent) as url:
        await fails(device(engine, url, V3.model_copy(update={"auth_secret": "env:SHORT"})), ConfigInvalid, "env:SHORT")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"wrong_request_id": True}, DeviceRefused),  # it is there, and no answer is one
        ({"garbled": True}, DeviceSilent),
        ({"refuses": True}, DeviceRefused),
        ({"loops": True}, FrameInvalid),
        ({"empty": True}, FrameInvalid),
    ],
)
async def test_an_agent_that_misbehaves_ends_the_run_by_an_error(engine, agent, fault, error):
    agent.faults = replace(agent.faults, **fault)
    async with serve_snmp(agent) as url:
        await fails(device(engine, url), error)
        agent.faults = replace(agent.faults, **dict.fromkeys(fault, False))
        told = Told()
        async with running(device(engine, url), told):
            await told.until(whole)


async def test_promise_a_table_is_read_no_further_than_its_cap(engine, agent):
    column = "1.3.6.1.4.1.99.1.1"
    long_table(agent.mib, column, 3000)
    table = {"name": "huge", "rows": 100, "column": [{"oid": column, "name": "row"}]}
    told = Told()
    async with serve_snmp(agent) as url, running(device(engine, url, map_={"table": [table]}), told):
        await told.until(lambda facts: DeviceSignal("table_truncated", True, "table_huge", baseline=True) in facts)
        assert Counter(name.partition("[")[0] for name in told.readings())["row"] == 100
        assert 100 / MAX_BINDS < agent.requests < 12


async def test_an_agent_with_small_messages_is_read_in_smaller_pieces(engine, agent):
    agent.faults.small = 400
    told = Told()
    async with serve_snmp(agent) as url, running(device(engine, url), told):
        await told.until(whole)
        assert told.readings()["temperature_c[Inlet]"] == 41.5


async def test_a_value_that_an_agent_stumbles_over_is_left_out_and_told(engine, agent):
    scalar = [{"oid": f"1.3.6.1.4.1.99.2.{n}.0", "name": f"value_{n}"} for n in range(5)]
    for row in scalar:
        agent.mib.number(row["oid"], 7)
    agent.faults.stumbles = frozenset({scalar[3]["oid"]})
    told, rejected = Told(), []
    async with (
        serve_snmp(agent) as url,
        running(device(engine, url, map_={"scalar": scalar}, rejected=rejected.append), told),
    ):
        await told.until(lambda facts: any("value_0" in one.readings for one in facts if isinstance(one, Measured)))
    assert {name for name in told.readings() if name.startswith("value")} == {
        "value_0",
        "value_1",
        "value_2",
        "value_4",
    }
    assert len(rejected) == 1
    assert scalar[3]["oid"] in rejected[0]


@pytest.mark.parametrize("settings", [V2C, V3], ids=["2c", "3"])
async def test_promise_a_restart_during_a_lost_link_is_told(engine, agent, settings):
    now = [1000.0]
    agent.clock, agent.started = (lambda: now[0]), 0.0
    told = Told()
    async with serve_snmp(agent) as url:
        one = device(engine, url, settings, {"poe": {}})
        async with running(one, told):
            await told.until(whole)
        agent.restart()
        async with running(one, told):
            await told.until(lambda facts: any(isinstance(fact, DeviceRestarted) for fact in facts))


async def test_a_device_that_was_exchanged_is_read(engine, agent):
    """Another engine id at the same address."""
    told = Told()
    async with serve_snmp(agent) as url:
        one = device(engine, url, V3, {"poe": {}})
        async with running(one, told):
            await told.until(whole)
        agent.usm.engine = b"\x80\0\0\1another"
        told.facts.clear()
        async with running(one, told):
            await told.until(lambda facts: any(isinstance(fact, Measured) for fact in facts))


async def test_promise_questions_to_many_devices_do_not_come_back_all_at_once(engine):
    asked = []
    agents = [Asked(switch_mib(SwitchState()), asked=asked) for _ in range(12)]
    async with AsyncExitStack() as exits:
        targets = []
        for one in agents:
            host, _, port = (await exits.enter_async_context(serve_snmp(one))).removeprefix("snmp://").partition(":")
            place = engine.target((host, int(port)), Community("public"), context="", timeout_s=1, retries=0)
            targets.append(exits.enter_context(place))
        await asyncio.gather(*(engine.get(one, (oids.SYS_UP_TIME,)) for one in targets))
    gaps = [after - before for before, after in pairwise(asked)]
    assert len(asked) == 12
    assert sum(gaps) >= 0.1
    assert sum(1 for one in gaps if one > 0.005) >= 8  # a stall of this process pushes a few together


async def test_a_lost_datagram_is_asked_again_once(engine, agent):
    told = Told()
    async with serve_snmp(agent) as url:
        agent.faults.drop = 1
        async with running(device(engine, url, V2C.model_copy(update={"retries": 1}), {"poe": {}}), told):
            await told.until(whole)


@pytest.mark.parametrize("settings", [V2C, V3], ids=["2c", "3"])
async def test_a_port_is_switched_off_and_on_and_verified(engine, agent, settings):
    told, seen = Told(), []
    async with serve_snmp(agent) as url:
        one = device(engine, url, settings)
        async with running(one, told):
            await told.until(whole)
            command = asyncio.create_task(one.command(ResetPoePort(port="1.1", off_ms=500)))
            async with asyncio.timeout(5):
                while not command.done():
                    seen.append(agent.mib.written[PORT])
                    await asyncio.sleep(0.02)
            await command
    assert 2 in seen
    assert agent.mib.written[PORT] == 1


async def test_a_port_that_may_not_be_switched_is_not_written_to(engine, agent):
    told = Told()
    async with serve_snmp(agent) as url:
        one = device(engine, url)
        with pytest.raises(LinkLost):
            await one.command(ResetPoePort(port="1.1"))
        async with running(one, told):
            await told.until(whole)
            before = agent.requests
            with pytest.raises(Unsupported):
                await one.command(ResetPoePort(port="1.2"))
            assert agent.requests == before


async def test_a_write_without_effect_or_right_is_refused(engine, agent):
    told = Told()
    read_only = V2C.model_copy(update={"write_community": ""})
    async with serve_snmp(agent) as url:
        one, other = device(engine, url), device(engine, url, read_only)
        async with running(one, told), running(other, Told()):
            await told.until(whole)
            agent.faults.stubborn = True
            with pytest.raises(DeviceRefused, match="still"):
                await one.command(ResetPoePort(port="1.1", off_ms=500))
            agent.faults.stubborn = False
            with pytest.raises(DeviceRefused, match="noAccess"):
                await other.command(ResetPoePort(port="1.1", off_ms=500))


async def test_promise_a_port_that_was_told_to_go_off_is_told_to_come_on_however_the_command_ends(engine, agent):
    told = Told()
    async with serve_snmp(agent) as url:
        one = device(engine, url)
        async with running(one, told):
            await told.until(whole)
            command = asyncio.create_task(one.command(ResetPoePort(port="1.1", off_ms=60_000)))
            async with asyncio.timeout(5):
                while agent.mib.written[PORT] != 2:
                    await asyncio.sleep(0.01)
            command.cancel()
            await asyncio.gather(command, return_exceptions=True)
    assert agent.mib.written[PORT] == 1


async def test_what_a_device_was_given_in_the_engine_is_taken_back(engine, agent):
    async with serve_snmp(agent) as url:
        for _ in range(3):
            told = Told()
            async with running(device(engine, url, V3, {"poe": {}}), told):
                await told.until(whole)
        assert engine._users == {}
