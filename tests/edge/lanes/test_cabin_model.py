"""Whatever people do in a cabin, in any order, with failures and restarts at any moment."""

import json
from copy import deepcopy

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.clearance.model import Effect
from core.messages.cabin_events import (
    BoardingClosed,
    PassengerHeld,
    PassengerLeft,
    PassengerRuled,
    PassengerVerified,
    Ruling,
)
from core.messages.events import LaneMode
from drivers.cabin.commands import SetDoors
from drivers.cabin.facts import CabinObserved
from edge.lanes.cabin_words import Step, ToCabin
from edge.lanes.words import AskMode

from .cabin_rig import CLOSING, opening, ready, rule_on

PEOPLE = ["ann", "bob", "cat", "eve", "?"]


class WhateverPeopleDo(RuleBasedStateMachine):
    """Passengers, officers, failures and restarts in any order."""

    def __init__(self):
        super().__init__()
        self.rig = ready(opening(who=("ann", "bob", "cat")), effects={"cat": Effect.REFUSE})
        self.boardings = 1

    @rule(persons=st.sampled_from([1, 1, 1, 2]))
    @precondition(lambda self: self.rig.can_open("entrance") and self.rig.inside == 0)
    def go_in(self, persons):
        self.rig.goes_in(persons)

    @rule(door=st.sampled_from(["entrance", "exit"]), all_=st.booleans())
    @precondition(lambda self: self.rig.inside)
    def go_out(self, door, all_):
        if self.rig.can_open(door):
            self.rig.goes_out(door, self.rig.inside if all_ else 1)

    @rule(door=st.sampled_from(["entrance", "exit"]), leaves=st.booleans())
    def force(self, door, leaves):
        setattr(self.rig, f"{door}_open", True)
        self.rig.look()
        self.rig.inside = max(0, self.rig.inside - leaves)
        self.rig.look(2)
        setattr(self.rig, f"{door}_open", False)
        self.rig.look()

    @rule(who=st.sampled_from(PEOPLE))
    def document(self, who):
        self.rig.document(who)

    @rule(score=st.sampled_from([0.95, 0.95, 0.1]), age=st.sampled_from([0, 10, 10_000]))
    def face(self, score, age):
        self.rig.face(score, age=age)

    @rule(ruling=st.sampled_from(Ruling))
    def officer(self, ruling):
        rule_on(self.rig, ruling)

    @rule(button=st.sampled_from(["call", "egress", "emergency"]), pressed=st.booleans())
    def button(self, button, pressed):
        setattr(self.rig, button, pressed)
        self.rig.look()

    @rule(ok=st.booleans())
    def mains(self, ok):
        self.rig.power_ok = ok
        self.rig.look()

    @rule(mode=st.sampled_from([LaneMode.NORMAL, LaneMode.NORMAL, LaneMode.LOCKED, LaneMode.EMERGENCY]))
    def mode(self, mode):
        self.rig.feed(AskMode(mode, "P1", "why"))

    @rule(ms=st.sampled_from([100, 15_000, 60_000]))
    def time(self, ms):
        self.rig.ticks(ms).look()

    @rule(polls=st.integers(1, 8))
    def polls(self, polls):
        self.rig.look(polls)

    @rule(ms=st.sampled_from([300, 2_000]), how=st.sampled_from(["restart", "silence"]), polls=st.integers(0, 6))
    def lose(self, ms, how, polls):
        rows = self.rig.durable.boarding.rows if self.rig.durable.boarding else {}
        getattr(self.rig, how)(ms)
        now = self.rig.lane.memo.boarding
        assert how != "restart" or (now.rows if now else {}) == rows
        self.rig.look(polls)

    @rule(ok=st.booleans())
    def disk(self, ok):
        self.rig.disk_ok = ok

    @rule()
    def close_and_open(self):
        self.rig.feed(CLOSING).look(4)
        if self.rig.lane.memo.boarding is None:
            self.boardings += 1
            self.rig.feed(opening(f"B{self.boardings}", who=("ann", "bob", "cat")))

    @invariant()
    def never_both_free_but_in_need(self):
        assert set(self.rig.both_free) <= {Step.FREE}

    @invariant()
    def the_exit_is_free_only_for_who_is_recorded(self):
        told = [word for word in self.rig.said if isinstance(word, SetDoors)]
        if self.rig.lane.step in {Step.FREE, Step.LOST} or not told or told[-1].exit_locked:
            return
        assert self.rig.lane.step is Step.RELEASING
        visit = self.rig.durable.visit
        last = [one for one in self.rig.events() if isinstance(one, PassengerVerified | PassengerRuled)][-1]
        assert (last.attempt, last.boarding) == (visit.attempt, self.rig.durable.boarding.boarding)
        assert isinstance(last, PassengerVerified) or last.ruling is Ruling.RELEASE
        assert self.rig.state().entrance.secure or not told[-1].entrance_locked or self.rig.emergency

    @invariant()
    def somebody_inside_always_gets_out(self):
        """In a copy of this world: with mains, and after a look, the buttons free a door."""
        rig_ = self.rig
        if not rig_.inside or rig_.lane.step is Step.LOST:
            return
        pressed = rig_.state()
        pressed = CabinObserved(pressed.entrance, pressed.exit, pressed.occupancy, emergency=True)
        lane = rig_.lane
        twin = type(lane)(lane.lane, lane.settings, lane.ports, memo=lane.memo, step=lane.step)
        twin._doors, twin._seen = deepcopy(lane._doors), lane._seen
        sent = [one.command for one in twin.handle(pressed, rig_.now + 1) if isinstance(one, ToCabin)]
        doors = [one for one in sent if isinstance(one, SetDoors)]
        freed = not doors and twin._doors._told == SetDoors(entrance_locked=False, exit_locked=False)
        assert freed or doors[-1] == SetDoors(entrance_locked=False, exit_locked=False)

    @invariant()
    def the_counts_add_up(self):
        for memo in (self.rig.lane.memo, self.rig.durable):
            assert memo.boarding is None or memo.boarding.counts.adds_up
        for closed in self.rig.events(BoardingClosed):
            assert closed.counts.adds_up
            assert json.loads(closed.summary)["counts"] == closed.counts.model_dump()
        names = [one.boarding for one in self.rig.events(BoardingClosed)]
        assert len(set(names)) == len(names)

    @invariant()
    def who_left_was_released_and_left_once(self):
        left = [one.attempt for one in self.rig.events(PassengerLeft)]
        released = {one.attempt for one in self.rig.events(PassengerVerified)}
        released |= {one.attempt for one in self.rig.events(PassengerRuled) if one.ruling is Ruling.RELEASE}
        assert len(set(left)) == len(left)
        assert set(left) <= released

    @invariant()
    def each_token_was_told(self):
        """Nobody is counted of whom no event tells, and whoever an event tells of is counted."""
        boarding = self.rig.lane.memo.boarding
        if boarding is None:
            return
        told = [one for one in self.rig.events() if isinstance(one, PassengerVerified | PassengerHeld)]
        tokens = {one.subject_token for one in told if one.boarding == boarding.boarding and one.subject_token}
        assert {key for key in boarding.rows if key.startswith("d")} == tokens


TestWhateverPeopleDo = WhateverPeopleDo.TestCase
TestWhateverPeopleDo.settings = hypothesis_settings(max_examples=80, stateful_step_count=40, deadline=None)
