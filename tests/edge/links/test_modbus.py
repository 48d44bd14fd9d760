"""The bus on real sockets and ptys, against the simulator with its faults; each promise bears its words."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, FrameInvalid, LinkLost
from drivers.base import Poll, Space, Write
from edge.links.modbus import Bus, Life, Unit, UnitHealth
from edge.links.modbus_url import open_bus, parse_modbus_url, timing_of
from simulators.modbus import Bank, Server, block, serve_pty, serve_tcp

KINDS = [serve_tcp, serve_pty]
Serve = Callable[..., contextlib.AbstractAsyncContextManager[Server]]
ON = Write(5, 0, (0xFF00,))


@dataclass
class Owner:
    """What a unit's owner hears."""

    blocks: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    health: list[UnitHealth] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_block(self, poll: Poll, values: Sequence[int]) -> None:
        self.blocks.append((poll.name, tuple(values)))
        self.news.set()

    def on_health(self, health: UnitHealth) -> None:
        self.health.append(health)
        self.news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                self.news.clear()
                await self.news.wait()


def a_bus(server: Server, **timing: float) -> Bus:
    address = parse_modbus_url(server.url).bus
    return open_bus(address, timing=replace(timing_of(address), **{"timeout_s": 0.15, **timing}))


def attach(bus: Bus, owner: Owner, unit: int = 1, polls: Sequence[Poll] = ()) -> Unit:
    return bus.attach(unit, polls, on_block=owner.on_block, on_health=owner.on_health)


@contextlib.asynccontextmanager
async def running(bus: Bus) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(bus.run())
    try:
        await asyncio.wait_for(bus.ready(), 5)
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LinkLost):
            await task


def a_bank(**more: object) -> Bank:
    return Bank(
        coils=block(0, [0] * 8),
        discretes=block(0, [1, 0, 1]),
        holdings=block(0, range(100, 110)),
        inputs=block(5, [7]),
        **more,  # type: ignore[arg-type]
    )


def poll(name: str = "h", space: Space = Space.HOLDING, address: int = 0, count: int = 3, every_ms: int = 50) -> Poll:
    return Poll(name, space, address, count, every_ms)


@pytest.mark.parametrize("serve", KINDS)
async def test_all_four_tables_are_polled(serve: Serve) -> None:
    polls = [
        poll("c", Space.COIL, 0, 8),
        poll("d", Space.DISCRETE, 0, 3),
        poll("h", Space.HOLDING, 0, 10),
        poll("i", Space.INPUT, 5, 1),
    ]
    owner = Owner()
    async with serve({1: a_bank()}) as server:
        bus = a_bus(server)
        attach(bus, owner, polls=polls)
        async with running(bus):
            await owner.until(lambda: len({name for name, _ in owner.blocks}) == 4)
    values = dict(owner.blocks)
    assert values == {"c": (0,) * 8, "d": (1, 0, 1), "h": tuple(range(100, 110)), "i": (7,)}
    assert owner.health == [UnitHealth(1, Life.ALIVE), UnitHealth(1, Life.UNKNOWN, error="no link")]


@pytest.mark.parametrize("serve", KINDS)
async def test_writes_are_done_in_order_and_what_is_refused_is_told(serve: Serve) -> None:
    seen: list[tuple[int, int, tuple[int, ...]]] = []

    def hook(function: int, address: int, values: tuple[int, ...]) -> int | None:
        seen.append((function, address, values))
        return 4 if address == 9 else None

    bank = a_bank(on_write=hook)
    writes = [ON, Write(15, 2, (1, 0, 1)), Write(6, 3, (77,)), Write(16, 4, (5, 6)), Write(5, 0x0201, (7,))]
    async with serve({1: bank}) as server:
        bus = a_bus(server)
        unit = attach(bus, Owner())
        async with running(bus):
            await unit.write(writes, timeout_s=1)
            assert await unit.read_now(poll(address=3)) == (77, 5, 6)
            with pytest.raises(DeviceRefused, match="exception 4, server device failure"):
                await unit.write([Write(6, 9, (1,)), ON], timeout_s=1)
    assert seen == [(w.function, w.address, w.values) for w in [*writes, Write(6, 9, (1,))]]
    assert bank.coils == block(0, [1, 0, 1, 0, 1, 0, 0, 0])
    assert unit.counters.exceptions == 1


