"""The benches of devices stay alive, and what "moved" means is what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.family_verdicts import Beside, Window, judged, moved, scales
from bench.lone import Notebook, Sample, noted

ROOT = Path(__file__).parents[2]
PARTS = {
    "locators": {"position to confirmation, commit included, p99"},
    "cameras": {"cameras whose clock and still were looked at in that time", "event to the camera's next pull, p99"},
    "plates": {"read to decision, the daemon's records, p99", "post to the barrier's coil, p99"},
}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_quick_run_tells_every_figure(part, tmp_path):
    out = tmp_path / "figures.json"
    argv = [sys.executable, "-m", "bench.devices", "--quick", "--only", part, "--json", str(out)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert {one["name"] for one in figures} >= PARTS[part]
    assert [one["name"] for one in figures if not one["value"] > 0] == []
    assert [one["name"] for one in figures if one["unit"] == "%" and one["value"] < 100] == []


def test_what_is_noted_is_read_again_but_for_a_last_line_that_a_kill_left_half(tmp_path):
    path = tmp_path / "book"
    book = Notebook(path)
    book.note("gates", 1.5, 20.25)
    book.note("gates", 2.5, 3.0)
    book.close()
    with path.open("a", encoding="utf-8") as file:
        file.write("gates 3.5")
    assert noted(path) == [Sample("gates", 1.5, 20.25), Sample("gates", 2.5, 3.0)]
    assert noted(tmp_path / "none") == []


def samples(name, windows, took_ms):
    """Return a hundred samples a window."""
    return [
        Sample(name, window.began_s + n * (window.ended_s - window.began_s) / 100, took_ms(window))
        for window in windows
        for n in range(100)
    ]


def test_moved_is_the_others_p99_while_one_is_sick_over_that_of_the_good_windows_beside():
    sick = frozenset({"bad"})
    windows = [Window(0, 1), Window(1, 2, "bad", "dies", sick), Window(2, 3, "", "", sick), Window(3, 4)]
    told = {
        "bad": samples("bad", windows, lambda one: 2_000 if "bad" in one.unwell else 1),
        "fast": samples("fast", windows, lambda one: 1.5 if one.sick else 1.0),
        "slow": samples("slow", windows, lambda one: 100.0),
    }
    assert scales(told, windows, 0.0) == {"bad": 1, "fast": 1.0, "slow": 100.0}
    found = judged(told, windows)
    assert {key: moved(pairs) for key, pairs in found.sick.items()} == {("bad", "dies"): 1.5}
    assert moved(found.all_sick(), 0.25) == 1.0
    assert (len(found.well), found.noise(1)) == (1, 0.0)


def test_a_run_that_was_too_short_is_no_crash():
    windows = [Window(0, 1), Window(1, 2, "bad", "dies", frozenset({"bad"})), Window(2, 3)]
    assert judged({"bad": samples("bad", windows, lambda _: 1)}, windows).all_sick() == []


def test_the_windows_of_all_rounds_count_together():
    quiet, loud = Beside([1.0] * 100, [1.0] * 200), Beside([3.0] * 2 + [1.0] * 98, [1.0] * 200)
    assert moved([loud]) == 3.0
    assert moved([loud, quiet, quiet]) == 1.0
