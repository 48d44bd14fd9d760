"""The numbers and names of GA/T 1400.3 and 1400.4: status codes, resources, image types, subscription details.

The paid text was not at hand: resources and status codes are as public implementations have them.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class StatusCode(IntEnum):
    """What an answer says (ResponseStatusObject.StatusCode)."""

    OK = 0
    OTHER = 1
    BUSY = 2
    DEVICE_ERROR = 3
    INVALID_OPERATION = 4
    XML_FORMAT = 5
    XML_CONTENT = 6
    JSON_FORMAT = 7
    JSON_CONTENT = 8
    REBOOTING = 9


STATUS_TEXT: Final = {
    StatusCode.OK: "OK",
    StatusCode.OTHER: "Other error",
    StatusCode.BUSY: "Device Busy",
    StatusCode.DEVICE_ERROR: "Device Error",
    StatusCode.INVALID_OPERATION: "Invalid Operation",
    StatusCode.XML_FORMAT: "Invalid XML Format",
    StatusCode.XML_CONTENT: "Invalid XML Content",
    StatusCode.JSON_FORMAT: "Invalid JSON Format",
    StatusCode.JSON_CONTENT: "Invalid JSON Content",
    StatusCode.REBOOTING: "Reboot",
}
PASSING: Final = frozenset({StatusCode.OTHER, StatusCode.BUSY, StatusCode.DEVICE_ERROR, StatusCode.REBOOTING})
"""Trying the same again later may help; the others say that what was sent is wrong."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object: its path below /VIID, and its names in direct pushes and in notifications."""

    name: str
    item: str
    id_key: str
    detail: str = ""
    """SubscribeDetail's number; empty where nobody can subscribe to it."""

    @property
    def pushed_as(self) -> str:
        """Return the wrapper of direct pushes."""
        return self.item.removesuffix("Object") + "ListObject"

    @property
    def notified_as(self) -> str:
        """Return the wrapper within a notification: the two words stand the other way round there."""
        return self.item.removesuffix("Object") + "ObjectList"

    @property
    def path(self) -> str:
        """Return the path of direct pushes."""
        return f"/VIID/{self.name}"


MOTOR_VEHICLES: Final = Resource("MotorVehicles", "MotorVehicleObject", "MotorVehicleID", "13")
NON_MOTOR_VEHICLES: Final = Resource("NonMotorVehicles", "NonMotorVehicleObject", "NonMotorVehicleID", "14")
FACES: Final = Resource("Faces", "FaceObject", "FaceID", "12")
PERSONS: Final = Resource("Persons", "PersonObject", "PersonID", "11")
IMAGES: Final = Resource("Images", "Image", "ImageID")
RESOURCES: Final = (MOTOR_VEHICLES, NON_MOTOR_VEHICLES, FACES, PERSONS, IMAGES)

KNOWN_NOT_TAKEN: Final = frozenset(
    {
        *("apes", "apss", "tollgates", "lanes", "videoslices", "files", "things", "scenes", "cases"),
        *("dispositions", "dispositionnotifications", "analysisrules", "videolabels"),
    }
)
"""Resources of the standard that a checkpoint has no use for: a device that offers them is told so, and stays well."""

DETAILS: Final = {
    "1": "case",
    "2": "case image",
    "3": "device directory",
    "4": "device status",
    "5": "system directory",
    "6": "system status",
    "7": "tollgate directory",
    "8": "tollgate record",
    "9": "lane directory",
    "10": "lane record",
    "11": "person",
    "12": "face",
    "13": "motor vehicle",
    "14": "non-motor vehicle",
    "15": "thing",
    "16": "file",
}
IMAGE_ROLES: Final = {"01": "vehicle", "02": "plate", "10": "person", "11": "face", "14": "scene"}
"""SubImageInfoObject.Type -> role; anything else is `other`."""

STANDARD_COLOURS: Final = {
    "1": "black",
    "2": "white",
    "3": "grey",
    "4": "red",
    "5": "blue",
    "6": "yellow",
    "7": "orange",
    "8": "brown",
    "9": "green",
    "10": "purple",
    "11": "cyan",
    "12": "pink",
    "99": "other",
}
"""ColorType, of plates and of bodies."""
