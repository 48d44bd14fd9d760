"""GB/T 28181-2016/2022: registration, keepalive, catalog and status at a platform above, over SIP.

The client is `edge.upward.gb28181`; here are its words. As a driver it only decodes: SIP messages of one connection
(`sip`, `headers`), and bare bodies of them: MANSCDP XML, SDP, PTZCmd.
"""

from collections.abc import Sequence
from typing import Any, Final

from core.errors import FrameInvalid, Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Codec, Decode, Driver, Output, Rejected, Report, Settings, codec_decode
from drivers.gb28181.describe import describe_body, describe_message
from drivers.gb28181.facts import SipRead
from drivers.gb28181.sip import MAX_BODY, Broken, SipStream
from drivers.gb28181.words import PlatformMap
from drivers.profile import Profile, checked_map

_BODIES: Final = (b"<", b"v=0", b"\xa5", b"A50F", b"a50f", b"Digest ", b"\xef\xbb\xbf<")


class SipCodec:
    """One connection: SIP messages in any cut, or one bare body that ends with the connection."""

    def __init__(self) -> None:
        self._stream = SipStream()
        self._held = b""
        self._kind = ""
        """sip or body, once the first bytes have told."""

    def receive(self, data: bytes) -> Sequence[Output]:
        """Return what the bytes complete; no bytes say that the connection has ended."""
        if not self._kind:
            data, self._held = self._held + data, b""
            if any(begin != data and begin.startswith(data) for begin in _BODIES):
                self._held = data
                return ()
            self._kind = "body" if data.startswith(_BODIES) else "sip"
        return self._body(data) if self._kind == "body" else self._messages(data)

    def send(self, command: DeviceCommand) -> bytes:
        """Refuse: a platform above takes no commands of ours."""
        raise Unsupported(f"a platform above has no {type(command).__name__}")

    def _messages(self, data: bytes) -> Sequence[Output]:
        out: list[Output] = []
        for found in self._stream.receive(data):
            if isinstance(found, Broken):
                out.append(Rejected(found.detail, found.raw))
            else:
                out.append(Report(SipRead(describe_message(found))))
        return out

    def _body(self, data: bytes) -> Sequence[Output]:
        if data and len(self._held) + len(data) <= MAX_BODY:
            self._held += data
            return ()
        whole, self._held, self._kind = self._held, b"", ""
        if data:
            return (Rejected(f"a body of more than {MAX_BODY} bytes", whole[:64]),)
        return _described(whole) if whole else ()


def _described(body: bytes) -> Sequence[Output]:
    try:
        told: dict[str, Any] = describe_body(body)
    except FrameInvalid as error:
        return (Rejected(error.detail, body[:64]),)
    return (Report(SipRead(told)),)


def _make(profile: Profile, _settings: Settings) -> Codec:
    checked_map(profile, PlatformMap)
    return SipCodec()


def _decoder(_profile: Profile | None) -> Decode:
    return codec_decode(SipCodec())


DRIVER = Driver(
    name="gb28181",
    kind="platform",
    settings=Settings,
    make=_make,
    commands=frozenset(),
    facts=frozenset({SipRead}),
    links=frozenset(),
    decoder=_decoder,
)
