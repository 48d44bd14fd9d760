"""The promises of `edge.push` by their words, then the whole path: camera -> server -> driver -> buffer -> answer."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import BufferUnavailable, Unsupported
from core.messages.commands import ResetDevice
from core.messages.envelope import packed_event
from core.messages.event import Event, Stream
from core.messages.events import DeviceMeasured, Health
from drivers import registry
from drivers.base import Answer, Driver, Pushed, Request, Settings
from drivers.digest import Login
from drivers.dock.facts import SlotChanged
from drivers.facts import DeviceSignal, Fact, Image, Measured, PlateRead
from edge.board import Board
from edge.buffer import open_buffer
from edge.clock import Clock
from edge.ledger import Ledger
from edge.links.http_server import HttpServer, Mount
from edge.links.push_places import Access, place_of
from edge.profiles import load_profile
from edge.push import MAX_WAITING, RETRY_AFTER_S, PushSession, SeenReads
from edge.sections import DeviceSpec
from simulators.hik_anpr import PlateCamera
from simulators.pushing import Misbehaviour, pushing

from .conftest import until

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ASKED = Request("POST", "/", NOON, body=b"x")
SCENE = Image("scene", "image/jpeg", b"\xff\xd8")


def read(name: str = "r1", plate: str = "粤C12345", seconds: float | None = 0, pictures: int = 0) -> PlateRead:
    taken = None if seconds is None else NOON + timedelta(seconds=seconds)
    return PlateRead(plate, object_id=name, taken_at=taken, images=(SCENE,) * pictures)


class Says:
    """A driver that means what it is told to."""

    def __init__(self) -> None:
        self.pushed = Pushed((), Answer(200, b"ok"))

    def means(self, *facts: Fact, rejected: tuple[str, ...] = (), status: int = 200) -> None:
        self.pushed = Pushed(facts, Answer(status, b"ok"), rejected)

    def receive(self, request: Request) -> Pushed:
        return self.pushed


class Deliveries:
    """What was delivered; may wait or fail, once or always."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.gate: asyncio.Event | None = None
        self.failing: int = 0

    async def __call__(self, fact: Fact) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.failing:
            self.failing -= 1
            raise BufferUnavailable("no space left")
        self.facts.append(fact)


@pytest.fixture
def says() -> Says:
    return Says()


@pytest.fixture
def spec(says) -> DeviceSpec:
    profile = load_profile("hikvision/isapi-anpr")
    driver = Driver("said", "plate camera", Settings, lambda *_: says, frozenset(), frozenset(), frozenset())
    return DeviceSpec("cam-1", driver, profile, Settings(), "http-server://127.0.0.1:0/cam", None)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def board(spec, clock, told) -> Board:
    return Board({spec.id: spec}, now=clock.wall, tell=told.append)


@pytest.fixture
def deliveries() -> Deliveries:
    return Deliveries()


@pytest.fixture
def session(spec, board, deliveries) -> PushSession:
    return PushSession(spec, board, deliveries, silent_after_s=0.05)


def counters(board: Board) -> dict[str, int]:
    return dict(board.record("cam-1").counters)


async def test_the_answer_leaves_only_after_every_fact_is_delivered_in_order(session, says, deliveries):
    says.means(read("a"), read("b"))
    deliveries.gate = asyncio.Event()
    waiting = asyncio.create_task(session.handle(ASKED))
    assert not (await asyncio.wait([waiting], timeout=0.05))[0]
    deliveries.gate.set()
    reply = await waiting
    assert (reply.answer.status, reply.answer.body, reply.retry_after_s) == (200, b"ok", 0)
    assert [fact.object_id for fact in deliveries.facts] == ["a", "b"]


async def test_what_cannot_be_committed_is_503_and_comes_again(session, says, deliveries, board):
    says.means(read("a"), read("b"), Measured({"x": 1.0}))
    deliveries.failing = 1
    reply = await session.handle(ASKED)
    assert (reply.answer.status, reply.retry_after_s) == (503, RETRY_AFTER_S)
    assert deliveries.facts == []
    assert (await session.handle(ASKED)).answer.status == 200
    assert [type(fact).__name__ for fact in deliveries.facts] == ["PlateRead", "PlateRead", "Measured"]
    assert counters(board)["not_committed"] == 1


