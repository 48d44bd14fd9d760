"""Simulated terminals against the driver, on real sockets."""

import asyncio
import contextlib

import pytest

from drivers.base import Rejected, Reply, Report
from drivers.facts import DeviceDescribed, PositionTaken
from drivers.jt808 import Dialect, LocatorCodec, LocatorSettings
from drivers.jt808 import commands as words
from drivers.jt808 import facts as told
from simulators.jt808 import Misbehaviour, Terminal, fleet
from simulators.ports import free_port

ADMISSION = LocatorSettings(terminals=("138*",), auth_key="0123456789abcdef").admission
VERSIONS = (2011, 2013, 2019)


class Platform:
    """What a session does, without a buffer: everything is committed at once, unless `commits` is cleared."""

    def __init__(self, dialect):
        self.dialect = dialect
        self.facts, self.rejected, self.links = [], [], []
        self.commits = asyncio.Event()
        self.commits.set()
        self._changed = asyncio.Event()

    def link(self):
        self.links.append(Link(self))
        return self.links[-1]

    async def until(self, true):
        async with asyncio.timeout(10):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def note(self):
        self._changed.set()

    def of(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]


class Link(asyncio.Protocol):
    def __init__(self, platform):
        self.platform = platform
        self.codec = LocatorCodec(platform.dialect, ADMISSION)
        self.withheld = []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.take(self.codec.receive(data))
        if self.codec.closing:
            self.transport.close()

    def take(self, outputs):
        for output in outputs:
            match output:
                case Report(fact=fact, ack=ack):
                    self.platform.facts.append(fact)
                    if self.platform.commits.is_set():
                        self.transport.write(ack)
                    else:
                        self.withheld.append(ack)
                case Reply(data=data):
                    self.transport.write(data)
                case Rejected(detail=detail):
                    self.platform.rejected.append(detail)
        self.platform.note()

    def tell(self, command):
        self.transport.write(self.codec.send(command))


@contextlib.asynccontextmanager
async def serving(**dialect):
    platform = Platform(Dialect.model_validate(dialect))
    server = await asyncio.get_running_loop().create_server(platform.link, "127.0.0.1", 0)
    try:
        yield platform, server.sockets[0].getsockname()
    finally:
        server.close()
        for link in platform.links:
            link.transport.abort()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def driving(address, **more):
    terminal = Terminal("13800000001", **more)
    async with asyncio.timeout(10):
        await terminal.connect(*address)
    try:
        yield terminal
    finally:
        terminal.cut()
        await terminal.wait_closed()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_day_of_a_terminal(version):
    async with (
        serving() as (platform, address),
        driving(address, version=version, seed=4) as terminal,
        asyncio.timeout(10),
    ):
        assert await terminal.ask(0x0002) == 0
        assert await terminal.position_confirmed() == 0
        await terminal.send_media(7, bytes(range(256)) * 10)
        assert await terminal.ask(0x0003) == 0
        kinds = [type(fact) for fact in platform.facts]
        assert kinds == [
            told.TerminalRegistered,
            told.TerminalAuthenticated,
            PositionTaken,
            told.MediaReceived,
            told.TerminalLeft,
        ]
        registered, _, position, media, _ = platform.facts
        assert (registered.version, registered.plate, registered.maker) == (version, "粤C12345", "GFSIM")
        assert position.latitude_deg == pytest.approx(terminal.route.lat_deg, abs=1e-6)
        assert position.longitude_deg == pytest.approx(terminal.route.lon_deg, abs=1e-6)
        assert position.taken_at == terminal.route.at
        assert position.satellites == 9
        assert media.data == bytes(range(256)) * 10
        assert terminal.confirmed == 1
        assert platform.rejected == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_obeys(version):
    async with serving() as (platform, address), driving(address, version=version) as terminal:
        (link,) = platform.links
        for command in (
            words.ShowText(text="测试"),
            words.ControlTerminal(word=4),
            words.SetParameters(values={"0001": 60}),
            words.QueryParameters(ids=("0001",)),
            words.QueryParameters(),
            words.AskPosition(),
            words.AskDescription(),
        ):
            link.tell(command)
        await platform.until(lambda: platform.of(DeviceDescribed) and platform.of(PositionTaken))
        assert [(one.verb, one.result) for one in platform.of(told.CommandAnswered)] == [
            ("ShowText", 0), ("ControlTerminal", 0), ("SetParameters", 0),
        ]  # fmt: skip
        assert [one.values for one in platform.of(told.ParametersAnswered)] == [
            {"0001": 60},
            {"0001": 60, "0083": "粤C12345"},
        ]
        assert terminal.texts == ["测试"]
        assert terminal.controls == [4]


