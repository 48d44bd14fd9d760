"""Pictures that came with a fact: told by their first bytes, never by their name, and never decoded."""

from typing import Final

from core.errors import FrameInvalid
from drivers.facts import Image

_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MAX_SEGMENTS: Final = 64
_NO_SIZE: Final = frozenset({0xC4, 0xC8, 0xCC})
"""Markers among C0-CF that are no start of frame (ITU-T T.81, table B.1)."""


def is_picture(data: bytes) -> bool:
    """Tell whether the first bytes are of JPEG or PNG."""
    return data.startswith((_JPEG, _PNG))


def picture(role: str, data: bytes) -> Image:
    """Return a picture with its size in pixels where its head tells; raise FrameInvalid for what is none."""
    if data.startswith(_JPEG):
        width, height = _jpeg_size(data)
        return Image(role, "image/jpeg", data, width, height)
    if data.startswith(_PNG):
        width, height = _png_size(data)
        return Image(role, "image/png", data, width, height)
    raise FrameInvalid(f"a picture that is neither JPEG nor PNG: {data[:4].hex() or 'no bytes'}")


def _png_size(data: bytes) -> tuple[int | None, int | None]:
    if data[12:16] != b"IHDR" or len(data) < 24:
        return None, None
    return _sized(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))


def _jpeg_size(data: bytes) -> tuple[int | None, int | None]:
    """Walk the segments up to the start of frame (ITU-T T.81, B.1.1.4)."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 9 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            return _sized(int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big"))
        if marker == 0xDA:
            break
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None, None


def _sized(width: int, height: int) -> tuple[int | None, int | None]:
    return (width, height) if width and height else (None, None)
