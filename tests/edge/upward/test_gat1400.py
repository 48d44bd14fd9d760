"""The lower level against an upper level of its own: real sockets, the pure parser and Digest, and bad manners."""

import asyncio
import contextlib
import json
from collections import deque
from datetime import datetime, timedelta, timezone

import pytest
from aiohttp import web
from pydantic import ValidationError

from core.errors import DeviceRefused, DeviceSilent, LinkLost
from drivers.base import Request
from drivers.digest import Login, holds, parse_digest
from drivers.facts import PlateRead
from drivers.gat1400.bodies import OutFace, OutImage, OutVehicle, subscribe
from drivers.gat1400.facts import FaceSeen, KeptAlive, SystemLeft, SystemRegistered
from drivers.gat1400.library import ViewLibrary
from drivers.gat1400.profile import LibraryMap, LibrarySettings
from drivers.gat1400.subscriptions import Subscription
from edge.supervisor import Supervisor
from edge.upward.gat1400 import UpwardClient
from edge.upward.level import Item, UpperLevel

CHINA = timezone(timedelta(hours=8))
NOW = datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)
DEVICE = "44049900005030000001"
CAMERA = "44049900001190000007"
LOGIN = Login("account", "right")
PATIENCE_S = 5


ODD = {
    "fails": (500, {}, b"<html>"),
    "garbles": (200, {}, b"{nonsense"),
    "refuses": (400, {}, b""),
}


class Upper:
    """An upper level. `manners` are used up one by each data request; then it behaves."""

    def __init__(self, password="right"):
        self.login = Login("account", password)
        self.library = ViewLibrary(LibraryMap(), LibrarySettings())
        self.manners = deque()
        self.facts = []
        self.bodies = []
        self.system = []
        self.answered = {}
        self.times = 0
        self.time = b""
        self.registered = False
        self.at_once = self.most_at_once = 0
        self.url = ""
        self.elsewhere = "http://127.0.0.1:1"

    async def serve(self, request):
        body = await request.read()
        asked = Request(request.method, request.path, NOW, {k.lower(): v for k, v in request.headers.items()}, {}, body)
        if request.path.endswith("/Register") and not self.proves(request):
            challenge = 'Digest realm="viid", nonce="n1", qop="auth", opaque="o", algorithm=MD5'
            headers = [("WWW-Authenticate", 'Basic realm="x"'), ("WWW-Authenticate", challenge)]
            return web.Response(status=401, headers=headers)
        assert asked.headers["user-identify"] == DEVICE
        if "/System/" in request.path:
            return self.of_system(asked)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.of_data(request, asked)
        finally:
            self.at_once -= 1

    def proves(self, request):
        header = request.headers.get("Authorization", "")
        return bool(header) and holds(self.login, "POST", parse_digest(header))

    def of_system(self, asked):
        told = self.library.receive(asked)
        if asked.method == "GET":
            self.times += 1
            return web.Response(status=told.answer.status, body=self.time or told.answer.body)
        self.system += told.facts
        if type(told.facts[0]) is KeptAlive and not self.registered:
            return web.Response(status=401)
        self.registered = type(told.facts[0]) is not SystemLeft
        return web.Response(status=told.answer.status, body=told.answer.body)

    async def of_data(self, request, asked):
        manner = self.manners.popleft() if self.manners else "well"
        if manner == "forgets" or not self.registered:
            self.registered = False
            return web.Response(status=401)
        if manner in ODD:
            status, headers, body = ODD[manner]
            return web.Response(status=status, headers=headers, body=body)
        if manner == "redirects":
            return web.Response(status=307, headers={"Location": f"{self.elsewhere}{request.path}"})
        if manner == "hangs":
            await asyncio.sleep(30)
        if manner == "cuts":
            request.transport.abort()
        told = self.library.receive(asked)
        answer = told.answer.body
        match manner:
            case "busy" | "text-busy":
                code = b'"2"' if manner == "text-busy" else b"2"
                answer = answer.replace(b'"StatusCode":0', b'"StatusCode":' + code)
            case "wrong-id":
                answer = answer.replace(b'"Id":"', b'"Id":"x')
            case "floods":
                answer = b" " * (2 << 20) + answer
            case _:
                self.facts += told.facts
                self.bodies.append(json.loads(asked.body))
        return web.Response(status=told.answer.status, body=answer, content_type="text/plain")