@pytest.mark.parametrize("serve", KINDS)
@pytest.mark.parametrize("fault", ["dead", "garble", "truncate", "wrong_unit", "late"])
async def test_a_faulty_answer_is_silence_and_the_unit_is_well_again_after_it(serve: Serve, fault: str) -> None:
    owner = Owner()
    async with serve({1: a_bank(), 2: a_bank()}) as server:
        bus = a_bus(server, timeout_s=0.05, probe_first_s=0.05, probe_max_s=0.1, suspect_share=0.9, dead_share=0.5)
        unit = attach(bus, owner, polls=[poll(every_ms=20)])
        attach(bus, Owner(), 2, [poll(every_ms=20)])
        async with running(bus) as task:
            await owner.until(lambda: unit.health.life is Life.ALIVE)
            setattr(server.faults[1], fault, True)
            await owner.until(lambda: unit.health.life is Life.SILENT)
            before = len(owner.blocks)
            setattr(server.faults[1], fault, False)
            await owner.until(lambda: unit.health.life is Life.ALIVE and len(owner.blocks) > before + 2)
            assert not task.done()
    assert {values for _, values in owner.blocks} == {(100, 101, 102)}
    total = bus.counters
    assert total.timeouts + total.garbled >= 3
    assert total.mismatches or fault not in {"wrong_unit", "late"}


@pytest.mark.parametrize("serve", KINDS)
async def test_a_late_answer_is_never_taken_for_another_units(serve: Serve) -> None:
    first, second = Owner(), Owner()
    banks = {1: Bank(holdings={0: 111}), 2: Bank(holdings={0: 222})}
    async with serve(banks) as server:
        bus = a_bus(server, timeout_s=0.05, probe_first_s=0.05, probe_max_s=0.05, suspect_share=0.9, dead_share=0.9)
        attach(bus, first, 1, [poll(count=1, every_ms=20)])
        attach(bus, second, 2, [poll(count=1, every_ms=20)])
        server.faults[1].delay_s = 0.06
        async with running(bus):
            await second.until(lambda: len(second.blocks) >= 20)
    assert {values for _, values in second.blocks} == {(222,)}
    assert {values for _, values in first.blocks} <= {(111,)}


@pytest.mark.parametrize("serve", KINDS)
async def test_a_write_is_sent_once_and_if_its_answer_does_not_come_nobody_knows_what_the_device_did(
    serve: Serve,
) -> None:
    count = []
    bank = a_bank(on_write=lambda *write: count.append(write))
    async with serve({1: bank}) as server:
        bus = a_bus(server, timeout_s=0.05)
        unit = attach(bus, Owner())
        server.faults[1].mute = True
        async with running(bus):
            with pytest.raises(DeviceSilent, match="its effect is unknown"):
                await unit.write([ON, ON], timeout_s=1)
            server.faults[1].mute = False
            server.faults[1].garble = True
            with pytest.raises(DeviceSilent, match="its effect is unknown"):
                await unit.write([ON], timeout_s=1)
            await asyncio.sleep(0.1)
    assert len(count) == 2


@pytest.mark.parametrize("serve", KINDS)
async def test_a_command_waits_only_for_the_request_in_flight_and_older_commands(serve: Serve) -> None:
    order: list[int] = []
    bank = a_bank(on_write=lambda _function, address, _values: order.append(address))
    async with serve({1: bank, 2: a_bank()}, record=True) as server:
        bus = a_bus(server, timeout_s=0.5)
        unit = attach(bus, Owner())
        for number in range(10):
            attach(bus, Owner(), 2, [poll(f"p{number}", every_ms=10)])
        server.faults[2].delay_s = 0.03  # the bus is busy without end
        async with running(bus):
            await asyncio.sleep(0.1)
            begun = len(server.seen)
            await asyncio.gather(*(unit.write([Write(5, n, (0xFF00,))], timeout_s=2) for n in range(4)))
    assert order == [0, 1, 2, 3]
    units = [adu.unit for seen in server.seen[begun:] for adu in seen.frames]
    assert units[:4].count(1) >= 3
    assert units[:5].count(1) == 4


