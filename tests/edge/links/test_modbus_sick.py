"""One sick device hurts nobody: sixteen units on one line, eight of them dead."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from core.errors import LinkLost
from drivers.base import Poll, Space, Write
from edge.links.modbus import Life
from edge.links.modbus_url import open_bus, parse_modbus_url, timing_of
from simulators.modbus import Bank, Server, block, serve_pty

LIVE, DEAD = range(1, 16, 2), range(2, 17, 2)
RATE_HZ, SECONDS, TIMEOUT_S = 5, 11.0, 0.1
POLLS = [
    Poll("state", Space.HOLDING, 0, 8, 1000 // RATE_HZ),
    Poll("contacts", Space.DISCRETE, 0, 8, 1000 // RATE_HZ),
]


def check_wire(server: Server) -> None:
    """Each request came as one whole frame, none before the answer or the time-out of the one before."""
    assert server.refused_frames == 0
    answers = iter(server.answered_s)
    for seen, after in pairwise(server.seen):
        assert len(seen.frames) == 1
        assert not seen.busy
        if seen.frames[0].unit in LIVE:
            assert seen.at_s < next(answers) < after.at_s
        else:
            assert after.at_s - seen.at_s >= 0.8 * TIMEOUT_S  # as the simulator hears it, which shares our loop


async def first_round(server: Server) -> None:
    """Wait until each unit was asked."""
    while len({adu.unit for seen in server.seen for adu in seen.frames}) < 16:
        await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_one_sick_device_hurts_nobody() -> None:
    banks = {
        unit: Bank(holdings=block(0, range(8)), discretes=block(0, [0] * 8), coils={0: 0}) for unit in range(1, 17)
    }
    blocks: Counter[tuple[int, str]] = Counter()
    async with serve_pty(banks, baud=115200, record=True) as server:
        for unit in DEAD:
            server.faults[unit].dead = True
        address = parse_modbus_url(server.url).bus
        bus = open_bus(address, timing=replace(timing_of(address), timeout_s=TIMEOUT_S))
        units = {
            number: bus.attach(
                number,
                POLLS,
                on_block=lambda poll, _, number=number: blocks.update([(number, poll.name)]),  # type: ignore[misc]
                on_health=lambda _: None,
            )
            for number in range(1, 17)
        }
        task = asyncio.create_task(bus.run())
        await asyncio.wait_for(bus.ready(), 5)
        await asyncio.wait_for(first_round(server), 5)  # the first question to each is free: one time-out for each dead
        blocks.clear()
        begun, waits = time.monotonic(), []
        while time.monotonic() - begun < SECONDS:
            asked = time.monotonic()
            await units[LIVE[len(waits) % 8]].write([Write(5, 0, (0xFF00,))], timeout_s=1)
            waits.append(time.monotonic() - asked)
            await asyncio.sleep(0.037)
        lasted = time.monotonic() - begun
        lives = {number: unit.health.life for number, unit in units.items()}
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LinkLost):
            await task
    slowest = min(blocks[unit, poll.name] for unit in LIVE for poll in POLLS) / (RATE_HZ * lasted)
    waits.sort()
    p99_s = waits[int(0.99 * len(waits))]
    assert lives == {unit: Life.ALIVE if unit in LIVE else Life.SILENT for unit in range(1, 17)}
    assert slowest >= 0.95, f"the slowest poll ran at {slowest:.1%} of its rate"
    assert p99_s < 0.3, f"99 % of {len(waits)} commands took up to {p99_s * 1000:.0f} ms"
    check_wire(server)
    logging.getLogger(__name__).info("slowest poll %.3f of its rate, commands p99 %.4f s", slowest, p99_s)
