"""Every figure of the project in one run and one table. `python -m bench.all [--quick] [--json FILE] [--only WORD]`.

Limits of this machine are measured in turn with what they limit, so that the ratios hold on a busy machine too.
The exit status is 1 where an aim is missed.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import commands, decisions, durable, idle, modbus
from bench.figures import OTHERS, Figure, table
from bench.stack import work_folder

_WIDEST: Final = (500, 1000)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the run; `measure` hears whether a short run is wanted."""

    name: str
    measure: Callable[[bool], Awaitable[Sequence[Figure]]]


async def _durable(quick: bool) -> Sequence[Figure]:
    with work_folder() as folder:
        return await durable.measure(folder, quick=quick)


async def _modbus(quick: bool) -> Sequence[Figure]:
    costs = await asyncio.to_thread(modbus.measure, 1.0 if quick else 5.0, 1 if quick else 3)
    figures = []
    for ours, bare in zip(costs[::2], costs[1::2], strict=True):
        fast = ours.every_ms == modbus.FAST
        widest = modbus.load(ours) == _WIDEST
        name = f"{ours.devices} Modbus TCP {'device' if ours.devices == 1 else 'devices'}"
        figures.append(
            Figure(
                f"{name}, {'at once' if fast else 'at 1 Hz'}",
                ours.polls_s if fast else ours.core * 100,
                "polls/s" if fast else "% of a core",
                at_most=25 if widest else None,
                limit=bare.polls_s if fast else bare.core * 100,
                limit_of="bare pymodbus",
                ratio=ours.polls_s / bare.polls_s if fast else ours.us_a_poll / bare.us_a_poll,
                others=OTHERS["modbus"] if widest else "",
                note=f"{ours.polls_s:.0f} polls/s, {ours.us_a_poll:.0f} us a poll; pymodbus {bare.us_a_poll:.0f} us",
            )
        )
    return figures


async def _commands(quick: bool) -> Sequence[Figure]:
    return await commands.measure("postgresql", 28 if quick else commands.ORDERS)


async def _decisions(quick: bool) -> Sequence[Figure]:
    return await decisions.measure(2 if quick else decisions.SECONDS)


async def _idle(quick: bool) -> Sequence[Figure]:
    return await idle.measure(2 if quick else idle.SECONDS)


PARTS: Final = (
    Part("durable", _durable),
    Part("commands", _commands),
    Part("decisions", _decisions),
    Part("modbus", _modbus),
    Part("idle", _idle),
)


async def measure(parts: Sequence[Part], *, quick: bool) -> list[Figure]:
    """Measure part by part; say how long each took."""
    figures: list[Figure] = []
    for part in parts:
        began = time.monotonic()
        figures += await part.measure(quick)
        print(f"{part.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Every figure of the project in one run.")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--only", choices=[part.name for part in PARTS], action="append", help="this part; repeatable")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    parts = [part for part in PARTS if not arguments.only or part.name in arguments.only]
    load = os.getloadavg()[0]
    figures = asyncio.run(measure(parts, quick=arguments.quick))
    python = f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load:.1f} before"
    print(f"{python}{', a quick run: the figures say little' if arguments.quick else ''}\n")
    print(table(figures))
    if arguments.json:
        told = {"machine": python, "quick": arguments.quick, "figures": [one.as_dict() for one in figures]}
        arguments.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if arguments.quick or all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
