"""The reference site on real sockets and ptys: counts, truth, and gates that behave like gates."""

import asyncio
from pathlib import Path

import pytest

from core.clearance.model import Direction
from core.messages.events import LaneMode
from edge.config import load_config
from simulators.people import Manner, Traveller, specimen
from simulators.site import run_site, visit
from simulators.turnstile import Gate

SITES = sorted((Path(__file__).parents[2] / "configs" / "sites").glob("*.toml"))


class Hand:
    """A reader whose document opens the gate at once, or never."""

    def __init__(self, gate, direction, lets):
        self.gate, self.direction, self.lets = gate, direction, lets
        self.shown = 0

    async def wait_connected(self):
        return

    def show(self, text):
        self.shown += 1
        if self.lets:
            self.gate.release(self.direction)
        return True


async def come(manner, *, lets=True):
    gate = Gate()
    reader = Hand(gate, Direction.IN, lets)
    outcome = await visit(Traveller("L1", 1, 0.0, specimen(1), manner, 0.01), gate, reader, Direction.IN)
    return outcome, gate


async def test_a_plain_traveller_passes_once():
    outcome, gate = await come(Manner.PLAIN)
    assert (outcome.passed, gate.counts[Direction.IN], gate.released[Direction.IN]) == (True, 1, 0)


async def test_a_listed_traveller_who_is_let_in_is_told_as_a_wrong_release():
    outcome, _ = await come(Manner.LISTED)
    assert outcome.wrongly_released


@pytest.mark.slow
async def test_a_listed_traveller_leaves_after_a_while():
    outcome, gate = await come(Manner.LISTED, lets=False)
    assert (outcome.passed, outcome.wrongly_released, gate.counts[Direction.IN]) == (False, False, 0)


@pytest.mark.slow
async def test_a_tailgater_is_counted_behind():
    outcome, gate = await come(Manner.TAILGATED)
    assert (outcome.followed_by, gate.counts[Direction.IN]) == (1, 2)


async def test_who_turns_back_waits_until_the_release_is_taken_back():
    gate = Gate()
    reader = Hand(gate, Direction.IN, lets=True)
    turning = asyncio.create_task(
        visit(Traveller("L1", 1, 0.0, specimen(1), Manner.TURNS_BACK, 0.01), gate, reader, Direction.IN)
    )
    while not gate.open_for(Direction.IN):
        await asyncio.sleep(0)
    gate.cancel()
    assert not (await turning).passed
    assert gate.counts[Direction.IN] == 0


@pytest.mark.parametrize(
    ("mode", "released", "fault", "opens"),
    [
        (LaneMode.NORMAL, 0, "", False),
        (LaneMode.NORMAL, 1, "", True),
        (LaneMode.NORMAL, 1, "door_jam", False),
        (LaneMode.FREE, 0, "", True),
        (LaneMode.LOCKED, 1, "", False),
        (LaneMode.EMERGENCY, 0, "", True),
    ],
)
def test_a_gate_opens_by_mode_release_and_fault(mode, released, fault, opens):
    gate = Gate(mode=mode, faults={fault} - {""})
    gate.released[Direction.OUT] = released
    assert gate.open_for(Direction.OUT) is opens
    assert gate.open_for(Direction.IN) is (opens and mode is not LaneMode.NORMAL)


async def test_every_device_of_every_site_is_served_at_a_link_of_its_own():
    turnstiles = 0
    for path in SITES:
        config = load_config(path)
        async with run_site(config) as site:
            assert set(site.links) == set(config.devices)
            assert len(set(site.links.values())) == len(site.links)
            turnstiles += len(site.gates)
            schemes = {link.split(":")[0] for link in site.links.values()}
            assert schemes == {spec.link.split(":")[0] for spec in config.devices.values()}
    assert turnstiles == 69
