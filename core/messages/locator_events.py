"""What vehicle locators and other receivers tell; `events.py` says how events are made and changed."""

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from core.messages.event import DeviceEvent, Stream


class PositionReported(DeviceEvent):
    """Where a locator was, WGS-84. A terminal that got no answer sends it again: `terminal` and `taken_at` name it."""

    STREAM: ClassVar[Stream] = Stream.TELEMETRY

    terminal: str = Field(max_length=64)
    latitude_deg: float | None
    longitude_deg: float | None
    fixed: bool
    taken_at: datetime | None = None
    """By the locator's clock, with its zone; None where that cannot be."""
    altitude_m: float | None = None
    speed_kmh: float | None = None
    course_deg: float | None = None
    satellites: int | None = None
    mileage_km: float | None = None
    acc_on: bool | None = None
    alarm_bits: int = 0
    status_bits: int = 0
    late: bool = False
    """Kept by the locator while it had no network."""


class TerminalSeen(DeviceEvent):
    """A terminal came or went, at the port of a device."""

    STREAM: ClassVar[Stream] = Stream.STATE

    terminal: str = Field(max_length=64)
    online: bool
    vendor: str = ""
    model: str = ""
    firmware: str = ""

    def subject(self) -> str:
        """Return the device's id and the terminal."""
        return f"{self.device}/{self.terminal}"
