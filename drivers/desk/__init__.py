"""Verification desks and hand-held terminals: heartbeats with what runs out, certificates, storage and battery.

No public standard for desks was found, so this project states one (gatefleet desk 1):

    POST <path>  {"version": 1, "desk": "V03", "at": "2026-11-21T08:00:00+08:00", "model": "...", "serial": "...",
                  "software": "4.2.1", "storage": {"free_bytes": 1200, "total_bytes": 64000}, "battery_pct": 83,
                  "certificates": [{"serial": "3A91", "issuer": "...", "not_after": "2027-03-01T00:00:00+08:00",
                                    "pin_locked": false}]}
    200  {"accepted": true}

At most 32 certificates. A heartbeat holds no person: neither who is logged in nor the subject of a certificate.
"""

from drivers.base import Decode, Driver, PushParser, Settings
from drivers.desk.facts import DeskReported
from drivers.desk.heartbeat import DeskHeartbeats, DeskMap
from drivers.facts import DeviceDescribed
from drivers.profile import Profile, checked_map
from drivers.push import decode_pushes


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 it has no settings of its own
    return DeskHeartbeats(checked_map(profile, DeskMap))


def _decoder(profile: Profile | None) -> Decode:
    return decode_pushes(DeskHeartbeats(checked_map(profile, DeskMap) if profile else DeskMap()))


DRIVER = Driver(
    name="desk",
    kind="desk",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({DeskReported, DeviceDescribed}),
    links=frozenset({"http-server"}),
    decoder=_decoder,
    body_cap=64 << 10,
)
