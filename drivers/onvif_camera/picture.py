"""What a JPEG's bytes tell of a camera's picture without decoding it (ITU-T T.81).

A uniform picture (black, white, a lens that is covered, no signal) needs only 2 to 6 bits for each block of 8x8: an
unchanged DC and an end of block. It cannot tell black from white, and an overlay of text adds bits. A frozen picture is
the same to the last bit of its scan: comments and times in the file's head do not count, a clock burnt into the picture
does, and hides it; sensor noise is never the same twice.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from core.errors import FrameInvalid

_SOI: Final = b"\xff\xd8"
_SOS: Final = 0xDA
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_MAX_SEGMENTS: Final = 256


@dataclass(frozen=True, slots=True)
class Picture:
    """One still."""

    width: int
    height: int
    size_bytes: int
    bits_per_block: float
    digest: bytes
    """Of the scan: the same for the same picture."""


def read_picture(data: bytes) -> Picture:
    """Read a JPEG's head and weigh its scan; raise FrameInvalid for what is none, or cut off."""
    if not data.startswith(_SOI):
        raise FrameInvalid("not a JPEG")
    at, frame = 2, b""
    for _ in range(_MAX_SEGMENTS):
        marker, body, at = _segment(data, at)
        if marker in _FRAMES:
            frame = body
        if marker == _SOS:
            return _weighed(frame, data[at:], len(data))
    raise FrameInvalid("a JPEG with too many segments")


def _segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return a marker, its content and where the next begins."""
    while at < len(data) - 1 and data[at] == 0xFF and data[at + 1] == 0xFF:
        at += 1  # fill bytes
    if at + 1 >= len(data) or data[at] != 0xFF:
        raise FrameInvalid("a JPEG that is cut off or garbled")
    marker = data[at + 1]
    if marker in _ALONE:
        return marker, b"", at + 2
    length = int.from_bytes(data[at + 2 : at + 4])
    end = at + 2 + length
    if length < 2 or end > len(data):
        raise FrameInvalid("a JPEG that is cut off")
    return marker, data[at + 4 : end], end


def _weighed(frame: bytes, rest: bytes, size: int) -> Picture:
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5] or not frame[5]:
        raise FrameInvalid("a JPEG without a frame header")
    end = rest.rfind(b"\xff\xd9")
    if end < 0:
        raise FrameInvalid("a JPEG without its end")
    scan = rest[:end]
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    if not height or not width:
        raise FrameInvalid("a JPEG without a size")
    blocks = _blocks(frame, width, height)
    return Picture(width, height, size, 8 * len(scan) / blocks, hashlib.blake2b(scan, digest_size=16).digest())


def _blocks(frame: bytes, width: int, height: int) -> int:
    """Return how many blocks the components have: one with half the lines and columns has a quarter."""
    factors = [(frame[7 + 3 * n] >> 4 or 1, frame[7 + 3 * n] & 15 or 1) for n in range(frame[5])]
    across, down = 8 * max(h for h, _ in factors), 8 * max(v for _, v in factors)
    units = -(-width // across) * -(-height // down)
    return units * sum(h * v for h, v in factors)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a camera's picture is, and how long it has been the same."""

    blank: bool = False
    frozen: bool = False
    same: int = 1
    """Pictures in a row that were the same."""
    digest: bytes = b""


def judged(before: Verdict, picture: Picture, *, blank_bits_per_block: float, frozen_after: int) -> Verdict:
    """Return the verdict after one more picture. A blank one is not called frozen: it has nothing that could move."""
    same = before.same + 1 if picture.digest == before.digest else 1
    blank = picture.bits_per_block <= blank_bits_per_block
    return Verdict(blank, same >= frozen_after and not blank, same, picture.digest)
