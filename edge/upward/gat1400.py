"""We as the lower level of a view library (GA/T 1400.4): register, keep alive, send what was seen.

Promises
1. An item is acknowledged to its outbox only after the upper level has answered its id, or the id of the notification
   that carried it, with StatusCode 0, at every place that it goes to. What was answered otherwise is sent again.
2. The next request leaves only after the former was answered, so the upper level sees things in their order.
   What it does not take again and again is told to the outbox, which may put it behind the others.
3. Nothing is sent to a host that the settings do not name, wherever a subscription or a redirect points.
4. A registration that is lost ends `run` with LinkLost: the supervisor registers again, with its back-off.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import structlog

from core.errors import DeviceRefused, DeviceSilent, FrameInvalid, GatefleetError, LinkLost
from drivers.digest import Login, authorization, parse_digest
from drivers.gat1400 import bodies
from drivers.gat1400.answers import Status, parse_response
from drivers.gat1400.codes import RESOURCES, StatusCode
from drivers.gat1400.desk import SubscriptionDesk
from drivers.gat1400.ids import SEQUENCE_SPAN, make_notification_id
from drivers.gat1400.profile import LibraryMap
from drivers.gat1400.reading import parse_record, to_json
from drivers.gat1400.subscriptions import Subscription, checked_receiver
from edge.upward.level import Item, Outbox, UpperLevel, UpwardState

_MAX_ANSWER: Final = 1 << 20
_GOODBYE_S: Final = 1.0
_LONGEST_INTERVAL_S: Final = 60
"""ReportInterval comes from the wire: a longer one would stop the stream."""
_LOGIN_REFUSED: Final = frozenset({401, 403, 407})
_ITEMS_FAULT: Final = frozenset({400, 413, 415, 422})
"""HTTP answers that find fault with what was sent; any other but 200 means that the registration is lost."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Response:
    http: int
    body: bytes
    challenges: tuple[str, ...]


