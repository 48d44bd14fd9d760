"""What our cameras see, as objects of a view library (GA/T 1400.3), and as rows of an outbox.

Promise: the same read again has the same object id, also after a restart, as long as its camera tells the time of it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.facts import Fact, Image, PlateRead
from drivers.gat1400.bodies import OutFace, OutImage, OutObject, OutPerson, OutVehicle
from drivers.gat1400.facts import FaceSeen, PersonSeen
from drivers.gat1400.ids import (
    SEQUENCE_SPAN,
    MediaKind,
    ObjectKind,
    is_object_id,
    make_image_id,
    make_object_id,
)

GOES_UP: Final = (PlateRead, FaceSeen, PersonSeen)
_KINDS: Final = {OutVehicle: "vehicle", OutFace: "face", OutPerson: "person"}
_SEEN: Final[Mapping[str, type[OutFace | OutPerson]]] = {"face": OutFace, "person": OutPerson}
_NO_BOX: Final = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Naming:
    """Under which ids the upper level knows a camera."""

    camera: str
    tollgate: str
    zone: tzinfo


def out_object(fact: Fact, naming: Naming, received_at: datetime) -> OutObject | None:
    """Return what goes up of a fact; None where nothing does."""
    match fact:
        case PlateRead():
            at = fact.taken_at or received_at
            told = (fact.object_id, fact.plate, at.isoformat())
            name = _object_id(fact.object_id, told, ObjectKind.MOTOR_VEHICLE, naming, at)
            return OutVehicle(
                object_id=name,
                device_id=naming.camera,
                tollgate_id=naming.tollgate,
                passed_at=at,
                plate=fact.plate,
                plate_colour=fact.colour,
                vehicle_colour=fact.vehicle_colour,
                lane=fact.camera_lane,
                speed_kmh=fact.speed_kmh,
                images=_images(name, fact.images, naming, at),
            )
        case FaceSeen() | PersonSeen():
            face = isinstance(fact, FaceSeen)
            make: type[OutFace | OutPerson] = OutFace if face else OutPerson
            at = fact.seen_at or received_at
            kind = ObjectKind.FACE if face else ObjectKind.PERSON
            name = _object_id(fact.object_id, (fact.object_id, at.isoformat()), kind, naming, at)
            images = _images(name, fact.images, naming, at)
            return make(name, naming.camera, at, fact.box or _NO_BOX, images)
    return None


def _object_id(given: str, told: tuple[str, ...], kind: ObjectKind, naming: Naming, at: datetime) -> str:
    """Return the camera's own id where it is one of that camera, else one made of what it told."""
    if given.startswith(naming.camera) and is_object_id(given, naming.zone) and given[41:43] == kind:
        return given
    digest = hashlib.sha256("\0".join((naming.camera, kind, *told)).encode("utf-8", "replace")).digest()
    first, second = divmod(int.from_bytes(digest, "big") % SEQUENCE_SPAN**2, SEQUENCE_SPAN)
    return make_object_id(make_image_id(naming.camera, MediaKind.IMAGE, at, first, naming.zone), kind, second)


def _images(name: str, images: tuple[Image, ...], naming: Naming, at: datetime) -> tuple[OutImage, ...]:
    """Return the pictures that came along, numbered from the object's own number on."""
    first = int(name[36:41])
    return tuple(
        OutImage(
            make_image_id(naming.camera, MediaKind.IMAGE, at, (first + number) % SEQUENCE_SPAN, naming.zone),
            image.role,
            image.data,
            at,
            image.media_type,
            image.width or 0,
            image.height or 0,
        )
        for number, image in enumerate(one for one in images if one.data)
    )


def as_row(what: OutObject, files: tuple[str, ...]) -> dict[str, Any]:
    """Return JSON values; `files` are the names of its pictures' contents."""
    row: dict[str, Any] = {"kind": _KINDS[type(what)], "id": what.object_id, "device": what.device_id}
    if isinstance(what, OutVehicle):
        row |= {"at": what.passed_at.isoformat(), "tollgate": what.tollgate_id, "plate": what.plate}
        row |= {"plate_colour": what.plate_colour, "vehicle_colour": what.vehicle_colour}
        row |= {"lane": what.lane, "speed_kmh": what.speed_kmh}
    else:
        row |= {"at": what.seen_at.isoformat(), "box": list(what.box)}
    row["images"] = [
        [file, one.image_id, one.role, one.taken_at.isoformat(), one.media_type, one.width, one.height]
        for file, one in zip(files, what.images, strict=True)
    ]
    return row


def from_row(row: Mapping[str, Any]) -> tuple[OutObject, tuple[str, ...]]:
    """Return an object whose pictures are empty yet, and the names of their contents; raise FrameInvalid."""
    try:
        at = datetime.fromisoformat(row["at"])
        images = tuple(
            OutImage(image_id, role, b"", datetime.fromisoformat(taken), media_type, width, height)
            for _, image_id, role, taken, media_type, width, height in row["images"]
        )
        files = tuple(str(one[0]) for one in row["images"])
        if row["kind"] == "vehicle":
            return _vehicle(row, at, images), files
        make: type[OutFace | OutPerson] = _SEEN[row["kind"]]
        left, top, right, bottom = row["box"]
        return make(row["id"], row["device"], at, (left, top, right, bottom), images), files
    except (KeyError, ValueError, TypeError) as error:
        raise FrameInvalid(f"a row of the outbox that cannot be read: {error!r}"[:200]) from error


def with_pictures(what: OutObject, contents: tuple[bytes, ...]) -> OutObject:
    """Return an object with the contents of its pictures; those that are gone are left out."""
    found = zip(what.images, contents, strict=True)
    return replace(what, images=tuple(replace(image, data=data) for image, data in found if data))


def _vehicle(row: Mapping[str, Any], at: datetime, images: tuple[OutImage, ...]) -> OutVehicle:
    words = {name: row[name] for name in ("plate", "plate_colour", "vehicle_colour", "lane", "speed_kmh")}
    return OutVehicle(row["id"], row["device"], row["tollgate"], at, images=images, **words)
