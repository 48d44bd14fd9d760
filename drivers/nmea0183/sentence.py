"""One sentence of NMEA 0183: `$ttsss,f1,f2,...*hh` (or `!` for encapsulated ones), at most 82 characters with CR LF.

`hh` is the exclusive or of everything between `$` and `*`, in upper or lower case.
"""

import re
from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal

from core.errors import FrameInvalid

MAX_CHARS: Final = 82
"""NMEA 0183 5.3: with `$`, CR and LF."""
_ENDING: Final = 2
_ADDRESS: Final = re.compile(r"P[A-Z0-9]{1,9}|[A-Z0-9]{2}[A-Z0-9]{3}")
_CHECKSUM: Final = re.compile(r"[0-9A-Fa-f]{2}")

Demand = Literal["all", "rmc", "none"]
"""Which sentences must bear a checksum. One that is there must always be right."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence whose form and checksum are good; what its fields mean is not yet judged."""

    talker: str
    """Two letters; `P` for a maker's own sentence."""
    kind: str
    fields: tuple[str, ...]
    checksum: str = ""
    """As it was sent; empty where there was none."""
    computed: str = ""

    def field(self, number: int) -> str:
        """Return a field, counted from 0 after the address; empty where the sentence is shorter."""
        return self.fields[number] if number < len(self.fields) else ""


def checksum_of(text: str) -> str:
    """Return the two digits for what stands between `$` and `*`."""
    return f"{reduce(lambda sum_, char: sum_ ^ ord(char), text, 0):02X}"


def parse_sentence(line: bytes, *, demand: Demand = "all", max_chars: int = MAX_CHARS) -> Sentence:
    """Read a line without its CR LF; raise FrameInvalid for one that breaks the standard."""
    if len(line) + _ENDING > max_chars:
        raise FrameInvalid(f"a sentence of more than {max_chars} characters")
    if any(not 0x20 <= byte < 0x7F for byte in line):
        raise FrameInvalid("a sentence with a byte that is not printable ASCII")
    text = line.decode("ascii")
    if text[:1] not in {"$", "!"}:
        raise FrameInvalid("a line that does not begin with $ or !")
    if "$" in text[1:] or "!" in text[1:2]:
        raise FrameInvalid("a second start in one sentence")
    content, star, checksum = text[1:].partition("*")
    computed = checksum_of(content)
    if star:
        _check(checksum, computed)
    address, *fields = content.split(",")
    if not _ADDRESS.fullmatch(address):
        raise FrameInvalid(f"{address[:12]!r} is no talker and type")
    talker, kind = ("P", address[1:]) if address.startswith("P") else (address[:2], address[2:])
    if not star and (demand == "all" or (demand == "rmc" and kind == "RMC")):
        raise FrameInvalid(f"a {kind} without a checksum")
    return Sentence(talker, kind, tuple(fields), checksum, computed)


def _check(checksum: str, computed: str) -> None:
    if not _CHECKSUM.fullmatch(checksum[:2]):
        raise FrameInvalid(f"{checksum[:2]!r} is no checksum")
    if len(checksum) > 2:
        raise FrameInvalid("text after the checksum")
    if checksum.upper() != computed:
        raise FrameInvalid(f"checksum {checksum} where {computed} is right")
