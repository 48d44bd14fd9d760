"""Docks that charge radios and body-worn recorders, and take the recorders' files.

No public standard for docks was found, so this project states one (gatefleet dock 1):

    POST <path>  {"version": 1, "dock": "D1", "events": [
      {"id": "D1-000123", "at": "2026-11-21T08:00:00+08:00", "slot": 3, "kind": "inserted", "equipment": "BWC-0042"},
      {"id": "D1-000124", "at": ..., "slot": 3, "kind": "uploaded", "equipment": "BWC-0042", "files": [
        {"name": "0001.mp4", "size": 734003200, "digest": "sha256:...", "started_at": ..., "seconds": 1800}]}]}
    200  {"accepted": ["D1-000123", "D1-000124"], "refused": []}

Kinds: inserted, removed, charging, full (with `charge_pct`, `temperature_c`), uploading, uploaded, fault (`fault`).
A dock keeps an event until it is accepted, and may then send it again: the id names it for ever. A refused event is
never to be sent again as it is. At most 64 slots, 256 events a request and 1000 files an upload.
"""

from drivers.base import Decode, Driver, PushParser, Settings
from drivers.dock.events import DockEvents, DockMap
from drivers.dock.facts import RecordingsUploaded, SlotChanged
from drivers.profile import Profile, checked_map
from drivers.push import decode_pushes


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 it has no settings of its own
    return DockEvents(checked_map(profile, DockMap))


def _decoder(profile: Profile | None) -> Decode:
    return decode_pushes(DockEvents(checked_map(profile, DockMap) if profile else DockMap()))


DRIVER = Driver(
    name="dock",
    kind="dock",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({SlotChanged, RecordingsUploaded}),
    links=frozenset({"http-server"}),
    decoder=_decoder,
)
