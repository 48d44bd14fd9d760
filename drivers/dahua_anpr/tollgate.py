"""ITSAPI notifications -> plates. Keeps nothing between requests."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import timezone
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.base import Answer, Pushed, Request
from drivers.dahua_anpr.layout import ItsApiMap
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Image, PlateRead
from drivers.pictures import picture
from drivers.push import Reading, at_path, first_text, parse_json, refused, scalar_text
from drivers.stamps import zone_of

_MAX_PLATE: Final = 40
_TAKEN: Final = Answer(200, b'{"Result": true}')


class TollgateNotices:
    """What one plate camera pushes to."""

    def __init__(self, layout: ItsApiMap) -> None:
        self._map = layout
        self._zone = zone_of(layout.zone)

    def receive(self, request: Request) -> Pushed:
        """Return what one notification means."""
        if request.method not in {"POST", "PUT"}:
            return refused(405, f"method {request.method[:10]}")
        reading = Reading()
        try:
            return self._meaning(request.path, _object(request.body), reading)
        except FrameInvalid as error:
            return refused(400, error.detail, *reading.rejected)

    def _meaning(self, path: str, value: dict[str, Any], reading: Reading) -> Pushed:
        match self._kind(path.lower().rstrip("/"), value):
            case "plate":
                facts: tuple[Fact, ...] = (self._plate(value, reading),)
            case "described":
                facts = (self._described(value, reading),)
            case "alarm":
                facts = (self._alarm(value, reading),)
            case "keepalive":
                facts = ()
            case _:
                return refused(404, f"nothing is taken at {path[:80]!r}")
        return Pushed(facts, _TAKEN, tuple(reading.rejected))

    def _kind(self, path: str, value: Mapping[str, Any]) -> str:
        """Tell by the path, or, where the camera was given one of its own, by the body."""
        layout = self._map
        kinds = {
            "plate": layout.plate_paths,
            "keepalive": layout.keepalive_paths,
            "described": layout.described_paths,
            "alarm": layout.alarm_paths,
        }
        for kind, paths in kinds.items():
            if path.endswith(paths):
                return kind
        if path:
            return ""
        if "Picture" in value:
            return "plate"
        if "AlarmInfo" in value:
            return "alarm"
        return "described" if first_text(value, layout.spelling.described_model) else "keepalive"

    def _plate(self, value: dict[str, Any], reading: Reading) -> PlateRead:
        layout, spelled = self._map, self._map.spelling
        if not isinstance(value.get("Picture"), dict):
            raise FrameInvalid("a plate notification without Picture")
        read = first_text(value, spelled.plate)
        if len(read) > _MAX_PLATE or not read.isprintable():
            raise FrameInvalid(
                f"a plate of {len(read)} characters" if len(read) > _MAX_PLATE else "a plate unprintable"
            )
        confidence = reading.number("confidence", first_text(value, spelled.confidence), 0, layout.confidence_scale)
        colour = first_text(value, spelled.colour).lower()
        kind = reading.word("type", first_text(value, spelled.vehicle_kind), 40).lower()
        vehicle_colour = reading.word("colour", first_text(value, spelled.vehicle_colour), 40).lower()
        return PlateRead(
            plate="" if read.lower() in layout.no_plate else read,
            object_id=self._object_id(value, reading),
            confidence=None if confidence is None else confidence / layout.confidence_scale,
            colour=layout.colours.get(colour, "other") if colour else "",
            country=reading.word("country", first_text(value, spelled.country), 16),
            taken_at=reading.stamp("time", first_text(value, spelled.taken_at), self._zone_of(value)),
            direction=layout.directions.get(first_text(value, spelled.direction).lower(), ""),
            camera_lane=reading.whole("lane", first_text(value, spelled.camera_lane), 0, 255),
            vehicle_kind=layout.vehicle_kinds.get(kind, kind),
            vehicle_colour=layout.vehicle_colours.get(vehicle_colour, vehicle_colour),
            speed_kmh=reading.number("speed", first_text(value, spelled.speed_kmh), 0, 500) or None,
            device_id=reading.word("device id", first_text(value, spelled.device_id)),
            images=self._images(value, reading),
        )

    def _zone_of(self, value: dict[str, Any]) -> timezone:
        told = self._map.zones.get(first_text(value, self._map.spelling.zone))
        return self._zone if told is None else zone_of(told)

    def _object_id(self, value: dict[str, Any], reading: Reading) -> str:
        named = reading.word("object id", first_text(value, self._map.spelling.object_id))
        if named or not first_text(value, self._map.spelling.taken_at):
            return named  # without its time one read of a car is like another
        same = [scalar_text(at_path(value, path))[:1000] for path in self._map.spelling.same_read]
        return hashlib.sha256("\0".join(same).encode("utf-8", "replace")).hexdigest()[:32]

    def _images(self, value: dict[str, Any], reading: Reading) -> tuple[Image, ...]:
        images = []
        for path, role in self._map.images.items():
            content = at_path(value, f"{path}.Content")
            if not isinstance(content, str) or not content:
                continue
            try:
                images.append(picture(role, base64.b64decode("".join(content.split()), validate=True)))
            except binascii.Error:
                reading.reject(f"{path}: not Base64")
            except (FrameInvalid, ValueError) as error:
                reading.reject(f"{path}: {str(error)[:80]}")
        return tuple(images)

    def _described(self, value: dict[str, Any], reading: Reading) -> DeviceDescribed:
        spelled = self._map.spelling
        return DeviceDescribed(
            vendor=reading.word("vendor", first_text(value, spelled.described_vendor)),
            model=reading.word("model", first_text(value, spelled.described_model)),
            firmware=reading.word("firmware", first_text(value, spelled.described_firmware)),
            serial=reading.word("serial", first_text(value, spelled.described_serial)),
        )

    def _alarm(self, value: dict[str, Any], reading: Reading) -> DeviceSignal:
        spelled = self._map.spelling
        kind = reading.word("alarm", first_text(value, spelled.alarm_kind), 40)
        if not kind:
            raise FrameInvalid("an alarm without a type")
        state = first_text(value, spelled.alarm_state).lower()
        source = reading.word("device id", first_text(value, spelled.device_id))
        return DeviceSignal(f"alarm:{kind}", on=state not in self._map.alarm_off, source=source)


def _object(body: bytes) -> dict[str, Any]:
    value = parse_json(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise FrameInvalid("JSON that is no object")
    return value
