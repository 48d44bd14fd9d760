"""The reference site's files have what the table of the site says, and nothing that ought to be a secret."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from edge.config import load_config
from edge.sections import VehicleSection

SITES = Path(__file__).parents[2] / "configs" / "sites"
FILES = sorted(SITES.glob("*.toml"))
CONFIGS = {path.name: load_config(path) for path in FILES}

# checkpoint: turnstiles, barrier cameras, cameras over the road, people counters, other cameras
TABLE = {
    "hengqin-bridge": (28, 18, 4, 23, 17 + 4 + 5 + 2),
    "hengqin-tunnel": (13, 9, 4, 8, 15 + 2 + 2),
    "shenjing": (7, 11, 1, 5, 7 + 1 + 2),
    "hengqin-pier": (4, 0, 0, 2, 4 + 1 + 1),
    "rail-hengqin": (7, 0, 0, 4, 1 + 1),
    "rail-changlong": (5, 0, 0, 4, 3 + 1 + 1),
    "cross-gate": (5, 4, 1, 4, 9 + 2 + 2),
    "hengqin-port": (0, 0, 0, 0, 4),
}
# how the 189 cameras of the stations are made up
CAMERAS = {"people counter": 50, "FIX": 2, "HALL": 16, "DOME": 14, "over the road": 10, "at a barrier": 42, "LOW": 55}
# first, third and only barriers; exits and entries, as the table says of the barrier cameras
LANES = {"hengqin-bridge": 14 + 2, "hengqin-tunnel": 4 + 3 + 1, "shenjing": 5 + 2 + 4, "cross-gate": 4}
_KEEPERS = ("password", "secret", "auth_key", "community", "api_key", "token_key", "seal_key")


def devices(site, kind):
    """Return (config, spec) of a kind's devices at a site, of all its daemons; of the whole fleet without a site."""
    return [
        (config, spec)
        for config in CONFIGS.values()
        for spec in config.devices.values()
        if spec.driver.kind == kind and site in {"", config.file.edge.site}
    ]


def at_barriers(site=""):
    return [spec for _, spec in devices(site, "plate camera") if spec.lane]


def over_the_road(site=""):
    return [spec for _, spec in devices(site, "plate camera") if not spec.lane]


@pytest.mark.parametrize("site", TABLE)
def test_each_checkpoint_has_what_the_table_says(site):
    found = (
        len(devices(site, "turnstile")),
        len(at_barriers(site)),
        len(over_the_road(site)),
        len(devices(site, "people counter")),
        len(devices(site, "camera")),
    )
    assert found == TABLE[site]
    lanes = [lane for config in CONFIGS.values() if config.file.edge.site == site for lane in config.file.lane]
    assert sum(isinstance(lane, VehicleSection) for lane in lanes) == LANES.get(site, 0)


def test_the_sums_are_those_of_the_table():
    assert [sum(column) for column in zip(*TABLE.values(), strict=True)] == [69, 42, 10, 50, 87]
    found = Counter(spec.id.split("-")[2] for _, spec in devices("", "camera"))
    found |= {"people counter": len(devices("", "people counter"))}
    found |= {"at a barrier": len(at_barriers()), "over the road": len(over_the_road())}
    assert found == CAMERAS
    assert sum(CAMERAS.values()) == 189


def test_barriers_stand_behind_relay_boards_and_at_cameras_own_contacts():
    found = Counter((spec.driver.name, spec.profile.name) for _, spec in devices("", "barrier"))
    assert found == {
        ("barrier", "reference/barrier"): sum(LANES.values()) - LANES["shenjing"],
        ("barrier", "waveshare/barrier-modbus-rtu-relay-d"): LANES["shenjing"] - 3,
        ("hik-barrier", "hikvision/isapi-barrier-gate"): 3,
    }


def test_switches_servers_and_firewalls():
    found = Counter((spec.id.split("-")[2], config.file.edge.name) for config, spec in devices("", "network"))
    assert found == {
        ("SW", "eyes"): 18,
        ("SRV", "eyes"): 5,
        ("SRV", "room"): 30,
        ("FW", "room"): 2,
        ("BSRV", "room"): 35,
    }


def test_the_barriers_of_the_tunnel_pair_into_channels_and_every_vehicle_lane_has_one():
    tunnel = CONFIGS["hengqin-tunnel-road.toml"].file
    assert [channel.settings.barriers for channel in tunnel.channel] == [(1, 3)] * 3 + [(1,)] * 2
    for config in CONFIGS.values():
        vehicles = [lane for lane in config.file.lane if isinstance(lane, VehicleSection)]
        assert {lane.channel for lane in vehicles} == {channel.id for channel in config.file.channel}


def test_the_daemons_of_the_fleet_get_in_no_one_elses_way():
    metrics = Counter(config.file.metrics.port for config in CONFIGS.values())
    sockets = Counter(config.file.control.socket for config in CONFIGS.values())
    buffers = Counter(config.file.buffer.path for config in CONFIGS.values())
    assert {*metrics.values(), *sockets.values(), *buffers.values()} == {1}
    assert all(config.file.metrics.host == "127.0.0.1" for config in CONFIGS.values())
    assert all(config.edge in str(config.file.control.socket) for config in CONFIGS.values())


def test_no_two_devices_of_the_fleet_have_one_address():
    links = Counter(
        spec.link
        for config in CONFIGS.values()
        for spec in config.devices.values()
        if not spec.link.startswith(("ntp:", "serial:", "modbus+rtu:"))  # one server of time; lines are a machine's own
    )
    assert [link for link, count in links.items() if count > 1] == []


@pytest.mark.parametrize("name", CONFIGS)
def test_who_pushes_is_known_and_secrets_stand_elsewhere(name):
    table = tomllib.loads((SITES / name).read_text(encoding="utf-8"))
    for config, spec in ((CONFIGS[name], spec) for spec in CONFIGS[name].devices.values()):
        if spec.link.startswith("http-server:"):
            assert spec.access is not None, config.edge
            assert spec.access.users or all(peer.endswith("/32") for peer in spec.access.peers)
    for keeper, value in _kept(table):
        assert value == "" or re.match(r"(env|file|credential):.", value), keeper


def _kept(table):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((name, one) for name, one in value.items() if key == "users")
            yield from _kept(value)
        elif isinstance(value, list):
            yield from (found for one in value if isinstance(one, dict) for found in _kept(one))
        elif any(word in key for word in _KEEPERS):
            yield key, value
