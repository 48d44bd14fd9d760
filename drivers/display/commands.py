"""What a display can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShowLines(_Words):
    """Show these lines and no others; those beyond the display's rows are left out."""

    verb: Literal["ShowLines"] = "ShowLines"
    lines: tuple[str, ...] = Field(max_length=16)


class AskVersion(_Words):
    """Log in, and tell what you are: also asked to see whether it is there."""

    verb: Literal["AskVersion"] = "AskVersion"


DisplayCommand = ShowLines | AskVersion
