"""RTP packets of H.264 (RFC 6184) or H.265 (RFC 7798) to access units, byte for byte as the camera's coder made them.

    RTP    V P X CC | M PT | sequence u16 | time u32 | source u32 | (sources) | (extension) | payload | (padding)
    H.264  one unit (types 1-23) | STAP-A (24): length u16 + unit, again | FU-A (28): indicator, S E R type, part
    H.265  one unit (0-47)       | AP (48): length u16 + unit, again     | FU (49): header u16, S E type, part

Promises:
1. What is given is whole: after a gap nothing comes until the next key picture, so that no decoder smears.
2. A key picture bears its parameter sets: where the camera sends them only in its description, they are put before it.
3. Memory is bounded: an access unit is at most MAX_UNIT long.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from core.errors import FrameInvalid

MAX_UNIT: Final = 4 << 20
START: Final = b"\x00\x00\x00\x01"
_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Codec:
    """How the units of a codec are told apart."""

    header_bytes: int
    type_of: Callable[[int], int]
    aggregate: int
    fragment: int
    single: range
    pictures: range
    keys: frozenset[int]
    parameters: frozenset[int]


CODECS: Final = {
    "H264": Codec(1, lambda first: first & 0x1F, 24, 28, range(1, 24), range(1, 6), frozenset({5}), frozenset({7, 8})),
    "H265": Codec(
        2,
        lambda first: first >> 1 & 0x3F,
        48,
        49,
        range(48),
        range(32),
        frozenset(range(16, 22)),
        frozenset({32, 33, 34}),
    ),
}


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture: its units with start codes (Annex B), and when, in ticks of the stream's clock since the first."""

    time: int
    key: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Rtp:
    """One packet."""

    marker: bool
    payload_type: int
    sequence: int
    time: int
    payload: bytes


def read_rtp(data: bytes) -> Rtp:
    """Read a packet (RFC 3550, 5.1); raise FrameInvalid."""
    if len(data) < 12 or data[0] >> 6 != 2:
        raise FrameInvalid("no RTP packet")
    start = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        if len(data) < start + 4:
            raise FrameInvalid("an RTP extension that is cut off")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    if not start <= end:
        raise FrameInvalid("an RTP packet that is cut off")
    sequence, time = int.from_bytes(data[2:4]), int.from_bytes(data[4:8])
    return Rtp(bool(data[1] & 0x80), data[1] & 0x7F, sequence, time, data[start:end])


class Depacketizer:
    """Makes access units of the packets of one stream. `lost` counts gaps, `rejected` payloads that cannot be."""

    def __init__(self, codec: Codec, parameters: tuple[bytes, ...] = ()) -> None:
        self.lost = 0
        self.rejected = 0
        self._codec = codec
        self._known: dict[int, bytes] = {}
        for unit in parameters:
            kind = self._type(unit)
            if kind not in codec.parameters:
                continue  # some cameras describe what is none
            self._known[kind] = self._known[kind] + START + unit if kind in self._known else unit
        self._units: list[bytes] = []
        self._size = 0
        self._part: bytearray | None = None
        self._sequence: int | None = None
        self._first: int | None = None
        self._time = 0
        self._waits = True
        self._spoilt: int | None = None
        """The time of a picture of which something is missing."""

    def receive(self, packet: Rtp) -> list[AccessUnit]:
        """Return the access units that a packet completes: none, one, or two where an end was not marked."""
        done = []
        if self._sequence is not None and packet.sequence != (self._sequence + 1) & 0xFFFF:
            self.lost += 1
            self._drop(packet.time)
        self._sequence = packet.sequence
        if packet.time != self._time % _WRAP and (self._units or self._part is not None):
            done += self._flush()
        self._set_time(packet.time)
        if packet.time == self._spoilt:
            return done
        self._spoilt = None
        try:
            for unit in self._taken(packet.payload):
                self._add(unit)
        except FrameInvalid:
            self.rejected += 1
            self._drop(packet.time)
        if packet.marker and any(self._is_picture(unit) for unit in self._units):
            done += self._flush()
        return done

    def _set_time(self, told: int) -> None:
        """Follow the clock of 32 bits over its end, both ways."""
        if self._first is None:
            self._first = self._time = told
        self._time += (told - self._time + _WRAP // 2) % _WRAP - _WRAP // 2

    def _taken(self, payload: bytes) -> Iterator[bytes]:
        codec, header = self._codec, self._codec.header_bytes
        if len(payload) <= header:
            raise FrameInvalid("a unit without content")
        kind = self._type(payload)
        if kind == codec.fragment:
            yield from self._fragment(payload)
            return
        if self._part is not None:
            self._part = None
            raise FrameInvalid("a fragment without its end")
        if kind == codec.aggregate:
            yield from _aggregated(payload[header:])
        elif kind in codec.single:
            yield payload
        else:
            raise FrameInvalid(f"packets of type {kind} are not used here")

    def _fragment(self, payload: bytes) -> Iterator[bytes]:
        header = self._codec.header_bytes
        if len(payload) <= header + 1:
            raise FrameInvalid("a fragment without content")
        mark = payload[header]
        if mark & 0x80:
            self._part = bytearray(self._whole_header(payload))
        if self._part is None:
            raise FrameInvalid("a fragment without its beginning")
        self._part += payload[header + 1 :]
        if len(self._part) + self._size > MAX_UNIT:
            self._part = None
            raise FrameInvalid(f"a picture of more than {MAX_UNIT} bytes")
        if mark & 0x40:
            unit, self._part = bytes(self._part), None
            yield unit

    def _whole_header(self, payload: bytes) -> bytes:
        """Return the header that the fragments' unit had."""
        if self._codec.header_bytes == 1:
            return bytes((payload[0] & 0xE0 | payload[1] & 0x1F,))
        return bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))

    def _add(self, unit: bytes) -> None:
        self._size += len(unit) + len(START)
        if self._size > MAX_UNIT:
            raise FrameInvalid(f"a picture of more than {MAX_UNIT} bytes")
        if (kind := self._type(unit)) in self._codec.parameters:
            self._known[kind] = unit
        self._units.append(unit)

    def _flush(self) -> list[AccessUnit]:
        units, self._units, self._size = self._units, [], 0
        if self._part is not None:
            self._part = None
            self.rejected += 1
            self._waits = True
            return []
        kinds = {self._type(unit) for unit in units}
        key = bool(kinds & self._codec.keys)
        if self._waits and not key:
            return []
        self._waits = False
        missing = sorted(self._known.keys() - kinds) if key else []
        assert self._first is not None
        data = b"".join(START + unit for unit in (*(self._known[kind] for kind in missing), *units))
        return [AccessUnit(self._time - self._first, key, data)]

    def _drop(self, time: int) -> None:
        """Forget what is not whole, and the rest of the picture of that time; wait for a key picture."""
        self._units, self._size, self._part, self._waits, self._spoilt = [], 0, None, True, time

    def _type(self, unit: bytes) -> int:
        return self._codec.type_of(unit[0])

    def _is_picture(self, unit: bytes) -> bool:
        return self._type(unit) in self._codec.pictures


def _aggregated(rest: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(rest):
        size = int.from_bytes(rest[at : at + 2])
        unit = rest[at + 2 : at + 2 + size]
        if size < 2 or len(unit) < size:
            raise FrameInvalid("an aggregation that is cut off")
        yield unit
        at += 2 + size
