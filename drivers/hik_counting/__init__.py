"""People counters that post ISAPI `PeopleCounting` alerts to an alarm host.

    <peopleCounting>
      <statisticalMethods>realTime</statisticalMethods>     totals since the camera's own reset, at every crossing
      <RealTime><time>2020-07-09T12:07:07+08:00</time></RealTime>
      <enter>70</enter> <exit>75</exit> <regionsID>1</regionsID>
    </peopleCounting>

`timeRange` instead counts what came between `TimeRange/startTime` and `endTime`; sent again (`isDataRetransmission`) it
is the same interval. `pass` and `childCounting` are not told: nobody could say whether they are within `enter`.
Source: Device Network SDK (People Counting) Developer Guide V6.1.0.X; bodies that cameras sent, see the table test. A
JSON alert with the same names is read too; no public sample of one was found.
"""

from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element

from pydantic import BaseModel, ConfigDict

from core.errors import FrameInvalid
from drivers.base import Decode, Driver, Pushed, PushParser, Request, Settings
from drivers.facts import DeviceSignal, PeopleCounted
from drivers.isapi import Events, receive, told
from drivers.multipart import Part
from drivers.profile import Profile, checked_map
from drivers.push import Reading, decode_pushes
from drivers.stamps import Zone, zone_of

_MAX_COUNT: Final = 100_000_000


class Spelling(BaseModel):
    """Where each value stands below the alert; the first that tells something counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: tuple[str, ...] = ("peopleCounting/statisticalMethods",)
    entered: tuple[str, ...] = ("peopleCounting/enter",)
    left: tuple[str, ...] = ("peopleCounting/exit",)
    region: tuple[str, ...] = ("peopleCounting/regionsID", "peopleCounting/regionID")
    at: tuple[str, ...] = ("peopleCounting/RealTime/time", "dateTime")
    since: tuple[str, ...] = ("peopleCounting/TimeRange/startTime",)
    until: tuple[str, ...] = ("peopleCounting/TimeRange/endTime",)


class CountingMap(BaseModel):
    """The `map` of a people counter's profile; events and methods are compared in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone = "+08:00"
    """Of times that tell none."""
    counting_events: tuple[str, ...] = ("peoplecounting",)
    heartbeats: tuple[str, ...] = ("heartbeat",)
    idle_events: tuple[str, ...] = ("videoloss",)
    range_methods: tuple[str, ...] = ("timerange",)
    total_methods: tuple[str, ...] = ("realtime",)
    spelling: Spelling = Spelling()


class CountingAlerts:
    """The alarm host of one people counter. Keeps nothing between requests."""

    def __init__(self, layout: CountingMap) -> None:
        self._map = layout
        self._zone = zone_of(layout.zone)
        self._events = Events(layout.counting_events, layout.heartbeats, layout.idle_events)

    def receive(self, request: Request) -> Pushed:
        """Return the counts and signals of one request."""
        return receive(request, self._events, self._counted)

    def _counted(self, alert: Element, _: tuple[Part, ...], reading: Reading) -> PeopleCounted:
        spelled = self._map.spelling
        entered = reading.whole("enter", told(alert, spelled.entered), 0, _MAX_COUNT)
        left = reading.whole("exit", told(alert, spelled.left), 0, _MAX_COUNT)
        if entered is None or left is None:
            raise FrameInvalid("a count without enter or exit")
        region = reading.word("region", told(alert, spelled.region), 40)
        since, until = self._times(alert, reading)
        return PeopleCounted(entered, left, cumulative=since is None, since=since, until=until, region=region)

    def _times(self, alert: Element, reading: Reading) -> tuple[datetime | None, datetime | None]:
        """Return the interval, or none and the moment of a total."""
        spelled = self._map.spelling
        method = told(alert, spelled.method).lower()
        ranged = method in self._map.range_methods or (not method and told(alert, spelled.since) != "")
        if not ranged:
            if method and method not in self._map.total_methods:
                raise FrameInvalid(f"statistical method {method[:20]!r}")
            return None, reading.stamp("time", told(alert, spelled.at), self._zone)
        since = reading.stamp("start", told(alert, spelled.since), self._zone)
        until = reading.stamp("end", told(alert, spelled.until), self._zone)
        if since is None or until is None or until < since:
            raise FrameInvalid("a count of an interval that has no beginning or no end, or ends before it begins")
        return since, until


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 it has no settings of its own
    return CountingAlerts(checked_map(profile, CountingMap))


def _decoder(profile: Profile | None) -> Decode:
    return decode_pushes(CountingAlerts(checked_map(profile, CountingMap) if profile else CountingMap()))


DRIVER = Driver(
    name="hik-counting",
    kind="people counter",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({PeopleCounted, DeviceSignal}),
    links=frozenset({"http-server"}),
    decoder=_decoder,
    body_cap=8 << 20,
)
