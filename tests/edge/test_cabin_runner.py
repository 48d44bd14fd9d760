"""The promises of `edge.cabins.lane` by their words, with a store, a controller and a screen that can wait and fail."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from core.clearance.model import Direction, Effect, LaneRules, RuleSet
from core.crypto import suite
from core.errors import BufferUnavailable, DeviceSilent
from core.messages.cabin_events import Ruling
from core.messages.events import LaneMode
from drivers.cabin.commands import SetDoors, ShowScreen
from drivers.cabin.facts import CabinObserved, Door
from drivers.face_terminal.facts import FaceCompared
from drivers.facts import CredentialRead, Measured
from edge.cabins.lane import _MAX_WAITING, CabinRunner
from edge.cabins.metrics import CabinMetrics
from edge.clearance import Judge
from edge.clock import Clock
from edge.lane import Observers
from edge.lanes.boarding import CloseBoarding, OpenBoarding, Seal
from edge.lanes.cabin import Cabin as Machine
from edge.lanes.cabin_words import AskRule, CabinMemo, Step
from edge.lanes.words import AskMode, AskOpen
from edge.ledger import Ledger
from edge.sections import CabinSection
from simulators.cabin import Cabin, Side
from simulators.people import specimen

from .conftest import TOKEN_KEY, Shelf, until

HMAC = suite("intl").hmac
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ANN, BOB = specimen(1), specimen(2)
WATCHDOG_MS = 1_500


class Ahead(Clock):
    """A clock that can be put forward."""

    ahead_ms = 0

    def monotonic_ms(self):
        return super().monotonic_ms() + self.ahead_ms


@dataclass
class Desk:
    """One cabin with everything around it; the machinery is the simulated one, looks are asked for by the test."""

    shelf: Shelf = field(default_factory=Shelf)
    cabin: Cabin = field(default_factory=Cabin)
    commands: list = field(default_factory=list)
    screens: list = field(default_factory=list)
    events: list = field(default_factory=list)
    findings: dict = field(default_factory=dict)
    fails: Exception | None = None
    screen_waits: asyncio.Event | None = None
    clock: Ahead = field(default_factory=Ahead)
    policy: str = "hold"
    faces: int = 0
    crashes: int = 0
    serving: asyncio.Task | None = None
    looking: asyncio.Task | None = None

    def __post_init__(self):
        self.start(CabinMemo())

    def start(self, memo):
        rules = LaneRules(default=Effect.RELEASE)
        timing = {
            "settle_ms": 60,
            "again_ms": 100,
            "document_timeout_ms": 5_000,
            "officer_timeout_ms": 900,
            "when_unrecordable": self.policy,
        }
        names = {"cabin": "IO", "reader": "RD", "face": "FT"}
        spec = CabinSection(id="C1", kind="cabin", direction=Direction.IN, rules=rules, timing=timing, **names)
        ruleset = RuleSet(version=1, timezone="Asia/Shanghai", lanes={"C1": rules})
        self.registry = CollectorRegistry()
        self.ledger = Ledger(self.shelf, self.clock.stamp)
        self.runner = CabinRunner(
            spec=spec,
            memo=memo,
            judge=Judge(ruleset=ruleset, lists=lambda: (), token_key=TOKEN_KEY.encode(), hmac=HMAC),
            seal=Seal("K1", lambda data: f"signed {len(data)}", lambda data: f"len:{len(data)}"),
            watchdog_ms=WATCHDOG_MS,
            command=self.command,
            ledger=self.ledger,
            clock=self.clock,
            offline=lambda: True,
            observers=Observers(self.events.append, lambda _: None, lambda _: None),
            metrics=CabinMetrics(self.registry),
            noted=lambda name, finding: self.findings.update({name: finding}),
        )

    async def command(self, command):
        match command:
            case SetDoors(entrance_locked=entrance, exit_locked=exit_):
                self.commands.append((command, self.shelf.kinds()))
                if self.fails is not None:
                    raise self.fails
                self.cabin.power(Side.ENTRANCE, on=entrance)
                self.cabin.power(Side.EXIT, on=exit_)
            case ShowScreen(screen=screen):
                if self.screen_waits is not None:
                    await self.screen_waits.wait()
                self.screens.append(screen)
                self.cabin.show(screen)

    def look(self, **more):
        """Have the controller looked at once."""
        cabin = self.cabin
        doors = (Door(side not in cabin.opened, cabin.bolted(side)) for side in Side)
        buttons = {button: button in cabin.pressed for button in ("call", "egress", "emergency")}
        self.runner.observed(CabinObserved(*doors, cabin.persons, **buttons, power_ok=cabin.mains, **more))

    async def supervised(self):
        """Run it again when it fails, as the daemon does."""
        while True:
            try:
                await self.runner.run()
            except ExceptionGroup:
                self.crashes += 1

    async def keep_looking(self):
        while True:
            self.look()
            await asyncio.sleep(0.02)

    async def is_at(self, step):
        await until(lambda: self.runner.lane.step is step)

    async def opened(self, **more):
        wanted = {"boarding": "B1", "flight": "NX101", "stand": "12A", "officer": "P1", "at": AT, "expected": 3}
        assert await self.runner.ask(OpenBoarding(**wanted | more)) == ""
        await self.is_at(Step.WAITING)

    async def goes(self, side, persons):
        await self.cabin.until(lambda cabin: not cabin.bolted(side), 5)
        assert self.cabin.push(side)
        await asyncio.sleep(0.05)
        self.cabin.step(persons)
        await asyncio.sleep(0.05)
        self.cabin.shut(side)

    async def enters(self, persons=1):
        await self.goes(Side.ENTRANCE, persons)
        await self.is_at(Step.DOCUMENT if persons == 1 else Step.STEPPING_OUT)

    async def document(self, text):
        await self.runner.credential(CredentialRead(text))

    async def face(self, score=0.95, age_ms=0, attempt=None, pushed_ms=None):
        self.faces += 1
        await self.runner.face(FaceCompared(attempt or f"F{self.faces}", score, age_ms, 0.99, pushed_ms=pushed_ms))

    async def mismatches(self):
        for _ in range(3):
            await self.face(0.1)
        await self.is_at(Step.HELD)

    def names(self):
        return [type(event).__name__ for event in self.events]

    def anomalies(self):
        return [event.kind.value for event in self.events if type(event).__name__ == "CabinAnomaly"]

    @property
    def locks(self):
        return self.cabin.powered[Side.ENTRANCE], self.cabin.powered[Side.EXIT]


async def started(desk, task):
    desk.serving = task(desk.supervised())
    desk.looking = task(desk.keep_looking())
    await until(lambda: desk.runner.lane.step is not Step.LOST)
    return desk


@pytest.fixture
async def desk(task):
    return await started(Desk(), task)


@pytest.fixture
async def inside(desk):
    """One passenger is in, and the document is not read yet."""
    await desk.opened()
    await desk.enters()
    return desk


# -- 1: verify, commit, exit -------------------------------------------------------------------------------------------


async def test_the_exit_is_freed_only_after_the_record_is_on_the_disk(inside):
    await inside.document(ANN)
    inside.shelf.gate = asyncio.Event()
    waiting = asyncio.ensure_future(inside.face())
    await inside.is_at(Step.RECORDING)
    await asyncio.sleep(0.3)
    assert inside.locks == (True, True)
    assert not waiting.done()
    inside.shelf.gate.set()
    await waiting
    await inside.cabin.until(lambda cabin: not cabin.bolted(Side.EXIT), 2)
    command, on_disk = inside.commands[-1]
    assert (command.exit_locked, command.entrance_locked, on_disk[-1]) == (False, True, "PassengerVerified")


async def test_a_record_that_cannot_be_made_durable_holds_and_the_officer_can_release_when_it_can(inside):
    await inside.document(ANN)
    inside.shelf.fail()
    await inside.face()
    await inside.is_at(Step.HELD)
    assert inside.locks == (True, True)
    assert inside.findings["cabin record"].code == "cabin_no_record"
    attempt = inside.runner.boarding_words()["held"]
    refusal = await inside.runner.ask(AskRule(attempt, Ruling.RELEASE, "P1", "seen"))
    assert refusal == "the release cannot be recorded now"
    inside.shelf.mend()
    assert await inside.ledger._pay()
    assert await inside.runner.ask(AskRule(attempt, Ruling.RELEASE, "P1", "seen")) == ""
    await inside.goes(Side.EXIT, -1)
    await inside.is_at(Step.WAITING)
    assert inside.findings["cabin record"] is None
    assert inside.runner.lane.memo.boarding.counts.released_by_officer == 1


# -- 2: a way out waits for no record ----------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["emergency", "mains"])
async def test_while_the_disk_hangs_an_emergency_frees_both_doors_at_once(inside, why):
    await inside.document(ANN)
    inside.shelf.gate = asyncio.Event()
    waiting = asyncio.ensure_future(inside.face())
    await inside.is_at(Step.RECORDING)
    began = asyncio.get_running_loop().time()
    if why == "mains":
        inside.cabin.mains = False
    else:
        inside.cabin.pressed.add("emergency")
    inside.look()
    async with asyncio.timeout(1):
        while any(inside.locks):
            await asyncio.sleep(0.005)
    assert asyncio.get_running_loop().time() - began < 0.1
    await asyncio.sleep(0.3)
    assert inside.locks == (False, False)
    inside.shelf.gate.set()
    await waiting
    await inside.is_at(Step.FREE)
    assert inside.locks == (False, False)


async def test_what_the_lane_wanted_before_it_knew_of_the_emergency_locks_no_door(inside):
    await inside.document(ANN)
    await inside.face()
    await inside.cabin.until(lambda cabin: not cabin.bolted(Side.EXIT), 2)
    inside.cabin.push(Side.EXIT)
    await asyncio.sleep(0.1)
    inside.cabin.step(-1)
    inside.shelf.gate = asyncio.Event()
    inside.cabin.shut(Side.EXIT)
    await until(lambda: inside.runner._committing_ms is not None)
    told = len(inside.commands)
    inside.cabin.pressed.add("emergency")
    await until(lambda: len(inside.commands) > told)
    inside.shelf.gate.set()
    await inside.is_at(Step.FREE)
    free = SetDoors(entrance_locked=False, exit_locked=False)
    assert {command for command, _ in inside.commands[told:]} == {free}


async def test_while_the_disk_hangs_the_egress_button_frees_the_entrance_and_never_the_exit(inside):
    inside.shelf.gate = asyncio.Event()
    await inside.document("P<UTO<<unreadable")
    reading = [asyncio.ensure_future(inside.document(f"P<UTO<<unreadable{number}")) for number in range(2)]
    await until(lambda: inside.runner._committing_ms is not None)
    inside.cabin.press("egress")
    await asyncio.sleep(0.1)
    inside.cabin.press("egress", on=False)
    await inside.cabin.until(lambda cabin: not cabin.bolted(Side.ENTRANCE), 2)
    assert inside.locks == (False, True)
    await inside.goes(Side.ENTRANCE, -1)
    inside.shelf.gate.set()
    await asyncio.gather(*reading)
    await inside.is_at(Step.WAITING)
    assert "egress" in inside.anomalies()


async def test_without_a_button_nothing_is_freed_while_the_disk_hangs(inside):
    await inside.document(ANN)
    inside.shelf.gate = asyncio.Event()
    waiting = asyncio.ensure_future(inside.face())
    await asyncio.sleep(0.8)
    assert inside.locks == (True, True)
    inside.shelf.gate.set()
    await waiting


async def test_who_went_back_while_the_record_of_the_release_was_made_is_not_let_in_behind_it(inside):
    """The exit is freed only when the entrance is bolted again, and the lane finds out that nobody left."""
    await inside.document(ANN)
    inside.shelf.gate = asyncio.Event()
    waiting = asyncio.ensure_future(inside.face())
    await inside.is_at(Step.RECORDING)
    inside.cabin.press("egress")
    await inside.cabin.until(lambda cabin: not cabin.bolted(Side.ENTRANCE), 2)
    inside.cabin.press("egress", on=False)
    inside.cabin.push(Side.ENTRANCE)
    inside.shelf.gate.set()
    await waiting
    await inside.is_at(Step.RELEASING)
    await asyncio.sleep(0.3)
    assert inside.locks[1]
    inside.cabin.step(-1)
    inside.cabin.shut(Side.ENTRANCE)
    await inside.cabin.until(lambda cabin: not cabin.bolted(Side.EXIT), 2)
    assert inside.locks[0]


# -- 3: faces ----------------------------------------------------------------------------------------------------------


async def test_a_face_that_waited_here_is_as_old_as_it_is(inside):
    """Taken before the document was read, pushed before it was, handled after it: it is somebody else's."""
    inside.shelf.gate = asyncio.Event()
    opening = asyncio.ensure_future(inside.runner.ask(AskMode(LaneMode.NORMAL, "t", "t")))
    await until(lambda: inside.runner._committing_ms is not None)
    reading = asyncio.ensure_future(inside.document(ANN))
    await asyncio.sleep(0)
    pushing = asyncio.ensure_future(inside.face())
    await asyncio.sleep(0.2)
    inside.shelf.gate.set()
    await asyncio.gather(opening, reading, pushing)
    assert (inside.runner.lane.step, inside.runner.lane.ignored) == (Step.FACE, 1)
    await inside.face()
    await inside.is_at(Step.RELEASING)


