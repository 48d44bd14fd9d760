"""Vehicle locators by JT/T 808-2011, -2013 and -2019, over TCP; the edge is the platform.

    7E | msg id u16 | attr u16 | [version u8] | terminal BCD[6|10] | serial u16 | [total u16, no u16] | body | xor | 7E

    terminal                                   edge
    0x0100 registration          ->            0x8100 with the authentication code
    0x0102 authentication        ->            0x8001; nothing else is taken before
    0x0200 position, 0x0704 batch ->           0x8001 once it is committed
    0x0801 media, in parts       ->            0x8003 for what is missing, 0x8800 once it is committed

`frame` splits, unescapes and checks; `position`, `uplink` and `downlink` know the bodies; `codec` is the connection.
"""

from typing import Final

from drivers.base import Codec, Decode, Driver, Settings
from drivers.facts import DeviceDescribed, PositionTaken
from drivers.jt808.admission import LocatorSettings
from drivers.jt808.codec import LocatorCodec
from drivers.jt808.commands import (
    AskDescription,
    AskPosition,
    ControlTerminal,
    QueryParameters,
    SendPassthrough,
    SetParameters,
    ShowText,
    TellTime,
    UpgradeTerminal,
)
from drivers.jt808.decode import decoder
from drivers.jt808.dialect import Dialect
from drivers.jt808.facts import (
    CommandAnswered,
    MediaAnnounced,
    MediaReceived,
    ParametersAnswered,
    PassthroughReceived,
    TerminalAuthenticated,
    TerminalLeft,
    TerminalRegistered,
    TimeAsked,
    UpgradeAnswered,
)
from drivers.profile import Profile, checked_map

_DIALECTS_KEPT: Final = 32
_DIALECTS: Final[dict[int, tuple[Profile, Dialect]]] = {}


def _make(profile: Profile, settings: Settings) -> Codec:
    assert isinstance(settings, LocatorSettings)
    return LocatorCodec(_dialect(profile), settings.admission)


def _decoder(profile: Profile | None) -> Decode:
    return decoder(_dialect(profile) if profile else Dialect())


def _dialect(profile: Profile) -> Dialect:
    """Return the profile's tables, one copy for all connections: there may be thousands."""
    known = _DIALECTS.get(id(profile))
    if known is None or known[0] is not profile:
        known = _DIALECTS[id(profile)] = (profile, checked_map(profile, Dialect))
        while len(_DIALECTS) > _DIALECTS_KEPT:
            del _DIALECTS[next(iter(_DIALECTS))]
    return known[1]


DRIVER = Driver(
    name="jt808",
    kind="locator",
    settings=LocatorSettings,
    make=_make,
    commands=frozenset(
        {
            AskDescription,
            AskPosition,
            ControlTerminal,
            QueryParameters,
            SendPassthrough,
            SetParameters,
            ShowText,
            TellTime,
            UpgradeTerminal,
        }
    ),
    facts=frozenset(
        {
            CommandAnswered,
            DeviceDescribed,
            MediaAnnounced,
            MediaReceived,
            ParametersAnswered,
            PassthroughReceived,
            PositionTaken,
            TerminalAuthenticated,
            TerminalLeft,
            TerminalRegistered,
            TimeAsked,
            UpgradeAnswered,
        }
    ),
    links=frozenset({"tcp-server"}),
    decoder=_decoder,
    many=True,
)
