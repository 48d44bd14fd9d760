"""What the API says about tickets."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from central.columns import Word
from central.ticketing.model import Channel, Kind, Resolution, State
from central.ticketing.service import NewTicket


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class TicketFilter(BaseModel):
    """Which tickets; what is not given is any."""

    model_config = ConfigDict(extra="ignore")

    state: State | None = None
    site: Word | None = Field(default=None, max_length=63)
    asset: Word | None = Field(default=None, max_length=128)
    lane: Word | None = Field(default=None, max_length=64)
    assignee: Word | None = Field(default=None, max_length=128)


TicketQuery = Annotated[TicketFilter, Query()]


class TicketIn(_In):
    """A ticket that a person or a system opens. With asset and fault class it joins that trouble's open ticket."""

    site: Word = Field(min_length=1, max_length=63)
    title: Word = Field(min_length=1, max_length=200)
    kind: Kind = Kind.FAULT
    description: Word = Field(default="", max_length=8000)
    asset: Word | None = Field(default=None, min_length=1, max_length=128)
    lane: Word | None = Field(default=None, min_length=1, max_length=64)
    fault_class: Word | None = Field(default=None, min_length=1, max_length=64)
    priority: Literal["P1", "P2", "P3", "P4"] = "P3"

    def new_ticket(self, at: datetime) -> NewTicket:
        """Return it as the service takes it."""
        return NewTicket(channel=Channel.API, at=at, **self.model_dump())


class AssignIn(_In):
    """Who shall do it; without a name the caller takes it."""

    assignee: Word | None = Field(default=None, min_length=1, max_length=128)


class ResolveIn(_In):
    """How it was resolved."""

    resolution_code: Resolution
    note: Word = Field(default="", max_length=8000)


class NoteIn(_In):
    """A word with the move."""

    note: Word = Field(default="", max_length=8000)


class CloseIn(NoteIn):
    """A reason is needed where the device is still at fault."""

    override_reason: Word | None = Field(default=None, min_length=1, max_length=1000)


class ReopenIn(_In):
    """Why it is not done after all."""

    reason: Word = Field(min_length=1, max_length=1000)


class TicketOut(BaseModel):
    """A ticket."""

    code: str
    kind: Kind
    channel: Channel
    site: str
    asset: str | None
    lane: str | None
    fault_class: str | None
    title: str
    description: str
    priority: str
    state: State
    state_since: datetime
    reporter: str
    assignee: str | None
    resolution_code: Resolution | None
    solution: str
    count: int
    reopened: int
    follows: str | None
    first_at: datetime
    last_seen_at: datetime
    recovered_at: datetime | None
    close_proposed: bool
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    verified_at: datetime | None
    verified_by: str | None
    closed_at: datetime | None
    closed_by: str | None
    version: int

    @classmethod
    def of(cls, row: Row[Any]) -> "TicketOut":
        """Return a row as the API shows it."""
        names = cls.model_fields.keys() - {"count"}
        return cls.model_validate({name: getattr(row, name) for name in names} | {"count": row.occurrences})


class TicketEventOut(BaseModel):
    """One line of a ticket's log."""

    id: str
    at: datetime
    actor: str
    kind: str
    was: State | None
    state: State
    payload: dict[str, Any]

    @classmethod
    def of(cls, row: Row[Any]) -> "TicketEventOut":
        """Return a row as the API shows it."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})