async def test_a_face_whose_push_came_slowly_is_as_old_as_it_is(inside):
    """Its push began before the document was read, and was whole after it."""
    began_ms = inside.clock.monotonic_ms()
    await asyncio.sleep(0.05)
    await inside.document(ANN)
    await inside.face(pushed_ms=began_ms)
    assert (inside.runner.lane.step, inside.runner.lane.ignored) == (Step.FACE, 1)
    await inside.face(pushed_ms=inside.clock.monotonic_ms())
    await inside.is_at(Step.RELEASING)


async def test_a_cabin_with_too_much_to_do_says_so_and_the_terminal_comes_again(inside):
    await inside.document(ANN)
    inside.shelf.gate = asyncio.Event()
    pending = [asyncio.ensure_future(inside.face(attempt=f"P{number}")) for number in range(_MAX_WAITING + 1)]
    await asyncio.sleep(0.05)
    with pytest.raises(BufferUnavailable):
        await inside.face()
    assert await inside.runner.ask(AskMode(LaneMode.LOCKED, "t", "t")) == "the cabin has too much to do"
    await inside.document(BOB)
    inside.shelf.gate.set()
    assert len(await asyncio.gather(*pending, return_exceptions=True)) > _MAX_WAITING


async def test_a_face_whose_lane_stopped_is_not_answered_as_taken(inside, monkeypatch):
    await inside.document(ANN)
    inside.looking.cancel()
    with monkeypatch.context() as patched:
        patched.setattr(Machine, "handle", lambda *_: 1 / 0)
        with pytest.raises(BufferUnavailable):
            await inside.face()
    await until(lambda: inside.crashes == 1)


