"""ANPR alerts -> plates. Keeps nothing between requests: the same `UUID` again is the same read."""

import re
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

from core.errors import FrameInvalid
from drivers.base import Pushed, Request
from drivers.facts import Image, PlateRead
from drivers.hik_anpr.layout import AnprMap
from drivers.isapi import Events, receive, told
from drivers.markup import find, local, text
from drivers.multipart import Part
from drivers.pictures import picture
from drivers.push import Reading
from drivers.stamps import zone_of

_MAX_PLATE: Final = 40
_MAX_IMAGES: Final = 16
_COPY = re.compile(r"_\d{1,2}$")
_CHINESE: Final = ("\u4e00", "\u9fff")


class PlateAlerts:
    """The alarm host of one plate camera."""

    def __init__(self, layout: AnprMap) -> None:
        self._map = layout
        self._zone = zone_of(layout.zone)
        self._events = Events(layout.plate_events, layout.heartbeats, layout.idle_events)

    def receive(self, request: Request) -> Pushed:
        """Return the plates and signals of one request."""
        return receive(request, self._events, self._plate)

    def _plate(self, alert: Element, pictures: tuple[Part, ...], reading: Reading) -> PlateRead:
        layout, spelled = self._map, self._map.spelling
        read = told(alert, spelled.plate)
        if not read and find(alert, "ANPR") is None:
            raise FrameInvalid("an ANPR alert without a plate")
        if len(read) > _MAX_PLATE or not read.isprintable():
            raise FrameInvalid(
                f"a plate of {len(read)} characters" if len(read) > _MAX_PLATE else "a plate unprintable"
            )
        plate, colour = self._bare(read)
        told_colour = self._colour(told(alert, spelled.colour))
        confidence = reading.number("confidence", told(alert, spelled.confidence), 0, layout.confidence_scale)
        speed = reading.number("speed", told(alert, spelled.speed_kmh), 0, 500)
        return PlateRead(
            plate=plate,
            object_id=reading.word("object id", told(alert, spelled.object_id)),
            confidence=None if confidence is None else confidence / layout.confidence_scale,
            colour=told_colour or colour,
            country=_meaning(layout.countries, reading.word("country", told(alert, spelled.country), 16)),
            taken_at=reading.stamp("time", told(alert, spelled.taken_at), self._zone),
            direction=layout.directions.get(told(alert, spelled.direction).lower(), ""),
            camera_lane=reading.whole("lane", told(alert, spelled.camera_lane), 0, 255),
            vehicle_kind=_meaning(layout.vehicle_kinds, reading.word("type", told(alert, spelled.vehicle_kind), 40)),
            vehicle_colour=_meaning(
                layout.vehicle_colours, reading.word("colour", told(alert, spelled.vehicle_colour), 40)
            ),
            speed_kmh=speed or None,  # cameras without radar say 0
            device_id=reading.word("device id", told(alert, spelled.device_id)),
            images=self._images(alert, pictures, reading),
        )

    def _bare(self, read: str) -> tuple[str, str]:
        """Return a plate without the colour in front of it, and that colour. `黑A12345` is of Heilongjiang."""
        if read.lower() in self._map.no_plate:
            return "", ""
        for prefix in sorted(self._map.plate_prefixes, key=len, reverse=True):
            rest = read.removeprefix(prefix)
            if rest != read and rest and _CHINESE[0] <= rest[0] <= _CHINESE[1]:
                return rest, self._map.plate_prefixes[prefix]
        return read, ""

    def _colour(self, word: str) -> str:
        return self._map.colours.get(word.lower(), "other") if word else ""

    def _images(self, alert: Element, pictures: tuple[Part, ...], reading: Reading) -> tuple[Image, ...]:
        if len(pictures) > _MAX_IMAGES:
            reading.reject(f"{len(pictures)} pictures, {_MAX_IMAGES} are kept")
        listed = _listed(alert)
        images = []
        for part in pictures[:_MAX_IMAGES]:
            try:
                images.append(picture(self._role(part, listed), part.data))
            except FrameInvalid as error:
                reading.reject(error.detail)
        return tuple(images)

    def _role(self, part: Part, listed: Mapping[str, str]) -> str:
        """Judge by the part's names; firmware may put the picture's id there, which the alert's own list explains."""
        for name in (part.name, part.filename):
            for word in (name, listed.get(_stem(name), "")):
                role = self._map.roles.get(_COPY.sub("", _stem(word)))
                if role is not None:
                    return role
        return "other"


def _listed(alert: Element) -> dict[str, str]:
    """Return picture id -> file name, of the alert's list."""
    pictures = find(alert, "ANPR", "pictureInfoList")
    rows = [] if pictures is None else [row for row in pictures if local(row.tag) == "pictureInfo"]
    return {_stem(text(row, "pId")): text(row, "fileName") or text(row, "type") for row in rows[:_MAX_IMAGES]}


def _stem(name: str) -> str:
    return name.lower().removesuffix(".jpg").removesuffix(".jpeg").removesuffix(".png")


def _meaning(meanings: Mapping[str, str], word: str) -> str:
    return meanings.get(word.lower(), word if word.isupper() else word.lower())
