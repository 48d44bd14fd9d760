"""Net-SNMP: our link reads its agent, its programs read our simulated one."""

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from core.errors import DeviceRefused
from drivers.facts import DeviceDescribed, DeviceSignal, Measured
from drivers.profile import read_profile
from drivers.snmp import DRIVER, ResetPoePort, SnmpSettings
from edge.links.snmp import SnmpDevice
from edge.links.snmp_engine import SnmpEngine
from simulators.snmp import Agent, serve_snmp
from simulators.snmp_mibs import SwitchState, switch_mib
from simulators.snmp_usm import AgentUser

pytestmark = pytest.mark.real
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
PROFILES = Path(__file__).parents[2] / "firmware_profiles"
SECRETS = {
    "env:COMMUNITY": "public",
    "env:WRITE": "private",
    "env:AUTH": "authsecret1",
    "env:PRIV": "privsecret1",
    "env:WRONG": "wrongsecret",
}
V2C = SnmpSettings(version="2c", community="env:COMMUNITY", timeout_ms=1000)


def user(auth="sha256", priv="aes128"):
    return SnmpSettings(user=f"{auth}-{priv}", auth=auth, priv=priv, auth_secret="env:AUTH", priv_secret="env:PRIV")


USERS = [user(), user("sha512", "aes256-blumenthal"), user("sha", "aes128"), user("md5", "des")]
NAMES = {"sha256": "SHA-256", "sha512": "SHA-512", "sha": "SHA", "md5": "MD5"}
CIPHERS = {"aes128": "AES", "aes256-blumenthal": "AES-256", "des": "DES"}


