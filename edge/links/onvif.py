"""An ONVIF camera: what it is, how its picture and clock are, what it tells, and how its dome is turned.

Its promises:
1. `run` ends by an error and retries nothing: the supervisor does. An event is delivered before the next pull.
2. A subscription that was made is given back, however `run` ends: cameras have few.
3. A dome that was told to move is told to stop, however the move ends.
4. No picture is kept: it is weighed and forgotten, and only so many are on their way at once as `looking` lets, so
   that memory does not grow with cameras.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element

import aiohttp

from core.errors import ConfigInvalid, DeviceRefused, FrameInvalid, GatefleetError, LinkLost, NotFound, Unsupported
from drivers import onvif
from drivers.digest import Login
from drivers.facts import DeviceDescribed, DeviceSignal, Fact, Measured
from drivers.onvif_answers import (
    NotAuthorized,
    SoapFault,
    Subscription,
    device_information,
    lease_s,
    media_uri,
    named_rows,
    reachable_at,
    services,
    stream_at,
    subscription,
)
from drivers.onvif_camera import CameraSettings, CameraWords, picture_facts
from drivers.onvif_camera.commands import CameraCommand, GotoPreset, MoveCamera, StopCamera
from drivers.onvif_camera.facts import StreamJudged
from drivers.onvif_camera.picture import Verdict, read_picture
from drivers.onvif_topics import notified_of
from edge.links.onvif_soap import SoapClient, camera_http

__all__ = ["MISSING", "OnvifCamera", "camera_http"]

Deliver = Callable[[Fact], Awaitable[None]]
Check = Callable[[str, Login | None], Awaitable[StreamJudged]]
"""Tries a stream; raises nothing that a camera can cause."""
MISSING: Final = "picture/missing"
"""Topic of the signal that a camera which answers gives no picture, or none that can be read."""
_OVER_POLL_S: Final = 10.0
"""An answer may come so much later than the camera was given for a pull."""
_GOODBYE_S: Final = 2.0
_RENEW_PACE_S: Final = 5.0
"""A camera that tells of leases that are short, or over, must not make us renew in a ring."""
_PACE_S: Final = 1.0
"""Not all cameras wait in a pull: one that answers at once with nothing is asked again after this."""


@dataclass(frozen=True, slots=True)
class CameraFound:
    """Where the parts of a camera are, at the host that was dialled."""

    media: str
    media_at: str
    events_at: str
    ptz_at: str
    profile: str
    stream: str
    """RTSP, without a login; empty where it has none or it was not wanted."""
    snapshot: str


class OnvifCamera:
    """One camera. `http` and `looking` are shared by all of a daemon; `rejected` hears of answers that are no ONVIF."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        settings: CameraSettings,
        words: CameraWords,
        *,
        login: Login | None = None,
        rejected: Callable[[str], None] = lambda _: None,
        looking: asyncio.Semaphore | None = None,
        check: Check | None = None,
        checking: asyncio.Semaphore | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.found: CameraFound | None = None
        self.picture_error = ""
        """Why there was no picture; empty where there was one."""
        self._settings = settings
        self._words = words
        self._soap = SoapClient(http, settings.url, login, now=now, verify_tls=settings.verify_tls)
        self._login = login
        self._rejected = rejected
        self._looking = looking or asyncio.Semaphore(1)
        self._check = check
        self._checking = checking or asyncio.Semaphore(1)
        self._stopped = asyncio.Event()
        self._moving = asyncio.Lock()
        self._delivering = asyncio.Lock()

    @property
    def way(self) -> str:
        """How the camera is told who asks: wsse, digest or none."""
        return self._soap.way.value

    def stream_with_login(self) -> str:
        """Return the RTSP address with its login: a secret, never to be logged; raise Unsupported."""
        if self.found is None or not self.found.stream:
            raise Unsupported("the camera has no stream", place=self._settings.url)
        return stream_at(self.found.stream, self._settings.url, self._login)

    def stream(self) -> tuple[str, Login | None]:
        """Return the RTSP address, which bears no login, and the login; raise LinkLost or Unsupported."""
        url = self._settings.stream_url or (self.found.stream if self.found is not None else "")
        if not url and self.found is None:
            raise LinkLost("not connected", place=self._settings.url)
        if not url:
            raise Unsupported("the camera has no stream", place=self._settings.url)
        return url, self._login

    async def still(self) -> bytes:
        """Return a picture of the camera's own making; raise as `run`, Unsupported where it makes none."""
        if self.found is None:
            raise LinkLost("not connected", place=self._settings.url)
        if not self.found.snapshot:
            raise Unsupported("the camera makes no pictures", place=self._settings.url)
        async with self._looking:
            return await self._soap.picture(self.found.snapshot)

    async def run(self, deliver: Deliver) -> None:
        """Connect, then tell until something ends it: raises LinkLost, DeviceSilent, DeviceRefused or FrameInvalid."""
        if not self._settings.url:
            raise ConfigInvalid("a camera without an address", cure="set its link, or url in its settings")

        async def tell(fact: Fact) -> None:
            async with self._delivering:
                await deliver(fact)

        found = await self._connect(tell)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look(found, tell), name=f"look {self._settings.url}")
                if self._check is not None and self._settings.stream_check_s:
                    group.create_task(self._try_stream(self._check, tell), name=f"stream {self._settings.url}")
                if self._settings.events and found.events_at:
                    group.create_task(self._listen(found, tell), name=f"listen {self._settings.url}")
        except ExceptionGroup as errors:
            ours = errors.subgroup(GatefleetError)
            if ours is None or len(ours.exceptions) < len(errors.exceptions):
                raise  # a bug is shown whole
            raise errors.exceptions[0] from None
        finally:
            self.found = None

    async def command(self, command: CameraCommand) -> None:
        """Do a command; a move returns when the dome has been told to stop. Raises as `run`, Unsupported, NotFound."""
        if self.found is None:
            raise LinkLost("not connected", place=self._settings.url)
        if not self._settings.ptz or not self.found.ptz_at:
            raise Unsupported("the camera does not turn", place=self._settings.url)
        found = self.found
        match command:
            case MoveCamera():
                await self._move(found, command)
            case StopCamera():
                self._stopped.set()
                await self._soap.ask(onvif.stop(found.profile), found.ptz_at)
            case GotoPreset(preset=preset):
                token = await self._preset(found, preset)
                await self._soap.ask(onvif.goto_preset(found.profile, token), found.ptz_at)

    async def _connect(self, tell: Deliver) -> CameraFound:
        """Find the parts in the order that cameras want: clock, services, device, media."""
        url = self._settings.url
        await self._soap.clock()
        wanted = (onvif.MEDIA, onvif.MEDIA2, onvif.EVENTS, onvif.PTZ)
        addresses = await self._services()
        told = {name: reachable_at(addresses[name], url) for name in wanted if name in addresses}
        about = device_information(await self._soap.ask(onvif.get_device_information()))
        media = onvif.MEDIA2 if onvif.MEDIA2 in told else onvif.MEDIA
        found = CameraFound(
            media, told.get(media, url), told.get(onvif.EVENTS, ""), told.get(onvif.PTZ, ""), "", "", ""
        )
        self.found = await self._with_media(found)
        await tell(DeviceDescribed(about.manufacturer, about.model, about.firmware, about.serial))
        return self.found

    async def _services(self) -> dict[str, str]:
        try:
            return services(await self._soap.ask(onvif.get_services()))
        except NotAuthorized:
            raise
        except (DeviceRefused, FrameInvalid):  # older than GetServices
            return services(await self._soap.ask(onvif.get_capabilities()))

    async def _with_media(self, found: CameraFound) -> CameraFound:
        profiles = named_rows(await self._soap.ask(onvif.get_profiles(found.media), found.media_at))
        tokens = [profile.token for profile in profiles]
        wanted = self._settings.profile
        if not tokens or (wanted and wanted not in tokens):
            cure = f"one of: {', '.join(tokens[:16])}" if tokens else "make a media profile in the camera"
            raise DeviceRefused(f"no media profile {wanted!r}", place=self._settings.url, cure=cure)
        found = replace(found, profile=wanted or tokens[0])
        stream = await self._uri(onvif.get_stream_uri(found.media, found.profile), found) if self._settings.rtsp else ""
        snapshot = await self._uri(onvif.get_snapshot_uri(found.media, found.profile), found)
        return replace(found, stream=stream, snapshot=snapshot)

    async def _uri(self, call: onvif.Call, found: CameraFound) -> str:
        """Return a URI at the host that was dialled, empty where the camera has none of the kind."""
        try:
            uri = media_uri(await self._soap.ask(call, found.media_at))
            return (stream_at if call.op == "GetStreamUri" else reachable_at)(uri, self._settings.url)
        except NotAuthorized:
            raise
        except (SoapFault, FrameInvalid):
            return ""

    async def _look(self, found: CameraFound, tell: Deliver) -> None:
        """Look at clock and picture, again and again."""
        loop = asyncio.get_running_loop()
        verdict: Verdict | None = None
        missing: bool | None = None
        # Cameras that were all found at once are not to be looked at all at once for ever.
        due_s, pause_s = loop.time(), self._settings.look_s * random.uniform(0.5, 1.0)  # noqa: S311 not a secret
        while True:
            readings = {"clock_offset_s": (await self._soap.clock()).total_seconds()}
            if found.snapshot:
                before, verdict = verdict, await self._judge(found.snapshot, verdict, readings)
                gone = bool(self.picture_error)
                if gone is not missing:
                    await tell(DeviceSignal(MISSING, gone, "picture", missing is None))
                    missing = gone
                for fact in picture_facts(before, verdict) if verdict else ():
                    await tell(fact)
            await tell(Measured(readings))
            due_s, pause_s = max(due_s + pause_s, loop.time()), self._settings.look_s
            await asyncio.sleep(due_s - loop.time())

    async def _judge(self, url: str, before: Verdict | None, readings: dict[str, float]) -> Verdict | None:
        """Weigh one picture and add its figures; the old verdict where there was none."""
        try:
            async with self._looking:
                picture = read_picture(await self._soap.picture(url))
        except GatefleetError as error:  # the clock was just told: the camera is there, only its picture is not
            self.picture_error = str(error)
            return before
        self.picture_error = ""
        readings |= {"picture_bytes": picture.size_bytes, "picture_bits_per_block": picture.bits_per_block}
        return self._words.judged(before or Verdict(), picture)

    async def _try_stream(self, check: Check, tell: Deliver) -> None:
        """Try the stream again and again, so many cameras at one time as `checking` lets."""
        delivers: bool | None = None
        while True:
            await asyncio.sleep(self._settings.stream_check_s * random.uniform(0.9, 1.1) if delivers is not None else 0)  # noqa: S311 not a secret
            try:
                address = self.stream()
            except GatefleetError as error:
                judged = StreamJudged(delivers=False, why=error.code, detail=error.detail)
            else:
                async with self._checking:
                    judged = await check(*address)
            if judged.delivers is not delivers:
                await tell(judged)
            delivers = judged.delivers
            if delivers:
                await tell(Measured({"stream_first_ms": float(judged.first_ms)}))

    async def _listen(self, found: CameraFound, tell: Deliver) -> None:
        """Pull events; a subscription that is gone or not renewed is made anew, if it has told anything at all."""
        while True:
            async with self._subscribed(found) as subscribed:
                pulled = await self._pull(subscribed, tell)
            if not pulled:
                raise DeviceRefused("the camera drops each subscription at once", place=self._settings.url)

    @asynccontextmanager
    async def _subscribed(self, found: CameraFound) -> AsyncIterator[Subscription]:
        call = onvif.create_pull_point_subscription(self._words.map.lease_s)
        made = subscription(await self._soap.ask(call, found.events_at))
        try:
            yield made
        finally:
            with suppress(GatefleetError):
                await self._ask_at(made, onvif.unsubscribe(), _GOODBYE_S)

    async def _pull(self, made: Subscription, tell: Deliver) -> int:
        """Pull until the subscription is no more; return how many pulls were answered."""
        loop = asyncio.get_running_loop()
        rules = self._words.map
        ends = loop.time() + _sound(made.lease_s, rules.lease_s)
        pulls, renewed_at = 0, loop.time()
        while True:
            began = loop.time()
            wait = max(1, min(rules.poll_s, int((ends - began) / 2)))
            try:
                answer = await self._ask_at(made, onvif.pull_messages(wait, rules.message_limit), wait + _OVER_POLL_S)
                pulls += 1
                told = notified_of(answer)
                for message in told.messages:
                    for fact in self._words.facts_of(message):
                        await tell(fact)
                # Some cameras give a longer lease with each pull, others tell the old end: what they say now counts.
                if told.lease_s is not None:
                    ends = began + _sound(told.lease_s, rules.lease_s)
                now = loop.time()
                if ends - now < rules.lease_s / 2 and now - renewed_at >= min(_RENEW_PACE_S, rules.lease_s / 2):
                    renewed_at = now
                    renewed = lease_s(await self._ask_at(made, onvif.renew(rules.lease_s)))
                    ends = loop.time() + _sound(renewed, rules.lease_s)
            except NotAuthorized:
                raise
            except SoapFault:
                return pulls
            except FrameInvalid as error:
                self._rejected(error.detail)
                return pulls
            if not told.messages:
                await asyncio.sleep(max(0.0, began + _PACE_S - loop.time()))

    async def _ask_at(self, made: Subscription, call: onvif.Call, within_s: float = _OVER_POLL_S) -> Element:
        return await self._soap.ask(call, reachable_at(made.address, self._settings.url), to=made, within_s=within_s)

    async def _move(self, found: CameraFound, move: MoveCamera) -> None:
        async with self._moving:
            self._stopped.clear()
            call = onvif.continuous_move(
                found.profile, pan=move.pan, tilt=move.tilt, zoom=move.zoom, timeout_ms=move.duration_ms
            )
            try:
                await self._soap.ask(call, found.ptz_at)
                with suppress(TimeoutError):
                    async with asyncio.timeout(move.duration_ms / 1000):
                        await self._stopped.wait()
            finally:
                await self._soap.ask(onvif.stop(found.profile), found.ptz_at)

    async def _preset(self, found: CameraFound, wanted: str) -> str:
        presets = named_rows(await self._soap.ask(onvif.get_presets(found.profile), found.ptz_at))
        for preset in presets:
            if wanted in {preset.token, preset.name}:
                return preset.token
        cure = f"one of: {', '.join(preset.name or preset.token for preset in presets[:16])}"
        raise NotFound(f"no preset {wanted!r}", place=self._settings.url, cure=cure)


def _sound(told: float | None, wanted: int) -> float:
    """Return the lease to count with: what the camera told, within reason."""
    return float(wanted) if told is None else min(max(told, 0.0), 10.0 * wanted)
