"""An SNMP agent on a UDP port: versions 2c and 3, a MIB in memory, and faults on purpose.

agent = Agent(switch_mib(ports=48, poe=24))
async with serve_snmp(agent) as url:
    agent.faults.silent = True
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.snmp import ber, oids
from simulators.snmp_usm import Report, Usm

Oid = tuple[int, ...]
GET, NEXT, RESPONSE, SET, BULK, REPORT = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5, 0xA8
COUNTER32, GAUGE32, TICKS, COUNTER64 = 0x41, 0x42, 0x43, 0x46
_NO_INSTANCE: Final = bytes((0x81, 0))
_END: Final = bytes((0x82, 0))
_NOT_WRITABLE: Final = 17
_NO_ACCESS: Final = 6
_GEN_ERR: Final = 5
_TOO_BIG: Final = 1
_MAX_ROWS: Final = 256
_ROOM: Final = 200
"""Of a datagram, for what surrounds the variables."""
_UNSIGNED: Final = {COUNTER32: 32, GAUGE32: 32, TICKS: 32, COUNTER64: 64}
Number = int | Callable[[], int]


def arcs(dotted: str) -> Oid:
    """Return an object identifier as numbers, which sort as the MIB does."""
    return tuple(int(arc) for arc in dotted.split("."))


class Mib:
    """Instances by OID. A number may be a function, called when it is read."""

    def __init__(self) -> None:
        self._values: dict[Oid, Callable[[], bytes]] = {}
        self._order: list[Oid] | None = None
        self.written: dict[Oid, int] = {}
        """What may be written, with what stands there now."""

    def number(self, dotted: str, value: Number, tag: int = ber.INTEGER) -> None:
        """Set a number."""
        read = value if callable(value) else lambda: value
        bits = _UNSIGNED.get(tag)
        self._put(dotted, lambda: ber.write_integer(read() % (1 << bits) if bits else read(), tag))

    def octets(self, dotted: str, value: str | bytes) -> None:
        """Set a text or octets."""
        raw = ber.write(ber.OCTETS, value.encode() if isinstance(value, str) else value)
        self._put(dotted, lambda: raw)

    def writable(self, dotted: str, value: int) -> None:
        """Set a number that may be written."""
        oid = arcs(dotted)
        self.written[oid] = value
        self._put(dotted, lambda: ber.write_integer(self.written[oid]))

    def read(self, oid: Oid) -> bytes:
        """Return a value on the wire."""
        found = self._values.get(oid)
        return found() if found else _NO_INSTANCE

    def after(self, oid: Oid) -> Oid | None:
        """Return the next instance."""
        if self._order is None:
            self._order = sorted(self._values)
        at = bisect_right(self._order, oid)
        return self._order[at] if at < len(self._order) else None

    def _put(self, dotted: str, read: Callable[[], bytes]) -> None:
        self._values[arcs(dotted)] = read
        self._order = None


@dataclass(slots=True)
class AgentFaults:
    """How an agent misbehaves; set while it runs."""

    silent: bool = False
    drop: int = 0
    """So many requests are still to be lost."""
    wrong_request_id: bool = False
    loops: bool = False
    """GETNEXT and GETBULK begin anew after a while: the MIB has no end."""
    garbled: bool = False
    """Half a message."""
    stubborn: bool = False
    """A SET is answered as done, and does nothing."""
    empty: bool = False
    """GETBULK is answered without variables."""
    small: int = 8192
    """Bytes of the longest answer; more is tooBig, or fewer rows of a GETBULK."""
    stumbles: frozenset[str] = frozenset()
    """A GET that has one of these is genErr."""
    refuses: bool = False
    """All reading is noAccess."""


@dataclass(slots=True)
class Agent:
    """One agent; `clock` is in seconds and may be a test's own."""

    mib: Mib
    community: str = "public"
    write_community: str = "private"
    usm: Usm = field(default_factory=lambda: Usm(bytes.fromhex("8000ea2b0467617465666c656574")))
    clock: Callable[[], float] = time.monotonic
    faults: AgentFaults = field(default_factory=AgentFaults)
    requests: int = 0
    started: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.clock()
        self.mib.number(oids.SYS_UP_TIME, lambda: int(100 * (self.clock() - self.started)), TICKS)

    def restart(self) -> None:
        """Begin anew: the clock at zero, one more boot."""
        self.started = self.clock()
        self.usm.boots += 1

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to a datagram, None where there is none."""
        self.requests += 1
        if self.faults.silent:
            return None
        if self.faults.drop:
            self.faults.drop -= 1
            return None
        try:
            _, content, _ = ber.read(data, ber.SEQUENCE)
            _, version, rest = ber.read(content, ber.INTEGER)
            found = self._v3(data) if ber.read_integer(version) == 3 else self._v2c(version, rest)
        except FrameInvalid:
            return None
        return found[: len(found) // 2] if found and self.faults.garbled else found

    def _v2c(self, version: bytes, rest: bytes) -> bytes | None:
        _, community, rest = ber.read(rest, ber.OCTETS)
        name = community.decode("latin-1")
        if name not in {self.community, self.write_community}:
            return None
        pdu = self._pdu(rest, may_write=name == self.write_community)
        content = ber.write(ber.INTEGER, version) + ber.write(ber.OCTETS, community) + pdu
        return ber.write(ber.SEQUENCE, content)

    def _v3(self, data: bytes) -> bytes:
        time_s = int(self.clock() - self.started)
        try:
            message_id, _, security, scoped = self.usm.opened(data, time_s)
        except Report as report:
            message_id = report.args[0]
            bind = ber.write(ber.SEQUENCE, ber.write_oid(report.oid) + ber.write_integer(1, COUNTER32))
            pdu = ber.write(REPORT, ber.write_integer(0) * 3 + ber.write(ber.SEQUENCE, bind))
            return self.usm.sealed(message_id, None, time_s, self._scoped(pdu))
        _, inner, _ = ber.read(scoped, ber.SEQUENCE)
        _, _, inner = ber.read(inner, ber.OCTETS)
        _, _, inner = ber.read(inner, ber.OCTETS)
        user = self.usm.users[security.user.decode("latin-1")]
        return self.usm.sealed(message_id, user, time_s, self._scoped(self._pdu(inner, may_write=True)))

    def _scoped(self, pdu: bytes) -> bytes:
        return ber.write(ber.SEQUENCE, ber.write(ber.OCTETS, self.usm.engine) + ber.write(ber.OCTETS, b"") + pdu)

    def _pdu(self, data: bytes, *, may_write: bool) -> bytes:
        tag, content, _ = ber.read(data)
        _, request_id, content = ber.read(content, ber.INTEGER)
        _, first, content = ber.read(content, ber.INTEGER)
        _, second, content = ber.read(content, ber.INTEGER)
        _, raw, _ = ber.read(content, ber.SEQUENCE)
        binds = []
        for _, bind in ber.elements(raw):
            _, oid, value = ber.read(bind, ber.OID)
            binds.append((arcs(ber.read_oid(oid)), value))
        status, index, found = self._done(tag, binds, ber.read_integer(first), ber.read_integer(second), may_write)
        number = ber.read_integer(request_id) + (1 if self.faults.wrong_request_id else 0)
        head = ber.write_integer(number) + ber.write_integer(status) + ber.write_integer(index)
        return ber.write(RESPONSE, head + ber.write(ber.SEQUENCE, b"".join(found)))

    def _done(
        self, tag: int, binds: list[tuple[Oid, bytes]], first: int, second: int, may_write: bool
    ) -> tuple[int, int, list[bytes]]:
        asked = [_bind(oid, value) for oid, value in binds]
        if self.faults.refuses and tag != SET:
            return _NO_ACCESS, 1, asked
        if tag == SET:
            return self._set(binds, asked, may_write)
        if tag == BULK:
            return 0, 0, [] if self.faults.empty else self._bulk([oid for oid, _ in binds], first, second)
        bad = [at for at, (oid, _) in enumerate(binds, 1) if ".".join(map(str, oid)) in self.faults.stumbles]
        if bad:
            return _GEN_ERR, bad[0], asked
        found = [_bind(*self._next(oid)) if tag == NEXT else _bind(oid, self.mib.read(oid)) for oid, _ in binds]
        return (_TOO_BIG, 0, []) if sum(map(len, found)) > self.faults.small - _ROOM else (0, 0, found)

    def _set(self, binds: list[tuple[Oid, bytes]], asked: list[bytes], may_write: bool) -> tuple[int, int, list[bytes]]:
        for at, (oid, value) in enumerate(binds, 1):
            if not may_write or oid not in self.mib.written:
                return (_NOT_WRITABLE if may_write else _NO_ACCESS), at, asked
            if not self.faults.stubborn:
                self.mib.written[oid] = ber.read_integer(ber.read(value, ber.INTEGER)[1])
        return 0, 0, asked

    def _bulk(self, wanted: list[Oid], non_repeaters: int, rows: int) -> list[bytes]:
        found = []
        room = self.faults.small - _ROOM
        last = wanted[:]
        for row in range(max(1, min(rows, _MAX_ROWS))):
            for at in range(len(wanted)):
                if row and at < non_repeaters:
                    continue
                oid, value = self._next(last[at])
                last[at] = oid
                found.append(_bind(oid, value))
                room -= len(found[-1])
                if room < 0:
                    return found[:-1]
        return found

    def _next(self, oid: Oid) -> tuple[Oid, bytes]:
        after = self.mib.after(oid)
        if self.faults.loops and self.requests % 3 == 0:
            after = self.mib.after(oid[:-1])
        return (oid, _END) if after is None else (after, self.mib.read(after))


def _bind(oid: Oid, value: bytes) -> bytes:
    return ber.write(ber.SEQUENCE, ber.write_oid(".".join(map(str, oid))) + value)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if answer := self._agent.answer(data):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def serve_snmp(agent: Agent, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve an agent; yield where it is, such as snmp://127.0.0.1:40161."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(agent), local_addr=(host, port))
    try:
        yield f"snmp://{host}:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
