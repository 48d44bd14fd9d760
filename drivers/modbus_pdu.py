"""Modbus PDUs: what is asked and answered, whatever carries it (MODBUS Application Protocol V1.1b3, chapter 6).

    1-4     fc | address u16 | count u16                      fc | bytes u8 | bits or registers
    5, 6    fc | address u16 | value u16                      the same again
    15, 16  fc | address u16 | count u16 | bytes u8 | values  fc | address u16 | count u16
    23      fc | read address, count | write address, count | bytes u8 | values     fc | bytes u8 | registers
    no      -                                                 fc | 0x80 | exception u8

A PDU that breaks the protocol cannot be built: its constructor raises FrameInvalid. Addresses are as on the wire,
from 0.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import ConfigInvalid, DeviceRefused, FrameInvalid
from drivers.base import Poll, Space, Write

READ_COILS: Final = 1
READ_DISCRETES: Final = 2
READ_HOLDINGS: Final = 3
READ_INPUTS: Final = 4
WRITE_COIL: Final = 5
WRITE_REGISTER: Final = 6
WRITE_COILS: Final = 15
WRITE_REGISTERS: Final = 16
READ_WRITE: Final = 23
REFUSED: Final = 0x80
"""Set in the function code of an answer that says no."""

COIL_ON: Final = 0xFF00
MAX_PDU: Final = 253
MAX_READ: Final = {1: 2000, 2: 2000, 3: 125, 4: 125}
MAX_WRITE: Final = {15: 1968, 16: 123}
MAX_READ_WRITE: Final = (125, 121)
MAX_ANSWER_BYTES: Final = 250
FUNCTIONS: Final = frozenset({1, 2, 3, 4, 5, 6, 15, 16, 23})
BIT_FUNCTIONS: Final = frozenset({1, 2, 15})
COUNTED_ANSWERS: Final = frozenset({1, 2, 3, 4, 23})
"""Functions whose answer tells its own byte count."""
WORD_ANSWERS: Final = frozenset({3, 4, 23})
FUNCTION_OF: Final = {Space.COIL: 1, Space.DISCRETE: 2, Space.HOLDING: 3, Space.INPUT: 4}

EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledged, still working",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not answer",
}
_BITS: Final = tuple(tuple((byte >> bit) & 1 for bit in range(8)) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Read:
    """Functions 1-4, request."""

    function: int
    address: int
    count: int

    def __post_init__(self) -> None:
        _check_block(self.function, self.address, self.count, MAX_READ.get(self.function, 0))

    def encode(self) -> bytes:
        """Return the bytes."""
        return struct.pack(">BHH", self.function, self.address, self.count)


@dataclass(frozen=True, slots=True)
class WriteOne:
    """Functions 5 and 6, request and answer. Some vendors give function 5 values of their own: any u16 passes."""

    function: int
    address: int
    value: int

    def __post_init__(self) -> None:
        _check_block(self.function, self.address, 1, 1)
        _check_words((self.value,))

    def encode(self) -> bytes:
        """Return the bytes."""
        return struct.pack(">BHH", self.function, self.address, self.value)


@dataclass(frozen=True, slots=True)
class WriteMany:
    """Functions 15 (values 0 or 1) and 16, request."""

    function: int
    address: int
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_block(self.function, self.address, len(self.values), MAX_WRITE.get(self.function, 0))
        _check_words(self.values)

    def encode(self) -> bytes:
        """Return the bytes."""
        data = pack_bits(self.values) if self.function in BIT_FUNCTIONS else pack_registers(self.values)
        return struct.pack(">BHHB", self.function, self.address, len(self.values), len(data)) + data


@dataclass(frozen=True, slots=True)
class ReadWrite:
    """Function 23, request: the write is done before the read."""

    read_address: int
    read_count: int
    write_address: int
    write_values: tuple[int, ...]
    function: int = READ_WRITE

    def __post_init__(self) -> None:
        _check_block(READ_WRITE, self.read_address, self.read_count, MAX_READ_WRITE[0])
        _check_block(READ_WRITE, self.write_address, len(self.write_values), MAX_READ_WRITE[1])
        _check_words(self.write_values)

    def encode(self) -> bytes:
        """Return the bytes."""
        data = pack_registers(self.write_values)
        head = (READ_WRITE, self.read_address, self.read_count, self.write_address, len(self.write_values), len(data))
        return struct.pack(">BHHHHB", *head) + data


@dataclass(frozen=True, slots=True)
class BitsRead:
    """Functions 1 and 2, answer: eight bits a byte; those past the count that was asked are padding."""

    function: int
    bits: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_answer(self.function <= READ_DISCRETES, (len(self.bits) + 7) // 8)

    def encode(self) -> bytes:
        """Return the bytes."""
        data = pack_bits(self.bits)
        return bytes((self.function, len(data))) + data


@dataclass(frozen=True, slots=True)
class RegistersRead:
    """Functions 3, 4 and 23, answer."""

    function: int
    registers: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_answer(self.function in WORD_ANSWERS, 2 * len(self.registers))
        _check_words(self.registers)

    def encode(self) -> bytes:
        """Return the bytes."""
        return bytes((self.function, 2 * len(self.registers))) + pack_registers(self.registers)


@dataclass(frozen=True, slots=True)
class Written:
    """Functions 15 and 16, answer."""

    function: int
    address: int
    count: int

    def __post_init__(self) -> None:
        _check_block(self.function, self.address, self.count, MAX_WRITE.get(self.function, 0))

    def encode(self) -> bytes:
        """Return the bytes."""
        return struct.pack(">BHH", self.function, self.address, self.count)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exception answer; `function` without its high bit."""

    function: int
    code: int

    def __post_init__(self) -> None:
        if not 1 <= self.function <= 127 or not 1 <= self.code <= 255:
            raise FrameInvalid(f"no exception {self.code} of function {self.function}")

    def encode(self) -> bytes:
        """Return the bytes."""
        return bytes((self.function | REFUSED, self.code))


