"""Bytes -> lines that may be sentences, and what lies between.

Promises:
- A line begins with `$` or `!` and ends with CR or LF. A `$` within it begins anew: what was before is rejected.
- Holds at most one line of `max_chars`; what is longer is rejected, and skipped up to the next start.
- Bytes outside lines are told as noise, once a line or 1,024 bytes of noise, with at most 64 of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drivers.base import Rejected

_HEAD: Final = 64
_MOST_NOISE: Final = 1024
_ENDS: Final = frozenset(b"\r\n")
_STARTS: Final = frozenset(b"$!")
_DOLLAR: Final = ord("$")


@dataclass(frozen=True, slots=True)
class Noise:
    """A run of bytes that is no sentence. `first`: before any start, as when one listens from the midst of a line."""

    head: bytes
    count: int
    first: bool


Item = bytes | Noise | Rejected


class Lines:
    """The lines of one connection."""

    def __init__(self, max_chars: int) -> None:
        self._most = max_chars - 2
        self._line = bytearray()
        self._skipping = False
        self._noise = bytearray()
        self._noise_count = 0
        self._forgiven = max_chars
        """Noise that is still taken for the end of a line whose start was before we listened."""

    def receive(self, data: bytes) -> Iterator[Item]:
        """Give what the bytes complete."""
        for byte in data:
            if byte == _DOLLAR or (byte in _STARTS and not self._line):
                yield from self._start(byte)
            elif self._line:
                yield from self._go_on(byte)
            elif byte in _ENDS:
                yield from self._noise_ends()
            elif not self._skipping:
                yield from self._hiss(byte)

    def _start(self, byte: int) -> Iterator[Item]:
        yield from self._noise_ends()
        if self._line:
            yield Rejected("a second start before the end of a sentence", bytes(self._line[:_HEAD]))
        self._line[:] = (byte,)
        self._skipping = False
        self._forgiven = 0

    def _go_on(self, byte: int) -> Iterator[Item]:
        if byte in _ENDS:
            line = bytes(self._line)
            self._line.clear()
            yield line
        elif len(self._line) >= self._most or not 0x20 <= byte < 0x7F:
            why = "a sentence that is too long" if 0x20 <= byte < 0x7F else "a sentence with a byte that is not ASCII"
            yield Rejected(why, bytes(self._line[:_HEAD]))
            self._line.clear()
            self._skipping = True
        else:
            self._line.append(byte)

    def _hiss(self, byte: int) -> Iterator[Item]:
        self._noise_count += 1
        if len(self._noise) < _HEAD:
            self._noise.append(byte)
        if self._noise_count >= _MOST_NOISE:
            yield from self._noise_ends()

    def _noise_ends(self) -> Iterator[Item]:
        if self._noise_count:
            first = self._noise_count <= self._forgiven
            yield Noise(bytes(self._noise), self._noise_count, first)
            self._forgiven = 0
        self._noise.clear()
        self._noise_count = 0
        self._skipping = False
