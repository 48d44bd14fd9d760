"""The live view of an edge, put together: who may look, who looks, at what.

Promises
1. Nobody sees a picture before it is durable that he looks.
2. What WebRTC needs is loaded when the first browser calls, in a thread.
3. When it ends, every view, call and stream ends with it.
"""

import asyncio
import importlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from core.errors import ConfigInvalid, GatefleetError, LinkLost, NotFound
from core.messages.event import Event
from core.messages.view_events import CameraOffered
from edge.live.feeds import Feeds, Watcher
from edge.live.grants import Grants
from edge.live.rtsp import Times
from edge.live.server import LiveServer
from edge.live.stills import Stills
from edge.live.views import View, Views
from edge.live.words import Camera, ViewRefused, Why

if TYPE_CHECKING:
    from edge.live.webrtc import Call
    from edge.sections import LiveSection

log = structlog.get_logger()

T = TypeVar("T")
Answers = Callable[[str, Watcher], "AbstractAsyncContextManager[Call]"]
"""Answers an offer and sends pictures meanwhile."""


class Tells(Protocol):
    """The ledger, as far as the live view needs it."""

    def tell(self, event: Event, /) -> None:
        """Take an event to be committed."""


class Live:
    """The live view of one edge."""

    def __init__(
        self,
        section: "LiveSection",
        cameras: Mapping[str, Camera],
        grants: Grants,
        ledger: Tells,
        *,
        new_id: Callable[[], str],
        times: Times | None = None,
    ) -> None:
        self.port = 0
        """The port that is listened on, once it is."""
        self.listening = asyncio.Event()
        self.refusals: Counter[Why] = Counter()
        self.views = Views(section.max_viewers, ledger.tell)
        self.feeds = Feeds(self._begin, times)
        self.stills = Stills(self.feeds)
        self.pictures_given = 0
        self.calls = 0
        """Browsers that are shown pictures by WebRTC now."""
        self._section = section
        self._cameras = cameras
        self._grants = grants
        self._ledger = ledger
        self._new_id = new_id
        self._group: asyncio.TaskGroup | None = None
        self._loading = asyncio.Lock()
        self._webrtc: Answers | None = None

    @property
    def url(self) -> str:
        """Return the address that goes before `/live/{camera}`."""
        section = self._section
        scheme = "https" if section.cert_file else "http"
        return section.public_url.rstrip("/") or f"{scheme}://{section.host}:{self.port}"

    async def run(self) -> None:
        """Serve until cancelled; raise LinkLost where the address cannot be had."""
        server = LiveServer(self, _tls(self._section), behind_tls=self._section.public_url.startswith("https://"))
        async with server.serving(self._section.host, self._section.port) as port, asyncio.TaskGroup() as group:
            self.port, self._group = port, group
            for device in self._cameras:
                self._ledger.tell(CameraOffered(device=device, live_url=self.url))
            self.listening.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.listening.clear()
                self.views.end_all("stopped")

    def grant(self, device: str, actor: str) -> tuple[str, datetime]:
        """Return the address of a page that a technician may open once, and until when; raise NotFound or LinkLost."""
        self._camera(device)
        if not self.listening.is_set():
            raise LinkLost("the live view does not listen", place=f"{self._section.host}:{self._section.port}")
        text, expires_at = self._grants.make_local(device, actor, self._new_id())
        return f"{self.url}/live/{device}#{text}", expires_at

    def refused(self, why: Why) -> None:
        """Count a refusal."""
        self.refusals[why] += 1

    async def enter(self, device: str, grant: str, secret: str) -> View:
        """Return the view that a grant opens, or that a secret is of."""
        if not grant:
            if not secret:
                raise ViewRefused(Why.NO_GRANT, "a grant is needed", cure="ask central for one")
            return self.views.find(secret, device)
        granted = self._grants.read(grant, device)
        self._camera(device)
        with self.views.place():
            await self._grants.redeem(granted)
            log.info("live.opened", camera=device, view=granted.id, actor=granted.actor, by=granted.granted_by)
            return self.views.open(granted)

    async def answer(self, view: View, offer: str) -> str:
        """Return the answer to a browser's offer; pictures flow until the view ends, or calls again."""
        assert self._group is not None
        while view.call is not None and not view.call.done():
            view.call.cancel()
            await asyncio.wait((view.call,))
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        view.call = self._group.create_task(self._call(view, offer, answered), name=f"live.call.{view.granted.id}")
        view.call.add_done_callback(lambda _: _not_answered(answered))
        return await answered

    async def pictures(self, view: View) -> AsyncGenerator[bytes, None]:
        """Give JPEGs until the view ends."""
        device = view.granted.device
        with self.views.looking(view):
            async with aclosing(self.stills.pictures(device, self._camera(device))) as pictures:
                while (picture := await _unless(view.ended, anext(pictures))) is not None:
                    view.pictures += 1
                    self.pictures_given += 1
                    yield picture

    def leave(self, view: View) -> None:
        """End a view."""
        self.views.end(view, "left")

    def left_s(self, view: View) -> float:
        """Return how long a view has."""
        return max(0.0, view.began + view.granted.left_s - asyncio.get_running_loop().time())

    def _camera(self, device: str) -> Camera:
        if device not in self._cameras:
            raise NotFound(f"there is no camera {device!r} here")
        return self._cameras[device]

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None
        return self._group.create_task(work, name=name)

    async def _call(self, view: View, offer: str, answered: asyncio.Future[str]) -> None:
        """Show the pictures of one call until somebody ends it."""
        device = view.granted.device
        try:
            with self.views.looking(view):
                answers = await self._library()
                async with self.feeds.watch(device, self._camera(device)) as watcher:
                    self.calls += 1
                    try:
                        with self.views.calling(view):
                            await _shown(answers(offer, watcher), view, answered)
                    finally:
                        self.calls -= 1
        except GatefleetError as error:
            log.info("live.call_ended", camera=device, view=view.granted.id, error=error.detail)
            if not answered.done():
                answered.set_exception(error)
        except Exception:  # the task's outermost frame: others who look go on
            log.exception("live.call_failed", camera=device)
            if not answered.done():
                answered.set_exception(ViewRefused(Why.BUG, "a bug: see the daemon's log"))

    async def _library(self) -> Answers:
        async with self._loading:
            if self._webrtc is None:
                try:
                    found = await asyncio.to_thread(importlib.import_module, "edge.live.webrtc")
                except ModuleNotFoundError as error:
                    cure = "pip install 'gatefleet[video]'"
                    raise ViewRefused(Why.NOT_INSTALLED, str(error), cure=cure) from error
                self._webrtc = found.call
            return self._webrtc