class Box:
    """An outbox in memory."""

    def __init__(self, items, *, takes_out=False):
        self.items = list(items)
        self.acked = []
        self.faults = []
        self.later = []
        self.takes_out = takes_out
        self.changed = asyncio.Event()

    async def peek(self, limit):
        while not self.items:
            self.changed.clear()
            await self.changed.wait()
        return self.items[:limit]

    async def acknowledge(self, item):
        self.items.remove(item)
        self.acked.append(item.key)
        self.changed.set()

    async def refused(self, item, status):
        self.faults.append((item.key, status.code))
        if self.takes_out:
            self.items.remove(item)
        self.changed.set()

    async def postponed(self, item, why):
        self.later.append((item.key, why))

    async def empty(self):
        async with asyncio.timeout(PATIENCE_S):
            while self.items:
                self.changed.clear()
                await self.changed.wait()


def vehicle(number, **changes):
    image = f"{CAMERA}0220260501083000{number:05d}"
    pictures = tuple(OutImage(image, role, b"\xff\xd8\xff" + role.encode(), NOW) for role in ("plate", "scene"))
    wanted = {"plate": f"粤B1234{number % 10}", "plate_colour": "blue", "images": pictures} | changes
    return Item(number, OutVehicle(f"{image}02{number:05d}", CAMERA, "44049900001210000001", NOW, **wanted))


def face(number):
    image = f"{CAMERA}0220260501083000{number:05d}"
    return Item(number, OutFace(f"{image}06{number:05d}", CAMERA, NOW, (1, 2, 3, 4)))


@contextlib.asynccontextmanager
async def upper_level(**kept):
    upper = Upper(**kept)
    server = web.Server(upper.serve, access_log=None, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upper.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upper
    finally:
        await runner.cleanup()


def client(upper, box, *, held=(), keep=lambda _: None, **changes):
    settings = {"organisation": "440499000000", "timeout_s": 0.4, "batch": 2, "first_pause_s": 0.01}
    settings |= {"longest_pause_s": 0.05} | changes
    level = UpperLevel(url=upper.url, device_id=DEVICE, **settings)
    return UpwardClient(level, LOGIN, box, now=lambda: NOW, held=held, keep=keep)


@contextlib.asynccontextmanager
async def running(lower):
    async with asyncio.TaskGroup() as group:
        supervisor = Supervisor(group, first_s=0.01, longest_s=0.05)
        supervisor.keep("upward", lower.run)
        try:
            yield supervisor
        finally:
            await supervisor.stop()


def numbers(facts):
    return [int(fact.object_id[-5:]) for fact in facts]


def wants(upper, *details, name="440499000000032026050108300000001", **changes):
    url = f"{upper.url}/VIID/SubscribeNotifications"
    return Subscription(name, details=details or ("13",), receive_url=url, **changes)


def ask(lower, *subscriptions):
    body = json.dumps(subscribe(subscriptions, CHINA)).encode()
    return lower.desk.receive(Request("POST", "/VIID/Subscribes", NOW, body=body))


async def until(true):
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.005)


async def test_it_registers_with_digest_sends_in_order_and_leaves():
    async with upper_level() as upper:
        box = Box([vehicle(number) for number in range(5)])
        lower = client(upper, box)
        async with running(lower):
            await box.empty()
            assert lower.state.registered
        assert [type(fact) for fact in upper.system] == [SystemRegistered, SystemLeft]
        assert numbers(upper.facts) == box.acked == [0, 1, 2, 3, 4]
        fact = upper.facts[0]
        assert (type(fact), fact.plate, fact.colour, fact.taken_at) == (PlateRead, "粤B12340", "blue", NOW)
        assert [image.role for image in fact.images] == ["plate", "scene"]
        assert upper.most_at_once == 1
        assert (lower.state.registrations, lower.state.acknowledged, lower.state.clock_offset_s) == (1, 5, 0)


