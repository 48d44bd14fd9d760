"""What the facts of a device that serves no lane become: events for central."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from core.errors import BufferFull, BufferUnavailable
from core.messages.envelope import Packed, Stamp, pack
from core.messages.event import Event
from core.messages.events import DeviceMeasured, DeviceSeen
from core.messages.locator_events import PositionReported, TerminalSeen
from drivers.facts import DeviceDescribed, Fact, Measured, PositionTaken
from drivers.modbus_points import PointDoubtful, PointTrusted
from edge.board import Finding
from edge.config import DeviceSpec

_MEASURED_EVERY_MS: Final = 10_000


class Durable(Protocol):
    """The buffer, as far as this module needs it."""

    async def append(self, packed: Sequence[Packed], /) -> object:
        """Make entries durable; raise BufferFull or BufferUnavailable."""


class Reporter:
    """Makes the facts of one device durable. What cannot be committed now is not kept in memory: the device has it."""

    def __init__(
        self,
        spec: DeviceSpec,
        store: Durable,
        *,
        stamp: Callable[[], Stamp],
        tell: Callable[[Event], None],
        degraded: Callable[[Finding | None], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._spec = spec
        self._store = store
        self._stamp = stamp
        self._tell = tell
        self._degraded = degraded
        self._now_ms = now_ms
        self._readings: dict[str, float] = {}
        self._told_ms = -_MEASURED_EVERY_MS
        self._doubtful: dict[str, str] = {}
        self.unrecorded = 0
        """Facts that the buffer could not take, of a device that keeps nothing itself."""

    async def taken(self, terminal: str, fact: Fact) -> None:
        """Commit what follows from a fact; raise BufferFull or BufferUnavailable."""
        event = self._event(terminal, fact)
        if event is not None:
            await self._store.append((pack(event, self._stamp()),))

    async def heard(self, fact: Fact) -> None:
        """Commit what follows from a fact of a device that waits for no answer; what cannot be is counted."""
        if self._aside(fact):
            return
        try:
            await self.taken("", fact)
        except (BufferFull, BufferUnavailable):
            self.unrecorded += 1

    def noted(self, fact: Fact) -> None:
        """Take a fact of a register device, which is polled and must not wait: readings are told every ten seconds."""
        if self._aside(fact):
            return
        if isinstance(fact, Measured):
            self._readings |= fact.readings
            if self._now_ms() - self._told_ms < _MEASURED_EVERY_MS:
                return
            self._told_ms = self._now_ms()
            fact, self._readings = Measured(self._readings), {}
        event = self._event("", fact)
        if event is not None:
            self._tell(event)

    def _aside(self, fact: Fact) -> bool:
        """Take what is about the device's own health; tell whether it was that."""
        match fact:
            case PointDoubtful(point=point, why=why):
                self._doubtful[point] = why
            case PointTrusted(point=point):
                self._doubtful.pop(point, None)
            case _:
                return False
        args = {"points": dict(sorted(self._doubtful.items()))}
        self._degraded(Finding("doubtful", args) if self._doubtful else None)
        return True

    def moved(self, terminal: str, online: bool) -> Event:
        """Return the event of a terminal that came or went."""
        return TerminalSeen(device=self._spec.id, terminal=terminal, online=online)

    def _event(self, terminal: str, fact: Fact) -> Event | None:
        match fact:
            case PositionTaken():
                return position(self._spec.id, fact)
            case Measured(readings=readings):
                return DeviceMeasured(device=self._spec.id, readings=readings)
            case DeviceDescribed() if terminal:
                described = {"vendor": fact.vendor, "model": fact.model, "firmware": fact.firmware}
                return TerminalSeen(device=self._spec.id, terminal=terminal, online=True, **described)
            case DeviceDescribed():
                return DeviceSeen(
                    device=self._spec.id,
                    driver=self._spec.driver.name,
                    profile=self._spec.profile.name,
                    kind=self._spec.driver.kind,
                    vendor=fact.vendor,
                    model=fact.model,
                    firmware=fact.firmware,
                    link=self._spec.link,
                )
        return None


def position(device: str, fact: PositionTaken) -> PositionReported:
    """Return the event of a position."""
    return PositionReported(
        device=device,
        terminal=fact.terminal,
        latitude_deg=fact.latitude_deg,
        longitude_deg=fact.longitude_deg,
        fixed=fact.fixed,
        taken_at=fact.taken_at,
        altitude_m=fact.altitude_m,
        speed_kmh=fact.speed_kmh,
        course_deg=fact.course_deg,
        satellites=fact.satellites,
        mileage_km=fact.mileage_km,
        acc_on=fact.acc_on,
        alarm_bits=fact.alarm_bits,
        status_bits=fact.status_bits,
        late=fact.late,
    )
