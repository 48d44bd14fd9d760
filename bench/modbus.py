"""What polling Modbus costs: our bus beside a bare pymodbus loop. `bench/modbus.py [--json FILE]`.

1, 50 and 500 TCP devices at one poll a second of ten registers, and one device as fast as it goes. Each client runs in
a process of its own and counts its own processor time, after connecting; the server is a third, and is not counted.
Both clients are measured in turn, `--pairs` times; the figures are medians. "core" is the part of one core in use. Much
of a poll goes to the kernel's TCP, which on loopback does the server's part too: the time outside the kernel is told
apart. The pymodbus loop only reads and sleeps; ours has its schedule, counters, health and callbacks on.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

REGISTERS = 10
FAST = 0
LOADS = ((1, 1000), (50, 1000), (500, 1000), (1, FAST))
FIGURES = ("polls_s", "core", "us_a_poll", "python_us_a_poll")
CLIENTS = ("ours", "pymodbus")
TIMEOUT_S = 3.0
STATED_CORE = 0.23
"""A bare pymodbus loop at 500 polls a second, as measured when the library was chosen."""


@dataclass(frozen=True)
class Cost:
    """One client under one load."""

    client: str
    devices: int
    every_ms: int
    polls_s: float
    core: float
    us_a_poll: float
    python_us_a_poll: float
    """Of it outside the kernel."""


@dataclass
class Count:
    """Polls done. `over`: inside pymodbus, `wait_for` of Python 3.11 loses a cancellation that meets an answer."""

    polls: int = 0
    over: bool = False


def main() -> int:
    arguments = parsed()
    if arguments.role == "serve":
        asyncio.run(serve())
        return 0
    if arguments.role in CLIENTS:
        run = ours if arguments.role == "ours" else bare_pymodbus
        cost = asyncio.run(run(arguments.port, arguments.devices, arguments.every_ms, arguments.seconds))
        print(json.dumps(asdict(cost)))
        return 0
    costs = measure(arguments.seconds, arguments.pairs)
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {arguments.pairs} pairs\n")
    print(table(costs))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=1) + "\n")
    return 0 if all(good(costs)) else 1


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost of polling Modbus TCP devices.")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds a measurement")
    parser.add_argument("--pairs", type=int, default=3, help="measurements of each client and load")
    parser.add_argument("--role", choices=["serve", *CLIENTS], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--every-ms", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(seconds: float, pairs: int) -> list[Cost]:
    """Return the medians, clients in turn."""
    me = [sys.executable, __file__]
    with subprocess.Popen([*me, "--role", "serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            return [cost for load in LOADS for cost in measure_load([*me, "--port", port], load, seconds, pairs)]
        finally:
            server.terminate()


def measure_load(me: Sequence[str], load: tuple[int, int], seconds: float, pairs: int) -> list[Cost]:
    devices, every_ms = load
    options = ["--devices", str(devices), "--every-ms", str(every_ms), "--seconds", str(seconds)]
    found: dict[str, list[Cost]] = {client: [] for client in CLIENTS}
    for _ in range(pairs):
        for client in CLIENTS:
            done = subprocess.run(
                [*me, "--role", client, *options], check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + 60
            )
            found[client].append(Cost(**json.loads(done.stdout)))
    return [median(costs) for costs in found.values()]


def median(costs: Sequence[Cost]) -> Cost:
    first = costs[0]
    figures = [statistics.median(getattr(cost, name) for cost in costs) for name in FIGURES]
    return Cost(first.client, first.devices, first.every_ms, *figures)


def good(costs: Sequence[Cost]) -> list[bool]:
    """Tell, load by load, whether ours is the cheaper; and whether 500 polls a second stay below what was stated."""
    rows = [next(cost for cost in costs if cost.client == "ours" and load(cost) == each) for each in LOADS]
    others = [next(cost for cost in costs if cost.client == "pymodbus" and load(cost) == each) for each in LOADS]
    cheaper = [a.us_a_poll < b.us_a_poll for a, b in zip(rows, others, strict=True)]
    return [*cheaper, rows[LOADS.index((500, 1000))].core < STATED_CORE]


def load(cost: Cost) -> tuple[int, int]:
    return cost.devices, cost.every_ms


def table(costs: Sequence[Cost]) -> str:
    lines = [
        f"{'devices':>7}  {'every':>9}  {'client':<9} {'polls/s':>8} {'core':>7} {'us a poll':>10} {'in Python':>10}"
    ]
    for cost in costs:
        every = f"{cost.every_ms} ms" if cost.every_ms else "at once"
        figures = f"{cost.polls_s:>8.0f} {cost.core:>7.1%} {cost.us_a_poll:>10.0f} {cost.python_us_a_poll:>10.0f}"
        lines.append(f"{cost.devices:>7}  {every:>9}  {cost.client:<9} {figures}")
    return "\n".join(lines)


async def serve() -> None:
    """Serve one unit to all connections; print the port."""
    from simulators.modbus import Bank, block, serve_tcp

    async with serve_tcp({1: Bank(holdings=block(0, range(REGISTERS)))}) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


async def watch(client: str, count: Count, devices: int, every_ms: int, seconds: float) -> Cost:
    """Measure this process, once it has settled."""
    await asyncio.sleep(1.5)
    before, begun_s, begun = count.polls, time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(seconds)
    polls, wall_s, ended = count.polls - before, time.perf_counter() - begun_s, resource.getrusage(resource.RUSAGE_SELF)
    user_s = ended.ru_utime - begun.ru_utime
    cpu_s = user_s + ended.ru_stime - begun.ru_stime
    return Cost(client, devices, every_ms, polls / wall_s, cpu_s / wall_s, cpu_s / polls * 1e6, user_s / polls * 1e6)


async def ours(port: int, devices: int, every_ms: int, seconds: float) -> Cost:
    from drivers.base import Poll, Space
    from edge.links.modbus_url import open_bus, parse_modbus_url

    count, address = Count(), parse_modbus_url(f"modbus+tcp://127.0.0.1:{port}").bus
    polls = [Poll("block", Space.HOLDING, 0, REGISTERS, every_ms)]
    if every_ms == FAST:
        polls = [Poll(f"block{number}", Space.HOLDING, 0, REGISTERS, 1) for number in range(30)]

    def on_block(_poll: Poll, _values: Sequence[int]) -> None:
        count.polls += 1

    async with asyncio.TaskGroup() as group:
        tasks = []
        for _ in range(devices):
            bus = open_bus(address)
            bus.attach(1, polls, on_block=on_block, on_health=lambda _: None, timeout_s=TIMEOUT_S)
            tasks.append(group.create_task(bus.run()))
        cost = await watch("ours", count, devices, every_ms, seconds)
        for task in tasks:
            task.cancel()
    return cost


async def bare_pymodbus(port: int, devices: int, every_ms: int, seconds: float) -> Cost:
    from pymodbus.client import AsyncModbusTcpClient

    count = Count()

    async def device(phase_s: float) -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=TIMEOUT_S, retries=1)
        assert await client.connect()
        await asyncio.sleep(phase_s)
        tick_s = time.perf_counter()
        while not count.over:
            await client.read_holding_registers(0, count=REGISTERS)
            count.polls += 1
            tick_s += every_ms / 1000
            if every_ms:
                await asyncio.sleep(tick_s - time.perf_counter())

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(device(number / devices)) for number in range(devices)]
        cost = await watch("pymodbus", count, devices, every_ms, seconds)
        count.over = True
        for task in tasks:
            task.cancel()
    return cost


if __name__ == "__main__":
    sys.exit(main())
