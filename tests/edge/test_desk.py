"""What a technician may ask: arguments are checked, deeds are done by the lane and told as they went."""

import asyncio
from types import SimpleNamespace

import pytest

from core.clearance.model import Direction
from core.errors import GatefleetError, ListRefused, MessageInvalid, NotFound
from core.messages.events import AnomalyKind, FreePassage, LaneMode, PassageAnomaly, PassageCleared, PassageTimedOut
from drivers.base import Settings
from drivers.facts import CredentialRead, GateObserved
from drivers.turnstile import DRIVER as TURNSTILE
from edge.board import Board
from edge.buffer import open_buffer
from edge.desk import Desk, Tail
from edge.execution import Execution
from edge.lane import LaneCounters
from edge.lanes.words import AskMode, AskOpen, Memo, State
from edge.profiles import load_profile
from edge.sections import DeviceSpec
from edge.uplink import UplinkState

from .conftest import until

SECRET = "P<UTOSPECIMEN<<A|U000000017UTO"


class FakeRunner:
    def __init__(self):
        self.spec = SimpleNamespace(id="PAX-01", gate="TS-01", reader="RD-01", direction=Direction.OUT)
        self.lane = SimpleNamespace(state=State.IDLE, memo=Memo())
        self.counters = LaneCounters(passages=3)
        self.wishes, self.failure = [], ""

    async def ask(self, wish):
        self.wishes.append(wish)
        return self.failure


class FakeLists:
    in_force = ()

    async def apply(self, text):
        if text != "good":
            raise ListRefused("older")
        return SimpleNamespace(head=SimpleNamespace(list_id="hq-block", version=7, entries=2))

    def entries(self, _list_id):
        return 0


@pytest.fixture
async def desk(tmp_path, clock):
    spec = DeviceSpec("TS-01", TURNSTILE, load_profile("reference/swing-gate"), Settings(), "modbus+tcp://h", "PAX-01")
    board = Board({"TS-01": spec}, now=clock.wall, tell=lambda _: None)
    async with open_buffer(tmp_path / "buffer.db", 8_000_000, clock.stamp) as buffer:
        yield Desk(
            edge="hengqin-bridge.gates",
            version="0.1.0",
            started_s=0.0,
            board=board,
            buffer=buffer,
            clock=clock,
            lists=FakeLists(),
            lanes={"PAX-01": FakeRunner()},
            uplink=UplinkState("mqtts://central", last_error="refused"),
            tail=Tail(clock),
            new_id=lambda: "NEW-ID",
            execution=Execution({}, {}, lambda: "NEW-ID", buffer.append),
        )


async def ask(desk, op, **request):
    return await desk.operations()[op]({"op": op, **request})


async def test_the_status_is_whole(desk):
    status = await ask(desk, "status")
    assert status["edge"] == "hengqin-bridge.gates"
    assert status["uplink"] == {"state": "down", "since": "", "url": "mqtts://central", "last_error": "refused"}
    assert status["clock"]["source"] == "ntp"
    assert set(status["buffer"]["streams"]) == {"vital", "state", "telemetry"}
    assert status["lanes"][0]["passages"] == 3
    assert status["devices"]["unknown"] == 1


async def test_why_names_each_finding_with_since(desk):
    jam = GateObserved(LaneMode.LOCKED, 0, 0, 1 << 32, faults=frozenset({"door_jam"}))
    desk.board.fact("TS-01", jam)
    why = await ask(desk, "why", id="TS-01")
    assert why["health"] == "fault"
    assert [one["code"] for one in why["findings"]] == ["fault_bit", "mode_not_normal"]
    assert why["findings"][0]["since"] == "2026-11-21T08:00:00+00:00"


@pytest.mark.parametrize("op", ["device", "why"])
async def test_an_unknown_device_is_not_found(desk, op):
    with pytest.raises(NotFound):
        await ask(desk, op, id="XX")


async def test_a_credential_is_never_shown(desk):
    desk.board.fact("TS-01", CredentialRead(SECRET))
    shown = [await ask(desk, "device", id="TS-01"), await ask(desk, "devices")]
    assert SECRET not in repr(shown)
    watching = desk.streams()["watch"]({"op": "watch", "id": "TS-01"})
    coming = asyncio.ensure_future(anext(watching))
    await until(lambda: desk.board.record("TS-01").watchers)
    desk.board.fact("TS-01", CredentialRead(SECRET))
    assert SECRET not in repr(await coming)
    await watching.aclose()
    assert desk.board.record("TS-01").watchers == []


