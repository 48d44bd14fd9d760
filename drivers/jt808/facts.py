"""What only a JT/T 808 terminal tells. `terminal` is its number as sent: 12 or 20 hexadecimal digits."""

from dataclasses import dataclass, field

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class TerminalRegistered(Fact):
    """A terminal has introduced itself and got its authentication code (0x0100)."""

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

    terminal: str
    media_id: int
    media_type: int
    format: int
    event: int
    channel: int


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

    terminal: str
    serial: int
    """Of the query that it answers."""
    values: dict[str, int | str]
    others: dict[str, str] = field(default_factory=dict)
    """Those whose type is not known or does not fit, as hexadecimal."""


@dataclass(frozen=True, slots=True)
class CommandAnswered(Fact):
    """A terminal has answered a message of ours (0x0001). `result`: 0 done, 1 failed, 2 bad message, 3 unsupported."""

    terminal: str
    serial: int
    msg_id: int
    result: int
    verb: str = ""
    """Of the command that bore this serial; empty where it is not known any more."""


@dataclass(frozen=True, slots=True)
class UpgradeAnswered(Fact):
    """How an upgrade went (0x0108). `result`: 0 done, 1 failed, 2 cancelled."""

    terminal: str
    upgrade_type: int
    result: int


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
