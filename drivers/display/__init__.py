"""LED displays at lanes behind the control cards that most parking lanes have, over RS-485 or TCP.

What differs between panels (rows, columns, colours, fonts) stands in the profile's `map`; the wire is drawn in `frames`
and `card`. Source of both: "显示屏通信协议" v2.0, 2020-12-10, and v1.08, as published with integrations.
"""

from typing import Any, Final

from core.errors import FrameInvalid
from drivers.base import Codec, Decode, Driver, Settings
from drivers.display.card import ACCEPTED, SHOW, DisplayCard, DisplayMap, DisplaySettings
from drivers.display.commands import AskVersion, DisplayCommand, ShowLines
from drivers.display.facts import DisplayAnswered
from drivers.display.frames import Frame, Frames, Junk
from drivers.facts import DeviceDescribed
from drivers.profile import Profile, checked_map

__all__ = ["DRIVER", "AskVersion", "DisplayAnswered", "DisplayCommand", "DisplayMap", "DisplaySettings", "ShowLines"]

_TEXT_AT: Final = 19
_ONE_ACK: Final = frozenset({0x02, 0x05, 0x0A, 0x0F, 0x1E, 0x30, 0x31, SHOW, 0x67, 0x68, 0x6E, 0x6F, 0xE1, 0xE3, 0xE5})
"""Commands whose requests are never one byte long: such a frame is the card's answer."""


def _make(profile: Profile, settings: Settings) -> Codec:
    assert isinstance(settings, DisplaySettings)
    layout = checked_map(profile, DisplayMap)
    return DisplayCard(layout, settings, vendor=profile.vendor, model=profile.model)


class _Told:
    """Decodes frames of either direction, in any cut."""

    def __init__(self) -> None:
        self._frames = Frames()

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Return the frames; raise FrameInvalid for what is none."""
        found: list[dict[str, Any]] = []
        for one in (*self._frames.feed(data), *self._frames.rest()):
            if isinstance(one, Junk):
                raise FrameInvalid(one.why)
            found.append(_told(one))
        return found


def _told(frame: Frame) -> dict[str, Any]:
    told: dict[str, Any] = {"address": frame.address, "command": frame.command}
    data = frame.data
    match frame.command:
        case command if command in _ONE_ACK and len(data) == 1:
            return told | {"frame": "answer", "accepted": data[0] == ACCEPTED}
        case 0x00 if len(data) == 10 and not data[0] & 0xF0:
            hardware, firmware, protocol = (".".join(map(chr, data[at : at + 3])) for at in (1, 4, 7))
            versions = {"hardware": hardware, "firmware": firmware, "protocol": protocol}
            return told | {"frame": "answer", "accepted": data[0] == ACCEPTED} | versions
        case 0x00 if len(data) >= 6:
            return told | {"frame": "connect", "password": f"({len(data)} characters)"}
        case 0x62 if len(data) >= _TEXT_AT:
            text = data[_TEXT_AT : _TEXT_AT + data[17]].decode("gb18030", "replace")
            colour = data[9:12].hex()
            return told | {"frame": "text", "row": data[0], "mode": data[1], "colour": colour, "text": text}
        case 0x30 if len(data) >= 2:
            return told | {"frame": "voice", "text": data[1:].decode("gb18030", "replace")}
    return told | {"frame": "other", "data": data.hex()}


def _decoder(profile: Profile | None) -> Decode:  # noqa: ARG001 frames are the protocol's, not a model's
    return _Told()


DRIVER = Driver(
    name="display",
    kind="display",
    settings=DisplaySettings,
    make=_make,
    commands=frozenset({ShowLines, AskVersion}),
    facts=frozenset({DisplayAnswered, DeviceDescribed}),
    links=frozenset({"tcp", "tcp-server", "serial"}),
    decoder=_decoder,
)
