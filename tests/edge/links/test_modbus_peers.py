"""Our client against pymodbus' server: another author's reading of the same specification."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from core.errors import DeviceRefused
from drivers.base import Poll, Space, Write
from edge.links.modbus import Life
from edge.links.modbus_url import open_bus, parse_modbus_url


@contextlib.asynccontextmanager
async def pymodbus_server() -> AsyncIterator[str]:
    bits, words = DataType.BITS, DataType.REGISTERS
    device = SimDevice(
        1,
        simdata=(
            [SimData(0, values=[True, False] * 1008, datatype=bits)],
            [SimData(0, values=[True] * 3 + [False] * 13, datatype=bits)],
            [SimData(0, values=list(range(300, 500)), datatype=words)],
            [SimData(0, values=[7] * 10, datatype=words)],
        ),
    )
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        assert isinstance(server.transport, asyncio.Server)
        yield f"modbus+tcp://127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()


async def test_every_function_of_a_bus_is_understood_by_pymodbus() -> None:
    seen: dict[str, tuple[int, ...]] = {}
    all_seen = asyncio.Event()

    def on_block(poll: Poll, values: object) -> None:
        seen[poll.name] = tuple(values)  # type: ignore[arg-type]
        if len(seen) == 4:
            all_seen.set()

    async with pymodbus_server() as url, asyncio.timeout(10):
        bus = open_bus(parse_modbus_url(url).bus)
        polls = [Poll(space.value, space, 0, 4, 50) for space in Space]
        unit = bus.attach(1, polls, on_block=on_block, on_health=lambda _: None)
        task = asyncio.create_task(bus.run())
        await all_seen.wait()
        assert seen == {
            "coil": (1, 0, 1, 0),
            "discrete": (1, 1, 1, 0),
            "holding": (300, 301, 302, 303),
            "input": (7, 7, 7, 7),
        }
        writes = [Write(5, 1, (0xFF00,)), Write(6, 0, (1,)), Write(15, 4, (1, 1, 0)), Write(16, 1, (2, 3))]
        await unit.write(writes, timeout_s=2)
        assert await unit.read_now(Poll("", Space.COIL, 0, 8, 50)) == (1, 1, 1, 0, 1, 1, 0, 0)
        assert await unit.read_now(Poll("", Space.HOLDING, 0, 4, 50)) == (1, 2, 3, 303)
        assert len(await unit.read_now(Poll("", Space.HOLDING, 0, 125, 50))) == 125
        assert await unit.read_now(Poll("", Space.COIL, 16, 2000, 50)) == (1, 0) * 1000
        await unit.write([Write(16, 0, tuple(range(123)))], timeout_s=2)
        assert (await unit.read_now(Poll("", Space.HOLDING, 0, 124, 50)))[121:] == (121, 122, 423)
        with pytest.raises(DeviceRefused, match="illegal data address"):
            await unit.read_now(Poll("", Space.INPUT, 9000, 1, 50))
        assert unit.health.life is Life.ALIVE
        counters = bus.counters
        assert (counters.timeouts, counters.mismatches, counters.garbled, counters.exceptions) == (0, 0, 0, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
