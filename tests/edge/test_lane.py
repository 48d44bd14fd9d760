"""A lane at work, with a store and a gate that can wait and fail: the order of judge, commit and command."""

import asyncio
from dataclasses import dataclass, field

import pytest

from core.clearance.model import Direction, Effect, LaneRules, ListEffect, ListEntry, ListInForce, RuleSet
from core.crypto import suite
from core.errors import DeviceSilent
from core.identity.tokens import identify, subject_token
from core.messages.commands import CloseGate, OpenGate, SetGateMode
from core.messages.events import LaneMode
from drivers.facts import CredentialRead, GateObserved, Measured
from edge import lane as lane_module
from edge import ledger as ledger_module
from edge.buffer import EntryRefused
from edge.clearance import Judge
from edge.clock import Clock
from edge.lane import LaneRunner, Observers
from edge.lanes.words import AskMode, AskOpen, Memo, State
from edge.ledger import Ledger
from edge.sections import PassengerSection
from simulators.people import specimen

from .conftest import START, TOKEN_KEY, Shelf, until

HMAC = suite("intl").hmac
IDLE = GateObserved(LaneMode.NORMAL, 0, 0, 1 << 32)


@dataclass
class Desk:
    """One lane with everything around it."""

    policy: str = "refuse"
    shelf: Shelf = field(default_factory=Shelf)
    commands: list = field(default_factory=list)
    events: list = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    gate_fails: Exception | None = None
    gate_waits: asyncio.Event | None = None
    blocked: tuple[str, ...] = ()

    def __post_init__(self):
        self.start()

    def start(self, memo=None):
        timing = {"enter_timeout_ms": 500, "pass_timeout_ms": 500, "close_timeout_ms": 200}
        spec = PassengerSection(
            id="L",
            kind="passenger",
            gate="TS",
            reader="RD",
            direction=Direction.IN,
            rules=LaneRules(default=Effect.RELEASE, lists=()),
            timing={**timing, "when_unrecordable": self.policy},
        )
        entries = {self.token(text): (ListEntry("E1"),) for text in self.blocked}
        block = ListInForce("block", 1, ListEffect.REFUSE, 1, START, entries)
        rules = RuleSet(version=1, timezone="Asia/Shanghai", lanes={"L": spec.rules})
        self.ledger = Ledger(self.shelf, Clock().stamp)
        self.runner = LaneRunner(
            spec=spec,
            memo=memo or Memo(),
            judge=Judge(ruleset=rules, lists=lambda: (block,), token_key=TOKEN_KEY.encode(), hmac=HMAC),
            gate=self.gate,
            ledger=self.ledger,
            clock=Clock(),
            offline=lambda: True,
            new_id=lambda: f"A{len(self.events)}",
            observers=Observers(self.events.append, self.opened.append, lambda _: None),
        )

    def token(self, text):
        shown = identify(text)
        return subject_token(shown.kind, shown.natural, TOKEN_KEY.encode(), HMAC)

    async def gate(self, command):
        self.commands.append(command)
        if self.gate_waits is not None:
            await self.gate_waits.wait()
        if self.gate_fails is not None:
            raise self.gate_fails

    def names(self):
        return [type(event).__name__ for event in self.events]

    def sees(self, **changes):
        self.runner.observed(
            GateObserved(
                **{
                    **dict(
                        zip(
                            ("mode", "in_count", "out_count", "counter_span"),
                            (LaneMode.NORMAL, 0, 0, 1 << 32),
                            strict=True,
                        )
                    ),
                    **changes,
                }
            )
        )

    async def settled(self):
        await until(lambda: self.runner._waiting.empty())
        await asyncio.sleep(0.005)

    def memo(self):
        return Memo.model_validate_json(self.shelf.memo_["lane/L"])


@pytest.fixture
async def desk(task):
    desk = Desk()
    task(desk.runner.run())
    desk.sees()
    await desk.settled()
    return desk


async def test_the_gate_is_told_to_open_only_after_the_decision_is_on_disk(desk, task):
    desk.shelf.gate = asyncio.Event()
    before = desk.shelf.appends
    showing = task(desk.runner.credential(CredentialRead(specimen(1))))
    await until(lambda: desk.shelf.appends > before)
    await asyncio.sleep(0.02)
    assert desk.commands == []
    assert not showing.done()
    desk.shelf.gate.set()
    await showing
    assert desk.commands == [OpenGate(direction=Direction.IN)]
    assert desk.shelf.rows[-1][1]["effect"] == "release"
    assert len(desk.opened) == 1


