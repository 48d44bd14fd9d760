"""Face-match terminals: they compare a live face with a document's portrait and push how well it fits.

No public standard for the result of a 1:1 comparison was found, so this project states one (gatefleet face 1):

    POST <path>  {"version": 1, "terminal": "F01", "attempt": "F01-000123", "at": "2026-11-21T08:00:00+08:00",
                  "age_ms": 180, "score": 0.91, "liveness": 0.98, "matcher": "fm-3.2",
                  "capture": {"digest": "sm3:...", "bytes": 48211}}
    200  {"accepted": "F01-000123"}

`age_ms` is how long ago the face was taken, by the terminal's running time: it grows when a push is repeated, and no
wrong clock can make an old face a new one. A body with a template, a vector or a picture is refused whole.
Without `attempt` and `score`, a body with `model` or `serial` is a heartbeat.
"""

from drivers.base import Decode, Driver, PushParser, Settings
from drivers.face_terminal.comparisons import FaceComparisons, FaceMap
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import DeviceDescribed
from drivers.profile import Profile, checked_map
from drivers.push import decode_pushes


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 it has no settings of its own
    return FaceComparisons(checked_map(profile, FaceMap))


def _decoder(profile: Profile | None) -> Decode:
    return decode_pushes(FaceComparisons(checked_map(profile, FaceMap) if profile else FaceMap()))


DRIVER = Driver(
    name="face-terminal",
    kind="face terminal",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({FaceCompared, DeviceDescribed}),
    links=frozenset({"http-server"}),
    decoder=_decoder,
    body_cap=16 << 10,
)
