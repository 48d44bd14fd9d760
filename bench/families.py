"""One sick family hurts no other: who lies, hangs and dies in turn, under load. `python -m bench.families [--quick]`.

One real daemon owns all families, each family is a process of its own that notes samples (`family_kinds.py`). In turn
one lies (garbage for answers), hangs (requests half begun, then SIGSTOP: connections are taken, nothing is answered),
or is killed (SIGKILL). What that did to the others is reckoned by `family_verdicts.py`.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import signal
import socket
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import tomli_w

from bench.family_kinds import KINDS, POLL_MS, SNMP_MS
from bench.family_load import LOST_MS, Plan
from bench.family_verdicts import MOST, Beside, Judged, Samples, Window, good, judged, moved
from bench.figures import Figure, quantile, table
from bench.lone import Sample, lone_daemon, noted, write_site
from bench.stack import ROOT, Program, ProgramEnded, work_folder
from simulators.onvif_camera import Camera

WINDOW_S: Final = 5.0
ROUNDS: Final = 5
_WELL: Final = 5
"""So many good samples make a family well again."""
_PATIENCE_S: Final = 20.0
_PORTS: Final = (20_000, 32_000)
_STARTS_S: Final = 1.5
"""What is started takes so much of the machine for itself."""
_HALF_S: Final = 0.1
_DRAIN_S: Final = LOST_MS / 1000 + 0.3


class Fault(StrEnum):
    """What a family does."""

    LIES = "lies"
    HANGS = "hangs"
    DIES = "dies"


@dataclass(slots=True)
class Families:
    """The processes of all families, and the windows so far."""

    daemon: Program
    plans: Mapping[str, Plan]
    programs: Mapping[str, Program]
    windows: list[Window] = field(default_factory=list)
    recovered_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _cured_s: dict[str, float] = field(default_factory=dict)
    """Who was sick, and has not been seen well for long enough since."""

    async def well(self, seconds: float) -> Window:
        """Look on for a while, with all well."""
        return await self._window(seconds)

    async def sick(self, name: str, faults: Sequence[Fault], seconds: float, *, patient: bool = True) -> None:
        """Let a family do so, one after the other, until it is well again; impatient: all but that it was killed."""
        for fault in faults:
            await self._begin(name, fault)
            await self._window(seconds, name, fault)
            cured_s = self._cured_s[name] = time.monotonic()
            await self._end(name, fault)
            if fault is Fault.DIES and not patient:
                await asyncio.sleep(_STARTS_S)
                continue
            await self.until_well(name, cured_s)
            self.recovered_s.setdefault((name, fault), []).append(time.monotonic() - cured_s)

    async def until_well(self, name: str, since_s: float) -> None:
        """Return when a family is served again; raise ProgramEnded where it is not in time, or somebody has ended."""
        until_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until_s:
            self.daemon.check()
            self.programs[name].check()
            samples = [one for one in noted(self.plans[name].samples) if one.began_s > since_s]
            if sum(1 for one in samples[-2 * _WELL :] if one.took_ms < LOST_MS / 2) >= _WELL:
                return
            await asyncio.sleep(0.1)
        raise ProgramEnded(f"not served again within {_PATIENCE_S:g} s", place=name)

    async def _window(self, seconds: float, sick: str = "", fault: str = "") -> Window:
        began_s = time.monotonic()
        self._cured_s = {name: at_s for name, at_s in self._cured_s.items() if not self._is_well(name, at_s, began_s)}
        await asyncio.sleep(seconds)
        unwell = frozenset(self._cured_s) | {sick} - {""}
        self.windows.append(Window(began_s, time.monotonic(), sick, fault, unwell))
        return self.windows[-1]

    def _is_well(self, name: str, cured_s: float, now_s: float) -> bool:
        """Tell whether all that a family was owed of late came; what was lost two seconds ago is known by now."""
        since_s = max(cured_s, now_s - 2 * _DRAIN_S)
        samples = [one for one in noted(self.plans[name].samples) if one.began_s > since_s]
        good = all(one.took_ms < LOST_MS / 2 for one in samples)
        return now_s - cured_s > _DRAIN_S and len(samples) >= _WELL and good

    async def _begin(self, name: str, fault: Fault) -> None:
        program = self.programs[name]
        match fault:
            case Fault.LIES:
                _send(program, signal.SIGUSR1)
            case Fault.HANGS:
                _send(program, signal.SIGUSR2)
                await asyncio.sleep(_HALF_S)
                _send(program, signal.SIGSTOP)
            case Fault.DIES:
                await program.kill()

    async def _end(self, name: str, fault: Fault) -> None:
        program = self.programs[name]
        match fault:
            case Fault.LIES:
                _send(program, signal.SIGUSR1)
            case Fault.HANGS:
                _send(program, signal.SIGCONT)
            case Fault.DIES:
                await program.start()

    def samples(self) -> dict[str, list[Sample]]:
        """Return all samples by family."""
        return {name: noted(plan.samples) for name, plan in self.plans.items()}


def _send(program: Program, number: signal.Signals) -> None:
    assert program.process is not None
    program.process.send_signal(number)


@contextlib.asynccontextmanager
async def families(folder: Path, names: Sequence[str] = tuple(KINDS), **environ: str) -> AsyncIterator[Families]:
    """Run a daemon with these families; yield them once each is served."""
    plans = plans_in(folder, names)
    devices, lanes = [], []
    for plan in plans.values():
        some, roads = KINDS[plan.name].tables(plan)
        devices += some
        lanes += roads
    share = _share(folder)
    for name, value in (("camera", Camera().login.password), ("community", "public")):
        (folder / f"{name}.key").write_text(value, encoding="utf-8")
    config = write_site(folder, devices, lanes)
    programs = {name: _program(folder, plan, share) for name, plan in plans.items()}
    async with contextlib.AsyncExitStack() as exits:
        for program in programs.values():
            exits.push_async_callback(program.kill)
            await program.start()
        daemon = await exits.enter_async_context(lone_daemon(folder, config, GATEFLEET_SHARE=share, **environ))
        made = Families(daemon, plans, programs)
        for name in names:
            await made.until_well(name, 0.0)
        yield made


def plans_in(folder: Path, names: Sequence[str]) -> dict[str, Plan]:
    """Return where each family is, each at an address of its own."""
    free = _free_ports()
    edge_port = next(free)
    return {
        name: Plan(name, str(folder), [next(free) for _ in range(KINDS[name].ports)], f"127.0.3.{number}", edge_port)
        for number, name in enumerate(names, 1)
    }


def _free_ports() -> Iterator[int]:
    """Yield free ports below those from which connections go out: they must be free again after a kill."""
    while True:
        port = random.randrange(*_PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            yield port


def _program(folder: Path, plan: Plan, share: str) -> Program:
    argv = [sys.executable, "-m", "bench.family_kinds", str(plan.write())]
    return Program(plan.name, argv, folder, environ={"GATEFLEET_SHARE": share})


def _share(folder: Path) -> str:
    """Copy the profiles, with shorter intervals: what is polled once a minute tells nothing within seconds."""
    share = folder / "share"
    shutil.copytree(ROOT / "firmware_profiles", share / "firmware_profiles")
    gauge = share / "firmware_profiles" / "reference" / "water-gauge.toml"
    read = tomllib.loads(gauge.read_text(encoding="utf-8"))
    for row in (*read["map"]["point"], *read["map"].get("signal", ())):
        row["interval_ms"] = POLL_MS
    gauge.write_text(tomli_w.dumps(read), encoding="utf-8")
    switch = share / "firmware_profiles" / "generic" / "snmp-switch.toml"
    read = tomllib.loads(switch.read_text(encoding="utf-8"))
    for part in ("interfaces", "poe", "sensors"):
        read["map"][part]["interval_ms"] = SNMP_MS
    switch.write_text(tomli_w.dumps(read), encoding="utf-8")
    return str(share)


async def measure(
    *, quick: bool, rounds: int = ROUNDS, window_s: float = WINDOW_S, names: Sequence[str] = tuple(KINDS)
) -> list[Figure]:
    """Let each family be sick in each way, some rounds."""
    window_s, rounds = (1.0, 1) if quick else (window_s, rounds)
    with work_folder() as folder:
        async with families(folder, names) as all_:
            cpu, began_s = all_.daemon.cpu_s(), time.monotonic()
            for _ in range(rounds):
                for fault in Fault:  # one family again and again would be left in peace for longer and longer
                    for name in names:
                        await all_.well(window_s)
                        await all_.sick(name, (fault,), window_s)
            await all_.well(window_s)
            share = (all_.daemon.cpu_s() - cpu) / (time.monotonic() - began_s) * 100
            rss = all_.daemon.rss_bytes()
            await asyncio.sleep(_DRAIN_S)
        samples = all_.samples()
        return [
            Figure("all families on one daemon: CPU", share, "% of a core"),
            Figure("all families on one daemon: RSS", rss / 1e6, "MB"),
            *_latencies(samples, all_.windows),
            *_moves(judged(samples, all_.windows), all_.recovered_s, rounds),
        ]


def _latencies(samples: Samples, windows: Sequence[Window]) -> list[Figure]:
    figures = []
    for name, some in samples.items():
        took = [one for window in good(windows, name) for one in window.of(some)]
        note = f"{len(took)} samples, p50 {quantile(took, 0.5):.2f} ms"
        figures.append(Figure(f"{name}, all well, p99", quantile(took, 0.99), "ms", note=note))
    return figures


def _moves(found: Judged, recovered_s: Mapping[tuple[str, str], Sequence[float]], rounds: int) -> list[Figure]:
    windows = rounds * len(Fault)
    noise, pairs, most = found.noise(windows) * 100, found.all_sick(), (MOST - 1) * 100
    note = f"{_shares(pairs)}; {sum(len(pair.now) for pair in pairs)} samples while one was sick"
    figures = [Figure("all that lie, hang or die: the others' p99 moved", _moved(pairs), "%", at_most=most, note=note)]
    for name in dict.fromkeys(name for name, _ in found.sick):
        faults = {fault: some for (sick, fault), some in found.sick.items() if sick == name}
        both = [pair for some in faults.values() for pair in some]
        parts = [
            f"{fault} {_moved(some):+.0f} %, well again after {max(recovered_s[name, fault]):.1f} s"
            for fault, some in faults.items()
        ]
        figures.append(
            Figure(
                f"{name} lie, hang, die: the others' p99 moved",
                _moved(both),
                "%",
                at_most=most,
                limit=noise,
                limit_of=f"% that {windows} good windows move, 95th percentile",
                note=f"{_shares(both)}; {'; '.join(parts)}",
            )
        )
    return figures


def _moved(pairs: Sequence[Beside], share: float = 0.99) -> float:
    return (moved(pairs, share) - 1) * 100


def _shares(pairs: Sequence[Beside]) -> str:
    return f"p50 {_moved(pairs, 0.5):+.1f} %, p90 {_moved(pairs, 0.9):+.1f} %"


def main() -> int:
    parser = argparse.ArgumentParser(description="One sick family of devices beside well ones.")
    parser.add_argument("--quick", action="store_true", help="short windows, to see that it works")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=WINDOW_S, help="of one window")
    parser.add_argument("--only", choices=list(KINDS), action="append", help="these families; repeatable")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    names = arguments.only or tuple(KINDS)
    figures = asyncio.run(
        measure(quick=arguments.quick, rounds=arguments.rounds, window_s=arguments.seconds, names=names)
    )
    print(table(figures))
    if arguments.json:
        told = json.dumps([one.as_dict() for one in figures], indent=1, ensure_ascii=False)
        arguments.json.write_text(told + "\n", encoding="utf-8")
    return 0 if arguments.quick or all(one.good is not False for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