async def test_a_credential_is_taken_only_once_everything_that_follows_is_done(desk, task):
    desk.gate_waits = asyncio.Event()
    showing = task(desk.runner.credential(CredentialRead(specimen(1))))
    await until(lambda: desk.commands)
    assert not showing.done()
    desk.gate_waits.set()
    await showing


async def test_who_stands_on_a_list_is_refused_and_the_gate_is_not_told(task):
    desk = Desk(blocked=(specimen(1),))
    task(desk.runner.run())
    desk.sees()
    await desk.runner.credential(CredentialRead(specimen(1)))
    assert desk.commands == []
    assert desk.shelf.rows[-1][1]["effect"] == "refuse"
    assert desk.runner.counters.refusals == 1


async def test_one_document_that_lies_on_the_reader_is_one_attempt(desk):
    for _ in range(20):
        await desk.runner.credential(CredentialRead("CODE-1"))
    assert desk.names() == ["PassageDecided"]


async def test_who_showed_a_document_in_vain_while_the_lane_was_busy_need_not_wait_to_show_it_again(desk):
    """The second showing was taken for the same document lying there still, again and again."""
    await desk.runner.credential(CredentialRead(specimen(1)))
    await desk.runner.credential(CredentialRead(specimen(2)))
    assert desk.runner.counters.busy == 1
    desk.sees(in_count=1)
    await until(lambda: desk.runner.lane.state is State.IDLE)
    await desk.runner.credential(CredentialRead(specimen(2)))
    assert desk.names() == ["PassageDecided", "PassageCleared", "PassageDecided"]


async def test_two_at_the_same_moment_are_one_served_and_one_counted(desk):
    await asyncio.gather(*(desk.runner.credential(CredentialRead(specimen(number))) for number in range(5)))
    assert desk.names().count("PassageDecided") == 1
    assert desk.runner.counters.busy == 4


async def test_nobody_passes_while_the_gate_was_never_seen(task):
    desk = Desk()
    task(desk.runner.run())
    await desk.runner.credential(CredentialRead(specimen(1)))
    assert desk.commands == []
    assert desk.shelf.rows[-1][1]["reasons"][0]["code"] == "gate_silent"


async def test_a_passage_from_the_document_to_the_counter(desk):
    await desk.runner.credential(CredentialRead(specimen(1)))
    desk.sees(released=True)
    desk.sees(released=True, sensors=frozenset({"middle"}))
    desk.sees(in_count=1)
    await until(lambda: "PassageCleared" in desk.names())
    assert desk.runner.counters.passages == 1
    assert desk.memo() == Memo(in_count=1, out_count=0)


async def test_what_was_seen_before_the_gate_was_told_confirms_nothing(desk, task):
    """An order done late, and not answered: who walked through was told of as one who had forced the gate."""
    desk.gate_waits, desk.gate_fails = asyncio.Event(), DeviceSilent("its effect is unknown", place="TS")
    showing = task(desk.runner.credential(CredentialRead(specimen(1))))
    await until(lambda: desk.commands)
    desk.sees()  # polled before the gate was open
    desk.gate_waits.set()
    await showing
    await desk.settled()
    assert desk.commands == [OpenGate(direction=Direction.IN), CloseGate()]
    assert desk.runner.lane.state is State.CLOSING
    desk.sees(sensors=frozenset({"middle"}))
    desk.sees(in_count=1)
    await until(lambda: "PassageCleared" in desk.names())
    assert desk.names() == ["PassageDecided", "PassageCleared"]


async def test_a_gate_that_could_not_be_told_to_close_is_told_again_though_it_shows_nothing_new(desk):
    """It stayed released for anybody: the demo's traveller who turned back waited for ever for it to close."""
    await desk.runner.credential(CredentialRead(specimen(1)))
    desk.sees(released=True)
    desk.gate_fails = DeviceSilent("no answer", place="TS")
    await until(lambda: "PassageTimedOut" in desk.names())
    assert desk.memo().armed
    desk.gate_fails = None
    told = len(desk.commands)
    desk.sees(released=True)
    await until(lambda: len(desk.commands) > told)
    assert desk.commands[told:] == [CloseGate()]
    desk.sees()
    await until(lambda: not desk.runner.lane.watching)


