"""PTZCmd (GB/T 28181-2016, Annex A.3): eight bytes, written in hexadecimal.

A5 | version<<4 | check | address low | command | p1 | p2 | p3<<4 | address high | sum of the seven before
check = (0xA + 0x5 + version) mod 16;  sum mod 256
"""

from dataclasses import dataclass
from typing import Final

from core.errors import FrameInvalid

_FIRST: Final = 0xA5
_MOVES: Final = {0x08: "up", 0x04: "down", 0x02: "left", 0x01: "right", 0x10: "zoom in", 0x20: "zoom out"}
_LENS: Final = {0x08: "iris close", 0x04: "iris open", 0x02: "focus near", 0x01: "focus far"}
_PRESETS: Final = {0x81: "set preset", 0x82: "call preset", 0x83: "delete preset"}
_CRUISES: Final = {
    0x84: "add cruise point", 0x85: "delete cruise point", 0x86: "cruise speed", 0x87: "cruise dwell", 0x88: "cruise",
}  # fmt: skip
_SCANS: Final = {0: "scan", 1: "scan left border", 2: "scan right border"}
_SWITCHES: Final = {0x8C: "switch on", 0x8D: "switch off"}


@dataclass(frozen=True, slots=True)
class PtzCommand:
    """One command; `p3` and the high address have four bits."""

    command: int
    p1: int = 0
    p2: int = 0
    p3: int = 0
    address: int = 1
    version: int = 0

    @property
    def meaning(self) -> str:
        """What it asks, in words."""
        return _meaning(self)


def parse_ptz(text: str) -> PtzCommand:
    """Return the command of sixteen hexadecimal digits; raise FrameInvalid where a check does not fit."""
    try:
        data = bytes.fromhex(text.strip())
    except ValueError as error:
        raise FrameInvalid("a PTZCmd that is not hexadecimal") from error
    if len(data) != 8 or data[0] != _FIRST:
        raise FrameInvalid(f"not a PTZCmd: {text[:20]!r}")
    if data[7] != sum(data[:7]) & 0xFF:
        raise FrameInvalid(f"PTZCmd sum {data[7]:02X}, not {sum(data[:7]) & 0xFF:02X}")
    version = data[1] >> 4
    if data[1] & 0xF != _check(version):
        raise FrameInvalid(f"PTZCmd second byte {data[1]:02X}")
    return PtzCommand(data[3], data[4], data[5], data[6] >> 4, (data[6] & 0xF) << 8 | data[2], version)


def ptz_text(command: PtzCommand) -> str:
    """Return the sixteen hexadecimal digits; ValueError for what does not fit its bits."""
    if not 0 <= command.address < 1 << 12 or not 0 <= command.p3 < 16 or not 0 <= command.version < 16:
        raise ValueError(f"does not fit a PTZCmd: {command}")
    head = (_FIRST, command.version << 4 | _check(command.version), command.address & 0xFF, command.command)
    data = bytes((*head, command.p1, command.p2, command.p3 << 4 | command.address >> 8))
    return (data + bytes((sum(data) & 0xFF,))).hex().upper()


def _check(version: int) -> int:
    return (0xA + 0x5 + version) & 0xF


def _meaning(one: PtzCommand) -> str:
    code = one.command
    if code == 0:
        return "stop"
    if code < 0x40:
        return ", ".join(f"{_MOVES[bit]} speed {_speed(one, bit)}" for bit in _MOVES if code & bit)
    if code < 0x50:
        lens = [f"{_LENS[bit]} speed {one.p2 if bit & 0xC else one.p1}" for bit in _LENS if code & bit]
        return ", ".join(lens) or "stop lens"
    if code in _PRESETS:
        return f"{_PRESETS[code]} {one.p2}"
    if code in {0x86, 0x87}:
        return f"{_CRUISES[code]} {one.p1} value {one.p3 << 8 | one.p2}"
    if code in {0x84, 0x85}:
        return f"{_CRUISES[code]} {one.p1} preset {one.p2}"
    if code == 0x88:
        return f"cruise {one.p1}"
    if code == 0x89:
        return f"{_SCANS.get(one.p2, 'scan ?')} {one.p1}"
    if code == 0x8A:
        return f"scan speed {one.p1} value {one.p3 << 8 | one.p2}"
    return f"{_SWITCHES[code]} {one.p1}" if code in _SWITCHES else f"unknown {code:02X}"


def _speed(one: PtzCommand, bit: int) -> int:
    """The first parameter is the horizontal speed, the second the vertical, the third the zoom's."""
    return one.p3 if bit & 0x30 else one.p2 if bit & 0x0C else one.p1
