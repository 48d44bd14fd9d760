"""config check: every mistake of every file, exit status 2, for people and for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
schema = 1
[edge]
site = "hq-bridge"
name = "gates"
[buffer]
path = "buffer.db"
[uplink]
url = "mqtts://central.example"
[crypto]
token_key = "env:TOKEN"
[control]
socket = "control.sock"
[[device]]
id = "gate-03"
driver = "turnstile"
profile = "reference/swing-gate"
link = "modbus+tcp://10.1.2.3?unit=1"
"""


@pytest.fixture
def files(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad: odd name.toml"
    good.write_text(GOOD, encoding="utf-8")
    bad.write_text(
        GOOD.replace('"turnstile"', '"turnstyle"').replace("reference/swing-gate", "no/such"), encoding="utf-8"
    )
    return good, bad


def test_a_good_file(run, files):
    shown = run("config", "check", str(files[0]), "--json")
    assert (shown.code, shown.json) == (0, [])
    assert "1 of 1" in run("config", "check", str(files[0])).out


def test_all_mistakes_of_all_files(run, files, tmp_path):
    broken, gone = tmp_path / "broken.toml", tmp_path / "gone.toml"
    broken.write_text("schema = \n", encoding="utf-8")
    shown = run("config", "check", *map(str, (*files, broken, gone)), "--json")
    assert shown.code == 2
    assert {one["file"] for one in shown.json} == {str(files[1]), str(broken), str(gone)}
    assert all(set(one) == {"file", "line", "key", "text"} for one in shown.json)
    (wrong_driver,) = [one for one in shown.json if one["key"] == "device.0.driver"]
    assert wrong_driver["line"] == 1 + GOOD[: GOOD.index('driver = "turnstile"')].count("\n")
    assert "turnstyle" in wrong_driver["text"]
    for_people = run("config", "check", *map(str, (*files, broken)))
    assert "1 of 3" in for_people.out
    assert f"{files[1]}:{wrong_driver['line']}: device.0.driver" in for_people.out


def test_every_missing_key_at_once(run, tmp_path):
    file = tmp_path / "empty.toml"
    file.write_text("schema = 1\n", encoding="utf-8")
    keys = [one["key"] for one in run("config", "check", str(file), "--json").json]
    assert keys == ["buffer", "control", "crypto", "edge", "uplink"]


def test_the_real_program(files):
    program = Path(sys.executable).with_name("gatefleet")
    done = subprocess.run([program, "config", "check", *files, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)
    assert done.stderr == ""
