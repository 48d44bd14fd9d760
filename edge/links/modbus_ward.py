"""The polls of one Modbus bus: which is next, and how well each unit is. Pure: time is an argument, in seconds.

Promises
1. A unit that misses is asked for one block only, each time another one: a single bad block cannot hide behind it.
2. It is silent after `dead_after` misses in a row, and is then probed ever more rarely, with jitter.
3. One good answer, or one refusal, makes it well at once, with all its polls.
4. A block that is silent on its own, while its unit answers, is retried as rarely as a silent unit, and is named in
   `failing`.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from core.errors import GatefleetError
from drivers.base import Poll
from drivers.modbus_client import Question
from edge.links.modbus_health import Counters, Life, Timing, UnitHealth
from edge.links.modbus_schedule import Grade, Schedule, Slot

OnBlock = Callable[[Poll, Sequence[int]], None]
OnHealth = Callable[[UnitHealth], None]

_MAX_DOUBLINGS: Final = 16
_GRID_S: Final = 0.02
"""Ticks fall on multiples of it, so that the loop wakes once for several buses: half the time at 500 polls a second."""


@dataclass(slots=True, eq=False)
class Block:
    """One poll of a unit, and how it has fared."""

    patient: "Patient"
    poll: Poll
    question: Question
    misses: int = 0
    retry_s: float = 0.0
    error: str = ""


@dataclass(slots=True, eq=False)
class Patient:
    """One unit, and how it has fared."""

    number: int
    timeout_s: float
    on_block: OnBlock
    on_health: OnHealth
    health: UnitHealth
    counters: Counters = field(default_factory=Counters)
    slots: deque[Slot[Block]] = field(default_factory=deque)
    misses: int = 0
    probe_s: float = 0.0
    attached: bool = True

    def deliver(self, poll: Poll, values: Sequence[int]) -> str:
        """Give a block to its owner; return what is wrong with it, if the owner says so."""
        if not self.attached:
            return ""
        try:
            self.on_block(poll, values)
        except GatefleetError as error:
            return error.detail
        return ""

    def tell(self, health: UnitHealth) -> None:
        """Tell the owner, if anything but the text has changed."""
        if health != replace(self.health, error=health.error):
            self.health = health
            self.on_health(health)


class Ward:
    """The patients of one bus. `numbered`: answers bear the number of their question, so no late one can mislead."""

    def __init__(self, *, timing: Timing, numbered: bool, jitter: Callable[[], float]) -> None:
        self.patients: list[Patient] = []
        self._timing = timing
        self._numbered = numbered
        self._jitter = jitter
        self._schedule: Schedule[Block] = Schedule()

    def next(self, now_s: float) -> tuple[Slot[Block] | None, float | None]:
        """Return the poll that is due; if none is, after how many seconds one will be, None: never."""
        return self._schedule.next(now_s)

    def admit(self, patient: Patient, polls: Sequence[tuple[Poll, Question]]) -> None:
        """Take a unit in; its polls begin with `begin`."""
        patient.slots.extend(Slot(Block(patient, poll, asked), poll.interval_ms / 1000) for poll, asked in polls)
        self.patients.append(patient)

    def discharge(self, patient: Patient) -> None:
        """Let a unit go: nothing of it is asked or told any more."""
        self.patients.remove(patient)
        patient.attached = False
        self._forget_plans(patient)

    def begin(self, patient: Patient, now_s: float) -> None:
        """Plan a unit's polls: now, and after that at a phase of their own, so that not all buses tick at once."""
        if patient.misses >= self._timing.dead_after and patient.slots:
            self._schedule.put(patient.slots[0], patient.probe_s, Grade.DEAD)
            return
        patient.misses = 0
        for slot in patient.slots:
            phase_s = slot.interval_s * self._jitter()
            self._schedule.put(slot, _on_grid(now_s - phase_s), Grade.SUSPECT if slot.item.misses else Grade.WELL)

    def end(self, why: str) -> None:
        """Plan nothing any more: there is no link."""
        for patient in tuple(self.patients):
            self._forget_plans(patient)
            patient.tell(UnitHealth(patient.number, Life.UNKNOWN, error=why))

    def answered(self, patient: Patient, slot: Slot[Block] | None, now_s: float, complaint: str = "") -> None:
        """Keep the books of an answer; `complaint` is what was wrong with it, such as a refusal."""
        if not patient.attached:
            return
        misses, patient.misses = patient.misses, 0
        changed = misses > 0 or patient.health.life is not Life.ALIVE
        if slot is not None:
            block = slot.item
            changed = changed or block.error != complaint
            block.error = complaint
            if misses or block.misses:
                block.misses = 0
                slot.due_s = _on_grid(now_s)
            patient.counters.skipped += self._schedule.put_next(slot, now_s)
        if misses:
            self._rouse(patient, slot, now_s, was_dead=misses >= self._timing.dead_after)
        if changed:
            self._judge(patient)

    def missed(self, patient: Patient, slot: Slot[Block] | None, now_s: float, spent_s: float, why: str) -> None:
        """Keep the books of a request in vain, which took `spent_s` of the bus's time."""
        if not patient.attached:
            return
        dead_after = self._timing.dead_after
        was_dead = patient.misses >= dead_after
        only_block = slot is not None and not patient.misses and slot.item.misses >= dead_after
        patient.misses += not only_block
        if slot is not None:
            block = slot.item
            block.misses, block.error = block.misses + 1, why
            block.retry_s = now_s + self._patience_s(patient, block.misses)
        if len(self.patients) > 1:
            grade = Grade.DEAD if was_dead or only_block else Grade.SUSPECT
            share = self._timing.dead_share if grade is Grade.DEAD else self._timing.suspect_share
            self._schedule.spend(grade, now_s, spent_s, share)
        if slot is not None and only_block:
            self._schedule.put(slot, slot.item.retry_s, Grade.DEAD)
        elif slot is not None or not was_dead:
            self._plan_probe(patient, slot, now_s)
        self._judge(patient, why)

    def hopeless(self, patient: Patient) -> bool:
        """Tell, from time to time while all units are silent, that a new connection may cure it."""
        after, dead_after = self._timing.renew_after, self._timing.dead_after
        probes = patient.misses - dead_after
        due = after > 0 and probes > 0 and probes % after == 0
        return due and all(one.misses >= dead_after for one in self.patients)

    def _rouse(self, patient: Patient, awake: Slot[Block] | None, now_s: float, *, was_dead: bool) -> None:
        """Plan a unit's other polls again; those that were bad on their own before keep their wait."""
        for slot in patient.slots:
            if slot is not awake:
                if was_dead:
                    slot.item.error = ""
                own = slot.item.misses > 0
                due_s = slot.item.retry_s if own and not was_dead else now_s
                self._schedule.put(slot, due_s, Grade.SUSPECT if own else Grade.WELL)

    def _plan_probe(self, patient: Patient, failed: Slot[Block] | None, now_s: float) -> None:
        """Of a unit that missed only one poll stays planned, and another one than failed if there is one."""
        self._forget_plans(patient)
        if not patient.slots:
            return
        if patient.slots[0] is failed:
            patient.slots.rotate(-1)
        patient.probe_s = now_s + self._patience_s(patient, patient.misses)
        dead = patient.misses >= self._timing.dead_after
        self._schedule.put(patient.slots[0], patient.probe_s, Grade.DEAD if dead else Grade.SUSPECT)

    def _forget_plans(self, patient: Patient) -> None:
        for slot in patient.slots:
            self._schedule.drop(slot)

    def _patience_s(self, patient: Patient, misses: int) -> float:
        """Return how long to wait before asking again; without numbered answers, until no late one can come."""
        timing = self._timing
        if misses < timing.dead_after:
            return 0.0 if self._numbered else patient.timeout_s
        doublings = min(misses - timing.dead_after, _MAX_DOUBLINGS)
        return min(timing.probe_max_s, math.ldexp(timing.probe_first_s, doublings)) * (0.75 + 0.5 * self._jitter())

    def _judge(self, patient: Patient, why: str = "") -> None:
        """Tell a unit's health if it has changed. A unit that missed, but not often enough, stays what it was."""
        dead_after, life = self._timing.dead_after, patient.health.life
        if not patient.misses:
            life = Life.ALIVE
        elif patient.misses >= dead_after:
            life = Life.SILENT
        blocks = [] if life is Life.SILENT else [slot.item for slot in patient.slots if slot.item.error]
        failing = {block.poll.name: block.error for block in blocks if not 0 < block.misses < dead_after}
        error = why if life is Life.SILENT else next(iter(failing.values()), "")
        patient.tell(UnitHealth(patient.number, life, tuple(sorted(failing)), error))


def _on_grid(at_s: float) -> float:
    return at_s // _GRID_S * _GRID_S
