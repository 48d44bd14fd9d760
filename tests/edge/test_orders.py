"""Orders from central: signed, for this edge, in time, once, and never begun again."""

import asyncio
import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import DeviceSilent, LinkLost, NotFound
from core.messages.commands import CommandDevice, OpenLane, Order
from core.messages.envelope import ClockSource
from core.messages.ids import ulid
from core.messages.signed import Signed
from edge.clock import UNSYNCED, Quality
from edge.ledger import Ledger
from edge.orders import Orders

from .conftest import START, until

EDGE = "hengqin-bridge.gates"


def order(number=1, **changes):
    fields = {
        "id": ulid(number, b"0123456789"),
        "edge": EDGE,
        "target": "PAX-01",
        "command": OpenLane(),
        "issued_at": START,
        "expires_at": START + timedelta(seconds=30),
        "actor": "officer",
        "reason": "stuck luggage",
    }
    return Order(**{**fields, **changes})


class Desk:
    """The orders of one edge, with a store and an executor that can be told to fail."""

    def __init__(self, shelf, clock, trusted, signer):
        self.shelf, self.clock, self.trusted, self.signer = shelf, clock, trusted, signer
        self.done, self.answer, self.waits = [], "", None
        self.restart()

    def restart(self):
        self.orders = Orders(
            edge=EDGE,
            buffer=self.shelf,
            ledger=Ledger(self.shelf, self.clock.stamp),
            clock=self.clock,
            verifier=self.trusted,
            execute=self.execute,
        )

    async def execute(self, order):
        self.done.append(order.id)
        if self.waits is not None:
            await self.waits.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def sign(self, order, purpose="command", signer=None):
        body = order if isinstance(order, str) else order.model_dump_json()
        return Signed.make(purpose, body, signer or self.signer).model_dump_json().encode()

    async def takes(self, order, **how):
        await self.orders.arrived(self.sign(order, **how))

    def states(self):
        return [data["state"] for kind, data in self.shelf.rows if "CommandProgressed" in kind]

    def detail(self):
        return self.shelf.rows[-1][1]["detail"]


@pytest.fixture
def desk(shelf, clock, trusted, signer):
    return Desk(shelf, clock, trusted, signer)


async def test_a_good_order_is_journalled_then_done_then_told(desk, task):
    desk.waits = asyncio.Event()
    taking = task(desk.takes(order()))
    await until(lambda: desk.done)
    assert desk.states() == []
    assert json.loads(desk.shelf.memo_[f"order/{order().id}"])["state"] == "executing"
    await until(lambda: desk.states() == ["executing"])  # it takes its time, and says so
    desk.waits.set()
    await taking
    assert desk.states() == ["executing", "done"]


async def test_what_did_not_work_is_told_with_its_reason(desk):
    desk.answer = "somebody is being served"
    await desk.takes(order())
    assert (desk.states()[-1], desk.detail()) == ("failed", "somebody is being served")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotFound("no such lane"), "refused"),
        (DeviceSilent("its effect is unknown"), "failed"),
        (LinkLost("gone"), "failed"),
    ],
)
async def test_a_no_is_refused_and_a_silence_is_no_refusal(desk, error, state):
    desk.answer = error
    await desk.takes(order())
    assert desk.states()[-1] == state


# -- refused before anything ----------------------------------------------------------------------------------------


def tampered(raw, **changes):
    signed = json.loads(raw)
    body = json.loads(signed["body"])
    return json.dumps({**signed, "body": json.dumps({**body, **changes})}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "another"},
        {"expires_at": "2036-01-01T00:00:00Z"},
        {"target": "PAX-02"},
        {"id": ulid(2, b"0123456789")},
    ],
)
async def test_a_changed_order_is_refused(desk, changes):
    await desk.orders.arrived(tampered(desk.sign(order()), **changes))
    assert (desk.done, desk.shelf.rows, desk.orders.refused) == ([], [], 1)