async def test_who_does_not_enter_is_timed_out_after_the_release_is_taken_back(desk):
    await desk.runner.credential(CredentialRead(specimen(1)))
    desk.sees(released=True)
    await until(lambda: CloseGate() in desk.commands)
    assert "PassageTimedOut" not in desk.names()
    desk.sees(released=False)
    await until(lambda: "PassageTimedOut" in desk.names())
    assert desk.memo().open is None


async def test_a_gate_that_does_not_answer_is_closed_and_the_lane_goes_on(desk):
    desk.gate_fails = DeviceSilent("no answer within 500 ms: its effect is unknown")
    await desk.runner.credential(CredentialRead(specimen(1)))
    assert desk.commands == [OpenGate(direction=Direction.IN), CloseGate()]  # and it is not repeated
    await until(lambda: desk.runner.lane.state is State.IDLE)
    assert desk.names() == ["PassageDecided", "PassageTimedOut"]


# -- a buffer that cannot commit -------------------------------------------------------------------------------------


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr(ledger_module, "_AGAIN_S", 0.01)


async def broken(policy, task):
    desk = Desk(policy)
    task(desk.runner.run())
    desk.sees()
    await desk.settled()
    desk.shelf.fail()
    await desk.runner.credential(CredentialRead(specimen(1)))
    return desk


async def mended(desk, task):
    desk.shelf.mend()
    task(desk.ledger.run())
    await until(lambda: not desk.ledger.owed and not desk.ledger._owing.is_set())


@pytest.mark.usefixtures("_quick")
async def test_without_a_record_a_lane_that_refuses_stays_shut_and_says_so_later(task):
    desk = await broken("refuse", task)
    assert desk.commands == []
    assert desk.runner.lane.state is State.IDLE
    assert desk.runner.counters.refusals == 1
    await mended(desk, task)
    decided = desk.shelf.rows[-1][1]
    assert (decided["effect"], decided["unrecorded"], decided["reasons"][0]["code"]) == ("refuse", True, "no_record")


@pytest.mark.usefixtures("_quick")
async def test_a_refusal_without_a_record_leaves_no_release_behind_in_the_memo(task):
    """After a restart the lane told a time-out of a release that had never been given."""
    desk = await broken("refuse", task)
    await mended(desk, task)
    assert desk.memo().open is None
    again = Desk(shelf=desk.shelf)
    again.start(desk.memo())
    task(again.runner.run())
    again.sees()
    await again.settled()
    assert again.names() == []
    assert again.commands == []


@pytest.mark.usefixtures("_quick")
async def test_without_a_record_a_lane_that_releases_opens_and_says_so_later(task):
    desk = await broken("release", task)
    assert desk.commands == [OpenGate(direction=Direction.IN)]
    desk.sees(in_count=1)
    await until(lambda: "PassageCleared" in desk.names())
    await mended(desk, task)
    kinds = [(kind.split(".")[1], data.get("unrecorded")) for kind, data in desk.shelf.rows]
    assert kinds[-2:] == [("PassageDecided", True), ("PassageCleared", None)]
    assert desk.memo() == Memo(in_count=1, out_count=0)


async def test_a_record_that_is_too_large_to_keep_does_not_end_the_lane(desk):
    """The lane died in `recording` and served nobody any more."""
    desk.shelf.refuses, desk.shelf.too_large = lambda body: "PassageDecided" in body, EntryRefused
    await desk.runner.credential(CredentialRead(specimen(1)))
    assert desk.commands == []
    desk.shelf.refuses = lambda body: False
    await desk.runner.credential(CredentialRead(specimen(2)))
    assert desk.commands == [OpenGate(direction=Direction.IN)]


# -- wishes ----------------------------------------------------------------------------------------------------------

OPEN = AskOpen("H1", Direction.IN, "local:anna", "stuck luggage")


async def test_a_gate_opened_by_hand_is_recorded_with_who_and_why_first(desk, task):
    desk.shelf.gate = asyncio.Event()
    before = desk.shelf.appends
    asking = task(desk.runner.ask(OPEN))
    await until(lambda: desk.shelf.appends > before)
    assert desk.commands == []
    desk.shelf.gate.set()
    assert await asking == ""
    assert desk.shelf.rows[-1][1]["actor"] == "local:anna"
    assert desk.commands == [OpenGate(direction=Direction.IN)]


