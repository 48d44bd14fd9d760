"""The ids of GA/T 1400.1, made and checked. Times in them are of the zone that is given.

device        20  prefix10 + kind3 + serial7          kind: 119 camera, 121 tollgate, 120 system, 503 view library
image         41  device20 + kind2 + time14 + seq5    kind: 01 video, 02 image, 03 file
object        48  image41 + kind2 + seq5              kind: 01 person .. 06 face
subscription  33  organisation12 + 03 + time14 + seq5
notification  33  organisation12 + 04 + time14 + seq5
"""

from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Final

from core.errors import ConfigInvalid
from drivers.gat1400.reading import read_moment, stamp

SEQUENCE_SPAN: Final = 100_000
"""Sequence numbers in ids start again after so many."""


class DeviceKind(StrEnum):
    """Digits 11 to 13 of a device's id."""

    CAMERA = "119"
    SYSTEM = "120"
    TOLLGATE = "121"
    VIEW_LIBRARY = "503"


class MediaKind(StrEnum):
    """What an image id names."""

    VIDEO = "01"
    IMAGE = "02"
    FILE = "03"


class ObjectKind(StrEnum):
    """What an object id names."""

    PERSON = "01"
    MOTOR_VEHICLE = "02"
    NON_MOTOR_VEHICLE = "03"
    THING = "04"
    SCENE = "05"
    FACE = "06"


def make_device_id(prefix: str, kind: DeviceKind, serial: int) -> str:
    """Return 20 digits; raise ConfigInvalid for a part that does not fit."""
    return _digits(prefix, 10, "the prefix") + kind + _serial(serial, 7)


def make_image_id(device_id: str, kind: MediaKind, at: datetime, sequence: int, zone: tzinfo) -> str:
    """Return 41 digits; raise ConfigInvalid for a part that does not fit."""
    return _digits(device_id, 20, "the device id") + kind + stamp(at, zone) + _serial(sequence, 5)


def make_object_id(image_id: str, kind: ObjectKind, sequence: int) -> str:
    """Return 48 digits; raise ConfigInvalid for a part that does not fit."""
    return _digits(image_id, 41, "the image id") + kind + _serial(sequence, 5)


def make_subscription_id(organisation: str, at: datetime, sequence: int, zone: tzinfo) -> str:
    """Return 33 digits; raise ConfigInvalid for a part that does not fit."""
    return _digits(organisation, 12, "the organisation") + "03" + stamp(at, zone) + _serial(sequence, 5)


def make_notification_id(organisation: str, at: datetime, sequence: int, zone: tzinfo) -> str:
    """Return 33 digits; raise ConfigInvalid for a part that does not fit."""
    return _digits(organisation, 12, "the organisation") + "04" + stamp(at, zone) + _serial(sequence, 5)


def is_device_id(text: str) -> bool:
    """Tell whether this is 20 digits."""
    return len(text) == 20 and _is_digits(text)


def is_object_id(text: str, zone: tzinfo) -> bool:
    """Tell whether this is 48 digits with a time and a kind that can be."""
    return (
        len(text) == 48
        and _is_digits(text)
        and text[20:22] in set(MediaKind)
        and read_moment(text[22:36], zone) is not None
        and text[41:43] in set(ObjectKind)
    )


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _digits(text: str, count: int, what: str) -> str:
    if len(text) != count or not _is_digits(text):
        raise ConfigInvalid(f"{what} of a GA/T 1400 id is not {count} digits: {text[:48]!r}")
    return text


def _serial(number: int, width: int) -> str:
    if not 0 <= number < 10**width:
        raise ConfigInvalid(f"a number of a GA/T 1400 id does not fit {width} digits: {number}")
    return f"{number:0{width}d}"