async def test_a_strangers_key_is_refused(desk, stranger):
    await desk.takes(order(), signer=stranger)
    assert (desk.done, desk.orders.refused) == ([], 1)


async def test_a_strangers_signature_under_a_trusted_name_is_refused(desk, stranger):
    forged = json.loads(desk.sign(order(), signer=stranger)) | {"key_id": desk.signer.key_id}
    await desk.orders.arrived(json.dumps(forged).encode())
    assert (desk.done, desk.orders.refused) == ([], 1)


async def test_an_order_for_another_edge_is_refused(desk):
    await desk.takes(order(edge="hengqin-tunnel.gates"))
    assert (desk.done, desk.orders.refused) == ([], 1)


@pytest.mark.parametrize("purpose", ["list", "snapshot", "delta", "config"])
async def test_what_was_signed_for_another_purpose_is_refused(desk, purpose):
    await desk.takes(order(), purpose=purpose)
    renamed = json.loads(desk.sign(order(), purpose=purpose)) | {"purpose": "command"}
    await desk.orders.arrived(json.dumps(renamed).encode())
    assert (desk.done, desk.orders.refused) == ([], 2)


async def test_an_order_without_a_time_zone_is_refused_and_breaks_nothing(desk):
    """Signed or not: comparing its time with the clock's raised, and took the uplink down."""
    body = order().model_dump(mode="json") | {"expires_at": "2026-11-21T08:00:30"}
    await desk.takes(json.dumps(body))
    assert (desk.done, desk.orders.refused) == ([], 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"purpose": "command"}',
        b"[" * 100_000,
        b'{"purpose":"command","key_id":"x","body":"{}","signature":"!!"}',
        b'{"purpose":"command","key_id":"x","body":"{}","signature":""}',
        b'{"purpose":"command","key_id":"x","body":"\\ud800","signature":"AAAA"}',
        json.dumps({"purpose": "command", "key_id": "x" * 10_000, "body": "{}", "signature": "A"}).encode(),
        json.dumps({"purpose": "command", "key_id": "x", "body": "x" * 1_000_000, "signature": "A" * 86}).encode(),
        json.dumps({"purpose": "command", "key_id": "x", "body": "{}", "signature": "é"}).encode(),
    ],
    ids=lambda raw: repr(raw[:40]),
)
async def test_garbage_is_counted_and_stops_nothing(desk, raw):
    await desk.orders.arrived(raw)
    assert (desk.done, desk.shelf.rows, desk.orders.refused) == ([], [], 1)
    await desk.takes(order())
    assert desk.states() == ["done"]


