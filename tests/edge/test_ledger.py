"""The promises of the ledger, with a store that fails when it is told to."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BufferFull, BufferUnavailable
from core.messages.events import DeviceMeasured, FreePassage, LaneMode, PassageTimedOut
from edge import ledger as ledger_module
from edge.buffer import EntryRefused
from edge.clock import Clock
from edge.ledger import Ledger

from .conftest import Shelf, until


def vital(attempt):
    return PassageTimedOut(lane="L1", attempt=str(attempt), subject_token="t")


def reading(device):
    return DeviceMeasured(device=str(device), readings={"x_c": 1.0})


def attempts(shelf):
    return [data["attempt"] for kind, data in shelf.rows if "TimedOut" in kind]


@pytest.fixture
def ledger(shelf, clock):
    return Ledger(shelf, clock.stamp)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(ledger_module, "_AGAIN_S", 0.01)


async def test_commit_returns_true_only_after_the_stores_append_returned(ledger, shelf, task):
    shelf.gate = asyncio.Event()
    committing = task(ledger.commit((vital(1),)))
    await until(lambda: shelf.appends)
    await asyncio.sleep(0)
    assert not committing.done()
    shelf.gate.set()
    assert await committing is True
    assert attempts(shelf) == ["1"]


@pytest.mark.parametrize("error", [BufferUnavailable("disk full"), BufferFull("quota")])
async def test_what_cannot_be_committed_is_owed_and_false_is_said(ledger, shelf, error):
    shelf.failing = error
    assert await ledger.commit((vital(1), vital(2)), {"lane/1": b"a"}) is False
    assert (ledger.owed, shelf.rows, shelf.memo_) == (2, [], {})


async def test_otherwise_is_recorded_in_the_place_of_what_was_meant(ledger, shelf, task):
    shelf.fail()
    assert not await ledger.commit((vital("meant"),), otherwise=(vital("so"),))
    shelf.mend()
    task(ledger.run())
    await until(lambda: not ledger.owed)
    assert attempts(shelf) == ["so"]


async def test_what_is_owed_goes_first_and_in_order(ledger, shelf, task):
    shelf.fail()
    for number in range(3):
        await ledger.commit((vital(number),))
    shelf.mend()
    assert await ledger.commit((vital(3),)) is False  # not before what is owed
    task(ledger.run())
    await until(lambda: not ledger.owed)
    assert await ledger.commit((vital(4),)) is True
    assert attempts(shelf) == ["0", "1", "2", "3", "4"]


async def test_it_goes_on_by_itself_when_the_store_works_again(ledger, shelf, task):
    shelf.fail()
    await ledger.commit((vital(1),))
    task(ledger.run())
    await until(lambda: shelf.appends >= 4)
    assert ledger.owed == 1
    shelf.mend()
    await until(lambda: not ledger.owed)
    assert await ledger.commit((vital(2),)) is True


async def test_of_an_owed_memo_the_latest_wins(ledger, shelf, task):
    shelf.fail()
    await ledger.commit((vital(1),), {"lane/1": b"old", "lane/2": b"kept"})
    await ledger.commit((vital(2),), {"lane/1": b"new"})
    await ledger.commit((), {"lane/2": None})
    shelf.mend()
    task(ledger.run())
    await until(lambda: not ledger._owing.is_set())
    assert shelf.memo_ == {"lane/1": b"new"}


async def test_a_memo_that_is_owed_alone_never_overwrites_a_newer_one(ledger, shelf, task):
    """It was owed without an event, so that the next commit went past it; then it came and set the memo back."""
    shelf.fail()
    await ledger.commit((), {"lane/1": b"old"})
    shelf.mend()
    await ledger.commit((vital(1),), {"lane/1": b"new"})
    task(ledger.run())
    await until(lambda: not ledger._owing.is_set())
    assert shelf.memo_ == {"lane/1": b"new"}
    assert attempts(shelf) == ["1"]


async def test_each_commit_is_paid_whole_with_its_memo(ledger, shelf, task, monkeypatch):
    """After a crash in the middle the memo must not be older than the events that are there."""
    monkeypatch.setattr(ledger_module, "_PAY_AT_ONCE", 2)
    ledger._pay_at_once = 2
    shelf.fail()
    for number in range(5):
        await ledger.commit((vital(number), vital(number)), {"lane/1": str(number).encode()})
    shelf.mend()
    seen = []
    append = shelf.append

    async def watched(packed, memo=None):
        seqs = await append(packed, memo)
        seen.append((attempts(shelf)[-1], shelf.memo_["lane/1"].decode()))
        return seqs

    shelf.append = watched
    task(ledger.run())
    await until(lambda: not ledger.owed)
    assert seen == [(str(number), str(number)) for number in range(5)]


async def test_what_is_owed_is_bounded_and_the_minor_goes_first(shelf, clock, monkeypatch, task):
    monkeypatch.setattr(ledger_module, "_MAX_OWED", 10)
    ledger = Ledger(shelf, clock.stamp)
    shelf.fail()
    for number in range(8):
        await ledger.commit((vital(number), reading(number)), {f"memo/{number}": b"x"})
    assert (ledger.owed, ledger.shed) == (10, 6)
    shelf.mend()
    task(ledger.run())
    await until(lambda: not ledger.owed)
    assert attempts(shelf) == [str(number) for number in range(8)]
    assert [data["device"] for kind, data in shelf.rows if "Measured" in kind] == ["6", "7"]
    assert len(shelf.memo_) == 8  # what an event's memo says stays true without it


async def test_with_nothing_minor_the_oldest_goes_and_is_counted(shelf, clock, monkeypatch, task):
    monkeypatch.setattr(ledger_module, "_MAX_OWED", 10)
    ledger = Ledger(shelf, clock.stamp)
    shelf.fail()
    for number in range(1000):
        await ledger.commit((vital(number),), {"lane/1": str(number).encode()})
    assert (ledger.owed, ledger.shed, len(ledger._debts)) == (10, 990, 10)
    shelf.mend()
    task(ledger.run())
    await until(lambda: not ledger.owed)
    assert attempts(shelf) == [str(number) for number in range(990, 1000)]
    assert shelf.memo_ == {"lane/1": b"999"}


async def test_nothing_is_lost_when_the_bound_is_reached_while_paying(shelf, clock, monkeypatch, task):
    """What was being paid was shed by the newcomers, and what was not paid was struck off in its place."""
    monkeypatch.setattr(ledger_module, "_MAX_OWED", 10)
    ledger = Ledger(shelf, clock.stamp)
    shelf.fail()
    for number in range(5):
        await ledger.commit((reading(number), vital(number)))
    shelf.mend()
    shelf.gate = asyncio.Event()
    before = shelf.appends
    task(ledger.run())
    await until(lambda: shelf.appends > before)
    for number in range(5, 10):
        await ledger.commit((vital(number),))
    shelf.gate.set()
    await until(lambda: not ledger.owed)
    kept = attempts(shelf)
    assert kept[:5] == ["0", "1", "2", "3", "4"]
    assert len(kept) + ledger.shed == 10
    assert kept == sorted(set(kept))


async def test_what_the_store_refuses_for_ever_is_given_up_alone(shelf, clock, task):
    ledger = Ledger(shelf, clock.stamp)
    shelf.fail()
    for number in range(6):
        await ledger.commit((vital(number),), {"lane/1": str(number).encode()})
    shelf.refuses, shelf.too_large = lambda body: '"attempt":"3"' in body, EntryRefused
    shelf.mend()
    task(ledger.run())
    await until(lambda: not ledger.owed)
    assert attempts(shelf) == ["0", "1", "2", "4", "5"]
    assert (ledger.shed, shelf.memo_) == (1, {"lane/1": b"5"})
    assert await ledger.commit((vital(6),)) is True


async def test_what_is_told_from_plain_code_keeps_its_order(ledger, shelf, task):
    """The older of two states must not be committed last, whatever fails in between."""
    task(ledger.run())
    task(ledger.run_told())
    for number in range(30):
        if number == 10:
            shelf.fail()
        if number == 20:
            await until(lambda: ledger.owed)
            shelf.mend()
        ledger.tell(vital(number))
    await until(lambda: len(shelf.rows) == 30)
    assert attempts(shelf) == [str(number) for number in range(30)]


async def test_what_is_told_while_all_else_ends_is_committed_at_the_end(ledger, shelf, task):
    """Such as that somebody looks no more: the task that commits what is told ends together with those who tell."""
    for number in range(3):
        ledger.tell(vital(number))
        ledger.tell(reading(number))
    await ledger.finish()
    assert [kind for kind, _ in shelf.rows if "Measured" in kind] == [], "the end waits for no readings"
    assert attempts(shelf) == ["0", "1", "2"]
    shelf.failing = EntryRefused("too large")
    ledger.tell(vital(9))
    await ledger.finish()
    assert ledger.shed == 1
    shelf.fail()
    ledger.tell(vital(3))
    await ledger.finish()
    assert ledger.owed == 1


async def test_one_that_waits_does_not_hold_up_the_others(ledger, shelf, task):
    """Lanes share one group commit: their appends are under way together."""
    shelf.gate = asyncio.Event()
    commits = [task(ledger.commit((vital(number),))) for number in range(20)]
    await until(lambda: shelf.appends == 20)
    shelf.gate.set()
    assert all(await asyncio.gather(*commits))


@given(st.lists(st.sampled_from(["vital", "minor", "memo", "fail", "mend", "wait"]), max_size=60))
@settings(max_examples=60, deadline=None)
def test_in_any_order_of_events_the_store_ends_up_as_if_nothing_had_failed(steps):
    """Without a bound in reach: everything once, in order, and the last memo."""

    async def walk():
        shelf = Shelf()
        ledger = Ledger(shelf, Clock().stamp)
        running = asyncio.create_task(ledger.run())
        wanted, memo = [], {}
        for number, step in enumerate(steps):
            match step:
                case "vital" | "minor":
                    event = vital(number) if step == "vital" else reading(number)
                    memo = {**memo, "m": str(number).encode()}
                    await ledger.commit((event,), {"m": memo["m"]})
                    wanted.append(type(event).__name__)
                case "memo":
                    memo = {**memo, "only": str(number).encode()}
                    await ledger.commit((), {"only": memo["only"]})
                case "fail":
                    shelf.fail()
                case "mend":
                    shelf.mend()
                case _:
                    await asyncio.sleep(0)
        shelf.mend()
        await until(lambda: not ledger._owing.is_set())
        running.cancel()
        assert shelf.kinds() == wanted
        assert shelf.memo_ == memo
        assert (ledger.owed, ledger.shed) == (0, 0)

    ledger_module._AGAIN_S, before = 0.001, ledger_module._AGAIN_S
    try:
        asyncio.run(walk())
    finally:
        ledger_module._AGAIN_S = before


async def test_an_event_keeps_the_stamp_of_when_it_was_handed_in(shelf, clock, task):
    ledger = Ledger(shelf, clock.stamp)
    shelf.fail()
    bodies = []
    await ledger.commit((FreePassage(lane="L1", direction="in", persons=1, mode=LaneMode.FREE),))
    clock.go(3600)
    shelf.mend()
    append = shelf.append

    async def watched(packed, memo=None):
        bodies.extend(one.body for one in packed)
        return await append(packed, memo)

    shelf.append = watched
    task(ledger.run())
    await until(lambda: bodies)
    assert b'"time":"2026-11-21T08:00:00.000Z"' in bodies[0]
