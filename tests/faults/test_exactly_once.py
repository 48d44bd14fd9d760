"""The short form of `make bench-faults`: the same programs and the same reckoning, fewer events and faults."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_EVENTS, _CUTS, _KILLS = 4_000, 6, 2

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Both kinds of database at the same time: most of it is waiting."""
    if shutil.which("mosquitto", path=_PATH) is None:
        pytest.skip("mosquitto is not installed")
    folder, begun = tmp_path_factory.mktemp("faults"), {}
    for database in ("sqlite", "postgresql"):
        if database == "postgresql" and not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
            continue
        options = {"--events": _EVENTS, "--cuts": _CUTS, "--kills": _KILLS, "--database": database}
        options["--json"] = out = folder / database
        command = [sys.executable, "bench/faults.py", *(str(part) for option in options.items() for part in option)]
        begun[database] = (
            subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True),
            out,
        )
    yield begun
    for process, _ in begun.values():
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_acked_is_lost_and_everything_has_its_effect_exactly_once(database, runs):
    if database not in runs:
        pytest.skip(f"{database} is not installed")
    process, out = runs[database]
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    told = json.loads(out.read_text())
    verdict, network = told["verdict"], told["network"]
    assert told["holds"]
    assert verdict["stored"] == verdict["distinct"] == _EVENTS
    assert verdict["acked"] > 0.9 * _EVENTS
    assert verdict["passages"] > 0.4 * _EVENTS
    assert {told["kills"][name] for name in ("edge", "broker", "central")} == {_KILLS}
    assert told["cuts"] == _CUTS
    for fault in ("lost", "doubled", "swapped"):
        assert network["edge"][fault] + network["central"][fault] > 0, fault
