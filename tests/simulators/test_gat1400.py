"""The simulated camera against the parser behind a real socket."""

import contextlib
from datetime import datetime, timedelta, timezone

import pytest
from aiohttp import web

from drivers.base import Request
from drivers.digest import Login, holds, parse_digest
from drivers.facts import PlateRead
from drivers.gat1400.facts import FaceSeen, KeptAlive, SystemLeft, SystemRegistered
from drivers.gat1400.ids import is_object_id
from drivers.gat1400.library import ViewLibrary
from drivers.gat1400.profile import LibraryMap, LibrarySettings
from simulators.gat1400 import Dialect, Vice, camera

CHINA = timezone(timedelta(hours=8))
DEVICE = "44049900001190000007"
LOGIN = Login("hik", "right")
STANDARD = LibraryMap()


class Library:
    def __init__(self):
        self.parser = ViewLibrary(STANDARD, LibrarySettings())
        self.facts = []
        self.rejected = []
        self.url = ""

    async def serve(self, request):
        if request.path.endswith("/Register"):
            header = request.headers.get("Authorization", "")
            if not header or not holds(LOGIN, "POST", parse_digest(header)):
                return web.Response(status=401, headers={"WWW-Authenticate": 'Digest realm="v", nonce="n", qop="auth"'})
        headers = {name.lower(): value for name, value in request.headers.items()}
        at = datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)
        told = self.parser.receive(Request(request.method, request.path, at, headers, {}, await request.read()))
        self.facts += told.facts
        self.rejected += told.rejected
        return web.Response(status=told.answer.status, body=told.answer.body)


@contextlib.asynccontextmanager
async def library():
    made = Library()
    runner = web.ServerRunner(web.Server(made.serve, access_log=None), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


async def test_a_whole_life():
    async with library() as upper, camera(upper.url, DEVICE, LOGIN) as device:
        assert await device.register()
        assert await device.keep_alive() == 200
        assert await device.ask_time() == datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)
        http, (status,) = await device.see_vehicle("粤Z1234澳", "black")
        assert (http, status.code) == (200, 0)
        assert is_object_id(status.id, CHINA)
        await device.see_face()
        assert await device.leave() == 200
    kinds = [SystemRegistered, KeptAlive, PlateRead, FaceSeen, SystemLeft]
    assert [type(fact) for fact in upper.facts] == kinds
    plate, face = upper.facts[2:4]
    assert (plate.plate, plate.colour, plate.vehicle_colour, plate.camera_lane) == ("粤Z1234澳", "black", "white", 1)
    assert [image.role for image in plate.images] == ["vehicle", "plate"]
    assert face.box == (10, 20, 110, 140)


async def test_a_wrong_password_is_not_let_in():
    async with library() as upper, camera(upper.url, DEVICE, Login("hik", "wrong")) as device:
        assert not await device.register()
    assert upper.facts == []


@pytest.mark.parametrize("dialect", Dialect)
async def test_every_dialect_tells_the_same(dialect):
    async with library() as upper, camera(upper.url, DEVICE, LOGIN, dialect=dialect) as device:
        device.now = lambda: datetime(2026, 5, 1, 8, 30, tzinfo=CHINA)
        http, (status,) = await device.see_vehicle("粤B12345")
    (fact,) = upper.facts
    assert (http, status.code, status.id) == (200, 0, fact.object_id)
    assert (fact.plate, fact.taken_at.isoformat()) == ("粤B12345", "2026-05-01T08:30:00+08:00")
    assert (fact.colour, fact.vehicle_colour, len(fact.images)) == ("blue", "white", 2)
    assert fact.object_id.startswith("made-") is (dialect is Dialect.NAMELESS)


@pytest.mark.parametrize(
    ("vice", "http", "codes", "facts", "images"),
    [
        (Vice.SLOW, 200, [0], 1, 2),
        (Vice.GARBLED, 400, [7], 0, 0),
        (Vice.LYING, 200, [0, 8], 1, 0),
        (Vice.TWICE, 200, [0], 2, 2),
    ],
)
async def test_every_vice_is_survived(vice, http, codes, facts, images):
    async with library() as upper, camera(upper.url, DEVICE, LOGIN, vices=frozenset({vice})) as device:
        got, statuses = await device.see_vehicle("粤B12345")
        assert (got, [one.code for one in statuses]) == (http, codes)
        assert len(upper.facts) == facts
        assert len({fact.object_id for fact in upper.facts}) == min(facts, 1)
        assert all(len(fact.images) == images for fact in upper.facts)
        assert bool(upper.rejected) is (vice in {Vice.GARBLED, Vice.LYING})
        device.vices = frozenset()
        assert (await device.see_vehicle("粤B12346"))[0] == 200