Request = Read | WriteOne | WriteMany | ReadWrite
Response = BitsRead | RegistersRead | WriteOne | Written | Refusal


def request_size(head: Sequence[int]) -> int | None:
    """Return the size of a request from its first bytes, None if they are too few; raise FrameInvalid if none fits."""
    if not head:
        return None
    if head[0] <= WRITE_REGISTER and head[0] in FUNCTIONS:
        return 5
    if head[0] not in FUNCTIONS:
        raise FrameInvalid(f"function {head[0]} is not one that is spoken here")
    fixed = 10 if head[0] == READ_WRITE else 6
    if len(head) < fixed:
        return None
    return _within(fixed + head[fixed - 1])


def response_size(head: Sequence[int]) -> int | None:
    """Return the size of an answer from its first bytes, None if they are too few; raise FrameInvalid if none fits."""
    if not head:
        return None
    function = head[0]
    if function & REFUSED and function & 0x7F in FUNCTIONS:
        return 2
    if function not in FUNCTIONS:
        raise FrameInvalid(f"function {function} is not one that is spoken here")
    if function not in COUNTED_ANSWERS:
        return 5
    if len(head) < 2:
        return None
    if not 1 <= head[1] <= MAX_ANSWER_BYTES or (function not in BIT_FUNCTIONS and head[1] % 2):
        raise FrameInvalid(f"byte count {head[1]} cannot be an answer to function {function}")
    return 2 + head[1]


