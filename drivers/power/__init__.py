"""Power and what surrounds it, by Modbus: UPS, and the room's temperature, humidity, water and doors.

The profile says where everything stands; the words are fixed here, so that an alarm need not know the maker.
"""

from collections.abc import Sequence
from typing import Final, Self

from pydantic import model_validator

from core.messages.commands import DeviceCommand
from drivers.base import Driver, Poll, RegisterMap, Settings, Write
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Measured
from drivers.modbus_observer import PointObserver
from drivers.modbus_points import PointDoubtful, PointMap, PointTrusted
from drivers.profile import Profile, checked_map

TOPICS: Final = frozenset(
    {"on_mains", "on_battery", "on_bypass", "output_off", "overload", "fault", "testing", "input_bad"}
    | {"battery_low", "battery_replace", "battery_missing", "shutdown_imminent"}
    | {"water_leak", "door_open", "smoke", "temperature_alarm", "humidity_alarm"}
)
READINGS: Final = frozenset(
    {"battery_pct", "battery_left_min", "battery_v", "battery_c", "load_pct", "apparent_load_pct", "output_a"}
    | {"input_v", "output_v", "input_hz", "output_hz", "temperature_c", "humidity_pct", "dew_point_c"}
)


class PowerMap(PointMap):
    """The `map` of a UPS or an environment transmitter: points and signals of known names only."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        names = {point.name for point in self.point} - READINGS
        topics = {signal.topic for signal in self.signal} - TOPICS
        if names or topics:
            words = ", ".join(sorted(READINGS | TOPICS))
            raise ValueError(f"unknown: {', '.join(sorted(names | topics))} (known: {words})")
        return self


class PowerMonitor:
    """The registers of one UPS or transmitter. A UPS that is on mains and on battery at once is doubted."""

    def __init__(self, observer: PointObserver) -> None:
        self._observer = observer

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the blocks to read."""
        return self._observer.polls

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the facts of one block; raise FrameInvalid where it has not the size that was asked."""
        facts = self._observer.observe(poll, values)
        known = self._observer.signals
        both = known.get("on_mains", False) and known.get("on_battery", False)
        return (*facts, *self._observer.doubt("power_source", "contradiction" if both else "", ""))

    def writes(self, command: DeviceCommand) -> tuple[Write, ...]:
        """Refuse: nothing here switches power off."""
        return self._observer.writes(command)


def _make(profile: Profile, settings: Settings) -> RegisterMap:  # noqa: ARG001 a UPS has no settings of its own
    layout = checked_map(profile, PowerMap)
    return PowerMonitor(PointObserver(layout, vendor=profile.vendor, model=profile.model))


DRIVER = Driver(
    name="power",
    kind="power",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({Measured, PointDoubtful, PointTrusted, DeviceSignal, DeviceDescribed}),
    links=frozenset({"modbus+tcp", "modbus+rtu"}),
)
