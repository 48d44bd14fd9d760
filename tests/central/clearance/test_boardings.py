import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from central import eventstore
from central.db import now
from central.eventstore import events
from central.reproject import reproject
from core.clearance.model import Effect, Reason, ReasonCode
from core.crypto import key_id, suite
from core.messages.cabin_events import (
    BoardingClosed,
    BoardingCounts,
    BoardingOpened,
    CabinAnomaly,
    CabinFault,
    HoldReason,
    PassengerHeld,
    PassengerLeft,
    PassengerRuled,
    PassengerVerified,
    Ruling,
)

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
COUNTS = BoardingCounts(
    expected=2, seen=2, verified=1, held=0, released_by_officer=1, refused=0, unexpected=0, no_show=0
)
AT = {"lane": "C1", "boarding": "B1"}


def opened(**more):
    told = {"flight": "NX101", "stand": "12A", "officer": "P1", "expected": 2, "named": True}
    return BoardingOpened(**(AT | told | more))


def seen(kind, attempt, token, **more):
    told = {"document_kind": "passport", "person_class": "visitor", "face_score": 0.93, "face_threshold": 0.8}
    told |= {"effect": Effect.RELEASE, "ruleset_version": 3, "list_versions": {"hq-block": 7}, "duration_ms": 9_000}
    return kind(**(AT | {"attempt": attempt, "subject_token": token} | told | more))


def verified(attempt, token="d-ann", **more):
    return seen(PassengerVerified, attempt, token, **more)


def held(attempt, token="d-bob", why=HoldReason.FACE_MISMATCH, **more):
    return seen(PassengerHeld, attempt, token, why=why, **more)


def ruled(attempt, ruling, token="d-bob"):
    return PassengerRuled(**AT, attempt=attempt, subject_token=token, ruling=ruling, actor="P1", reason="known")


def left(attempt, token):
    return PassengerLeft(**AT, attempt=attempt, subject_token=token, duration_ms=4_000)


def summary(**more):
    told = {"boarding": "B1", "cabin": "C1", "flight": "NX101", "counts": COUNTS.model_dump()}
    return json.dumps(told | more, sort_keys=True, separators=(",", ":"))


def closed(text=None, signature="", key_id="K1", **more):
    told = {"officer": "P2", "counts": COUNTS, "summary": text or summary(), "signature": signature, "key_id": key_id}
    return BoardingClosed(**(AT | told | more))


@pytest.fixture(autouse=True)
async def _nothing_stranded(house):
    """Whatever happens in a test, no event of it is left unprojected."""
    yield
    async with house.world.database.read() as conn:
        assert set((await conn.execute(select(events.c.status))).scalars()) <= {"ok"}


