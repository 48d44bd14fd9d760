"""Barriers at a plate camera's own contacts, by Hikvision's ISAPI: no relay board stands between.

The camera moves the arm by its gate (`/ISAPI/Parking/channels/<n>/barrierGate`) or by an alarm output; loops, photocell
and end switches are wired to its alarm inputs. Which is which stands in the profile's `map` (see `layout`).
Sources: Intelligent Security API (General Application) Developer Guide, chapter 13.1 (alarm inputs and outputs); ISAPI
Vehicle Access Control Management (ANPR Cameras), 11.6.3 (barrier gate).
"""

from typing import Any, Final, cast

from pydantic import Field

from drivers.barrier.commands import LowerArm, RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.base import Decode, Driver, PushParser, Settings
from drivers.facts import DeviceDescribed, DeviceSignal
from drivers.hik_barrier.answers import arm_of, ports_of
from drivers.hik_barrier.layout import CameraBarrier, CameraBarrierMap
from drivers.markup import MAX_BYTES
from drivers.profile import Profile, checked_map

__all__ = ["DRIVER", "HikBarrierSettings"]

_ENDS: Final = (b"IOPortStatusList>", b"BarrierGateStatus>")


class HikBarrierSettings(Settings):
    """What one camera's entry in the config may set."""

    username: str = Field(default="", max_length=64, pattern=r"^[^\x00-\x1f:]*$")
    password: str = Field(default="", pattern=r"^$|^(env|file|credential):.+$")
    """Where the password is, never the password."""
    timeout_ms: int = Field(default=1000, ge=100, le=10_000)
    """Of one question."""


def _make(profile: Profile, settings: Settings) -> PushParser:  # noqa: ARG001 the link has the settings
    """Return the words; they are none of the three kinds of parser: the camera's own client uses them."""
    return cast("PushParser", CameraBarrier(checked_map(profile, CameraBarrierMap)))


def _decoder(_profile: Profile | None) -> Decode:
    held = b""

    def decode(data: bytes) -> list[dict[str, Any]]:
        """Take one answer in any cut."""
        nonlocal held
        whole = (held + data).strip()
        if not whole:
            return []
        if whole.startswith(b"<") and not whole.endswith(_ENDS) and len(whole) <= MAX_BYTES:
            held += data
            return []
        held = b""
        if whole.endswith(_ENDS[0]):
            return [{"inputs": {str(port): on for port, on in sorted(ports_of(whole).items())}}]
        return [{"arm": arm_of(whole)}]

    return decode


DRIVER = Driver(
    name="hik-barrier",
    kind="barrier",
    settings=HikBarrierSettings,
    make=_make,
    commands=frozenset({RaiseArm, LowerArm, SetLight}),
    facts=frozenset({BarrierSeen, DeviceDescribed, DeviceSignal}),
    links=frozenset({"isapi"}),
    decoder=_decoder,
)
