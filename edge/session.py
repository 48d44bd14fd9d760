"""Link + driver -> facts: read, decode, deliver, and only then acknowledge.

A report's `ack` is written after `deliver` has returned, and `deliver` returns after everything that follows from the
fact is committed: so no driver and no device can get the order wrong.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from core.errors import LinkLost, Unsupported
from core.messages.commands import DeviceCommand
from drivers.base import Codec, Poll, RegisterMap, Rejected, Reply, Report
from drivers.facts import Fact
from edge.board import Board, Finding
from edge.links.modbus import Bus, Life, Unit, UnitHealth
from edge.links.stream import Connection, Link
from edge.sections import DeviceSpec

Deliver = Callable[[Fact], Awaitable[None]]
COMMAND_TIMEOUT_S = 2.0


class StreamSession:
    """A stream device on its link."""

    def __init__(self, spec: DeviceSpec, link: Link, board: Board, deliver: Deliver) -> None:
        self.spec = spec
        self._link = link
        self._board = board
        self._deliver = deliver
        self._connection: Connection | None = None
        self._codec: Codec | None = None

    async def run(self) -> None:
        """Connect and read until the link is lost: raises LinkLost."""
        async with self._link.connect() as connection:
            codec = cast("Codec", self.spec.driver.make(self.spec.profile, self.spec.settings))
            self._connection, self._codec = connection, codec
            self._board.answers(self.spec.id)
            try:
                while data := await connection.read():
                    await self._take(codec, connection, data)
            finally:
                self._connection = self._codec = None
        raise LinkLost("the device closed the connection", place=self.spec.link)

    async def command(self, command: DeviceCommand) -> None:
        """Send a command; raise LinkLost or Unsupported."""
        if self._connection is None or self._codec is None:
            raise LinkLost("not connected", place=self.spec.link)
        await self._connection.write(self._codec.send(command))

    def lost(self, error: Exception) -> None:
        """Note why the link ended."""
        self._board.silent(self.spec.id, Finding("link_down", {"link": self.spec.link, "error": str(error)}))

    async def _take(self, codec: Codec, connection: Connection, data: bytes) -> None:
        for output in codec.receive(data):
            match output:
                case Report(fact=fact, ack=ack):
                    self._board.fact(self.spec.id, fact)
                    await self._deliver(fact)
                    if ack:
                        await connection.write(ack)
                case Reply(data=reply):
                    await connection.write(reply)
                case Rejected(detail=detail):
                    self._board.rejected(self.spec.id, detail)


class RegisterSession:
    """A register device on its bus. `deliver` here is quick and plain: the bus must not wait."""

    def __init__(self, spec: DeviceSpec, board: Board, deliver: Callable[[Fact], None]) -> None:
        self.spec = spec
        self._board = board
        self._deliver = deliver
        self._map = cast("RegisterMap", spec.driver.make(spec.profile, spec.settings))
        self._unit: Unit | None = None
        self._last: Fact | None = None

    def attach(self, bus: Bus, unit: int, timeout_s: float) -> None:
        """Take a place on a bus; once."""
        self._unit = bus.attach(
            unit, self._map.polls, on_block=self._block, on_health=self._health, timeout_s=timeout_s
        )

    async def command(self, command: DeviceCommand) -> None:
        """Write a command, once; raise DeviceSilent, DeviceRefused, LinkLost or Unsupported."""
        if self._unit is None:
            raise Unsupported("the device has no bus", place=self.spec.id)
        await self._unit.write(self._map.writes(command), timeout_s=COMMAND_TIMEOUT_S)

    def lost(self, error: Exception) -> None:
        """Note why the bus ended."""
        self._board.silent(self.spec.id, Finding("link_down", {"link": self.spec.link, "error": str(error)}))

    def _block(self, poll: Poll, values: Sequence[int]) -> None:
        for fact in self._map.observe(poll, values):
            self._board.fact(self.spec.id, fact)
            self._deliver(fact)

    def _health(self, health: UnitHealth) -> None:
        device = self.spec.id
        if health.life is Life.SILENT:
            self._board.silent(device, Finding("silent", {"link": self.spec.link, "error": health.error}))
            return
        if health.life is Life.ALIVE:
            self._board.answers(device)
        failing = Finding("refuses", {"polls": list(health.failing), "exception": health.error})
        self._board.degraded(device, failing if health.failing else None)


Session = StreamSession | RegisterSession
