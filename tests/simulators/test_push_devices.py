"""The push devices' simulators against their drivers behind a real HTTP server, with Digest, honest and misbehaving."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from drivers import registry
from drivers.base import Request
from drivers.digest import Login, holds, parse_digest
from drivers.dock.facts import RecordingsUploaded
from drivers.facts import DeviceDescribed, DeviceSignal, PlateRead
from drivers.profile import read_profile
from simulators.dahua_anpr import TollgateCamera
from simulators.desk import Desk
from simulators.dock import Dock
from simulators.hik_anpr import PlateCamera
from simulators.hik_counting import PeopleCounter
from simulators.pushing import Misbehaviour, pushing

PROFILES = Path(__file__).parents[2] / "firmware_profiles"
NOW = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
LOGIN = Login("edge", "a secret")
CHALLENGE = 'Digest realm="gatefleet", nonce="0123456789abcdef", qop="auth", algorithm=SHA-256'
DEVICES = {
    "hikvision/isapi-anpr": PlateCamera,
    "dahua/itsapi": TollgateCamera,
    "hikvision/isapi-counting": PeopleCounter,
    "reference/dock": Dock,
    "reference/desk": Desk,
}


class Host:
    """A server that asks a driver what each request means."""

    def __init__(self, name, login=None):
        profile = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
        self.driver = registry.driver(profile.driver)
        self.parser = self.driver.make(profile, self.driver.settings())
        self.login = login
        self.pushed = []
        self.challenged = 0

    async def handle(self, request):
        if self.login is not None:
            header = request.headers.get("Authorization", "")
            if not header or not holds(self.login, request.method, parse_digest(header)):
                self.challenged += 1
                await request.read()
                return web.Response(status=401, headers={"WWW-Authenticate": CHALLENGE})
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        pushed = self.parser.receive(Request(request.method, request.path, NOW, headers, body=body))
        self.pushed.append(pushed)
        answer = pushed.answer
        return web.Response(status=answer.status, body=answer.body, content_type=answer.media_type)

    @property
    def facts(self):
        return [fact for pushed in self.pushed for fact in pushed.facts]


@contextlib.asynccontextmanager
async def device(name, *bad, login=None, seed=7):
    host = Host(name, login)
    application = web.Application(client_max_size=host.driver.body_cap)
    application.router.add_route("*", "/{rest:.*}", host.handle)
    runner = web.AppRunner(application, lingering_time=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with pushing(url, login=login, misbehaviours=frozenset(bad), seed=seed, now=lambda: NOW) as pusher:
            yield DEVICES[name](pusher), host
    finally:
        await runner.cleanup()


async def speak(one):
    """Let a device say what it says first."""
    match one:
        case PlateCamera() | TollgateCamera():
            return await one.vehicle("粤C12345")
        case PeopleCounter():
            one.cross(3, 1)
            return await one.tell_totals()
        case Dock():
            one.insert(1, "BWC-1")
            return await one.push()
        case Desk():
            return await one.beat()


@pytest.mark.parametrize("name", DEVICES)
async def test_it_is_understood_behind_digest(name):
    async with device(name, login=LOGIN) as (one, host):
        assert await speak(one) == 200
        assert host.facts
        assert [pushed.rejected for pushed in host.pushed] == [()]
        assert host.challenged == 1


@pytest.mark.parametrize("name", DEVICES)
async def test_a_wrong_password_gets_nowhere(name):
    async with device(name, login=Login("edge", "other")) as (one, host):
        host.login = LOGIN
        assert await speak(one) == 401
        assert host.pushed == []


@pytest.mark.parametrize("name", ["hikvision/isapi-anpr", "dahua/itsapi"])
async def test_plates_come_with_their_pictures_and_the_blind_read_too(name):
    async with device(name) as (one, host):
        one.lane = 3
        await one.vehicle("粤Z1234澳")
        await one.vehicle("")
        read, blind = host.facts
        assert (read.plate, read.colour, read.camera_lane, read.direction) == ("粤Z1234澳", "blue", 3, "approach")
        assert read.taken_at == NOW
        assert {(image.role, image.width) for image in read.images} == {("plate", 160), ("scene", 1920)}
        assert (blind.plate, blind.confidence) == ("", 0.0)
        assert read.object_id != blind.object_id != ""


async def test_the_other_words_of_the_cameras():
    async with device("hikvision/isapi-anpr") as (one, host):
        await one.heartbeat()
        await one.signal("tamperdetection", on=True)
        assert host.facts == [
            DeviceSignal("videoloss", on=False, source="1", baseline=True),
            DeviceSignal("tamperdetection", on=True, source="1"),
        ]
    async with device("dahua/itsapi") as (one, host):
        await one.keepalive()
        await one.describe()
        assert host.facts == [DeviceDescribed(vendor="gatefleet", model="ITC-SIM", serial="SIM-ITC-1")]


async def test_a_counter_tells_totals_and_intervals():
    async with device("hikvision/isapi-counting") as (one, host):
        one.cross(5, 2)
        await one.tell_totals()
        await one.tell_interval()
        one.cross(1, 0)
        await one.tell_interval()
        one.reset()
        await one.tell_totals()
        told = [(fact.entered, fact.left, fact.cumulative) for fact in host.facts]
        assert told == [(5, 2, True), (5, 2, False), (1, 0, False), (0, 0, True)]


async def test_a_dock_keeps_its_events_until_they_are_accepted():
    async with device("reference/dock") as (one, host):
        one.insert(3, "BWC-0042")
        one.upload(3, 12)
        one.fill(3)
        one.remove(3)
        one.fault(99, "contact")
        assert len(one.pending) == 7
        one.pusher.url += "0000"
        assert await one.push() == 0
        assert len(one.pending) == 7
        one.pusher.url = one.pusher.url.removesuffix("0000")
        assert await one.push() == 200
        assert (one.pending, [event["slot"] for event in one.refused]) == ([], [99])
        (upload,) = [fact for fact in host.facts if isinstance(fact, RecordingsUploaded)]
        assert len(upload.files) == 12


async def test_a_desk_tells_what_runs_out():
    async with device("reference/desk") as (one, host):
        one.certificates = {"A": 10, "B": -1}
        one.battery_pct = 12.5
        await one.beat()
        report, _ = host.facts
        assert [held.not_after - NOW for held in report.certificates] == [timedelta(days=10), timedelta(days=-1)]
        assert (report.battery_pct, report.storage_free_bytes) == (12.5, 48 << 30)


@pytest.mark.parametrize("name", DEVICES)
async def test_what_is_sent_twice_bears_the_same_name(name):
    async with device(name, Misbehaviour.TWICE) as (one, host):
        await speak(one)
        first, second = host.pushed
        assert first.facts == second.facts != ()
        if isinstance(first.facts[0], PlateRead):
            assert first.facts[0].object_id


@pytest.mark.parametrize("name", DEVICES)
async def test_a_body_over_the_cap_is_not_taken(name):
    async with device(name, Misbehaviour.OVERSIZE) as (one, host):
        assert await speak(one) in {413, 0}
        assert host.pushed == []


@pytest.mark.parametrize("name", ["hikvision/isapi-anpr", "hikvision/isapi-counting"])
async def test_a_dtd_is_refused(name):
    async with device(name, Misbehaviour.DTD) as (one, host):
        assert await speak(one) == 400
        assert "DTD" in host.pushed[0].rejected[0]


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("seed", range(4))
async def test_a_cut_body_is_counted_and_the_next_is_read(name, seed):
    async with device(name, Misbehaviour.CUT, seed=seed) as (one, host):
        await speak(one)
        assert host.pushed[0].rejected
        one.pusher.misbehaviours = frozenset()
        assert await speak(one) == 200
        assert host.pushed[1].facts
        assert not host.pushed[1].rejected


@pytest.mark.parametrize("name", ["hikvision/isapi-anpr", "dahua/itsapi"])
async def test_a_wrong_clock_is_passed_on_as_it_is(name):
    async with device(name, Misbehaviour.WRONG_CLOCK) as (one, host):
        await speak(one)
        assert host.facts[0].taken_at == NOW - timedelta(days=3650)


async def test_a_slow_body_stops_nobody():
    async with device("hikvision/isapi-anpr", Misbehaviour.SLOW) as (slow, host):
        async with pushing(slow.pusher.url, seed=8, now=lambda: NOW) as other:
            waiting = asyncio.create_task(speak(slow))
            assert await PlateCamera(other).vehicle("粤C00000") == 200
            assert await waiting == 200
        assert [fact.plate for fact in host.facts] == ["粤C00000", "粤C12345"]


async def test_the_same_seed_says_the_same():
    bodies = []
    for _ in range(2):
        async with device("reference/dock", seed=3) as (one, _host):
            one.insert(1, "R-1")
            bodies.append(json.dumps(one.pending))
    assert bodies[0] == bodies[1]
