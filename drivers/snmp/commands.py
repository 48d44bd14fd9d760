"""What a switch can be told."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ResetPoePort(BaseModel):
    """Take the power of a port away for a while and give it back: what hangs there starts anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: Literal["ResetPoePort"] = "ResetPoePort"
    port: str = Field(pattern=r"^[0-9]{1,10}(\.[0-9]{1,10}){0,3}$")
    """The index in the table of ports, such as 1.5 for group 1, port 5."""
    off_ms: int = Field(default=3000, ge=500, le=60_000)


@dataclass(frozen=True, slots=True)
class PortSwitch:
    """Where a port's power is switched, and what is written and read back there."""

    oid: str
    off: int
    on: int
