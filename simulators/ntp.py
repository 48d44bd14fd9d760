"""A time server on a UDP port that may lie: about the time, about itself, or about who asked.

server = TimeServer(ahead_s=0.25)
async with serve_ntp(server) as url:
    server.stratum = 16
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

_UNIX: Final = 2_208_988_800
_LENGTH: Final = 48


@dataclass(slots=True)
class TimeServer:
    """How a server answers; set while it runs."""

    ahead_s: float = 0.0
    """Its clock, less the right time."""
    leap: int = 0
    stratum: int = 2
    reference: bytes = bytes((192, 0, 2, 1))
    """At stratum 0 the code of a kiss-o'-death."""
    root_delay_s: float = 0.01
    root_dispersion_s: float = 0.02
    silent: bool = False
    replays: bool = False
    """It repeats another question's transmit timestamp than ours."""
    garbled: bool = False
    thinks_s: float = 0.0
    """What it says that it needed for the answer; it did not."""
    clock: Callable[[], float] = time.time
    asked: int = 0

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to a datagram, None where there is none."""
        self.asked += 1
        if self.silent or len(data) < _LENGTH or data[0] & 7 != 3:
            return None
        now = self.clock() + self.ahead_s
        originate = bytes(8) if self.replays else data[40:48]
        head = bytes(((self.leap << 6) | (4 << 3) | 4, self.stratum, 6, 0xEC))
        root = round(self.root_delay_s * 65_536).to_bytes(4) + round(self.root_dispersion_s * 65_536).to_bytes(4)
        times = _stamp(now - 30) + originate + _stamp(now) + _stamp(now + self.thinks_s)
        answer = head + root + self.reference.ljust(4, b"\0") + times
        return answer[:20] if self.garbled else answer


def _stamp(unix_s: float) -> bytes:
    whole = int(unix_s // 1)
    return ((whole + _UNIX) % (1 << 32)).to_bytes(4) + int((unix_s - whole) * (1 << 32)).to_bytes(4)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, server: TimeServer) -> None:
        self._server = server
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if answer := self._server.answer(data):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def serve_ntp(server: TimeServer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve; yield where it is, such as ntp://127.0.0.1:40123."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(server), local_addr=(host, port))
    try:
        yield f"ntp://{host}:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
