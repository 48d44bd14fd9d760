"""The frame layer of JT/T 808: a stream of bytes <-> checked frames with a header. It knows no message.

    7E | msg id u16 | attr u16 | phone BCD[6] | serial u16 | [total u16, no u16] | body | xor u8 | 7E
    7E | msg id u16 | attr u16 | version u8 | phone BCD[10] | serial u16 | [total u16, no u16] | body | xor u8 | 7E

    attr: bits 0-9 length of this body, 10-12 encryption, 13 sub-package, 14 the second header (JT/T 808-2019, 4.4.3)

Inside a frame 7E travels as 7D 02 and 7D as 7D 01; any other byte after 7D breaks the frame. The checksum is the XOR of
all that stands before it. Promises of the splitter: it never holds more than one frame's worth of bytes; whatever came
before, the next good frame is given.
"""

import struct
from enum import Enum, auto
from typing import Final, NamedTuple

from core.errors import FrameInvalid

FLAG: Final = b"\x7e"
MAX_BODY: Final = 1023
"""Ten bits of the attributes."""
_MAX_HEADER: Final = 21
_MIN_PAYLOAD: Final = 13
MAX_ESCAPED: Final = 2 * (_MAX_HEADER + MAX_BODY + 1)
"""Bytes between two flags when every one of them had to be escaped."""
_V2019: Final = 0x4000
_SUBPACKAGE: Final = 0x2000
_SHORT = struct.Struct(">HH6sH")
_LONG = struct.Struct(">HHB10sH")
_PARTS = struct.Struct(">HH")


class Frame(NamedTuple):
    """One checked frame; `total` and `number` are 0 where the message came whole."""

    msg_id: int
    serial: int
    terminal: str
    """The number as sent: 12 or 20 hexadecimal digits, since some terminals pack an IMEI into it."""
    body: bytes
    v2019: bool = False
    protocol_version: int = 0
    encryption: int = 0
    total: int = 0
    number: int = 0


class _At(Enum):
    START = auto()
    OPEN = auto()
    CLOSED = auto()


class FrameSplitter:
    """A stream -> what stands between flags, still escaped and unchecked.

    What stands between a closing flag and the next one is noise, unless its checksum holds: then a flag was lost.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._at = _At.START
        self.noise = 0
        """How many runs of bytes between frames were thrown away."""

    @property
    def pending(self) -> int:
        """Return how many bytes wait for their flag; at most MAX_ESCAPED + 1."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that the bytes end. One that is too long comes cut: its length tells."""
        *ended, rest = (self._rest + data).split(FLAG)
        self._rest = rest[: MAX_ESCAPED + 1]
        found = []
        for chunk in ended:
            if not chunk:
                self._at = _At.OPEN
            elif self._at is _At.OPEN or (self._at is _At.CLOSED and _holds(chunk)):
                found.append(chunk[: MAX_ESCAPED + 1])
                self._at = _At.CLOSED
            else:
                self.noise += 1
                self._at = _At.OPEN
        return found


def unescape(chunk: bytes) -> bytes:
    """Return the bytes as they were before escaping; raise FrameInvalid for 7D with neither 01 nor 02 after it."""
    if b"\x7d" not in chunk:
        return chunk
    if chunk.count(b"\x7d") != chunk.count(b"\x7d\x01") + chunk.count(b"\x7d\x02"):
        raise FrameInvalid("a frame with 7D that is followed by neither 01 nor 02")
    return chunk.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")


def escape(payload: bytes) -> bytes:
    """Return the bytes as they travel between flags."""
    return payload.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")


def xor(data: bytes) -> int:
    """Return the XOR of all bytes, by folding: a third quicker than byte after byte."""
    value = int.from_bytes(data, "big")
    bits = 8 << max(len(data) - 1, 0).bit_length()
    while bits > 8:
        bits >>= 1
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
    return value


def parse_frame(chunk: bytes, *, tolerate_length: bool = False) -> Frame:
    """Return a frame from what stood between flags; raise FrameInvalid with the first thing that is wrong."""
    if len(chunk) > MAX_ESCAPED:
        raise FrameInvalid(f"a frame of more than {MAX_ESCAPED} bytes")
    payload = unescape(chunk)
    if len(payload) < _MIN_PAYLOAD:
        raise FrameInvalid(f"a frame of {len(payload)} bytes")
    if xor(payload):
        raise FrameInvalid(f"checksum is {payload[-1]:02X}, not {xor(payload[:-1]):02X}")
    attr = payload[2] << 8 | payload[3]
    try:
        version = 0
        if attr & _V2019:
            msg_id, _, version, phone, serial = _LONG.unpack_from(payload)
            at = _LONG.size
        else:
            msg_id, _, phone, serial = _SHORT.unpack_from(payload)
            at = _SHORT.size
        total, number = _PARTS.unpack_from(payload, at) if attr & _SUBPACKAGE else (0, 0)
    except struct.error:
        raise FrameInvalid("a frame that ends within its header") from None
    body = payload[at + 4 if attr & _SUBPACKAGE else at : -1]
    if len(body) != attr & MAX_BODY and not tolerate_length:
        raise FrameInvalid(f"body has {len(body)} bytes, its header says {attr & MAX_BODY}")
    if attr & _SUBPACKAGE and not 1 <= number <= total:
        raise FrameInvalid(f"part {number} of {total}")
    return Frame(msg_id, serial, phone.hex(), body, bool(attr & _V2019), version, attr >> 10 & 7, total, number)


def encode_frame(frame: Frame) -> bytes:
    """Return a frame as it travels, flags and all; ValueError for a body of more than 1,023 bytes is our bug."""
    if len(frame.body) > MAX_BODY:
        raise ValueError(f"a body of {len(frame.body)} bytes must be sent in parts")
    attr = len(frame.body) | (frame.encryption & 7) << 10
    attr |= (_SUBPACKAGE if frame.total else 0) | (_V2019 if frame.v2019 else 0)
    phone = bytes.fromhex(frame.terminal)
    if frame.v2019:
        head = _LONG.pack(frame.msg_id, attr, frame.protocol_version, phone, frame.serial)
    else:
        head = _SHORT.pack(frame.msg_id, attr, phone, frame.serial)
    payload = head + (_PARTS.pack(frame.total, frame.number) if frame.total else b"") + frame.body
    return FLAG + escape(payload + bytes((xor(payload),))) + FLAG


def encode_parts(frame: Frame, size: int = 1000) -> list[bytes]:
    """Return a message of any length as frames with consecutive serials, in parts only where it must be."""
    if len(frame.body) <= MAX_BODY:
        return [encode_frame(frame)]
    pieces = [frame.body[at : at + size] for at in range(0, len(frame.body), size)]
    return [
        encode_frame(frame._replace(body=piece, serial=frame.serial + n & 0xFFFF, total=len(pieces), number=n + 1))
        for n, piece in enumerate(pieces)
    ]


def _holds(chunk: bytes) -> bool:
    try:
        payload = unescape(chunk)
    except FrameInvalid:
        return False
    return _MIN_PAYLOAD <= len(payload) <= MAX_ESCAPED and xor(payload) == 0
