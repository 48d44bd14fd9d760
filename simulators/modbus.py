"""A Modbus server with several units, on TCP or on a pty (RTU), that can be made to misbehave while it runs.

bank = Bank(holdings=block(0, [321, 324]), coils=block(0, [0] * 8), on_write=hook)
async with serve_tcp({1: bank}) as server:      # or serve_pty
    server.url, server.faults[1].dead = True
"""

import asyncio
import contextlib
import os
import random
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from core.errors import FrameInvalid
from drivers.base import Rejected, Space
from drivers.modbus_framing import Adu, TcpReader, rtu_frame, rtu_requests, tcp_frame
from drivers.modbus_pdu import (
    BIT_FUNCTIONS,
    COIL_ON,
    FUNCTIONS,
    WRITE_COIL,
    BitsRead,
    Read,
    ReadWrite,
    Refusal,
    RegistersRead,
    Request,
    Response,
    WriteMany,
    WriteOne,
    Written,
    parse_request,
)

OnWrite = Callable[[int, int, tuple[int, ...]], int | None]
"""Function, address, values -> None (done) or the exception code of a no. Called before anything is stored."""

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
_GAP_S: Final = 0.05
_PIECE: Final = 16
_TCP_HEAD: Final = 8


def block(address: int, values: Iterable[int]) -> dict[int, int]:
    """Return the cells of a run of values."""
    return dict(enumerate(values, address))


@dataclass(slots=True)
class Bank:
    """One unit's four tables, cells by address; what is not there is an illegal address.

    With a hook, the hook judges writes: what it lets pass is stored where the table has the address, and vendor values
    of function 5 are for the hook alone. `before_read` may bring the cells up to date.
    """

    coils: dict[int, int] = field(default_factory=dict)
    discretes: dict[int, int] = field(default_factory=dict)
    holdings: dict[int, int] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)
    on_write: OnWrite | None = None
    before_read: Callable[[Space, int, int], None] | None = None

    def answer(self, request: Request) -> Response:
        """Do a request."""
        match request:
            case Read():
                return self._read(request.function, request.address, request.count)
            case WriteOne(function=function, address=address, value=value):
                code = self._write(function, address, (value,))
                return Refusal(function, code) if code else request
            case WriteMany(function=function, address=address, values=values):
                code = self._write(function, address, values)
                return Refusal(function, code) if code else Written(function, address, len(values))
            case ReadWrite(function=function):
                code = self._write(function, request.write_address, request.write_values)
                return (
                    Refusal(function, code) if code else self._read(function, request.read_address, request.read_count)
                )
            case _:
                assert_never(request)

    def _read(self, function: int, address: int, count: int) -> Response:
        spaces = {1: Space.COIL, 2: Space.DISCRETE, 4: Space.INPUT}
        space = spaces.get(function, Space.HOLDING)
        if self.before_read:
            self.before_read(space, address, count)
        cells = self._cells(space)
        try:
            values = tuple(cells[place] for place in range(address, address + count))
        except KeyError:
            return Refusal(function, ILLEGAL_ADDRESS)
        return BitsRead(function, values) if function in BIT_FUNCTIONS else RegistersRead(function, values)

    def _write(self, function: int, address: int, values: tuple[int, ...]) -> int:
        """Return the exception code, 0 if it was done."""
        space = Space.COIL if function in {WRITE_COIL, 15} else Space.HOLDING
        cells = self._cells(space)
        there = all(place in cells for place in range(address, address + len(values)))
        plain = function != WRITE_COIL or values[0] in {0, COIL_ON}
        if self.on_write:
            if code := self.on_write(function, address, values):
                return code
        elif not there or not plain:
            return ILLEGAL_VALUE if there else ILLEGAL_ADDRESS
        if there and plain:
            stored = (int(values[0] == COIL_ON),) if function == WRITE_COIL else values
            cells.update(block(address, stored))
        return 0

    def _cells(self, space: Space) -> dict[int, int]:
        return {
            Space.COIL: self.coils,
            Space.DISCRETE: self.discretes,
            Space.HOLDING: self.holdings,
            Space.INPUT: self.inputs,
        }[space]


