"""What a verification desk or a hand-held terminal tells of itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from drivers.facts import Fact


@dataclass(frozen=True, slots=True)
class CertificateHeld:
    """A digital certificate in the desk. Whose it is is not told: a subject may name a person."""

    serial: str
    not_after: datetime | None
    """When it expires; None where it never does (RFC 5280, 4.1.2.5)."""
    issuer: str = ""
    pin_locked: bool | None = None


@dataclass(frozen=True, slots=True)
class DeskReported(Fact):
    """A heartbeat."""

    TRAVELS: ClassVar[bool] = True

    desk: str
    at: datetime | None = None
    """The desk's time, with its zone."""
    software: str = ""
    storage_free_bytes: int | None = None
    storage_total_bytes: int | None = None
    battery_pct: float | None = None
    """Of a hand-held terminal."""
    certificates: tuple[CertificateHeld, ...] = ()

    def key(self) -> str:
        """Return what it is about."""
        return self.desk
