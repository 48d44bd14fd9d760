"""The real daemon and a simulated cabin: Modbus TCP, a pty reader, HTTP pushes, the officer's socket."""

import asyncio
import json
import resource
import urllib.request
from base64 import urlsafe_b64decode
from datetime import timedelta

import pytest
import tomli_w

from core.crypto import suite
from core.errors import ConfigInvalid, Unsupported
from core.messages.commands import CloseBoarding, OpenBoarding, Order, RulePassenger
from drivers.cabin.commands import Screen
from edge.config import parse_config
from edge.lanes.boarding import covered
from edge.lanes.cabin_words import Step
from simulators.boarding import CabinPlace, boarding_plan
from simulators.cabin import Flaw, Side
from simulators.people import specimen

from .cabins import SEAL_KEY, cabins_in, token
from .conftest import START, until

ANN, BOB, CAT = specimen(1), specimen(2), specimen(3)


@pytest.fixture
async def cabins(nook, signer, monkeypatch):
    monkeypatch.setenv("GATEFLEET_TEST_FACE", "secret")
    async with cabins_in(nook, signer) as made:
        yield made


async def opened(running, *documents, **more):
    wanted = {"documents": list(documents), "boarding": "B1", "flight": "NX101", "stand": "12A"}
    told = await running.ask("boarding_open", lane="C1", officer="P1", actor="cli:officer", **wanted | more)
    assert told.get("result") == "done", told
    return told


async def verified(place: CabinPlace, document):
    await place.enter()
    await place.show_document(document)
    return await place.show_face()


@pytest.mark.slow
async def test_what_a_boarding_tells_the_officer_the_technician_and_prometheus(cabins):
    running = await cabins.start(BOB)
    await opened(running, ANN, BOB, CAT)
    place = await cabins.place(running)
    assert await verified(place, ANN) is Screen.GO
    await place.leave()
    assert await verified(place, BOB) is Screen.WAIT
    (shown,) = (await running.ask("boarding_show"))["cabins"]
    assert (shown["step"], shown["held"], shown["counts"]["verified"], shown["counts"]["held"]) == (
        "held",
        "B1-0002",
        1,
        1,
    )
    status = await running.ask("status")
    assert status["lanes"][0]["boarding"] == shown
    assert (status["lanes"][0]["state"], status["lanes"][0]["passages"]) == ("held", 1)
    wrong = await running.ask("boarding_rule", lane="C1", attempt="B1-0001", ruling="release", reason="r", actor="a")
    assert (wrong["result"], wrong["detail"]) == ("failed", "B1-0002 is held, not B1-0001")
    await cabins.officer(running)("refuse")
    await place.go_back()
    closed = await running.ask("boarding_close", lane="C1", actor="cli:officer")
    assert closed["result"] == "done"
    kept = await running.vital()
    ruled = next(data for kind, data in kept if kind == "PassengerRuled")
    assert (ruled["actor"], ruled["reason"], ruled["subject_token"]) == (
        "local:cli:officer",
        "seen in person",
        token(BOB),
    )
    sealed = next(data for kind, data in kept if kind == "BoardingClosed")
    crypto = suite("sm")
    signature = urlsafe_b64decode(sealed["signature"] + "==")
    assert crypto.verify(crypto.public_of(SEAL_KEY), covered(sealed["summary"]), signature)
    assert json.loads(sealed["summary"])["counts"] == sealed["counts"]
    kinds = [one["kind"] for one in running.parts.tail.kept]
    assert kinds == ["boarding_opened", "verified", "cleared", "held", "ruled", "boarding_closed"]
    address = f"http://127.0.0.1:{running.parts.metrics_port}/metrics"
    told = (await asyncio.to_thread(lambda: urllib.request.urlopen(address, timeout=5).read())).decode()
    assert 'gatefleet_cabin_visits_total{lane="C1",outcome="verified"} 1.0' in told
    assert "NX101" not in told
    assert "U000" not in json.dumps(kept) + json.dumps(status)


