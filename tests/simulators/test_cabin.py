"""A whole cabin on real sockets: controller on Modbus TCP, reader on TCP, face terminal by HTTP; real judge, real SM2."""

import asyncio
import base64
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from core.clearance.model import Effect, LaneRules, RuleSet
from core.crypto import suite
from core.crypto.signing import SigningKey, TrustedKeys
from core.errors import GatefleetError, LinkLost
from core.identity.tokens import TokenKind, subject_token
from core.messages.cabin_events import BoardingClosed, Ruling
from drivers import registry
from drivers.base import Report, Request
from drivers.cabin.commands import Screen
from drivers.cabin.layout import CabinMap
from drivers.profile import checked_map, read_profile
from edge.clearance import Judge
from edge.lanes.boarding import CloseBoarding, OpenBoarding, Seal, covered
from edge.lanes.cabin import Cabin as CabinLane
from edge.lanes.cabin_words import AskRule, CabinSettings, CabinSilent, Ports, Refused, Step, ToCabin
from edge.lanes.words import Commit, Recorded, Tick
from edge.links.modbus import Life
from edge.links.modbus_url import open_bus, parse_modbus_url
from simulators.cabin import Cabin, Controller, Flaw, Side
from simulators.face_terminal import FaceTerminal
from simulators.modbus import serve_tcp
from simulators.pushing import Misbehaviour, pushing
from simulators.reader import serve_tcp_reader

PROFILES = Path(__file__).parents[2] / "firmware_profiles"
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
KEY = b"a token key of the tests"
# ICAO Doc 9303-4, appendix A: the specimen, whose expiry is long over, so the date of these tests is before it.
SPECIMEN = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<|L898902C36UTO7408122F1204159ZE184226B<<<<<10"
THEN = datetime(2012, 1, 1, 8, 0, tzinfo=UTC)
SUITE = suite("sm")
SIGNER = SigningKey(SUITE.generate())


