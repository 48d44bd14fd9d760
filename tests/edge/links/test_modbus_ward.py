"""Rates, probes and gates of a bus's polls, in made-up time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from core.errors import FrameInvalid
from drivers.base import Poll, Space
from drivers.modbus_client import question
from drivers.modbus_pdu import poll_request
from edge.links.modbus_health import Counters, Life, Timing, UnitHealth
from edge.links.modbus_schedule import Grade, Schedule, Slot
from edge.links.modbus_ward import Patient, Ward

TIMING = Timing(timeout_s=0.5, dead_after=3, probe_first_s=1.0, probe_max_s=30.0)
ANSWER_S = 0.01


@dataclass
class World:
    """A bus in made-up time: `dead` units and `mute` polls cost a time-out, everything else an answer."""

    timing: Timing = TIMING
    numbered: bool = False
    now_s: float = 1000.0
    dead: set[int] = field(default_factory=set)
    mute: set[tuple[int, str]] = field(default_factory=set)
    told: list[UnitHealth] = field(default_factory=list)
    asked: list[tuple[float, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ward = Ward(timing=self.timing, numbered=self.numbered, jitter=lambda: 0.5)

    def add(self, unit: int, *intervals_ms: int) -> Patient:
        patient = Patient(unit, 0.5, lambda *_: None, self.told.append, UnitHealth(unit, Life.UNKNOWN))
        polls = [Poll("abcdef"[n], Space.HOLDING, n, 1, every) for n, every in enumerate(intervals_ms)]
        self.ward.admit(patient, [(poll, question(unit, poll_request(poll))) for poll in polls])
        self.ward.begin(patient, self.now_s)
        return patient

    def live(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.now_s + seconds
        while self.now_s <= end_s:
            slot, wait_s = self.ward.next(self.now_s)
            if slot is not None:
                self.serve(slot.item.patient, slot.item.poll.name, slot)
                continue
            if wait_s is None or self.now_s + wait_s > end_s:
                break
            self.now_s += wait_s + 1e-9
        self.now_s = max(self.now_s, end_s)

    def serve(self, patient: Patient, poll: str, slot: Slot) -> None:  # type: ignore[type-arg]
        self.asked.append((self.now_s, patient.number, poll))
        if patient.number in self.dead or (patient.number, poll) in self.mute:
            self.now_s += patient.timeout_s
            self.ward.missed(patient, slot, self.now_s, patient.timeout_s, "no answer")
        else:
            self.now_s += ANSWER_S
            self.ward.answered(patient, slot, self.now_s)

    def times(self, unit: int, poll: str = "a") -> list[float]:
        return [at for at, number, name in self.asked if (number, name) == (unit, poll)]


def test_a_poll_keeps_its_rate_without_drift() -> None:
    world = World()
    world.add(1, 200)
    world.live(100)
    times = world.times(1)
    assert len(times) == pytest.approx(501, abs=1)
    gaps = [b - a for a, b in pairwise(times[1:])]
    assert all(gap == pytest.approx(0.2) for gap in gaps)


def test_after_a_stall_missed_ticks_are_skipped_and_counted() -> None:
    world = World()
    patient = world.add(1, 200)
    world.live(1)
    before = len(world.asked)
    world.now_s += 10
    world.live(0)
    assert len(world.asked) == before + 1
    assert patient.counters.skipped == pytest.approx(50, abs=1)
    world.live(1)
    assert len(world.asked) == pytest.approx(before + 6, abs=1)


def test_many_buses_do_not_tick_together() -> None:
    first = World(), World()
    for world, phase in zip(first, (0.1, 0.9), strict=True):
        world.ward = Ward(timing=TIMING, numbered=True, jitter=lambda phase=phase: phase)  # type: ignore[misc]
        world.add(1, 1000)
        world.live(1.5)
    assert [world.times(1)[0] for world in first] == [1000.0, 1000.0]
    assert first[0].times(1)[1] != pytest.approx(first[1].times(1)[1], abs=0.1)


def test_a_silent_unit_is_probed_with_one_poll_ever_more_rarely() -> None:
    world = World(dead={1}, numbered=True)
    world.add(1, 100, 100)
    world.live(300)
    times = [at for at, _, _ in world.asked]
    gaps = [round(b - a - 0.5, 3) for a, b in pairwise(times)]
    assert gaps[:2] == [0.0, 0.0]
    assert gaps[2:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert max(gaps) == 30.0
    assert world.told == [UnitHealth(1, Life.SILENT, (), "no answer")]


def test_without_numbered_answers_a_unit_is_not_asked_again_while_a_late_answer_may_come() -> None:
    world = World(dead={1})
    world.add(1, 100)
    world.live(1.6)
    times = world.times(1)
    assert times[1] - times[0] == pytest.approx(1.0)


def test_a_unit_that_answers_again_is_well_at_once_with_all_its_polls() -> None:
    world = World(dead={1})
    world.add(1, 100, 100)
    world.live(60)
    world.dead.clear()
    world.live(35)
    assert [health.life for health in world.told] == [Life.SILENT, Life.ALIVE]
    count = Counter(name for _, _, name in world.asked)
    assert min(count.values()) > 10
    back_s = max(at for at, _, _ in world.asked) - 1
    assert len([at for at in world.times(1, "b") if at > back_s]) == pytest.approx(10, abs=1)


def test_the_dead_take_a_twentieth_of_the_time_at_most() -> None:
    world = World(dead=set(range(1, 9)), timing=replace(TIMING, probe_max_s=1.0))
    for unit in range(1, 17):
        world.add(unit, 200)
    world.live(60)
    begin_s, spent_s = world.now_s, len(world.asked)
    world.live(600)
    in_vain = [at for at, unit, _ in world.asked[spent_s:] if unit in world.dead]
    assert len(in_vain) * 0.5 <= 0.05 * (world.now_s - begin_s) + 0.5
    assert len(in_vain) * 0.5 >= 0.03 * (world.now_s - begin_s)
    assert {unit for at, unit, _ in world.asked[spent_s:] if unit in world.dead} == world.dead


def test_while_it_is_being_found_out_the_suspects_take_a_quarter_at_most() -> None:
    world = World(dead=set(range(1, 9)))
    for unit in range(1, 17):
        world.add(unit, 200)
    world.live(5)  # the first question to each is free
    first = len(world.asked)
    begin_s = world.now_s
    world.live(20)
    in_vain = [at for at, unit, _ in world.asked[first:] if unit in world.dead]
    assert len(in_vain) * 0.5 <= 0.25 * (world.now_s - begin_s) + 1.0


def test_one_silent_block_does_not_make_its_unit_silent_nor_slow() -> None:
    world = World(mute={(1, "b")})
    patient = world.add(1, 200, 200, 200)
    world.add(2, 200)
    world.live(30)
    assert patient.health == UnitHealth(1, Life.ALIVE, ("b",), "no answer")
    begin = len(world.asked)
    world.live(100)
    late = world.asked[begin:]
    assert len([1 for _, unit, name in late if (unit, name) == (1, "b")]) <= 6
    for key in ((1, "a"), (1, "c"), (2, "a")):
        assert len([1 for _, unit, name in late if (unit, name) == key]) >= 0.95 * 500
    world.mute.clear()
    world.live(60)
    assert patient.health == UnitHealth(1, Life.ALIVE)


def test_a_refused_poll_is_named_and_keeps_its_rate() -> None:
    world = World()
    patient = world.add(1, 200)
    for _ in range(3):
        slot, _ = world.ward.next(world.now_s)
        assert slot is not None
        world.ward.answered(patient, slot, world.now_s, "exception 2")
        world.now_s += 0.2
    assert world.told == [UnitHealth(1, Life.ALIVE, ("a",), "exception 2")]
    world.live(1)
    assert world.told[-1] == UnitHealth(1, Life.ALIVE)


def test_an_owner_that_cannot_use_a_block_is_heard() -> None:
    def refuse(poll: Poll, values: Sequence[int]) -> None:
        raise FrameInvalid(f"{poll.name}: {values[0]} cannot be")

    patient = Patient(1, 0.5, refuse, lambda _: None, UnitHealth(1, Life.UNKNOWN), Counters())
    assert patient.deliver(Poll("a", Space.HOLDING, 0, 1, 100), (7,)) == "a: 7 cannot be"


def test_of_a_discharged_unit_nothing_is_asked_or_told() -> None:
    world = World(dead={1})
    patient, other = world.add(1, 100), world.add(2, 100)
    slot, _ = world.ward.next(world.now_s)
    assert slot is not None
    world.ward.discharge(patient)
    world.ward.missed(patient, slot, world.now_s, 0.5, "no answer")
    world.live(2)
    assert {unit for _, unit, _ in world.asked} == {2}
    world.ward.end("no link")
    assert [health.unit for health in world.told] == [2, 2]
    assert other.health.life is Life.UNKNOWN
    assert world.ward.next(world.now_s) == (None, None)


def test_a_connection_on_which_all_are_silent_is_hopeless_at_every_third_probe() -> None:
    world = World(dead={1}, timing=replace(TIMING, renew_after=3))
    patient = world.add(1, 100)
    other = world.add(2, 100)
    for misses, expected in [(3, False), (5, False), (6, True), (7, False), (9, True)]:
        patient.misses, other.misses = misses, 3
        assert world.ward.hopeless(patient) is expected
    other.misses = 2
    assert not world.ward.hopeless(patient)


def test_after_a_new_connection_a_silent_unit_keeps_its_wait() -> None:
    world = World(dead={1})
    patient = world.add(1, 100)
    world.live(60)
    world.ward.end("no link")
    world.ward.begin(patient, world.now_s)
    assert world.ward.next(world.now_s) == (None, pytest.approx(patient.probe_s - world.now_s))
    assert patient.probe_s > world.now_s


def test_planning_a_slot_anew_replaces_its_plan() -> None:
    schedule: Schedule[str] = Schedule()
    slot = Slot("x", 1.0)
    schedule.put(slot, 5.0)
    schedule.put(slot, 7.0, Grade.DEAD)
    assert schedule.next(6.0) == (None, 1.0)
    assert schedule.next(7.0)[0] is slot
    assert schedule.next(9.0) == (None, None)