@pytest.mark.slow
async def test_on_a_full_disk_nobody_is_released_and_the_officer_can_when_there_is_room(cabins):
    running = await cabins.start()
    await opened(running, ANN)
    place = await cabins.place(running)
    await place.enter()
    await place.show_document(ANN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        assert await place.show_face() is Screen.WAIT
        assert cabins.cabin.bolted(Side.EXIT)
        why = await running.ask("why", id="C1-IO")
        assert "cabin_no_record" in {one["code"] for one in why["findings"]}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await until(lambda: running.parts.buffer.healthy and not running.parts.ledger.owed, 10)
    await cabins.officer(running)("release")
    await place.leave()
    kinds = [kind for kind, _ in await running.vital() if kind.startswith("Passenger")]
    assert kinds == ["PassengerHeld", "PassengerRuled", "PassengerLeft"]


@pytest.mark.slow
async def test_a_bolt_that_does_not_shoot_lets_nobody_in_and_is_found(cabins):
    cabins.cabin.flaws.add(Flaw.BOLT_STUCK)
    running = await cabins.start()
    await opened(running, ANN)
    await asyncio.sleep(0.6)
    assert cabins.cabin.bolted(Side.ENTRANCE)
    board = running.parts.board.record("C1-IO")
    await until(lambda: "cabin_bolt" in {one.code for one in board.findings}, 8)
    cabins.cabin.flaws.clear()
    await cabins.cabin.until(lambda cabin: not cabin.bolted(Side.ENTRANCE), 5)
    await until(lambda: "cabin_bolt" not in {one.code for one in board.findings})


async def test_a_face_that_tells_no_age_or_holds_a_picture_is_no_face_and_other_pushes_are_heard(cabins):
    running = await cabins.start()
    place = await cabins.place(running)
    place.terminal.leaks = "face_template"
    assert await place.terminal.compare(0.99) == 400
    assert await place.terminal.beat() == 200
    await until(lambda: running.parts.lanes["C1"].lane.ignored == 0)
    place.terminal.leaks = ""
    assert await place.terminal.compare(0.99) == 200
    assert running.parts.lanes["C1"].lane.ignored == 1


# -- what the officer says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([ANN, "UTO/U00000001"], "documents 1 and 2 are the same"),
        ([ANN, "U12345678 is no document"], "document 2: identifier refused"),
        ([ANN, ANN[:-3] + "#?!"], "document 2: identifier refused"),
        ([], "documents are a list of 1 to 1000 texts"),
        (["x" * 513], "document 1 is no text of at most 512 characters"),
        ([7], "document 1 is no text of at most 512 characters"),
        ([ANN] * 1001, "documents are a list of 1 to 1000 texts"),
    ],
)
async def test_a_manifest_with_a_mistake_is_refused_whole_and_told_without_its_numbers(cabins, documents, said):
    running = await cabins.start()
    wanted = {"boarding": "B1", "flight": "NX101", "stand": "12A", "documents": documents}
    told = await running.ask("boarding_open", lane="C1", actor="cli:a", **wanted)
    assert told["code"] == "message_invalid"
    assert said in told["detail"]
    assert "U0000" not in json.dumps(told)
    assert "U1234" not in json.dumps(told)
    assert running.parts.lanes["C1"].lane.memo.boarding is None


async def test_documents_in_any_form_are_who_the_reader_will_read(cabins):
    running = await cabins.start()
    await opened(running, ANN, "uto/u00000002", "11010519491231002X", "hkid/A123456(3)")
    tokens = running.parts.lanes["C1"].lane.memo.boarding.tokens
    assert tokens == tuple(map(token, (ANN, BOB, "11010519491231002x", "A123456(3)")))
    assert "".join(one[0] for one in tokens) == "ddrp"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (
            {"op": "boarding_open", "lane": "C9", "boarding": "B", "flight": "NX1", "stand": "1", "expected": 1},
            "not_found",
        ),
        (
            {"op": "boarding_open", "lane": "C1", "boarding": "B", "flight": "nx1", "stand": "1", "expected": 1},
            "message_invalid",
        ),
        ({"op": "boarding_open", "lane": "C1", "boarding": "B", "flight": "NX1", "stand": "1"}, "message_invalid"),
        (
            {"op": "boarding_open", "lane": "C1", "boarding": "B", "flight": "NX1", "stand": "1", "expected": "1x"},
            "message_invalid",
        ),
        (
            {"op": "boarding_rule", "lane": "C1", "attempt": "B1-0001", "ruling": "free", "reason": "x"},
            "message_invalid",
        ),
        ({"op": "boarding_rule", "lane": "C1", "attempt": "B1-0001", "ruling": "release"}, "message_invalid"),
        ({"op": "boarding_close"}, "message_invalid"),
    ],
)
async def test_what_cannot_be_understood_is_refused(cabins, request_, code):
    running = await cabins.start()
    told = await running.ask(request_.pop("op"), **request_, actor="cli:a")
    assert told["code"] == code, told


