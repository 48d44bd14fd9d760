"""What the API says about edges, lanes and commands."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from sqlalchemy import Row

from central.columns import Word
from core.clearance.model import Direction
from core.messages.commands import CommandDevice, OpenLane
from core.messages.events import CommandState, LaneMode

ACTIONS = {
    "free": LaneMode.FREE,
    "lock": LaneMode.LOCKED,
    "emergency": LaneMode.EMERGENCY,
    "normal": LaneMode.NORMAL,
}
"""The verb in the path, and the mode it sets."""


class WatermarkOut(BaseModel):
    """How far a stream is stored."""

    epoch: str
    stream: str
    upto: int
    changed_at: datetime


class EdgeOut(BaseModel):
    """An edge."""

    name: str
    site: str
    online: bool
    version: str
    boot_id: str
    epoch: str
    config_digest: str
    first_seen_at: datetime
    last_seen_at: datetime
    started_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> "EdgeOut":
        """Return a row's public side; it was last seen when it said so, or when something of it was stored."""
        fields = {name: getattr(row, name) for name in EdgeOut.model_fields}
        fields["last_seen_at"] = max(filter(None, (row.last_seen_at, row.heard_at)))
        return cls.model_validate(fields)


class EdgeDetail(EdgeOut):
    """An edge with its watermarks, newest first."""

    watermarks: list[WatermarkOut] = []

    @classmethod
    def with_marks(cls, row: Row[Any], marks: Iterable[Row[Any]]) -> "EdgeDetail":
        """Return an edge with how far its streams are stored."""
        made = [
            WatermarkOut(epoch=mark.epoch, stream=mark.stream, upto=mark.upto, changed_at=mark.changed_at)
            for mark in marks
        ]
        return cls(**EdgeOut.of(row).model_dump(), watermarks=made)


class LaneOut(BaseModel):
    """A lane. `id` is `<edge>.<lane>`."""

    id: str
    edge: str
    lane: str
    site: str
    kind: str
    directions: list[Direction]
    devices: dict[str, str]
    mode: LaneMode
    ruleset_version: int
    seen_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "LaneOut":
        """Return a row's public side."""
        fields = {name: getattr(row, name) for name in cls.model_fields if name != "id"}
        return cls.model_validate(fields | {"id": f"{row.edge}.{row.lane}"})


class ModeIn(BaseModel):
    """Why, and until when it may still be begun."""

    model_config = ConfigDict(extra="forbid")

    reason: Word = Field(min_length=1, max_length=512, description="For the audit")
    ttl_s: float = Field(default=5.0, ge=1.0, le=60.0, description="Seconds after which it must not be begun any more")


class OpenIn(ModeIn):
    """As above, and which way."""

    direction: Direction = Direction.IN

    def command(self) -> OpenLane:
        """Return the command."""
        return OpenLane(direction=self.direction)


class DeviceCommandIn(ModeIn):
    """As above, and what the device is to do: the edge knows which commands it has and what they take."""

    name: str = Field(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$", examples=["MoveCamera", "ResetPoePort", "ShowText"])
    terminal: str = Field(default="", pattern=r"^[0-9A-Za-z]{0,32}$", description="Which of many behind the device")
    arguments: dict[str, JsonValue] = Field(default_factory=dict, max_length=32)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        self.command()
        return self

    def command(self) -> CommandDevice:
        """Return the command."""
        return CommandDevice(name=self.name, terminal=self.terminal, arguments=self.arguments)


class CommandOut(BaseModel):
    """A command and where it is."""

    id: str
    edge: str
    site: str
    lane: str = Field(description="Empty where the command is for a device")
    device: str
    verb: str
    state: CommandState
    detail: str
    late_report: str = Field(description="What the edge said after the command had been ended here")
    actor: str
    reason: str
    issued_at: datetime
    expires_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Row[Any] | Mapping[str, Any]) -> "CommandOut":
        """Return a row's public side."""
        fields = row._mapping if isinstance(row, Row) else row  # noqa: SLF001 (public by its documentation)
        return cls.model_validate({name: fields[name] for name in cls.model_fields})
