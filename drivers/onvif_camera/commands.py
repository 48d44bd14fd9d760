"""What a dome can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MoveCamera(_Words):
    """Turn for a while, then stop. Speeds are from -1 (left, down, wide) to 1 (right, up, near)."""

    verb: Literal["MoveCamera"] = "MoveCamera"
    pan: float = Field(default=0.0, ge=-1.0, le=1.0)
    tilt: float = Field(default=0.0, ge=-1.0, le=1.0)
    zoom: float = Field(default=0.0, ge=-1.0, le=1.0)
    duration_ms: int = Field(default=500, ge=50, le=10_000)


class StopCamera(_Words):
    """Stop now."""

    verb: Literal["StopCamera"] = "StopCamera"


class GotoPreset(_Words):
    """Turn to a preset of the camera."""

    verb: Literal["GotoPreset"] = "GotoPreset"
    preset: str = Field(min_length=1, max_length=64)
    """Its token or its name."""


CameraCommand = MoveCamera | StopCamera | GotoPreset
