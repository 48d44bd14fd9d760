"""What a lower level sends: requests, and the objects in them, as the standard writes them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, ClassVar, Final

from drivers.gat1400.codes import FACES, IMAGE_ROLES, MOTOR_VEHICLES, PERSONS, STANDARD_COLOURS, Resource
from drivers.gat1400.reading import stamp
from drivers.gat1400.subscriptions import Subscription

AUTOMATIC: Final = 1
"""InfoKind: seen by a device, not written by a person."""
_TYPES: Final = {role: kind for kind, role in IMAGE_ROLES.items()}
_COLOURS: Final = {word: code for code, word in STANDARD_COLOURS.items()} | {"yellow_green": "9"}
_FORMATS: Final = {"image/jpeg": "Jpeg", "image/png": "Png", "image/bmp": "Bmp"}
_OTHER: Final = "99"


@dataclass(frozen=True, slots=True)
class OutImage:
    """A picture on its way up. A wrong role makes it invisible there."""

    image_id: str
    role: str
    data: bytes
    taken_at: datetime
    media_type: str = "image/jpeg"
    width: int = 0
    height: int = 0

    @property
    def kind(self) -> str:
        """Return SubImageInfoObject.Type."""
        return _TYPES.get(self.role, _OTHER)


@dataclass(frozen=True, slots=True)
class OutVehicle:
    """A motor vehicle on its way up. Without a tollgate the upper level cannot file it."""

    object_id: str
    """48 digits: `ids.make_object_id`."""
    device_id: str
    tollgate_id: str
    passed_at: datetime
    plate: str
    """Empty where it could not be read."""
    plate_colour: str = ""
    """A word of PlateRead."""
    vehicle_colour: str = ""
    lane: int | None = None
    speed_kmh: float | None = None
    images: tuple[OutImage, ...] = ()

    @property
    def resource(self) -> Resource:
        """Return what it is."""
        return MOTOR_VEHICLES

    @property
    def sources(self) -> frozenset[str]:
        """Return the ids by which a subscription may ask for it."""
        return frozenset({self.device_id, self.tollgate_id})

    def as_object(self, zone: tzinfo, subscription: Subscription | None = None) -> dict[str, Any]:
        """Return a MotorVehicleObject; with the pictures that a subscription asks for, or with all."""
        optional = {"LaneNo": self.lane, "Speed": self.speed_kmh}
        passed = stamp(self.passed_at, zone)
        return {
            "MotorVehicleID": self.object_id,
            "InfoKind": AUTOMATIC,
            "SourceID": self.images[0].image_id if self.images else self.object_id[:41],
            "TollgateID": self.tollgate_id,
            "DeviceID": self.device_id,
            "MarkTime": passed,
            "PassTime": passed,
            "HasPlate": "1" if self.plate else "0",
            "PlateNo": self.plate or "无车牌",
            "PlateColor": _COLOURS.get(self.plate_colour, _OTHER),
            "VehicleColor": _COLOURS.get(self.vehicle_colour, _OTHER),
            **{name: value for name, value in optional.items() if value is not None},
            **_pictures(self.device_id, self.images, zone, subscription),
        }


@dataclass(frozen=True, slots=True)
class _OutSeen:
    """Somebody who was seen, on the way up; nothing that is guessed about them."""

    RESOURCE: ClassVar[Resource]
    NOUN: ClassVar[str]
    """What the names of its attributes begin with."""

    object_id: str
    device_id: str
    seen_at: datetime
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    images: tuple[OutImage, ...] = ()

    @property
    def resource(self) -> Resource:
        """Return what it is."""
        return self.RESOURCE

    @property
    def sources(self) -> frozenset[str]:
        """Return the ids by which a subscription may ask for it."""
        return frozenset({self.device_id})

    def as_object(self, zone: tzinfo, subscription: Subscription | None = None) -> dict[str, Any]:
        """Return its object; with the pictures that a subscription asks for, or with all."""
        seen = stamp(self.seen_at, zone)
        left, top, right, bottom = self.box
        return {
            f"{self.NOUN}ID": self.object_id,
            "InfoKind": AUTOMATIC,
            "SourceID": self.images[0].image_id if self.images else self.object_id[:41],
            "DeviceID": self.device_id,
            "LeftTopX": left,
            "LeftTopY": top,
            "RightBtmX": right,
            "RightBtmY": bottom,
            "LocationMarkTime": seen,
            f"{self.NOUN}AppearTime": seen,
            f"{self.NOUN}DisAppearTime": seen,
            **_pictures(self.device_id, self.images, zone, subscription),
        }


class OutFace(_OutSeen):
    """A face on its way up: a FaceObject."""

    RESOURCE = FACES
    NOUN = "Face"
    __slots__ = ()


class OutPerson(_OutSeen):
    """A person on the way up: a PersonObject."""

    RESOURCE = PERSONS
    NOUN = "Person"
    __slots__ = ()


OutObject = OutVehicle | OutFace | OutPerson


def register(device_id: str) -> dict[str, Any]:
    """Return the body of Register."""
    return {"RegisterObject": {"DeviceID": device_id}}


def unregister(device_id: str) -> dict[str, Any]:
    """Return the body of UnRegister."""
    return {"UnRegisterObject": {"DeviceID": device_id}}


def keepalive(device_id: str) -> dict[str, Any]:
    """Return the body of Keepalive."""
    return {"KeepaliveObject": {"DeviceID": device_id}}


def pushed(resource: Resource, objects: Sequence[OutObject], zone: tzinfo) -> dict[str, Any]:
    """Return the body of a direct push: `...ListObject`."""
    return {resource.pushed_as: {resource.item: [one.as_object(zone) for one in objects]}}


def notification(
    subscription: Subscription, notification_id: str, at: datetime, objects: Sequence[OutObject], zone: tzinfo
) -> dict[str, Any]:
    """Return the body of one notification: `...ObjectList` inside it; the objects may be of several kinds."""
    note: dict[str, Any] = {
        "NotificationID": notification_id,
        "SubscribeID": subscription.subscription_id,
        "Title": subscription.title,
        "TriggerTime": stamp(at, zone),
        "InfoIDs": ",".join(one.object_id for one in objects),
    }
    for one in objects:
        wrapper = note.setdefault(one.resource.notified_as, {one.resource.item: []})
        wrapper[one.resource.item].append(one.as_object(zone, subscription))
    return {"SubscribeNotificationListObject": {"SubscribeNotificationObject": [note]}}


def subscribe(subscriptions: Sequence[Subscription], zone: tzinfo) -> dict[str, Any]:
    """Return the body of an upper level's Subscribes."""
    return {"SubscribeListObject": {"SubscribeObject": [one.as_object(zone) for one in subscriptions]}}


def _pictures(
    device_id: str, images: tuple[OutImage, ...], zone: tzinfo, subscription: Subscription | None
) -> dict[str, Any]:
    wanted = [one for one in images if subscription is None or subscription.wants_image(one.kind)]
    if not wanted:
        return {}
    return {"SubImageList": {"SubImageInfoObject": [_picture(device_id, one, zone) for one in wanted]}}


def _picture(device_id: str, image: OutImage, zone: tzinfo) -> dict[str, Any]:
    return {
        "ImageID": image.image_id,
        "EventSort": 10,
        "DeviceID": device_id,
        "Type": image.kind,
        "FileFormat": _FORMATS.get(image.media_type, "Other"),
        "ShotTime": stamp(image.taken_at, zone),
        "Width": image.width,
        "Height": image.height,
        "Data": base64.b64encode(image.data).decode(),
    }
