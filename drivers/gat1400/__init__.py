"""View library of GA/T 1400: cameras and lower platforms push here, and we push to the next level up.

This package is pure words for both sides: `library` and `desk` take requests, `bodies` makes ours, `answers` and
`subscriptions` are read by both.
"""

from core.errors import Unsupported
from drivers.base import Driver, PushParser, Settings
from drivers.facts import PlateRead
from drivers.gat1400.decoding import decoder
from drivers.gat1400.facts import (
    FaceSeen,
    KeptAlive,
    NonMotorVehicleSeen,
    PersonSeen,
    PictureSent,
    SubscriptionAsked,
    SubscriptionEnded,
    SystemLeft,
    SystemRegistered,
)
from drivers.gat1400.library import ViewLibrary
from drivers.gat1400.profile import LibraryMap, LibrarySettings
from drivers.gat1400.reading import MAX_BODY
from drivers.profile import Profile, checked_map


def _make(profile: Profile, settings: Settings) -> PushParser:
    if not isinstance(settings, LibrarySettings):
        raise Unsupported(f"settings of {type(settings).__name__} are not a view library's")
    return ViewLibrary(checked_map(profile, LibraryMap), settings)


DRIVER = Driver(
    name="gat1400",
    kind="plate camera",
    settings=LibrarySettings,
    make=_make,
    commands=frozenset(),
    facts=frozenset(
        {
            PlateRead,
            FaceSeen,
            PersonSeen,
            NonMotorVehicleSeen,
            PictureSent,
            SystemRegistered,
            SystemLeft,
            KeptAlive,
            SubscriptionAsked,
            SubscriptionEnded,
        }
    ),
    links=frozenset({"http-server"}),
    decoder=decoder,
    body_cap=MAX_BODY,
)
