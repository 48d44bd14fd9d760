"""One display card <-> words, from its profile.

A command of several frames goes frame by frame: each leaves when the card has answered the one before, so that a card
on a slow half-duplex line is never talked over. What answers nothing stops there; the session has the clock.

0x62, a row's text, until another is sent; 19 bytes and the text:

    row  mode speed  screen dwell  exit mode, speed  font  times  R G B A  0 0 0 0  length 0  text
    00   00   01     00     05     00 01             03    00     FF000000 00000000 08 00     BB B6 D3 AD B9 E2 C1 D9
"""

from collections import deque
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.errors import Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Output, Rejected, Reply, Report, Settings
from drivers.display.commands import AskVersion, DisplayCommand, ShowLines
from drivers.display.facts import DisplayAnswered
from drivers.display.frames import MOST_DATA, Frame, Frames, Junk
from drivers.facts import DeviceDescribed

CONNECT: Final = 0x00
SHOW: Final = 0x62
ACCEPTED: Final = 0
_AT_ONCE, _ROLLING = 0x00, 0x15
_SHOW_HEAD: Final = 19
_VERSIONS: Final = 10
_ANSWERS: Final = {CONNECT: _VERSIONS, SHOW: 1}
"""The data lengths of the answers that are waited for."""


class DisplaySettings(Settings):
    """What one display's entry in the config may set."""

    address: int = Field(default=0, ge=0, le=255)
    password: SecretStr = SecretStr("")
    """Six to 32 signs, of a card that wants one; empty: the profile's."""


class DisplayMap(BaseModel):
    """The `map` of a display's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(ge=1, le=16)
    columns: int = Field(ge=2, le=128)
    """Half-width signs that a row shows at once; a Chinese sign takes two. What is longer rolls."""
    colours: Annotated[tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{6}$")], ...], Field(min_length=1, max_length=16)]
    """Red, green, blue of each row, hexadecimal; the last is that of the rows after it."""
    encoding: Literal["gb2312", "gbk", "gb18030", "ascii"] = "gbk"
    font: int = Field(default=3, ge=0, le=255)
    speed: int = Field(default=1, ge=1, le=32)
    dwell_s: int = Field(default=5, ge=0, le=255)
    login: str = Field(pattern=r"^[\x21-\x7e]{6,32}$")
    """The manual's own; a card that wants no password takes any, and tells its version."""


class DisplayCard:
    """The words of one connection to a card."""

    def __init__(self, layout: DisplayMap, settings: DisplaySettings, *, vendor: str, model: str) -> None:
        self._map = layout
        self._address = settings.address
        self._login = (settings.password.get_secret_value() or layout.login).encode("ascii", "replace")[:32]
        self._vendor = vendor
        self._model = model
        self._frames = Frames(_ANSWERS)
        self._next: deque[Frame] = deque()
        self._awaited: int | None = None

    def send(self, command: DeviceCommand | DisplayCommand) -> bytes:
        """Return the first frame of a command; what was not finished of the one before is given up."""
        match command:
            case ShowLines(lines=lines):
                self._next = deque(self._row(row, text) for row, text in enumerate(self._fitted(lines)))
            case AskVersion():
                self._next = deque((Frame(self._address, CONNECT, self._login),))
            case _:
                raise Unsupported(f"a display has no {type(command).__name__}")
        return self._step()

    def receive(self, data: bytes) -> Sequence[Output]:
        """Return what answers complete; never raises."""
        out: list[Output] = []
        for found in self._frames.feed(data):
            match found:
                case Junk(why=why, raw=raw):
                    out.append(Rejected(why, raw[:64]))
                case Frame() if found.address != self._address or found.command != self._awaited:
                    out.append(Rejected("an answer to nothing that was asked", found.to_bytes()))
                case Frame():
                    out.append(self._answered(found))
        return out

    def _answered(self, frame: Frame) -> Output:
        self._awaited = None
        if frame.data[0] != ACCEPTED:
            self._next.clear()
            return Report(DisplayAnswered("login" if frame.command == CONNECT else "lines", accepted=False))
        if self._next:
            return Reply(self._step())
        if frame.command == SHOW:
            return Report(DisplayAnswered("lines", accepted=True))
        firmware = ".".join(chr(byte) if 0x30 <= byte <= 0x39 else "?" for byte in frame.data[4:7])
        return Report(DeviceDescribed(vendor=self._vendor, model=self._model, firmware=firmware))

    def _step(self) -> bytes:
        frame = self._next.popleft()
        self._awaited = frame.command
        return frame.to_bytes()

    def _fitted(self, lines: Sequence[str]) -> tuple[str, ...]:
        """Return one text for each row: a row that is not told keeps the old one."""
        rows = self._map.rows
        return (*lines[:rows], *[""] * (rows - len(lines)))

    def _row(self, row: int, text: str) -> Frame:
        layout = self._map
        shown = "".join(sign if sign.isprintable() else " " for sign in text) or " "
        raw = shown.encode(layout.encoding, "replace")[: MOST_DATA - _SHOW_HEAD]
        raw = raw.decode(layout.encoding, "ignore").encode(layout.encoding)  # no half sign at the end
        mode = _AT_ONCE if len(raw) <= layout.columns else _ROLLING
        colour = bytes.fromhex(layout.colours[min(row, len(layout.colours) - 1)])
        head = bytes((row, mode, layout.speed, 0, layout.dwell_s, mode, layout.speed, layout.font, 0))
        return Frame(self._address, SHOW, head + colour + bytes(5) + bytes((len(raw), 0)) + raw)
