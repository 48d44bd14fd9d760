"""Platforms above this edge: what it registers with, what it tells them, and how that stands.

Promises
1. A platform that is away, refuses us or takes nothing stops no device, no lane and no other platform.
2. What goes up is durable before its camera is answered; see `edge.upward.outbox` for what becomes of it then.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from core.errors import NotFound
from core.messages.device_events import PlatformReported
from core.messages.events import Health
from edge.board import Finding
from edge.sections import PlatformSection, ViewPlatformSection
from edge.session import Deliver
from edge.upward.ground import Ground, Platform, Standing

if TYPE_CHECKING:
    from edge.links.http_server import Mount

_LOOK_S: Final = 10.0


@dataclass(slots=True)
class _Seen:
    """What was so at the last look."""

    registered: bool = False
    since: datetime | None = None
    told: PlatformReported | None = None


@dataclass(slots=True)
class Platforms:
    """All platforms of a daemon."""

    all: dict[str, Platform] = field(default_factory=dict)
    ground: Ground | None = None
    _seen: dict[str, _Seen] = field(default_factory=dict)

    async def open(self, stack: AsyncExitStack) -> None:
        """Get ready; raise BufferUnavailable."""
        for platform in self.all.values():
            await platform.open(stack)

    def feeds(self, device: str) -> list[Deliver]:
        """Return what takes a device's facts up."""
        found = (platform.feed(device) for platform in self.all.values())
        return [feed for feed in found if feed is not None]

    def mounts(self) -> "list[Mount]":
        """Return where platforms call us."""
        found = (platform.mount() for platform in self.all.values())
        return [mount for mount in found if mount is not None]

    async def run(self) -> None:
        """Tell central when something of a platform has changed; runs for ever."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Tell what has changed since the last look."""
        for name in self.all:
            now, seen = self.standing(name), self._seen[name]
            event = PlatformReported(
                platform=name,
                kind=self.all[name].section.kind,
                registered=now.registered,
                set_aside=now.set_aside,
                pictures_dropped=now.pictures_dropped,
                objects_lost=now.objects_lost,
            )
            if event != seen.told and self.ground is not None:
                seen.told = event
                self.ground.tell(event.model_copy(update={"waiting": now.waiting}))

    def standing(self, name: str) -> Standing:
        """Return how a platform stands; raise NotFound."""
        if name not in self.all:
            raise NotFound(f"there is no platform {name!r} here")
        now, seen = self.all[name].standing(), self._seen.setdefault(name, _Seen())
        if now.registered != seen.registered or seen.since is None:
            seen.registered = now.registered
            seen.since = self.ground.wall() if self.ground else None
        now.since = seen.since
        return now

    def words(self) -> list[dict[str, Any]]:
        """Return all as the technician's tool shows them."""
        return [self._words(name) for name in self.all]

    def _words(self, name: str) -> dict[str, Any]:
        now, section = self.standing(name), self.all[name].section
        return {
            "id": name,
            "kind": section.kind,
            "place": section.place,
            "state": "up" if now.registered else "down",
            "since": now.since.isoformat() if now.since else None,
            "last_error": now.last_error,
            "waiting": now.waiting,
            "oldest": now.oldest.isoformat() if now.oldest else None,
            "delivered": now.delivered,
            "set_aside": now.set_aside,
            "pictures_dropped": now.pictures_dropped,
            "objects_lost": now.objects_lost,
            "stored_bytes": now.stored_bytes,
            "clock_offset_s": now.clock_offset_s,
        }

    def why(self, name: str) -> dict[str, Any]:
        """Return a platform's health and its findings; raise NotFound."""
        now = self.standing(name)
        found = findings(now, self.all[name].section.place)
        health = Health.OFFLINE if not now.registered else Health.DEGRADED if found else Health.OK
        since = now.since.isoformat() if now.since else None
        told = [{"code": one.code, "args": dict(one.args), "since": since} for one in found]
        return {"id": name, "health": health.value, "findings": told or [_well(since)]}


def _well(since: str | None) -> dict[str, Any]:
    return {"code": "platform_ok", "args": {}, "since": since}


def findings(now: Standing, place: str) -> Sequence[Finding]:
    """Return what is not as it should be."""
    found = []
    if not now.registered:
        found.append(Finding("platform_not_registered", {"place": place, "error": now.last_error}))
    if now.trouble:
        found.append(Finding("platform_not_durable", {"error": now.trouble}))
    if now.set_aside:
        found.append(Finding("platform_refuses", {"count": now.set_aside, "last": now.last_refusal}))
    if now.pictures_dropped or now.objects_lost:
        found.append(Finding("platform_dropped", {"pictures": now.pictures_dropped, "objects": now.objects_lost}))
    return found


def build_platforms(sections: Sequence[PlatformSection], ground: Ground) -> Platforms:
    """Make the platforms of a configuration; raise ConfigInvalid."""
    made = Platforms(ground=ground)
    for section in sections:
        if isinstance(section, ViewPlatformSection):
            from edge.upward.view_platform import ViewPlatform  # noqa: PLC0415 an HTTP stack that only some edges need

            made.all[section.id] = ViewPlatform(section, ground)
        else:
            from edge.upward.video_platform import VideoPlatform  # noqa: PLC0415 as above

            made.all[section.id] = VideoPlatform(section, ground)
    return made