async def test_close_and_rule_without_a_boarding_say_so(cabins):
    running = await cabins.start()
    told = await running.ask("boarding_close", lane="C1", actor="cli:a")
    assert (told["result"], told["detail"]) == ("failed", "no boarding is open here")
    told = await running.ask("boarding_rule", lane="C1", attempt="B1-1", ruling="again", reason="r", actor="cli:a")
    assert (told["result"], told["detail"]) == ("failed", "nobody is held")


async def test_orders_of_central_are_the_officers(cabins, signer):
    running = await cabins.start()

    async def do(command):
        order = Order(
            id="0" * 26,
            edge="airport-test.cabins",
            target="C1",
            command=command,
            issued_at=START,
            expires_at=START + timedelta(seconds=5),
            actor="x" * 100,
            reason="by central",
        )
        return await running.parts.execution.order(order)

    opening = OpenBoarding(boarding="B1", flight="NX101", stand="1", tokens=(token(ANN),))
    assert await do(opening) == ""
    boarding = running.parts.lanes["C1"].lane.memo.boarding
    assert (boarding.officer, boarding.tokens) == ("x" * 64, (token(ANN),))
    assert await do(opening) == "boarding B1 is open here"
    assert await do(RulePassenger(attempt="B1-0001", ruling="refuse")) == "nobody is held"
    assert await do(CloseBoarding(boarding="B0")) == "boarding B1 is open here, not B0"
    assert await do(CloseBoarding(boarding="B1", officer="P2")) == ""
    closed = next(data for kind, data in await running.vital() if kind == "BoardingClosed")
    assert closed["officer"] == "P2"


async def test_only_a_cabin_meets_an_aircraft():
    from edge.cabins.desk import ask_cabin

    with pytest.raises(Unsupported):
        await ask_cabin(object(), CloseBoarding(boarding="B1"), "a", "r")


# -- the file --------------------------------------------------------------------------------------------------------


def lane_without(cabins, **changes):
    table = cabins.table()
    table["lane"][0] |= changes
    return table


async def test_a_cabin_without_a_seal_key_is_refused_at_its_key(cabins):
    table = cabins.table()
    del table["crypto"]["seal_key"]
    with pytest.raises(ConfigInvalid, match=r"crypto\.seal_key: is missing: .*edge seal-key new"):
        parse_config(tomli_w.dumps(table).encode(), "c.toml")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sm2-priv:AAAA", "crypto.seal_key"),
        (suite("intl").generate().secret_text(), "a key of suite intl, the edge's is sm"),
        ("", "crypto.seal_key"),
    ],
    ids=["no key", "of the other suite", "empty"],
)
async def test_a_seal_key_that_does_not_fit_stops_the_start_with_its_place(cabins, key, said):
    (cabins.folder / "seal.key").write_text(key, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as refused:
        await cabins.start()
    assert said in str(refused.value)
    assert "AAAA" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"face": "C1-RD"}, "lane.0.face: C1-RD is a reader, wanted a face terminal"),
        ({"cabin": "C1-FACE"}, "lane.0.cabin: C1-FACE is a face terminal, wanted a cabin"),
        ({"reader": "X"}, "lane.0.reader: there is no device 'X'"),
        ({"timing": {"settle_ms": 100}}, "lane.0.timing.settle_ms: 100 is not longer than a poll of C1-IO, 100 ms"),
        ({"timing": {"face_threshold": 2}}, "lane.0.timing.face_threshold"),
        ({"gate": "C1-IO"}, "lane.0.gate"),
        ({"rules": {"default": "release", "directions": ["out"]}}, "lane.0.direction"),
    ],
)
async def test_each_mistake_about_a_cabin_is_told_at_its_key(cabins, changes, said):
    with pytest.raises(ConfigInvalid) as refused:
        parse_config(tomli_w.dumps(lane_without(cabins, **changes)).encode(), "c.toml")
    assert said in str(refused.value)


def test_a_plan_has_one_of_each_manner_and_is_the_same_again():
    plan = boarding_plan(3, 20)
    assert plan == boarding_plan(3, 20) != boarding_plan(4, 20)
    assert len({one.manner for one in plan.passengers}) == 8
    assert len({one.document for one in plan.passengers}) == 20
    assert len(plan.expected) < 20
    assert plan.listed


def test_a_step_has_a_word_for_the_officer():
    from edge.cli.cabin import COUNTS, STEPS

    assert set(STEPS) == {step.value for step in Step}
    assert set(COUNTS) == {
        "expected",
        "seen",
        "verified",
        "held",
        "released_by_officer",
        "refused",
        "unexpected",
        "no_show",
    }
