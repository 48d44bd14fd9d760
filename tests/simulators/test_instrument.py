"""Simulated instruments, read by clients that are not ours: pymodbus and mbpoll (libmodbus)."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from drivers.facts import DeviceSignal, Measured
from drivers.instrument import DRIVER as INSTRUMENT
from drivers.modbus_points import PointDoubtful
from drivers.power import DRIVER as POWER
from drivers.profile import read_profile
from edge.links.modbus_url import open_bus, parse_modbus_url
from simulators.instrument import Instrument
from simulators.modbus import serve_pty, serve_tcp

PROFILES = Path(__file__).parents[2] / "firmware_profiles"
DRIVERS = {"instrument": INSTRUMENT, "power": POWER}
SHIPPED = ["reference/water-gauge", "reference/ballast-meter", "reference/seawater-density", "generic/xy-md02",
           "apc/smart-ups", "controlbox/rm408"]  # fmt: skip


def profile_of(name):
    return read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)


def a(name, seed=7, now_s=0.0):
    return Instrument(profile_of(name), seed=seed, clock=lambda: now_s)


def observed(simulated, name):
    """What our driver makes of the simulated cells."""
    device = DRIVERS[profile_of(name).driver].make(profile_of(name), DRIVERS[profile_of(name).driver].settings())
    facts = []
    for poll in device.polls:
        simulated.bank.before_read(poll.space, poll.address, poll.count)
        cells = {"coil": simulated.bank.coils, "discrete": simulated.bank.discretes,
                 "holding": simulated.bank.holdings, "input": simulated.bank.inputs}[poll.space.value]  # fmt: skip
        facts.extend(device.observe(poll, [cells[place] for place in range(poll.address, poll.address + poll.count)]))
    return facts


def readings(facts):
    return {key: value for fact in facts if isinstance(fact, Measured) for key, value in fact.readings.items()}


def doubts(facts):
    return {fact.point: fact.why for fact in facts if isinstance(fact, PointDoubtful)}


@pytest.mark.parametrize("name", SHIPPED)
def test_each_profile_is_read_back_and_nothing_is_doubted(name):
    simulated = a(name)
    found = observed(simulated, name)
    assert doubts(found) == {}
    assert readings(found) == {key: pytest.approx(simulated.value(key), rel=0.01, abs=0.5) for key in readings(found)}
    assert readings(found)


def test_the_curve_depends_on_seed_and_clock_alone():
    def values(**kw):
        return [a("reference/water-gauge", **kw).value(name) for name in ("draught_m", "water_c")]

    assert values() == values()
    assert values(seed=8) != values()
    assert values(now_s=100.0) != values()


def test_misbehaviour_is_seen_by_the_driver():
    gauge = a("reference/water-gauge")
    gauge.faults.sentinel.add("draught_m")
    gauge.faults.implausible.add("battery_v")
    assert doubts(observed(gauge, "reference/water-gauge")) == {"draught_m": "sentinel", "battery_v": "implausible"}


def test_words_in_the_wrong_order_are_implausible():
    monitor = a("reference/seawater-density")
    monitor.set("density_kgm3", 1024.73)
    assert readings(observed(monitor, "reference/seawater-density"))["density_kgm3"] == pytest.approx(1024.73)
    monitor.faults.swapped = True
    assert "density_kgm3" in doubts(observed(monitor, "reference/seawater-density"))


@pytest.mark.parametrize("link", ["tcp", "pty"])
async def test_pymodbus_reads_the_truth(link):
    gauge = a("reference/water-gauge")
    gauge.set("draught_m", 7.25)
    gauge.set("water_c", 18.5)
    gauge.switch("mark_not_found", on=True)
    gauge.texts["serial"] = "WG-0042"
    async with (serve_tcp if link == "tcp" else serve_pty)({5: gauge.bank}) as server:
        if link == "tcp":
            client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0)
        else:
            path = server.url.removeprefix("modbus+rtu://").split("?")[0]
            client = AsyncModbusSerialClient(path, baudrate=115200, timeout=2, retries=0)
        assert await client.connect()
        try:
            block = (await client.read_input_registers(0, count=7, device_id=5)).registers
            assert client.convert_from_registers(block[:2], client.DATATYPE.FLOAT32) == 7.25
            assert client.convert_from_registers(block[4:5], client.DATATYPE.INT16) == 1850
            assert block[6] == 0b10
            text = (await client.read_holding_registers(100, count=8, device_id=5)).registers
            assert client.convert_from_registers(text, client.DATATYPE.STRING).strip() == "WG-0042"
        finally:
            client.close()


async def test_a_silent_one_does_not_answer():
    thermometer = a("generic/xy-md02")
    async with serve_tcp({1: thermometer.bank}) as server:
        server.faults[1].dead = True
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=0.1, retries=0)
        assert await client.connect()
        try:
            with pytest.raises(ModbusIOException):
                await client.read_input_registers(1, count=2, device_id=1)
        finally:
            client.close()


async def test_a_thermometer_refuses_what_it_does_not_have():
    async with serve_tcp({1: a("generic/xy-md02").bank}) as server:
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=2, retries=0)
        assert await client.connect()
        try:
            assert (await client.read_input_registers(0, count=3, device_id=1)).exception_code == 2
        finally:
            client.close()


@pytest.mark.parametrize("serve", [serve_tcp, serve_pty])
async def test_the_edges_own_bus_reads_three_of_them_and_a_silent_one_hides_no_other(serve):
    names = {1: "generic/xy-md02", 2: "apc/smart-ups", 3: "controlbox/rm408"}
    simulated = {unit: a(name) for unit, name in names.items()}
    simulated[2].switch("on_battery", on=True)
    simulated[3].switch("water_leak", on=True)
    facts = {unit: [] for unit in names}
    fresh = asyncio.Event()

    def attach(bus, unit, device):
        def block(poll, values):
            facts[unit].extend(device.observe(poll, values))
            fresh.set()

        bus.attach(unit, device.polls, on_block=block, on_health=lambda _: None, timeout_s=0.1)

    def wanted():
        topics = {fact.topic for unit in (2, 3) for fact in facts[unit] if isinstance(fact, DeviceSignal) and fact.on}
        return topics == {"on_battery", "water_leak"} and {"battery_pct", "temperature_c"} <= {
            *readings(facts[2]), *readings(facts[3])
        }  # fmt: skip

    async with serve({unit: one.bank for unit, one in simulated.items()}) as server:
        server.faults[1].dead = True
        bus = open_bus(parse_modbus_url(f"{server.url}{'&' if '?' in server.url else '?'}unit=1").bus)
        for unit, name in names.items():
            profile = profile_of(name)
            driver = DRIVERS[profile.driver]
            attach(bus, unit, driver.make(profile, driver.settings()))
        running = asyncio.create_task(bus.run())
        async with asyncio.timeout(10):
            while not wanted():
                fresh.clear()
                await fresh.wait()
        assert facts[1] == []
        server.faults[1].dead = False
        async with asyncio.timeout(10):
            while not facts[1]:
                fresh.clear()
                await fresh.wait()
        assert readings(facts[1])["temperature_c"] == pytest.approx(simulated[1].value("temperature_c"), abs=0.06)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.real
async def test_mbpoll_reads_a_ups_that_loses_its_mains():
    program = shutil.which("mbpoll")
    if program is None:
        pytest.skip("mbpoll is not installed")
    ups = a("apc/smart-ups")
    ups.switch("on_battery", on=True)
    ups.set("battery_pct", 97.0)
    ups.set("battery_left_min", 60.0)

    async def poll(address, count, kind="4"):
        process = await asyncio.create_subprocess_exec(
            program, "-m", "tcp", "-p", str(server.port), "-a", "1", "-0", "-1", "-t", kind, "-r", str(address),
            "-c", str(count), "-B", "127.0.0.1", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 10)
        return [int(found) for found in re.findall(r"^\[\d+\]:\s+(-?\d+)", output.decode(), re.MULTILINE)]

    async with serve_tcp({1: ups.bank}) as server:
        assert await poll(0, 2) == [0, 0b100]
        assert await poll(130, 1) == [97 * 512]
        assert await poll(128, 1, "4:int") == [3600]
