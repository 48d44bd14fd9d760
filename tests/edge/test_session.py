"""Read, decode, deliver, and only then acknowledge: whatever the cut of the bytes and whatever goes wrong between."""

import asyncio
from dataclasses import dataclass, field

import pytest

from core.clearance.model import Direction
from core.errors import ConfigInvalid, DeviceSilent, LinkLost, Unsupported
from core.messages.commands import OpenGate, ResetDevice
from core.messages.events import Health, LaneMode
from drivers.base import Driver, Rejected, Reply, Report, Settings
from drivers.facts import CredentialRead, GateObserved
from drivers.turnstile import DRIVER as TURNSTILE
from edge.board import Board
from edge.links.modbus_url import open_bus, parse_modbus_url
from edge.links.stream import MemoryLink
from edge.profiles import load_profile
from edge.sections import DeviceSpec
from edge.session import RegisterSession, StreamSession
from edge.supervisor import Supervisor
from simulators.modbus import serve_tcp
from simulators.turnstile import Gate, gate_bank

from .conftest import HandClock, until


class LineCodec:
    """text LF -> a report with an ack; ? LF -> a reply; ! LF -> rejected."""

    def __init__(self):
        self.half = b""

    def receive(self, data):
        *lines, self.half = (self.half + data).split(b"\n")
        for line in lines:
            if line == b"?":
                yield Reply(b"here\n")
            elif line == b"!":
                yield Rejected("no frame", line)
            else:
                yield Report(CredentialRead(line.decode()), ack=b"ack " + line + b"\n" if line != b"silent" else b"")

    def send(self, command):
        if isinstance(command, ResetDevice):
            return b"reset\n"
        raise Unsupported(f"no {type(command).__name__}")


LINES = Driver(
    name="lines",
    kind="reader",
    settings=Settings,
    make=lambda profile, settings: LineCodec(),
    commands=frozenset({ResetDevice}),
    facts=frozenset({CredentialRead}),
    links=frozenset({"memory"}),
)
PROFILE = load_profile("generic/line-reader")


@dataclass
class Desk:
    """A session on a link in memory, and what it delivers."""

    link: MemoryLink = field(default_factory=MemoryLink)
    told: list = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    fails: Exception | None = None

    def __post_init__(self):
        spec = DeviceSpec("RD", LINES, PROFILE, Settings(), "memory://", "L")
        self.board = Board({"RD": spec}, now=HandClock().wall, tell=self.told.append)
        self.session = StreamSession(spec, self.link, self.board, self.deliver)
        self.gate.set()

    async def deliver(self, fact):
        self.texts.append(fact.text)
        await self.gate.wait()
        if self.fails:
            raise self.fails

    def sends(self, data):
        self.link.ours.put_nowait(data)

    def heard(self):
        return b"".join(self.link.peer.get_nowait() for _ in range(self.link.peer.qsize()))


@pytest.fixture
async def desk():
    return Desk()


async def test_an_ack_leaves_only_after_deliver_returned(desk, task):
    desk.gate.clear()
    task(run_once(desk))
    desk.sends(b"one\ntwo\n")
    await until(lambda: desk.texts == ["one"])
    await asyncio.sleep(0.02)
    assert desk.heard() == b""
    assert desk.texts == ["one"]  # nor is the next one taken before
    desk.gate.set()
    await until(lambda: desk.link.peer.qsize() == 2)
    assert desk.heard() == b"ack one\nack two\n"


async def run_once(desk):
    with pytest.raises(LinkLost):
        await desk.session.run()


async def test_no_ack_leaves_when_deliver_fails(desk):
    desk.fails = LinkLost("the lane is gone")
    desk.sends(b"one\ntwo\n")
    with pytest.raises(LinkLost, match="the lane is gone"):
        await desk.session.run()
    assert desk.heard() == b""
    assert desk.texts == ["one"]


async def test_no_ack_leaves_when_the_session_is_cancelled_before_the_commit(desk, task):
    desk.gate.clear()
    running = asyncio.ensure_future(desk.session.run())
    desk.sends(b"one\n")
    await until(lambda: desk.texts)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert desk.heard() == b""


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
async def test_the_cut_of_the_bytes_changes_nothing(desk, size):
    stream = b"one\n!\n?\nsilent\ntwo\n"
    for start in range(0, len(stream), size):
        desk.sends(stream[start : start + size])
    desk.sends(b"")
    await run_once(desk)
    assert desk.texts == ["one", "silent", "two"]
    assert desk.heard() == b"ack one\nhere\nack two\n"


async def test_rejected_frames_are_counted_and_the_stream_goes_on(desk):
    desk.sends(b"!\n" * 100 + b"one\n")
    desk.sends(b"")
    await run_once(desk)
    assert desk.texts == ["one"]
    record = desk.board.record("RD")
    assert record.counters == {"rejected": 100, "facts": 1}
    assert record.health is Health.DEGRADED


