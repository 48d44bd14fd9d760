"""Commands to terminals over real sockets: each ends by the terminal's answer, by patience, or with the connection."""

import asyncio

import pytest

from core.errors import DeviceRefused, DeviceSilent, LinkLost, NotFound, Unsupported
from drivers.jt808.commands import (
    AskDescription,
    AskPosition,
    ControlTerminal,
    QueryParameters,
    SendPassthrough,
    SetParameters,
    ShowText,
    UpgradeTerminal,
)
from edge.terminals import Bounds
from simulators.jt808 import Misbehaviour, Terminal
from simulators.jt808_orders import Software

from .conftest import until
from .test_terminals import serving

VERSIONS = (2011, 2013, 2019)
NUMBER = "13800000001"


async def entered(terminals, version=2013, **more):
    terminal = Terminal(NUMBER, version, seed=1, **more)
    assert await terminal.connect("127.0.0.1", terminals.port)
    await until(lambda: terminals.online)
    return terminal


def upgrade(size):
    data = bytes(number * 7 % 256 for number in range(size))
    return UpgradeTerminal(maker="GFSIM", version="2.1", data=data)


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_command_is_done_when_the_terminal_says_so(shelf, clock, version):
    async with serving(shelf, clock) as terminals:
        terminal = await entered(terminals, version)
        for command in (
            ShowText(text="绕行"),
            ControlTerminal(word=4),
            SetParameters(values={"0001": 60}),
            QueryParameters(),
            QueryParameters(ids=("0001",)),
            AskPosition(),
            AskDescription(),
            SendPassthrough(kind=1, data=b"x"),
        ):
            assert await terminals.command(NUMBER, command) == ""
        assert (terminal.texts, terminal.controls) == (["绕行"], [4])
        assert terminal.parameters[1] == (60).to_bytes(4, "big")


@pytest.mark.parametrize("result", [1, 2, 3])
async def test_a_no_is_told_with_its_result(shelf, clock, result):
    async with serving(shelf, clock) as terminals:
        terminal = await entered(terminals, misbehaviour=Misbehaviour(refuses=result))
        for command in (ShowText(text="x"), QueryParameters(), upgrade(5_000)):
            assert f"answered {result}" in await terminals.command(NUMBER, command)
        assert (terminal.texts, terminal.software.installed) == ([], [])


@pytest.mark.parametrize("confirms", ["each", "first", "last"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_software_comes_whole_however_its_parts_are_confirmed(shelf, clock, confirms, version):
    async with serving(shelf, clock) as terminals:
        terminal = await entered(terminals, version, software=Software(confirms))
        command = upgrade(300_000)
        assert await terminals.command(NUMBER, command) == ""
        assert terminal.software.installed == [command.data]
        assert await terminal.position_confirmed() == 0


async def test_where_only_the_first_part_is_confirmed_and_nothing_more_comes_it_is_taken_for_the_whole(shelf, clock):
    async with serving(shelf, clock, Bounds(answer_s=0.1)) as terminals:
        await entered(terminals, software=Software("first", result=None))
        assert await terminals.command(NUMBER, upgrade(5_000)) == ""


async def test_an_upgrade_that_failed_in_the_terminal_has_failed(shelf, clock):
    async with serving(shelf, clock) as terminals:
        await entered(terminals, software=Software("first", result=1))
        assert "the upgrade failed" in await terminals.command(NUMBER, upgrade(5_000))


@pytest.mark.slow
async def test_a_long_command_waits_for_a_slow_peer_and_others_are_served(shelf, clock):
    async with serving(shelf, clock) as terminals:
        slow = await entered(terminals, misbehaviour=Misbehaviour(reads_slowly=True))
        other = Terminal("13800000002", 2019, seed=2)
        assert await other.connect("127.0.0.1", terminals.port)
        command = upgrade(8_000_000)
        doing = asyncio.create_task(terminals.command(NUMBER, command))
        await until(lambda: terminals.peer(NUMBER)._full)
        assert terminals.peer(NUMBER)._transport.get_write_buffer_size() < 100_000
        assert await terminals.command("13800000002", ShowText(text="x")) == ""
        assert not doing.done()
        slow.read_on()
        async with asyncio.timeout(20):
            assert await doing == ""
        assert slow.software.installed == [command.data]
        assert terminals.counts.refused == 0


async def test_a_terminal_that_says_nothing_is_waited_for_so_long_and_keeps_its_connection(shelf, clock):
    async with serving(shelf, clock, Bounds(answer_s=0.05)) as terminals:
        terminal = await entered(terminals, misbehaviour=Misbehaviour(mute=True))
        for _ in range(20):  # what is not answered is not kept
            with pytest.raises(DeviceSilent):
                await terminals.command(NUMBER, ShowText(text="x"))
        assert await terminal.position_confirmed() == 0


async def test_with_the_connection_every_command_ends_and_it_is_not_known_what_was_done(shelf, clock):
    async with serving(shelf, clock) as terminals:
        terminal = await entered(terminals, misbehaviour=Misbehaviour(mute=True, reads_slowly=True))
        doing = [
            asyncio.create_task(terminals.command(NUMBER, command))
            for command in (ShowText(text="x"), upgrade(8_000_000))
        ]
        await until(lambda: terminals.peer(NUMBER)._full)
        terminal.cut()
        for one in doing:
            with pytest.raises(LinkLost, match="not known"):
                await one
        with pytest.raises(NotFound):
            await terminals.command(NUMBER, ShowText(text="x"))


async def test_only_so_many_commands_wait_for_one_terminal(shelf, clock):
    async with serving(shelf, clock, Bounds(answer_s=0.2)) as terminals:
        await entered(terminals, misbehaviour=Misbehaviour(mute=True))
        doing = [asyncio.create_task(terminals.command(NUMBER, ShowText(text="x"))) for _ in range(9)]
        done = await asyncio.gather(*doing, return_exceptions=True)
        assert [type(one) for one in done] == [DeviceSilent] * 8 + [DeviceRefused]


async def test_a_terminal_is_found_without_its_zeros_but_never_by_a_guess(shelf, clock):
    async with serving(shelf, clock) as terminals:
        await entered(terminals, 2019)
        assert await terminals.command("0" * 9 + NUMBER, ShowText(text="x")) == ""
        assert await terminals.command(NUMBER, ShowText(text="x")) == ""
        same = Terminal(NUMBER, 2013, seed=1)  # the same number under the other header
        assert await same.connect("127.0.0.1", terminals.port)
        await until(lambda: len(terminals.online) == 2)
        with pytest.raises(NotFound):
            await terminals.command(NUMBER, ShowText(text="x"))
        assert await terminals.command("0" + NUMBER, ShowText(text="x")) == ""
        assert len(same.texts) == 1


async def test_what_cannot_be_sent_is_refused_before_it_is(shelf, clock):
    async with serving(shelf, clock) as terminals:
        terminal = await entered(terminals)
        with pytest.raises(Unsupported):
            await terminals.command(NUMBER, ShowText(text="\U0001f6a7"))
        assert await terminals.command(NUMBER, ShowText(text="x")) == ""
        assert terminal.texts == ["x"]