def parse_request(pdu: bytes) -> Request:
    """Read a request; raise FrameInvalid."""
    _check_size(pdu, request_size(pdu))
    function = pdu[0]
    if function <= READ_INPUTS:
        return Read(*struct.unpack(">BHH", pdu))
    if function <= WRITE_REGISTER:
        return WriteOne(*struct.unpack(">BHH", pdu))
    if function == READ_WRITE:
        _, read_at, read_count, write_at, count, _ = struct.unpack_from(">BHHHHB", pdu)
        _check_bytes(len(pdu) - 10, 2 * count)
        return ReadWrite(read_at, read_count, write_at, unpack_registers(pdu[10:]))
    address, count = struct.unpack_from(">HH", pdu, 1)
    if function == WRITE_COILS:
        _check_bytes(len(pdu) - 6, (count + 7) // 8)
        return WriteMany(function, address, unpack_bits(pdu[6:], count))
    _check_bytes(len(pdu) - 6, 2 * count)
    return WriteMany(function, address, unpack_registers(pdu[6:]))


def parse_response(pdu: bytes) -> Response:
    """Read an answer; raise FrameInvalid."""
    _check_size(pdu, response_size(pdu))
    function = pdu[0]
    if function & REFUSED:
        return Refusal(function & 0x7F, pdu[1])
    if function <= READ_DISCRETES:
        return BitsRead(function, unpack_bits(pdu[2:], 8 * pdu[1]))
    if function in WORD_ANSWERS:
        return RegistersRead(function, unpack_registers(pdu[2:]))
    if function in MAX_WRITE:
        return Written(*struct.unpack(">BHH", pdu))
    return WriteOne(*struct.unpack(">BHH", pdu))


def read_answer(request: Request, pdu: bytes) -> tuple[int, ...]:
    """Return the values that were asked for, none for a write; raise DeviceRefused or FrameInvalid."""
    if len(pdu) == 2 and pdu[0] == request.function | REFUSED:
        raise DeviceRefused(f"function {request.function}: {exception_text(pdu[1])}")
    if not pdu.startswith(answer_head(request)) or len(pdu) != answer_size(request):
        raise FrameInvalid(f"answer {pdu[:8].hex()} does not fit function {request.function}")
    return answer_values(request, pdu)


def answer_values(request: Request, pdu: bytes) -> tuple[int, ...]:
    """Return the values of an answer whose head and size are known to be right, none for a write."""
    function = pdu[0]
    if function in WORD_ANSWERS:
        return unpack_registers(pdu[2:])
    return unpack_bits(pdu[2:], request.count) if isinstance(request, Read) else ()


def answer_head(request: Request) -> bytes:
    """Return the first bytes that a good answer to `request` must have."""
    match request:
        case Read(function=function, count=count):
            return bytes((function, (count + 7) // 8 if function in BIT_FUNCTIONS else 2 * count))
        case ReadWrite(read_count=count):
            return bytes((READ_WRITE, 2 * count))
        case _:
            return request.encode()[:5]


def answer_size(request: Request) -> int:
    """Return the size of a good answer to `request`."""
    head = answer_head(request)
    return 2 + head[1] if len(head) == 2 else 5


def poll_request(poll: Poll) -> Read:
    """Return the request of a poll; raise ConfigInvalid where Modbus cannot read such a block."""
    try:
        return Read(FUNCTION_OF[poll.space], poll.address, poll.count)
    except FrameInvalid as error:
        raise ConfigInvalid(f"poll {poll.name!r}: {error.detail}") from error


def write_request(write: Write) -> WriteOne | WriteMany:
    """Return the request of a write; raise ConfigInvalid where Modbus has none such."""
    try:
        if write.function in {WRITE_COIL, WRITE_REGISTER} and len(write.values) == 1:
            return WriteOne(write.function, write.address, write.values[0])
        return WriteMany(write.function, write.address, tuple(write.values))
    except FrameInvalid as error:
        raise ConfigInvalid(f"write to {write.address}: {error.detail}") from error


def exception_text(code: int) -> str:
    """Return what an exception code says."""
    return f"exception {code}, {EXCEPTIONS.get(code, 'not in the standard')}"


def pack_bits(bits: Sequence[int]) -> bytes:
    """Pack bits, the first in the lowest bit of the first byte."""
    number = sum(1 << place for place, bit in enumerate(bits) if bit)
    return number.to_bytes((len(bits) + 7) // 8, "little")


def unpack_bits(data: bytes, count: int) -> tuple[int, ...]:
    """Return the first `count` bits."""
    return tuple([bit for byte in data for bit in _BITS[byte]][:count])


def pack_registers(registers: Sequence[int]) -> bytes:
    """Pack registers, big-endian."""
    return struct.pack(f">{len(registers)}H", *registers)


def unpack_registers(data: bytes) -> tuple[int, ...]:
    """Return the registers of an even number of bytes."""
    return struct.unpack(f">{len(data) // 2}H", data)


def _check_block(function: int, address: int, count: int, limit: int) -> None:
    if not limit or (limit == 1 and function not in {WRITE_COIL, WRITE_REGISTER}):
        raise FrameInvalid(f"function {function} has no such request")
    if not 1 <= count <= limit:
        raise FrameInvalid(f"count {count} is not 1..{limit} (function {function})")
    if not 0 <= address <= 0x10000 - count:
        raise FrameInvalid(f"address {address} with count {count} passes 65535")


def _check_answer(fits: bool, size: int) -> None:
    if not fits or not 1 <= size <= MAX_ANSWER_BYTES:
        raise FrameInvalid(f"no function answers so with {size} bytes")


def _check_words(values: Sequence[int]) -> None:
    if any(not 0 <= value <= 0xFFFF for value in values):
        raise FrameInvalid("a value is not 0..65535")


def _check_size(pdu: bytes, size: int | None) -> None:
    if size is None or len(pdu) < size:
        raise FrameInvalid(short_text(pdu, size))
    if len(pdu) > size:
        raise FrameInvalid(f"long frame: {len(pdu)} bytes where function {pdu[0]} has {size}")


def short_text(pdu: bytes, size: int | None) -> str:
    """Return how a PDU is cut off; `size` is what its head promises, None if it does not yet."""
    if size is None or not pdu:
        return f"short frame: {len(pdu)} bytes do not tell its size"
    if pdu[0] in COUNTED_ANSWERS and size != 5:
        return f"short frame: byte count says {size - 2} data bytes, {len(pdu) - 2} came"
    return f"short frame: function {pdu[0]} has {size} bytes, {len(pdu)} came"


def _check_bytes(have: int, want: int) -> None:
    if have != want:
        raise FrameInvalid(f"byte count {have} does not fit the count, which needs {want}")


def _within(size: int) -> int:
    if size > MAX_PDU:
        raise FrameInvalid(f"{size} bytes pass the {MAX_PDU} of a PDU")
    return size
