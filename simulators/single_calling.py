"""Single devices that call: each opener makes one that pushes, or terminals, and they call again after a loss."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from drivers.digest import Login
from simulators.dahua_anpr import TollgateCamera
from simulators.desk import Desk
from simulators.dock import Dock
from simulators.face_terminal import FaceTerminal
from simulators.gat1400 import Dialect, Vice
from simulators.gat1400 import camera as gat1400_camera
from simulators.hik_anpr import PlateCamera
from simulators.hik_counting import PeopleCounter
from simulators.jt808 import Misbehaviour as TerminalMisbehaviour
from simulators.jt808 import Terminal
from simulators.pushing import Misbehaviour, Pusher, pushing
from simulators.single import Running, Tell, Wish, again_and_again

PUSH_BAD: Final = tuple(str(one).replace("_", "-") for one in Misbehaviour)
GAT1400_BAD: Final = (*map(str, Vice), *(str(one) for one in Dialect if one is not Dialect.STANDARD))
_CAMERA_ID: Final = "44049900001190000001"
_FIRST_NUMBER: Final = 13_800_000_000
_VERSIONS: Final = (2013, 2019, 2011)
_AGAIN_S: Final = 2.0
_KEY: Final = "a made-up key of a simulated port"

Do = Callable[[int], Awaitable[int]]
"""Lets something happen, by its number; returns the HTTP status of the answer, 0 where there was none."""


@contextlib.asynccontextmanager
async def _pusher(wish: Wish, makes: Callable[[Pusher], Do]) -> AsyncIterator[Running]:
    bad = frozenset(Misbehaviour(word.replace("-", "_")) for word in wish.bad)
    async with pushing(wish.to, login=wish.login, misbehaviours=bad, seed=wish.seed) as pusher:
        yield _running(wish, makes(pusher))


def _running(wish: Wish, do: Do) -> Running:
    return Running(
        wish.to,
        link=f"http-server://{_listening_at(wish.to)}",
        access=_access(wish.login),
        environ={"SIM_PASSWORD": wish.login.password} if wish.login else {},
        live=lambda tell: _pushes(do, wish.every_s, tell),
    )


async def _pushes(do: Do, every_s: float, tell: Tell) -> None:
    before = -1

    async def push(number: int) -> None:
        nonlocal before
        status = await do(number)
        if status != before:
            tell(f"answered {status}" if status else "no answer")
        before = status

    await again_and_again(every_s, push)


def _listening_at(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}{parts.path or '/'}"


def _access(login: Login | None) -> dict[str, Any]:
    if login is None:
        return {"auth": "none", "peers": ["127.0.0.1/32"]}
    return {"users": {login.username: "env:SIM_PASSWORD"}}


def _plate(draw: random.Random) -> str:
    return f"粤{draw.choice('ABCZ')}{draw.randrange(100_000):05d}"


@contextlib.asynccontextmanager
async def hik_anpr(wish: Wish) -> AsyncIterator[Running]:
    """Be a plate camera that posts ISAPI alerts."""

    def makes(pusher: Pusher) -> Do:
        camera = PlateCamera(pusher)
        return lambda number: camera.vehicle(_plate(pusher.random)) if number % 4 else camera.heartbeat()

    async with _pusher(wish, makes) as running:
        yield running


@contextlib.asynccontextmanager
async def dahua_anpr(wish: Wish) -> AsyncIterator[Running]:
    """Be a plate camera that pushes ITSAPI JSON."""

    def makes(pusher: Pusher) -> Do:
        camera = TollgateCamera(pusher)
        return lambda number: camera.vehicle(_plate(pusher.random)) if number else camera.describe()

    async with _pusher(wish, makes) as running:
        yield running


@contextlib.asynccontextmanager
async def hik_counting(wish: Wish) -> AsyncIterator[Running]:
    """Be a people counter that tells its totals."""

    def makes(pusher: Pusher) -> Do:
        counter = PeopleCounter(pusher)

        async def count(_number: int) -> int:
            counter.cross(entered=pusher.random.randrange(4), left=pusher.random.randrange(2))
            return await counter.tell_totals()

        return count

    async with _pusher(wish, makes) as running:
        yield running


@contextlib.asynccontextmanager
async def dock(wish: Wish) -> AsyncIterator[Running]:
    """Be a dock into which a recorder is put, charged, read out and taken again."""

    def makes(pusher: Pusher) -> Do:
        made = Dock(pusher)
        steps = (lambda: made.insert(1, "EQ-SIM-1"), lambda: made.upload(1, 3), lambda: made.fill(1))

        async def step(number: int) -> int:
            if number % 4 == 3:
                made.remove(1)
            else:
                steps[number % 4]()
            return await made.push()

        return step

    async with _pusher(wish, makes) as running:
        yield running


@contextlib.asynccontextmanager
async def desk(wish: Wish) -> AsyncIterator[Running]:
    """Be a verification desk that sends heartbeats."""

    def makes(pusher: Pusher) -> Do:
        made = Desk(pusher)
        return lambda _number: made.beat()

    async with _pusher(wish, makes) as running:
        yield running


@contextlib.asynccontextmanager
async def face_terminal(wish: Wish) -> AsyncIterator[Running]:
    """Be a face-match terminal."""

    def makes(pusher: Pusher) -> Do:
        made = FaceTerminal(pusher)
        return lambda number: made.compare(round(pusher.random.uniform(0.3, 0.99), 3)) if number else made.beat()

    async with _pusher(wish, makes) as running:
        yield running


@contextlib.asynccontextmanager
async def gat1400(wish: Wish) -> AsyncIterator[Running]:
    """Be a camera that registers at a view library and sends what it sees."""
    dialect = next((one for one in Dialect if one in wish.bad), Dialect.STANDARD)
    vices = frozenset(one for one in Vice if one in wish.bad)
    draw = random.Random(wish.seed)
    login = wish.login or Login(_CAMERA_ID, "")
    url = wish.to.rstrip("/").removesuffix("/VIID")
    async with gat1400_camera(url, _CAMERA_ID, login, dialect=dialect, vices=vices) as made:

        async def see(number: int) -> int:
            try:
                if number == 0 or made.answers[-1:] == [(401, ())]:
                    return 200 if await made.register() else 401
                return (await made.see_vehicle(_plate(draw)))[0]
            except (aiohttp.ClientError, TimeoutError):
                return 0

        yield _running(wish, see)


@contextlib.asynccontextmanager
async def jt808(wish: Wish) -> AsyncIterator[Running]:
    """Be vehicle terminals that drive about, and call again whenever they lose their edge."""
    target = urlsplit(wish.to)
    host, port = target.hostname or "", target.port or 0
    bad = TerminalMisbehaviour(
        wrong_checksum="wrong-checksum" in wish.bad,
        unescaped="unescaped" in wish.bad,
        early="early" in wish.bad,
        wrong_code="wrong-code" in wish.bad,
        reads_slowly="reads-slowly" in wish.bad,
    )
    terminals = [
        Terminal(str(_FIRST_NUMBER + number), _VERSIONS[number % len(_VERSIONS)], wish.seed + number, bad)
        for number in range(wish.count)
    ]

    async def live(tell: Tell) -> None:
        admitted: set[str] = set()

        async def drive(terminal: Terminal) -> None:
            while True:
                with contextlib.suppress(OSError):
                    if await terminal.connect(host, port):
                        admitted.add(terminal.number)
                        tell(f"{terminal.number} is admitted, {len(admitted)} of {len(terminals)}")
                        await _report(terminal, wish.every_s)
                admitted.discard(terminal.number)
                terminal.cut()
                await asyncio.sleep(_AGAIN_S)

        try:
            async with asyncio.TaskGroup() as group:
                for terminal in terminals:
                    group.create_task(drive(terminal), name=f"terminal {terminal.number}")
        finally:
            for terminal in terminals:
                terminal.cut()

    yield Running(
        wish.to,
        link=f"tcp-server://{target.netloc}",
        settings={"terminals": [one.number for one in terminals], "auth_key": "env:SIM_KEY"},
        environ={"SIM_KEY": _KEY},
        live=live,
    )


async def _report(terminal: Terminal, every_s: float) -> None:
    """Tell where it is until the connection ends."""
    closed = asyncio.ensure_future(terminal.wait_closed())
    try:
        while not closed.done():
            terminal.send_position(every_s)
            await asyncio.wait((closed,), timeout=every_s)
    finally:
        closed.cancel()
