"""The part of BER that SNMP uses (X.690; RFC 3417, 8): definite lengths, low tags.

    tag (1) | length (1: 0-127, or 0x80+n and n bytes) | content

A length is never believed beyond the bytes that are there, and nothing longer than a UDP datagram is one.
"""

from collections.abc import Iterator
from typing import Final

from core.errors import FrameInvalid

LONGEST: Final = 65_535
INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
SEQUENCE: Final = 0x30
_MAX_ARCS: Final = 128


def whole(data: bytes) -> int:
    """Return how long the element at the start is, 0 where more bytes are needed to tell; raise FrameInvalid."""
    if len(data) < 2:
        return 0
    first = data[1]
    if first < 0x80:
        return 2 + first
    size = first & 0x7F
    if not 1 <= size <= 4:
        raise FrameInvalid(f"a BER length of {size} bytes")
    if len(data) < 2 + size:
        return 0
    length = 2 + size + int.from_bytes(data[2 : 2 + size])
    if length > LONGEST:
        raise FrameInvalid(f"an element of {length} bytes, at most {LONGEST}")
    return length


def read(data: bytes, wanted: int | None = None) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element, and what follows; raise FrameInvalid."""
    length = whole(data)
    if not length or length > len(data):
        raise FrameInvalid("an element that is cut off")
    tag = data[0]
    if wanted is not None and tag != wanted:
        raise FrameInvalid(f"tag {tag:#04x} instead of {wanted:#04x}")
    head = 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)
    return tag, data[head:length], data[length:]


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element; raise FrameInvalid."""
    while content:
        tag, inner, content = read(content)
        yield tag, inner


def read_integer(content: bytes) -> int:
    """Return a signed number of at most 9 bytes; raise FrameInvalid."""
    if not 1 <= len(content) <= 9:
        raise FrameInvalid(f"a number of {len(content)} bytes")
    return int.from_bytes(content, signed=True)


def read_oid(content: bytes) -> str:
    """Return an object identifier, dotted; raise FrameInvalid."""
    if not content or content[-1] & 0x80 or len(content) > 5 * _MAX_ARCS:
        raise FrameInvalid("an object identifier that is cut off, empty or too long")
    arcs, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if value > 0xFFFFFFFF:
            raise FrameInvalid("an object identifier with an arc above 2^32")
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    if len(arcs) > _MAX_ARCS:
        raise FrameInvalid(f"an object identifier of more than {_MAX_ARCS} arcs")
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


def write(tag: int, content: bytes) -> bytes:
    """Return an element."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size) + content


def write_integer(value: int, tag: int = INTEGER) -> bytes:
    """Return a signed number, as short as can be."""
    return write(tag, value.to_bytes((value.bit_length() // 8) + 1, signed=True))


def write_oid(dotted: str) -> bytes:
    """Return an object identifier."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return write(OID, b"".join(_arc(arc) for arc in (40 * first + second, *rest)))


def _arc(value: int) -> bytes:
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))
