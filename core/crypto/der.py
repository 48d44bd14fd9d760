"""The two DER forms of SM2 (GM/T 0009-2012 section 7), for peers that speak them; inside, all is raw.

signature   SEQUENCE { INTEGER r, INTEGER s }                                     <-> r || s
ciphertext  SEQUENCE { INTEGER x, INTEGER y, OCTET STRING C3, OCTET STRING C2 }   <-> 04 || x || y || C3 || C2
"""

from typing import Final

from core.errors import FrameInvalid

_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_SEQUENCE: Final = 0x30


def signature_to_der(raw: bytes) -> bytes:
    """DER of the 64 bytes r || s, with the shortest integers."""
    return _element(_SEQUENCE, _integer(raw[:32]) + _integer(raw[32:]))


def signature_from_der(der: bytes) -> bytes:
    """64 bytes r || s, left-padded; FrameInvalid otherwise. One surplus leading zero is taken, as some signers send."""
    body = _only(_SEQUENCE, der)
    r, rest = _take(_INTEGER, body)
    return _unsigned(r) + _unsigned(_only(_INTEGER, rest))


def ciphertext_to_der(raw: bytes) -> bytes:
    """DER of 04 || x || y || C3 || C2."""
    x, y, c3, c2 = raw[1:33], raw[33:65], raw[65:97], raw[97:]
    return _element(_SEQUENCE, _integer(x) + _integer(y) + _element(_OCTETS, c3) + _element(_OCTETS, c2))


def ciphertext_from_der(der: bytes) -> bytes:
    """04 || x || y || C3 || C2; FrameInvalid otherwise."""
    x, rest = _take(_INTEGER, _only(_SEQUENCE, der))
    y, rest = _take(_INTEGER, rest)
    c3, rest = _take(_OCTETS, rest)
    if len(c3) != 32:
        raise FrameInvalid(f"C3 has {len(c3)} bytes, not 32")
    return b"\x04" + _unsigned(x) + _unsigned(y) + c3 + _only(_OCTETS, rest)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _integer(unsigned: bytes) -> bytes:
    shortest = unsigned.lstrip(b"\x00") or b"\x00"
    return _element(_INTEGER, b"\x00" + shortest if shortest[0] & 0x80 else shortest)


def _only(tag: int, der: bytes) -> bytes:
    content, rest = _take(tag, der)
    if rest:
        raise FrameInvalid(f"{len(rest)} bytes after the DER element {tag:#04x}")
    return content


def _take(tag: int, der: bytes) -> tuple[bytes, bytes]:
    """Content of the first element and what follows; a claimed length is only ever a slice of what is there."""
    if len(der) < 2 or der[0] != tag:
        raise FrameInvalid(f"the DER element {tag:#04x} is missing")
    start, size = 2, der[1]
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(der[2:start], "big")
        if start not in (3, 4, 5) or size < 0x80:
            raise FrameInvalid("a DER length that is indefinite, too long or not the shortest")
    if len(der) < start + size:
        raise FrameInvalid(f"the DER element {tag:#04x} is cut short")
    return der[start : start + size], der[start + size :]


def _unsigned(content: bytes) -> bytes:
    if not content or content[0] & 0x80 or len(content) > 33 or (len(content) == 33 and content[0]):
        raise FrameInvalid("a DER integer that is not an unsigned number of 256 bits")
    return content[-32:].rjust(32, b"\x00")
