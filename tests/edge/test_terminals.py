"""Many terminals on one port: what is confirmed is committed, whatever they do."""

import asyncio
import contextlib

import pytest

from core.errors import BufferUnavailable
from drivers import registry
from drivers.jt808 import LocatorSettings
from edge.board import Board
from edge.profiles import load_profile
from edge.reporting import Reporter
from edge.sections import DeviceSpec
from edge.terminals import Bounds, Terminals
from simulators.jt808 import Misbehaviour, Terminal, fleet

from .conftest import until

SPEC = DeviceSpec(
    id="LOC-1",
    driver=registry.driver("jt808"),
    profile=load_profile("reference/jt808"),
    settings=LocatorSettings(terminals=("138*",), auth_key="0123456789abcdef"),
    link="tcp-server://127.0.0.1:0",
    lane=None,
)


@contextlib.asynccontextmanager
async def serving(shelf, clock, bounds=None):
    told, findings = [], []
    board = Board({SPEC.id: SPEC}, now=clock.wall, tell=told.append)
    reporter = Reporter(
        SPEC,
        shelf,
        stamp=clock.stamp,
        tell=told.append,
        noted=lambda *found: findings.append(found),
        now_ms=clock.monotonic_ms,
    )
    terminals = Terminals(
        SPEC,
        board,
        reporter.taken,
        lambda terminal, online: told.append(reporter.moved(terminal, online)),
        wall=clock.wall,
        bounds=bounds,
    )
    terminals.told = told
    task = asyncio.create_task(terminals.run())
    await until(lambda: terminals.port)
    try:
        yield terminals
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def positions(shelf):
    return [data for kind, data in shelf.rows if "PositionReported" in kind]


async def test_a_position_is_confirmed_only_after_its_commit(shelf, clock):
    async with serving(shelf, clock) as terminals:
        terminal = Terminal("13800000001", 2019, seed=1)
        assert await terminal.connect("127.0.0.1", terminals.port)
        await until(lambda: terminals.online)
        shelf.gate = asyncio.Event()
        confirmed = asyncio.create_task(terminal.position_confirmed())
        await until(lambda: shelf.appends)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(confirmed), 0.2)
        shelf.gate.set()
        assert await confirmed == 0
        (told,) = positions(shelf)
        assert (told["device"], told["terminal"].lstrip("0"), told["fixed"]) == ("LOC-1", "13800000001", True)
        assert told["taken_at"].endswith("+08:00")
        assert [one.online for one in terminals.told if type(one).__name__ == "TerminalSeen"] == [True]
        terminal.cut()
        await until(lambda: not terminals.online)
        assert [one.online for one in terminals.told if type(one).__name__ == "TerminalSeen"] == [True, False]


async def test_what_cannot_be_committed_is_not_confirmed_and_is_taken_when_it_comes_again(shelf, clock):
    async with serving(shelf, clock) as terminals:
        terminal = Terminal("13800000001", 2013, seed=1)
        assert await terminal.connect("127.0.0.1", terminals.port)
        shelf.failing = BufferUnavailable("full")
        terminal.send_position()
        await until(lambda: terminals.counts.unconfirmed == 1)
        shelf.failing = None
        terminal.cut()
        await terminal.wait_closed()
        assert await terminal.connect("127.0.0.1", terminals.port)
        assert await terminal.send_batch() == 0
        assert [one["late"] for one in positions(shelf)] == [True]


async def test_a_bug_in_what_follows_closes_the_one_connection(shelf, clock):
    async with serving(shelf, clock) as terminals:
        good, bad = (Terminal(f"1380000000{number}", 2019, seed=number) for number in (1, 2))
        for terminal in (good, bad):
            assert await terminal.connect("127.0.0.1", terminals.port)
        shelf.failing = RuntimeError("a bug")
        bad.send_position()
        await asyncio.wait_for(bad.wait_closed(), 5)
        shelf.failing = None
        assert await good.position_confirmed() == 0


async def test_strangers_get_nothing_and_no_time(shelf, clock):
    async with serving(shelf, clock, Bounds(stranger_s=0.05)) as terminals:
        early = Terminal("13800000001", 2019, seed=1, misbehaviour=Misbehaviour(early=True))
        other = Terminal("13900000001", 2019, seed=1)
        assert not await other.connect("127.0.0.1", terminals.port)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await early.connect("127.0.0.1", terminals.port)
        assert positions(shelf) == []
        reader, writer = await asyncio.open_connection("127.0.0.1", terminals.port)
        terminals._sweep(asyncio.get_running_loop().time() + 1)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert terminals.counts.refused >= 1


async def test_a_terminal_that_calls_again_is_served_on_its_newest_connection(shelf, clock):
    async with serving(shelf, clock) as terminals:
        first, second = (Terminal("13800000001", 2019, seed=number) for number in (1, 2))
        assert await first.connect("127.0.0.1", terminals.port)
        assert await second.connect("127.0.0.1", terminals.port)
        await asyncio.wait_for(first.wait_closed(), 5)
        assert await second.position_confirmed() == 0
        assert len(terminals.online) == 1


async def test_connections_over_the_bound_are_refused_and_the_others_go_on(shelf, clock):
    async with (
        serving(shelf, clock, Bounds(connections=3)) as terminals,
        fleet("127.0.0.1", terminals.port, 3, seed=1) as many,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", terminals.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert terminals.counts.refused == 1
        sent = await many.report(30, 0.5)
        await until(lambda: many.confirmed == sent)
        assert len(positions(shelf)) == sent > 0


async def test_garbage_is_counted_and_stops_nobody(shelf, clock):
    async with serving(shelf, clock) as terminals:
        reader, writer = await asyncio.open_connection("127.0.0.1", terminals.port)
        writer.write(b"\x7e" + b"x" * 5000 + b"\x7e" * 20)
        terminal = Terminal("13800000001", 2019, seed=1)
        assert await terminal.connect("127.0.0.1", terminals.port)
        assert await terminal.position_confirmed() == 0
        assert terminals.counts.rejected
        writer.close()
        assert not reader.at_eof()
