"""Exactly once, under fire: `bench/faults.py [--events N] [--json FILE]`; exit status 0 only if it holds.

    edge (buffer, ledger, uplink) --proxy--> mosquitto <--proxy-- central --> PostgreSQL or SQLite

Real programs, each a process of its own. The proxies lose, double and swap a share of the batches and of central's acks
in both directions, and cut the link; edge, broker, central (and once the database, if PostgreSQL) are killed (SIGKILL)
while events flow: each fault strikes when so many events have been acked to their callers. In the end the database must
hold every event once, in order, without a hole; its projections too; and the edge's buffer must be empty.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.fault_check import Verdict, check, read_central, read_left
from bench.fault_edge import LINE
from bench.fault_parts import Hangs, Part, edge_program
from bench.stack import ProgramEnded, central, mosquitto, postgresql, running, work_folder
from simulators.faults import Badness, MqttProxy

STALLED_S = 90.0
"""Without an event acked or drained for so long, something hangs."""
PATIENCE_S = 2.0
_KILLED = ("edge", "broker", "central")


@dataclass(frozen=True)
class Fault:
    """What strikes when so many events have been acked to their callers."""

    at: int
    what: str


@dataclass
class Stage:
    """All that runs."""

    folder: Path
    parts: dict[str, Part]
    proxies: tuple[MqttProxy, MqttProxy]
    """Before the edge, before central."""
    database: str
    rng: random.Random
    struck: Counter[str]

    @property
    def acked(self) -> int:
        """Return how many events were acked to their callers."""
        side = self.folder / "edge" / "side"
        return side.stat().st_size // LINE if side.exists() else 0

    async def finished(self) -> bool:
        """Tell whether the edge has made and drained all; raise ProgramEnded where a program ended by itself."""
        done = {name: await part.finished() for name, part in self.parts.items()}
        return done["edge"]

    async def in_the_act(self) -> None:
        """Return while central is likely to work on a batch: soon after one has reached it, or after a while."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.proxies[1].next_batch(), PATIENCE_S)
        await asyncio.sleep(self.rng.random() * 0.03)

    async def strike(self, fault: Fault) -> None:
        """Let a fault happen; return when the program is started again, or the link is up."""
        self.struck[fault.what] += 1
        if fault.what in {"central", "database"}:
            await self.in_the_act()
        if fault.what == "database":  # central does not start without it; its service manager tries again
            self.parts["central"].excuses += 5
        if fault.what in self.parts:
            await self.parts[fault.what].kill(self.rng.random() * 0.3)
            return
        proxy = self.rng.choice(self.proxies)
        if self.rng.random() < 0.5:
            proxy.cut()
            return
        proxy.take_down()
        await asyncio.sleep(self.rng.random() * 0.8)
        proxy.bring_up()


def plan(rng: random.Random, events: int, cuts: int, kills: int, *, database: bool) -> list[Fault]:
    """Return the faults in the order in which they strike, spread over the events."""
    what = ["cut"] * cuts + [name for name in _KILLED for _ in range(kills)] + ["database"] * (database and kills > 0)
    rng.shuffle(what)
    step = events * 0.9 / max(1, len(what))
    return [Fault(int(events * 0.02 + step * (number + rng.random())), one) for number, one in enumerate(what)]


@asynccontextmanager
async def stage(options: argparse.Namespace, folder: Path) -> AsyncIterator[Stage]:
    """Start everything."""
    rng, bad = random.Random(options.seed), Badness(options.bad, options.bad, options.bad)
    async with AsyncExitStack() as stack:
        broker = mosquitto(folder)
        proxies = [MqttProxy("127.0.0.1", broker.port, badness=bad, acks=bad, seed=options.seed + n) for n in range(2)]
        for proxy in proxies:
            await stack.enter_async_context(proxy.serve())
        parts = {"broker": Part(broker.program)}
        database = ""
        if options.database == "postgresql":
            server = await postgresql(folder)
            await stack.enter_async_context(running(server.program))
            parts["database"] = Part(server.program)
            database = await server.create("faults")
        await stack.enter_async_context(running(broker.program))
        aggregator = await central(folder, f"mqtt://127.0.0.1:{proxies[1].port}", database)
        await stack.enter_async_context(running(aggregator.program))
        aggregator.program.ready = None  # from now on it may be killed while it starts
        parts["central"] = Part(aggregator.program)
        edge = edge_program(folder, proxies[0].port, options.events, options.seed)
        parts["edge"] = Part(edge, works_to_an_end=True)
        await stack.enter_async_context(running(edge))
        yield Stage(folder, parts, (proxies[0], proxies[1]), aggregator.database_url, rng, Counter())