def driver_of(name):
    profile = read_profile((PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
    driver = registry.driver(profile.driver)
    return profile, driver.make(profile, driver.settings())


class Edge:
    """The smallest runner: one input at a time, what it says in order, every look, a tick in time."""

    def __init__(self, bus_url, settings):
        rules = RuleSet(version=3, timezone="Asia/Shanghai", lanes={"C1": LaneRules(default=Effect.RELEASE)})
        judge = Judge(ruleset=rules, lists=tuple, token_key=KEY, hmac=SUITE.hmac)
        seal = Seal(
            SIGNER.key_id,
            lambda data: base64.urlsafe_b64encode(SIGNER.sign(data)).decode().rstrip("="),
            lambda data: f"sm3:{SUITE.hash(data).hex()}",
        )
        self.lane = CabinLane(
            "C1", settings, Ports(lambda text: judge.judge(text, "C1", "in", THEN), seal, lambda: True)
        )
        self.events = []
        self.refusals = []
        self.changed = asyncio.Event()
        self._queue = asyncio.Queue()
        self._map = driver_of("reference/cabin")[1]
        url = parse_modbus_url(f"{bus_url}?unit=1")
        self.bus = open_bus(url.bus)
        self.unit = self.bus.attach(
            1,
            self._map.polls,
            on_block=lambda poll, values: [self._queue.put_nowait(fact) for fact in self._map.observe(poll, values)],
            on_health=lambda health: self._queue.put_nowait(CabinSilent()) if health.life is Life.SILENT else None,
            timeout_s=0.2,
        )

    def take(self, happened):
        self._queue.put_nowait(happened)

    async def poll(self):
        while True:
            with contextlib.suppress(LinkLost):
                await self.bus.run()
            self.take(CabinSilent())
            await asyncio.sleep(0.05)

    async def work(self):
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(0.05):
                    happened = await self._queue.get()
            except TimeoutError:
                happened = Tick()
            await self._do(happened, lambda: round(clock() * 1000))
            self.changed.set()

    async def _do(self, happened, now_ms):
        for action in self.lane.handle(happened, now_ms()):
            match action:
                case Commit(events=events, answer=answer):
                    self.events += events
                    if answer:
                        await self._do(Recorded(ok=True), now_ms)
                case ToCabin(command=command):
                    with contextlib.suppress(GatefleetError):
                        await self.unit.write(self._map.writes(command), timeout_s=0.5)
                case Refused(why=why):
                    self.refusals.append(why)

    async def until(self, true):
        async with asyncio.timeout(10):
            while not true(self):
                self.changed.clear()
                await self.changed.wait()

    def words(self):
        return [type(event).__name__ for event in self.events]


class World:
    """A cabin, its edge, and what belongs to them."""

    def __init__(self, cabin, edge, server, reader, terminal):
        self.cabin, self.edge, self.server, self.reader, self.terminal = cabin, edge, server, reader, terminal

    async def at(self, step):
        await self.edge.until(lambda edge: edge.lane.step is step)

    async def open(self):
        await self.at(Step.SHUT)
        token = subject_token(TokenKind.DOCUMENT, "UTO/L898902C3", KEY, SUITE.hmac)
        self.edge.take(OpenBoarding(boarding="B1", flight="NX101", stand="12A", officer="P1", at=AT, tokens=(token,)))
        await self.cabin.until(lambda cabin: cabin.screen is Screen.ENTER and not cabin.bolted(Side.ENTRANCE))

    async def go_in(self):
        await self.cabin.until(lambda cabin: not cabin.bolted(Side.ENTRANCE))
        assert self.cabin.push(Side.ENTRANCE)
        self.cabin.step(+1)
        await self.at(Step.ENTERING)
        self.cabin.shut(Side.ENTRANCE)
        await self.cabin.until(lambda cabin: cabin.screen is Screen.DOCUMENT and cabin.bolted(Side.ENTRANCE))

    async def document(self):
        self.reader.show(SPECIMEN)
        await self.cabin.until(lambda cabin: cabin.screen is Screen.FACE)

    async def go_out(self):
        await self.cabin.until(lambda cabin: not cabin.bolted(Side.EXIT))
        assert self.cabin.bolted(Side.ENTRANCE)
        assert self.cabin.push(Side.EXIT)
        self.cabin.step(-1)
        await self.edge.until(lambda edge: edge.lane._seen.occupancy == 0)
        self.cabin.shut(Side.EXIT)
        await self.at(Step.WAITING)


@contextlib.asynccontextmanager
async def face_host(edge):
    profile, parser = driver_of("reference/face-terminal")

    async def handle(request):
        body = await request.read()
        pushed = parser.receive(Request(request.method, "/", AT, body=body))
        for fact in pushed.facts:
            edge.take(fact)
        return web.Response(status=pushed.answer.status, body=pushed.answer.body)

    cap = registry.driver(profile.driver).body_cap
    application = web.Application(client_max_size=cap)
    application.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(application, lingering_time=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def hear(reader, edge):
    host, port = reader.url.removeprefix("tcp://").split(":")
    stream, writer = await asyncio.open_connection(host, int(port))
    codec = driver_of("generic/line-reader")[1]
    try:
        while data := await stream.read(256):
            for output in codec.receive(data):
                if isinstance(output, Report):
                    edge.take(output.fact)
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def world(*flaws, bad=(), settings=None):
    cabin = Cabin(flaws=set(flaws))
    layout = checked_map(driver_of("reference/cabin")[0], CabinMap)
    controller = Controller(cabin, layout)
    async with serve_tcp({1: controller.bank}) as server, serve_tcp_reader() as reader:
        edge = Edge(server.url, settings or CabinSettings())
        async with face_host(edge) as url, pushing(url, misbehaviours=frozenset(bad), now=lambda: AT) as pusher:
            tasks = [asyncio.create_task(one) for one in (edge.poll(), edge.work(), hear(reader, edge))]
            try:
                await reader.wait_connected()
                yield World(cabin, edge, server, reader, FaceTerminal(pusher))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                controller.close()


async def test_an_aircraft_is_met_and_the_summary_is_sealed_with_sm2():
    async with world() as site:
        await site.open()
        await site.go_in()
        await site.document()
        assert await site.terminal.compare(0.5) == 200
        await site.cabin.until(lambda cabin: cabin.screen is Screen.FACE_AGAIN)
        assert await site.terminal.compare(0.95) == 200
        await site.go_out()
        site.edge.take(CloseBoarding(officer="P1", at=AT))
        await site.edge.until(lambda edge: "BoardingClosed" in edge.words())
        assert site.edge.words() == ["BoardingOpened", "PassengerVerified", "PassengerLeft", "BoardingClosed"]
        closed = site.edge.events[-1]
        assert isinstance(closed, BoardingClosed)
        counts = closed.counts
        assert (counts.expected, counts.verified, counts.no_show, counts.adds_up) == (1, 1, 0, True)
        raw = base64.urlsafe_b64decode(closed.signature + "==")
        trusted = TrustedKeys([SIGNER.public])
        assert trusted.verify(closed.key_id, covered(closed.summary), raw)
        assert not trusted.verify(closed.key_id, covered(closed.summary.replace('"verified":1', '"verified":2')), raw)
        assert json.loads(closed.summary)["passengers_digest"].startswith("sm3:")
        assert "ERIKSSON" not in "".join(event.model_dump_json() for event in site.edge.events)


async def test_who_is_held_is_ruled_on_by_the_officer():
    async with world() as site:
        await site.open()
        await site.go_in()
        await site.document()
        for _ in range(3):
            await site.terminal.compare(0.2)
        await site.at(Step.HELD)
        assert (site.cabin.bolted(Side.ENTRANCE), site.cabin.bolted(Side.EXIT)) == (True, True)
        site.edge.take(AskRule("B1-0001", Ruling.RELEASE, "P1", "seen in person"))
        await site.go_out()
        assert site.edge.words()[1:] == ["PassengerHeld", "PassengerRuled", "PassengerLeft"]


@pytest.mark.slow
async def test_an_edge_that_is_gone_locks_nobody_in():
    async with world() as site:
        await site.open()
        await site.go_in()
        site.server.faults[1].dead = True
        await site.edge.until(lambda edge: edge.lane.step is Step.LOST)
        await site.cabin.until(lambda cabin: cabin.trips == 1)
        assert (site.cabin.bolted(Side.ENTRANCE), site.cabin.bolted(Side.EXIT)) == (False, False)
        site.server.faults[1].dead = False
        await site.at(Step.STEPPING_OUT)
        kinds = [event.kind for event in site.edge.events if hasattr(event, "kind")]
        assert kinds == ["io_lost", "lost_sight"]
        await site.cabin.until(lambda cabin: cabin.bolted(Side.EXIT) and not cabin.bolted(Side.ENTRANCE))


async def test_the_emergency_button_needs_nobody():
    async with world() as site:
        await site.open()
        await site.go_in()
        site.cabin.press("emergency")
        assert site.cabin.push(Side.EXIT)
        await site.at(Step.FREE)
        assert not any(site.cabin.powered.values())


async def test_an_exit_whose_bolt_is_stuck_keeps_the_entrance_locked():
    async with world(Flaw.BOLT_STUCK) as site:
        await site.at(Step.SHUT)
        site.edge.take(OpenBoarding(boarding="B1", flight="NX101", stand="12A", officer="P1", at=AT, expected=3))
        await site.at(Step.WAITING)
        await site.edge.until(lambda edge: edge.lane._doors._told_at > 0)
        await asyncio.sleep(0.6)  # longer than settle_ms and some looks: what must not happen has had its time
        assert site.cabin.bolted(Side.ENTRANCE)


async def test_a_suitcase_that_counts_as_a_person_sends_its_owner_out():
    async with world(Flaw.COUNTS_ONE_MORE) as site:
        await site.open()
        site.cabin.push(Side.ENTRANCE)
        site.cabin.step(+1)
        await site.at(Step.ENTERING)
        site.cabin.shut(Side.ENTRANCE)
        await site.at(Step.STEPPING_OUT)
        assert site.edge.events[-1].persons == 2


async def test_a_comparison_told_twice_counts_once_and_what_is_biometric_nowhere():
    async with world(bad=[Misbehaviour.TWICE, Misbehaviour.WRONG_CLOCK, Misbehaviour.SLOW]) as site:
        await site.open()
        await site.go_in()
        await site.document()
        site.terminal.leaks = "face_template"
        assert await site.terminal.compare(0.99) == 400
        site.terminal.leaks = ""
        assert await site.terminal.compare(0.2) == 200
        await site.edge.until(lambda edge: edge.lane.ignored == 1)
        assert (site.edge.lane.step, site.edge.lane._passenger._tries) == (Step.FACE, 1)


@pytest.mark.parametrize("bad", [Misbehaviour.CUT, Misbehaviour.OVERSIZE])
async def test_a_push_that_is_broken_verifies_nobody(bad):
    async with world(bad=[bad]) as site:
        await site.open()
        await site.go_in()
        await site.document()
        assert await site.terminal.compare(0.99) in {0, 400, 413}
        assert site.edge.lane.step is Step.FACE


async def test_a_face_of_the_one_before_that_was_late_is_not_taken_for_the_next():
    async with world() as site:
        await site.open()
        await site.go_in()
        await site.document()
        good, site.terminal.pusher.url = site.terminal.pusher.url, "http://127.0.0.1:1"
        assert await site.terminal.compare(0.99) == 0
        site.terminal.pusher.url = good
        site.cabin.press("egress")
        await site.cabin.until(lambda cabin: not cabin.bolted(Side.ENTRANCE))
        site.cabin.press("egress", on=False)
        site.cabin.push(Side.ENTRANCE)
        site.cabin.step(-1)
        await site.edge.until(lambda edge: edge.lane._seen.occupancy == 0)
        site.cabin.shut(Side.ENTRANCE)
        await site.at(Step.WAITING)
        await site.go_in()
        await site.document()
        assert await site.terminal.push() == 200
        await site.edge.until(lambda edge: edge.lane.ignored == 1)
        assert site.edge.lane.step is Step.FACE
        assert await site.terminal.beat() == 200
