"""What a cabin can be told."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Screen(StrEnum):
    """What the result screen shows; its texts are the cabin's own."""

    CLOSED = "closed"
    ENTER = "enter"
    ALONE = "alone"
    DOCUMENT = "document"
    DOCUMENT_AGAIN = "document_again"
    FACE = "face"
    FACE_AGAIN = "face_again"
    WAIT = "wait"
    GO = "go"
    STEP_OUT = "step_out"
    EMERGENCY = "emergency"


class SetDoors(_Words):
    """Lock or free both doors, wholly: the same again changes nothing. Locking comes before freeing."""

    verb: Literal["SetDoors"] = "SetDoors"
    entrance_locked: bool
    exit_locked: bool


class ShowScreen(_Words):
    """Show a result."""

    verb: Literal["ShowScreen"] = "ShowScreen"
    screen: Screen


CabinCommand = SetDoors | ShowScreen