async def test_what_was_not_committed_is_sent_again_as_a_batch():
    async with serving() as (platform, address), driving(address) as terminal:
        platform.commits.clear()
        for _ in range(3):
            terminal.send_position()
        await platform.until(lambda: len(platform.of(PositionTaken)) == 3)
        assert terminal.confirmed == 0
        terminal.cut()
        await terminal.wait_closed()
        terminal.send_position()
        assert len(terminal.kept) == 4
        platform.commits.set()
        assert await terminal.connect(*address)
        assert await terminal.send_batch() == 0
        assert not terminal.kept
        late = platform.of(PositionTaken)[3:]
        assert len(late) == 4
        assert all(one.late for one in late)
        assert [one.taken_at for one in late] == sorted(one.taken_at for one in late)
        assert len(platform.of(told.TerminalRegistered)) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_lost_parts_are_asked_for_and_sent(version):
    lost = Misbehaviour(lose_parts=frozenset({2, 4}))
    async with (
        serving(parts={"ask_after_ms": 100}) as (platform, address),
        driving(address, version=version, misbehaviour=lost) as terminal,
    ):
        (link,) = platform.links
        sending = asyncio.create_task(terminal.send_media(9, bytes(4000)))
        await platform.until(lambda: len(link.codec._parts._messages) == 1 and link.codec._parts.held > 2000)
        link.take(link.codec.overdue(0))
        link.take(link.codec.overdue(100))
        async with asyncio.timeout(5):
            await sending
        assert [len(one.data) for one in platform.of(told.MediaReceived)] == [4000]


@pytest.mark.parametrize(("fault", "word"), [("wrong_checksum", "checksum"), ("unescaped", "7D")])
async def test_a_broken_frame_costs_only_itself(fault, word):
    async with (
        serving() as (platform, address),
        driving(address, misbehaviour=Misbehaviour(**{fault: True})) as terminal,
    ):
        assert await terminal.position_confirmed() == 0
        assert len(platform.of(PositionTaken)) == 1
        assert len(platform.rejected) == 1
        assert word in platform.rejected[0]


async def test_data_before_authentication_is_refused_and_then_it_may_enter():
    async with serving() as (platform, address), driving(address, misbehaviour=Misbehaviour(early=True)) as terminal:
        assert await terminal.position_confirmed() == 0
        assert platform.rejected == ["message 0200 before authentication"]


async def test_a_wrong_code_is_answered_and_the_door_is_shut():
    async with serving() as (platform, address):
        terminal = Terminal("13800000001", misbehaviour=Misbehaviour(wrong_code=True))
        assert not await terminal.connect(*address)
        async with asyncio.timeout(5):
            await terminal.wait_closed()
        assert terminal.refused == 1
        assert platform.facts == []


async def test_an_unlisted_terminal_is_not_admitted():
    async with serving() as (platform, address):
        terminal = Terminal("13900000001")
        assert not await terminal.connect(*address)
        terminal.cut()
        assert platform.rejected == ["terminal 013900000001 is not listed"]


async def test_one_that_reads_slowly_still_tells_and_later_hears():
    async with (
        serving() as (platform, address),
        driving(address, misbehaviour=Misbehaviour(reads_slowly=True)) as terminal,
    ):
        terminal.send_position()
        await platform.until(lambda: len(platform.of(PositionTaken)) == 1)
        platform.links[0].tell(words.ShowText(text="x"))
        assert terminal.texts == []
        assert terminal.confirmed == 0
        terminal.read_on()
        await platform.until(lambda: len(platform.of(told.CommandAnswered)) == 1)
        assert terminal.texts == ["x"]
        assert terminal.confirmed == 1


async def test_the_same_seed_drives_the_same_streets():
    one, two, other = (Terminal("13800000001", seed=seed) for seed in (5, 5, 6))
    for terminal in (one, two, other):
        terminal.send_position()
    assert one.kept == two.kept != other.kept


async def test_a_fleet_is_admitted_and_confirmed():
    async with serving() as (platform, address), fleet(*address, 150) as cars:
        sent = await cars.report(rate=600, seconds=0.4)
        assert sent >= 150
        await platform.until(lambda: len(platform.of(PositionTaken)) == sent)
        assert await asyncio.gather(*(car.ask(0x0002) for car in cars.terminals)) == [0] * 150
        assert cars.confirmed == sent
        assert {one.version for one in platform.of(told.TerminalRegistered)} == set(VERSIONS)
        assert len({one.terminal for one in platform.of(PositionTaken)}) == 150


async def test_a_fleet_that_finds_nobody_says_so_and_does_not_wait_for_ever():
    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup, match="TaskGroup"):
            async with fleet("127.0.0.1", free_port(), 3):
                pass