@pytest.mark.parametrize("body", ["", "{}", "null", "[]", '{"id": 3}', "x" * 100_000], ids=repr)
async def test_garbage_that_is_signed_is_refused_too(desk, body):
    await desk.takes(body)
    assert (desk.done, desk.orders.refused) == ([], 1)


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 65, 192])
async def test_a_signature_of_any_length_is_refused_and_raises_nothing(desk, length):
    forged = json.loads(desk.sign(order())) | {"signature": "A" * (length * 4 // 3)}
    await desk.orders.arrived(json.dumps(forged).encode())
    assert (desk.done, desk.orders.refused) == ([], 1)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_good_order_with_one_byte_changed_is_never_done(shelf, clock, trusted, signer, data):
    desk = Desk(shelf, clock, trusted, signer)
    raw = bytearray(desk.sign(order()))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    asyncio.run(desk.orders.arrived(bytes(raw)))
    # Base64 has bits without meaning at its end: the signature may read the same.
    same = json.loads(desk.sign(order()))
    try:
        changed = Signed.read(bytes(raw), "command")
    except Exception:  # noqa: BLE001 whatever it is, it was no order
        changed = None
    if changed is None or changed.body != same["body"] or changed.key_id != same["key_id"]:
        assert desk.done == []


# -- in time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_s", "offset_ms", "error_ms", "state"),
    [
        (0, 0, 5, "done"),
        (29, 0, 5, "done"),
        (30, 0, 5, "expired"),
        (29, 0, 1500, "expired"),
        (0, 29_000, 500, "done"),
        (0, 31_000, 5, "expired"),
        (3600, -3_600_000, 5, "done"),
        (-3600, 0, 5, "done"),
        (-3600, 3_631_000, 5, "expired"),
    ],
)
async def test_time_is_judged_by_centrals_clock_and_doubt_refuses(desk, after_s, offset_ms, error_ms, state):
    desk.clock.go(after_s)
    desk.clock.known = Quality(ClockSource.CENTRAL, offset_ms, error_ms)
    await desk.takes(order())
    assert desk.states()[-1] == state
    assert bool(desk.done) is (state == "done")


async def test_a_clock_that_is_not_set_refuses_everything(desk):
    desk.clock.known = UNSYNCED
    await desk.takes(order())
    assert (desk.states(), desk.done) == (["expired"], [])
    assert "unsynced" in desk.detail()


# -- once ------------------------------------------------------------------------------------------------------------


async def test_an_order_that_comes_again_is_done_once(desk):
    for _ in range(3):
        await desk.takes(order())
    desk.restart()
    await desk.orders.recover()
    await desk.takes(order())
    assert desk.done == [order().id]
    assert desk.states() == ["done"]


async def test_one_that_expired_is_not_done_when_it_comes_again_with_a_better_clock(desk):
    desk.clock.known = UNSYNCED
    await desk.takes(order())
    desk.clock.known = Quality(ClockSource.NTP, 0, 5)
    await desk.takes(order())
    assert (desk.done, desk.states()) == ([], ["expired"])


async def test_what_was_begun_when_the_edge_died_is_unknown_and_never_begun_again(desk):
    desk.waits = asyncio.Event()
    taking = asyncio.ensure_future(desk.takes(order()))
    await until(lambda: desk.done)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    desk.restart()
    desk.waits = None
    await desk.orders.recover()
    assert desk.states() == ["unknown"]
    await desk.takes(order())
    desk.restart()
    await desk.orders.recover()
    assert desk.states() == ["unknown"]
    assert desk.done == [order().id]


async def test_a_crash_right_after_the_journal_counts_as_begun(desk):
    desk.shelf.memo_[f"order/{order().id}"] = (
        b'{"state":"executing","target":"PAX-01","expires_at":"2026-11-21T08:00:30Z"}'
    )
    await desk.orders.recover()
    await desk.takes(order())
    assert (desk.states(), desk.done) == (["unknown"], [])


async def test_a_journal_that_cannot_be_read_stops_no_start_and_is_never_begun_again(desk):
    desk.shelf.memo_[f"order/{order().id}"] = b"\xff not a journal"
    await desk.orders.recover()
    await desk.takes(order())
    assert (desk.done, desk.states()) == ([], [])
    await desk.takes(order(2))
    assert desk.done == [order(2).id]


async def test_without_a_journal_an_order_is_refused_and_not_done(desk):
    desk.shelf.fail()
    await desk.takes(order())
    assert desk.done == []
    desk.shelf.mend()
    await desk.orders._ledger._pay()
    assert desk.states()[-1] == "refused"
    assert "buffer unavailable" in desk.detail()
    await desk.takes(order())
    assert desk.done == []


async def test_an_id_is_remembered_until_long_after_its_time_and_then_forgotten(desk):
    await desk.takes(order())
    desk.clock.go(3600)
    await desk.takes(order(2, expires_at=desk.clock.now + timedelta(seconds=30)))
    assert len(desk.shelf.memos("order/")) == 2
    desk.clock.go(3600 * 2)
    await desk.takes(order(3, expires_at=desk.clock.now + timedelta(seconds=30)))
    assert sorted(desk.shelf.memos("order/")) == [f"order/{order(2).id}", f"order/{order(3).id}"]


async def test_a_wall_clock_far_ahead_makes_no_id_forgotten(desk):
    """It was forgotten at the next start, and a copy of the order that was still in time was done a second time."""
    desk.clock.go(5 * 3600)
    desk.clock.known = Quality(ClockSource.CENTRAL, -5 * 3_600_000, 5)
    await desk.takes(order())
    assert desk.done == [order().id]
    desk.clock.known = UNSYNCED
    desk.restart()
    await desk.orders.recover()
    desk.clock.known = Quality(ClockSource.CENTRAL, -5 * 3_600_000, 5)
    await desk.takes(order(2))
    await desk.takes(order())
    assert desk.done == [order().id, order(2).id]


# -- apart from the connection ---------------------------------------------------------------------------------------


async def test_orders_are_done_one_after_the_other_whatever_becomes_of_the_connection(desk, task):
    task(desk.orders.run())
    for number in range(1, 6):
        desk.orders.heard(desk.sign(order(number)))
    await until(lambda: desk.states().count("done") == 5)
    assert desk.done == [order(number).id for number in range(1, 6)]


async def test_an_order_that_takes_its_time_holds_up_no_other_lane_and_its_own_lane_waits(desk, task):
    desk.waits = asyncio.Event()
    task(desk.orders.run())
    for number, target in enumerate(("PAX-01", "PAX-01", "PAX-02"), 1):
        desk.orders.heard(desk.sign(order(number, target=target)))
    await until(lambda: len(desk.done) == 2)
    assert desk.done == [order(1).id, order(3).id]
    desk.waits.set()
    await until(lambda: desk.states().count("done") == 3)
    assert desk.done[-1] == order(2).id


async def test_a_bug_in_one_order_ends_no_other(desk, task):
    desk.answer = RuntimeError("a bug")
    task(desk.orders.run())
    desk.orders.heard(desk.sign(order(1)))
    await until(lambda: desk.done)
    desk.answer = ""
    desk.orders.heard(desk.sign(order(2)))
    await until(lambda: "done" in desk.states())
    desk.restart()
    await desk.orders.recover()
    assert desk.states() == ["done", "unknown"]


async def test_too_many_at_once_are_dropped_and_counted(desk):
    for number in range(200):
        desk.orders.heard(b"x" * number)
    assert desk.orders.refused == 200 - 64


async def test_slow_commands_to_devices_leave_room_for_a_gate(desk, task):
    """Sixty upgrades that last: some are refused and told so, none takes the place of a gate's order."""
    desk.waits = asyncio.Event()
    task(desk.orders.run())
    for number in range(60):
        upgrade = order(number, target=f"T{number}", command=CommandDevice(name="UpgradeTerminal"))
        desk.orders.heard(desk.sign(upgrade))
    await until(lambda: desk.states().count("refused") == 60 - 48)
    desk.orders.heard(desk.sign(order(100)))
    await until(lambda: order(100).id in desk.done)
    assert (len(desk.done), desk.orders.refused) == (49, 0)
    desk.waits.set()
    await until(lambda: desk.states().count("done") == 49)
    desk.orders.heard(desk.sign(order(101, command=CommandDevice(name="UpgradeTerminal"))))
    await until(lambda: order(101).id in desk.done)


async def test_one_too_many_that_was_done_before_stays_done(desk, task):
    again = order(1, command=CommandDevice(name="MoveCamera"))
    await desk.takes(again)
    desk.waits = asyncio.Event()
    task(desk.orders.run())
    for number in range(2, 50):
        desk.orders.heard(desk.sign(order(number, target=f"T{number}", command=CommandDevice(name="MoveCamera"))))
    await until(lambda: len(desk.done) == 49)
    desk.orders.heard(desk.sign(again))
    last = order(99, target="T99", command=CommandDevice(name="MoveCamera"))
    desk.orders.heard(desk.sign(last))
    await until(lambda: "refused" in desk.states())
    assert json.loads(desk.shelf.memo_[f"order/{again.id}"])["state"] == "done"
