"""The whole house in one command: what `make demo DURATION=... JSON=...` promises."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_demo_cuts_kills_and_reconciles(tmp_path):
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "edge.cli.main", "demo", "--duration", "18", "--report", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["truth"] == found["central"] > 100
    assert (found["lost"], found["duplicated"], found["out_of_order"]) == (0, 0, 0)
    assert (found["invented"], found["wrongly_released"]) == (0, 0)
    assert set(found["decision_ms"]) == {"p50", "p99"}
    vehicles, positions = found["vehicles"], found["positions"]["confirmed"]
    assert vehicles["barriers"]["truth"] == vehicles["barriers"]["central"] > 20
    assert vehicles["channels"]["truth"] == vehicles["channels"]["central"] > 20
    assert vehicles["wrong"] == 0
    assert positions["truth"] == positions["central"] > 100
    cabins = found["cabins"]
    assert cabins["passengers"]["truth"] == cabins["passengers"]["central"] > 5
    assert (cabins["wrong"], [one["seal"] for one in cabins["boardings"].values()]) == (0, ["valid"])
    assert found["live"].get("moving") or "not installed" in found["live"]["why"]
    assert found["reconciled"]
    assert "the uplink is cut" in done.stdout
    assert "SIGKILL" in done.stdout
