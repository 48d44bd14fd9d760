"""What the domains tell one another through the bus: frozen values, known by their class name.

A message is a fact inside central (past tense). `key()` names what must stay in order: messages with the same key reach
each subscriber one after another, in the order in which they were published; an empty key asks for no order.
Adding a message is adding a class here.
"""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from core.messages.events import CommandState, Health


class Message(BaseModel):
    """A fact inside central. Unknown fields are ignored, so that an older row in the outbox still reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str] = ""
    KNOWN: ClassVar[dict[str, type["Message"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.TYPE = cls.__name__
        Message.KNOWN[cls.TYPE] = cls

    def key(self) -> str:
        """Return what must stay in order; empty for no order."""
        return ""


class EdgePresenceChanged(Message):
    """An edge came online or went offline."""

    edge: str
    site: str
    online: bool
    at: datetime

    def key(self) -> str:
        """Return the edge."""
        return self.edge


class CommandFinished(Message):
    """A command to a lane or a device reached a final state."""

    command: str
    edge: str
    site: str
    lane: str
    """Empty where it was for a device."""
    device: str = ""
    state: CommandState
    actor: str
    reason: str
    at: datetime

    def key(self) -> str:
        """Return the command."""
        return self.command


class AssetHealthChanged(Message):
    """An asset's health, or its set of faults, is another than before."""

    asset: str
    site: str
    edge: str
    lane: str | None
    kind: str
    health: Health
    was: Health
    faults: tuple[str, ...]
    detail: str
    at: datetime
    since: datetime
    """Since when it has this health; its faults may have changed meanwhile."""

    def key(self) -> str:
        """Return the asset."""
        return self.asset


class CountDriftChanged(Message):
    """A people counter tells other numbers than the lanes beside it, or agrees with them again."""

    site: str
    device: str
    drifting: bool
    counted: int
    passed: int
    periods: int
    at: datetime

    def key(self) -> str:
        """Return the counter."""
        return f"{self.site}/{self.device}"


class AssetTroubleTold(Message):
    """Something is wrong with an asset that central itself has found, or it is over."""

    asset: str
    site: str
    lane: str | None
    trouble: str
    """The class of the fault."""
    present: bool
    detail: str
    at: datetime

    def key(self) -> str:
        """Return the asset's tag."""
        return self.asset


class TicketMoved(Message):
    """A ticket was opened or went to another state."""

    ticket: str
    site: str
    asset: str | None
    state: str
    was: str | None
    actor: str
    at: datetime

    def key(self) -> str:
        """Return the ticket's code."""
        return self.ticket


class ListRefusedAtEdge(Message):
    """An edge would not take a list: tampered with on the way, older, or not to be read."""

    edge: str
    site: str
    list_id: str
    version: int
    code: str
    detail: str
    at: datetime

    def key(self) -> str:
        """Return the edge."""
        return self.edge


class LateConflictFound(Message):
    """An edge released somebody against a refuse entry that was in force by then; the edge did not know it yet."""

    review: str
    edge: str
    site: str
    lane: str
    attempt: str
    list_id: str
    entry: str
    at: datetime

    def key(self) -> str:
        """Return the review item."""
        return self.review