# -- 4: silence --------------------------------------------------------------------------------------------------------


async def test_a_controller_that_is_not_seen_as_long_as_its_watchdog_waits_is_lost(inside):
    inside.looking.cancel()
    await asyncio.sleep(1.0)
    assert inside.runner.lane.step is Step.DOCUMENT
    await inside.is_at(Step.LOST)
    assert "io_lost" in inside.anomalies()


async def test_looks_with_a_gap_as_long_as_the_watchdog_are_of_another_life(inside, task):
    inside.looking.cancel()
    await asyncio.sleep(0.05)
    inside.clock.ahead_ms += WATCHDOG_MS
    inside.cabin.trip()
    task(inside.keep_looking())
    await until(lambda: "lost_sight" in inside.anomalies())
    assert inside.anomalies()[:1] == ["io_lost"]
    assert not [event for event in inside.names() if event == "PassengerVerified"]


async def test_the_first_look_is_no_loss(desk):
    assert desk.anomalies() == []


# -- 5: the screen -----------------------------------------------------------------------------------------------------


async def test_a_screen_that_hangs_holds_up_no_door_and_then_shows_what_is_true(task):
    desk = Desk(screen_waits=asyncio.Event())
    await started(desk, task)
    await desk.opened()
    await desk.enters()
    await desk.document(ANN)
    await desk.face()
    await desk.goes(Side.EXIT, -1)
    await desk.is_at(Step.WAITING)
    assert desk.screens == []
    desk.screen_waits.set()
    await until(lambda: desk.screens)
    assert [screen.value for screen in desk.screens][-1] == "enter"
    assert len(desk.screens) <= 2


