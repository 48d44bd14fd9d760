"""How Modbus PDUs travel: RTU, ASCII and TCP frames, and readers that take a stream in any cut.

    RTU     unit u8 | PDU | crc16 (poly A001, from FFFF, low byte first)     Modbus over Serial Line V1.02, 2.5.1
    ASCII   ':' | hex of unit, PDU, lrc | CR LF                              Modbus over Serial Line V1.02, 2.5.2
    TCP     transaction u16 | 0 u16 | length u16 | unit u8 | PDU             Messaging on TCP/IP V1.0b, 3.1.3

A reader's promises: it never raises for hostile bytes, never keeps more than one frame's size of them, and after
garbage finds the next good frame. RTU frames are complete by their length, never by a gap: USB adapters deliver in
lumps.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core.errors import FrameInvalid
from drivers.base import Rejected
from drivers.modbus_pdu import MAX_PDU, request_size, response_size

MAX_RTU: Final = 1 + MAX_PDU + 2
MAX_ASCII: Final = 1 + 2 * (1 + MAX_PDU + 1) + 2
MAX_TCP: Final = 7 + MAX_PDU
_RAW_KEPT: Final = 64

SizeOf = Callable[[Sequence[int]], int | None]


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC: Final = tuple(_crc_of(byte) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Adu:
    """One frame, taken apart; `transaction` is 0 where the framing has none."""

    unit: int
    pdu: bytes
    transaction: int = 0


class FrameReader(Protocol):
    """Reads one stream."""

    def receive(self, data: bytes) -> list[Adu | Rejected]:
        """Take bytes as they came; return the frames they complete, and runs of garbage between."""

    def flush(self) -> list[Adu | Rejected]:
        """Give up waiting for the rest of a frame: the line is silent or the stream has ended."""


def crc16(data: bytes | bytearray) -> int:
    """Return the CRC; over a whole good frame, its own CRC included, it is 0."""
    crc = 0xFFFF
    table = _CRC
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def lrc(data: bytes) -> int:
    """Return the LRC; over a whole good frame, its own LRC included, it is 0."""
    return -sum(data) & 0xFF


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Return an RTU frame."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def ascii_frame(unit: int, pdu: bytes) -> bytes:
    """Return an ASCII frame."""
    body = bytes((unit,)) + pdu
    return b":" + (body + bytes((lrc(body),))).hex().upper().encode() + b"\r\n"


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Return a TCP frame."""
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


class RtuReader:
    """Reads RTU frames. The CRC chooses between the sizes that a frame's head could mean."""

    def __init__(self, *sizes: SizeOf) -> None:
        self._sizes = sizes
        self._buffer = bytearray()
        self._garbage = Garbage()

    @property
    def pending(self) -> bytes:
        """The bytes of a frame that is not complete."""
        return bytes(self._buffer)

    def receive(self, data: bytes) -> list[Adu | Rejected]:
        """Take bytes as they came; return the frames they complete, and runs of garbage between."""
        self._buffer += data
        return self._read(at_end=False)

    def flush(self) -> list[Adu | Rejected]:
        """Give up waiting for the rest of a frame."""
        return self._read(at_end=True)

    def _read(self, *, at_end: bool) -> list[Adu | Rejected]:
        found: list[Adu | Rejected] = []
        buffer, start = self._buffer, 0
        while start < len(buffer):
            size = self._good_size(buffer[start : start + MAX_RTU])
            if start == 0 and (size == 0 or (size is None and at_end)):
                size = self._whole_size()
            if size is None and not at_end:
                break
            if size:
                found += [*self._garbage.end(), Adu(buffer[start], bytes(buffer[start + 1 : start + size - 2]))]
                start += size
            else:
                self._garbage.add(buffer[start], "no frame with a good crc begins here")
                start += 1
        del buffer[:start]
        return found + (self._garbage.end() if at_end else self._garbage.overflow())

    def _whole_size(self) -> int:
        """Return the size of all that is here if that is one frame of a function that is not spoken here, else 0."""
        whole = 4 <= len(self._buffer) <= MAX_RTU and crc16(self._buffer) == 0
        return len(self._buffer) if whole else 0

    def _good_size(self, window: bytearray) -> int | None:
        """Return the size of the good frame that begins here, 0 if there is none, None if more bytes must tell."""
        waiting = False
        for size_of in self._sizes:
            try:
                pdu_size = size_of(window[1:11])
            except FrameInvalid:
                continue
            if pdu_size is None or len(window) < pdu_size + 3:
                waiting = True
            elif crc16(window[: pdu_size + 3]) == 0:
                return pdu_size + 3
        return None if waiting else 0


