"""What of the reference site a demo runs: every gate and road, and as much of the rest as it says."""

from pathlib import Path

from simulators.demo.fleet import edge_configs
from simulators.demo.picture import Seen
from simulators.demo.scene import cameras, is_run
from simulators.live_check import Looked

CONFIGS = edge_configs(Path(__file__).parents[3] / "configs" / "sites")


def test_every_gate_and_every_road_runs_and_one_daemon_of_each_other_family():
    run = [config for config in CONFIGS if is_run(config)]
    assert {config.edge for config in CONFIGS if config.file.edge.name in {"gates", "road"}} <= {c.edge for c in run}
    assert {config.file.edge.name for config in run} == {"gates", "road", "eyes", "locators", "cabins"}
    assert sum(spec.driver.kind == "turnstile" for config in run for spec in config.devices.values()) == 69


def test_the_board_says_how_many_of_the_189_cameras_run():
    run = [config for config in CONFIGS if is_run(config)]
    assert cameras(CONFIGS) == 189
    assert 52 < cameras(run) < 189


def test_a_picture_that_does_not_move_or_does_not_come_spoils_the_demo():
    assert Seen("cam", Looked(15, 14, 320, 240)).good
    assert not Seen("cam", Looked(15, 1, 320, 240)).good
    assert not Seen("cam", error="no pictures in time").good
    assert Seen("").good  # no video here: nobody looked, and that is said
    assert "not installed" in Seen("").as_dict()["why"]