async def test_the_end_of_the_link_is_told_and_commands_are_refused_then(desk):
    desk.sends(b"")
    await run_once(desk)
    desk.session.lost(LinkLost("the device closed the connection"))
    record = desk.board.record("RD")
    assert record.health is Health.OFFLINE
    assert [finding.code for finding in record.findings] == ["link_down"]
    with pytest.raises(LinkLost, match="not connected"):
        await desk.session.command(ResetDevice())


async def test_commands_are_written_or_refused_by_the_codec(desk, task):
    task(run_once(desk))
    await until(lambda: desk.board.record("RD").health is Health.OK)
    await desk.session.command(ResetDevice())
    assert desk.heard() == b"reset\n"
    with pytest.raises(Unsupported):
        await desk.session.command(OpenGate(direction=Direction.IN))


async def test_a_lost_link_is_made_again_with_a_new_codec(desk):
    """Half a frame of the old connection must not stand before the first of the new one."""
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group, first_s=0.05, longest_s=0.05)
        supervisor.keep("device.RD", desk.session.run, desk.session.lost)
        desk.sends(b"one\nhalf")
        desk.sends(b"")
        await until(lambda: desk.board.record("RD").health is Health.OFFLINE)
        assert supervisor.restarts == {"device.RD": 1}
        desk.sends(b"two\n")
        await until(lambda: len(desk.texts) == 2)
        assert desk.texts == ["one", "two"]
        assert desk.board.record("RD").health is Health.OK
        await supervisor.stop()
    assert [event.health.value for event in desk.told] == ["ok", "offline", "ok"]


# -- registers -------------------------------------------------------------------------------------------------------


def registers(url):
    told, facts = [], []
    spec = DeviceSpec("TS", TURNSTILE, load_profile("reference/swing-gate"), Settings(), url, "L")
    board = Board({"TS": spec}, now=HandClock().wall, tell=told.append)
    session = RegisterSession(spec, board, facts.append)
    return session, board, facts, told


async def test_a_turnstile_is_polled_commanded_and_lost(task):
    gate = Gate()
    async with serve_tcp({1: gate_bank(gate, load_profile("reference/swing-gate"))}) as server:
        url = parse_modbus_url(f"{server.url}?unit=1")
        session, board, facts, told = registers(f"{server.url}?unit=1")
        with pytest.raises(Unsupported, match="no bus"):
            await session.command(ResetDevice())
        bus = open_bus(url.bus)
        session.attach(bus, url.unit, 0.2)
        with pytest.raises(LinkLost, match="not connected"):
            await session.command(OpenGate(direction=Direction.IN))
        running = asyncio.ensure_future(bus.run())
        await until(lambda: facts)
        assert isinstance(facts[0], GateObserved)
        await session.command(OpenGate(direction=Direction.IN))
        assert gate.released[Direction.IN] == 1
        assert board.record("TS").health is Health.OK
        server.faults[1].dead = True
        with pytest.raises(DeviceSilent, match="effect is unknown"):
            await session.command(OpenGate(direction=Direction.IN))
        await until(lambda: board.record("TS").health is Health.OFFLINE)
        assert [finding.code for finding in board.record("TS").findings] == ["silent"]
        server.faults[1].dead = False
        await until(lambda: board.record("TS").health is Health.OK)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        session.lost(LinkLost("gone"))
        assert [finding.code for finding in board.record("TS").findings] == ["link_down"]
        assert [event.health.value for event in told] == ["ok", "offline", "ok", "offline"]


async def test_a_value_that_cannot_be_degrades_the_gate_and_is_no_fact(task):
    gate = Gate()
    bank = gate_bank(gate, load_profile("reference/swing-gate"))
    async with serve_tcp({1: bank}) as server:
        url = parse_modbus_url(f"{server.url}?unit=1")
        session, board, facts, _ = registers(f"{server.url}?unit=1")
        bus = open_bus(url.bus)
        session.attach(bus, url.unit, 0.2)
        running = asyncio.ensure_future(bus.run())
        await until(lambda: facts)
        refresh = bank.before_read
        bank.before_read = lambda *asked: (refresh(*asked), bank.inputs.update({0: 77}))
        await until(lambda: board.record("TS").health is Health.DEGRADED)
        assert [finding.code for finding in board.record("TS").findings] == ["refuses"]
        assert all(fact.mode is LaneMode.NORMAL for fact in facts)
        bank.before_read = refresh
        await until(lambda: board.record("TS").health is Health.OK)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_profile_that_is_not_the_drivers_is_refused_when_the_session_is_made():
    spec = DeviceSpec("TS", TURNSTILE, PROFILE, Settings(), "modbus+tcp://h?unit=1", "L")
    with pytest.raises(ConfigInvalid):
        RegisterSession(spec, Board({"TS": spec}, now=HandClock().wall, tell=print), print)
