"""A bad network between MQTT clients and their broker: cut, lost, doubled, swapped.

`MqttProxy` reads the packets of both directions (MQTT 3.1.1, section 2) and treats batches (`.../up/...`) and acks
(`.../ack`) as badly as told. What it loses at QoS 1 it acknowledges to the sender in the receiver's name: so lies a
broker that loses what it took, or a client that dies before it looks, and only an end-to-end acknowledgement finds out.
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
    """Shares of messages, 0 to 1, that are lost, doubled, or overtaken by the next."""

    lose: float = 0.0
    double: float = 0.0
    swap: float = 0.0


@dataclass(slots=True)
class Tally:
    """What was done, in both directions together."""

    batches: int = 0
    acks: int = 0
    lost: int = 0
    doubled: int = 0
    swapped: int = 0
    cuts: int = 0


class MqttProxy:
    """Stands between clients and a broker. `badness` is for batches, `acks` for central's acks."""

    def __init__(
        self, host: str, port: int, *, badness: Badness | None = None, acks: Badness | None = None, seed: int = 0
    ) -> None:
        self.badness = badness or Badness()
        self.acks = acks or Badness()
        self.tally = Tally()
        self.port = 0
        self._upstream = (host, port)
        self._rng = random.Random(seed)
        self._down = False
        self._batch = asyncio.Event()
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

    async def next_batch(self) -> None:
        """Return when the next batch has come, whatever becomes of it."""
        await self._batch.wait()

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
        ends = {writer, to_broker}
        self._open |= ends
        if self._down:  # taken down while the broker was dialled
            self._down_now(ends)
        up = asyncio.create_task(_Lane(self, reader, writer, to_broker).run(), name="proxy.up")
        down = asyncio.create_task(_Lane(self, from_broker, to_broker, writer).run(), name="proxy.down")
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self._down_now(ends)
            self._open -= ends

    @staticmethod
    def _down_now(ends: set[asyncio.StreamWriter]) -> None:
        for one in ends:
            one.transport.abort()

    def fate(self, topic: bytes) -> str:
        """Draw what becomes of a message, and count it."""
        bad = self._badness_of(topic)
        if bad is None:
            return "pass"
        point = self._rng.random()
        for name, share in (("lose", bad.lose), ("double", bad.double), ("swap", bad.swap)):
            if point < share:
                return name
            point -= share
        return "pass"

    def _badness_of(self, topic: bytes) -> Badness | None:
        if b"/up/" in topic:
            self.tally.batches += 1
            self._batch.set()
            self._batch = asyncio.Event()
            return self.badness
        if topic.endswith(b"/ack"):
            self.tally.acks += 1
            return self.acks
        return None


@dataclass(slots=True)
class _Lane:
    """Packets of one connection in one direction."""

    proxy: MqttProxy
    reader: asyncio.StreamReader
    sender: asyncio.StreamWriter
    receiver: asyncio.StreamWriter
    held: list[bytes] = field(default_factory=list)

    async def run(self) -> None:
        """Pass packets on until an end closes."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                self._take(await _packet(self.reader))
                await self.receiver.drain()

    def _take(self, packet: bytes) -> None:
        found = _published(packet)
        if found is None:
            self.receiver.write(packet)
            return
        topic, number = found
        tally = self.proxy.tally
        match self.proxy.fate(topic):
            case "lose":
                tally.lost += 1
                self._acknowledge(number)
            case "double":
                tally.doubled += 1
                self.receiver.write(packet + packet)
            case "swap":
                tally.swapped += 1
                self.held.append(packet)
                # The sender may wait for the receiver's word before it sends the next: it gets it here.
                self._acknowledge(number)
                asyncio.get_running_loop().call_later(_HELD_S, self._let_go)
            case _:
                self.receiver.write(packet)
                self._let_go()

    def _acknowledge(self, number: bytes) -> None:
        if number:
            self.sender.write(_PUBACK + number)

    def _let_go(self) -> None:
        for packet in self.held:
            self.receiver.write(packet)
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


def _published(packet: bytes) -> tuple[bytes, bytes] | None:
    """Return (topic, packet id) of a PUBLISH, the id empty at QoS 0; None for any other packet."""
    if packet[0] >> 4 != _PUBLISH:
        return None
    start = 1
    while packet[start] & 0x80:
        start += 1
    start += 1
    size = int.from_bytes(packet[start : start + 2])
    topic, rest = packet[start + 2 : start + 2 + size], packet[start + 2 + size :]
    return topic, rest[:2] if packet[0] & 0x06 else b""
