"""The window against a model of central, over a network that loses, doubles and reorders what it likes."""

import heapq
import random
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.window import Window

BATCH = 5
SIZE = 4


@dataclass
class Central:
    """Keeps a contiguous watermark, holds a few batches that do not follow, and says how far it is."""

    watermark: int = 0
    stored: list[int] = field(default_factory=list)
    held: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def take(self, seqs: tuple[int, ...]) -> int:
        if seqs[0] > self.watermark + 1:
            if len(self.held) < 3:
                self.held[seqs[0]] = seqs
            return self.watermark
        while seqs:
            self.stored += [seq for seq in seqs if seq > self.watermark]
            self.watermark = max(self.watermark, seqs[-1])
            ready = [first for first in self.held if first <= self.watermark + 1]
            seqs = self.held.pop(ready[0]) if ready else ()
        return self.watermark


class Network(RuleBasedStateMachine):
    """Everything that may happen between an edge and central, in any order."""

    @initialize(size=st.integers(1, 8))
    def begin(self, size):
        self.now = 0.0
        self.made = 0
        self.window = Window(0, size)
        self.central = Central()
        self.batches: list[tuple[int, ...]] = []
        self.acks: list[int] = []
        self.largest_measured = 0.0
        self.acked_before = 0

    @rule(many=st.integers(1, 12))
    def something_happens(self, many):
        self.made += many

    @rule()
    def a_batch_leaves(self):
        self.window.overdue(self.now)
        if not self.window.open or self.made <= self.window.sent:
            return
        first = self.window.sent + 1
        seqs = tuple(range(first, min(self.made, first + BATCH - 1) + 1))
        flights = len(self.window.flights)
        self.window.left(seqs[-1], self.now)
        assert len(self.window.flights) == flights + 1
        self.batches.append(seqs)

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), twice=st.booleans())
    def a_batch_arrives(self, data, twice):
        place = data.draw(st.integers(0, len(self.batches) - 1))
        seqs = self.batches[place] if twice else self.batches.pop(place)
        self.acks.append(self.central.take(seqs))

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def a_batch_is_lost(self, data):
        self.batches.pop(data.draw(st.integers(0, len(self.batches) - 1)))

    @precondition(lambda self: self.acks)
    @rule(data=st.data(), twice=st.booleans())
    def an_ack_arrives(self, data, twice):
        place = data.draw(st.integers(0, len(self.acks) - 1))
        ack = self.acks[place] if twice else self.acks.pop(place)
        self.window.on_ack(ack, self.now)

    @precondition(lambda self: self.acks)
    @rule()
    def the_acks_are_lost(self):
        self.acks.clear()

    @rule()
    def the_connection_is_lost(self):
        self.batches.clear()
        self.window.reconnected()

    @rule(seconds=st.sampled_from([0.01, 0.2, 2.1, 31.0]))
    def time_goes_on(self, seconds):
        self.now += seconds

    @invariant()
    def what_central_has_is_in_order_and_once(self):
        if hasattr(self, "central"):
            assert self.central.stored == list(range(1, len(self.central.stored) + 1))

    @invariant()
    def the_window_keeps_its_promises(self):
        if not hasattr(self, "window"):
            return
        window = self.window
        assert len(window.flights) <= window.size
        assert self.acked_before <= window.acked <= self.central.watermark  # never given up before it is committed
        assert window.acked <= window.sent <= self.made
        uptos = [flight.upto for flight in window.flights]
        assert uptos == sorted(set(uptos))
        assert all(upto > window.acked for upto in uptos)
        assert not uptos or uptos[-1] == window.sent
        self.acked_before = window.acked

    def teardown(self):
        """In the end, on a quiet network, everything is delivered."""
        if not hasattr(self, "window"):
            return
        for _ in range(500):
            if self.window.acked == self.made:
                break
            self.a_batch_leaves()
            if self.batches:
                self.acks.append(self.central.take(self.batches.pop(0)))
            elif self.acks:
                self.window.on_ack(self.acks.pop(0), self.now)
            elif self.window.due_s is not None:
                assert self.window.due_s <= self.now + 30.0
                self.now = max(self.now, self.window.due_s)
        assert self.window.acked == self.made
        assert self.central.stored == list(range(1, self.made + 1))


