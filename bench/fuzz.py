"""Broken input for every parser. `python bench/fuzz.py [--seconds N] [--seed N] [--only NAME]...`.

Each driver's decoder, codec and push parser, and each reader of bench/fuzz_others.py, gets captured messages
(tests/vectors, tests/drivers) with bits flipped, parts cut, doubled and spliced. Anything but an error of ours, an
input that takes longer than half a second, and memory that grows without end are failures; the input is printed so
that it can become a row of a table.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from bench.fuzz_others import OTHERS
from core.errors import GatefleetError
from drivers import registry
from drivers.base import Driver, Output, Pushed, Request
from edge.profiles import load_profile

ROOT: Final = Path(__file__).parents[1]
LONGEST_S: Final = 0.5
MOST_GROWTH_KB: Final = 300_000
_LONGEST: Final = 40_000
_AT: Final = datetime(2026, 11, 21, tzinfo=UTC)
_PIECES: Final = (
    b"",
    b"\x00",
    b"\xff" * 8,
    b"\x7e",
    b"\r\n",
    b"<",
    b">",
    b"&a;",
    b'"',
    b"{" * 50,
    b"[" * 50,
    b"9" * 40,
    b"-1",
    b"NaN",
)
_PLAIN: Final = (b"{}", b"[]", b"<a/>", b"", b"\x00" * 64, b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")

Try = Callable[[bytes], object]


@dataclass(slots=True)
class Tally:
    """What came of one target."""

    inputs: int = 0
    refused: int = 0
    longest_s: float = 0.0
    failures: list[str] = field(default_factory=list)


def seeds() -> list[bytes]:
    """Return the captured messages of all protocols: what is one driver's bread is another's poison."""
    found = list(_PLAIN)
    for path in sorted((ROOT / "tests" / "vectors").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            given = json.loads(line).get("input")
            text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
            try:
                found.append(bytes.fromhex(text))
            except ValueError:
                found.append(text.encode())
    found += [path.read_bytes() for path in sorted((ROOT / "tests" / "drivers").glob("*/*.xml"))]
    return found


def broken(some: random.Random, known: Sequence[bytes]) -> bytes:
    """Return a message with a few things wrong."""
    data = bytearray(some.choice(known))
    for _ in range(some.randint(1, 6)):
        at = some.randrange(len(data) + 1)
        match some.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << some.randrange(8)
            case 1:
                data[at:at] = some.choice(_PIECES)
            case 2:
                del data[at : at + some.randint(1, 40)]
            case 3:
                data[at:at] = data[: some.randint(0, 200)]
            case 4:
                data = data[:at]
            case _:
                other = some.choice(known)
                data[at:at] = other[some.randrange(len(other) + 1) :][:400]
    return bytes(data[:_LONGEST])


def targets(driver: Driver) -> Iterator[tuple[str, Try]]:
    """Yield what of a driver takes bytes, each made anew for every input."""
    if driver.decoder is not None:
        make_decoder = driver.decoder

        def decoded(data: bytes) -> object:
            decode = make_decoder(None)
            return [decode(data), decode(b"")]

        yield "decode", decoded
    profiles = sorted((ROOT / "firmware_profiles").glob("*/*.toml"))
    named = [load_profile(f"{path.parent.name}/{path.stem}") for path in profiles]
    mine = next((profile for profile in named if profile.driver == driver.name), None)
    if mine is None:
        return
    try:
        made = driver.make(mine, driver.settings())
    except (ValidationError, GatefleetError):
        return  # it needs settings that only an installation has
    if driver.links & {"http-server"}:
        yield "push", lambda data: _pushed(driver.make(mine, driver.settings()), data)
    elif hasattr(made, "receive"):
        yield "codec", lambda data: _received(driver.make(mine, driver.settings()), data)


def _pushed(parser: Any, data: bytes) -> Pushed:
    path = f"/{data[:24].hex()[:20]}" if len(data) % 3 else "/VIID/MotorVehicles"
    kind = ("application/json", "application/xml", "multipart/form-data; boundary=boundary")[len(data) % 3]
    pushed = parser.receive(Request("POST", path, _AT, {"content-type": kind}, {}, data))
    if not isinstance(pushed, Pushed):
        raise TypeError(f"{type(pushed).__name__} instead of Pushed")
    return pushed


def _received(codec: Any, data: bytes) -> list[Output]:
    return [output for at in range(0, len(data), 97) for output in codec.receive(data[at : at + 97])]


def fuzz(attempt: Try, known: Sequence[bytes], seconds: float, some: random.Random) -> Tally:
    """Try broken input for some seconds."""
    tally, until = Tally(), time.perf_counter() + seconds
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.perf_counter() < until and len(tally.failures) < 5:
        data = broken(some, known)
        began = time.process_time()
        tally.inputs += 1
        try:
            attempt(data)
        except GatefleetError:
            tally.refused += 1
        except Exception as error:  # noqa: BLE001 whatever it is, it is what is looked for
            tally.failures.append(f"{type(error).__name__}: {error} for {data.hex()[:4000]}")
        took_s = time.process_time() - began
        tally.longest_s = max(tally.longest_s, took_s)
        if took_s > LONGEST_S:
            tally.failures.append(f"{took_s:.2f} s for {data.hex()[:4000]}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > MOST_GROWTH_KB:
        tally.failures.append(f"memory grew by {grown} kB")
    return tally


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Broken input for every parser.")
    parser.add_argument("--seconds", type=float, default=600.0, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=[*registry.names(), *OTHERS], help="this; repeatable")
    arguments = parser.parse_args(argv)
    known, some = seeds(), random.Random(arguments.seed)
    wanted = arguments.only or [*registry.names(), *OTHERS]
    every = [(name, *one) for name in wanted if name in registry.names() for one in targets(registry.driver(name))]
    every += [(name, "read", OTHERS[name]) for name in wanted if name in OTHERS]
    failed = 0
    for name, what, attempt in every:
        tally = fuzz(attempt, known, arguments.seconds / len(every), some)
        failed += len(tally.failures)
        counts = f"{tally.inputs:8,} inputs {tally.refused:8,} refused"
        print(f"{name:16} {what:7} {counts}, longest {tally.longest_s * 1000:.0f} ms")
        for failure in tally.failures:
            print(f"    {failure}")
    print(f"{failed} failures, seed {arguments.seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