# -- doors that do not obey --------------------------------------------------------------------------------------------


async def test_doors_that_could_not_be_told_are_told_again_and_found(desk):
    desk.fails = DeviceSilent("no answer")
    await desk.runner.ask(OpenBoarding(boarding="B1", flight="NX1", stand="1", officer="P", at=AT, expected=1))
    await until(lambda: desk.findings.get("cabin command") is not None)
    assert desk.findings["cabin command"].code == "cabin_command_failed"
    desk.fails = None
    await desk.cabin.until(lambda cabin: not cabin.bolted(Side.ENTRANCE), 5)
    await until(lambda: desk.findings["cabin command"] is None)


@pytest.mark.parametrize(
    ("shown", "name", "code"),
    [
        ({"faults": frozenset({"sensor_dirty"})}, "cabin sensor sensor_dirty", "cabin_sensor"),
        ({"faults": frozenset({"count_stale"})}, "cabin sensor count_stale", "cabin_count_stale"),
    ],
)
async def test_what_the_sensor_tells_is_a_finding_until_it_is_over(desk, shown, name, code):
    desk.look(**shown)
    assert desk.findings[name].code == code
    desk.look()
    assert desk.findings[name] is None


async def test_a_bolt_that_does_not_shoot_a_cabin_without_mains_and_an_emergency_are_findings(desk):
    await until(lambda: desk.locks == (True, True))
    desk.looking.cancel()
    desk.cabin.powered[Side.EXIT] = False
    desk.clock.ahead_ms += 3_100
    desk.runner._seen_ms = desk.clock.monotonic_ms()
    desk.look()
    assert desk.findings["cabin bolt exit"].args == {"door": "exit"}
    assert desk.findings.get("cabin bolt entrance") is None
    desk.cabin.powered[Side.EXIT] = True
    desk.cabin.mains = False
    desk.cabin.press("emergency")
    desk.look()
    assert {desk.findings[name].code for name in ("cabin power", "cabin emergency")} == {
        "cabin_power",
        "cabin_emergency",
    }
    await until(lambda: desk.findings.get("cabin mode") is not None)
    assert desk.findings["cabin mode"].args == {"mode": "emergency"}