async def test_a_wish_that_the_gate_did_not_do_is_never_called_done(desk):
    """With an observation waiting behind it the failure was forgotten before the asker could read it."""
    desk.gate_fails = DeviceSilent("no answer")
    asking = asyncio.ensure_future(desk.runner.ask(OPEN))
    for number in range(30):
        desk.sees(sensors=frozenset({f"s{number}"}))
    assert "no answer" in await asking


async def test_a_gate_cannot_be_opened_by_hand_while_somebody_is_served(desk):
    await desk.runner.credential(CredentialRead(specimen(1)))
    assert "somebody is being served" in await desk.runner.ask(OPEN)
    assert desk.commands == [OpenGate(direction=Direction.IN)]


async def test_nor_by_a_wish_that_waits_behind_a_credential(desk):
    """It was answered done, and nothing was done."""
    showing = asyncio.ensure_future(desk.runner.credential(CredentialRead(specimen(1))))
    asking = asyncio.ensure_future(desk.runner.ask(OPEN))
    await showing
    assert "somebody is being served" in await asking
    assert "GateOperated" not in desk.names()


async def test_a_wish_under_which_the_lane_broke_is_not_called_done():
    desk = Desk(gate_fails=ZeroDivisionError("a bug"))
    running = asyncio.ensure_future(desk.runner.run())
    assert "effect is unknown" in await desk.runner.ask(AskMode(LaneMode.LOCKED, "local:anna", "drill"))
    with pytest.raises(ZeroDivisionError):
        await running


async def test_a_mode_is_recorded_sent_and_told(desk):
    assert await desk.runner.ask(AskMode(LaneMode.LOCKED, "local:anna", "drill")) == ""
    assert desk.commands == [SetGateMode(mode=LaneMode.LOCKED)]
    assert desk.shelf.kinds()[-2:] == ["LaneModeChanged", "LaneSeen"]
    assert desk.memo().mode is LaneMode.LOCKED
    await desk.runner.credential(CredentialRead(specimen(1)))
    assert desk.shelf.rows[-1][1]["reasons"][0]["code"] == "lane_locked"


# -- floods ----------------------------------------------------------------------------------------------------------


async def test_what_says_nothing_new_is_dropped_and_what_comes_too_fast_is_bounded(desk):
    appends = desk.shelf.appends
    for _ in range(1000):
        desk.sees()
    assert desk.runner._waiting.qsize() == 0
    for number in range(1000):
        desk.sees(sensors=frozenset({f"s{number}"}))
    assert desk.runner._waiting.qsize() <= lane_module._MAX_WAITING
    await desk.settled()
    assert desk.shelf.appends == appends


async def test_nobody_who_passed_is_missed_when_observations_were_dropped(desk):
    """The counters go on: the next observation tells what the dropped ones would have told."""
    desk.shelf.gate = asyncio.Event()
    for number in range(1, 200):
        desk.sees(in_count=number)
    desk.shelf.gate.set()
    await desk.settled()
    desk.sees(in_count=200)
    await desk.settled()
    assert sum(event.persons for event in desk.events) == 200


async def test_a_full_queue_does_not_swallow_the_alarm(desk):
    await desk.runner.credential(CredentialRead(specimen(1)))
    desk.shelf.gate = asyncio.Event()
    desk.sees(out_count=1)  # an anomaly: its commit hangs
    await asyncio.sleep(0.01)
    for number in range(200):
        desk.sees(out_count=1, sensors=frozenset({f"s{number}"}))
    await asyncio.sleep(0.6)  # the time to enter is over meanwhile
    desk.shelf.gate.set()
    desk.shelf.gate = None
    desk.sees(out_count=1)
    await until(lambda: desk.runner.lane.state is State.IDLE)
    assert "PassageTimedOut" in desk.names()


async def test_facts_of_other_kinds_are_nothing_to_a_lane(desk):
    await desk.runner.credential(Measured({"x_c": 1.0}))
    desk.runner.observed(CredentialRead("x"))
    assert desk.names() == []


async def test_the_lane_tells_what_it_is_when_it_starts(desk):
    kind, data = desk.shelf.rows[0]
    assert "LaneSeen" in kind
    assert (data["lane"], data["devices"]) == ("L", {"gate": "TS", "reader": "RD"})
