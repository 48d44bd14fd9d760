"""What the API says about the keys with which edges seal their boardings."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from central.columns import Word

KEY_ID = r"^[0-9a-f]{20}$"


class SealKeyIn(BaseModel):
    """The public half of an edge's seal key."""

    model_config = ConfigDict(extra="forbid")

    public_key: Word = Field(max_length=128, examples=["sm2-pub:..."], description="As `edge seal-key show` prints it")
    note: Word = Field(default="", max_length=200)


class SealKeyOut(BaseModel):
    """A key that is known. It is never taken away: old boardings need it."""

    edge: str
    key_id: str
    public_key: str
    note: str
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})
