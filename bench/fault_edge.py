"""An edge without devices: real buffer, ledger and uplink, and numbered events. `bench/faults.py` starts and kills it.

Each event carries its number; a memo that is committed with the events tells the last number, so that a new life of
this process goes on after it. Once a commit has returned, its numbers are written to the side file: these were acked to
the caller. Exit status: 0 when all numbers are made and the buffer is empty, 3 when a number that was acked is not in
the buffer's memo.
"""

import argparse
import asyncio
import itertools
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from core.clearance.model import Direction
from core.messages.event import Event, Stream
from core.messages.events import DeviceHealthChanged, DeviceMeasured, Health, PassageCleared
from core.messages.wire import Presence
from edge.buffer import Buffer, open_buffer
from edge.clock import Clock
from edge.ledger import Ledger
from edge.sections import UplinkSection
from edge.supervisor import Supervisor
from edge.uplink import Uplink

EDGE = "bench.faults"
LINE = 10
"""Bytes of a line of the side file."""
_QUOTA = 256 * 1000 * 1000
_BACKLOG = 3000
"""At most so many entries wait for central, and at most a tenth of all: the faults shall meet events that flow."""
_CALLERS = 8
_MEMO = "bench.number"


class AckedAndLost(Exception):
    """A caller was told that its event is durable, and it is not."""


def event_of(number: int, seed: int) -> Event:
    """Return an event that carries its number; a number always gives the same."""
    rng = random.Random(f"{seed}.{number}")
    lane = f"lane-{rng.randrange(4)}"
    point = rng.random()
    if point < 0.5:
        token = f"{rng.getrandbits(128):032x}"
        return PassageCleared(
            lane=lane,
            attempt=str(number),
            direction=rng.choice(list(Direction)),
            subject_token=token,
            opened_ms=rng.random() * 20,
            duration_ms=rng.randrange(400, 4000),
        )
    device = f"bench-device-{rng.randrange(16)}"
    if point < 0.65:
        return DeviceHealthChanged(device=device, health=Health.OK, detail=str(number))
    return DeviceMeasured(device=device, readings={"number": number, "temperature_c": rng.random() * 40})


def batches(first: int, events: int, seed: int) -> Iterator[list[Event]]:
    """Yield what is handed in together: 1 to 12 events of any stream."""
    rng = random.Random(f"{seed}.{first}.batches")
    number = first
    while number <= events:
        size = min(rng.randrange(1, 13), events + 1 - number)
        yield [event_of(one, seed) for one in range(number, number + size)]
        number += size


def next_number(buffer: Buffer, side: Path) -> int:
    """Return where to go on; raise AckedAndLost where the buffer knows less than the callers were told."""
    known = int(buffer.memo(_MEMO) or b"0")
    told = max(map(int, side.read_bytes().split()), default=0) if side.exists() else 0
    if told > known:
        raise AckedAndLost(f"callers were told up to {told}, the buffer has {known}")
    return known + 1


async def produce(buffer: Buffer, ledger: Ledger, side: int, first: int, events: int, seed: int) -> None:
    """Hand in all numbers from the first on, several callers at a time, in order."""
    numbers = itertools.count(first)

    async def hand_in(some: list[Event], mine: list[int]) -> None:
        if not await ledger.commit(some, {_MEMO: str(mine[-1]).encode()}):
            raise AckedAndLost("the buffer does not take events")
        os.write(side, b"".join(b"%9d\n" % number for number in mine))

    async def turn(group: asyncio.TaskGroup, some: list[Event]) -> None:
        group.create_task(hand_in(some, [next(numbers) for _ in some]))

    work = batches(first, events, seed)
    while callers := list(itertools.islice(work, _CALLERS)):
        await at_most(buffer, min(_BACKLOG, events // 10))
        async with asyncio.TaskGroup() as group:
            for some in callers:
                await turn(group, some)


async def at_most(buffer: Buffer, entries: int) -> None:
    """Return when central has acked all but so many entries."""
    while sum(buffer.depth(stream).entries for stream in Stream) > entries:  # noqa: ASYNC110 (it tells of none that left)
        await asyncio.sleep(0.02)


def _pass_over(_payload: bytes) -> None:
    """Take no orders."""


async def run(path: Path, side: Path, port: int, events: int, seed: int) -> None:
    clock = Clock()

    async with open_buffer(path, _QUOTA, clock.stamp) as buffer, asyncio.TaskGroup() as group:
        ledger = Ledger(buffer, clock.stamp)
        uplink = Uplink(
            edge=EDGE,
            section=UplinkSection(url=f"mqtt://127.0.0.1:{port}"),
            buffer=buffer,
            clock=clock,
            presence=Presence(state="online", version="bench", boot_id=clock.boot_id, epoch=buffer.epoch),
            on_command=_pass_over,
            on_list=_pass_over,
        )
        # A site's uplink waits longer between its tries; here the link is cut every other second.
        supervisor = Supervisor(group, first_s=0.1, longest_s=1.0)
        supervisor.keep("uplink", uplink.run)
        descriptor = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            await produce(buffer, ledger, descriptor, next_number(buffer, side), events, seed)
            await at_most(buffer, 0)
        finally:
            os.close(descriptor)
            await supervisor.stop()
        rewinds = {stream.value: window.rewinds for stream, window in uplink.windows.items()}
        print(f"done: {uplink.state}, rewinds {rewinds}, repairs {buffer.counts.repairs}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="An edge for bench/faults.py.")
    parser.add_argument("--buffer", type=Path, required=True)
    parser.add_argument("--side", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    status = 0
    try:
        asyncio.run(run(options.buffer, options.side, options.port, options.events, options.seed))
    except* AckedAndLost as lost:
        print(f"LOST: {lost.exceptions[0]}", flush=True)
        status = 3
    return status


if __name__ == "__main__":
    sys.exit(main())
