"""Cameras that answer WS-Discovery probes by multicast, on one network card: loopback, unless told otherwise.

They may misbehave as cameras and neighbours do: see `Manners`.
"""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, cast
from xml.sax.saxutils import escape

from drivers.onvif import DISCOVERY_GROUP, DISCOVERY_PORT, SOAP

_MESSAGE_ID: Final = re.compile(rb"MessageID[^>]{0,200}>\s*([^<\s]{1,200})\s*<")
_ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"


@dataclass(frozen=True, slots=True)
class Advertised:
    """What a camera says of itself."""

    uuid: str
    addresses: tuple[str, ...]
    name: str = "Dome"
    hardware: str = "SIM-1"
    location: str = ""


@dataclass(frozen=True, slots=True)
class Manners:
    """How the answers differ from what the standard says."""

    times: int = 1
    """So often each answer is sent, every other time without `urn:` before the uuid."""
    foreign: bool = False
    """It answers another's probe."""
    garbled: bool = False
    babble: int = 0
    """So many datagrams of nonsense come before the answer."""


@dataclass(slots=True)
class Neighbourhood:
    """The cameras of one network card."""

    cameras: Sequence[Advertised]
    manners: Manners = field(default_factory=Manners)
    probes: list[bytes] = field(default_factory=list)
    port: int = 0

    def answers(self, question: bytes) -> list[bytes]:
        """Return the datagrams that answer a probe."""
        asked = _MESSAGE_ID.search(question)
        if asked is None or b"Probe" not in question:
            return []
        self.probes.append(question)
        manners = self.manners
        related = "urn:uuid:another" if manners.foreign else asked[1].decode("ascii", "replace")
        noise = [b"<" * (number % 1000) for number in range(manners.babble)]
        if manners.garbled:
            return [*noise, b"<s:Envelope><s:Body>"]
        sent = [(one, number % 2 == 0) for one in self.cameras for number in range(manners.times)]
        return [*noise, *(_matches(one, related, urn=urn) for one, urn in sent)]


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, neighbourhood: Neighbourhood) -> None:
        self._neighbourhood = neighbourhood
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        for answer in self._neighbourhood.answers(data):
            self._transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def serve_discovery(
    neighbourhood: Neighbourhood, *, address: str = "127.0.0.1", port: int = DISCOVERY_PORT
) -> AsyncIterator[Neighbourhood]:
    """Answer probes that come by the card with this address; port 0 takes a free one."""
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.setblocking(False)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ear.bind((DISCOVERY_GROUP, port))
    member = struct.pack("4s4s", socket.inet_aton(DISCOVERY_GROUP), socket.inet_aton(address))
    ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    neighbourhood.port = ear.getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Ear(neighbourhood), sock=ear)
    try:
        yield neighbourhood
    finally:
        transport.close()


def _matches(one: Advertised, related: str, *, urn: bool) -> bytes:
    scopes = [("name", one.name), ("hardware", one.hardware), ("location", one.location)]
    told = " ".join(f"onvif://www.onvif.org/{kind}/{value.replace(' ', '%20')}" for kind, value in scopes if value)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:a="{_ADDRESSING}" '
        f'xmlns:d="{_DISCOVERY}"><s:Header><a:Action>{_DISCOVERY}/ProbeMatches</a:Action>'
        f"<a:RelatesTo>{escape(related)}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch>"
        f"<a:EndpointReference><a:Address>{'urn:' if urn else ''}uuid:{one.uuid}</a:Address></a:EndpointReference>"
        '<d:Types xmlns:dn="http://www.onvif.org/ver10/network/wsdl">dn:NetworkVideoTransmitter</d:Types>'
        f"<d:Scopes>{escape(told)}</d:Scopes><d:XAddrs>{escape(' '.join(one.addresses))}</d:XAddrs>"
        "<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()
