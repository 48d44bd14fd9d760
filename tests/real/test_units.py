"""The units as systemd reads them."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.real
UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_but_the_program_that_is_not_installed_here(unit):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        [program, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )
    wrong = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert wrong == []
    assert "/opt/gatefleet/bin/gatefleet" in unit.read_text(encoding="utf-8")
