"""Commands (imperative). To a lane or a device: from central or a technician; to a gate: from its lane only."""

import json
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from core.clearance.model import Direction
from core.messages.cabin_events import Ruling
from core.messages.events import LaneMode

MAX_ARGUMENTS: Final = 512 * 1024
"""Characters of a device command's arguments as JSON: what a broker and a control socket carry without harm."""


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenLane(_Words):
    """Let one person through now."""

    verb: Literal["OpenLane"] = "OpenLane"
    direction: Direction = Direction.IN


class SetLaneMode(_Words):
    """Put a lane in a mode until told otherwise."""

    verb: Literal["SetLaneMode"] = "SetLaneMode"
    mode: LaneMode


class ResetDevice(_Words):
    """Clear latched faults of a device."""

    verb: Literal["ResetDevice"] = "ResetDevice"


class CommandDevice(_Words):
    """Have a device do a command of its driver's, by its name: only the edge knows which there are."""

    verb: Literal["CommandDevice"] = "CommandDevice"
    name: str = Field(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$")
    terminal: str = Field(default="", pattern=r"^[0-9A-Za-z]{0,32}$")
    """Which of the many behind the device; empty where it is one."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict, max_length=32)

    @field_validator("arguments")
    @classmethod
    def _bounded(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            size = len(json.dumps(arguments, allow_nan=False))
        except RecursionError:
            raise ValueError("nested too deep") from None
        if size > MAX_ARGUMENTS:
            raise ValueError(f"more than {MAX_ARGUMENTS} characters of JSON")
        return arguments


MAX_EXPECTED: Final = 1_000
"""The largest airliner is certified for 853."""
BoardingId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
Flight = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,3}[0-9]{1,4}[A-Z]?$")]
"""IATA or ICAO airline, number, suffix."""
Stand = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,7}$")]
DocumentToken = Annotated[str, Field(pattern=r"^[drp][A-Za-z0-9_-]{43}$")]
"""A keyed token of a travel document, resident number or permit: never the number itself."""


class Meeting(_Words):
    """An aircraft that is to be met. Either `tokens` says who is expected, or `expected` how many."""

    boarding: BoardingId
    """A new id."""
    flight: Flight
    stand: Stand
    expected: int | None = Field(default=None, ge=0, le=MAX_EXPECTED)
    tokens: tuple[DocumentToken, ...] = Field(default=(), max_length=MAX_EXPECTED)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.expected is None) is not bool(self.tokens):
            raise ValueError("give either the tokens of who is expected, or how many are")
        if len(set(self.tokens)) != len(self.tokens):
            raise ValueError("a token twice")
        return self


class OpenBoarding(Meeting):
    """Begin to meet an aircraft at a cabin."""

    verb: Literal["OpenBoarding"] = "OpenBoarding"
    officer: str = Field(default="", max_length=64)
    """Empty: who gave the command."""


class CloseBoarding(_Words):
    """End the meeting of an aircraft: everybody who came was met."""

    verb: Literal["CloseBoarding"] = "CloseBoarding"
    boarding: BoardingId
    officer: str = Field(default="", max_length=64)


class RulePassenger(_Words):
    """Decide on the passenger who is held in a cabin."""

    verb: Literal["RulePassenger"] = "RulePassenger"
    attempt: str = Field(min_length=1, max_length=64)
    ruling: Ruling


class OpenGate(_Words):
    """Let `passages` persons pass the gate in a direction; the gate closes by itself."""

    verb: Literal["OpenGate"] = "OpenGate"
    direction: Direction
    passages: int = Field(default=1, ge=1, le=16)


class CloseGate(_Words):
    """Take back a release that was not used."""

    verb: Literal["CloseGate"] = "CloseGate"


class SetGateMode(_Words):
    """Put the gate itself in a mode."""

    verb: Literal["SetGateMode"] = "SetGateMode"
    mode: LaneMode


BoardingCommand = OpenBoarding | CloseBoarding | RulePassenger
"""To a cabin."""
LaneCommand = Annotated[OpenLane | SetLaneMode | ResetDevice | BoardingCommand, Field(discriminator="verb")]
OrderCommand = Annotated[LaneCommand | CommandDevice, Field(discriminator="verb")]
DeviceCommand = OpenGate | CloseGate | SetGateMode | ResetDevice


class Order(_Words):
    """A command on its way: what, to whom, by whom, why, and until when it may still be done."""

    id: str = Field(pattern=r"^[0-9A-Z]{26}$")
    edge: str
    target: str = Field(max_length=64)
    """A lane, or a device for ResetDevice and CommandDevice."""
    command: OrderCommand
    issued_at: datetime
    expires_at: datetime
    actor: str = Field(max_length=128)
    reason: str = Field(min_length=1, max_length=512)

    def expired(self, edge_wall: datetime, offset_ms: int, error_ms: int) -> bool:
        """Tell whether, by central's clock as the edge knows it, the time is over or cannot be told to be open.

        The clock's error counts against the command: a gate must not open late, so doubt refuses.
        """
        latest_now = edge_wall + timedelta(milliseconds=offset_ms + error_ms)
        return latest_now >= self.expires_at