async def test_a_command_whose_time_is_over_before_it_can_be_sent_is_not_sent() -> None:
    async with serve_tcp({1: a_bank(), 2: a_bank()}, record=True) as server:
        bus = a_bus(server, timeout_s=0.2)
        slow, unit = attach(bus, Owner(), 2), attach(bus, Owner())
        server.faults[2].dead = True
        async with running(bus):
            first = asyncio.create_task(slow.write([ON], timeout_s=1))
            await asyncio.sleep(0)
            with pytest.raises(DeviceSilent, match="request 1 of 1 was not sent"):
                await unit.write([ON], timeout_s=0.1)
            with pytest.raises(DeviceSilent):
                await first
    assert [adu.unit for seen in server.seen for adu in seen.frames] == [2]


async def test_a_caller_that_goes_away_while_waiting_leaves_nothing_behind() -> None:
    async with serve_tcp({1: a_bank(), 2: a_bank()}, record=True) as server:
        bus = a_bus(server, timeout_s=0.1)
        slow, unit = attach(bus, Owner(), 2), attach(bus, Owner())
        server.faults[2].dead = True
        async with running(bus):
            first = asyncio.create_task(slow.write([ON], timeout_s=1))
            await asyncio.sleep(0)
            gone = asyncio.create_task(unit.write([Write(6, 0, (9,))], timeout_s=1))
            await asyncio.sleep(0.01)
            gone.cancel()
            with pytest.raises(DeviceSilent):
                await first
            await unit.write([Write(6, 0, (8,))], timeout_s=1)
    assert server.units[1].holdings[0] == 8
    assert [adu.unit for seen in server.seen for adu in seen.frames] == [2, 1]


async def test_nothing_connects_again_and_every_waiting_command_hears_of_the_loss() -> None:
    owner = Owner()
    async with serve_tcp({1: a_bank()}) as server:
        bus = a_bus(server, timeout_s=2.0)
        unit = attach(bus, owner, polls=[poll()])
        async with running(bus) as task:
            await owner.until(lambda: bool(owner.blocks))
            server.faults[1].dead = True
            commands = [asyncio.create_task(unit.write([ON], timeout_s=2)) for _ in range(3)]
            await asyncio.sleep(0.1)
            server.drop_connections()
            done = await asyncio.gather(*commands, return_exceptions=True)
            assert all(isinstance(error, LinkLost) for error in done)
            assert [str(error).split(": ")[-1] for error in done] == [
                "its effect is unknown",
                "the command was not sent",
                "the command was not sent",
            ]
            with pytest.raises(LinkLost):
                await task
        with pytest.raises(LinkLost, match="nothing was sent"):
            await unit.write([ON], timeout_s=1)
        assert owner.health[-1] == UnitHealth(1, Life.UNKNOWN, error="no link")
        server.faults[1].dead = False
        async with running(bus):
            await owner.until(lambda: unit.health.life is Life.ALIVE)


async def test_a_broadcast_reaches_every_unit_and_waits_for_no_answer() -> None:
    banks = {1: a_bank(), 2: a_bank()}
    async with serve_pty(banks) as server:
        bus = a_bus(server, turnaround_s=0.03)
        everybody, one = attach(bus, Owner(), 0), attach(bus, Owner(), 1)
        async with running(bus):
            await everybody.write([Write(6, 0, (55,))], timeout_s=1)
            begun = time.monotonic()
            assert await one.read_now(poll(count=1)) == (55,)
            assert time.monotonic() - begun > 0.02
        with pytest.raises(ConfigInvalid, match="unit 0 is everybody"):
            attach(bus, Owner(), 0, [poll()])
    assert banks[2].holdings[0] == 55
    assert bus.counters.timeouts == 0


