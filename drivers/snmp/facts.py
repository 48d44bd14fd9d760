"""What only a device that is read by SNMP tells."""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class DeviceRestarted(Fact):
    """The device, or its agent, began anew `up_s` seconds ago: its clock went back."""

    TRAVELS: ClassVar[bool] = True

    up_s: float


@dataclass(frozen=True, slots=True)
class TextTold(Fact):
    """A text or a state of the device's own, told when it changes."""

    TRAVELS: ClassVar[bool] = True

    name: str
    text: str
    source: str = ""
    """The row of a table, empty for a scalar."""

    def key(self) -> str:
        """Return what it is about."""
        return f"{self.name} {self.source}".rstrip()


@dataclass(frozen=True, slots=True)
class LicenceTold(Fact):
    """Until when a licence holds; `until` is None where it holds for ever."""

    TRAVELS: ClassVar[bool] = True

    name: str
    until: date | None
    text: str
    """As the device gave it."""

    def left_d(self, today: date) -> int | None:
        """Return the days that are left, negative where it is over, None where it holds for ever."""
        return None if self.until is None else (self.until - today).days

    def key(self) -> str:
        """Return what it is about."""
        return self.name
