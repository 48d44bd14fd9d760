"""The simulated display: what it shows, how it misbehaves, and that its frames are the manual's."""

import asyncio

import pytest

from drivers.display import DRIVER, DisplaySettings, ShowLines
from drivers.display.frames import Frame
from edge.links.stream import stream_link
from edge.profiles import load_profile
from simulators.display import display_of, serve_pty_display, serve_tcp_display

PROFILE = load_profile("olm/led-64x64")
LINE = bytes.fromhex(
    "00 64 FF FF 62 1B 00 00 01 00 05 00 01 03 00 FF 00 00 00 00 00 00 00 08 00 BB B6 D3 AD B9 E2 C1 D9 58 96"
)
ACK = bytes.fromhex("00 64 FF FF 62 01 00 97 6A")


async def answered(display, data, wait_s=2.0):
    """Return what comes back from a served display within a moment, b"" for nothing."""
    async with stream_link(display.url).connect() as connection:
        await connection.write(data)
        try:
            async with asyncio.timeout(wait_s):
                return await connection.read()
        except TimeoutError:
            return b""


@pytest.mark.parametrize("serve", [serve_tcp_display, serve_pty_display])
async def test_it_shows_and_answers_as_the_manual_says(serve):
    display = display_of(PROFILE)
    async with serve(display):
        assert await answered(display, LINE) == ACK
        assert display.shown == ("欢迎光临",)


@pytest.mark.parametrize(
    ("fault", "answer", "shown"),
    [
        ("silent", b"", ("欢迎光临",)),
        ("refusing", Frame(0, 0x62, b"\x01").to_bytes(), ()),
        ("lying", ACK, ()),
    ],
)
async def test_it_misbehaves_as_told(fault, answer, shown):
    display = display_of(PROFILE)
    setattr(display.faults, fault, True)
    async with serve_tcp_display(display):
        assert await answered(display, LINE, 0.3) == answer
        assert display.shown == shown


async def test_a_garbled_answer_is_another_one():
    display = display_of(PROFILE)
    display.faults.garbled = True
    async with serve_tcp_display(display):
        assert await answered(display, LINE) != ACK


async def test_a_slow_one_answers_later():
    display = display_of(PROFILE)
    display.faults.slow_s = 0.3
    async with serve_tcp_display(display):
        assert await answered(display, LINE, 0.1) == b""
        assert await answered(display, LINE, 2.0) == ACK


async def test_it_hears_nothing_for_another_card_and_forgets_all_without_power():
    display = display_of(PROFILE)
    async with serve_tcp_display(display):
        other = DRIVER.make(PROFILE, DisplaySettings(address=7)).send(ShowLines(lines=("x",)))
        assert await answered(display, other, 0.2) == b""
        await answered(display, LINE)
        display.lose_power()
        assert display.shown == ()
