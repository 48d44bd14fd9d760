"""Still pictures for cameras that do not exist: grey baseline JPEGs, written straight as coefficients (ITU-T T.81).

    SOI | DQT | SOF0 | DHT (DC) | DHT (AC) | SOS | scan | EOI

A block is its DC, as the difference to the one before, and a few AC coefficients; a cosine transform is not needed.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Final

_WIDTH: Final = 160
_HEIGHT: Final = 96
_ACROSS: Final = _WIDTH // 8
_BLOCKS: Final = _ACROSS * (_HEIGHT // 8)
# T.81, table K.3: bit sizes of DC differences; lengths of their codes.
_DC_LENGTHS: Final = (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)
_DC_VALUES: Final = tuple(range(12))
# Ours: the end of a block, and sizes 1 to 8 without zeros before them.
_AC_LENGTHS: Final = (0, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)
_AC_VALUES: Final = (0x01, 0x02, 0x00, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08)
_END_OF_BLOCK: Final = 0x00
_DETAIL: Final = 8
"""AC coefficients of a block that has something in it."""


def moving_picture(number: int) -> bytes:
    """Return picture `number` of a pattern that moves one block to the right each time, with noise."""
    noise = random.Random(number)
    blocks = []
    for place in range(_BLOCKS):
        across, down = (place - number) % _ACROSS, place // _ACROSS
        bright = 40 * ((across // 4 + down // 3) % 3) - 40
        blocks.append((bright, [noise.choice((-3, -2, -1, 1, 2, 3)) for _ in range(_DETAIL)]))
    return _jpeg(blocks, b"moving")


def black_picture(comment: bytes = b"black") -> bytes:
    """Return a picture with nothing in it; the comment is no part of the picture."""
    return _jpeg([(-64, [])] * _BLOCKS, comment)


def _jpeg(blocks: Iterable[tuple[int, Sequence[int]]], comment: bytes) -> bytes:
    frame = b"\x08" + _HEIGHT.to_bytes(2) + _WIDTH.to_bytes(2) + b"\x01" + b"\x01\x11\x00"
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xFE, comment),
            _segment(0xDB, b"\x00" + bytes([16] * 64)),
            _segment(0xC0, frame),
            _segment(0xC4, b"\x00" + bytes(_DC_LENGTHS) + bytes(_DC_VALUES)),
            _segment(0xC4, b"\x10" + bytes(_AC_LENGTHS) + bytes(_AC_VALUES)),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            _scan(blocks),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2) + body


def _scan(blocks: Iterable[tuple[int, Sequence[int]]]) -> bytes:
    dc, ac = _codes(_DC_LENGTHS, _DC_VALUES), _codes(_AC_LENGTHS, _AC_VALUES)
    bits: list[str] = []
    before = 0
    for bright, detail in blocks:
        difference, before = bright - before, bright
        bits += (dc[difference.bit_length()], _amplitude(difference))
        for value in detail:
            bits += (ac[value.bit_length()], _amplitude(value))
        bits.append(ac[_END_OF_BLOCK])
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\x00")


def _codes(lengths: Sequence[int], values: Sequence[int]) -> dict[int, str]:
    """Return the Huffman codes as bits: T.81, annex C."""
    codes: dict[int, str] = {}
    code, taken = 0, 0
    for length, count in enumerate(lengths, 1):
        for value in values[taken : taken + count]:
            codes[value] = f"{code:0{length}b}"
            code += 1
        taken += count
        code <<= 1
    return codes


def _amplitude(value: int) -> str:
    """Return the bits of a value after its size: a negative one is its ones' complement."""
    size = value.bit_length()
    return f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""
