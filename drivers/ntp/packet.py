"""One exchange with a time server (RFC 5905, 7.3): pure; the caller has the clock and makes the nonce.

    LI (2 bits) VN (3) mode (3) | stratum | poll | precision
    root delay (16.16) | root dispersion (16.16) | reference id
    reference, originate, receive, transmit timestamps (32.32 seconds of an era)

The transmit timestamp of the question is a random number, not the time: the answer must repeat it, so that only who
saw the question can answer it.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from core.errors import FrameInvalid

LENGTH: Final = 48
NONCE_BYTES: Final = 8
LONGEST: Final = 1024
_LAYOUT: Final = struct.Struct("!BBbbII4sQQQQ")
_ERA: Final = 1 << 64
_UNIX: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""
_CLIENT: Final = 3
_SERVER: Final = 4
_VERSION: Final = 4
_UNSYNCHRONISED: Final = 3
_MAX_STRATUM: Final = 15
_MAX_DISTANCE_S: Final = 1.5
"""RFC 5905 says 1 s, what it calls root distance; the reference implementation takes 1.5 s."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as it is on the wire."""

    leap: int
    version: int
    mode: int
    stratum: int
    poll: int
    precision: int
    root_delay_s: float
    root_dispersion_s: float
    reference: bytes
    reference_at: int
    originate: int
    receive: int
    transmit: int

    @property
    def kiss(self) -> str:
        """Return the code of a kiss-o'-death (7.4), empty where it is none."""
        if self.stratum or self.mode != _SERVER:
            return ""
        code = self.reference.decode("ascii", "replace").strip("\0 ")
        return code if code.isalnum() and code.isascii() else "?"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        shown = self.reference.hex() if self.stratum > 1 else self.reference.decode("ascii", "replace").strip("\0")
        return {
            "leap": self.leap,
            "version": self.version,
            "mode": self.mode,
            "stratum": self.stratum,
            "poll_s": 2.0**self.poll,
            "precision_s": 2.0**self.precision,
            "root_delay_ms": round(self.root_delay_s * 1000, 3),
            "root_dispersion_ms": round(self.root_dispersion_s * 1000, 3),
            "reference": shown,
            "originate": f"{self.originate:016x}",
            "receive": f"{self.receive:016x}",
            "transmit": f"{self.transmit:016x}",
        }


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one answer says. `offset_s` is what to add to the edge's clock to have the server's."""

    packet: Packet
    offset_s: float
    delay_s: float
    problem: str
    """Why the server is not to be believed, empty where it is."""


def request(nonce: bytes) -> bytes:
    """Return the question; `nonce` is NONCE_BYTES random bytes."""
    assert len(nonce) == NONCE_BYTES
    return bytes(((_VERSION << 3) | _CLIENT,)) + bytes(LENGTH - 1 - NONCE_BYTES) + nonce


def read_packet(data: bytes) -> Packet:
    """Read a packet, without what extends it; raise FrameInvalid."""
    if not LENGTH <= len(data) <= LONGEST:
        raise FrameInvalid(f"{len(data)} bytes are no NTP packet")
    flags, stratum, poll, precision, delay, dispersion, reference, *stamps = _LAYOUT.unpack_from(data)
    version = flags >> 3 & 7
    if not 1 <= version <= _VERSION:
        raise FrameInvalid(f"NTP version {version}")
    short = 65_536.0
    head = (flags >> 6, version, flags & 7, stratum, poll, precision)
    return Packet(*head, delay / short, dispersion / short, reference, *stamps)


def read_answer(data: bytes, nonce: bytes, sent_s: float, received_s: float) -> Exchange:
    """Read the answer to a question, with the edge's Unix times of both; raise FrameInvalid for what is none.

    `received_s` is `sent_s` and what a monotonic clock says has passed.
    """
    packet = read_packet(data)
    if packet.mode != _SERVER:
        raise FrameInvalid(f"mode {packet.mode} instead of a server's")
    if packet.originate != int.from_bytes(nonce):
        raise FrameInvalid("not the answer to this question")
    if packet.kiss:
        return Exchange(packet, 0.0, 0.0, f"kiss:{packet.kiss}")
    if not packet.transmit or not packet.receive:
        raise FrameInvalid("an answer without a time")
    there = _since(packet.receive, sent_s)
    back = _since(packet.transmit, received_s)
    took = received_s - sent_s
    delay = took - (_signed(packet.transmit - packet.receive) / 2**32)
    return Exchange(packet, (there + back) / 2, delay, _problem(packet, delay, took))


def _since(stamp: int, unix_s: float) -> float:
    """Return how far a stamp is ahead of a Unix time; eras (2036) do not matter within 68 years."""
    whole = int(unix_s)
    ours = (whole + _UNIX << 32) + int((unix_s - whole) * 2**32)
    return _signed(stamp - ours) / 2**32


def _signed(difference: int) -> int:
    return (difference + _ERA // 2) % _ERA - _ERA // 2


def _problem(packet: Packet, delay_s: float, took_s: float) -> str:
    if packet.leap == _UNSYNCHRONISED:
        return "leap"
    if packet.stratum > _MAX_STRATUM:
        return "stratum"
    if packet.root_delay_s / 2 + packet.root_dispersion_s > _MAX_DISTANCE_S:
        return "root_distance"
    if _signed(packet.transmit - packet.reference_at) < 0 and packet.reference_at:
        return "set_in_the_future"  # 9.1: a server that was set after it answered
    if delay_s < -0.001 or delay_s > took_s + 0.001:
        return "impossible_times"
    return ""
