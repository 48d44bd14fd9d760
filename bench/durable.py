"""Durable events a second, edge -> mosquitto -> central; the drain of a backlog. `python -m bench.durable [--quick]`.

The edge is `bench/producer.py` (real buffer, ledger, uplink), central and its database are the real ones: persistence,
fsync and validation are on. The clock runs from the first append until central's last ack has come back, which is
later than the last commit. Then the rows are counted: each event once, or the run fails.
"""

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench import limits
from bench.figures import OTHERS, Figure, median, quantile, table
from bench.stack import ROOT, Engine, Program, ProgramEnded, Stack, cpu_seconds, running_stack, work_folder

_LIMIT_ROWS = 50_000
_LONGEST_S = 300.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the producer: its result, and the processor seconds of each program meanwhile."""

    result: Mapping[str, Any]
    cpu_s: Mapping[str, float]

    @property
    def events(self) -> int:
        """Return how many events became durable."""
        return sum(self.result["newest"].values())

    @property
    def rate(self) -> float:
        """Return durable events a second."""
        return self.events / float(self.result["ended"] - self.result["began"])

    def cpu_per_10k(self, *programs: str) -> float:
        """Return processor seconds for 10,000 events."""
        return sum(self.cpu_s.get(name, 0.0) for name in programs) / self.events * 10_000


async def produced(stack: Stack, name: str, **options: float) -> Run:
    """Run a producer against a stack; raise ProgramEnded unless central has each event once."""
    edge, folder = f"bench.{name}", stack.folder / name
    folder.mkdir()
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    argv = ["-m", "bench.producer", "--folder", str(folder), "--mqtt", stack.broker.url, "--edge", edge, *words]
    programs = {"central": stack.central.program, "broker": stack.broker.program}
    if stack.postgresql is not None:
        programs["database"] = stack.postgresql.program
    with (stack.folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, stdin=-1, stdout=-1, stderr=log, cwd=ROOT, limit=1 << 26
        )
    try:
        async with asyncio.timeout(_LONGEST_S):
            run = await _measured(process, programs)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    await _check(stack, edge, run.result["newest"])
    return run


async def _measured(process: asyncio.subprocess.Process, programs: Mapping[str, Program]) -> Run:
    assert process.stdin is not None
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise ProgramEnded("it ended before it was ready: see its log", place="producer")
    before = {name: cpu_seconds(program.pid) for name, program in programs.items()}
    process.stdin.write(b"go\n")
    line = await process.stdout.readline()
    if not line:
        raise ProgramEnded("it ended without a result: see its log", place="producer")
    used = {name: cpu_seconds(program.pid) - before[name] for name, program in programs.items()}
    result = json.loads(line)
    return Run(result, used | {"edge": result["cpu_s"]})


async def _check(stack: Stack, edge: str, newest: Mapping[str, int]) -> None:
    """Count the rows: each event once, and each passage projected once."""
    stored = "SELECT stream, count(*), count(DISTINCT seq), max(seq) FROM event WHERE edge = '{}' GROUP BY stream"
    projected = "SELECT 'passage', count(*), count(DISTINCT attempt), count(*) FROM passage WHERE edge = '{}'"
    rows = {row for query in (stored, projected) for row in await _rows(stack, query.format(edge))}
    counts = {stream: count for stream, count in newest.items() if count} | {"passage": newest["vital"] // 2}
    wanted = {(name, count, count, count) for name, count in counts.items()}
    if wanted != rows:
        raise ProgramEnded(f"(rows, distinct, last) {sorted(rows)}, wanted {sorted(wanted)}", place=edge)


async def _rows(stack: Stack, query: str) -> list[tuple[Any, ...]]:
    url = stack.central.database_url
    if stack.postgresql is not None:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as local:
        return list(local.execute(query))


def engine_of(stack: Stack) -> Engine:
    """Return which database a stack has."""
    return "sqlite" if stack.postgresql is None else "postgresql"


async def limit_of(stack: Stack) -> float:
    """Return rows a second that the database takes in bulk."""
    if stack.postgresql is not None:
        return await limits.copied(stack.central.database_url, _LIMIT_ROWS)
    return await asyncio.to_thread(limits.inserted, stack.folder, _LIMIT_ROWS)


async def throughput(stack: Stack, events: int, pairs: int) -> list[Figure]:
    """Measure durable events a second and their cost, limit and run in turn."""
    found: list[tuple[Run, float]] = []
    for number in range(pairs):
        limit = await limit_of(stack)
        found.append((await produced(stack, f"full{number}", events=events), limit))
    runs = [run for run, _ in found]
    rate = median([run.rate for run in runs])
    cost = median([run.cpu_per_10k("edge", "central") for run in runs])
    parts = ", ".join(
        f"{name} {median([run.cpu_per_10k(name) for run in runs]):.2f}"
        for name in ("edge", "central", "broker", "database")
    )
    again = max(run.result["sent_entries"] / run.events - 1 for run in runs)
    engine = engine_of(stack)
    bulk = "COPY rows/s" if engine == "postgresql" else "INSERT rows/s"
    return [
        Figure(
            f"durable events/s, {engine}",
            rate,
            "/s",
            at_least=20_000,
            limit=median([limit for _, limit in found]),
            limit_of=bulk,
            ratio=median([run.rate / limit for run, limit in found]),
            others=OTHERS["events"],
            note=f"{events} events, {pairs} runs, all rows counted; sent again at the most {again:.0%}",
        ),
        Figure(
            f"CPU-s per 10k events, {engine}, edge + central",
            cost,
            "s",
            at_most=1.0,
            others=OTHERS["cpu"],
            note=parts,
        ),
    ]


async def drain(stack: Stack, backlog: int) -> list[Figure]:
    """Measure the drain of a backlog of readings, and how fresh passages overtake it."""
    limit = await limit_of(stack)
    run = await produced(stack, "drain", backlog=backlog)
    fresh: Sequence[float] = run.result["fresh_ms"]
    rate = backlog / (run.result["ended"] - run.result["began"])
    return [
        Figure(f"drain of {backlog} readings", rate, "/s", limit=limit, limit_of="rows/s", ratio=rate / limit),
        Figure("fresh passage during the drain p50", quantile(fresh, 0.5), "ms"),
        Figure(
            "fresh passage during the drain p99",
            quantile(fresh, 0.99),
            "ms",
            at_most=1000,
            note=f"{len(fresh)} passages, one each 50 ms, to central's ack; {engine_of(stack)}",
        ),
    ]


async def machine(stack: Stack, seconds: float) -> list[Figure]:
    """Measure disk and broker by themselves."""
    return [
        Figure("raw fdatasync of 4 KiB", await asyncio.to_thread(limits.fdatasyncs, stack.folder, seconds), "/s"),
        Figure("mosquitto QoS 1, 200 bytes", await limits.forwards(stack.broker.port, 200, seconds), "messages/s"),
        Figure("mosquitto QoS 1, 20 kB", await limits.forwards(stack.broker.port, 20_000, seconds), "messages/s"),
    ]


async def measure(folder: Path, *, quick: bool, engines: Sequence[Engine] = ("postgresql", "sqlite")) -> list[Figure]:
    """Measure all of this, both databases in turn, the drain with the first."""
    figures: list[Figure] = []
    events, backlog, pairs = (6_000, 10_000, 1) if quick else (200_000, 200_000, 3)
    for engine in engines:
        home = folder / engine
        home.mkdir(mode=0o711)
        async with running_stack(engine, home) as stack:
            if not figures:
                figures += await machine(stack, 0.3 if quick else 2.0)
            figures += await throughput(stack, events, pairs)
            if engine == engines[0]:
                figures += await drain(stack, backlog)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="Durable events a second, and the drain of a backlog.")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    with work_folder() as folder:
        figures = asyncio.run(measure(folder, quick=parser.parse_args().quick))
    print(table(figures))
    return 0 if all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
