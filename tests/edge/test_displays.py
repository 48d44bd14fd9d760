"""The promises of `edge.roads.displays` by their words, on the simulated card, on sockets and on a pty."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from core.errors import DeviceRefused, DeviceSilent, LinkLost, Unsupported
from core.messages.events import Health
from drivers.barrier.commands import RaiseArm
from drivers.display import DRIVER, DisplaySettings, ShowLines
from drivers.display.card import SHOW
from edge.board import Board
from edge.links.stream import stream_link
from edge.profiles import load_profile
from edge.roads.displays import DisplaySession
from edge.sections import DeviceSpec
from edge.supervisor import Supervisor
from simulators.display import Display, display_of, serve_pty_display, serve_tcp_display

from .conftest import START, until

PROFILE = load_profile("olm/led-64x64")
GO = ShowLines(lines=("请通行", "Please go"))


@dataclass
class Desk:
    """A display and the session that owns it."""

    card: Display
    session: DisplaySession
    board: Board

    @property
    def codes(self):
        return [one.code for one in self.board.devices["D"].findings]


@contextlib.asynccontextmanager
async def at_work(serve=serve_tcp_display, **faults):
    """A display with its session kept by a supervisor; answers are awaited for 0.2 s."""
    card = display_of(PROFILE)
    for name, value in faults.items():
        setattr(card.faults, name, value)

    async def deliver(_fact):
        pass

    async with serve(card), asyncio.TaskGroup() as group:
        spec = DeviceSpec("D", DRIVER, PROFILE, DisplaySettings(), card.url, None)
        board = Board({"D": spec}, now=lambda: START, tell=lambda _: None)
        session = DisplaySession(spec, stream_link(card.url), board, deliver, answer_s=0.2, every_s=0.05)
        supervisor = Supervisor(group, first_s=0.01, longest_s=0.1)
        supervisor.keep("display", session.run, session.lost)
        try:
            yield Desk(card, session, board)
        finally:
            await supervisor.stop()


async def healthy(desk):
    await until(lambda: desk.board.devices["D"].health is Health.OK)


@pytest.mark.parametrize("serve", [serve_tcp_display, serve_pty_display])
async def test_a_command_returns_once_every_line_is_confirmed(serve):
    async with at_work(serve) as desk:
        await healthy(desk)
        await desk.session.command(GO)
        assert desk.card.shown == ("请通行", "Please go")
        await desk.session.command(ShowLines(lines=("车道关闭",)))
        assert desk.card.shown == ("车道关闭",)


async def test_it_raises_in_time_where_the_display_answers_nothing_and_the_display_is_silent():
    async with at_work() as desk:
        await healthy(desk)
        desk.card.faults.silent = True
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeviceSilent):
            await desk.session.command(GO)
        assert asyncio.get_running_loop().time() - began < 1.0
        assert desk.codes == ["silent"]
        desk.card.faults.silent = False
        await healthy(desk)


async def test_a_display_that_answers_nothing_is_silent_whatever_its_link_does():
    async with at_work(silent=True) as desk:
        await until(lambda: desk.codes == ["silent"])
        assert desk.board.devices["D"].health is Health.OFFLINE


async def test_what_was_to_be_shown_last_is_shown_again_after_the_link_was_lost():
    async with at_work() as desk:
        await healthy(desk)
        await desk.session.command(GO)
        desk.card.lose_power()
        assert desk.card.shown == ()
        assert await desk.card.until(lambda rows: rows == ("请通行", "Please go"), 3)


async def test_what_could_not_be_told_while_it_was_away_is_shown_when_it_comes():
    async with at_work(silent=True) as desk:
        await until(lambda: desk.codes == ["silent"])
        with pytest.raises((DeviceSilent, LinkLost)):
            await desk.session.command(GO)
        desk.card.rows.clear()
        desk.card.faults.silent = False
        assert await desk.card.until(lambda rows: rows == ("请通行", "Please go"), 3)


async def test_lines_that_the_card_refuses_are_told_and_its_link_stays():
    async with at_work() as desk:
        await healthy(desk)
        await desk.session.command(GO)
        desk.session._every_s = 60
        desk.card.faults.refusing = True
        with pytest.raises(DeviceRefused):
            await desk.session.command(ShowLines(lines=("x",)))
        assert desk.codes == ["refuses"]
        desk.card.faults.refusing = False
        await desk.session.command(GO)
        assert desk.codes == ["ok"]


async def test_a_refused_login_is_told_as_such():
    async with at_work(refusing=True) as desk:
        await until(lambda: desk.codes == ["login_refused"])


async def test_one_exchange_at_a_time():
    async with at_work(slow_s=0.01) as desk:
        await healthy(desk)
        await asyncio.gather(*(desk.session.command(ShowLines(lines=(f"line {n}",) * 4)) for n in range(5)))
        assert len(set(desk.card.shown)) == 1
        assert desk.card.heard.count(SHOW) == 5 * 4  # none was given up for another


async def test_garbled_answers_are_counted_and_break_nothing():
    async with at_work(garbled=True) as desk:
        with contextlib.suppress(DeviceSilent, LinkLost, DeviceRefused):
            await desk.session.command(GO)
        await until(lambda: desk.board.devices["D"].counters["rejected"] > 0)
        desk.card.faults.garbled = False
        assert await desk.card.until(lambda rows: rows == ("请通行", "Please go"), 3)


async def test_it_moves_no_barrier():
    async with at_work() as desk:
        with pytest.raises(Unsupported):
            await desk.session.command(RaiseArm())