async def test_what_was_committed_of_a_request_that_failed_is_not_delivered_again(session, says, deliveries):
    says.means(read("a"), read("b"))

    class Second(Deliveries):
        async def __call__(self, fact):
            if fact.object_id == "b" and not self.failing:
                self.failing = 1
                raise BufferUnavailable("no space left")
            self.facts.append(fact)

    session._deliver = second = Second()
    assert (await session.handle(ASKED)).answer.status == 503
    assert (await session.handle(ASKED)).answer.status == 200
    assert [fact.object_id for fact in second.facts] == ["a", "b"]


async def test_the_same_again_is_the_same_read(session, says, deliveries, board):
    says.means(read("a"))
    for _ in range(3):
        assert (await session.handle(ASKED)).answer.status == 200
    assert len(deliveries.facts) == 1
    assert counters(board)["repeats"] == 2


async def test_the_same_at_the_same_time_is_delivered_once(session, says, deliveries):
    says.means(read("a"))
    replies = await asyncio.gather(*(session.handle(ASKED) for _ in range(5)))
    assert ([one.answer.status for one in replies], len(deliveries.facts)) == ([200] * 5, 1)


async def test_the_same_read_with_its_pictures_is_delivered(session, says, deliveries):
    for pictures in (0, 2, 0, 2, 1, 3):
        says.means(read("a", pictures=pictures))
        await session.handle(ASKED)
    assert [len(fact.images) for fact in deliveries.facts] == [0, 2, 3]


@pytest.mark.parametrize(
    ("first", "second", "repeat"),
    [
        (read("a", seconds=0), read("a", seconds=60), True),
        (read("a", seconds=0), read("a", seconds=61), False),
        (read("a", seconds=0), read("a", seconds=-61), False),
        (read("a", seconds=None), read("a", seconds=999), True),
        (read("a"), read("a", plate="粤C54321"), True),
        (read("a"), read("b"), False),
        (read(""), read(""), False),
        (read("a"), SlotChanged("a", 1, "full", NOON), False),
        (SlotChanged("a", 1, "full", NOON), SlotChanged("a", 1, "full", NOON), True),
        (Measured({"x": 1.0}), Measured({"x": 1.0}), False),
        (DeviceSignal("motion", on=True), DeviceSignal("motion", on=True), False),
    ],
)
def test_which_reads_are_the_same(first, second, repeat):
    seen = SeenReads()
    assert not seen.is_repeat(first)
    seen.remember(first)
    assert seen.is_repeat(second) is repeat


def test_only_the_last_reads_are_remembered():
    seen = SeenReads(3)
    for name in "abcad":
        seen.remember(read(name))
    assert len(seen) == 3
    assert [name for name in "abcd" if seen.is_repeat(read(name))] == ["a", "c", "d"]


async def test_rejected_parts_are_counted_and_the_driver_s_answer_goes_out(session, says, board):
    says.means(rejected=("no XML", "no plate"), status=400)
    assert (await session.handle(ASKED)).answer.status == 400
    assert counters(board)["rejected"] == 2
    assert board.record("cam-1").findings[0].args["last"] == "no plate"