async def got(house, path, **who):
    answer = await house.world.ask("GET", path, **who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def the_one(house):
    (line,) = (await got(house, "/v1/boardings"))["items"]
    return await got(house, f"/v1/boardings/{line['id']}")


async def passengers(house):
    (line,) = (await got(house, "/v1/boardings"))["items"]
    return (await got(house, f"/v1/boardings/{line['id']}/passengers"))["items"]


async def test_a_boarding_is_one_row_from_its_opening_to_its_summary(house):
    await house.world.happen(opened(), at=T0)
    told = await the_one(house)
    assert (told["flight"], told["stand"], told["opened_by"], told["expected"]) == ("NX101", "12A", "P1", 2)
    assert (told["state"], told["counts"], told["seal"], told["opened_at"]) == (
        "open",
        None,
        None,
        "2026-11-21T08:00:00Z",
    )
    await house.world.happen(verified("B1-0001"), left("B1-0001", "d-ann"), at=T0 + timedelta(minutes=1))
    await house.world.happen(held("B1-0002"), ruled("B1-0002", Ruling.RELEASE), at=T0 + timedelta(minutes=2))
    await house.world.happen(closed(), at=T0 + timedelta(hours=1))
    told = await the_one(house)
    assert (told["state"], told["closed_by"], told["closed_at"]) == ("closed", "P2", "2026-11-21T09:00:00Z")
    assert (told["counts"], told["summary"], told["seal"]) == (COUNTS.model_dump(), summary(), "unknown_key")
    assert told["tally"] == {name: told["counts"][name] for name in told["tally"]}
    assert told["opened_at"] == "2026-11-21T08:00:00Z"


async def test_a_visit_tells_its_grounds_and_its_ruling(house):
    reason = Reason(code=ReasonCode.LIST_HIT, rule_id="list", effect="refuse", list_id="hq-block")
    asked = held("B1-0001", effect=Effect.HOLD_MANUAL, reasons=(reason,), why=HoldReason.CLEARANCE, liveness=0.4)
    await house.world.happen(opened(), asked, at=T0)
    (row,) = await passengers(house)
    assert (row["outcome"], row["why"], row["effect"], row["ruling"]) == ("held", "clearance", "hold_manual", None)
    assert (row["reasons"][0]["list_id"], row["list_versions"], row["liveness"]) == ("hq-block", {"hq-block": 7}, 0.4)
    assert (row["token"], row["document_kind"], row["face_score"]) == ("d-bob", "passport", 0.93)
    await house.world.happen(ruled("B1-0001", Ruling.REFUSE), at=T0 + timedelta(minutes=1))
    (row,) = await passengers(house)
    assert (row["outcome"], row["ruling"], row["ruled_by"], row["ruled_reason"]) == ("refused", "refuse", "P1", "known")
    assert (row["ruled_at"], row["left_at"], row["reasons"][0]["rule_id"]) == ("2026-11-21T08:01:00Z", None, "list")


ATTEMPTS = {
    "the last event of an attempt holds": (
        [held("1"), ruled("1", Ruling.AGAIN), verified("1", "d-bob")],
        {"verified": 1},
    ),
    "sent back and not come again is held": ([held("1"), ruled("1", Ruling.AGAIN)], {"held": 1}),
    "a token is one passenger": ([held("1"), verified("2", "d-bob"), verified("3", "d-ann")], {"verified": 2}),
    "no document, each visit is one": ([held("1", ""), held("2", "")], {"held": 2}),
    "a document found after all is the same visit": (
        [held("1", ""), ruled("1", Ruling.AGAIN, ""), verified("1")],
        {"verified": 1},
    ),
    "two documents are two": (
        [held("1", "d-a"), ruled("1", Ruling.AGAIN, "d-a"), verified("1", "d-b")],
        {"held": 1, "verified": 1},
    ),
    "who has left stays": ([verified("1"), left("1", "d-ann"), held("2", "d-ann")], {"verified": 1}),
    "a refusal stands": ([held("1"), ruled("1", Ruling.REFUSE), held("2")], {"refused": 1}),
    "until an officer rules again": (
        [held("1"), ruled("1", Ruling.REFUSE), held("2"), ruled("2", Ruling.RELEASE)],
        {"released_by_officer": 1},
    ),
}


@pytest.mark.parametrize("case", ATTEMPTS)
async def test_passengers_are_counted_as_the_cabin_counts(house, case):
    happened, counts = ATTEMPTS[case]
    await house.world.happen(opened(), *happened[:2])
    for event in happened[2:]:
        await house.world.happen(event)
    tally = (await the_one(house))["tally"]
    assert {name: number for name, number in tally.items() if number and name != "seen"} == counts
    assert tally["seen"] == sum(counts.values())


async def test_an_older_event_that_is_projected_again_changes_nothing_that_is_newer(house):
    await house.world.happen(opened(), held("1"), ruled("1", Ruling.RELEASE))
    async with house.world.database.begin() as conn:
        kinds = [PassengerHeld.TYPE, BoardingOpened.TYPE]
        stranded = (await conn.execute(select(events.c.position).where(events.c.type.in_(kinds)))).scalars().all()
        await eventstore.set_status(conn, stranded, eventstore.PROJECTION_FAILED)
    assert await reproject(house.world.database, house.world.bus) == (2, 0)
    (row,) = await passengers(house)
    assert (row["outcome"], row["ruling"]) == ("released_by_officer", "release")


async def test_a_boarding_whose_opening_is_not_known_is_still_told(house):
    await house.world.happen(verified("1"), closed(), at=T0)
    told = await the_one(house)
    assert (told["state"], told["flight"], told["expected"], told["tally"]["verified"]) == ("closed", "", None, 1)


async def put_key(house, edge, public, *, name="", note="", **who):
    body = {"public_key": public.text, "note": note}
    return await house.world.ask("PUT", f"/v1/edges/{edge}/seal-keys/{name or key_id(public)}", json=body, **who)


async def test_a_seal_key_is_made_known_once_and_only_its_note_changes(house):
    public, other = (suite("sm").public_of(suite("sm").generate()) for _ in range(2))
    made = await put_key(house, "north.cabins", public)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    again = await put_key(house, "north.cabins", public)
    assert (again.status_code, again.headers["etag"], again.json()) == (200, '"1"', made.json())
    assert (await put_key(house, "north.cabins", public, note="spare")).status_code == 428
    assert (await put_key(house, "north.cabins", public, note="spare", match='"7"')).status_code == 412
    changed = await put_key(house, "north.cabins", public, note="spare", match='"1"')
    assert (changed.status_code, changed.headers["etag"], changed.json()["note"]) == (200, '"2"', "spare")
    assert (await put_key(house, "north.cabins", other, match='"1"')).status_code == 412
    assert (await put_key(house, "north.cabins", other, name=key_id(public))).status_code == 422
    assert (await put_key(house, "north.cabins", other)).status_code == 201
    listed = (await got(house, "/v1/edges/north.cabins/seal-keys"))["items"]
    assert {one["key_id"] for one in listed} == {key_id(public), key_id(other)}
    one = await got(house, f"/v1/edges/north.cabins/seal-keys/{key_id(public)}")
    assert (one["public_key"], one["created_by"]) == (public.text, "tester")
    assert (await house.world.ask("GET", f"/v1/edges/south.cabins/seal-keys/{key_id(public)}")).status_code == 404


@pytest.mark.parametrize("text", ["", "sm2-pub:AAAA", "sm2-priv:" + "A" * 43, "x" * 129])
async def test_what_is_no_public_key_is_refused(house, text):
    path = f"/v1/edges/north.cabins/seal-keys/{'0' * 20}"
    assert (await house.world.ask("PUT", path, json={"public_key": text})).status_code == 422


@pytest.mark.parametrize("who", [{"scopes": ("fleet:read",)}, {"sites": ("south",)}])
async def test_only_an_admin_of_the_site_makes_a_seal_key_known(house, who):
    public = suite("sm").public_of(suite("sm").generate())
    assert (await put_key(house, "north.cabins", public, as_="other", **who)).status_code == 403
    assert (await got(house, "/v1/edges/north.cabins/seal-keys"))["items"] == []


async def test_old_boardings_keep_their_old_key(house):
    crypto = suite("sm")
    keys = [crypto.generate() for _ in range(2)]
    for number, key in enumerate(keys):
        text = summary(boarding=f"B{number}")
        raw = crypto.sign(key, f"gatefleet/v1/boarding\n{text}".encode())
        signature = urlsafe_b64encode(raw).decode().rstrip("=")
        name = key_id(crypto.public_of(key))
        event = closed(text, signature, name, boarding=f"B{number}")
        await house.world.happen(opened(boarding=f"B{number}"), event)
    await put_key(house, "north.gates", crypto.public_of(keys[1]))
    await put_key(house, "north.gates", crypto.public_of(keys[0]))
    lines = (await got(house, "/v1/boardings"))["items"]
    assert [(await got(house, f"/v1/boardings/{line['id']}"))["seal"] for line in lines] == ["valid", "valid"]


@pytest.mark.parametrize("name", ["sm", "intl"])
async def test_a_seal_is_checked_where_the_edges_key_is_known(house, name):
    crypto = suite(name)
    key = crypto.generate()
    public = crypto.public_of(key)
    k1 = key_id(public)

    def signed(text, purpose="boarding"):
        raw = crypto.sign(key, f"gatefleet/v1/{purpose}\n{text}".encode())
        return urlsafe_b64encode(raw).decode().rstrip("=")

    other = summary(boarding="B0")
    elsewhere, late = summary(flight="NX999"), summary(closed_by="P9")
    few = summary(counts=COUNTS.model_dump() | {"verified": 9})
    for edge, event in {
        "north.good": closed(summary(), signed(summary()), k1),
        "north.forged": closed(summary(officer="x"), signed(summary()), k1),
        "north.purpose": closed(summary(), signed(summary(), "command"), k1),
        "north.text": closed(summary(), "not base64 é", k1),
        "north.other": closed(other, signed(other), k1),
        "north.flight": closed(elsewhere, signed(elsewhere), k1),
        "north.closer": closed(late, signed(late), k1),
        "north.few": closed(few, signed(few), k1),
        "north.plain": closed("[]", signed("[]"), k1),
        "north.unknown": closed(summary(), signed(summary()), "K2"),
    }.items():
        known = await put_key(house, edge, public)
        assert known.status_code == 201, known.text
        await house.world.happen(opened(), event, edge=edge)
    states = {}
    for line in (await got(house, "/v1/boardings"))["items"]:
        states[line["edge"].partition(".")[2]] = (await got(house, f"/v1/boardings/{line['id']}"))["seal"]
    assert states == {
        "good": "valid",
        "forged": "broken",
        "purpose": "broken",
        "text": "broken",
        "other": "mismatched",
        "flight": "mismatched",
        "closer": "mismatched",
        "few": "mismatched",
        "plain": "mismatched",
        "unknown": "unknown_key",
    }


async def test_two_cabins_may_call_their_boardings_alike(house):
    await house.world.happen(opened(), opened(lane="C2", flight="CA2"), verified("1"))
    await house.world.happen(opened(flight="HX3"), edge="south.cabin")
    lines = (await got(house, "/v1/boardings"))["items"]
    assert sorted((line["site"], line["lane"], line["flight"]) for line in lines) == [
        ("north", "C1", "NX101"),
        ("north", "C2", "CA2"),
        ("south", "C1", "HX3"),
    ]


async def test_boardings_are_filtered_and_read_by_pages(house, is_problem):
    for hour in range(4):
        told = opened(boarding=f"B{hour}", flight=f"NX{hour}")
        await house.world.happen(told, at=T0 + timedelta(hours=hour), edge=["north.c", "south.c"][hour % 2])
    await house.world.happen(closed(boarding="B0"), edge="north.c")

    async def flights(query="", **who):
        return [line["flight"] for line in (await got(house, f"/v1/boardings{query}", **who))["items"]]

    assert await flights() == ["NX3", "NX2", "NX1", "NX0"]
    assert await flights("?state=closed") == ["NX0"]
    assert await flights("?flight=NX2") == ["NX2"]
    assert await flights("?from=2026-11-21T09:00:00Z&to=2026-11-21T11:00:00Z") == ["NX2", "NX1"]
    assert await flights(sites=("south",)) == ["NX3", "NX1"]
    page = await got(house, "/v1/boardings?limit=3")
    assert await flights(f"?cursor={page['next_cursor']}") == ["NX0"]
    others = page["items"][1]["id"]
    for path in (f"/{others}", f"/{others}/passengers", "?site=north"):
        is_problem(await house.world.ask("GET", f"/v1/boardings{path}", sites=("south",)), 403, "forbidden")
    is_problem(await house.world.ask("GET", f"/v1/boardings/{'0' * 26}"), 404, "missing")
    is_problem(await house.world.ask("GET", "/v1/boardings", scopes=("duty:read",)), 403, "forbidden")


async def test_an_anomaly_is_one_row(house):
    whole = CabinAnomaly(lane="C1", kind=CabinFault.CROWDED, boarding="B1", attempt="1", step="face", persons=2)
    await house.world.happen(whole, CabinAnomaly(lane="C2", kind=CabinFault.DOOR_FORCED, door="exit"), at=T0)
    rows = (await got(house, "/v1/cabin-anomalies"))["items"]
    keys = ("lane", "kind", "boarding", "attempt", "door", "step", "persons", "at")
    assert [tuple(row[key] for key in keys) for row in reversed(rows)] == [
        ("C1", "crowded", "B1", "1", "", "face", 2, "2026-11-21T08:00:00Z"),
        ("C2", "door_forced", "", "", "exit", "", None, "2026-11-21T08:00:00Z"),
    ]
    assert [row["lane"] for row in (await got(house, "/v1/cabin-anomalies?kind=door_forced"))["items"]] == ["C2"]
    assert [row["lane"] for row in (await got(house, "/v1/cabin-anomalies?boarding=B1"))["items"]] == ["C1"]
    assert (await got(house, "/v1/cabin-anomalies", sites=("south",)))["items"] == []


async def test_words_that_fit_no_column_do_not_stop_the_stream(house):
    odd = {"attempt": "a\0" * 99, "boarding": "b\0" * 99}
    far = COUNTS.model_copy(update={"seen": 1 << 70})
    await house.world.happen(
        opened(flight="f" * 99, expected=1 << 70, boarding=odd["boarding"]),
        PassengerVerified(lane="C1", **odd, subject_token="t\0" * 99, face_threshold=1e308, duration_ms=1 << 70),
        CabinAnomaly(lane="C1", kind=CabinFault.CALLED, door="d\0" * 99, persons=1 << 70, step="s" * 99),
        closed("\0" * 99_999, "s\0" * 999, "k" * 999, boarding=odd["boarding"], counts=far),
    )
    assert (await the_one(house))["tally"]["verified"] == 1


async def test_a_passenger_released_against_an_entry_in_force_is_one_review_item(house):
    await house.make_list()
    entry = await house.refuse("粤ZA001澳")
    await house.publication.round()
    token = house.token("粤ZA001澳")
    await house.world.happen(
        opened(),
        verified("late", token, list_versions={}),
        verified("knew", token, list_versions={"hq-block": 1}),
        held("held", token, list_versions={}),
        at=now() + timedelta(minutes=1),
    )
    items = (await got(house, "/v1/review-items"))["items"]
    assert [(item["attempt"], item["entry"], item["lane"]) for item in items] == [("late", entry["id"], "C1")]