@pytest.mark.parametrize(
    ("manner", "registrations"),
    [
        ("forgets", 2),
        ("fails", 2),
        ("hangs", 2),
        ("cuts", 2),
        ("redirects", 2),
        ("garbles", 2),
        ("floods", 2),
        ("busy", 1),
        ("text-busy", 1),
        ("wrong-id", 1),
    ],
)
async def test_nothing_is_acknowledged_before_its_zero_and_nothing_is_lost(manner, registrations):
    async with upper_level() as upper:
        box = Box([vehicle(number) for number in range(6)])
        upper.manners.extend(["well", manner, "well"])
        lower = client(upper, box)
        async with running(lower):
            await until(lambda: not upper.manners)
            await box.empty()
        assert box.acked == [0, 1, 2, 3, 4, 5] == sorted(set(numbers(upper.facts)))
        assert lower.state.registrations == registrations
        assert upper.most_at_once == 1


@pytest.mark.parametrize(
    ("manner", "error"), [("forgets", LinkLost), ("fails", LinkLost), ("hangs", DeviceSilent), ("garbles", LinkLost)]
)
async def test_a_lost_registration_ends_the_run_without_an_acknowledgement(manner, error):
    async with upper_level() as upper:
        box = Box([vehicle(1)])
        upper.manners.append(manner)
        lower = client(upper, box)
        with pytest.raises(error):
            await lower.run()
        assert (box.acked, lower.state.registered) == ([], False)
        assert lower.state.last_error


@pytest.mark.parametrize("manner", ["busy", "wrong-id"])
async def test_an_upper_level_that_never_takes_it_is_asked_again_with_pauses(manner):
    async with upper_level() as upper:
        box = Box([vehicle(1)])
        upper.manners.extend([manner] * 1000)
        lower = client(upper, box, first_pause_s=0.05, longest_pause_s=0.1)
        began = asyncio.get_running_loop().time()
        async with running(lower):
            await until(lambda: lower.state.busy + lower.state.mismatched >= 4)
        assert asyncio.get_running_loop().time() - began > 0.7 * (0.05 + 0.1 + 0.1)
        assert (box.acked, lower.state.acknowledged) == ([], 0)


@pytest.mark.parametrize(
    ("answer", "offset_s"),
    [(b"", 0), (b'{"SystemTimeObject":{"LocalTime":"20260501083042"}}', 42), (b"nonsense", None), (b"{}", None)],
)
async def test_the_upper_levels_time_is_asked_for_and_only_told(answer, offset_s):
    async with upper_level() as upper:
        upper.time = answer
        lower = client(upper, Box([]))
        async with running(lower):
            await until(lambda: upper.times and lower.state.registered)
            await until(lambda: lower.state.clock_offset_s in {offset_s, 0})
        assert (upper.times, lower.state.clock_offset_s) == (1, 0 if offset_s is None else offset_s)


async def test_a_wrong_password_is_a_refusal_and_sends_nothing():
    async with upper_level(password="other") as upper:
        box = Box([vehicle(1)])
        with pytest.raises(DeviceRefused, match="login"):
            await client(upper, box).run()
        assert (upper.facts, box.acked, upper.system) == ([], [], [])


async def test_an_upper_level_that_is_away_is_a_lost_link():
    async with upper_level() as upper:
        pass
    with pytest.raises(LinkLost):
        await client(upper, Box([])).run()


async def test_what_is_refused_is_told_singly_and_keeps_no_neighbour_back():
    async with upper_level() as upper:
        box = Box([vehicle(number) for number in range(4)], takes_out=True)
        upper.manners.extend(["refuses", "refuses"])
        lower = client(upper, box)
        async with running(lower):
            await box.empty()
        assert box.faults == [(0, 8)]
        assert box.acked == [1, 2, 3]
        assert lower.state.registrations == 1


