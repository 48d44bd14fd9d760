"""A probe and its answers, over real multicast on loopback."""

import asyncio
import json
import time

import pytest

from core.errors import LinkLost
from edge.cli.main import main
from edge.links import ws_discovery
from edge.links.ws_discovery import discover
from simulators.ws_discovery import Advertised, Manners, Neighbourhood, serve_discovery

DOME = Advertised("ab-1", ("http://192.0.2.77:8080/onvif/device_service",), "North gate", "D-1", "hall")
BOX = Advertised("cd-2", ("http://127.0.0.1:81/onvif/device_service", "http://[fe80::1]/onvif/device_service"))


async def probed(neighbourhood, seconds=0.4, interface="127.0.0.1"):
    async with serve_discovery(neighbourhood, port=0):
        return await discover(interface=interface, seconds=seconds, port=neighbourhood.port)


@pytest.mark.parametrize("interface", ["127.0.0.1", "lo"])
async def test_who_answers_is_told_once_at_the_address_from_which_it_answered(interface):
    neighbourhood = Neighbourhood([DOME, BOX], Manners(times=3))
    found = await probed(neighbourhood, interface=interface)
    assert [one.uuid for one in found.cameras] == ["ab-1", "cd-2"]
    dome, box = found.cameras
    assert (dome.name, dome.hardware, dome.location) == ("North gate", "D-1", "hall")
    assert dome.told == DOME.addresses
    assert [url.partition(":8080")[2] for url in dome.urls] == ["/onvif/device_service"]
    assert "192.0.2.77" not in dome.urls[0]
    if interface == "127.0.0.1":
        assert dome.urls == ("http://127.0.0.1:8080/onvif/device_service",)
        assert box.urls[0] == BOX.addresses[0]
    assert len(neighbourhood.probes) == 2  # at once, and a quarter of a second later
    assert len(set(neighbourhood.probes)) == 1  # with one id
    assert (found.rejected, found.lost) == (0, 0)


@pytest.mark.parametrize("manners", [Manners(garbled=True), Manners(foreign=True)])
async def test_what_is_no_answer_to_the_probe_is_counted(manners):
    found = await probed(Neighbourhood([DOME], manners))
    assert (found.cameras, found.rejected) == ((), 2)


async def test_a_babbling_neighbour_costs_no_more_than_the_time():
    began = time.monotonic()
    found = await probed(Neighbourhood([DOME], Manners(babble=2000)), seconds=0.6)
    assert time.monotonic() - began < 3
    assert found.rejected + found.lost > 0
    ear = ws_discovery._Ear()
    for _ in range(5000):
        ear.datagram_received(b"x" * 60_000, ("h", 1))
    assert ear.waiting <= ws_discovery._BYTES_WAITING
    assert ear.heard.qsize() + ear.lost == 5000


async def test_nobody_answers():
    found = await discover(interface="127.0.0.1", seconds=0.1, port=9)
    assert found.cameras == ()


async def test_a_card_that_there_is_not_is_said():
    for card in ("no-such-card", "203.0.113.77"):
        with pytest.raises(LinkLost):
            await discover(interface=card, seconds=0.1)


async def test_the_technician_sees_them(monkeypatch, capsys):
    neighbourhood = Neighbourhood([DOME])
    async with serve_discovery(neighbourhood, port=0):
        monkeypatch.setattr(
            ws_discovery.discover, "__kwdefaults__", ws_discovery.discover.__kwdefaults__ | {"port": neighbourhood.port}
        )
        words = ["device", "discover", "--interface", "127.0.0.1", "--for", "0.3"]
        assert await asyncio.to_thread(main, [*words, "--json"]) == 0
        (camera,) = json.loads(capsys.readouterr().out)["cameras"]
        assert (camera["url"], camera["name"]) == ("http://127.0.0.1:8080/onvif/device_service", "North gate")
        assert await asyncio.to_thread(main, words) == 0
        assert "North gate" in capsys.readouterr().out
