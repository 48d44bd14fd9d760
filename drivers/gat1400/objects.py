"""Objects of a view library -> facts.

    {"MotorVehicleID": id, "DeviceID": id, "PlateNo": text, "PlateColor": code, "PassTime": time, ...,
     "SubImageList": {"SubImageInfoObject": [{"Type": "02", "FileFormat": "Jpeg", "Data": Base64, ...}]}}

Promise: the same object sent again has the same object id, also where the sender gave it none.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.facts import Fact, PlateRead
from drivers.gat1400.codes import FACES, IMAGES, MOTOR_VEHICLES, NON_MOTOR_VEHICLES, PERSONS, Resource
from drivers.gat1400.facts import Box, FaceSeen, NonMotorVehicleSeen, PersonSeen, Picture, PictureSent
from drivers.gat1400.profile import LibraryMap
from drivers.gat1400.reading import Record

MAX_IMAGES: Final = 32
"""Of one object; the standard's types are fewer."""
MAX_ID: Final = 64
_MADE: Final = "made-"
_HAS_DATA: Final = re.compile(r'"data": "[^"]', re.IGNORECASE)
_MAGIC: Final = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"), (b"BM", "image/bmp"))
_FORMATS: Final = {"jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "bmp": "image/bmp"}
_TIMES: Final = ("PassTime", "ShotTime", "AppearTime", "MarkTime")


@dataclass(frozen=True, slots=True)
class Sight:
    """An object read as far as all kinds are alike."""

    record: Record
    object_id: str
    device_id: str
    at: datetime | None
    box: Box | None
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """What the request tells about its objects."""

    layout: LibraryMap
    sender: str
    """User-Identify: who sends, where an object does not tell."""
    received_at: datetime


def object_id(resource: Resource, record: Record, context: Context) -> str:
    """Return the sender's id, or one made of the content."""
    given = record.text(resource.id_key, "Id", cap=MAX_ID + 1)
    if given and len(given) <= MAX_ID:
        return given
    content = json.dumps(record.raw, sort_keys=True)
    if not any(record.text(name) for name in _times_of(resource)) and not _HAS_DATA.search(content):
        # Without a time and a picture two passes of one car look the same: only within a minute are they one.
        content += context.received_at.strftime("%Y%m%d%H%M")
    return _MADE + hashlib.sha256(content.encode()).hexdigest()[:40]


def read_object(resource: Resource, value: object, context: Context) -> tuple[str, Fact, tuple[str, ...]]:
    """Return an object's id, its fact and its flaws; raise FrameInvalid for what is no object."""
    if not isinstance(value, Mapping) or not value:
        raise FrameInvalid(f"a {resource.item} that is no object")
    record = Record(value)
    name = object_id(resource, record, context)
    if resource is IMAGES:
        return _picture_sent(name, record, context)
    listed = record.items("SubImageList", "SubImageInfoObject")
    pictures = tuple(_picture(one, context.layout) for one in listed[:MAX_IMAGES])
    times = _times_of(resource)
    sight = Sight(
        record=record,
        object_id=name,
        device_id=record.text("DeviceID", cap=MAX_ID) or context.sender,
        at=record.moment(context.layout.zone, *times) or _shot_at(listed, context.layout),
        box=_box(record),
        pictures=pictures,
    )
    flaws = [f"{name}: picture {one.kind}: {one.flaw}" for one in pictures if one.flaw]
    if len(listed) > MAX_IMAGES:
        flaws.append(f"{name}: {len(listed) - MAX_IMAGES} pictures more than {MAX_IMAGES}")
    return name, _MAKERS[resource](sight, context.layout), tuple(flaws)


def _times_of(resource: Resource) -> tuple[str, ...]:
    stem = resource.item.removesuffix("Object")
    return (f"{stem}AppearTime", *_TIMES, "LocationMarkTime")


def _plate_read(sight: Sight, layout: LibraryMap) -> Fact:
    record = sight.record
    plate = record.text("PlateNo")
    reliability = record.number("PlateReliability")
    confidence = None if reliability is None else reliability / layout.reliability_full
    speed = record.number("Speed")
    return PlateRead(
        plate="" if plate.casefold() in layout.no_plate else plate,
        object_id=sight.object_id,
        confidence=confidence if confidence is not None and 0 <= confidence <= 1 else None,
        colour=_plate_colour(record.text("PlateColor"), layout),
        taken_at=sight.at,
        direction=layout.directions.get(record.text("Direction"), ""),
        camera_lane=record.whole("LaneNo"),
        vehicle_kind=_word(record.text("VehicleClass"), layout.vehicle_kinds),
        vehicle_colour=_word(record.text("VehicleColor"), layout.vehicle_colours),
        speed_kmh=speed if speed is not None and 0 <= speed <= 400 else None,
        device_id=sight.device_id,
        images=tuple(one for one in sight.pictures if one.data),
    )


def _face_seen(sight: Sight, _layout: LibraryMap) -> Fact:
    return FaceSeen(sight.object_id, sight.device_id, sight.at, sight.box, sight.pictures)


def _person_seen(sight: Sight, _layout: LibraryMap) -> Fact:
    return PersonSeen(sight.object_id, sight.device_id, sight.at, sight.box, sight.pictures)


def _cycle_seen(sight: Sight, layout: LibraryMap) -> Fact:
    plate = sight.record.text("PlateNo")
    return NonMotorVehicleSeen(
        sight.object_id,
        "" if plate.casefold() in layout.no_plate else plate,
        sight.device_id,
        sight.at,
        sight.box,
        sight.pictures,
    )


_MAKERS: Final[dict[Resource, Callable[[Sight, LibraryMap], Fact]]] = {
    MOTOR_VEHICLES: _plate_read,
    NON_MOTOR_VEHICLES: _cycle_seen,
    FACES: _face_seen,
    PERSONS: _person_seen,
}


def _picture_sent(name: str, record: Record, context: Context) -> tuple[str, Fact, tuple[str, ...]]:
    """Read `{"ImageInfoObject": {...}, "Data": Base64}`, or both in one object."""
    info = record.record("ImageInfoObject") or record
    picture = _picture({**info.raw, "Data": record.value("Data") or info.value("Data")}, context.layout)
    if record is not info:
        name = info.text("ImageID", cap=MAX_ID) or name
    device = info.text("DeviceID", cap=MAX_ID) or context.sender
    fact = PictureSent(name, device, picture, info.moment(context.layout.zone, "ShotTime"))
    return name, fact, (f"{name}: picture: {picture.flaw}",) if picture.flaw else ()


def _picture(value: object, layout: LibraryMap) -> Picture:
    if not isinstance(value, Mapping):
        return Picture(role="other", media_type="", data=b"", flaw="no object")
    record = Record(value)
    kind = record.text("Type").zfill(2)
    data, flaw = _image_data(record.value("Data"))
    return Picture(
        role=layout.image_roles.get(kind, "other"),
        media_type=_media_type(data, record.text("FileFormat")),
        data=data,
        width=record.whole("Width") or None,
        height=record.whole("Height") or None,
        kind=kind,
        image_id=record.text("ImageID", cap=MAX_ID),
        path=record.text("StoragePath", cap=1024),
        flaw=flaw,
    )


def _image_data(value: object) -> tuple[bytes, str]:
    if not isinstance(value, str) or not value.strip():
        return b"", ""
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode("".join(text.split()), validate=True), ""
    except (binascii.Error, ValueError):
        return b"", "its Data is not Base64"


def _media_type(data: bytes, told: str) -> str:
    seen = next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")
    return seen or _FORMATS.get(told.casefold(), "application/octet-stream")


def _shot_at(listed: list[Any], layout: LibraryMap) -> datetime | None:
    first = next((one for one in listed if isinstance(one, Mapping)), None)
    return None if first is None else Record(first).moment(layout.zone, "ShotTime")


def _box(record: Record) -> Box | None:
    left, top, right, bottom = (record.whole(name) for name in ("LeftTopX", "LeftTopY", "RightBtmX", "RightBtmY"))
    if left is None or top is None or right is None or bottom is None:
        return None
    return left, top, right, bottom


def _plate_colour(text: str, layout: LibraryMap) -> str:
    """Return one of PlateRead's words."""
    if not text:
        return ""
    word = layout.plate_colours.get(text, text.casefold().replace("-", "_"))
    return word if word in _PLATE_COLOURS else "other"


_PLATE_COLOURS: Final = frozenset({"blue", "yellow", "green", "yellow_green", "white", "black", "other"})


def _word(text: str, words: Mapping[str, str]) -> str:
    """Return the word of a code, or of its first letter; a text that is no code stands for itself."""
    return words.get(text) or words.get(text[:1]) or text.casefold() if text else ""