@dataclass(slots=True)
class Faults:
    """How a unit misbehaves; set while it runs."""

    dead: bool = False
    """It hears and does nothing."""
    mute: bool = False
    """It does what it is told, and says nothing."""
    delay_s: float = 0.0
    """It answers so much later; meanwhile others on the line are served."""
    late: bool = False
    """Its answer comes just before the next answer on the line."""
    garble: bool = False
    """One bit of the answer is wrong; on TCP one of its head, for TCP itself guards the values."""
    truncate: bool = False
    """The answer's last bytes are missing."""
    wrong_unit: bool = False
    """It answers with its neighbour's number."""
    exception: int = 0
    """It refuses everything with this code."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Bytes of the client as they came: `frames` good ones in them; `busy` while an answer was being made or sent."""

    at_s: float
    raw: bytes
    frames: tuple[Adu, ...]
    busy: bool


class Server:
    """Units behind one endpoint. `record` keeps what was seen and when each answer ended."""

    def __init__(self, units: Mapping[int, Bank], *, seed: int = 0, record: bool = False) -> None:
        self.units = dict(units)
        self.faults = {unit: Faults() for unit in units}
        self.url = ""
        self.seen: list[Seen] = []
        self.answered_s: list[float] = []
        self.refused_frames = 0
        self.lines: set[Line] = set()
        self._random = random.Random(seed)
        self._record = record

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.url.rsplit(":", 1)[1])

    def drop_connections(self) -> None:
        """Close every connection at once."""
        for line in tuple(self.lines):
            line.close()

    def note(self, raw: bytes, found: Sequence[Adu | Rejected], *, busy: bool) -> None:
        """Record what came."""
        frames = tuple(item for item in found if isinstance(item, Adu))
        self.refused_frames += len(found) - len(frames)
        if self._record:
            self.seen.append(Seen(time.monotonic(), raw, frames, busy))

    def note_answered(self) -> None:
        """Record that an answer has been sent."""
        if self._record:
            self.answered_s.append(time.monotonic())

    def respond(self, adu: Adu) -> bytes | None:
        """Return the PDU of the answer; None if there is none."""
        if adu.unit == 0 and 0 not in self.units:
            for everyone in self.units.values():
                _answer(everyone, adu.pdu)
            return None
        bank, faults = self.units.get(adu.unit), self.faults.get(adu.unit)
        if bank is None or faults is None or faults.dead:
            return None
        if faults.exception:
            return Refusal(adu.pdu[0] & 0x7F, faults.exception).encode()
        answer = _answer(bank, adu.pdu)
        return None if faults.mute else answer

    def spoil(self, unit: int, frame: bytes, *, rtu: bool) -> bytes:
        """Return a frame as a faulty unit would send it."""
        faults = self.faults.get(unit, Faults())
        if faults.garble:
            place = self._random.randrange(len(frame) if rtu else _TCP_HEAD)
            frame = frame[:place] + bytes((frame[place] ^ (1 << self._random.randrange(8)),)) + frame[place + 1 :]
        if faults.truncate:
            frame = frame[: self._random.randrange(1, len(frame))]
        return frame


