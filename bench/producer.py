"""An edge without devices: the real buffer, ledger and uplink, fed at full speed or with a backlog. One process.

It prints a line `{"ready": ...}`, begins when it reads a line, and prints its result as one line of JSON once central
has acked all. Times are of time.time(), so that they can be held against another process of this machine.

    events at full speed:  ready (connected) -> go -> appends by several tasks -> all acked -> result
    a backlog first:       backlog appended -> ready -> go: uplink on, a passage every 50 ms -> all acked -> result
"""

import argparse
import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import structlog

from core.clearance.model import Direction, Effect, Reason, ReasonCode
from core.messages.event import Event, Stream
from core.messages.events import DeviceMeasured, PassageCleared, PassageDecided
from core.messages.ids import ENTROPY_BYTES, ulid
from core.messages.wire import Presence
from edge.buffer import Buffer, open_buffer
from edge.clock import Clock
from edge.ledger import Ledger
from edge.sections import UplinkSection
from edge.supervisor import Supervisor
from edge.uplink import Uplink

QUOTA = 2_000_000_000
LANES = 28
FRESH_EVERY_S = 0.05
RELEASED = (Reason(code=ReasonCode.DEFAULT, rule_id="default", effect="release"),)


class Watched:
    """A buffer that tells when central's acks arrive: later than the commit, so no latency is made nicer by it."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._acked: dict[Stream, int] = dict.fromkeys(Stream, 0)
        self._moved = asyncio.Event()
        self.arrivals: list[tuple[Stream, int, float]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._buffer, name)

    async def acked(self, stream: Stream, upto: int) -> None:
        """Note an ack, and hand it on."""
        if upto > self._acked[stream]:
            self._acked[stream] = upto
            self.arrivals.append((stream, upto, time.time()))
            self._moved.set()
        await self._buffer.acked(stream, upto)

    async def until_acked(self, *streams: Stream) -> float:
        """Return when all that these streams hold is acked, with the time of the last ack."""
        while any(self._acked[stream] < self._buffer.newest(stream) for stream in streams):
            self._moved.clear()
            await self._moved.wait()
        return max((at for stream, _, at in self.arrivals if stream in streams), default=time.time())


def passages(prefix: int) -> Iterator[tuple[Event, Event]]:
    """Yield what a traveller leaves behind: a decision, and the passage."""
    some = random.Random(prefix)
    for number in itertools.count():
        lane = number % LANES
        attempt = ulid(int(time.time() * 1000), (prefix << 64 | number).to_bytes(ENTROPY_BYTES))
        token = some.randbytes(32).hex()
        yield (
            PassageDecided(
                lane=f"HQ-BEN-PAX-{lane:02d}",
                attempt=attempt,
                device=f"HQ-BEN-RD-{lane:02d}",
                direction=Direction.IN,
                subject_token=token,
                document_kind="P",
                effect=Effect.RELEASE,
                reasons=RELEASED,
                ruleset_version=1,
                list_versions={"hq-block": 12},
                latency_ms=0.412,
            ),
            PassageCleared(
                lane=f"HQ-BEN-PAX-{lane:02d}",
                attempt=attempt,
                direction=Direction.IN,
                subject_token=token,
                opened_ms=4.71,
                duration_ms=2310,
            ),
        )


def _values() -> Sequence[dict[str, float]]:
    some = random.Random(0)
    return [
        {
            "temperature_c": round(some.gauss(24, 2), 2),
            "humidity_pct": round(some.gauss(60, 5), 1),
            "supply_v": round(some.gauss(23.9, 0.1), 3),
        }
        for _ in range(9973)
    ]


VALUES = _values()
"""They come round again after a while: making them is not measured."""


def readings() -> Iterator[Event]:
    """Yield what instruments send."""
    for number in itertools.count():
        yield DeviceMeasured(device=f"HQ-BEN-IN-{number % 50:02d}", readings=VALUES[number % len(VALUES)])


def appends(events: int, vital: float, size: int, prefix: int = 0) -> Iterator[Sequence[Event]]:
    """Yield appends of `size` events, passages and readings mixed so that a share of `vital` are of passages."""
    people, things = passages(prefix), readings()
    made = passed = 0
    while made < events:
        append: list[Event] = []
        while len(append) < size and made < events:
            if passed < vital * (made + 1) and events - made > 1:
                append += next(people)
                made, passed = made + 2, passed + 2
            else:
                append.append(next(things))
                made += 1
        yield append


class Producer:
    """The parts of the edge, and what was measured."""

    def __init__(self, buffer: Buffer, url: str, edge: str) -> None:
        clock = Clock()
        self.buffer = Watched(buffer)
        self.ledger = Ledger(buffer, clock.stamp)
        self.uplink = Uplink(
            edge=edge,
            section=UplinkSection(url=url),
            buffer=cast("Buffer", self.buffer),
            clock=clock,
            presence=Presence(state="online", boot_id=clock.boot_id, epoch=buffer.epoch),
            on_command=_ignore,
            on_list=_ignore,
        )
        self.owed = 0

    async def append(self, source: Iterator[Sequence[Event]], tasks: int) -> None:
        """Append all, by several tasks at once."""

        async def work() -> None:
            for events in source:
                self.owed += not await self.ledger.commit(events)

        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(work())

    async def connected(self) -> None:
        """Return when the broker is there."""
        while not self.uplink.state.up:  # noqa: ASYNC110 (a state for a technician's eye: it has no event)
            await asyncio.sleep(0.01)

    def result(self, began: float, cpu: float, ended: float) -> dict[str, Any]:
        """Return what both ways of running tell."""
        buffer, state = self.buffer, self.uplink.state
        return {
            "epoch": buffer.epoch,
            "newest": {stream.value: buffer.newest(stream) for stream in Stream},
            "began": began,
            "ended": ended,
            "cpu_s": time.process_time() - cpu,
            "batches": state.batches,
            "sent_entries": state.entries,
            "sent_bytes": state.bytes,
            "rewinds": sum(window.rewinds for window in self.uplink.windows.values()),
            "owed": self.owed,
        }


def _ignore(payload: bytes) -> None:
    """Take a command or a list: there are none here."""


async def at_full_speed(producer: Producer, arguments: argparse.Namespace, go: Callable[[], Any]) -> dict[str, Any]:
    await producer.connected()
    await asyncio.to_thread(go)
    cpu, began = time.process_time(), time.time()
    await producer.append(appends(arguments.events, arguments.vital, arguments.append), arguments.tasks)
    appended = time.time()
    ended = await producer.buffer.until_acked(*Stream)
    return producer.result(began, cpu, ended) | {"appended": appended}


async def with_backlog(
    producer: Producer, arguments: argparse.Namespace, go: Callable[[], Any], start: Callable[[], None]
) -> dict[str, Any]:
    await producer.append(appends(arguments.backlog, 0.0, 500), 2)
    await asyncio.to_thread(go)
    cpu, began = time.process_time(), time.time()
    start()
    born: dict[int, float] = {}
    fresh = asyncio.create_task(_fresh(producer, born, began))
    ended = await producer.buffer.until_acked(Stream.TELEMETRY)
    fresh.cancel()
    await producer.buffer.until_acked(Stream.VITAL)
    return producer.result(began, cpu, ended) | {"fresh_ms": _latencies(producer.buffer, born)}


async def _fresh(producer: Producer, born: dict[int, float], began: float) -> None:
    """Append a passage each 50 ms; note when, by the seq of its last event."""
    await producer.connected()
    for number, pair in enumerate(passages(1)):
        await asyncio.sleep(began + number * FRESH_EVERY_S - time.time())
        at = time.time()
        await producer.ledger.commit(pair)
        born[producer.buffer.newest(Stream.VITAL)] = at


def _latencies(buffer: Watched, born: dict[int, float]) -> list[float]:
    """Return, for each fresh event, milliseconds from its append to central's ack."""
    acks = [(upto, at) for stream, upto, at in buffer.arrivals if stream is Stream.VITAL]
    found, place = [], 0
    for seq, at in sorted(born.items()):
        while acks[place][0] < seq:
            place += 1
        found.append((acks[place][1] - at) * 1000)
    return found


