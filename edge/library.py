"""Devices whose library or client does the talking: cameras, SNMP agents, time servers. Each is a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from core.errors import LinkLost, Unsupported
from core.messages.commands import DeviceCommand
from drivers.facts import Fact
from edge.board import Board, Finding
from edge.config import read_secret
from edge.sections import DeviceSpec
from edge.session import Deliver

if TYPE_CHECKING:
    import aiohttp

    from edge.links.snmp_engine import SnmpEngine

_LOOKING: Final = 8
"""So many pictures are fetched at one time."""
_CHECKING: Final = 4
"""So many streams are tried at one time."""


class Runs(Protocol):
    """A client of one device."""

    async def run(self, deliver: Deliver, /) -> None:
        """Tell what the device tells until something ends it; raises errors of core.errors, and retries nothing."""


class Shared:
    """What the library devices of a daemon share, made at first use inside the loop."""

    def __init__(self) -> None:
        self.looking = asyncio.Semaphore(_LOOKING)
        self.checking = asyncio.Semaphore(_CHECKING)
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._snmp: SnmpEngine | None = None

    async def http(self) -> "aiohttp.ClientSession":
        """Return the one HTTP session of all cameras."""
        if self._http is None:
            from edge.links.onvif_soap import camera_http

            self._http = await self._stack.enter_async_context(camera_http())
        return self._http

    async def snmp(self) -> "SnmpEngine":
        """Return the one SNMP engine."""
        if self._snmp is None:
            from edge.links.snmp_engine import SnmpEngine

            self._snmp = await self._stack.enter_async_context(SnmpEngine())
        return self._snmp

    async def close(self) -> None:
        """Close what was made."""
        await self._stack.aclose()


Open = Callable[[DeviceSpec, Shared, Callable[[str], None]], Awaitable[Runs]]
"""Makes the client of a device; the last argument hears of answers that cannot be."""


class LibrarySession:
    """One device with a client of its own, which is made once: what it remembers outlives a lost link."""

    def __init__(self, spec: DeviceSpec, board: Board, deliver: Deliver, shared: Shared, open_: Open) -> None:
        self.spec = spec
        self._board = board
        self._deliver = deliver
        self._shared = shared
        self._open = open_
        self._client: Runs | None = None

    async def run(self) -> None:
        """Run the client until something ends it: raises its errors."""
        device = self.spec.id
        if self._client is None:
            self._client = await self._open(self.spec, self._shared, lambda why: self._board.rejected(device, why))
        await self._client.run(self._told)

    @property
    def client(self) -> Runs | None:
        """Return the client, None as long as it has not been made."""
        return self._client

    async def command(self, command: DeviceCommand) -> None:
        """Have the client do a command; raise Unsupported where it has none, or as the client does."""
        if type(command) not in self.spec.driver.commands:
            raise Unsupported(f"a {self.spec.driver.name} has no {type(command).__name__}", place=self.spec.id)
        if self._client is None:
            raise LinkLost("not connected", place=self.spec.link)
        await cast("Any", self._client).command(command)

    def lost(self, error: Exception) -> None:
        """Note why it ended."""
        self._board.silent(self.spec.id, Finding("link_down", {"link": self.spec.link, "error": str(error)}))

    async def _told(self, fact: Fact) -> None:
        self._board.fact(self.spec.id, fact)
        await self._deliver(fact)


async def open_camera(spec: DeviceSpec, shared: Shared, rejected: Callable[[str], None]) -> Runs:
    """Make the client of an ONVIF camera."""
    from drivers.digest import Login
    from drivers.onvif_camera import CameraSettings, CameraWords
    from edge.links.onvif import OnvifCamera

    settings = cast("CameraSettings", spec.settings)
    settings = settings.model_copy(update={"url": settings.url or spec.link})
    words = cast("CameraWords", spec.driver.make(spec.profile, settings))
    login = Login(settings.username, read_secret(settings.password)) if settings.password else None
    http = await shared.http()
    check = None
    if settings.stream_check_s:
        from edge.live.stream_check import check_stream

        check = check_stream
    return OnvifCamera(
        http,
        settings,
        words,
        login=login,
        rejected=rejected,
        looking=shared.looking,
        check=check,
        checking=shared.checking,
    )


async def open_snmp(spec: DeviceSpec, shared: Shared, rejected: Callable[[str], None]) -> Runs:
    """Make the client of an SNMP agent."""
    from drivers.snmp import SnmpObserver
    from edge.links.snmp import SnmpDevice

    words = cast("SnmpObserver", spec.driver.make(spec.profile, spec.settings))
    return SnmpDevice(await shared.snmp(), spec.link, words, read_secret, rejected=rejected)


async def open_ntp(spec: DeviceSpec, _shared: Shared, rejected: Callable[[str], None]) -> Runs:
    """Make the client of a time server."""
    from drivers.ntp import NtpWords
    from edge.links.ntp import NtpServer

    return NtpServer(spec.link, cast("NtpWords", spec.driver.make(spec.profile, spec.settings)), rejected=rejected)


async def open_isapi(spec: DeviceSpec, _shared: Shared, _rejected: Callable[[str], None]) -> Runs:
    """Make the client of a barrier at a camera's own contacts."""
    from drivers.digest import Login
    from drivers.hik_barrier import HikBarrierSettings
    from drivers.hik_barrier.layout import CameraBarrier
    from edge.links.isapi import IsapiBarrier

    settings = cast("HikBarrierSettings", spec.settings)
    words = cast("CameraBarrier", spec.driver.make(spec.profile, settings))
    login = Login(settings.username, read_secret(settings.password)) if settings.password else None
    return IsapiBarrier(spec.link, words, login, timeout_s=settings.timeout_ms / 1000)


OPENED_BY: Final[dict[str, Open]] = {
    "http": open_camera,
    "https": open_camera,
    "isapi": open_isapi,
    "ntp": open_ntp,
    "snmp": open_snmp,
}
"""By the scheme of the link."""