def _tls(section: "LiveSection") -> SSLContext | None:
    """Return what the server shows browsers, None for plain HTTP; raise ConfigInvalid."""
    if section.cert_file is None:
        return None
    context = SSLContext(PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(section.cert_file, section.key_file)
    except OSError as error:
        raise ConfigInvalid(f"cannot be used: {error}", place=str(section.cert_file)) from error
    return context


def _not_answered(answered: asyncio.Future[str]) -> None:
    """Tell who waits for an answer that none will come: his call was ended, perhaps before it began."""
    if not answered.done():
        answered.set_exception(ViewRefused(Why.OVER, "the call was ended before it was answered"))


async def _shown(calling: "AbstractAsyncContextManager[Call]", view: View, answered: asyncio.Future[str]) -> None:
    """Send pictures until the view is over, the browser has gone, or the stream has ended."""
    async with calling as call:
        if answered.cancelled():
            return
        answered.set_result(call.answer)
        ends = [asyncio.ensure_future(event.wait()) for event in (view.ended, call.gone, call.failed)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ends:
                one.cancel()


async def _unless(ended: asyncio.Event, work: Awaitable[T]) -> T | None:
    """Return what work gives, None where something ends before."""
    doing, ending = asyncio.ensure_future(work), asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((doing, ending), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for one in (doing, ending):
            one.cancel()
        await asyncio.gather(doing, ending, return_exceptions=True)
