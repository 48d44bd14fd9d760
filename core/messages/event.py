"""What an event is; the events themselves stand in `events.py`."""

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Stream(StrEnum):
    """The three streams of a buffer; order holds within one. `vital` is never dropped."""

    VITAL = "vital"
    STATE = "state"
    TELEMETRY = "telemetry"


class Event(BaseModel):
    """A fact, frozen. Fields that a newer edge adds are ignored by an older centre.

    `subject()` names what the fact is about; two `state` events with the same type and subject supersede one another.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    STREAM: ClassVar[Stream] = Stream.VITAL
    VERSION: ClassVar[int] = 1
    TYPE: ClassVar[str] = ""
    KNOWN: ClassVar[dict[str, type["Event"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.TYPE = f"gatefleet.{cls.__name__}.v{cls.VERSION}"
        Event.KNOWN[cls.TYPE] = cls

    def subject(self) -> str:
        """Return the id of the lane, device or thing this is about."""
        raise TypeError(f"{type(self).__name__} names no subject")


class LaneEvent(Event):
    """A fact about a lane."""

    lane: str

    def subject(self) -> str:
        """Return the lane's id."""
        return self.lane


class DeviceEvent(Event):
    """A fact about a device."""

    device: str

    def subject(self) -> str:
        """Return the device's id."""
        return self.device
