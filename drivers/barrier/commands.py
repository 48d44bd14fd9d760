"""What a barrier can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RaiseArm(_Words):
    """Let the arm go up; it stays up."""

    verb: Literal["RaiseArm"] = "RaiseArm"


class LowerArm(_Words):
    """Let the arm go down. Who says this has seen that nothing is in its line."""

    verb: Literal["LowerArm"] = "LowerArm"


class SetLight(_Words):
    """Turn the fill light on or off."""

    verb: Literal["SetLight"] = "SetLight"
    on: bool


BarrierCommand = RaiseArm | LowerArm | SetLight
