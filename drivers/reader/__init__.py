"""Readers of documents and QR codes that send lines of text over serial or TCP.

The wire, as the profile says: `text` + terminator. A machine-readable zone comes as two or three such lines:

    P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<< CR LF
    L898902C36UTO7408122F1204159ZE184226B<<<<<10 CR LF      -> one CredentialRead, lines joined by `|`
"""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Codec, Decode, Driver, Output, Rejected, Report, Settings, codec_decode
from drivers.facts import CredentialRead
from drivers.profile import Profile, checked_map

# ICAO 9303: lines of 30 (TD1), 36 (TD2, MRV-B) and 44 (TD3, MRV-A) characters, and how many of them make a zone.
_ZONE_LINES: Final = {30: 3, 36: 2, 44: 2}
_ZONE_ALPHABET: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<")


class LineMap(BaseModel):
    """The `map` of a reader's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    terminators: tuple[Literal["\r", "\n", "\x03"], ...] = ("\r", "\n")
    """Any of them ends a line; empty lines are nothing."""
    encoding: Literal["ascii", "utf-8", "gb18030"] = "utf-8"
    max_bytes: int = Field(default=512, ge=16, le=4096)
    """A longer line is thrown away whole: a reader must not make the edge hold more."""
    strip: str = "\x02"
    """Characters taken off both ends, such as STX."""


class LineReader:
    """Lines of one connection -> credentials."""

    def __init__(self, layout: LineMap) -> None:
        self._map = layout
        self._ends = frozenset(ord(end) for end in layout.terminators)
        self._line = bytearray()
        self._too_long = False
        self._zone: list[str] = []

    def receive(self, data: bytes) -> Sequence[Output]:
        """Return the credentials that the bytes complete."""
        out: list[Output] = []
        for byte in data:
            if byte in self._ends:
                out.extend(self._end_of_line())
            elif len(self._line) >= self._map.max_bytes:
                self._too_long = True
            else:
                self._line.append(byte)
        return out

    def send(self, command: DeviceCommand) -> bytes:
        """Refuse: a line reader takes no commands."""
        raise Unsupported(f"a line reader has no {type(command).__name__}")

    def _end_of_line(self) -> Sequence[Output]:
        raw, too_long = bytes(self._line), self._too_long
        self._line.clear()
        self._too_long = False
        if too_long:
            return (Rejected(f"a line of more than {self._map.max_bytes} bytes", raw[:64]),)
        try:
            text = raw.decode(self._map.encoding).strip(self._map.strip + " \t")
        except UnicodeDecodeError:
            return (*self._unfinished(), Rejected(f"a line that is not {self._map.encoding}", raw[:64]))
        if not text:
            return ()
        if not text.isprintable():
            return (*self._unfinished(), Rejected("a line with control characters", raw[:64]))
        return self._take(text)

    def _take(self, text: str) -> Sequence[Output]:
        wanted = _ZONE_LINES.get(len(text)) if _ZONE_ALPHABET.issuperset(text) and "<" in text else None
        if self._zone and len(text) == len(self._zone[0]) and _ZONE_ALPHABET.issuperset(text):
            wanted = _ZONE_LINES[len(text)]
        elif wanted is None or self._zone:
            left_over = self._unfinished()
            if wanted is None:
                return (*left_over, Report(CredentialRead(text)))
            self._zone = [text]
            return left_over
        self._zone.append(text)
        if len(self._zone) < wanted:
            return ()
        whole = "|".join(self._zone)
        self._zone = []
        return (Report(CredentialRead(whole)),)

    def _unfinished(self) -> tuple[Output, ...]:
        lines, self._zone = self._zone, []
        return (Rejected("a machine-readable zone without its last line", b""),) if lines else ()


def _make(profile: Profile, settings: Settings) -> Codec:  # noqa: ARG001 a line reader has no settings of its own
    return LineReader(checked_map(profile, LineMap))


def _decoder(profile: Profile | None) -> Decode:
    return codec_decode(LineReader(checked_map(profile, LineMap) if profile else LineMap()))


DRIVER = Driver(
    name="reader",
    kind="reader",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({CredentialRead}),
    links=frozenset({"tcp", "tcp-server", "serial"}),
    decoder=_decoder,
)
