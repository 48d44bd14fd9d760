"""Bits <-> words, from the profiles that ship, and what a profile may not say."""

from pathlib import Path

import pytest

from core.errors import ConfigInvalid, FrameInvalid, Unsupported
from core.messages.commands import OpenGate
from drivers.barrier import DRIVER
from drivers.barrier.commands import LowerArm, RaiseArm, SetLight
from drivers.barrier.contacts import SWITCHES_DISAGREE
from drivers.barrier.facts import BarrierSeen
from drivers.base import Space, Write
from drivers.facts import DeviceSignal
from drivers.profile import Profile, read_profile

PROFILES = Path(__file__).parents[3] / "firmware_profiles"
REFERENCE, RELAYS = "reference/barrier", "waveshare/barrier-modbus-rtu-relay-d"


def profile(name):
    found = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    assert (found.name, found.driver) == (name, "barrier")
    return found


def device(name):
    return DRIVER.make(profile(name), DRIVER.settings())


@pytest.fixture
def board():
    return device(REFERENCE)


def seen(board, bits):
    return board.observe(board.polls[0], bits)[0]


# The photocell (input 2) is a break contact: 1 is free.
@pytest.mark.parametrize(
    ("bits", "occupied", "arm", "faults"),
    [
        ([0, 0, 1, 0, 0, 1, 0, 0], set(), "closed", set()),
        ([1, 0, 1, 0, 0, 1, 0, 0], {"approach"}, "closed", set()),
        ([1, 1, 0, 0, 1, 0, 0, 0], {"approach", "under", "photocell"}, "open", set()),
        ([0, 0, 0, 0, 0, 0, 0, 0], {"photocell"}, "moving", set()),
        ([0, 0, 1, 1, 0, 0, 1, 0], {"exit"}, "moving", {"motor"}),
        ([0, 0, 1, 0, 1, 1, 0, 1], set(), "moving", {"battery", SWITCHES_DISAGREE}),
    ],
)
def test_a_block_of_bits_becomes_one_state(board, bits, occupied, arm, faults):
    wired = {"approach", "under", "photocell", "exit"}
    assert seen(board, bits) == BarrierSeen(frozenset(wired), frozenset(occupied), arm, frozenset(faults))


def test_a_relay_board_tells_what_is_wired_to_it():
    board = device(RELAYS)
    assert seen(board, [1, 0, 1, 0, 1, 0, 0, 0]) == BarrierSeen(
        frozenset({"approach", "under", "exit"}), frozenset({"approach", "exit"}), "closed"
    )
    assert (board.wired, board.tells_arm, board.has_light) == ({"approach", "under", "exit"}, True, True)


def test_the_inputs_are_read_as_one_block(board):
    (poll,) = board.polls
    assert (poll.space, poll.address, poll.count, poll.interval_ms) == (Space.DISCRETE, 0, 8, 50)


def test_a_fault_is_told_once_when_it_comes_and_once_when_it_goes(board):
    (poll,) = board.polls
    well, sick = [0, 0, 1, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 1, 1, 0]
    told = [list(board.observe(poll, bits)[1:]) for bits in (well, sick, sick, well, well)]
    assert told == [[], [DeviceSignal("fault", True, "motor")], [], [DeviceSignal("fault", False, "motor")], []]


@pytest.mark.parametrize("bits", [[], [0] * 7, [0] * 9])
def test_a_block_of_another_size_is_refused(board, bits):
    with pytest.raises(FrameInvalid, match="inputs"):
        board.observe(board.polls[0], bits)


@pytest.mark.parametrize(
    ("name", "command", "writes"),
    [
        (REFERENCE, RaiseArm(), [Write(5, 0, (0xFF00,))]),
        (REFERENCE, LowerArm(), [Write(5, 1, (0xFF00,))]),
        (REFERENCE, SetLight(on=True), [Write(5, 2, (0xFF00,))]),
        (REFERENCE, SetLight(on=False), [Write(5, 2, (0,))]),
        # The wiki's own example: 01 05 02 00 00 07 closes relay 0 for 700 ms.
        (RELAYS, RaiseArm(), [Write(5, 0x0200, (7,))]),
        (RELAYS, LowerArm(), [Write(5, 0x0201, (7,))]),
        (RELAYS, SetLight(on=True), [Write(5, 2, (0xFF00,))]),
        (RELAYS, SetLight(on=False), [Write(5, 2, (0,))]),
    ],
)
def test_commands_become_writes(name, command, writes):
    assert type(command) in DRIVER.commands
    assert list(device(name).writes(command)) == writes


def test_what_a_barrier_cannot_do_is_said(board):
    with pytest.raises(Unsupported, match="OpenGate"):
        board.writes(OpenGate(direction="in"))
    dark = changed({"outputs.light_on": [], "outputs.light_off": []})
    assert not dark.has_light
    with pytest.raises(Unsupported, match="light"):
        dark.writes(SetLight(on=True))


def changed(changes):
    """Make the reference barrier with other keys in its map; None takes one away."""
    found = profile(REFERENCE).model_dump()
    for path, value in changes.items():
        table = found["map"]
        *way, last = path.split(".")
        for part in way:
            table = table.setdefault(part, {})
        if value is None:
            del table[last]
        else:
            table[last] = value
    return DRIVER.make(Profile.model_validate(found), DRIVER.settings())


@pytest.mark.parametrize(
    ("switches", "arms"),
    [
        ({}, ["", ""]),
        ({"closed": 4}, ["open", "closed"]),
        ({"open": 4}, ["closed", "open"]),
    ],
)
def test_one_switch_tells_both_ends_and_none_tells_nothing(switches, arms):
    board = changed({"inputs.arm": switches})
    assert [seen(board, [0, 0, 1, 0, bit, 0, 0, 0]).arm for bit in (0, 1)] == arms
    assert board.tells_arm is bool(switches)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs.road": {"approach": 0, "exit": 3}, "inputs.inverted": []}, "close on a vehicle"),
        ({"inputs.road.exit": 5}, "one input"),
        ({"inputs.faults.under": 6}, "one name"),
        ({"inputs.road.exit": 8}, "outside of count: exit"),
        ({"inputs.inverted": ["door"]}, "not wired: door"),
        ({"inputs.road.side": 3}, "inputs.road.side"),
        ({"inputs.interval_ms": 5}, "interval_ms"),
        ({"outputs.raise_arm": []}, "raise_arm"),
        ({"outputs.light_off": None}, "stand together"),
        ({"outputs.lower_arm": [{"function": 16, "address": 0, "value": 1}]}, "function"),
    ],
)
def test_a_profile_with_a_mistake_is_refused_and_the_mistake_named(changes, said):
    with pytest.raises(ConfigInvalid, match=said):
        changed(changes)


def test_what_the_driver_declares_is_what_is_tested():
    assert DRIVER.commands == {RaiseArm, LowerArm, SetLight}
    assert DRIVER.facts == {BarrierSeen, DeviceSignal}
    assert DRIVER.links == {"modbus+tcp", "modbus+rtu"}
