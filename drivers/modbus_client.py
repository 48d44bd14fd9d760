"""The client's side of a Modbus line, without the line: what to send, and which of the bytes that come are the answer.

Promises
1. Only an answer that fits the question is given out: unit, function, and byte count or echoed address (RTU and ASCII,
   which have no more to match by), and also the transaction (TCP). Everything else is dropped and counted.
2. Every question begins with empty ears: bytes that came before it are never part of its answer.
3. Memory is bounded: no peer can make it keep more than `_KEPT` bytes.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from core.errors import FrameInvalid
from drivers.modbus_framing import (
    Adu,
    AsciiReader,
    FrameReader,
    ascii_frame,
    crc16,
    mbap_fault,
    rtu_frame,
    rtu_responses,
    tcp_frame,
)
from drivers.modbus_pdu import REFUSED, Request, answer_head, answer_size

_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a unit, with what its answer must look like; made once, asked often."""

    unit: int
    request: Request
    pdu: bytes
    head: bytes
    """The first bytes of a good answer's PDU."""
    size: int
    """The size of a good answer's PDU."""


def question(unit: int, request: Request) -> Question:
    """Return the question; raise FrameInvalid if there can be no such unit."""
    if not 0 <= unit <= 255:
        raise FrameInvalid(f"unit {unit} is not 0..255")
    return Question(unit, request, request.encode(), answer_head(request), answer_size(request))


class Asker(Protocol):
    """One connection, one question at a time."""

    numbered: ClassVar[bool]
    """Answers bear the number of their question, and unit 0 is a unit like others; else it is everybody."""
    mismatches: int
    """Good frames that were not the answer, since the connection began: late, or another's."""
    garbled: int
    """Runs of bytes that were no good frame, since the connection began."""

    def ask(self, question: Question) -> bytes:
        """Return the frame to send, and forget whatever came before."""

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes as they came; return the answer's PDU once it is whole; raise FrameInvalid if it is garbled."""

    def give_up(self) -> None:
        """End the question without an answer, and count what came instead."""


class RtuAsker:
    """Questions in RTU frames: the answer is found by its known beginning and size, also behind noise."""

    numbered: ClassVar[bool] = False

    def __init__(self) -> None:
        self.mismatches = 0
        self.garbled = 0
        self._buffer = bytearray()
        self._question: Question | None = None
        self._head = b""
        self._size = 0
        self._refusal = b""

    def ask(self, question: Question) -> bytes:
        """Return the frame to send, and forget whatever came before."""
        self.give_up()
        unit = question.unit
        self._question = question
        self._head = bytes((unit,)) + question.head
        self._size = question.size + 3
        self._refusal = bytes((unit, question.head[0] | REFUSED))
        return rtu_frame(unit, question.pdu)

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes as they came; return the answer's PDU once it is whole; raise FrameInvalid if it is garbled."""
        self._buffer += data
        if len(self._buffer) > _KEPT:
            del self._buffer[:-_KEPT]
        if self._question is None:
            return None
        answer, waiting, broken = self._find(self._head, self._size)
        if answer is None and not waiting:
            answer, _, _ = self._find(self._refusal, 5)
        if answer is None and broken and not waiting:
            self.give_up()
            raise FrameInvalid("the answer's crc does not fit")
        return answer

    def give_up(self) -> None:
        """End the question without an answer, and count what came instead."""
        self._question = None
        if self._buffer:
            self._count(bytes(self._buffer))
            self._buffer.clear()

    def _find(self, head: bytes, size: int) -> tuple[bytes | None, bool, bool]:
        """Return the answer's PDU if it is here, whether one may still be on its way, and whether one is broken."""
        buffer, broken = self._buffer, False
        at = buffer.find(head)
        while at >= 0:
            if len(buffer) - at < size:
                return None, True, broken
            if crc16(buffer[at : at + size]) == 0:
                return self._take(at, size), False, False
            broken = True
            at = buffer.find(head, at + 1)
        return None, False, broken

    def _take(self, at: int, size: int) -> bytes:
        answer = bytes(self._buffer[at + 1 : at + size - 2])
        del self._buffer[at : at + size]
        self.give_up()
        return answer

    def _count(self, strays: bytes) -> None:
        mismatches, garbled = _strays(rtu_responses(), strays)
        self.mismatches += mismatches
        self.garbled += garbled


class AsciiAsker:
    """Questions in ASCII frames."""

    numbered: ClassVar[bool] = False

    def __init__(self) -> None:
        self.mismatches = 0
        self.garbled = 0
        self._reader = AsciiReader()
        self._question: Question | None = None

    def ask(self, question: Question) -> bytes:
        """Return the frame to send, and forget whatever came before."""
        self.give_up()
        self._question = question
        return ascii_frame(question.unit, question.pdu)

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes as they came; return the answer's PDU once it is whole; raise FrameInvalid if it is garbled."""
        answer: bytes | None = None
        garbled = self.garbled
        for found in self._reader.receive(data):
            if not isinstance(found, Adu):
                self.garbled += 1
            elif (
                answer is None
                and self._question
                and found.unit == self._question.unit
                and fits(self._question, found.pdu)
            ):
                answer = found.pdu
                self._question = None
            else:
                self.mismatches += 1
        if answer is None and self._question and self.garbled > garbled:
            self.give_up()
            raise FrameInvalid("the answer's lrc does not fit")
        return answer

    def give_up(self) -> None:
        """End the question without an answer, and count what came instead."""
        self._question = None
        self.garbled += len(self._reader.flush())


class TcpAsker:
    """Questions in TCP frames, each with a transaction of its own."""

    numbered: ClassVar[bool] = True

    def __init__(self) -> None:
        self.mismatches = 0
        self.garbled = 0
        self._buffer = bytearray()
        self._question: Question | None = None
        self._transaction = 0

    def ask(self, question: Question) -> bytes:
        """Return the frame to send, and forget whatever came before."""
        self.give_up()
        self._question = question
        self._transaction = (self._transaction + 1) & 0xFFFF
        return tcp_frame(self._transaction, question.unit, question.pdu)

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes as they came; return the answer's PDU once it is whole; raise FrameInvalid if it is garbled."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 6:
            if fault := mbap_fault(buffer[:6]):
                self._garble(fault)
                return None
            end = 6 + (buffer[4] << 8 | buffer[5])
            if len(buffer) < end:
                return None
            transaction, unit, pdu = buffer[0] << 8 | buffer[1], buffer[6], bytes(buffer[7:end])
            del buffer[:end]
            asked = self._question
            if asked and transaction == self._transaction and unit == asked.unit:
                if not fits(asked, pdu):
                    self._garble(f"answer {pdu[:8].hex()} does not fit function {asked.pdu[0]}")
                self._question = None
                return pdu
            self.mismatches += 1
        return None

    def give_up(self) -> None:
        """End the question without an answer, and count what came instead."""
        self._question = None
        self.garbled += bool(self._buffer)
        self._buffer.clear()

    def _garble(self, why: str) -> None:
        self._buffer.clear()
        self.garbled += 1
        if self._question:
            self._question = None
            raise FrameInvalid(why)


def fits(asked: Question, pdu: bytes) -> bool:
    """Tell whether a PDU can be the answer to a question."""
    if len(pdu) == asked.size and pdu.startswith(asked.head):
        return True
    return len(pdu) == 2 and pdu[0] == asked.head[0] | REFUSED


def _strays(reader: FrameReader, data: bytes) -> tuple[int, int]:
    found = [*reader.receive(data), *reader.flush()]
    good = sum(isinstance(item, Adu) for item in found)
    return good, len(found) - good