class AsciiReader:
    """Reads ASCII frames: a colon always begins a new one."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[Adu | Rejected]:
        """Take bytes as they came; return the frames they complete, and runs of garbage between."""
        found: list[Adu | Rejected] = []
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[: end + 1])
            del self._buffer[: end + 1]
            found += self._line(line)
        if len(self._buffer) > MAX_ASCII:
            found.append(Rejected("no end of line within the size of a frame", bytes(self._buffer[:_RAW_KEPT])))
            start = self._buffer.rfind(b":")
            del self._buffer[: start if start >= 0 and len(self._buffer) - start <= MAX_ASCII else None]
        return found

    def flush(self) -> list[Adu | Rejected]:
        """Give up waiting for the rest of a frame."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [Rejected("short frame: no end of line", rest[:_RAW_KEPT])] if rest else []

    def _line(self, line: bytes) -> list[Adu | Rejected]:
        start = line.rfind(b":")
        noise = [Rejected("bytes before the colon", line[:start][:_RAW_KEPT])] if start > 0 else []
        try:
            return [*noise, _ascii_adu(line[max(start, 0) :])]
        except FrameInvalid as error:
            return [*noise, Rejected(error.detail, line[:_RAW_KEPT])]


class TcpReader:
    """Reads TCP frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._garbage = Garbage()

    @property
    def pending(self) -> bytes:
        """The bytes of a frame that is not complete."""
        return bytes(self._buffer)

    def receive(self, data: bytes) -> list[Adu | Rejected]:
        """Take bytes as they came; return the frames they complete, and runs of garbage between."""
        self._buffer += data
        return self._read(at_end=False)

    def flush(self) -> list[Adu | Rejected]:
        """Give up waiting for the rest of a frame."""
        return self._read(at_end=True)

    def _read(self, *, at_end: bool) -> list[Adu | Rejected]:
        found: list[Adu | Rejected] = []
        buffer, start = self._buffer, 0
        while start < len(buffer):
            fault = mbap_fault(buffer[start : start + 6])
            end = start + 6 + int.from_bytes(buffer[start + 4 : start + 6], "big")
            whole = not fault and len(buffer) - start >= 6 and end <= len(buffer)
            if whole:
                transaction = int.from_bytes(buffer[start : start + 2], "big")
                found += [*self._garbage.end(), Adu(buffer[start + 6], bytes(buffer[start + 7 : end]), transaction)]
                start = end
            elif fault or at_end:
                self._garbage.add(buffer[start], fault or "short frame")
                start += 1
            else:
                break
        del buffer[:start]
        return found + (self._garbage.end() if at_end else self._garbage.overflow())


class Garbage:
    """Gathers a run of bytes that are no frame into one rejection, of bounded size."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._why = ""
        self._size = 0

    def add(self, byte: int, why: str) -> None:
        """Take one byte; the first one's reason names the run."""
        if not self._size:
            self._why = why
        self._size += 1
        if len(self._raw) < _RAW_KEPT:
            self._raw.append(byte)

    def end(self) -> list[Adu | Rejected]:
        """Return the run, if there is one, and forget it."""
        if not self._size:
            return []
        run = Rejected(f"{self._size} bytes: {self._why}", bytes(self._raw))
        self._raw.clear()
        self._size = 0
        return [run]

    def overflow(self) -> list[Adu | Rejected]:
        """Return the run if it is longer than any frame: nobody should wait for its end to hear of it."""
        return self.end() if self._size > MAX_TCP else []


def rtu_requests() -> RtuReader:
    """Return a reader for a server's side of a line."""
    return RtuReader(request_size)


def rtu_responses() -> RtuReader:
    """Return a reader for a client's side of a line."""
    return RtuReader(response_size)


def rtu_traffic() -> RtuReader:
    """Return a reader for a tap that hears both sides."""
    return RtuReader(request_size, response_size)


def mbap_fault(header: bytes | bytearray) -> str:
    """Return what is wrong with the beginning of a TCP frame, as far as it is there; else an empty text."""
    if any(header[2:4]):
        return "protocol id must be 0"
    if len(header) >= 6 and not 2 <= int.from_bytes(header[4:6], "big") <= 1 + MAX_PDU:
        return f"length {int.from_bytes(header[4:6], 'big')} is not 2..{1 + MAX_PDU}"
    return ""


def _ascii_adu(line: bytes) -> Adu:
    if not line.startswith(b":"):
        raise FrameInvalid("a frame begins with a colon")
    if len(line) > MAX_ASCII:
        raise FrameInvalid(f"{len(line)} characters pass the {MAX_ASCII} of a frame")
    digits = line[1:].rstrip(b"\r\n")
    try:
        body = bytes.fromhex(digits.decode("ascii"))
    except ValueError as error:
        raise FrameInvalid("not hexadecimal") from error
    if len(body) < 4 or len(body) * 2 != len(digits):
        raise FrameInvalid("short frame" if len(body) < 4 else "spaces between the digits")
    if lrc(body) != 0:
        raise FrameInvalid(f"lrc is {body[-1]:02X}, must be {lrc(body[:-1]):02X}")
    return Adu(body[0], body[1:-1])
