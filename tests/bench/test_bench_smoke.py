"""The bench stays alive: each part runs, in its short form, and tells every figure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = {
    "durable": {"durable events/s, postgresql", "durable events/s, sqlite", "fresh passage during the drain p99"},
    "commands": {"command round trip, operator p50", "command round trip, operator p99"},
    "decisions": {"start-up with 28 turnstiles", "decision, credential to gate's answer p99", "RSS with 28 turnstiles"},
    "idle": {"idle CPU, 50 Modbus devices at 2 Hz", "RSS, 50 Modbus devices at 2 Hz"},
}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_quick_run_tells_every_figure(part: str, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    argv = [sys.executable, "-m", "bench.all", "--quick", "--only", part, "--json", str(out)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(out.read_text(encoding="utf-8"))["figures"]
    names = [one["name"] for one in figures]
    assert {wanted for wanted in PARTS[part] if not any(name.startswith(wanted) for name in names)} == set()
    assert [one["name"] for one in figures if not one["value"] > 0] == []
    assert [one["name"] for one in figures if one["unit"] == "%" and one["value"] < 100] == []
