"""`gatefleet sim site`: the file it writes loads, and every link in it answers."""

import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge.config import load_config

PIER = Path(__file__).parents[2] / "configs" / "sites" / "hengqin-pier.toml"


@pytest.mark.slow
def test_a_site_by_itself(tmp_path):
    out = tmp_path / "pier.toml"
    command = [sys.executable, "-m", "edge.cli.main", "sim", "site", str(PIER), "--config-out", str(out)]
    with subprocess.Popen([*command, "--duration", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "8 devices" in process.stdout.readline()
            links = [device.link for device in load_config(out).file.device]
            assert len(set(links)) == 8
            assert all(Path(urlsplit(link).path).is_char_device() for link in links if urlsplit(link).path)
        finally:
            process.terminate()
        began = time.monotonic()
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_road_by_itself_has_vehicles_and_the_secrets_of_its_cameras(tmp_path):
    out, road = tmp_path / "road.toml", PIER.with_name("cross-gate-road.toml")
    command = [sys.executable, "-m", "edge.cli.main", "sim", "site", str(road), "--config-out", str(out)]
    with subprocess.Popen([*command, "--duration", "30"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "13 devices" in process.stdout.readline()
            told = process.stdout.readline().split()
            assert (told[:3], int(told[3]) > 0) == (["0", "people", "and"], True)
            config = load_config(out)
            cameras = [spec for spec in config.devices.values() if spec.driver.kind == "plate camera"]
            references = {one for spec in cameras for one in spec.access.users.values()}
            assert {Path(one.removeprefix("file:")).parent for one in references} == {tmp_path / "secrets"}
            assert all(Path(one.removeprefix("file:")).read_text(encoding="utf-8") for one in references)
        finally:
            process.terminate()
        assert process.wait(10) == 0
