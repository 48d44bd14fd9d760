"""What only view libraries tell."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from drivers.facts import Fact, Image
from drivers.gat1400.subscriptions import Subscription

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in the picture, in pixels."""


@dataclass(frozen=True, slots=True)
class Picture(Image):
    """A picture as a view library lists it. `data` is empty where only a path came, or no proper Base64."""

    kind: str = ""
    """SubImageInfoObject.Type."""
    image_id: str = ""
    path: str = ""
    """StoragePath, as the device gave it; not fetched."""
    flaw: str = ""
    """Why the data could not be read."""


@dataclass(frozen=True, slots=True)
class SystemRegistered(Fact):
    """A device or lower platform has registered."""

    device_id: str


@dataclass(frozen=True, slots=True)
class SystemLeft(Fact):
    """A device or lower platform has taken its registration back."""

    device_id: str


@dataclass(frozen=True, slots=True)
class KeptAlive(Fact):
    """A device or lower platform says that it lives."""

    device_id: str


@dataclass(frozen=True, slots=True)
class FaceSeen(Fact):
    """A face was seen. What the camera guesses about the person (sex, age, suspicion) is not taken over."""

    object_id: str
    device_id: str = ""
    seen_at: datetime | None = None
    box: Box | None = None
    images: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonSeen(Fact):
    """A person was seen; as with faces nothing guessed is taken over."""

    object_id: str
    device_id: str = ""
    seen_at: datetime | None = None
    box: Box | None = None
    images: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class NonMotorVehicleSeen(Fact):
    """A bicycle, tricycle or electric cycle was seen."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"plate"})

    object_id: str
    plate: str = ""
    device_id: str = ""
    seen_at: datetime | None = None
    box: Box | None = None
    images: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class PictureSent(Fact):
    """A picture came by itself (/VIID/Images)."""

    object_id: str
    device_id: str
    picture: Picture
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionAsked(Fact):
    """An upper level wants notifications, or wants them otherwise than before."""

    subscription: Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionEnded(Fact):
    """An upper level wants no more notifications of a subscription."""

    subscription_id: str
    reason: str = ""