async def test_an_officer_who_does_not_come_is_called_by_a_finding_until_the_ruling(inside):
    await inside.document(ANN)
    await inside.mismatches()
    await until(lambda: "officer_late" in inside.anomalies())
    attempt = inside.runner.boarding_words()["held"]
    assert inside.findings["cabin waits"].args == {"attempt": attempt}
    assert await inside.runner.ask(AskRule(attempt, Ruling.AGAIN, "P1", "once more")) == ""
    assert inside.findings["cabin waits"] is None
    await inside.is_at(Step.DOCUMENT)


# -- restarts ----------------------------------------------------------------------------------------------------------


async def test_a_new_life_takes_up_the_visit_with_its_memo_and_counts_nobody_twice(inside, task):
    await inside.document(ANN)
    inside.serving.cancel()
    memo = CabinMemo.model_validate_json(inside.shelf.memo_[inside.runner.memo_key])
    assert memo.boarding.visits == 1
    inside.start(memo)
    task(inside.runner.run())
    await inside.is_at(Step.DOCUMENT)
    await inside.document(ANN)
    await inside.face()
    await inside.goes(Side.EXIT, -1)
    await inside.is_at(Step.WAITING)
    await until(lambda: "PassengerLeft" in inside.names())
    counts = inside.runner.lane.memo.boarding.counts
    assert (counts.seen, counts.verified, inside.runner.lane.memo.boarding.visits) == (1, 1, 1)


