"""Plate cameras that post ISAPI alerts to an alarm host (Hikvision "HTTP listening").

    POST <path> HTTP/1.1
    Content-Type: multipart/form-data; boundary=boundary

    --boundary ... name="anpr.xml"                  EventNotificationAlert, eventType ANPR       -> PlateRead
    --boundary ... name="licensePlatePicture.jpg"   the plate                                    -> its Image
    --boundary ... name="detectionPicture.jpg"      the scene                                    -> its Image

Other events are a `DeviceSignal`; `videoloss` that is `inactive` is how the camera keeps the connection alive. A camera
may post a read twice, first without pictures (`hasMoreData`): the `UUID` is the same. The answer is an empty 200.
Source: Intelligent Security API (ANPR) Developer Guide; Device Network SDK (Traffic) Developer Guide V6.1.4.X,
XML_EventNotificationAlert_ANPR; bodies that cameras sent, see the table test.
"""

from drivers.base import Decode, Driver, PushParser, Settings
from drivers.facts import DeviceSignal, PlateRead
from drivers.hik_anpr.layout import AnprMap
from drivers.hik_anpr.plates import PlateAlerts
from drivers.profile import Profile, checked_map
from drivers.push import decode_pushes


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 it has no settings of its own
    return PlateAlerts(checked_map(profile, AnprMap))


def _decoder(profile: Profile | None) -> Decode:
    return decode_pushes(PlateAlerts(checked_map(profile, AnprMap) if profile else AnprMap()))


DRIVER = Driver(
    name="hik-anpr",
    kind="plate camera",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({PlateRead, DeviceSignal}),
    links=frozenset({"http-server"}),
    decoder=_decoder,
    body_cap=8 << 20,
)
