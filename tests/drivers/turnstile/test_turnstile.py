"""Registers <-> words for both wirings, from the profiles that ship."""

from pathlib import Path

import pytest

from core.errors import ConfigInvalid, FrameInvalid, Unsupported
from core.messages.commands import CloseGate, OpenGate, ResetDevice, SetGateMode
from drivers.base import Write
from drivers.facts import GateObserved
from drivers.profile import Profile, read_profile
from drivers.turnstile import DRIVER

PROFILES = Path(__file__).parents[3] / "firmware_profiles"


def device(name):
    profile = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    assert profile.name == name
    return DRIVER.make(profile, DRIVER.settings())


@pytest.fixture
def gate():
    return device("reference/swing-gate")


@pytest.fixture
def board():
    return device("waveshare/modbus-rtu-relay-d")


@pytest.mark.parametrize(
    ("registers", "expected"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], {"mode": "normal", "in_count": 0, "out_count": 0, "released": False}),
        ([1, 0, 0, 0, 1, 2, 0, 7], {"mode": "free", "in_count": 65_538, "out_count": 7}),
        ([2, 0b101, 0b011, 1, 0, 0, 0, 0], {"mode": "locked", "released": True}),
        ([3, 1 << 9, 0, 0, 0xFFFF, 0xFFFF, 0, 0], {"mode": "emergency", "in_count": 0xFFFFFFFF}),
    ],
)
def test_the_status_block_becomes_one_state(gate, registers, expected):
    (fact,) = gate.observe(gate.polls[0], registers)
    assert {key: getattr(fact, key) for key in expected} == expected


def test_bits_become_names_and_unknown_bits_are_not_lost(gate):
    (fact,) = gate.observe(gate.polls[0], [0, 0b101 | 1 << 9, 0b110, 0, 0, 0, 0, 0])
    assert fact.faults == {"door_jam", "sensor_blocked", "bit_9"}
    assert fact.sensors == {"middle", "exit"}


@pytest.mark.parametrize("registers", [[0] * 7, [9, 0, 0, 0, 0, 0, 0, 0]])
def test_values_that_cannot_be_are_refused(gate, registers):
    with pytest.raises(FrameInvalid, match="status"):
        gate.observe(gate.polls[0], registers)


@pytest.mark.parametrize(
    ("command", "writes"),
    [
        (OpenGate(direction="in"), [Write(6, 17, (1,))]),
        (OpenGate(direction="out", passages=3), [Write(6, 18, (3,))]),
        (CloseGate(), [Write(6, 19, (1,))]),
        (SetGateMode(mode="locked"), [Write(6, 16, (2,))]),
        (ResetDevice(), [Write(6, 20, (1,))]),
    ],
)
def test_commands_of_a_gate_become_register_writes(gate, command, writes):
    assert list(gate.writes(command)) == writes


@pytest.mark.parametrize(
    ("command", "writes"),
    [
        # The wiki's own example: 01 05 02 00 00 07 closes relay 0 for 700 ms.
        (OpenGate(direction="in"), [Write(5, 0x0200, (7,))]),
        (OpenGate(direction="out"), [Write(5, 0x0201, (7,))]),
        (SetGateMode(mode="normal"), [Write(5, 2, (0,)), Write(5, 3, (0,)), Write(5, 4, (0,))]),
        (SetGateMode(mode="locked"), [Write(5, 2, (0,)), Write(5, 4, (0,)), Write(5, 3, (0xFF00,))]),
    ],
)
def test_commands_of_a_relay_board_become_coil_writes(board, command, writes):
    assert list(board.writes(command)) == writes


@pytest.mark.parametrize("command", [CloseGate(), ResetDevice(), OpenGate(direction="in", passages=2)])
def test_a_relay_board_says_what_it_cannot_do(board, command):
    with pytest.raises(Unsupported):
        board.writes(command)


def test_a_relay_board_counts_rising_edges_once_mode_and_contacts_are_known(board):
    relays, contacts = board.polls
    assert board.observe(contacts, [0] * 8) == ()
    steps = [[1, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0], [0] * 8, [1, 1, 1, 0, 0, 0, 0, 0]]
    board.observe(relays, [0] * 8)
    states = [board.observe(contacts, step)[0] for step in steps]
    assert [(state.in_count, state.out_count) for state in states] == [(1, 0), (1, 0), (1, 0), (2, 1)]
    assert states[-1].faults == {"contact"}
    assert not states[-1].counts_survive


def test_a_contact_that_is_closed_at_the_first_look_is_no_passage(board):
    relays, contacts = board.polls
    board.observe(relays, [0] * 8)
    (state,) = board.observe(contacts, [1, 0, 0, 1, 0, 0, 0, 0])
    assert (state.in_count, state.mode) == (0, "emergency")


@pytest.mark.parametrize(("relay", "mode"), [(2, "free"), (3, "locked"), (4, "emergency"), (7, "normal")])
def test_the_mode_of_a_relay_board_is_what_its_relays_say(board, relay, mode):
    relays, contacts = board.polls
    board.observe(contacts, [0] * 8)
    (state,) = board.observe(relays, [int(bit == relay) for bit in range(8)])
    assert state.mode == mode


def test_a_profile_with_mistakes_names_each(gate):
    profile = Profile(
        name="a/b", driver="turnstile", vendor="a", model="b", source="-", map={"layout": "contacts", "typo": 1}
    )
    with pytest.raises(ConfigInvalid, match=r"map\.contacts.*map\.typo"):
        DRIVER.make(profile, DRIVER.settings())


def test_it_declares_what_is_tested_here():
    assert DRIVER.commands == {OpenGate, CloseGate, SetGateMode, ResetDevice}
    assert DRIVER.facts == {GateObserved}