async def test_a_task_that_failed_is_run_again_as_after_a_restart(inside, monkeypatch):
    before = inside.runner.lane
    with monkeypatch.context() as patched:
        patched.setattr(Machine, "handle", lambda *_: 1 / 0)
        await until(lambda: inside.crashes)
    await until(lambda: inside.runner.lane is not before)
    await inside.is_at(Step.DOCUMENT)
    await inside.document(ANN)
    await inside.face()
    await inside.is_at(Step.RELEASING)


# -- words and numbers -------------------------------------------------------------------------------------------------


async def test_a_cabin_is_not_opened_by_hand_and_closes_only_when_nobody_is_in(inside):
    assert "rule on who is held" in await inside.runner.ask(AskOpen("A", Direction.IN, "t", "t"))
    assert await inside.runner.ask(CloseBoarding(officer="P1", at=AT)) == "somebody is in the cabin"


async def test_a_reader_that_repeats_itself_shows_one_document(inside):
    for _ in range(3):
        await inside.document("P<UTO<<unreadable")
    assert inside.runner.lane.step is Step.DOCUMENT
    assert inside.runner.counters.busy == 2


async def test_the_lane_tells_what_it_is_and_its_mode(desk):
    assert desk.shelf.rows[0][1]["kind"] == "cabin"
    assert desk.shelf.rows[0][1]["devices"] == {"cabin": "IO", "reader": "RD", "face": "FT"}
    await desk.runner.ask(AskMode(LaneMode.LOCKED, "t", "t"))
    assert desk.shelf.kinds()[-2:] == ["LaneModeChanged", "LaneSeen"]
    assert desk.shelf.rows[-1][1]["mode"] == "locked"


async def test_what_is_no_look_is_none(desk):
    desk.runner.observed(Measured({"x": 1.0}))
    await desk.runner.credential(Measured({"x": 1.0}))


async def test_the_numbers_are_there_to_be_scraped(inside):
    await inside.document(ANN)
    await inside.mismatches()
    attempt = inside.runner.boarding_words()["held"]
    await inside.runner.ask(AskRule(attempt, Ruling.REFUSE, "P1", "not the holder"))
    await inside.goes(Side.ENTRANCE, -1)
    await inside.is_at(Step.WAITING)
    await inside.enters(2)
    told = generate_latest(inside.registry).decode()
    for line in (
        'gatefleet_cabin_visits_total{lane="C1",outcome="held"} 1.0',
        'gatefleet_cabin_visits_total{lane="C1",outcome="officer_refuse"} 1.0',
        'gatefleet_cabin_holds_total{lane="C1",why="face_mismatch"} 1.0',
        'gatefleet_cabin_anomalies_total{kind="crowded",lane="C1"} 1.0',
        'gatefleet_cabin_step_seconds_count{lane="C1",step="document"} 1.0',
        'gatefleet_cabin_ignored_total{lane="C1"} 0.0',
    ):
        assert line in told, told
    assert (inside.runner.counters.refusals, inside.runner.counters.anomalies) == (1, 1)
    assert "B1" not in told
