"""How fast the two suites are here, beside the figures of the Hengqin crypto service: `bench/crypto.py [--json FILE]`.

One core: operations per second of processor time, so that other programs on the machine do not count. Two threads:
operations per second of wall time. Each row is the median of its rounds. The required figures are those of a service,
which has the whole machine: SM2 is judged on the two threads. The last column compares with what the same libcrypto
reaches at that moment in C without Python (`openssl speed`, where that program is installed): a machine that is busy or
slow misses both. Exit 1 if a figure is missed.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from core.crypto import CryptoUnavailable, Suite, suite

ROUNDS = 5
BLOCK = bytes(1 << 20)
MESSAGE = b"gate release 0042, lane 3, 2026-11-21T08:00:00Z"
SM2_PER_SECOND = 3_000
SYMMETRIC_MBIT_PER_SECOND = 150

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One measured figure."""

    name: str
    value: float
    unit: str
    required: float | None = None
    c_limit: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the figure is below what is required."""
        return self.required is not None and self.value < self.required


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of the two crypto suites.")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--round-s", type=float, default=1.0, help="seconds a round (5 rounds a row)")
    arguments = parser.parse_args()
    provider = suite("sm").describe()
    print(provider, suite("intl").describe(), f"{os.cpu_count()} processors", sep="\n", end="\n\n")
    rows = measure(arguments.round_s)
    print(table(rows))
    if arguments.json:
        content = {
            "providers": [asdict(provider), asdict(suite("intl").describe())],
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    missed = [row.name for row in rows if row.missed]
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nall required figures reached")
    return 1 if missed else 0


def measure(round_s: float) -> list[Row]:
    """All rows, the required ones first."""
    sm, intl = suite("sm"), suite("intl")
    sign, verify = signing(sm)
    (c_sign, c_verify), (c_sign_2, c_verify_2) = c_limits(1), c_limits(2)
    ed_sign, ed_verify = signing(intl)
    sm_seal, sm_open = sealing(sm, 16)
    aes_seal, _ = sealing(intl, 16)
    rows = [
        Row("SM2 sign, two threads", two_threads(sign, round_s), "/s", SM2_PER_SECOND, c_sign_2),
        Row("SM2 verify, two threads", two_threads(verify, round_s), "/s", SM2_PER_SECOND, c_verify_2),
        Row("SM3, 1 MiB", mbit(lambda: sm.hash(BLOCK), round_s), "Mbit/s", SYMMETRIC_MBIT_PER_SECOND),
        Row("SM4-GCM seal, 1 MiB", mbit(sm_seal, round_s), "Mbit/s", SYMMETRIC_MBIT_PER_SECOND),
        Row("SM4-GCM open, 1 MiB", mbit(sm_open, round_s), "Mbit/s", SYMMETRIC_MBIT_PER_SECOND),
        Row("SM2 sign, one core", one_core(sign, round_s), "/s", c_limit=c_sign),
        Row("SM2 verify, one core", one_core(verify, round_s), "/s", c_limit=c_verify),
        Row("HMAC-SM3, 64 bytes", one_core(lambda: sm.hmac(MESSAGE, MESSAGE), round_s), "/s"),
        Row("Ed25519 sign, one core", one_core(ed_sign, round_s), "/s"),
        Row("Ed25519 verify, one core", one_core(ed_verify, round_s), "/s"),
        Row("SHA-256, 1 MiB", mbit(lambda: intl.hash(BLOCK), round_s), "Mbit/s"),
        Row("AES-128-GCM seal, 1 MiB", mbit(aes_seal, round_s), "Mbit/s"),
    ]
    return rows + fallback_rows(round_s)


def fallback_rows(round_s: float) -> list[Row]:
    """gmssl, in short rounds: what a machine without a fit libcrypto would get."""
    try:
        slow_sign, slow_verify = signing(suite("sm", sm2_provider="gmssl"))
    except CryptoUnavailable as missing:
        print(f"gmssl left out: {missing}")
        return []
    return [
        Row("SM2 sign by gmssl, one core", one_core(slow_sign, round_s / 4), "/s"),
        Row("SM2 verify by gmssl, one core", one_core(slow_verify, round_s / 4), "/s"),
    ]


def signing(which: Suite) -> tuple[Work, Work]:
    private = which.generate()
    public, signature = which.public_of(private), which.sign(private, MESSAGE)

    def verify() -> None:
        if not which.verify(public, MESSAGE, signature):
            raise SystemExit(f"{which.describe()}: a good signature was refused")

    return lambda: which.sign(private, MESSAGE), verify


def sealing(which: Suite, key_bytes: int) -> tuple[Work, Work]:
    key = bytes(key_bytes)
    sealed = which.seal(key, BLOCK)
    return lambda: which.seal(key, BLOCK), lambda: which.open(key, sealed)


def one_core(work: Work, round_s: float) -> float:
    return statistics.median(rate(work, round_s, time.process_time) for _ in range(ROUNDS))


def two_threads(work: Work, round_s: float) -> float:
    with ThreadPoolExecutor(2) as pool:
        rounds = [sum(pool.map(lambda _: rate(work, round_s, time.perf_counter), range(2))) for _ in range(ROUNDS)]
    return statistics.median(rounds)


def mbit(work: Work, round_s: float) -> float:
    return one_core(work, round_s / 2) * len(BLOCK) * 8 / 1e6


def rate(work: Work, round_s: float, clock: Callable[[], float]) -> float:
    """Operations per second of that clock over one round."""
    count, start = 0, clock()
    while (spent := clock() - start) < round_s:
        work()
        count += 1
    return count / spent


def c_limits(processes: int) -> tuple[float | None, float | None]:
    """Sign and verify per second of `openssl speed sm2`: the same algorithm with no Python around it."""
    program = shutil.which("openssl")
    if program is None:
        return None, None
    command = [program, "speed", "-mr", "-seconds", "2", *(["-multi", str(processes)] if processes > 1 else []), "sm2"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    # The last line is "+F7:0:256:CurveSM2:<sign/s>:<verify/s>"; with -multi it is the sum.
    found = re.search(r"CurveSM2.*?[:\s]([\d.]+)[:\s]+([\d.]+)\s*$", told.stdout)
    return (float(found[1]), float(found[2])) if found else (None, None)


def table(rows: list[Row]) -> str:
    lines = [f"{'':32}{'measured':>12} {'':7}{'required':>10}{'of C':>8}"]
    for row in rows:
        required = "" if row.required is None else f"{row.required:,.0f}"
        share = "" if row.c_limit is None else f"{row.value / row.c_limit:.0%}"
        verdict = "  MISSED" if row.missed else ""
        lines.append(f"{row.name:32}{row.value:>12,.0f} {row.unit:7}{required:>10}{share:>8}{verdict}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
