"""Plate cameras that push ITSAPI JSON (Dahua ITC/IPMECS and the brands that sell them).

    POST /NotificationInfo/TollgateInfo      {"Picture": {"Plate": {...}, "Vehicle": {...}, "SnapInfo": {...},
                                              "NormalPic": {"Content": Base64, "PicName"}, "CutoutPic": {...}}}
    POST /NotificationInfo/KeepAlive         {"Active": "keepAlive", "DeviceID"}
    POST /NotificationInfo/DeviceInfo        {"DeviceName", "DeviceModel", "Manufacturer", "DeviceID"}
    POST /NotificationInfo/AlarmInfo         {"AlarmInfo": {"Time", "Type", "State"}, "DeviceID"}

The answer is `{"Result": true}`: without it the camera sends the same again. Base64 pictures stand inside the JSON, so
a body is as large as its pictures and a third. Source: bodies in public repositories, see the table test; the maker's
own ITSAPI document was not at hand.
"""

from drivers.base import Decode, Driver, PushParser, Settings
from drivers.dahua_anpr.layout import ItsApiMap
from drivers.dahua_anpr.tollgate import TollgateNotices
from drivers.facts import DeviceDescribed, DeviceSignal, PlateRead
from drivers.profile import Profile, checked_map
from drivers.push import decode_pushes


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 it has no settings of its own
    return TollgateNotices(checked_map(profile, ItsApiMap))


def _decoder(profile: Profile | None) -> Decode:
    return decode_pushes(TollgateNotices(checked_map(profile, ItsApiMap) if profile else ItsApiMap()))


DRIVER = Driver(
    name="dahua-anpr",
    kind="plate camera",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({PlateRead, DeviceDescribed, DeviceSignal}),
    links=frozenset({"http-server"}),
    decoder=_decoder,
    body_cap=8 << 20,
)
