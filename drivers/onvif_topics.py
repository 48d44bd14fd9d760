"""ONVIF's events: notification messages -> facts, by the topic table of a profile.

    <wsnt:NotificationMessage><wsnt:Topic>tns1:Device/Trigger/DigitalInput</wsnt:Topic><wsnt:Message>
      <tt:Message UtcTime="..." PropertyOperation="Initialized|Changed|Deleted">
        <tt:Source><tt:SimpleItem Name="InputToken" Value="1"/></tt:Source><tt:Data>...</tt:Data>

Topics differ by maker and so do the prefixes of their namespaces: a table names them without prefixes, as in
`RuleEngine/*/Motion`. `Initialized` tells how things stand when somebody subscribes: a baseline, no alarm.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final
from xml.etree.ElementTree import Element

from pydantic import BaseModel, ConfigDict, Field

from core.errors import FrameInvalid
from drivers.facts import DeviceSignal, Fact, PeopleCounted, PlateRead
from drivers.markup import find, local, text
from drivers.onvif_answers import MAX_TEXT, answer_of, instant, lease_s

MAX_MESSAGES: Final = 1024
"""In one answer or Notify: the rest is dropped and counted."""
MAX_ITEMS: Final = 128
"""Names in one message's source or data."""
MAX_COUNT: Final = 1 << 53
_INITIALIZED: Final = "Initialized"
_DELETED: Final = "Deleted"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SignalTopics(_Table):
    """Topics that are a switch: the first of `items` that the data has is its state."""

    topics: tuple[str, ...] = Field(min_length=1)
    items: tuple[str, ...] = Field(min_length=1)
    on: tuple[str, ...] = ("true", "1", "on", "active")
    off: tuple[str, ...] = ("false", "0", "off", "inactive")


class PlateTopics(_Table):
    """Topics that are a read plate; each list names data items, the first there is counts."""

    topics: tuple[str, ...] = Field(min_length=1)
    plate: tuple[str, ...] = ("LicensePlate", "PlateNumber")
    confidence: dict[str, float] = Field(default_factory=lambda: {"Confidence": 100.0, "Likelihood": 1.0})
    """Item -> the value that is certainty."""
    object_id: tuple[str, ...] = ("ObjectId",)
    country: tuple[str, ...] = ()
    colour: tuple[str, ...] = ()
    colours: dict[str, str] = Field(default_factory=dict)
    """The camera's word -> blue, yellow, green, yellow_green, white, black or other."""
    direction: tuple[str, ...] = ()
    directions: dict[str, str] = Field(default_factory=dict)
    """The camera's word -> approach or depart."""
    lane: tuple[str, ...] = ()
    vehicle_kind: tuple[str, ...] = ()
    vehicle_colour: tuple[str, ...] = ()
    speed_kmh: tuple[str, ...] = ()


class CountTopics(_Table):
    """Topics that count people; each list names data items, the first there is counts."""

    topics: tuple[str, ...] = Field(min_length=1)
    entered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    cumulative: bool = True


class TopicTable(_Table):
    """What the topics of a camera mean; the first row that fits, plates before counts before signals."""

    plates: tuple[PlateTopics, ...] = ()
    counts: tuple[CountTopics, ...] = ()
    signals: tuple[SignalTopics, ...] = ()


ANY_TOPIC: Final = TopicTable(
    plates=(PlateTopics(topics=("*Plate*",)),),
    counts=(CountTopics(topics=("*/CountAggregation/*",), entered=("Count",)),),
    signals=(SignalTopics(topics=("*",), items=("State", "LogicalState", "IsMotion", "IsTamper", "Value")),),
)
"""For offline decoding without a profile: what a message most likely means."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message, as the camera told it."""

    topic: str
    op: str
    """Initialized, Changed, Deleted, or empty for what has no state."""
    at: datetime | None = None
    source: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    key: dict[str, str] = field(default_factory=dict)

    @property
    def baseline(self) -> bool:
        """Tell whether it says how things stand, not that they changed."""
        return self.op == _INITIALIZED

    @property
    def place(self) -> str:
        """The topic without the prefixes of its namespaces."""
        return "/".join(part.rpartition(":")[2] for part in self.topic.split("/"))

    @property
    def told_by(self) -> str:
        """The input, video source or rule that it is about: the first item of its source."""
        return next(iter(self.source.values()), "")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        at = f"{self.at:%Y-%m-%dT%H:%M:%S.%f}".removesuffix(".000000") + "Z" if self.at else None
        words: dict[str, Any] = {"topic": self.topic, "op": self.op, "utc_time": at, "baseline": self.baseline}
        return words | {"source": self.source, "data": self.data} | ({"key": self.key} if self.key else {})


@dataclass(frozen=True, slots=True)
class Notified:
    """The messages of one PullMessagesResponse or Notify."""

    messages: tuple[Notification, ...]
    dropped: tuple[str, ...] = ()
    """Topics of messages that say nothing, such as heartbeats, and of those above the cap."""
    lease_s: float | None = None


def notified(data: bytes) -> Notified:
    """Read any body with NotificationMessages; raise SoapFault or FrameInvalid."""
    answer = answer_of(data)
    if local(answer.tag) not in {"PullMessagesResponse", "Notify"}:
        raise FrameInvalid(f"wanted PullMessagesResponse or Notify, not {local(answer.tag)[:60]}")
    return notified_of(answer)


