"""Switches, servers, firewalls and power strips by SNMP. The I/O is in the edge's SNMP link.

A device is asked what its profile names: the standard MIBs by their parts, a maker's own by scalars and tables.
"""

from typing import Any, cast

from core.errors import FrameInvalid
from drivers.base import Decode, Driver, PushParser, Settings
from drivers.facts import DeviceDescribed, DeviceSignal, Measured
from drivers.profile import Profile, checked_map
from drivers.snmp import ber
from drivers.snmp.commands import ResetPoePort
from drivers.snmp.facts import DeviceRestarted, LicenceTold, TextTold
from drivers.snmp.layout import SnmpMap, SnmpSettings
from drivers.snmp.message import described
from drivers.snmp.observer import SnmpObserver

__all__ = ["DRIVER", "ResetPoePort", "SnmpMap", "SnmpObserver", "SnmpSettings"]


class _Messages:
    """Decodes messages of either side, in any cut."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that are whole; raise FrameInvalid, and go on after what was refused."""
        self._rest += data
        found = []
        while self._rest:
            length = self._length()
            if not length or length > len(self._rest):
                break
            message, self._rest = self._rest[:length], self._rest[length:]
            found.append(described(message))
        return found

    def _length(self) -> int:
        """Return the length of the first message; where it cannot be told, nothing behind it can be found either."""
        held, self._rest = self._rest, b""
        if held[0] != ber.SEQUENCE:
            raise FrameInvalid(f"not an SNMP message: tag {held[0]:#04x}")
        length = ber.whole(held)
        self._rest = held
        return length


def _make(profile: Profile, settings: Settings) -> PushParser:
    assert isinstance(settings, SnmpSettings)
    layout = checked_map(profile, SnmpMap)
    # Neither a stream nor registers nor a push: its link takes the observer itself.
    return cast("PushParser", SnmpObserver(layout, settings, vendor=profile.vendor, model=profile.model))


def _decoder(profile: Profile | None) -> Decode:  # noqa: ARG001 messages are the standard's, not a model's
    return _Messages()


DRIVER = Driver(
    name="snmp",
    kind="network",
    settings=SnmpSettings,
    make=_make,
    commands=frozenset({ResetPoePort}),
    facts=frozenset({DeviceDescribed, DeviceSignal, Measured, DeviceRestarted, LicenceTold, TextTold}),
    links=frozenset({"snmp"}),
    decoder=_decoder,
)