TestNetwork = Network.TestCase
TestNetwork.settings = settings(
    max_examples=80, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def full(size=SIZE, now=0.0):
    window = Window(0, size)
    while window.open:
        window.left(window.sent + BATCH, now)
    return window


def test_at_most_size_batches_are_on_their_way():
    window = full()
    assert (len(window.flights), window.sent) == (SIZE, SIZE * BATCH)
    window.on_ack(BATCH, 0.1)
    assert window.open
    window.left(window.sent + BATCH, 0.1)
    assert not window.open


def test_without_acks_the_pause_doubles_and_one_batch_at_a_time_is_tried():
    window, now, pauses, batches = full(), 0.0, [], 0
    for _ in range(7):
        due = window.due_s
        assert not window.overdue(due - 0.001)
        assert window.overdue(due)
        pauses.append(round(due - now, 3))
        now = due
        while window.open and batches < 100:
            window.left(window.sent + BATCH, now)
            batches += 1
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert batches == 7
    window.on_ack(BATCH, now)
    assert window.patience_s == 2.0
    while window.open:
        window.left(window.sent + BATCH, now)
    assert len(window.flights) == SIZE


def test_an_ack_that_brings_nothing_new_sends_again_from_the_hole_at_once():
    window = full(now=1.0)
    window.on_ack(BATCH, 1.1)
    window.on_ack(BATCH, 1.2)
    assert (window.sent, len(window.flights), window.rewinds) == (BATCH, 0, 1)


def test_when_central_is_back_and_says_how_far_it_is_what_is_missing_leaves_at_once():
    window, now = full(), 0.0
    for _ in range(5):
        now = window.due_s
        assert window.overdue(now)
        window.left(BATCH, now)
    assert window.patience_s == 30.0
    window.on_ack(0, now + 5.0)
    assert (window.sent, len(window.flights), window.patience_s) == (0, 0, 2.0)
    window.left(BATCH, now + 5.0)
    assert not window.open  # one at a time, until something is acked


def test_an_old_ack_says_nothing():
    window = full()
    window.on_ack(2 * BATCH, 0.1)
    assert window.on_ack(BATCH, 0.2) is None
    assert (window.acked, window.rewinds) == (2 * BATCH, 0)


def test_a_doubled_ack_with_nothing_on_its_way_says_nothing():
    window = Window(0, SIZE)
    window.left(BATCH, 0.0)
    window.on_ack(BATCH, 0.1)
    window.on_ack(BATCH, 0.2)
    assert window.rewinds == 0


def test_an_ack_in_the_middle_of_a_batch_gives_up_only_what_is_committed():
    window = full()
    assert window.on_ack(BATCH + 2, 0.1) is None
    assert (window.acked, len(window.flights)) == (BATCH + 2, SIZE - 1)
    window.overdue(10.0)
    assert window.sent == BATCH + 2


def test_the_round_trip_is_that_of_the_batch_that_is_acked():
    window = Window(0, SIZE)
    window.left(5, 1.0)
    window.left(10, 1.5)
    assert window.on_ack(5, 1.7) == pytest.approx(0.7)
    assert window.on_ack(10, 1.8) == pytest.approx(0.3)


def test_a_batch_that_was_sent_twice_measures_nothing():
    """Its ack may answer the first copy: the clock would be believed to be better than it is."""
    window = Window(0, SIZE)
    window.left(5, 0.0)
    assert window.overdue(2.0)
    window.left(5, 2.0)
    assert window.on_ack(5, 2.05) is None
    window.left(10, 2.1)
    assert window.on_ack(10, 2.2) == pytest.approx(0.1)


def test_nor_does_one_that_was_sent_on_an_earlier_connection():
    window = Window(0, SIZE)
    window.left(5, 0.0)
    window.reconnected()
    window.left(5, 1.0)
    assert window.on_ack(5, 1.1) is None


def test_a_new_connection_begins_at_what_is_acked():
    window = full()
    window.on_ack(BATCH, 0.1)
    window.overdue(100.0)
    window.reconnected()
    assert (window.sent, len(window.flights), window.patience_s) == (BATCH, 0, 2.0)
    assert window.open


def drained(batches, round_trip_s, *, seed=0, lose=0.0, double=0.0, doubled=()):
    """Send so many batches over a network with a round trip; return (batches sent, seconds it took)."""
    rng, numbers = random.Random(seed), count()
    window, central, now, sent, coming = Window(0, 8), Central(), 0.0, 0, []
    while window.acked < batches:
        window.overdue(now)
        while window.open and window.sent < batches:
            seqs = (window.sent + 1,)
            window.left(seqs[-1], now)
            sent += 1
            copies = 0 if rng.random() < lose else 2 if sent in doubled or rng.random() < double else 1
            for _ in range(copies):
                heapq.heappush(coming, (now + round_trip_s / 2, next(numbers), seqs))
        if coming and (window.due_s is None or coming[0][0] <= window.due_s):
            now, _, what = heapq.heappop(coming)
            if isinstance(what, tuple):
                heapq.heappush(coming, (now + round_trip_s / 2, next(numbers), central.take(what)))
            else:
                window.on_ack(what, now)
        else:
            now = window.due_s
    assert central.stored == list(range(1, batches + 1))
    return sent, now


@pytest.mark.parametrize("round_trip_s", [0.002, 0.2, 1.0])
def test_one_batch_that_comes_twice_costs_one_window_not_a_copy_of_all_that_follows(round_trip_s):
    sent, _ = drained(400, round_trip_s, doubled={5})
    assert sent <= 400 + 8


@pytest.mark.parametrize("round_trip_s", [0.002, 0.02])
def test_a_hole_on_a_quick_line_is_filled_without_waiting_for_patience(round_trip_s):
    sent, seconds = drained(400, round_trip_s, lose=0.01)
    assert seconds < 2.0
    assert sent < 500


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_network_is_survived(seed):
    sent, seconds = drained(300, 0.05, seed=seed, lose=0.1, double=0.1)
    assert sent < 700
    assert seconds < 60
