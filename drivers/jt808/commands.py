"""What a JT/T 808 terminal can be told."""

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from drivers.jt808.facts import STAY

_MAKERS: Final = 0xF000
"""From here on ids are the makers' own (JT/T 808-2019, table 12): nobody knows what they bear."""
_Id = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{4}|[0-9A-Fa-f]{8})$")]


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class ShowText(_Words):
    """Show or speak a text in the vehicle (0x8300)."""

    verb: Literal["ShowText"] = "ShowText"
    text: str = Field(min_length=1, max_length=500)
    urgent: bool = False
    display: bool = True
    speak: bool = False


class ControlTerminal(_Words):
    """Control the terminal (0x8105): 3 switch off, 4 restart, 5 factory settings, 6 and 7 stop data or all radio."""

    verb: Literal["ControlTerminal"] = "ControlTerminal"
    word: int = Field(ge=0, le=255)
    parameters: str = Field(default="", max_length=400)


class SetParameters(_Words):
    """Set parameters (0x8103) by their ids as 4 or 8 hexadecimal digits; the profile knows their types."""

    verb: Literal["SetParameters"] = "SetParameters"
    values: dict[_Id, int | str] = Field(min_length=1, max_length=255)

    def outward(self) -> dict[str, JsonValue]:
        """Return what may be recorded: of what stays at the edge, and of what only its maker knows, the ids."""
        hidden = {key for key in self.values if int(key, 16) in STAY or int(key, 16) >= _MAKERS}
        return {"values": {key: "(not recorded)" if key in hidden else one for key, one in self.values.items()}}


class QueryParameters(_Words):
    """Ask for parameters: all (0x8104) or some (0x8106)."""

    verb: Literal["QueryParameters"] = "QueryParameters"
    ids: tuple[_Id, ...] = Field(default=(), max_length=250)


class UpgradeTerminal(_Words):
    """Send a new software (0x8108), in parts. `data` is base64 in JSON."""

    verb: Literal["UpgradeTerminal"] = "UpgradeTerminal"
    upgrade_type: int = Field(default=0, ge=0, le=255)
    """0 the terminal, 12 its IC card reader, 52 its satellite receiver."""
    maker: str = Field(max_length=5)
    version: str = Field(max_length=100)
    data: bytes = Field(max_length=16 << 20)


class AskPosition(_Words):
    """Ask where it is (0x8201); the answer is a position."""

    verb: Literal["AskPosition"] = "AskPosition"


class AskDescription(_Words):
    """Ask what it is (0x8107); the answer is a DeviceDescribed."""

    verb: Literal["AskDescription"] = "AskDescription"


class SendPassthrough(_Words):
    """Send bytes to something behind the terminal (0x8900). `data` is base64 in JSON."""

    verb: Literal["SendPassthrough"] = "SendPassthrough"
    kind: int = Field(ge=0, le=255)
    data: bytes = Field(max_length=64 << 10)


class TellTime(_Words):
    """Answer a TimeAsked (0x8004)."""

    verb: Literal["TellTime"] = "TellTime"
    serial: int = Field(ge=0, le=0xFFFF)
    at: AwareDatetime


TerminalCommand = (
    ShowText
    | ControlTerminal
    | SetParameters
    | QueryParameters
    | UpgradeTerminal
    | AskPosition
    | AskDescription
    | SendPassthrough
    | TellTime
)
