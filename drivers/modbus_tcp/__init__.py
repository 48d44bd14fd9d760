"""Modbus TCP frames, for offline decoding only: a device on Modbus has its own driver, which knows its registers."""

from core.errors import Unsupported
from drivers.base import Codec, Decode, Driver, RegisterMap, Settings
from drivers.modbus_decode import tcp_decoder
from drivers.profile import Profile


def _make(profile: Profile, _settings: Settings) -> Codec | RegisterMap:
    raise Unsupported(
        "modbus-tcp only decodes frames: it knows no registers",
        place=profile.name,
        cure="name the device's own driver and a link modbus+tcp://",
    )


def _decoder(_profile: Profile | None) -> Decode:
    return tcp_decoder()


DRIVER = Driver(
    name="modbus-tcp",
    kind="frame",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset(),
    links=frozenset(),
    decoder=_decoder,
)