async def test_at_most_eight_requests_wait(session, says, deliveries, board):
    says.means(read("a"))
    deliveries.gate = asyncio.Event()
    waiting = [asyncio.create_task(session.handle(ASKED)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        late = await session.handle(ASKED)
    assert (late.answer.status, late.retry_after_s) == (503, RETRY_AFTER_S)
    deliveries.gate.set()
    assert {one.answer.status for one in await asyncio.gather(*waiting)} == {200}
    assert (await session.handle(ASKED)).answer.status == 200


async def test_who_waits_too_long_for_its_turn_is_told_to_come_again(session, says, deliveries, monkeypatch):
    monkeypatch.setattr("edge.push._TURN_S", 0.05)
    says.means(read("a"))
    deliveries.gate = asyncio.Event()
    first = asyncio.create_task(session.handle(ASKED))
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        assert (await session.handle(ASKED)).answer.status == 503
    assert not first.done()
    deliveries.gate.set()
    assert (await first).answer.status == 200


async def test_a_bug_of_the_driver_leaves_the_turn_to_the_next(session, says):
    says.pushed = None
    with pytest.raises(AttributeError):
        await session.handle(ASKED)
    says.means(read("a"))
    assert (await session.handle(ASKED)).answer.status == 200


async def test_a_device_that_does_not_push_in_time_is_silent_until_it_does(session, says, board, task, told):
    task(session.run())
    await until(lambda: board.record("cam-1").health is Health.OFFLINE)
    finding = board.record("cam-1").findings[0]
    assert (finding.code, finding.args["error"]) == ("silent", "no request for 0.05 s")
    await session.handle(ASKED)
    assert board.record("cam-1").health is Health.OK
    await until(lambda: board.record("cam-1").health is Health.OFFLINE)
    assert [event.health for event in told] == [Health.OFFLINE, Health.OK, Health.OFFLINE]


async def test_a_device_that_pushes_when_something_happens_is_never_silent(spec, board, deliveries, task):
    watch = task(PushSession(spec, board, deliveries).run())
    assert not (await asyncio.wait([watch], timeout=0.1))[0]
    assert board.record("cam-1").findings[0].code == "never_seen"


async def test_a_refused_login_explains_a_silent_device_and_does_not_harm_one_that_works(session, board):
    session.refused("10.0.0.9: wrong user name or password")
    record = board.record("cam-1")
    assert (record.findings[0].code, record.health) == ("login_refused", Health.OFFLINE)
    await session.handle(ASKED)
    session.refused("10.0.0.9: wrong user name or password")
    assert (record.health, record.counters["logins_refused"]) == (Health.OK, 2)


async def test_the_board_keeps_no_pictures(session, says, board, deliveries):
    says.means(read("a", pictures=2))
    await session.handle(ASKED)
    assert board.record("cam-1").last_fact == read("a")
    assert deliveries.facts == [read("a", pictures=2)]


async def test_such_a_device_is_not_called(session, board):
    with pytest.raises(Unsupported):
        await session.command(ResetDevice())
    session.lost(OSError("address in use"))
    assert board.record("cam-1").findings[0].code == "link_down"


# The whole path


@pytest.fixture
def camera_spec() -> DeviceSpec:
    profile = load_profile("hikvision/isapi-anpr")
    link = "http-server://127.0.0.1:0/anpr/cam-1"
    return DeviceSpec("cam-1", registry.driver("hik-anpr"), profile, Settings(), link, None)


def whole(spec: DeviceSpec, deliver) -> HttpServer:
    clock = Clock()
    board = Board({spec.id: spec}, now=clock.wall, tell=lambda _: None)
    session = PushSession(spec, board, deliver)
    place = place_of(spec.id, spec.link, Access(users={"cam": "env:CAM"}, peers=("127.0.0.0/8",)))
    mount = Mount(place, spec.driver.body_cap, session.handle, {"cam": "secret"}, session.refused)
    return HttpServer([mount], now=clock.wall, monotonic_ms=clock.monotonic_ms)


async def test_a_camera_s_reads_are_in_the_buffer_when_it_hears_200(camera_spec, tmp_path):
    clock = Clock()
    async with open_buffer(tmp_path / "b", 64 << 20, clock.stamp) as buffer:
        ledger = Ledger(buffer, clock.stamp)

        async def deliver(fact: Fact) -> None:
            if isinstance(fact, PlateRead):
                await ledger.commit((DeviceMeasured(device="cam-1", readings={"pictures": len(fact.images)}),))

        server = whole(camera_spec, deliver)
        async with server.serving() as port:
            url = f"http://127.0.0.1:{port}/anpr/cam-1"
            twice = frozenset({Misbehaviour.TWICE})
            async with pushing(url, login=Login("cam", "secret"), misbehaviours=twice) as pusher:
                camera = PlateCamera(pusher)
                for number in range(1, 6):
                    assert await camera.vehicle(f"粤C1234{number}") == 200
                    assert buffer.newest(Stream.TELEMETRY) == number
                assert await camera.heartbeat() == 200
            assert [status for status, _ in pusher.answers] == [200] * 12
        entries = await buffer.read(Stream.TELEMETRY, 0, entries=10, bytes_=10**6)
        assert [packed_event(entry.body)[1]["readings"]["pictures"] for entry in entries] == [2] * 5
        assert buffer.newest(Stream.VITAL) == 0


@pytest.mark.parametrize(
    ("bad", "expected"),
    [(Misbehaviour.OVERSIZE, {413, 0}), (Misbehaviour.DTD, {400}), (Misbehaviour.CUT, {200, 400})],
)
async def test_a_camera_that_misbehaves_is_refused_and_the_next_is_served(camera_spec, bad, expected):
    deliveries = Deliveries()
    server = whole(camera_spec, deliveries)
    async with server.serving() as port:
        url, login = f"http://127.0.0.1:{port}/anpr/cam-1", Login("cam", "secret")
        async with pushing(url, login=login, misbehaviours=frozenset({bad})) as pusher:
            assert await PlateCamera(pusher).vehicle("粤C12345") in expected
        async with pushing(url, login=login, seed=1) as pusher:
            assert await PlateCamera(pusher).vehicle("粤C54321") == 200
    assert deliveries.facts[-1].plate == "粤C54321"