def program(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


POE_ADMIN = ".1.3.6.1.2.1.105.1.1.1.3"
PORT = """#!/bin/sh
# snmpd.conf(5), pass: -g OID reads, -n OID goes on, -s OID TYPE VALUE writes; one port, 1.1.
state="$(dirname "$0")/state"
case "$1 $2" in
  "-s {oid}.1.1") echo "$4" >>"$state";;
  "-g {oid}.1.1" | "-n {oid}") printf '%s\\ninteger\\n%s\\n' "{oid}.1.1" "$(tail -n 1 "$state")";;
esac
"""


@pytest.fixture
async def agent_url(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [
        f"agentAddress udp:127.0.0.1:{port}",
        "sysDescr Peer agent",
        "sysName peer",
        "sysServices 72",
        "view all included .1",
        "rocommunity public 127.0.0.1 -V all",
        "rwcommunity private 127.0.0.1 -V all",
        f"pass {POE_ADMIN} {tmp_path / 'port'}",
    ]
    (tmp_path / "port").write_text(PORT.format(oid=POE_ADMIN))
    (tmp_path / "port").chmod(0o755)
    (tmp_path / "state").write_text("1\n")
    for one in USERS:
        lines.append(f"createUser {one.user} {NAMES[one.auth]} authsecret1 {CIPHERS[one.priv]} privsecret1")
        lines.append(f"rouser {one.user} priv -V all")
    (tmp_path / "snmpd.conf").write_text("\n".join(lines) + "\n")
    env = {**os.environ, "SNMP_PERSISTENT_DIR": str(tmp_path / "kept"), "MIBS": "", "SNMPCONFPATH": str(tmp_path)}
    command = [program("snmpd"), "-f", "-Lo", "-C", "-c", str(tmp_path / "snmpd.conf")]
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        async with asyncio.timeout(10):
            while b"NET-SNMP version" not in (line := await process.stdout.readline()):
                assert line, "snmpd ended"
        yield f"snmp://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.communicate()


def device(engine, url, settings, profile="generic/net-snmp-server"):
    model = read_profile((PROFILES / f"{profile}.toml").read_text(encoding="utf-8"), profile)
    return SnmpDevice(engine, url, DRIVER.make(model, settings), SECRETS.__getitem__)


async def read(one, enough):
    facts, done = [], asyncio.Event()

    async def deliver(fact):
        facts.append(fact)
        if enough(facts):
            done.set()

    running = asyncio.create_task(one.run(deliver))
    waiting = asyncio.create_task(done.wait())
    async with asyncio.timeout(15):
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        await running
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return facts


@pytest.mark.parametrize("settings", [V2C, *USERS], ids=lambda one: one.user or "2c")
async def test_our_link_reads_net_snmps_agent(agent_url, settings):
    def storage(facts):
        return any("storage_used_pct[/]" in one.readings for one in facts if isinstance(one, Measured))

    async with SnmpEngine() as engine:
        facts = await read(device(engine, agent_url, settings), storage)
    assert DeviceDescribed("Net-SNMP", "Linux server", "Peer agent", "") in facts
    assert DeviceSignal("interface_up", True, "lo", baseline=True) not in facts  # loopback is skipped
    readings = {name: value for one in facts if isinstance(one, Measured) for name, value in one.readings.items()}
    assert 0 <= readings["uptime_s"] < 60
    assert 0 < readings["storage_used_pct[/]"] <= 100
    assert readings["memory_total_kib"] > 1000


async def test_net_snmps_agent_refuses_who_is_not_its_user(agent_url):
    wrong = USERS[0].model_copy(update={"auth_secret": "env:WRONG"})
    async with SnmpEngine() as engine:
        with pytest.raises(DeviceRefused):
            await read(device(engine, agent_url, wrong), lambda facts: False)
        with pytest.raises(DeviceRefused):
            await read(
                device(engine, agent_url, V2C.model_copy(update={"community": "env:WRONG", "timeout_ms": 200})),
                lambda facts: False,
            )


async def test_our_link_takes_a_ports_power_through_net_snmps_agent_and_gives_it_back(agent_url, tmp_path):
    settings = V2C.model_copy(update={"write_community": "env:WRITE", "ports": ("1.1", "1.2")})
    async with SnmpEngine() as engine:
        switch = device(engine, agent_url, settings, "generic/snmp-switch")

        async def deliver(_):
            pass

        running = asyncio.create_task(switch.run(deliver))
        try:
            async with asyncio.timeout(15):
                while switch._writing is None and not running.done():
                    await asyncio.sleep(0.05)
                await switch.command(ResetPoePort(port="1.1", off_ms=500))
                with pytest.raises(DeviceRefused):
                    await switch.command(ResetPoePort(port="1.2", off_ms=500))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert (tmp_path / "state").read_text().split() == ["1", "2", "1"]


async def run(name, *arguments, home):
    env = {**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(home), "SNMPCONFPATH": str(home)}
    process = await asyncio.create_subprocess_exec(
        program(name), *arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = (await process.communicate())[0].decode().splitlines()
    return "\n".join(line for line in lines if not line.startswith("Created directory"))


V3_ARGUMENTS = (
    "-v3",
    "-l",
    "authPriv",
    "-u",
    "mon",
    "-a",
    "SHA-256",
    "-A",
    "authsecret1",
    "-x",
    "AES",
    "-X",
    "privsecret1",
)


@pytest.mark.parametrize("walk", ["snmpwalk", "snmpbulkwalk"])
@pytest.mark.parametrize("who", [("-v2c", "-c", "public"), V3_ARGUMENTS], ids=["2c", "3"])
async def test_net_snmp_reads_our_simulated_switch(tmp_path, walk, who):
    agent = Agent(switch_mib(SwitchState(), ports=5))
    agent.usm.users["mon"] = AgentUser("mon", "authsecret1", "privsecret1")
    async with serve_snmp(agent) as url:
        address = url.removeprefix("snmp://")
        names = await run(walk, *who, address, "1.3.6.1.2.1.31.1.1.1.1", home=tmp_path)
        assert names.splitlines() == [f'iso.3.6.1.2.1.31.1.1.1.1.{n} = STRING: "GE0/0/{n}"' for n in range(1, 6)]
        everything = await run(walk, *who, address, "1.3.6", home=tmp_path)
        assert "No more variables left in this MIB View" in everything
        assert "Counter64" in everything
        assert "1.4.1.1 = INTEGER" not in everything


async def test_net_snmp_sets_a_port_of_our_simulated_switch(tmp_path):
    agent = Agent(switch_mib(SwitchState()))
    oid = "1.3.6.1.2.1.105.1.1.1.3.1.1"
    async with serve_snmp(agent) as url:
        address = url.removeprefix("snmp://")
        refused = await run("snmpset", "-v2c", "-c", "public", address, oid, "i", "2", home=tmp_path)
        assert "noAccess" in refused
        done = await run("snmpset", "-v2c", "-c", "private", address, oid, "i", "2", home=tmp_path)
        assert done.strip().endswith("INTEGER: 2")
