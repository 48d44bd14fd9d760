"""What lives at a site by itself reaches its edge: buses, receivers, counters, desks, docks, cameras and agents."""

import asyncio
from datetime import datetime

import pytest

from core.clearance.model import Direction
from core.messages.envelope import packed_event
from core.messages.event import Stream
from simulators.jt808 import Terminal
from simulators.site_buses import driving
from simulators.site_life import count, living

from .edges import edge_of, until

QUIET = ("airport-desks", "customs-instruments", "hengqin-pier-eyes", "hengqin-port-eyes", "operations-centre-room")


@pytest.mark.slow
@pytest.mark.parametrize("name", QUIET)
async def test_every_device_is_well_while_its_site_lives(name, nook):
    async with edge_of(name, nook) as edge, living(edge.site):
        await edge.start()
        await until(lambda: edge.parts.board.health_counts()["ok"] == len(edge.site.config.devices), 30)


@pytest.mark.slow
async def test_counters_tell_those_who_passed(nook):
    async with edge_of("hengqin-pier-eyes", nook) as edge, living(edge.site):
        await edge.start()
        counters = edge.site.callers.counters
        await until(lambda: all(one.pusher.answers and one.pusher.answers[-1][0] == 200 for one in counters.values()))
        for lane, direction, persons in ((0, Direction.IN, 2), (1, Direction.OUT, 1), (2, Direction.IN, 1)):
            count(edge.site, direction, persons, near=lane)
        first, second = counters.values()
        assert (first.entered, first.left, second.entered, second.left) == (3, 0, 0, 1)
        totals = {
            (f"counter/{name}", f'"entered":{one.entered},"left":{one.left},"at"') for name, one in counters.items()
        }
        await until(lambda: all(told.encode() in (edge.parts.buffer.memo(key) or b"") for key, told in totals))


def test_nobody_is_counted_where_there_is_no_counter():
    class Callers:
        counters = {}

    class Site:
        callers = Callers

    count(Site, Direction.IN, 1)


async def positions(edge):
    entries = await edge.parts.buffer.read(Stream.TELEMETRY, 0, entries=100_000, bytes_=1 << 30)
    events = [packed_event(entry.body) for entry in entries]
    return [
        (data["terminal"].lstrip("0"), datetime.fromisoformat(data["taken_at"]))
        for name, data in events
        if name.split(".")[1] == "PositionReported" and data["device"].startswith("HQ-FLT-")
    ]


@pytest.mark.slow
async def test_every_confirmed_position_is_durable_and_none_else_also_over_a_restart(nook):
    async with edge_of("hengqin-fleet-locators", nook) as edge, driving(edge.site) as buses:
        await edge.start()
        await until(lambda: buses.all_online and buses.confirmed > 40)
        await edge.stop()
        await until(lambda: not buses.online)
        await edge.start()
        before = buses.confirmed
        await until(lambda: buses.all_online and buses.confirmed > before + 40)
        await buses.park()
        stored = await positions(edge)
        ours = {one.number for some in edge.site.callers.terminals.values() for one in some}
        found = [key for key in stored if key[0] in ours]
        confirmed = {key for key, place in buses.sent.items() if place.confirmed}
        assert confirmed <= set(found) <= set(buses.sent)
        assert {place.terminal for place in buses.sent.values()} == ours
        assert {one.version for some in edge.site.callers.terminals.values() for one in some} == {2011, 2013, 2019}


async def test_a_position_that_nobody_answers_is_kept_and_is_confirmed_with_its_batch():
    """Losing the connection in the middle of a batch loses none of its positions."""
    terminal = Terminal("10000000001")
    terminal.route.drive(1)
    terminal.kept.extend([terminal.route.body()] * 3)
    sending = asyncio.create_task(terminal.send_batch())
    await asyncio.sleep(0)
    terminal.connection_lost(None)
    await asyncio.wait({sending})
    assert sending.cancelled()
    assert len(terminal.kept) == 3