async def test_a_gateway_that_says_its_unit_is_silent_is_believed() -> None:
    owner = Owner()
    async with serve_tcp({1: a_bank()}) as server:
        bus = a_bus(server, probe_first_s=0.05)
        unit = attach(bus, owner, polls=[poll(every_ms=20)])
        server.faults[1].exception = 11
        async with running(bus):
            await owner.until(lambda: unit.health.life is Life.SILENT)
            assert owner.health[-1].error == "exception 11, gateway target did not answer"


async def test_a_connection_on_which_all_are_silent_is_given_up_from_time_to_time() -> None:
    async with serve_tcp({1: a_bank()}) as server:
        bus = a_bus(server, timeout_s=0.02, probe_first_s=0.01, probe_max_s=0.02)
        attach(bus, Owner(), polls=[poll(every_ms=20)])
        server.faults[1].dead = True
        async with asyncio.timeout(5):
            with pytest.raises(LinkLost, match="every unit is silent"):
                await bus.run()
    assert bus.counters.requests == 6


async def test_a_line_that_never_falls_silent_stops_no_command_for_ever() -> None:
    async with serve_pty({1: a_bank()}) as server:
        bus = a_bus(server, timeout_s=0.1, gap_s=0.05)
        unit = attach(bus, Owner())
        (line,) = server.lines

        async def babble() -> None:
            while True:
                line._write(b"\x55\xaa")
                await asyncio.sleep(0.0005)

        noise = asyncio.create_task(babble())
        async with running(bus):
            await asyncio.sleep(0.01)
            begun = time.monotonic()
            try:
                async with asyncio.timeout(2):
                    await unit.write([ON], timeout_s=1)
            except DeviceSilent as error:
                assert "effect is unknown" in str(error)
            finally:
                noise.cancel()
        assert unit.counters.requests == 1
        assert 0.06 < time.monotonic() - begun < 1.5


async def test_devices_come_and_go_while_the_bus_runs() -> None:
    first, second = Owner(), Owner()
    async with serve_tcp({1: a_bank(), 2: a_bank()}) as server:
        bus = a_bus(server)
        async with running(bus):
            unit = attach(bus, first, polls=[poll(every_ms=20)])
            await first.until(lambda: bool(first.blocks))
            bus.detach(unit)
            attach(bus, second, 2, [poll(every_ms=20)])
            count = len(first.blocks)
            await second.until(lambda: len(second.blocks) >= 5)
            assert len(first.blocks) == count


async def test_an_owner_that_cannot_use_what_was_read_degrades_its_poll_only() -> None:
    owner = Owner()

    def refuse(_poll: Poll, _values: Sequence[int]) -> None:
        raise FrameInvalid("mode 9 is none of those known")

    async with serve_tcp({1: a_bank()}) as server:
        bus = a_bus(server)
        unit = bus.attach(1, [poll()], on_block=refuse, on_health=owner.on_health)
        async with running(bus) as task:
            await owner.until(lambda: bool(owner.health))
            assert unit.health == UnitHealth(1, Life.ALIVE, ("h",), "mode 9 is none of those known")
            assert not task.done()


async def test_what_cannot_be_read_is_refused_before_anything_is_asked() -> None:
    bus = open_bus(parse_modbus_url("modbus+tcp://127.0.0.1").bus)
    with pytest.raises(ConfigInvalid, match="polls without an interval: h"):
        attach(bus, Owner(), polls=[poll(every_ms=0)])
    with pytest.raises(ConfigInvalid, match="poll 'h': count 126"):
        attach(bus, Owner(), polls=[poll(count=126)])


async def every(count: int, do: Callable[[int], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(do(number))


async def test_a_hundred_buses_share_one_loop() -> None:
    async with serve_tcp({1: a_bank()}) as server:

        async def one(_: int) -> None:
            owner, bus = Owner(), a_bus(server, timeout_s=2.0)
            attach(bus, owner, polls=[poll(every_ms=100)])
            async with running(bus):
                await owner.until(lambda: len(owner.blocks) >= 3)

        await every(100, one)
