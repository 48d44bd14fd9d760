"""Commands (imperative). To a lane: from central or a technician; to a gate: from its lane only."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.clearance.model import Direction
from core.messages.events import LaneMode


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


LaneCommand = Annotated[OpenLane | SetLaneMode | ResetDevice, Field(discriminator="verb")]
DeviceCommand = OpenGate | CloseGate | SetGateMode | ResetDevice


class Order(_Words):
    """A command on its way: what, to whom, by whom, why, and until when it may still be done."""

    id: str = Field(pattern=r"^[0-9A-Z]{26}$")
    edge: str
    target: str = Field(max_length=64)
    command: LaneCommand
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