async def test_what_is_refused_is_kept_until_the_outbox_takes_it_out():
    async with upper_level() as upper:
        box = Box([vehicle(0)])
        upper.manners.extend(["refuses"] * 4)
        async with running(client(upper, box)):
            await box.empty()
        assert (box.faults[:2], box.acked) == ([(0, 8), (0, 8)], [0])


async def test_a_subscription_turns_pushes_into_notifications():
    async with upper_level() as upper:
        box = Box([])
        kept = []
        lower = client(upper, box, keep=kept.append, unwanted="skip", batch=10)
        told = ask(lower, wants(upper, "12", "13", title="过车", image_kinds="14"))
        assert b'"StatusCode":0' in told.answer.body
        box.items += [vehicle(1), face(2), vehicle(3)]
        async with running(lower):
            await box.empty()
        (body,) = upper.bodies
        (note,) = body["SubscribeNotificationListObject"]["SubscribeNotificationObject"]
        assert note["SubscribeID"] == kept[0][0].subscription_id
        assert (len(note["NotificationID"]), note["NotificationID"][:14]) == (33, "44049900000004")
        assert (note["Title"], note["TriggerTime"]) == ("过车", "20260501083000")
        assert note["InfoIDs"].count(",") == 2
        assert len(note["MotorVehicleObjectList"]["MotorVehicleObject"]) == 2
        assert [type(fact) for fact in upper.facts] == [PlateRead, PlateRead, FaceSeen]
        assert [image.role for image in upper.facts[0].images] == ["scene"]
        assert box.acked == [1, 2, 3]


async def test_an_item_is_done_only_when_every_subscription_has_it_and_each_gets_it_once():
    async with upper_level() as upper:
        box = Box([vehicle(1)])
        second = "440499000000032026050108300000002"
        lower = client(upper, box, held=[wants(upper), wants(upper, name=second)])
        upper.manners.extend(["well", "busy"])
        async with running(lower):
            await until(lambda: lower.state.busy >= 1)
            assert box.acked == []
            await box.empty()
        notes = [one["SubscribeNotificationListObject"]["SubscribeNotificationObject"][0] for one in upper.bodies]
        assert [note["SubscribeID"][-1] for note in notes] == ["1", "2"]
        assert box.acked == [1]


async def test_what_nobody_asked_for_is_pushed_skipped_or_held():
    async with upper_level() as upper:
        skipping = Box([vehicle(1)])
        async with running(client(upper, skipping, unwanted="skip")):
            await skipping.empty()
        assert (skipping.acked, upper.facts) == ([1], [])
        held = Box([vehicle(2)])
        lower = client(upper, held, unwanted="hold", longest_pause_s=30)
        async with running(lower):
            await until(lambda: lower.state.registered)
            assert held.acked == []
            ask(lower, wants(upper))
            await held.empty()
        assert numbers(upper.facts) == [2]
        pushing = Box([face(3)])
        async with running(client(upper, pushing, held=[wants(upper, "13")])):
            await pushing.empty()
        assert "FaceListObject" in upper.bodies[-1]


@pytest.mark.parametrize(
    "changes",
    [
        {"resources": ("44049900001190000099",)},
        {"end_at": NOW - timedelta(seconds=1)},
        {"begin_at": NOW + timedelta(seconds=1)},
        {"status": 1},
        {"cancels": True},
    ],
)
async def test_a_subscription_that_does_not_want_it_gets_nothing(changes):
    async with upper_level() as upper:
        box = Box([vehicle(1)])
        async with running(client(upper, box, held=[wants(upper, **changes)])):
            await box.empty()
        assert "MotorVehicleListObject" in upper.bodies[0]