@pytest.mark.parametrize(
    ("action", "mode"), [("lock", "locked"), ("release", "normal"), ("free", "free"), ("emergency", "emergency")]
)
async def test_a_mode_is_asked_of_the_lane_with_who_and_why(desk, action, mode):
    done = await ask(desk, "gate", lane="PAX-01", action=action, reason="drill", actor="anna")
    assert done["result"] == "done"
    assert desk.lanes["PAX-01"].wishes == [AskMode(LaneMode(mode), "local:anna", "drill")]


async def test_an_opening_goes_the_lanes_way_unless_told_otherwise(desk):
    for more in ({}, {"direction": "in"}):
        await ask(desk, "gate", lane="PAX-01", action="open", reason="luggage", actor="anna", **more)
    assert desk.lanes["PAX-01"].wishes == [
        AskOpen("NEW-ID", Direction.OUT, "local:anna", "luggage"),
        AskOpen("NEW-ID", Direction.IN, "local:anna", "luggage"),
    ]


async def test_what_the_gate_did_not_do_is_failed_with_the_reason(desk):
    desk.lanes["PAX-01"].failure = "no answer"
    done = await ask(desk, "gate", lane="PAX-01", action="lock", reason="drill", actor="anna")
    assert (done["result"], done["detail"]) == ("failed", "no answer")


@pytest.mark.parametrize(
    "request_",
    [
        {"lane": "PAX-99"},
        {"lane": None},
        {"action": "explode"},
        {"action": ["open"]},
        {"action": "open", "direction": "up"},
        {"action": "open", "direction": 3},
        {"reason": ""},
        {"reason": None},
        {"actor": "x" * 129},
        {"actor": {}},
    ],
    ids=str,
)
async def test_a_wrong_wish_is_refused_and_nothing_is_done(desk, request_):
    good = {"lane": "PAX-01", "action": "lock", "reason": "drill", "actor": "anna"}
    with pytest.raises(GatefleetError):
        await ask(desk, "gate", **{**good, **request_})
    assert desk.lanes["PAX-01"].wishes == []


async def test_a_signed_list_is_handed_on(desk):
    assert await ask(desk, "list_apply", signed="good") == {"list_id": "hq-block", "version": 7, "entries": 2}
    for wrong in ("bad", "", None, "x" * (1 << 21)):
        with pytest.raises(GatefleetError):
            await ask(desk, "list_apply", signed=wrong)


# -- passages --------------------------------------------------------------------------------------------------------


def cleared(number):
    fields = {
        "lane": "PAX-01",
        "direction": Direction.IN,
        "subject_token": "d-secret",
        "opened_ms": 4.0,
        "duration_ms": 1,
    }
    return PassageCleared(attempt=f"A{number}", **fields)


async def test_the_last_passages_come_first_then_those_that_follow_without_a_gap(desk):
    for number in range(30):
        desk.tail.event(cleared(number))
    stream = desk.streams()["passages"]({"op": "passages", "last": 3, "follow": True})
    shown = [await anext(stream) for _ in range(2)]
    desk.tail.event(cleared(30))
    shown += [await anext(stream) for _ in range(2)]
    assert [one["attempt"] for one in shown] == ["A27", "A28", "A29", "A30"]
    await stream.aclose()
    assert desk.tail.followers == []


async def test_without_following_it_ends(desk):
    desk.tail.event(cleared(1))
    shown = [one async for one in desk.streams()["passages"]({"op": "passages"})]
    assert [one["kind"] for one in shown] == ["cleared"]
    assert "d-secret" not in repr(shown)


@pytest.mark.parametrize("last", [-1, 1001, "20", None, 1.5, [3]])
async def test_a_wrong_number_of_passages_is_refused(desk, last):
    with pytest.raises(MessageInvalid):
        await anext(desk.streams()["passages"]({"op": "passages", "last": last}))


async def test_a_follower_that_does_not_read_costs_a_bounded_queue(desk):
    stream = desk.streams()["passages"]({"op": "passages", "last": 0, "follow": True})
    coming = asyncio.ensure_future(anext(stream))
    await until(lambda: desk.tail.followers)
    for number in range(5000):
        desk.tail.event(cleared(number))
    assert (await coming)["attempt"] == "A0"
    assert desk.tail.followers[0].qsize() <= 256
    assert len(desk.tail.kept) == 1000
    await stream.aclose()


async def test_every_kind_of_passage_has_words_and_other_events_none(desk):
    desk.tail.event(PassageTimedOut(lane="L", attempt="A", subject_token="t"))
    desk.tail.event(PassageAnomaly(lane="L", kind=AnomalyKind.JAM))
    desk.tail.event(FreePassage(lane="L", direction=Direction.IN, persons=2, mode=LaneMode.FREE))
    desk.tail.event(object())
    assert [one["kind"] for one in desk.tail.kept] == ["timed_out", "anomaly", "free"]
