"""How a bus connects, and how its connection ends."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from core.errors import LinkLost
from drivers.base import Poll, Space
from edge.links.modbus import Bus, Timing
from edge.links.modbus_url import open_bus, parse_modbus_url
from simulators.modbus import Bank, Server, block, serve_pty, serve_tcp

POLL = Poll("h", Space.HOLDING, 0, 3, 50)
NOWHERE = parse_modbus_url("modbus+tcp://127.0.0.1:1").bus


@contextlib.asynccontextmanager
async def started(server: Server, blocks: list[object]) -> AsyncIterator["asyncio.Task[None]"]:
    """A bus that has read a block."""
    seen = asyncio.Event()

    def on_block(_poll: Poll, values: object) -> None:
        blocks.append(values)
        seen.set()

    bus = open_bus(parse_modbus_url(server.url).bus)
    bus.attach(1, [POLL], on_block=on_block, on_health=lambda _: None)
    task = asyncio.create_task(bus.run())
    try:
        await asyncio.wait_for(seen.wait(), 5)
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LinkLost):
            await task


def units() -> dict[int, Bank]:
    return {1: Bank(holdings=block(0, [1, 2, 3]))}


async def test_a_serial_line_that_goes_away_is_a_lost_link() -> None:
    async with contextlib.AsyncExitStack() as line:
        server = await line.enter_async_context(serve_pty(units()))
        async with started(server, []) as task:
            await line.aclose()
            with pytest.raises(LinkLost):
                await asyncio.wait_for(task, 3)
    with pytest.raises(LinkLost, match="cannot connect"):
        await open_bus(parse_modbus_url(server.url).bus).run()


async def test_one_line_has_one_master() -> None:
    async with serve_pty(units()) as server:
        async with started(server, []) as first:
            with pytest.raises(LinkLost, match="cannot connect"):
                await open_bus(parse_modbus_url(server.url).bus).run()
            assert not first.done()
        async with started(server, []) as second:
            assert not second.done()


async def test_who_refuses_is_a_lost_link() -> None:
    with pytest.raises(LinkLost, match=r"cannot connect: .*Connect call failed"):
        await open_bus(NOWHERE).run()


async def test_who_does_not_open_the_door_in_time_is_a_lost_link() -> None:
    async def never(_: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        await asyncio.Event().wait()
        raise AssertionError

    patient = open_bus(NOWHERE)
    bus = Bus(
        name="never",
        open_transport=never,
        framing=patient._framing,
        timing=Timing(connect_s=0.05),
        clock=time.monotonic,
    )
    with pytest.raises(LinkLost, match="no answer in time"):
        await bus.run()


@pytest.mark.parametrize("serve", [serve_tcp, serve_pty])
async def test_when_run_has_ended_the_connection_is_closed(
    serve: Callable[..., contextlib.AbstractAsyncContextManager[Server]],
) -> None:
    async with serve(units()) as server:
        async with started(server, []):
            assert len(server.lines) == 1
        async with started(server, blocks := []):
            assert blocks == [(1, 2, 3)]
            assert len(server.lines) == 1
