"""Single devices of a vehicle lane: a barrier at which vehicles come by, and a display."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from simulators.barrier import Barrier, barrier_bank
from simulators.display import display_of, serve_pty_display, serve_tcp_display
from simulators.hik_barrier import LOGIN, serve_gate_camera
from simulators.single import Running, Tell, Wish, again_and_again
from simulators.single_served import serve_unit

_PATIENCE_S: Final = 5.0
BARRIER_BAD: Final = ("motor", "stuck", "blind")
GATE_CAMERA_BAD: Final = ("slow", "garbled", "refusing", "lying", "unplugged")
DISPLAY_BAD: Final = ("silent", "slow", "garbled", "refusing", "lying")


@contextlib.asynccontextmanager
async def barrier(wish: Wish) -> AsyncIterator[Running]:
    """Serve a barrier at which a vehicle stops now and then; it drives through when the arm goes up, else backs out."""
    made = _barrier(wish)
    async with serve_unit(barrier_bank(made, wish.profile), wish) as (_server, url):
        yield Running(url, live=lambda tell: _visits(made, wish.every_s, tell))


@contextlib.asynccontextmanager
async def hik_barrier(wish: Wish) -> AsyncIterator[Running]:
    """Serve a camera with a barrier at its own contacts; vehicles come as to any barrier."""
    made = _barrier(wish)
    async with serve_gate_camera(wish.profile, made, wish.place.host, wish.place.port) as (camera, url):
        habits = camera.habits
        habits.slow_s = 2.0 if "slow" in wish.bad else 0.0
        habits.garbled, habits.refusing = "garbled" in wish.bad, "refusing" in wish.bad
        habits.lying, habits.unplugged = "lying" in wish.bad, "unplugged" in wish.bad
        settings = {"username": LOGIN.username, "password": "env:SIM_CAMERA_PASSWORD"}
        environ = {"SIM_CAMERA_PASSWORD": LOGIN.password}
        yield Running(url, settings=settings, environ=environ, live=lambda tell: _visits(made, wish.every_s, tell))


def _barrier(wish: Wish) -> Barrier:
    made = Barrier(stuck="stuck" in wish.bad)
    if "motor" in wish.bad:
        made.faults.add("motor")
    if "blind" in wish.bad:
        made.blind |= {"under", "photocell"}
    return made


async def _visits(made: Barrier, every_s: float, tell: Tell) -> None:
    async def visit(number: int) -> None:
        await made.arrive()
        passes = await made.wait_arm("open", _PATIENCE_S)
        await (made.drive() if passes else made.back_out())
        tell(f"vehicle {number}: {'through' if passes else 'backed out'}")

    await again_and_again(every_s, visit)


@contextlib.asynccontextmanager
async def display(wish: Wish) -> AsyncIterator[Running]:
    """Serve a display and tell what it shows."""
    made = display_of(wish.profile, wish.seed)
    faults = made.faults
    faults.silent, faults.garbled = "silent" in wish.bad, "garbled" in wish.bad
    faults.refusing, faults.lying = "refusing" in wish.bad, "lying" in wish.bad
    faults.slow_s = 0.4 if "slow" in wish.bad else 0.0

    async def live(tell: Tell) -> None:
        made.on_shown = lambda rows: tell(" | ".join(rows))
        await made.until(lambda _: False, 1e9)

    place = wish.place
    async with serve_pty_display(made) if place.is_pty else serve_tcp_display(made, place.host, place.port):
        yield Running(made.url, live=live)
