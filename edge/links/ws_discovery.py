"""Cameras found by WS-Discovery: a probe goes out by multicast, and who answers is told.

Promises
1. It ends after its time, whatever comes; nothing that comes can make it hold more than its bounds.
2. Nothing is asked of what answers, and no login leaves: only the probe is sent, three times with one id.
"""

import asyncio
import socket
import struct
import uuid
from dataclasses import dataclass
from typing import Final

from core.errors import GatefleetError, LinkLost
from drivers.onvif import DISCOVERY_GROUP, DISCOVERY_PORT, probe
from drivers.ws_discovery import CameraSighted, Directory, sighted

_SENT_AT_S: Final = (0.0, 0.25, 1.0)
"""Datagrams get lost, and some cameras sleep through the first."""
_MOST_WAITING: Final = 256
_BYTES_WAITING: Final = 1 << 19


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a probe found."""

    cameras: tuple[CameraSighted, ...]
    rejected: int
    """Datagrams that were no answer to it."""
    lost: int
    """Datagrams and cameras that were too many."""


class _Ear(asyncio.DatagramProtocol):
    """Keeps what comes until it is read; what is too much is counted."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue(_MOST_WAITING)
        self.waiting = 0
        self.lost = 0
        self.error: OSError | None = None
        """Why a probe could not leave."""

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.error = exc

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.heard.full() or self.waiting + len(data) > _BYTES_WAITING:
            self.lost += 1
        else:
            self.waiting += len(data)
            self.heard.put_nowait((data, addr[0]))

    async def next(self) -> tuple[bytes, str]:
        """Return a datagram and who sent it."""
        data, host = await self.heard.get()
        self.waiting -= len(data)
        return data, host


async def discover(
    *, interface: str = "", seconds: float = 3.0, group: str = DISCOVERY_GROUP, port: int = DISCOVERY_PORT
) -> Discovered:
    """Return the cameras that answer within `seconds`; raise LinkLost where no probe can be sent.

    `interface` is the name of a network card, or its address; empty: as the system routes it.
    """
    loop = asyncio.get_running_loop()
    place = f"{interface or group}:{port}"
    try:
        transport, ear = await loop.create_datagram_endpoint(_Ear, sock=_socket(interface))
    except OSError as error:
        raise LinkLost(f"cannot probe: {error.strerror or error}", place=place) from error
    directory, rejected = Directory(), 0
    asked = f"urn:uuid:{uuid.uuid4()}"
    question = probe(asked)
    sending = [loop.call_later(at_s, transport.sendto, question, (group, port)) for at_s in _SENT_AT_S[1:]]
    try:
        transport.sendto(question, (group, port))
        async with asyncio.timeout(seconds):
            while True:
                data, host = await ear.next()
                try:
                    for camera in sighted(data, host, asked):
                        directory.add(camera)
                except GatefleetError:
                    rejected += 1
    except TimeoutError:
        if ear.error is not None and not directory.cameras:
            raise LinkLost(f"cannot probe: {ear.error.strerror or ear.error}", place=place) from ear.error
        return Discovered(directory.cameras, rejected, ear.lost + directory.unheeded)
    finally:
        for timer in sending:
            timer.cancel()
        transport.close()


def _socket(interface: str) -> socket.socket:
    """Return a socket that sends multicast by a network card, no farther than its own network; raise OSError."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        if interface:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _membership(interface))
        made.bind(("", 0))
    except BaseException:
        made.close()
        raise
    return made


def _membership(interface: str) -> bytes:
    """Return `struct ip_mreqn` of Linux for a card by its address or its name; raise OSError."""
    try:
        return struct.pack("4s4si", bytes(4), socket.inet_aton(interface), 0)
    except OSError:
        return struct.pack("4s4si", bytes(4), bytes(4), socket.if_nametoindex(interface))
