"""Frames of parking-lane display cards, both directions.

    DA  VR  PN PN  CMD  DL  DATA (DL bytes)  CRC CRC
    00  64  FF FF  62   1B  ...              58  96

DA the card's address, VR the protocol's version (100), PN FFFF for a whole packet, CRC-16/MODBUS over all before it,
low byte first. "显示屏通信协议" v2.0 (2020-12-10), 2.1 and 2.2; version 200, with two length bytes, is not spoken.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from drivers.modbus_framing import crc16

VERSION: Final = 100
WHOLE: Final = b"\xff\xff"
HEAD: Final = 6
CRC: Final = 2
MOST_DATA: Final = 255


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that is whole and right."""

    address: int
    command: int
    data: bytes

    def to_bytes(self) -> bytes:
        """Return it as on the wire; the data is at most 255 bytes."""
        head = bytes((self.address, VERSION)) + WHOLE + bytes((self.command, len(self.data)))
        body = head + self.data
        return body + crc16(body).to_bytes(CRC, "little")


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes that are in no frame: why, and those that it began with."""

    why: str
    raw: bytes


class Frames:
    """Cuts a stream into frames. Holds one frame at most, 263 bytes.

    What is in no frame is told as junk when it begins, and again after 255 bytes more. `sizes` are the data lengths
    that the commands of this direction have: a garbled length then costs nothing but its frame; else any is waited for.
    """

    def __init__(self, sizes: Mapping[int, int] | None = None) -> None:
        self._sizes = sizes
        self._held = bytearray()
        self._junk = 0

    def feed(self, data: bytes) -> Iterator[Frame | Junk]:
        """Yield what the bytes complete."""
        self._held += data
        while len(self._held) >= 2:
            found = self._first()
            if found is None:
                return
            if isinstance(found, str):
                if self._junk % MOST_DATA == 0:
                    yield Junk(found, bytes(self._held[:64]))
                self._junk += 1
                del self._held[0]
                continue
            self._junk = 0
            yield found

    def rest(self) -> Iterator[Junk]:
        """Yield what the end of the stream leaves, as junk."""
        if self._held:
            yield Junk("cut off", bytes(self._held[:64]))
        self._held.clear()

    def _first(self) -> Frame | str | None:
        """Take the frame that the held bytes begin with; a reason where they begin none, None where more is needed."""
        held = self._held
        if held[1] != VERSION or not WHOLE.startswith(bytes(held[2:4])):
            return "no frame begins here"
        if len(held) < HEAD:
            return None
        command, length = held[4], held[5]
        if self._sizes is not None and self._sizes.get(command) != length:
            return f"command {command:02x} with {length} bytes is no answer of a card"
        whole = HEAD + length + CRC
        if len(held) < whole:
            return None
        body = bytes(held[: whole - CRC])
        if crc16(body) != int.from_bytes(held[whole - CRC : whole], "little"):
            return "the checksum is wrong"
        del held[:whole]
        return Frame(body[0], command, body[HEAD:])