class UpwardClient:
    """Registers, keeps alive and sends. `desk` takes the upper level's subscriptions: mount it at /VIID/Subscribes."""

    def __init__(
        self,
        level: UpperLevel,
        login: Login,
        outbox: Outbox,
        *,
        now: Callable[[], datetime],
        held: Sequence[Subscription] = (),
        keep: Callable[[tuple[Subscription, ...]], None] = lambda _: None,
    ) -> None:
        self._level = level
        self._login = login
        self._outbox = outbox
        self._now = now
        self._keep = keep
        self._changed = asyncio.Event()
        self._delivered: dict[Hashable, set[str]] = {}
        self._sent_at_s: dict[str, float] = {}
        self._sequence = 0
        self._pause_s = 0.0
        self._one_by_one = False
        layout = LibraryMap(utc_offset_h=level.utc_offset_h, media_type=level.media_type)
        self.desk = SubscriptionDesk(level.receivers, layout=layout, held=held, changed=self._subscriptions_changed)
        self.state = UpwardState(level.url)

    async def run(self) -> None:
        """Register and send until the registration is lost: raises LinkLost, DeviceSilent or DeviceRefused."""
        timeout = aiohttp.ClientTimeout(total=self._level.timeout_s)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            try:
                await self._register(session)
                await self._ask_time(session)
                await self._serve(session)
            except asyncio.CancelledError:
                await self._leave(session)
                raise
            except GatefleetError as error:
                self.state.last_error = str(error)
                raise
            finally:
                self.state.registered = False

    async def _serve(self, session: aiohttp.ClientSession) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_alive(session), name="gat1400-keepalive")
                group.create_task(self._deliver(session), name="gat1400-deliver")
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    async def _register(self, session: aiohttp.ClientSession) -> None:
        url, body = self._own("System/Register"), bodies.register(self._level.device_id)
        response = await self._call(session, url, body)
        if response.http == 401:
            uri = urlsplit(url).path
            challenge = _digest_challenge(response.challenges)
            proof = authorization(self._login, "POST", uri, challenge, cnonce=secrets.token_hex(8))
            response = await self._call(session, url, body, authorization=proof)
        if response.http in _LOGIN_REFUSED:
            raise DeviceRefused("the upper level refuses the login", place=url, cure="check user name and password")
        status = self._statuses(response, url)[0]
        if not status.ok:
            error = LinkLost if status.passing else DeviceRefused
            raise error(f"the registration was answered {status.code} {status.text}", place=url)
        self.state.registered = True
        self.state.registrations += 1
        log.info("gat1400.registered", url=self._level.url)

    async def _ask_time(self, session: aiohttp.ClientSession) -> None:
        """Learn how far the upper level's clock is from ours; one that does not tell is none the worse for it."""
        try:
            response = await self._call(session, self._own("System/Time"))
            told = parse_record(response.body).record("SystemTimeObject")
        except (LinkLost, DeviceSilent, FrameInvalid):
            return
        if response.http == 200 and told is not None:
            local = told.moment(self._level.zone, "LocalTime")
            self.state.clock_offset_s = (local - self._now()).total_seconds() if local is not None else None

    async def _leave(self, session: aiohttp.ClientSession) -> None:
        """Take the registration back, if there is time for it."""
        if self.state.registered:
            with suppress(GatefleetError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await self._call(session, self._own("System/UnRegister"), bodies.unregister(self._level.device_id))

    async def _keep_alive(self, session: aiohttp.ClientSession) -> None:
        url, body = self._own("System/Keepalive"), bodies.keepalive(self._level.device_id)
        while True:
            await asyncio.sleep(self._level.keepalive_s)
            status = self._statuses(await self._call(session, url, body), url)[0]
            if not status.ok and not status.passing:
                raise LinkLost(f"the keepalive was answered {status.code} {status.text}", place=url)

    async def _deliver(self, session: aiohttp.ClientSession) -> None:
        while True:
            items = await self._outbox.peek(1 if self._one_by_one else self._level.batch)
            self._changed.clear()
            self._delivered = {item.key: self._delivered.get(item.key, set()) for item in items}
            wait_s = await self._round(session, _fitting(items, self._level.batch_bytes))
            if wait_s:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()

    async def _round(self, session: aiohttp.ClientSession, items: Sequence[Item]) -> float:
        """Send once what can be sent; return the seconds to wait before the next look."""
        now = self._now()
        places = {item.key: self._places(item, now) for item in items}
        failed = False
        waits = []
        for wanted in self.desk.held:
            name = wanted.subscription_id
            group = [one for one in items if wanted in places[one.key] and name not in self._delivered[one.key]]
            if group and (early_s := self._early_s(wanted)) > 0:
                waits.append(early_s)
            elif group:
                taken = await self._notify(session, wanted, group, now)
                for item in taken:
                    self._delivered[item.key].add(name)
                failed |= len(taken) < len(group)
        nobodys = [item for item in items if not places[item.key]]
        done = {item.key for item in await self._unwanted(session, nobodys)}
        failed |= self._level.unwanted == "push" and len(done) < len(nobodys)
        done |= {
            key for key, subs in places.items() if subs and {s.subscription_id for s in subs} <= self._delivered[key]
        }
        for item in items:
            if item.key in done:
                await self._outbox.acknowledge(item)
        return self._next_look_s(failed=failed, progressed=bool(done), waits=waits)

    def _places(self, item: Item, now: datetime) -> tuple[Subscription, ...]:
        return self.desk.wanting(item.what.resource, item.what.sources | {self._level.device_id}, now)

    def _next_look_s(self, *, failed: bool, progressed: bool, waits: Sequence[float]) -> float:
        if failed:
            level = self._level
            self._pause_s = min(level.longest_pause_s, self._pause_s * 2 or level.first_pause_s)
            return self._pause_s * random.uniform(0.7, 1.0)  # noqa: S311 jitter, not a secret
        self._pause_s = 0.0
        self._one_by_one = self._one_by_one and not progressed
        return 0.0 if progressed else min(waits, default=self._level.longest_pause_s)

    async def _notify(
        self, session: aiohttp.ClientSession, wanted: Subscription, group: Sequence[Item], now: datetime
    ) -> list[Item]:
        """Send one notification; return what of it was taken."""
        url = checked_receiver(wanted, self._level.receivers)
        self._sequence = (self._sequence + 1) % SEQUENCE_SPAN
        name = make_notification_id(self._level.organisation, now, self._sequence, self._level.zone)
        body = bodies.notification(wanted, name, now, [item.what for item in group], self._level.zone)
        statuses = await self._sent(session, url, body, group)
        self._sent_at_s[wanted.subscription_id] = asyncio.get_running_loop().time()
        return await self._taken(group, statuses, {name, wanted.subscription_id})

    async def _unwanted(self, session: aiohttp.ClientSession, items: Sequence[Item]) -> list[Item]:
        """Push, hold or skip; return what is done with."""
        way = self._level.unwanted
        if way == "skip" or (way == "hold" and self.desk.held):
            self.state.skipped += len(items)
            return list(items)
        done: list[Item] = []
        for resource in RESOURCES if way == "push" else ():
            group = [item for item in items if item.what.resource is resource]
            if group:
                url = self._own(resource.name)
                body = bodies.pushed(resource, [item.what for item in group], self._level.zone)
                statuses = await self._sent(session, url, body, group)
                done += await self._taken(group, statuses, set())
        return done

    async def _sent(
        self, session: aiohttp.ClientSession, url: str, body: dict[str, Any], group: Sequence[Item]
    ) -> tuple[Status, ...]:
        try:
            return self._statuses(await self._call(session, url, body), url, content=True)
        except (LinkLost, DeviceSilent) as error:
            self._one_by_one = True  # it may be one of them that the upper level cannot bear
            if len(group) == 1:
                await self._outbox.postponed(group[0], error.detail)
            raise

    async def _taken(self, group: Sequence[Item], statuses: Sequence[Status], whole: set[str]) -> list[Item]:
        """Return the items that are answered with 0; tell the outbox of the others. `whole` are ids for them all."""
        taken = []
        for item in group:
            mine = [one for one in statuses if one.id == item.what.object_id or one.id in whole]
            if not mine and (not self._level.match_ids or (statuses[0].code and len(statuses) == 1)):
                mine = [statuses[0]]
            worst = max(mine, key=lambda one: (not one.ok, one.code), default=None)
            if worst is not None and worst.ok:
                taken.append(item)
                self.state.acknowledged += 1
                continue
            await self._not_taken(item, worst, alone=len(group) == 1)
        return taken

    async def _not_taken(self, item: Item, status: Status | None, *, alone: bool) -> None:
        if status is None:
            self.state.mismatched += 1
            self.state.last_error = "an answer that does not name what was sent"
            return
        self.state.last_error = f"answered {status.code} {status.text}"
        if status.passing:
            self.state.busy += 1
            if alone or status.id == item.what.object_id:
                await self._outbox.postponed(item, self.state.last_error)
        else:
            self.state.refused += 1
            if alone or status.id == item.what.object_id:
                await self._outbox.refused(item, status)
            self._one_by_one = True  # so that the one at fault is found, and keeps none of its neighbours back

    async def _call(
        self, session: aiohttp.ClientSession, url: str, body: dict[str, Any] | None = None, *, authorization: str = ""
    ) -> _Response:
        """POST a body, or GET where there is none; raise LinkLost or DeviceSilent."""
        headers = {"User-Identify": self._level.device_id, "Content-Type": self._level.media_type}
        headers |= {"Authorization": authorization} if authorization else {}
        self.state.requests += 1
        try:
            data = None if body is None else to_json(body)
            method = "GET" if body is None else "POST"
            async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as response:
                content = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    content += chunk
                    if len(content) > _MAX_ANSWER:
                        raise LinkLost(f"an answer of more than {_MAX_ANSWER} bytes", place=url)
                challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                return _Response(response.status, bytes(content), challenges)
        except TimeoutError as error:
            raise DeviceSilent(f"no answer in {self._level.timeout_s} s", place=url) from error
        except (aiohttp.ClientError, OSError) as error:
            raise LinkLost(str(error) or type(error).__name__, place=url) from error

    def _statuses(self, response: _Response, url: str, *, content: bool = False) -> tuple[Status, ...]:
        """Return an answer's statuses; raise LinkLost where the registration is to be made anew."""
        if response.http != 200 and not (content and response.http in _ITEMS_FAULT):
            raise LinkLost(f"answered HTTP {response.http}", place=url)
        try:
            statuses = parse_response(response.body, self._level.zone)
        except FrameInvalid as error:
            if response.http == 200:
                raise LinkLost(f"an answer that cannot be read: {error.detail}", place=url) from error
            statuses = ()
        if response.http != 200 and all(one.ok for one in statuses):
            return (Status("", StatusCode.JSON_CONTENT, f"HTTP {response.http}"),)
        if statuses[0].local_time is not None:
            self.state.clock_offset_s = (statuses[0].local_time - self._now()).total_seconds()
        return statuses

    def _subscriptions_changed(self, held: tuple[Subscription, ...]) -> None:
        names = {one.subscription_id for one in held}
        self._sent_at_s = {name: at for name, at in self._sent_at_s.items() if name in names}
        self._changed.set()
        self._keep(held)

    def _early_s(self, wanted: Subscription) -> float:
        """Return how long a subscription's ReportInterval still runs."""
        now_s = asyncio.get_running_loop().time()
        interval_s = min(wanted.report_interval_s, _LONGEST_INTERVAL_S)
        return self._sent_at_s.get(wanted.subscription_id, now_s - interval_s) + interval_s - now_s

    def _own(self, path: str) -> str:
        return f"{self._level.url.rstrip('/')}/VIID/{path}"


def _digest_challenge(challenges: Sequence[str]) -> dict[str, str]:
    for challenge in challenges:
        with suppress(FrameInvalid):
            return parse_digest(challenge)
    raise LinkLost("401 without a Digest challenge")


def _fitting(items: Sequence[Item], bytes_: int) -> list[Item]:
    """Return the first items whose pictures fit one request; at least one."""
    fitting = list(items[:1])
    used = 0
    for item in items[1:]:
        used += sum(len(image.data) for image in item.what.images)
        if used > bytes_:
            break
        fitting.append(item)
    return fitting