async def produce(arguments: argparse.Namespace) -> dict[str, Any]:
    clock = Clock()

    def go() -> None:
        print(json.dumps({"ready": True}), flush=True)
        sys.stdin.readline()

    async with (
        open_buffer(arguments.folder / "buffer.db", QUOTA, clock.stamp) as buffer,
        asyncio.TaskGroup() as group,
    ):
        producer, supervisor = Producer(buffer, arguments.mqtt, arguments.edge), Supervisor(group)
        supervisor.keep("ledger", producer.ledger.run)

        def start() -> None:
            supervisor.keep("uplink", producer.uplink.run)

        try:
            if arguments.backlog:
                return await with_backlog(producer, arguments, go, start)
            start()
            return await at_full_speed(producer, arguments, go)
        finally:
            await supervisor.stop()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An edge without devices.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--mqtt", required=True, help="mqtt://host:port")
    parser.add_argument("--edge", default="bench.one")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--vital", type=float, default=0.5, help="share of events that are of passages")
    parser.add_argument("--append", type=int, default=50, help="events of one append")
    parser.add_argument("--tasks", type=int, default=8, help="tasks that append at once")
    parser.add_argument("--backlog", type=int, default=0, help="readings to hold before the uplink comes up")
    return parser.parse_args()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    print(json.dumps(asyncio.run(produce(parsed()))))
