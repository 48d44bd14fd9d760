"""What the facts of a device that serves no lane become: events for central; `edge.fates` has the table."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from core.errors import BufferFull, BufferUnavailable
from core.messages.device_events import DeviceTold
from core.messages.envelope import Packed, Stamp, pack
from core.messages.event import Event
from core.messages.events import DeviceMeasured, DeviceSeen
from core.messages.locator_events import PositionReported, TerminalSeen
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Measured, PlateRead, PositionTaken
from drivers.modbus_points import PointDoubtful, PointTrusted
from edge.board import Finding
from edge.fates import is_untold
from edge.files import FileStore
from edge.sections import DeviceSpec

_MEASURED_EVERY_MS: Final = 10_000
ALARMS: Final = frozenset(
    {"on_battery", "on_bypass", "output_off", "overload", "fault", "input_bad"}
    | {"battery_low", "battery_replace", "battery_missing", "shutdown_imminent"}
    | {"water_leak", "door_open", "smoke", "temperature_alarm", "humidity_alarm"}
    | {"picture/blank", "picture/frozen", "picture/missing", "videoloss", "shelteralarm", "antenna"}
)
"""Signals that say, when on, that somebody must look after the device."""

_STORED: Final = frozenset({"FaceSeen", "MediaReceived", "NonMotorVehicleSeen", "PersonSeen", "PictureSent"})
"""Facts whose contents are stored first; see `edge.media`."""


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
        noted: Callable[[str, Finding | None], None],
        now_ms: Callable[[], int],
        files: FileStore | None = None,
        untold: Counter[str] | None = None,
    ) -> None:
        self._spec = spec
        self._store = store
        self._stamp = stamp
        self._tell = tell
        self._noted = noted
        self._now_ms = now_ms
        self._files = files
        self._untold = Counter() if untold is None else untold
        self._readings: dict[str, float] = {}
        self._told_ms = -_MEASURED_EVERY_MS
        self.unrecorded = 0
        """Facts that the buffer could not take, of a device that keeps nothing itself."""

    async def taken(self, terminal: str, fact: Fact) -> None:
        """Commit what follows from a fact; raise BufferFull or BufferUnavailable. What follows from none is counted."""
        event = self._event(terminal, fact)
        if event is None and self._files is not None and type(fact).__name__ in _STORED:
            event = await self._stored(fact, self._files)
        if event is None:
            self._count(fact)
        else:
            await self._store.append((pack(event, self._stamp()),))

    async def pictured(self, fact: Fact) -> None:
        """Commit the pictures of a plate that was read, and the event that names them; all else is taken elsewhere."""
        if isinstance(fact, PlateRead) and self._files is not None:
            event = await self._stored(fact, self._files)
            if event is not None:
                await self._store.append((pack(event, self._stamp()),))

    async def _stored(self, fact: Fact, files: FileStore) -> Event | None:
        from edge.media import stored  # noqa: PLC0415 only what sends pictures needs the words for them

        return await stored(self._spec.id, fact, files)

    def _count(self, fact: Fact) -> None:
        """Count a fact that became no event, unless what it says is told by something else."""
        name = type(fact).__name__
        if is_untold(name, in_lane=self._spec.lane is not None):
            self._untold[name] += 1

    async def heard(self, fact: Fact) -> None:
        """Commit what follows from a fact of a device that waits for no answer; what cannot be is counted."""
        if self._aside(fact):
            return
        try:
            await self.taken("", fact)
        except (BufferFull, BufferUnavailable):
            self.unrecorded += 1

    async def pushed(self, fact: Fact) -> None:
        """Commit what follows from a fact of a device that waits for its answer; raise where it cannot be."""
        if not self._aside(fact):
            await self.taken("", fact)

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
        if event is None:
            self._count(fact)
        else:
            self._tell(event)

    def _aside(self, fact: Fact) -> bool:
        """Take what is about the device's own health; tell whether it was that."""
        match fact:
            case PointDoubtful(point=point, why=why):
                self._noted(f"point {point}", Finding("doubtful", {"point": point, "why": why}))
            case PointTrusted(point=point):
                self._noted(f"point {point}", None)
            case DeviceSignal(topic=topic, on=on, source=source) if topic in ALARMS:
                args = {"topic": topic, "source": source}
                self._noted(f"signal {topic} {source}", Finding("signal", args) if on else None)
            case _:
                return False
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
            case Fact(TRAVELS=True):
                key, values = fact.key()[:128], fact.outward()
                return DeviceTold(device=self._spec.id, fact=type(fact).__name__, key=key, values=values)
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