def notified_of(answer: Element) -> Notified:
    """Read a body's first element."""
    messages: list[Notification] = []
    dropped: list[str] = []
    for row in answer:
        if local(row.tag) != "NotificationMessage":
            continue
        message = _message(row) if len(messages) < MAX_MESSAGES else None
        if message is None or not message.data:
            dropped.append(text(row, "Topic")[:80])
            continue
        messages.append(message)
    return Notified(tuple(messages), tuple(dropped[:MAX_MESSAGES]), lease_s(answer))


def _message(row: Element) -> Notification | None:
    body = find(row, "Message", "Message")
    topic = text(row, "Topic")[:MAX_TEXT]
    if body is None or not topic:
        return None
    source, data, key = (_items(find(body, name)) for name in ("Source", "Data", "Key"))
    return Notification(
        topic, body.get("PropertyOperation", "")[:32], instant(body.get("UtcTime", "")), source, data, key
    )


def _items(part: Element | None) -> dict[str, str]:
    """Return simple items by name, and then the leaves and attributes of element items whose names are still free."""
    if part is None:
        return {}
    found: dict[str, str] = {}
    for item in islice(part, MAX_ITEMS):
        if local(item.tag) == "SimpleItem":
            found[item.get("Name", "")[:MAX_TEXT]] = item.get("Value", "")[:MAX_TEXT]
    for item in islice(part, MAX_ITEMS):
        if local(item.tag) == "ElementItem":
            for name, value in _leaves(item):
                if len(found) < MAX_ITEMS:
                    found.setdefault(name, value)
    return found


def _leaves(item: Element) -> Iterator[tuple[str, str]]:
    for element in islice(item.iter(), 1, MAX_ITEMS):
        yield from ((local(name)[:MAX_TEXT], value[:MAX_TEXT]) for name, value in element.attrib.items())
        if not len(element) and element.text:
            yield local(element.tag)[:MAX_TEXT], element.text.strip()[:MAX_TEXT]


def facts_of(message: Notification, table: TopicTable) -> tuple[Fact, ...]:
    """Return what a message means; nothing for a topic that the table does not name, and for a baseline of a read."""
    if message.op == _DELETED:
        return ()
    place = message.place
    for plates in table.plates:
        if _fits(place, plates.topics):
            return () if message.baseline else _plate(message, plates)
    for counts in table.counts:
        if _fits(place, counts.topics):
            return () if message.baseline and not counts.cumulative else _counted(message, counts)
    for signals in table.signals:
        if _fits(place, signals.topics):
            return _signal(message, signals)
    return ()


def reports(message: Notification, table: TopicTable) -> dict[str, Any]:
    """Return a message and what it means as JSON values, for `gatefleet decode`."""
    facts = facts_of(message, table)
    told = message.as_dict() | {"facts": [{"fact": type(fact).__name__, **fact.as_dict()} for fact in facts]}
    for fact in facts:
        if isinstance(fact, DeviceSignal):
            told["state"] = fact.on
    return told


def _plate(message: Notification, names: PlateTopics) -> tuple[Fact, ...]:
    data = message.data
    if not any(name in data for name in names.plate):
        return ()
    return (
        PlateRead(
            plate=_first(data, names.plate),
            object_id=_first(data, names.object_id),
            confidence=_confidence(data, names.confidence),
            colour=names.colours.get(_first(data, names.colour), ""),
            country=_first(data, names.country),
            taken_at=message.at,
            direction=names.directions.get(_first(data, names.direction), ""),
            camera_lane=_whole(_first(data, names.lane)),
            vehicle_kind=_first(data, names.vehicle_kind),
            vehicle_colour=_first(data, names.vehicle_colour),
            speed_kmh=_number(_first(data, names.speed_kmh)),
        ),
    )


def _confidence(data: dict[str, str], scales: dict[str, float]) -> float | None:
    for name, certain in scales.items():
        value = _number(data.get(name, ""))
        if value is not None and 0 <= value <= certain:
            return value / certain
    return None


def _counted(message: Notification, names: CountTopics) -> tuple[Fact, ...]:
    read = [_whole(_first(message.data, words)) for words in (names.entered, names.left, names.inside)]
    if all(number is None for number in read):
        return ()
    entered, left, inside = read
    region = message.source.get("Rule", message.told_by)
    counted = PeopleCounted(
        entered or 0, left or 0, cumulative=names.cumulative, until=message.at, region=region, inside=inside
    )
    return (counted,)


def _signal(message: Notification, names: SignalTopics) -> tuple[Fact, ...]:
    value = _first(message.data, names.items).lower()
    if value not in (*names.on, *names.off):
        return ()
    return (DeviceSignal(message.topic, value in names.on, message.told_by, message.baseline),)


def _fits(place: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(place, pattern) for pattern in patterns)


def _first(data: dict[str, str], names: Iterable[str]) -> str:
    return next((data[name] for name in names if name in data), "")


def _number(words: str) -> float | None:
    try:
        value = float(words)
    except ValueError:
        return None
    return value if abs(value) < MAX_COUNT else None  # neither NaN nor infinite is below


def _whole(words: str) -> int | None:
    value = _number(words)
    return None if value is None or value < 0 else int(value)
