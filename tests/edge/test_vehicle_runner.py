"""The promises of `edge.roads.lane` by their words, with a store, a barrier and a light that can wait and fail."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from core.clearance.model import Direction, Effect, LaneRules, ListEffect, ListEntry, ListInForce, RuleSet
from core.crypto import suite
from core.errors import BufferUnavailable, DeviceSilent
from core.identity.tokens import TokenKind, subject_token
from core.messages.events import LaneMode
from drivers.barrier.commands import RaiseArm, SetLight
from drivers.barrier.facts import BarrierSeen
from drivers.facts import Image, Measured, PlateRead
from edge.clearance import Judge
from edge.clock import Clock
from edge.devices import _seen_by
from edge.lane import Observers
from edge.lanes.channel import Channel, ChannelMemo, ChannelSettings
from edge.lanes.vehicle_words import Loop, State, VehicleMemo, VehicleSettings
from edge.lanes.words import AskMode, AskOpen
from edge.ledger import Ledger
from edge.roads.lane import _MAX_WAITING, Machinery, VehicleLaneRunner
from edge.roads.plate_cameras import of_lane, of_road
from edge.sections import VehicleSection

from .conftest import START, TOKEN_KEY, Shelf, until

HMAC = suite("intl").hmac
WIRED = frozenset({"approach", "under", "exit"})
LISTED, NEAR, PLAIN = "粤C88901", "粤CB8901", "粤D67F66"


def token(plate):
    return subject_token(TokenKind.PLATE, plate, TOKEN_KEY.encode(), HMAC)


class Ahead(Clock):
    """A clock that can be put forward."""

    ahead_ms = 0

    def monotonic_ms(self):
        return super().monotonic_ms() + self.ahead_ms


@dataclass
class Desk:
    """One lane with everything around it."""

    policy: str = "refuse"
    channel: Channel | None = None
    loops: frozenset = frozenset(Loop(name) for name in WIRED)
    shelf: Shelf = field(default_factory=Shelf)
    commands: list = field(default_factory=list)
    events: list = field(default_factory=list)
    fails: Exception | None = None
    waits: asyncio.Event | None = None
    lit: list = field(default_factory=list)
    light_waits: asyncio.Event | None = None
    lines: list = field(default_factory=list)
    clock: "Ahead" = field(default_factory=lambda: Ahead())

    def __post_init__(self):
        self.start()

    def start(self, memo=None):
        timing = {"reads_wanted": 1, "enter_timeout_ms": 500, "gap_ms": 0, "close_timeout_ms": 200}
        spec = VehicleSection(
            id="L",
            kind="vehicle",
            barrier="BR",
            cameras={"front": "F", "rear": "R"},
            channel="CH" if self.channel else None,
            direction=Direction.IN,
            rules=LaneRules(default=Effect.RELEASE),
            timing={**timing, "when_unrecordable": self.policy},
        )
        block = ListInForce("block", 1, ListEffect.REFUSE, 1, START, {token(LISTED): (ListEntry("E1"),)})
        rules = RuleSet(version=1, timezone="Asia/Shanghai", lanes={"L": spec.rules})
        self.ledger = Ledger(self.shelf, Clock().stamp)
        self.runner = VehicleLaneRunner(
            spec=spec,
            settings=spec.timing.model_copy(update={"loops": self.loops}),
            memo=memo or VehicleMemo(),
            judge=Judge(ruleset=rules, lists=lambda: (block,), token_key=TOKEN_KEY.encode(), hmac=HMAC),
            machinery=Machinery(self.barrier, self.light, self.display),
            ledger=self.ledger,
            clock=self.clock,
            offline=lambda: True,
            new_id=lambda: f"A{len(self.events)}",
            observers=Observers(self.events.append, lambda _: None, lambda _: None),
            channel=self.channel,
        )

    async def barrier(self, command):
        self.commands.append((command, self.shelf.kinds()))
        if self.waits is not None:
            await self.waits.wait()
        if self.fails is not None:
            raise self.fails

    async def light(self, command):
        if self.light_waits is not None:
            await self.light_waits.wait()
        self.lit.append(command)

    async def display(self, lines):
        self.lines.append(lines)

    def sees(self, *occupied, arm="closed"):
        self.runner.observed(BarrierSeen(WIRED, frozenset(occupied), arm))

    async def read(self, plate, camera="F", name=""):
        await self.runner.plate(PlateRead(plate, object_id=name, confidence=0.97), camera)

    async def is_in(self, state):
        await until(lambda: self.runner.lane.state is state)

    def moves(self):
        return [type(command).__name__ for command, _ in self.commands]

    def names(self):
        return [type(event).__name__ for event in self.events]

    async def passes(self):
        """Let a released vehicle through."""
        await self.is_in(State.RELEASING)
        for occupied in (("approach", "under"), ("under", "exit"), ("exit",), ()):
            self.sees(*occupied, arm="open")
        await until(lambda: "LowerArm" in self.moves())
        self.sees()
        await self.is_in(State.IDLE)


async def started(desk, task):
    task(desk.runner.run())
    desk.sees()
    await until(lambda: desk.runner.lane._settled)
    return desk


@pytest.fixture
async def desk(task):
    return await started(Desk(), task)


async def test_one_order_is_judge_then_commit_then_barrier_command(desk):
    desk.shelf.gate = asyncio.Event()
    desk.sees("approach")
    await desk.read(PLAIN)
    await until(lambda: desk.shelf.appends >= 2)
    assert desk.commands == []
    desk.shelf.gate.set()
    await until(lambda: desk.commands)
    command, on_disk = desk.commands[0]
    assert (command, on_disk[-1]) == (RaiseArm(), "VehicleDecided")


async def test_a_read_is_taken_when_plate_returns_and_the_camera_does_not_wait_for_the_barrier(desk):
    desk.waits = asyncio.Event()
    desk.sees("approach")
    await asyncio.wait_for(desk.read(PLAIN), 1)
    assert desk.runner.lane.state is not State.IDLE
    await until(lambda: desk.commands)
    desk.waits.set()


async def test_a_lane_with_too_much_to_do_says_so_and_the_camera_comes_again(desk):
    desk.waits = asyncio.Event()
    desk.sees("approach")
    await desk.read(PLAIN)
    await until(lambda: desk.commands)
    pending = [asyncio.ensure_future(desk.read("", name=f"r{number}")) for number in range(_MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(BufferUnavailable):
        await desk.read(PLAIN)
    assert desk.runner.counters.busy == 1
    desk.waits.set()
    await asyncio.gather(*pending)


@pytest.mark.parametrize("room", [0, 1])
async def test_no_change_of_a_loop_is_forgotten_when_there_is_no_room(desk, room):
    desk.waits = asyncio.Event()
    desk.sees("approach")
    await desk.read(PLAIN)
    await until(lambda: desk.commands)
    pending = [asyncio.ensure_future(desk.read("", name=f"r{number}")) for number in range(_MAX_WAITING - room)]
    await asyncio.sleep(0)
    desk.sees("approach", "under", arm="open")
    desk.waits.set()
    await asyncio.gather(*pending)
    assert desk.runner.lane.state is State.RELEASING
    desk.sees("approach", "under", arm="open")
    await desk.is_in(State.PASSING)


async def test_what_says_nothing_new_is_dropped_at_once(desk):
    desk.sees("approach")
    await until(desk.runner._waiting.empty)
    for _ in range(5):
        desk.sees("approach")
        desk.runner.observed(Measured({"x": 1.0}))
    assert desk.runner._waiting.empty()


async def test_inputs_that_the_lane_does_without_are_not_heard(task):
    desk = await started(Desk(loops=frozenset({Loop.APPROACH, Loop.UNDER})), task)
    desk.sees("exit")
    assert desk.runner._waiting.empty()


async def test_light_and_display_never_hold_up_the_barrier_and_are_told_what_is_true_now(desk):
    await until(lambda: desk.lit == [SetLight(on=False)])
    desk.light_waits = asyncio.Event()
    desk.sees("approach")
    await desk.read(PLAIN)
    await desk.passes()
    assert desk.lit == [SetLight(on=False)]
    desk.light_waits.set()
    await until(lambda: len(desk.lit) == 3)
    assert desk.lit[1:] == [SetLight(on=True), SetLight(on=False)]
    assert desk.lines[-1] == ("欢迎", "Welcome") == desk.runner.shown


async def test_a_light_that_fails_is_tried_again_with_the_next_sign(desk):
    desk.runner._machinery = Machinery(desk.barrier, failing := Failing(), desk.display)
    desk.sees("approach")
    await until(lambda: failing.tried == 1)
    failing.well = True
    await desk.read("")
    await until(lambda: failing.tried == 2)


class Failing:
    def __init__(self):
        self.tried = 0
        self.well = False

    async def __call__(self, command):
        self.tried += 1
        if not self.well:
            raise DeviceSilent("no answer", place="light")


async def test_a_near_reading_of_a_listed_plate_diverts_and_the_plate_itself_is_refused(desk):
    desk.sees("approach")
    await desk.read(NEAR)
    await desk.is_in(State.HELD)
    desk.sees()
    await desk.is_in(State.IDLE)
    desk.sees("approach")
    await desk.read(LISTED)
    await desk.is_in(State.HELD)
    decided = [(event.effect.value, event.fuzzy) for event in desk.events]
    assert decided == [("divert_secondary", True), ("refuse", False)]
    assert (desk.commands, desk.runner.counters.refusals) == ([], 2)


@pytest.mark.parametrize(
    ("policy", "moves", "effect"), [("refuse", [], "refuse"), ("release", ["RaiseArm"], "release")]
)
async def test_with_a_failing_disk_the_lane_does_what_its_policy_says(task, policy, moves, effect):
    desk = await started(Desk(policy=policy), task)
    desk.shelf.fail()
    desk.sees("approach")
    await desk.read(PLAIN)
    await until(lambda: desk.names() == ["VehicleDecided"])
    await until(lambda: desk.runner.lane.state in {State.HELD, State.RELEASING})
    assert desk.moves() == moves
    assert (desk.events[0].effect.value, desk.events[0].unrecorded) == (effect, True)


async def test_a_barrier_that_does_not_answer_is_not_asked_again_and_the_lane_goes_on(desk):
    desk.fails = DeviceSilent("no answer", place="BR")
    desk.sees("approach")
    await desk.read(PLAIN)
    await until(lambda: "VehicleTimedOut" in desk.names())
    assert desk.moves() == ["RaiseArm", "LowerArm"]
    desk.fails = None
    desk.sees()
    await desk.is_in(State.IDLE)
    desk.sees("approach")
    await desk.read("粤H11F22")
    await desk.passes()
    assert desk.names()[-1] == "VehicleCleared"


async def test_the_arm_is_never_told_to_go_down_on_what_was_seen_long_ago(desk):
    desk.sees("approach")
    await desk.read(PLAIN)
    await desk.is_in(State.RELEASING)
    desk.sees("approach", arm="open")
    await until(desk.runner._waiting.empty)
    desk.clock.ahead_ms = 3_000
    await until(lambda: "VehicleTimedOut" in desk.names())
    assert desk.moves() == ["RaiseArm"]
    # Seen again with a vehicle in the line: the arm stays up until that has left.
    desk.sees("under", arm="open")
    await desk.is_in(State.INTRUDED)
    assert desk.moves() == ["RaiseArm"]
    desk.sees("exit", arm="open")
    await until(lambda: desk.moves() == ["RaiseArm", "LowerArm"])


async def test_a_passage_that_nobody_saw_end_is_cleared_once_when_the_board_is_seen_again(desk):
    desk.sees("approach")
    await desk.read(PLAIN)
    await desk.is_in(State.RELEASING)
    desk.sees("approach", "under", arm="open")
    await desk.is_in(State.PASSING)
    desk.clock.ahead_ms = 3_000
    desk.sees(arm="open")
    await until(lambda: desk.moves() == ["RaiseArm", "LowerArm"])
    assert desk.names() == ["VehicleDecided", "VehicleCleared"]
    assert desk.events[-1].recovered


@pytest.mark.parametrize(("arm", "again"), [("open", ["LowerArm"]), ("closed", [])])
async def test_an_arm_that_could_not_be_told_is_told_once_more_when_it_is_seen_up(desk, arm, again):
    assert await desk.runner.ask(AskMode(LaneMode.FREE, "anna", "drill")) == ""
    desk.fails = DeviceSilent("no answer", place="BR")
    await desk.runner.ask(AskMode(LaneMode.NORMAL, "anna", "drill"))
    assert desk.moves() == ["RaiseArm", "LowerArm"]
    desk.fails = None
    for ahead_ms in (1_000, 1_900, 2_500, 3_000, 3_500):
        desk.clock.ahead_ms = ahead_ms
        desk.sees(arm=arm)
        await until(desk.runner._waiting.empty)
        await asyncio.sleep(0)
    await until(lambda: desk.runner.lane._settled)
    await until(lambda: desk.moves()[2:] == again)


async def test_what_a_person_wants_is_answered_with_what_did_not_work(desk):
    assert await desk.runner.ask(AskMode(LaneMode.FREE, "anna", "drill")) == ""
    desk.fails = DeviceSilent("no answer", place="BR")
    assert "no answer" in await desk.runner.ask(AskMode(LaneMode.NORMAL, "anna", "drill"))
    desk.sees("under", arm="open")
    await until(desk.runner._waiting.empty)
    assert "try again" in await desk.runner.ask(AskOpen("A9", Direction.IN, "anna", "luggage"))


async def test_a_channel_s_memo_is_committed_with_the_leg_that_changed_it(task):
    desk = await started(Desk(channel=Channel("CH", ChannelSettings(barriers=(1, 2)))), task)
    desk.sees("approach")
    await desk.read(PLAIN)
    failed = []

    async def append(packed, memo=None, inner=desk.shelf.append):
        bodies = [one.body for one in packed]
        if any(b"VehicleCleared" in body for body in bodies):
            failed.append(set(memo or {}))
        return await inner(packed, memo)

    desk.shelf.append = append
    await desk.passes()
    assert failed == [{"lane/L", "channel/CH"}]
    memo = ChannelMemo.model_validate_json(desk.shelf.memo_["channel/CH"])
    assert [leg.barrier for one in memo.open for leg in one.legs] == [1]


async def test_a_channel_ends_what_is_overdue_by_the_lane_s_time(task):
    settings = ChannelSettings(barriers=(1, 2), travel_timeout_ms=1_000)
    desk = await started(Desk(channel=Channel("CH", settings)), task)
    desk.sees("approach")
    await desk.read(PLAIN)
    await desk.passes()
    await until(lambda: "ChannelPassed" in desk.names(), 3)
    assert (desk.events[-1].missing, desk.events[-1].timed_out) == ((2,), True)
    assert desk.shelf.kinds()[-1] == "ChannelPassed"


async def test_a_lane_that_failed_itself_begins_anew_with_what_it_remembers(task):
    desk = Desk()
    first = asyncio.create_task(desk.runner.run())
    desk.sees()
    await until(lambda: desk.runner.lane._settled)
    desk.sees("approach")
    await desk.read(PLAIN)
    await desk.is_in(State.RELEASING)
    desk.sees("approach", "under", arm="open")
    await desk.is_in(State.PASSING)
    first.cancel()
    await asyncio.wait([first])
    task(desk.runner.run())
    desk.sees("exit", arm="open")
    await until(lambda: "VehicleCleared" in desk.names())
    assert desk.names().count("VehicleCleared") == 1
    assert desk.events[-1].recovered


def test_a_board_that_only_lights_a_lane_is_none_of_its_eyes(desk):
    around = SimpleNamespace(lanes={"L": desk.runner})
    lit = BarrierSeen(WIRED, frozenset({"under"}), "open")
    _seen_by(SimpleNamespace(id="LIT", lane="L"), around)(lit)
    _seen_by(SimpleNamespace(id="OTHER", lane=None), around)(lit)
    assert desk.runner._waiting.empty()
    _seen_by(SimpleNamespace(id="BR", lane="L"), around)(lit)
    assert not desk.runner._waiting.empty()


async def test_a_lane_s_camera_hands_on_reads_without_pictures_and_all_else_to_the_others(desk):
    others = []

    async def other(fact):
        others.append(fact)

    taken = []

    async def plate(read, device):
        taken.append((read, device))

    desk.runner.plate = plate
    deliver = of_lane(desk.runner, "R", other)
    await deliver(PlateRead(PLAIN, images=(Image("scene", "image/jpeg", b"x"),)))
    await deliver(Measured({"x": 1.0}))
    assert taken == [(PlateRead(PLAIN), "R")]
    assert others == [Measured({"x": 1.0})]


async def test_a_read_of_the_road_is_durable_when_it_is_delivered_or_refused():
    shelf = Shelf()

    async def other(fact):
        raise AssertionError(fact)

    deliver = of_road("CAM", shelf, Clock().stamp, token, other)
    await deliver(PlateRead(PLAIN.lower(), confidence=0.5, direction="depart"))
    ((kind, data),) = shelf.rows
    assert (kind, data["plate_tokens"], data["direction"]) == ("gatefleet.RoadPlateSeen.v1", [token(PLAIN)], "depart")
    shelf.fail()
    with pytest.raises(BufferUnavailable):
        await deliver(PlateRead(PLAIN))
    assert len(shelf.rows) == 1


def test_the_settings_of_a_lane_say_which_camera_is_where():
    spec = Desk().runner.spec
    assert [spec.cameras.role(camera).value for camera in ("F", "R")] == ["front", "rear"]
    assert spec.devices == {"barrier": "BR", "front": "F", "rear": "R"}
    assert isinstance(spec.timing, VehicleSettings)


async def test_the_arm_goes_down_only_after_one_more_look_that_saw_nothing_in_its_line(desk):
    desk.sees("approach")
    await desk.read(PLAIN)
    await desk.is_in(State.RELEASING)
    desk.sees("under", arm="open")
    await desk.is_in(State.PASSING)
    desk.sees("exit", arm="open")
    await desk.is_in(State.CLOSING)
    desk.sees("under", arm="open")
    await until(lambda: "VehicleAnomaly" in desk.names())
    assert "LowerArm" not in desk.moves()
    desk.sees(arm="open")
    await until(lambda: "LowerArm" in desk.moves())
