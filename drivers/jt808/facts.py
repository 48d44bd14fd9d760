"""What only a JT/T 808 terminal tells. `terminal` is its number as sent: 12 or 20 hexadecimal digits."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from drivers.facts import Fact

STAY: Final = frozenset({0x0010, 0x0011, 0x0012, 0x0014, 0x0015, 0x0016, *range(0x0040, 0x004A), 0x0083})
"""Parameters that stay at the edge: dial-up logins, telephone numbers, the plate (JT/T 808-2019, table 12)."""


@dataclass(frozen=True, slots=True)
class TerminalRegistered(Fact):
    """A terminal has introduced itself and got its authentication code (0x0100)."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"plate"})

    terminal: str
    version: int
    """2011, 2013 or 2019."""
    province: int
    city: int
    maker: str
    model: str
    device_id: str
    plate: str
    plate_colour: int
    """0: no plate; else the codes of JT/T 415 and JT/T 697.7."""


@dataclass(frozen=True, slots=True)
class TerminalAuthenticated(Fact):
    """A terminal has shown its authentication code (0x0102)."""

    terminal: str
    imei: str = ""
    software: str = ""


@dataclass(frozen=True, slots=True)
class TerminalLeft(Fact):
    """A terminal has logged out (0x0003)."""

    terminal: str


@dataclass(frozen=True, slots=True)
class MediaAnnounced(Fact):
    """A terminal has recorded something and may send it (0x0800)."""

    TRAVELS: ClassVar[bool] = True

    terminal: str
    media_id: int
    media_type: int
    format: int
    event: int
    channel: int

    def key(self) -> str:
        """Return what it is about."""
        return f"{self.terminal} {self.media_id}"


@dataclass(frozen=True, slots=True)
class MediaReceived(Fact):
    """A picture, sound or film, whole (0x0801). Types: 0 image, 1 audio, 2 video."""

    terminal: str
    media_id: int
    media_type: int
    format: int
    """0 JPEG, 1 TIF, 2 MP3, 3 WAV, 4 WMV."""
    event: int
    channel: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParametersAnswered(Fact):
    """The parameters of a terminal (0x0104), by their ids as hexadecimal digits."""

    TRAVELS: ClassVar[bool] = True

    terminal: str
    serial: int
    """Of the query that it answers."""
    values: dict[str, int | str]
    others: dict[str, str] = field(default_factory=dict)
    """Those whose type is not known or does not fit, as hexadecimal."""

    def key(self) -> str:
        """Return what it is about."""
        return self.terminal

    def outward(self) -> dict[str, Any]:
        """Return the values that name nobody; of those whose meaning is not known only the ids."""
        values = {key: value for key, value in self.values.items() if int(key, 16) not in STAY}
        return {"terminal": self.terminal, "serial": self.serial, "values": values, "others": sorted(self.others)}

    def shown(self) -> dict[str, Any]:
        """Return what a technician may see: no more than what leaves the edge."""
        return self.outward()


@dataclass(frozen=True, slots=True)
class CommandAnswered(Fact):
    """A terminal has answered a message of ours (0x0001). `result`: 0 done, 1 failed, 2 bad message, 3 unsupported."""

    TRAVELS: ClassVar[bool] = True

    terminal: str
    serial: int
    msg_id: int
    result: int
    verb: str = ""
    """Of the command that bore this serial; empty where it is not known any more."""

    def key(self) -> str:
        """Return what it is about."""
        return f"{self.terminal} {self.serial}"


@dataclass(frozen=True, slots=True)
class UpgradeAnswered(Fact):
    """How an upgrade went (0x0108). `result`: 0 done, 1 failed, 2 cancelled."""

    TRAVELS: ClassVar[bool] = True

    terminal: str
    upgrade_type: int
    result: int

    def key(self) -> str:
        """Return what it is about."""
        return f"{self.terminal} {self.upgrade_type}"


@dataclass(frozen=True, slots=True)
class PassthroughReceived(Fact):
    """Bytes of something behind the terminal (0x0900)."""

    terminal: str
    kind: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TimeAsked(Fact):
    """A terminal asks for the time (0x0004): the edge answers with the command TellTime."""

    terminal: str
    serial: int