class Line(asyncio.Protocol):
    """One connection or pty: frames in, answers out, at the pace of `baud` if there is one."""

    def __init__(self, server: Server, *, rtu: bool, baud: int = 0) -> None:
        self._server = server
        self._rtu = rtu
        self._baud = baud
        self._reader = rtu_requests() if rtu else TcpReader()
        self._write: Callable[[bytes], object] = lambda _: None
        self._close: Callable[[], None] = lambda: None
        self._held: list[bytes] = []
        self._at_work = 0
        self._heard_s = 0.0
        self._timers: set[asyncio.TimerHandle] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a TCP connection; asyncio calls this."""
        assert isinstance(transport, asyncio.Transport)
        self.open(transport.write, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        """Forget a connection; asyncio calls this."""
        self._server.lines.discard(self)
        for timer in self._timers:
            timer.cancel()

    def open(self, write: Callable[[bytes], object], close: Callable[[], None]) -> None:
        """Begin, with what writes and closes."""
        self._write, self._close = write, close
        self._server.lines.add(self)

    def close(self) -> None:
        """Close the connection at once."""
        self._close()

    def data_received(self, data: bytes) -> None:
        """Take bytes; after a silence the rest of an incomplete frame is forgotten, as a slave does."""
        now_s = time.monotonic()
        lost = self._reader.flush() if self._rtu and now_s - self._heard_s > _GAP_S else []
        self._heard_s = now_s
        found = [*lost, *self._reader.receive(data)]
        self._server.note(data, found, busy=self._at_work > 0)
        for item in found:
            if isinstance(item, Adu):
                self._serve(item)

    def _serve(self, adu: Adu) -> None:
        answer = self._server.respond(adu)
        if answer is None:
            return
        faults = self._server.faults.get(adu.unit, Faults())
        unit = (adu.unit + 1) % 248 if faults.wrong_unit else adu.unit
        frame = rtu_frame(unit, answer) if self._rtu else tcp_frame(adu.transaction, unit, answer)
        frame = self._server.spoil(adu.unit, frame, rtu=self._rtu)
        if faults.late:
            self._held.append(frame)
            return
        self._at_work += 1
        self._later(faults.delay_s, lambda: self._send(b"".join([*self._taken(), frame])))

    def _taken(self) -> list[bytes]:
        held, self._held = self._held, []
        return held

    def _send(self, frame: bytes) -> None:
        """Send at once, or piece by piece: each has arrived when its time on the line is over."""
        if not self._baud:
            self._arrive(frame, b"")
            return
        piece, rest = frame[:_PIECE], frame[_PIECE:]
        self._later(len(piece) * 10 / self._baud, lambda: self._arrive(piece, rest))

    def _arrive(self, piece: bytes, rest: bytes) -> None:
        self._write(piece)
        if rest:
            self._send(rest)
        else:
            self._sent()

    def _sent(self) -> None:
        self._at_work -= 1
        self._server.note_answered()

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        if seconds <= 0:
            do()
            return

        def fire() -> None:
            self._timers.discard(timer)
            do()

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)


@contextlib.asynccontextmanager
async def serve_tcp(
    units: Mapping[int, Bank], *, port: int = 0, host: str = "127.0.0.1", seed: int = 0, record: bool = False
) -> AsyncIterator[Server]:
    """Serve units on TCP; `url` has no unit."""
    server = Server(units, seed=seed, record=record)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Line(server, rtu=False), host, port, backlog=1024)
    server.url = f"modbus+tcp://{host}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        server.drop_connections()
        await listener.wait_closed()


@contextlib.asynccontextmanager
async def serve_pty(
    units: Mapping[int, Bank], *, baud: int = 0, seed: int = 0, record: bool = False
) -> AsyncIterator[Server]:
    """Serve units in RTU on a new pty, whose path is in `url`; with `baud`, answers take the time they would."""
    server = Server(units, seed=seed, record=record)
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    server.url = f"modbus+rtu://{os.ttyname(slave)}?baud={baud or 115200}"
    line = Line(server, rtu=True, baud=baud)
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(master, lambda: line.data_received(os.read(master, 4096)))
        line.open(lambda data: _write_all(master, data), lambda: None)
        yield server
    finally:
        loop.remove_reader(master)
        line.connection_lost(None)
        os.close(master)
        os.close(slave)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write what the pty takes; a client that does not read loses the rest, as on a real line."""
    with contextlib.suppress(BlockingIOError):
        os.write(descriptor, data)


def _answer(bank: Bank, pdu: bytes) -> bytes:
    if not pdu or pdu[0] not in FUNCTIONS:
        return Refusal(max(1, pdu[0] & 0x7F) if pdu else 1, ILLEGAL_FUNCTION).encode()
    try:
        request = parse_request(pdu)
    except FrameInvalid:
        return Refusal(pdu[0], ILLEGAL_VALUE).encode()
    return bank.answer(request).encode()
