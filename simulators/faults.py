"""A bad network between MQTT clients and their broker: cut, lost, doubled, swapped.

`MqttProxy` reads the clients' packets (MQTT 3.1.1, section 2) and treats batches (`.../up/...`) as badly as told. A
lost batch is acknowledged to its sender in the broker's name: so lies a broker that loses what it took, and only an
end-to-end acknowledgement finds out.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

_PUBLISH: Final = 3
_PUBACK: Final = b"\x40\x02"
_MAX_PACKET: Final = 16 * 1024 * 1024
_HELD_S: Final = 0.05


@dataclass(slots=True)
class Badness:
    """Shares of batches, 0 to 1, that are lost, doubled, or overtaken by the next."""

    lose: float = 0.0
    double: float = 0.0
    swap: float = 0.0


@dataclass(slots=True)
class Tally:
    """What was done."""

    batches: int = 0
    lost: int = 0
    doubled: int = 0
    swapped: int = 0
    cuts: int = 0


class MqttProxy:
    """Stands between clients and a broker."""

    def __init__(self, host: str, port: int, *, badness: Badness | None = None, seed: int = 0) -> None:
        self.badness = badness or Badness()
        self.tally = Tally()
        self.port = 0
        self._upstream = (host, port)
        self._rng = random.Random(seed)
        self._down = False
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Cut every connection now; clients may come again at once."""
        self.tally.cuts += 1
        for writer in list(self._open):
            writer.transport.abort()

    def take_down(self) -> None:
        """Cut, and refuse new connections until `bring_up`."""
        self._down = True
        self.cut()

    def bring_up(self) -> None:
        """Let clients in again."""
        self._down = False

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["MqttProxy"]:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._open):
                writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down:
            writer.transport.abort()
            return
        try:
            from_broker, to_broker = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, to_broker}
        lane = _Lane(self, writer, to_broker)
        up = asyncio.create_task(lane.run(reader), name="proxy.up")
        down = asyncio.create_task(_copy(from_broker, writer), name="proxy.down")
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            for one in (writer, to_broker):
                self._open.discard(one)
                one.transport.abort()

    def fate(self) -> str:
        """Draw what becomes of a batch."""
        point, bad = self._rng.random(), self.badness
        for name, share in (("lose", bad.lose), ("double", bad.double), ("swap", bad.swap)):
            if point < share:
                return name
            point -= share
        return "pass"


@dataclass(slots=True)
class _Lane:
    """Packets of one client on their way to the broker."""

    proxy: MqttProxy
    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    held: list[bytes] = field(default_factory=list)

    async def run(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                packet = await _packet(reader)
                self._take(packet)
                await self.broker.drain()

    def _take(self, packet: bytes) -> None:
        number = _batch_id(packet)
        if number is None:
            self.broker.write(packet)
            return
        tally = self.proxy.tally
        tally.batches += 1
        match self.proxy.fate():
            case "lose":
                tally.lost += 1
                self.client.write(_PUBACK + number)
            case "double":
                tally.doubled += 1
                self.broker.write(packet + packet)
            case "swap":
                tally.swapped += 1
                self.held.append(packet)
                # The sender may wait for the broker's word before it sends the next: it gets it here.
                self.client.write(_PUBACK + number)
                asyncio.get_running_loop().call_later(_HELD_S, self._let_go)
            case _:
                self.broker.write(packet)
                self._let_go()

    def _let_go(self) -> None:
        for packet in self.held:
            self.broker.write(packet)
        self.held.clear()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """Read one packet: type, remaining length of 1 to 4 bytes, the rest."""
    head = await reader.readexactly(2)
    length, shift = head[1] & 0x7F, 7
    while head[-1] & 0x80:
        head += await reader.readexactly(1)
        length |= (head[-1] & 0x7F) << shift
        shift += 7
        if shift > 28:
            raise OSError("a remaining length of more than four bytes")
    if length > _MAX_PACKET:
        raise OSError("a packet that is too long")
    return head + await reader.readexactly(length)


def _batch_id(packet: bytes) -> bytes | None:
    """Return the packet id of a QoS 1 batch, None for any other packet."""
    if packet[0] >> 4 != _PUBLISH or not packet[0] & 0x06:
        return None
    start = 1
    while packet[start] & 0x80:
        start += 1
    start += 1
    size = int.from_bytes(packet[start : start + 2])
    topic = packet[start + 2 : start + 2 + size]
    return packet[start + 2 + size : start + 4 + size] if b"/up/" in topic else None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
