"""Several takers of one fact: all of them before the answer, each once."""

from datetime import UTC, datetime

import pytest

from core.errors import BufferUnavailable
from drivers.facts import Image, PlateRead
from edge.relay import MAX_HALF_DONE, Relay

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


class Taker:
    def __init__(self):
        self.facts = []
        self.failing = False

    async def __call__(self, fact):
        if self.failing:
            raise BufferUnavailable("full")
        self.facts.append(fact)


async def test_all_take_it_in_their_order():
    order = []

    def taker(number):
        async def take(_fact):
            order.append(number)

        return take

    await Relay([taker(1), taker(2), taker(3)]).deliver(PlateRead("粤B12345"))
    assert order == [1, 2, 3]


async def test_what_is_sent_again_is_taken_by_who_has_it_not():
    lane, upward = Taker(), Taker()
    relay = Relay([lane, upward])
    read = PlateRead("粤B12345", object_id="1", taken_at=AT, images=(Image("scene", "image/jpeg", b"x" * 9),))
    upward.failing = True
    for _ in range(3):
        with pytest.raises(BufferUnavailable):
            await relay.deliver(read)
    assert (len(lane.facts), upward.facts) == (1, [])
    upward.failing = False
    await relay.deliver(read)
    assert (len(lane.facts), upward.facts, relay._done) == (1, [read], {})
    await relay.deliver(read)
    assert len(lane.facts) == 2


async def test_it_remembers_no_more_than_so_many():
    lane, upward = Taker(), Taker()
    relay = Relay([lane, upward])
    upward.failing = True
    for number in range(MAX_HALF_DONE + 10):
        with pytest.raises(BufferUnavailable):
            await relay.deliver(PlateRead("粤B12345", object_id=str(number)))
    assert len(relay._done) == MAX_HALF_DONE
