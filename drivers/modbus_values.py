"""Values that span registers: word and byte orders differ by vendor, so each point of a profile names its own.

The letters are the bytes of a big-endian value, in the order in which they travel: 123456.0 is `47F1 2000` in ABCD.
"""

import struct
from collections.abc import Sequence
from enum import StrEnum

from core.errors import FrameInvalid


class Order(StrEnum):
    """The order of the four bytes of two registers on the wire."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"


class Kind(StrEnum):
    """How the bits of a point are read."""

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    F32 = "f32"


_FORMAT = {Kind.U16: ">H", Kind.I16: ">h", Kind.U32: ">I", Kind.I32: ">i", Kind.F32: ">f"}


def words_of(kind: Kind) -> int:
    """Return how many registers a value of this kind takes."""
    return struct.calcsize(_FORMAT[kind]) // 2


def value_of(registers: Sequence[int], kind: Kind, order: Order = Order.ABCD) -> float:
    """Return the value of one or two registers (an int unless f32); raise FrameInvalid for another number of them."""
    if len(registers) != words_of(kind):
        raise FrameInvalid(f"{kind} takes {words_of(kind)} registers, not {len(registers)}")
    wire = struct.pack(f">{len(registers)}H", *registers)
    found: float = struct.unpack(_FORMAT[kind], _reordered(wire, order))[0]
    return found


def registers_of(value: float, kind: Kind, order: Order = Order.ABCD) -> tuple[int, ...]:
    """Return the registers of a value; raise FrameInvalid if it does not fit."""
    try:
        plain = struct.pack(_FORMAT[kind], value if kind is Kind.F32 else int(value))
    except (struct.error, OverflowError, ValueError) as error:
        raise FrameInvalid(f"{value} does not fit {kind}") from error
    return struct.unpack(f">{len(plain) // 2}H", _reordered(plain, order))


def _reordered(four: bytes, order: Order) -> bytes:
    """Each of the four orders is its own inverse. One register knows only whether its bytes are swapped."""
    if len(four) == 2:
        return four[::-1] if order in {Order.BADC, Order.DCBA} else four
    return bytes(four[ord(letter) - ord("A")] for letter in order)
