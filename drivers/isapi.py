"""ISAPI event notifications as Hikvision devices post them to an alarm host (HTTP listening mode).

A body is one `EventNotificationAlert` in XML, the same in JSON, or multipart with alerts and pictures. The namespace
differs by firmware (`http://www.hikvision.com/ver20/XMLSchema`, `http://www.isapi.org/ver20/XMLSchema`,
`http://www.std-cgi.com/ver10/XMLSchema`, `urn:psialliance-org`) and is not looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from core.errors import FrameInvalid
from drivers.base import Answer, Pushed, Request
from drivers.facts import DeviceSignal, Fact
from drivers.markup import MAX_BYTES, MAX_DEPTH, local, parse_xml, text
from drivers.multipart import Part, boundary_of, parse_multipart, sniff_boundary
from drivers.pictures import is_picture
from drivers.push import Reading, parse_json, refused, scalar_text

_ROOT: Final = "EventNotificationAlert"
_MAX_ITEMS: Final = 10_000
_MAX_EVENT: Final = 60


@dataclass(frozen=True, slots=True)
class Posted:
    """The alerts of one request, and the parts that are pictures."""

    alerts: tuple[Element, ...]
    pictures: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """Which event types mean what, in lower case; any other is a `DeviceSignal`."""

    own: tuple[str, ...]
    heartbeats: tuple[str, ...]
    """They say no more than that the device lives."""
    idle: tuple[str, ...]
    """They are sent again and again as `inactive`, to keep the connection alive."""


Read = Callable[[Element, tuple[Part, ...], Reading], Fact]
"""What an alert of the driver's own means, given the pictures beside it; raises FrameInvalid."""


def receive(request: Request, events: Events, read: Read) -> Pushed:
    """Return what a request means; one without any alert that can be read is refused."""
    if request.method not in {"POST", "PUT"}:
        return refused(405, f"method {request.method[:10]}")
    reading = Reading()
    try:
        posted = read_alerts(request, reading)
    except FrameInvalid as error:
        return refused(400, error.detail, *reading.rejected[:-1])
    facts: list[Fact] = []
    understood = 0
    for alert in posted.alerts:
        try:
            facts.extend(_facts(alert, posted.pictures, reading, events, read))
            understood += 1
        except FrameInvalid as error:
            reading.reject(error.detail)
    if not understood:
        return refused(400, *reading.rejected)
    return Pushed(tuple(facts), Answer(200, b"", "text/plain"), tuple(reading.rejected))


def _facts(
    alert: Element, pictures: tuple[Part, ...], reading: Reading, events: Events, read: Read
) -> tuple[Fact, ...]:
    kind = text(alert, "eventType")
    word = kind.lower()
    if not word or len(word) > _MAX_EVENT or not word.isprintable():
        raise FrameInvalid("an alert without an eventType that can be")
    if word in events.own:
        return (read(alert, pictures, reading),)
    if word in events.heartbeats:
        return ()
    on = text(alert, "eventState").lower() != "inactive"
    source = reading.word("source", told(alert, ("inputIOPortID", "dynChannelID", "channelID")), 40)
    return (DeviceSignal(kind, on=on, source=source, baseline=word in events.idle and not on),)


def read_alerts(request: Request, reading: Reading) -> Posted:
    """Return what a request holds, reasons for the rest in `reading`; raise FrameInvalid where it holds no alert."""
    kind = request.headers.get("content-type", "")
    sniffed = sniff_boundary(request.body)
    if not kind.lower().startswith("multipart/") and sniffed is None:
        return Posted((_alert(request.body),), ())
    whole = parse_multipart(request.body, sniffed if sniffed is not None else boundary_of(kind))
    for why in whole.rejected:
        reading.reject(why)
    alerts: list[Element] = []
    pictures: list[Part] = []
    for part in whole.parts:
        if is_picture(part.data) or part.media_type.startswith("image/"):
            pictures.append(part)
            continue
        try:
            alerts.append(_alert(part.data))
        except FrameInvalid as error:
            reading.reject(f"part {part.name[:40]!r}: {error.detail}")
    if not alerts:
        raise FrameInvalid(reading.rejected[-1] if reading.rejected else "multipart without an alert")
    return Posted(tuple(alerts), tuple(pictures))


def told(alert: Element, paths: Sequence[str]) -> str:
    """Return the first text at one of the paths (`ANPR/licensePlate`), empty where none is told."""
    return next((found for path in paths if (found := text(alert, *path.split("/")))), "")


def _alert(data: bytes) -> Element:
    start = data.lstrip()[:1]
    root = _from_json(data) if start == b"{" else parse_xml(data.strip(b" \t\r\n\x00"))
    if local(root.tag) != _ROOT:
        raise FrameInvalid(f"<{local(root.tag)[:40]}> instead of <{_ROOT}>")
    return root


def _from_json(data: bytes) -> Element:
    """Return the alert of a JSON body, whose names are those of the XML."""
    if len(data) > MAX_BYTES:
        raise FrameInvalid(f"JSON of more than {MAX_BYTES} bytes")
    value = parse_json(data)
    inner = value.get(_ROOT, value) if isinstance(value, dict) else value
    root = Element(_ROOT)
    _grow(root, inner, 1, [_MAX_ITEMS])
    return root


def _grow(parent: Element, value: object, depth: int, left: list[int]) -> None:
    if depth > MAX_DEPTH:
        raise FrameInvalid(f"JSON nested deeper than {MAX_DEPTH}")
    if not isinstance(value, dict):
        parent.text = scalar_text(value)
        return
    for name, inner in value.items():
        for one in inner if isinstance(inner, list) else [inner]:
            left[0] -= 1
            if left[0] < 0:
                raise FrameInvalid(f"JSON of more than {_MAX_ITEMS} values")
            _grow(SubElement(parent, name), one, depth + 1, left)
