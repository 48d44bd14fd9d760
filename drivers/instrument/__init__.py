"""Measuring instruments by Modbus: draught and level gauges, density monitors, thermometers. The profile says all."""

from collections.abc import Sequence
from datetime import date

from pydantic import Field

from core.messages.commands import DeviceCommand
from drivers.base import Driver, Poll, RegisterMap, Settings, Write
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Measured
from drivers.instrument.facts import CalibrationStated
from drivers.modbus_observer import PointObserver
from drivers.modbus_points import PointDoubtful, PointMap, PointTrusted
from drivers.profile import Profile, checked_map


class InstrumentSettings(Settings):
    """What an instrument's entry may set."""

    calibration_due: date | None = None
    """The last day of its calibration."""
    certificate: str = Field(default="", max_length=128)
    """Of that calibration."""


class Instrument:
    """The registers of one instrument. Its calibration is stated once, with the first block."""

    def __init__(self, observer: PointObserver, settings: InstrumentSettings) -> None:
        self._observer = observer
        self._settings = settings
        self._stated = settings.calibration_due is None

    @property
    def polls(self) -> tuple[Poll, ...]:
        """Return the blocks to read."""
        return self._observer.polls

    def observe(self, poll: Poll, values: Sequence[int]) -> Sequence[Fact]:
        """Return the facts of one block; raise FrameInvalid where it has not the size that was asked."""
        facts = self._observer.observe(poll, values)
        due = self._settings.calibration_due
        if self._stated or due is None:
            return facts
        self._stated = True
        return (CalibrationStated(due, self._settings.certificate), *facts)

    def writes(self, command: DeviceCommand) -> tuple[Write, ...]:
        """Refuse: an instrument takes no commands."""
        return self._observer.writes(command)


def _make(profile: Profile, settings: Settings) -> RegisterMap:
    assert isinstance(settings, InstrumentSettings)
    layout = checked_map(profile, PointMap)
    return Instrument(PointObserver(layout, vendor=profile.vendor, model=profile.model), settings)


DRIVER = Driver(
    name="instrument",
    kind="instrument",
    settings=InstrumentSettings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({Measured, PointDoubtful, PointTrusted, DeviceSignal, DeviceDescribed, CalibrationStated}),
    links=frozenset({"modbus+tcp", "modbus+rtu"}),
)
