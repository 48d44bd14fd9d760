"""What the API says about keys."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from central.access.service import NewKey
from central.columns import Moment, Word


class KeyIn(BaseModel):
    """A key to make, or what a key shall be from now on."""

    model_config = ConfigDict(extra="forbid")

    name: Word = Field(min_length=1, max_length=128, description="The actor's name in the audit log")
    scopes: list[str] = Field(min_length=1, max_length=64)
    sites: list[Word] = Field(min_length=1, max_length=256, description="Site ids, or * for all")
    networks: list[str] = Field(default=[], max_length=64, description="CIDR; empty: from anywhere")
    expires_at: Moment | None = None

    def new_key(self) -> NewKey:
        """Return it as the service takes it."""
        return NewKey(self.name, self.scopes, self.sites, self.networks, self.expires_at)


class KeyOut(BaseModel):
    """A key without its secret."""

    id: str
    prefix: str
    name: str
    scopes: list[str]
    sites: list[str]
    networks: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> "KeyOut":
        """Return a row's public side."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class KeyMade(BaseModel):
    """The one time that a key is shown."""

    id: str
    key: str
