"""Who looks now. A view is one redeemed grant: it lasts while somebody looks, and no longer than it says.

Promises
1. There are never more views than `most`: who comes then is told so, and his grant is not used up. A view is looked at
   at most MOST_LOOKS times at once: it is for one viewer.
2. A view ends when its time is over, when nobody has looked for IDLE_S, or when its viewer leaves; whatever it shows
   ends with it.
3. A view is known by a secret of 256 bits, for one camera.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from core.messages.event import Event
from core.messages.view_events import ViewEnded
from edge.live.words import Granted, ViewRefused, Why

IDLE_S: Final = 20.0
MOST_LOOKS: Final = 4


@dataclass(slots=True, eq=False)
class View:
    """One view."""

    granted: Granted
    secret: str = field(repr=False)
    began: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    by_webrtc_s: float = 0.0
    called_at: float | None = None
    """Since when it is shown by WebRTC."""
    call: asyncio.Task[None] | None = None
    """By WebRTC; a new one takes the place of the one before."""
    pictures: int = 0
    looking: int = 0
    timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)


class Views:
    """All views of an edge."""

    def __init__(self, most: int, tell: Callable[[Event], None], idle_s: float = IDLE_S) -> None:
        self._most = most
        self._tell = tell
        self._idle_s = idle_s
        self._views: dict[str, View] = {}
        self._coming = 0

    def __len__(self) -> int:
        return len(self._views)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Keep a place for somebody whose grant is being redeemed; raise ViewRefused where there is none."""
        if len(self._views) + self._coming >= self._most:
            raise ViewRefused(Why.FULL, f"{self._most} are looking already", cure="try again later")
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def open(self, granted: Granted) -> View:
        """Open a view."""
        loop = asyncio.get_running_loop()
        view = View(granted, secrets.token_urlsafe(32), loop.time())
        self._views[view.secret] = view
        view.timers["over"] = loop.call_later(max(0.0, granted.left_s), self.end, view, "over")
        self._arm(view)
        return view

    def find(self, secret: str, device: str) -> View:
        """Return the open view of a camera that a secret is of; raise ViewRefused."""
        view = self._views.get(secret)
        if view is None or view.granted.device != device:
            raise ViewRefused(Why.OVER, "no view is open", cure="ask for a new grant")
        return view

    @contextmanager
    def looking(self, view: View) -> Iterator[None]:
        """Count somebody as looking meanwhile; raise ViewRefused where the view has ended, or is looked at by many."""
        if view.ended.is_set():
            raise ViewRefused(Why.OVER, "the view is over", cure="ask for a new grant")
        if view.looking >= MOST_LOOKS:
            raise ViewRefused(Why.FULL, f"{MOST_LOOKS} look by this view already", cure="ask for a new grant")
        view.looking += 1
        self._disarm(view)
        try:
            yield
        finally:
            view.looking -= 1
            if not view.looking and not view.ended.is_set():
                self._arm(view)

    @contextmanager
    def calling(self, view: View) -> Iterator[None]:
        """Count the time as shown by WebRTC."""
        view.called_at = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            _count(view)

    def end(self, view: View, why: str) -> None:
        """End a view, if it has not ended."""
        if self._views.pop(view.secret, None) is None:
            return
        for timer in view.timers.values():
            timer.cancel()
        view.ended.set()
        _count(view)
        seconds = asyncio.get_running_loop().time() - view.began
        self._tell(
            ViewEnded(
                device=view.granted.device,
                view=view.granted.id,
                why=why,
                seconds=round(seconds, 3),
                by_webrtc_s=round(view.by_webrtc_s, 3),
                pictures=view.pictures,
            )
        )

    def end_all(self, why: str) -> None:
        """End all."""
        for view in list(self._views.values()):
            self.end(view, why)

    def _arm(self, view: View) -> None:
        view.timers["idle"] = asyncio.get_running_loop().call_later(self._idle_s, self.end, view, "idle")

    def _disarm(self, view: View) -> None:
        if (timer := view.timers.pop("idle", None)) is not None:
            timer.cancel()


def _count(view: View) -> None:
    if view.called_at is not None:
        view.by_webrtc_s += asyncio.get_running_loop().time() - view.called_at
        view.called_at = None
