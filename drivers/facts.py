"""What devices tell: facts, before a lane or a daemon makes events of them.

Facts never leave the edge as they are: a credential's text is a natural identifier; only its keyed token may travel.
"""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar

from core.messages.events import LaneMode


@dataclass(frozen=True, slots=True)
class Fact:
    """One observation."""

    TRAVELS: ClassVar[bool] = False
    """Whether it may leave the edge as it is, as `DeviceTold`: only what names no person and no car."""
    PRIVATE: ClassVar[frozenset[str]] = frozenset()
    """Fields that name a person or a car: they are shown to nobody, only how long they are."""

    def key(self) -> str:
        """Return which of the device's things it is about: told again, it supersedes what was told before."""
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, for `gatefleet decode`."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def outward(self) -> dict[str, Any]:
        """Return what of it may leave the edge, of a fact that travels."""
        return self.as_dict()

    def shown(self) -> dict[str, Any]:
        """Return what a technician may see: a private text only by its length."""
        masked = {name: _length(getattr(self, name)) for name in self.PRIVATE}
        return self.as_dict() | masked


@dataclass(frozen=True, slots=True)
class CredentialRead(Fact):
    """A reader has read a document or a code."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str


@dataclass(frozen=True, slots=True)
class GateObserved(Fact):
    """The state of a gate at one moment. Counters only grow, but wrap at `counter_span` and restart with the gate."""

    mode: LaneMode
    in_count: int
    out_count: int
    counter_span: int
    released: bool = False
    """A release is armed and not yet used."""
    sensors: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    counts_survive: bool = True
    """Whether the gate itself counts, so that passages during a restart of the edge can be recovered."""


@dataclass(frozen=True, slots=True)
class Measured(Fact):
    """Readings by point name, unit in the name."""

    readings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that came with a fact. `role`: scene, vehicle, plate, person, face or other."""

    role: str
    media_type: str
    data: bytes = field(repr=False)
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class PlateRead(Fact):
    """A camera has read a plate. The text is as the camera gave it: `core.identity.plates` judges it."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"plate"})

    plate: str
    """Empty where a vehicle passed whose plate could not be read."""
    object_id: str = ""
    """The camera's own name of the read: the same again is the same read."""
    confidence: float | None = None
    """0 to 1."""
    colour: str = ""
    """Of the plate: blue, yellow, green, yellow_green, white, black, other, or empty where not told."""
    country: str = ""
    taken_at: datetime | None = None
    """The camera's time, with its zone."""
    direction: str = ""
    """approach, depart, or empty where not told."""
    camera_lane: int | None = None
    vehicle_kind: str = ""
    vehicle_colour: str = ""
    speed_kmh: float | None = None
    device_id: str = ""
    """The id that the camera gives itself."""
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleCounted(Fact):
    """Persons that crossed a line. Between `since` and `until` where told; else as totals of the device's own day."""

    entered: int
    left: int
    cumulative: bool = False
    """Totals since the device's reset rather than what came since the last report."""
    since: datetime | None = None
    until: datetime | None = None
    region: str = ""
    inside: int | None = None


@dataclass(frozen=True, slots=True)
class PositionTaken(Fact):
    """Where a locator is, WGS-84."""

    terminal: str
    latitude_deg: float | None
    longitude_deg: float | None
    fixed: bool
    taken_at: datetime | None = None
    """The device's time, with its zone; None where it has none that can be."""
    altitude_m: float | None = None
    speed_kmh: float | None = None
    course_deg: float | None = None
    satellites: int | None = None
    hdop: float | None = None
    mileage_km: float | None = None
    acc_on: bool | None = None
    alarm_bits: int = 0
    status_bits: int = 0
    late: bool = False
    """Kept by the device while it had no network, and sent afterwards."""
    items: dict[str, str] = field(default_factory=dict)
    """What else it told: TLV id to value, both hexadecimal."""


@dataclass(frozen=True, slots=True)
class DeviceDescribed(Fact):
    """What a device says of itself: an asset record begins with it."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class DeviceSignal(Fact):
    """A switch of the device's own: an input, motion, tampering, an alarm. `topic` in the words of its protocol."""

    topic: str
    on: bool
    source: str = ""
    baseline: bool = False
    """Told because somebody asked or subscribed, not because it changed."""


def _length(text: str) -> str:
    return f"({len(text)} characters)" if text else ""


def _plain(value: object) -> object:
    match value:
        case frozenset():
            return sorted(value)
        case date():
            return value.isoformat()
        case bytes():
            return {"bytes": len(value)}
        case tuple() | list():
            return [_plain(one) for one in value]
        case dict():
            return {key: _plain(one) for key, one in value.items()}
    return value
