"""A barrier at a camera's own contacts, by ISAPI over HTTP: looked at some times a second, told by PUT.

Its promises:
1. `run` ends by an error and retries nothing: the supervisor does. Nothing is told while no look succeeds.
2. A login goes to the host of the link and to no other: redirects are not followed.
3. An answer is at most so long and comes in its time, or the question fails.
4. An order that has not been answered in time may have been done; who gave it is told that it failed.
5. A pulse that was begun is ended, in several tries, also when the daemon stops; where that fails it is said.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from core.errors import ConfigInvalid, DeviceRefused, DeviceSilent, FrameInvalid, GatefleetError, LinkLost
from core.messages.commands import DeviceCommand
from drivers.digest import Login
from drivers.facts import Fact
from drivers.hik_barrier.answers import check_taken, described
from drivers.hik_barrier.layout import DEVICE_INFO, CameraBarrier, Put

Deliver = Callable[[Fact], Awaitable[None]]
_CAP: Final = 64 << 10
_TRIES: Final = 3
_AGAIN_S: Final = 0.3
_CONNECTIONS: Final = 2
"""One for looks, one for orders: an order waits for no look."""
_REFUSED: Final = frozenset({401, 403})
_NOT_HERE: Final = frozenset({404, 405, 501})


class IsapiBarrier:
    """The barrier of the camera at `isapi://host[:port]`."""

    def __init__(self, url: str, words: CameraBarrier, login: Login | None, *, timeout_s: float) -> None:
        self.url = url
        self._base = _base(url)
        self._words = words
        self._login = login
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._http: aiohttp.ClientSession | None = None
        self._seen = False
        """Whether the last look succeeded; no move is begun blindly."""
        self._ordering = asyncio.Lock()
        self._moving: set[asyncio.Future[None]] = set()

    async def run(self, deliver: Deliver) -> None:
        """Look again and again; raise LinkLost, DeviceSilent, DeviceRefused or FrameInvalid."""
        loop = asyncio.get_running_loop()
        connector = aiohttp.TCPConnector(limit_per_host=_CONNECTIONS)
        digest = (aiohttp.DigestAuthMiddleware(self._login.username, self._login.password),) if self._login else ()
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(connector=connector, middlewares=digest, cookie_jar=jar) as http:
            await self._describe(http, deliver)
            try:
                while True:
                    began_s = loop.time()
                    answers = [await self._asked(http, "GET", path) for path in self._words.looks]
                    for fact in self._words.observe(answers):
                        await deliver(fact)
                    self._http, self._seen = http, True
                    await asyncio.sleep(began_s + self._words.interval_s - loop.time())
            finally:
                self._seen = False
                async with self._ordering:  # a move that is begun has its end
                    self._http = None

    async def command(self, command: DeviceCommand) -> None:
        """Have the camera do a command; raise Unsupported, LinkLost, or as `run`."""
        moving = asyncio.ensure_future(self._move(self._words.puts(command)))
        self._moving.add(moving)
        moving.add_done_callback(self._moving.discard)
        await asyncio.shield(moving)

    async def _move(self, puts: Sequence[Put]) -> None:
        async with self._ordering:
            if not self._seen:
                raise LinkLost("not connected", place=self.url)
            doubt: GatefleetError | None = None
            try:
                await self._put(puts[0])
            except DeviceRefused:
                raise
            except GatefleetError as error:
                doubt = error  # it may have been done
            for put in puts[1:]:
                await asyncio.sleep(put.after_ms / 1000)
                await self._follow(put)
            if doubt is not None:
                raise doubt

    async def _follow(self, put: Put) -> None:
        """Do what follows in a move that is begun, such as the end of a pulse: not at the first try only."""
        for attempt in range(1, _TRIES + 1):
            try:
                await self._put(put)
            except GatefleetError as error:
                if attempt < _TRIES:
                    await asyncio.sleep(_AGAIN_S)
                else:
                    raise DeviceRefused(
                        f"the move is half done: {error.detail}", place=self.url, cure="look at the camera's outputs"
                    ) from error
            else:
                return

    async def _put(self, put: Put) -> None:
        if self._http is None:
            raise LinkLost("not connected", place=self.url)
        try:
            check_taken(await self._asked(self._http, "PUT", put.path, put.body))
        except DeviceRefused as error:
            error.place = error.place or self.url
            raise

    async def _describe(self, http: aiohttp.ClientSession, deliver: Deliver) -> None:
        """Tell what the camera says of itself; one that does not say goes without."""
        try:
            await deliver(described(await self._asked(http, "GET", DEVICE_INFO)))
        except FrameInvalid:
            return

    async def _asked(self, http: aiohttp.ClientSession, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/xml"} if body is not None else {}
        asking = http.request(
            method, self._base + path, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
        )
        try:
            async with asking as response:
                answer = await response.content.read(_CAP + 1)
                while not response.content.at_eof() and len(answer) <= _CAP:
                    answer += await response.content.read(_CAP + 1 - len(answer))
                status = response.status
        except TimeoutError as error:
            raise DeviceSilent(f"no answer to {path}", place=self.url) from error
        except (aiohttp.ClientError, OSError) as error:
            raise LinkLost(str(error)[:200] or type(error).__name__, place=self.url) from error
        if status == 200 and len(answer) <= _CAP:
            return answer
        raise self._wrong(status, path, answer)

    def _wrong(self, status: int, path: str, answer: bytes) -> GatefleetError:
        if status in _REFUSED:
            cure = "check the user, the password and the user's right to remote control"
            return DeviceRefused(f"HTTP {status} for {path}", place=self.url, cure=cure)
        if status in _NOT_HERE:
            cure = "choose a profile that fits the camera: some have no gate, some no alarm inputs"
            return FrameInvalid(f"HTTP {status}: the camera has no {path}", place=self.url, cure=cure)
        if status == 200:
            return FrameInvalid(f"an answer of more than {_CAP} bytes to {path}", place=self.url)
        try:
            check_taken(answer)
        except DeviceRefused as error:
            return DeviceRefused(f"HTTP {status} for {path}: {error.detail}", place=self.url)
        except FrameInvalid:
            pass
        return LinkLost(f"HTTP {status} for {path}", place=self.url)


def _base(url: str) -> str:
    """Return where to ask; raise ConfigInvalid."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigInvalid(str(error), place=url) from error
    if not parts.hostname or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigInvalid("not a camera's address", place=url, cure="isapi://host or isapi://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{host}:{port or 80}"