@pytest.mark.parametrize("source", [CAMERA, "44049900001210000001", DEVICE])
async def test_a_subscription_may_name_the_camera_the_tollgate_or_us(source):
    async with upper_level() as upper:
        box = Box([vehicle(1)])
        async with running(client(upper, box, held=[wants(upper, resources=("1", source))])):
            await box.empty()
        assert "SubscribeNotificationListObject" in upper.bodies[0]


async def test_the_report_interval_parts_notifications():
    async with upper_level() as upper:
        box = Box([vehicle(1), vehicle(2)])
        lower = client(upper, box, batch=1, held=[wants(upper, report_interval_s=1)])
        async with running(lower):
            await until(lambda: box.acked)
            began = asyncio.get_running_loop().time()
            await box.empty()
        assert asyncio.get_running_loop().time() - began > 0.5


async def test_a_cancelled_subscription_gets_nothing_more():
    async with upper_level() as upper:
        box = Box([])
        lower = client(upper, box)
        wanted = wants(upper)
        ask(lower, wanted)
        lower.desk.receive(Request("PUT", f"/VIID/Subscribes/{wanted.subscription_id}", NOW, body=b"{}"))
        assert lower.desk.held == ()
        box.items.append(vehicle(1))
        async with running(lower):
            await box.empty()
        assert "MotorVehicleListObject" in upper.bodies[0]


async def test_nothing_is_sent_to_a_host_that_is_not_allowed():
    async with upper_level() as upper, upper_level() as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        strange = Subscription("s1", details=("13",), receive_url=f"{elsewhere}/VIID/SubscribeNotifications")
        box = Box([vehicle(1)])
        lower = client(upper, box, held=[strange])
        assert b'"StatusCode":4' in ask(lower, strange).answer.body
        async with running(lower):
            await box.empty()
        assert (len(upper.facts), other.facts) == (1, [])
        other.registered = True
        allowed = Box([vehicle(2)])
        async with running(client(upper, allowed, held=[strange], hosts=frozenset({"localhost"}))):
            await allowed.empty()
        assert numbers(other.facts) == [2]


async def test_a_redirect_is_not_followed():
    async with upper_level() as upper, upper_level() as other:
        other.registered = True
        upper.elsewhere = other.url
        upper.manners.append("redirects")
        box = Box([vehicle(1)])
        with pytest.raises(LinkLost, match="307"):
            await client(upper, box).run()
        assert (other.facts, box.acked) == ([], [])


async def test_a_keepalive_that_is_not_known_registers_again():
    async with upper_level() as upper:
        lower = client(upper, Box([]), keepalive_s=0.02)
        async with running(lower):
            await until(lambda: sum(type(one) is KeptAlive for one in upper.system) >= 2)
            upper.registered = False
            await until(lambda: lower.state.registrations == 2)
            await until(lambda: type(upper.system[-1]) is KeptAlive)


async def test_an_upper_level_that_names_nothing_is_served_one_by_one():
    async with upper_level() as upper:
        box = Box([vehicle(1), vehicle(2)])
        upper.manners.extend(["wrong-id"] * 2)
        async with running(client(upper, box, match_ids=False, batch=1)):
            await box.empty()
        assert box.acked == [1, 2]


async def test_pictures_bound_a_request():
    big = OutImage("i", "scene", b"x" * 70_000, NOW)
    async with upper_level() as upper:
        box = Box([vehicle(number, images=(big,)) for number in range(3)])
        async with running(client(upper, box, batch=10, batch_bytes=1 << 16)):
            await box.empty()
        assert [len(one["MotorVehicleListObject"]["MotorVehicleObject"]) for one in upper.bodies] == [1, 1, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://x"},
        {"url": "http://user@host"},
        {"url": "http://host?x"},
        {"device_id": "1"},
        {"organisation": "x" * 12},
        {"match_ids": False},
        {"typo": 1},
    ],
)
def test_settings_with_mistakes_are_refused(changes):
    good = {"url": "https://host:1/base", "device_id": DEVICE, "organisation": "440499000000"}
    assert UpperLevel(**good).receivers == {"host"}
    with pytest.raises(ValidationError):
        UpperLevel(**(good | changes))
