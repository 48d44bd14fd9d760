"""An upper view library (GA/T 1400): what our cameras see goes up, out of an outbox that outlives us.

Promises
1. A camera is answered after its object is in the outbox. Until the outbox is open, nothing is taken.
2. A subscription is answered after it is on the disk, and is there again after a restart.
"""

from contextlib import AsyncExitStack
from dataclasses import replace

import structlog

from core.errors import BufferUnavailable, FrameInvalid, GatefleetError
from drivers.base import Answer, Request
from drivers.digest import Login
from drivers.facts import Fact
from drivers.gat1400.reading import MAX_BODY
from drivers.gat1400.subscriptions import Subscription, read_subscription
from edge.config import read_secret
from edge.links.http_server import Mount, Reply
from edge.links.push_places import place_of
from edge.sections import ViewPlatformSection
from edge.session import Deliver
from edge.upward.gat1400 import UpwardClient
from edge.upward.ground import Ground, Standing
from edge.upward.level import UpperLevel
from edge.upward.objects import GOES_UP, Naming, out_object
from edge.upward.outbox import DurableOutbox, open_outbox

_RETRY_AFTER_S = 5
_MB = 1_000_000

log = structlog.get_logger()


class ViewPlatform:
    """One upper view library."""

    def __init__(self, section: ViewPlatformSection, ground: Ground) -> None:
        self.section = section
        self.outbox: DurableOutbox | None = None
        self._ground = ground
        self._level = level_of(section)
        self._login = Login(section.username or section.own_id, read_secret(section.password))
        self._client: UpwardClient | None = None
        self._asked: tuple[Subscription, ...] | None = None
        self._last_error = "not tried yet"

    async def open(self, stack: AsyncExitStack) -> None:
        """Open the outbox; raise BufferUnavailable."""
        level, ground = self._level, self._ground
        self.outbox = await stack.enter_async_context(
            open_outbox(
                ground.folder / self.section.id,
                self.section.quota_mb * _MB,
                ground.vault,
                ground.stamp,
                most_bytes=level.batch_bytes,
            )
        )
        self._client = UpwardClient(
            level, self._login, self.outbox, now=ground.wall, held=self._held(self.outbox), keep=self._keep
        )

    def _held(self, outbox: DurableOutbox) -> list[Subscription]:
        found = []
        for name, told in outbox.memo().items():
            try:
                found.append(read_subscription(told, self._level.zone))
            except FrameInvalid as error:
                log.warning("platform.subscription_unreadable", platform=self.section.id, name=name, error=error.detail)
        return found

    def _keep(self, held: tuple[Subscription, ...]) -> None:
        self._asked = held

    async def run(self) -> None:
        """Register and send until the registration is lost: raises LinkLost, DeviceSilent, DeviceRefused."""
        if self._client is None:
            raise BufferUnavailable("its outbox is not open", place=self.section.id)
        await self._client.run()

    def lost(self, error: Exception) -> None:
        """Hear why it ended."""
        self._last_error = str(error)

    def standing(self) -> Standing:
        """Return how it stands."""
        outbox, client = self.outbox, self._client
        if outbox is None or client is None:
            return Standing(last_error=self._last_error)
        state, counts = client.state, outbox.counts
        return Standing(
            registered=state.registered,
            last_error=state.last_error if state.registered else self._last_error,
            waiting=outbox.waiting,
            oldest=outbox.oldest,
            delivered=counts.delivered,
            set_aside=counts.set_aside,
            last_refusal=outbox.last_refusal,
            pictures_dropped=outbox.files.counts.dropped + outbox.files.counts.damaged,
            objects_lost=counts.lost,
            stored_bytes=outbox.files.bytes + outbox.buffer.used_bytes,
            clock_offset_s=state.clock_offset_s,
            trouble=outbox.buffer.trouble,
        )

    def feed(self, device: str) -> Deliver | None:
        """Return what takes a camera's facts up; None for a device that the platform does not know."""
        number = self.section.cameras.get(device)
        if number is None:
            return None
        naming = Naming(number, self.section.tollgates.get(device, number), self._level.zone)

        async def take(fact: Fact) -> None:
            if not isinstance(fact, GOES_UP):
                return
            if self.outbox is None:
                raise BufferUnavailable("its outbox is not open", place=self.section.id)
            what = out_object(fact, naming, self._ground.wall())
            if what is not None:
                await self.outbox.put(what)

        return take

    def mount(self) -> Mount | None:
        """Return where the upper library subscribes; None where it may not."""
        section = self.section
        if not section.subscribes or section.access is None:
            return None
        passwords = {user: read_secret(reference) for user, reference in section.access.users.items()}
        return Mount(place_of(section.id, section.subscribes, section.access), MAX_BODY, self.handle, passwords)

    async def handle(self, request: Request) -> Reply:
        """Take a request of the upper library about its subscriptions."""
        later = Reply(Answer(503, b"", "text/plain"), _RETRY_AFTER_S)
        if self._client is None or self.outbox is None:
            return later
        path = "/VIID/Subscribes" + request.path.rstrip("/")
        pushed = self._client.desk.receive(replace(request, path=path))
        if self._asked is not None:
            kept = {one.subscription_id: one.as_object(self._level.zone) for one in self._asked}
            try:
                await self.outbox.keep(kept)
            except GatefleetError as error:
                log.warning("platform.not_committed", platform=self.section.id, error=str(error))
                return later
            self._asked = None
        for why in pushed.rejected:
            log.info("platform.subscription_refused", platform=self.section.id, why=why)
        return Reply(pushed.answer)


def level_of(section: ViewPlatformSection) -> UpperLevel:
    """Return how the upper library is treated."""
    return UpperLevel(
        url=section.url,
        device_id=section.own_id,
        organisation=section.organisation or section.own_id[:12],
        hosts=frozenset(one.lower() for one in section.hosts),
        unwanted=section.unwanted,
        match_ids=section.match_ids,
        keepalive_s=section.keepalive_s,
        timeout_s=section.timeout_s,
        batch=section.batch if section.match_ids else 1,
        utc_offset_h=section.utc_offset_h,
        media_type=section.media_type,
    )