async def storm(on: Stage, faults: list[Fault], say: Callable[[str], None]) -> None:
    """Let all faults strike; return when the edge has made all events and central has acked them."""
    began = moved = told = time.monotonic()
    seen = (0, 0)
    todo = list(faults)
    async with asyncio.TaskGroup() as group:
        while not await on.finished():
            while todo and on.acked >= todo[0].at:
                await asyncio.sleep(on.rng.random() * 0.02)
                group.create_task(on.strike(todo.pop(0)))
            await asyncio.sleep(0.01)
            now, mark = time.monotonic(), (on.acked, on.proxies[0].tally.acks)
            if mark != seen:
                seen, moved = mark, now
            if now - moved > STALLED_S:
                raise Hangs(f"nothing has moved for {STALLED_S:.0f} s, {on.acked} events acked to callers")
            if now - told >= 5.0:
                told = now
                say(f"{now - began:5.0f} s  {on.acked:>7,} events acked to callers, {len(todo)} faults to come")
    if todo:
        raise Hangs(f"{len(todo)} faults had no occasion to strike")


async def judge(on: Stage, events: int) -> Verdict:
    """End central well, then read what is there."""
    program = on.parts["central"].program
    await program.stop()
    if program.process is not None and program.process.returncode not in {0, -signal.SIGTERM}:  # not yet up: the latter
        program.check()
    acked = [int(line) for line in (on.folder / "edge" / "side").read_bytes().split()]
    found = await read_central(on.database, projected=True)
    return check(events, acked, found, read_left(on.folder / "edge" / "buffer.db"))


async def run(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> dict[str, object]:
    """Run the whole; return what is to be told."""
    began, task = time.monotonic(), asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # so that nothing is left running
    async with stage(options, folder) as on:
        database = "database" in on.parts
        faults = plan(on.rng, options.events, options.cuts, options.kills, database=database)
        say(f"{options.events:,} events, {len(faults)} faults, seed {options.seed}, central on {options.database}")
        await storm(on, faults, say)
        verdict = await judge(on, options.events)
        network = {name: asdict(one.tally) for name, one in zip(("edge", "central"), on.proxies, strict=True)}
        kills = {name: part.kills for name, part in on.parts.items()}
    told = {
        "holds": verdict.holds and all(kills[name] == options.kills for name in _KILLED),
        "database": options.database,
        "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "kills": kills,
        "restarts": {name: part.restarts for name, part in on.parts.items() if part.restarts},
        "cuts": on.struck["cut"],
        "network": network,
    }
    return told | {"verdict": asdict(verdict)}


def table(told: dict[str, object]) -> str:
    """Return the result for people."""
    flat: dict[str, object] = {}
    for name, value in told.items():
        flat |= {f"{name} {key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return "\n".join(f"{name:<24} {value}" for name, value in flat.items())


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Nothing acked is lost, and everything has its effect exactly once.")
    parser.add_argument("--events", type=int, default=100_000, help="numbered events")
    parser.add_argument("--cuts", type=int, default=50, help="times that a link is cut")
    parser.add_argument("--kills", type=int, default=10, help="times that edge, broker and central are killed, each")
    parser.add_argument("--bad", type=float, default=0.1, help="share that is lost, doubled, swapped, each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--json", type=Path, help="write the result to this file too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy logs, buffer and SQLite database there")
    return parser.parse_args()


def main() -> int:
    options = parsed()
    told: dict[str, object] = {"holds": False}
    with work_folder() as folder:
        try:
            told = asyncio.run(run(options, folder, lambda text: print(text, flush=True)))
        except* ProgramEnded as failed:
            told["why"] = str(failed.exceptions[0])
        if options.keep:
            shutil.copytree(folder, options.keep, ignore=shutil.ignore_patterns("postgresql", "*.key"))
    print(table(told))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if told["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
