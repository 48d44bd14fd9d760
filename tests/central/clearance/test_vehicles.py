from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from central.bus import Recorded
from central.db import now
from central.eventstore import events
from core.clearance.model import Direction, Effect, Reason, ReasonCode
from core.messages.events import LaneMode
from core.messages.vehicle_events import (
    ChannelLeg,
    ChannelPassed,
    PairedBy,
    VehicleAnomaly,
    VehicleAnomalyKind,
    VehicleCleared,
    VehicleDecided,
    VehiclePassedFree,
    VehicleTimedOut,
)

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
PLATE, OTHER_PLATE = "粤ZA001澳", "粤C12345"
AT = {"lane": "V1", "channel": "CH-1", "barrier": 1}


def decided(attempt="A1", effect=Effect.RELEASE, tokens=("p-zhuhai", "p-macau"), **more):
    reason = Reason(code=ReasonCode.DEFAULT, rule_id="lane.default", effect=effect.value)
    told = {**AT, "device": "CAM-1", "direction": Direction.OUT, "plate_regions": ("CN", "MO"), "reads": 3}
    told |= {"confidence": 0.97, "reasons": (reason,), "ruleset_version": 4, "list_versions": {"hq-block": 7}}
    first = tokens[0] if tokens else ""
    return VehicleDecided(attempt=attempt, effect=effect, plate_token=first, plate_tokens=tokens, **(told | more))


def cleared(attempt="A1", tokens=("p-zhuhai", "p-macau"), **more):
    told = {**AT, "direction": Direction.OUT, "confidence": 0.9, "opened_ms": 12.5, "duration_ms": 2_300}
    return VehicleCleared(attempt=attempt, plate_token=tokens[0], plate_tokens=tokens, **(told | more))


def channel(**more):
    legs = tuple(ChannelLeg(barrier=n, lane=f"V{n}", attempt=f"A{n}") for n in (1, 3))
    told = {"direction": Direction.OUT, "plate_token": "p-zhuhai", "plate_tokens": ("p-zhuhai", "p-macau")}
    told |= {
        "passage": "A1",
        "legs": legs,
        "missing": (2,),
        "paired_by": PairedBy.ORDER,
        "confidence": 0.6,
        "duration_ms": 45_000,
    }
    return ChannelPassed(channel="CH-1", **(told | more))


@pytest.fixture(autouse=True)
async def _nothing_stranded(house):
    """Whatever happens in a test, no event of it is left unprojected."""
    yield
    async with house.world.database.read() as conn:
        assert set((await conn.execute(select(events.c.status))).scalars()) <= {"ok"}


async def got(house, path, **who):
    answer = await house.world.ask("GET", path, **who)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_decision_is_one_row_with_its_grounds_and_all_its_plates(house):
    await house.world.happen(decided(fuzzy=True, empty_reads=1, offline=True), at=T0)
    (row,) = await got(house, "/v1/vehicle-decisions")
    assert (row["lane"], row["channel"], row["barrier"], row["device"]) == ("V1", "CH-1", 1, "CAM-1")
    assert (row["token"], row["tokens"], row["regions"]) == ("p-zhuhai", ["p-zhuhai", "p-macau"], ["CN", "MO"])
    assert (row["effect"], row["reasons"][0]["rule_id"], row["ruleset_version"]) == ("release", "lane.default", 4)
    assert (row["list_versions"], row["confidence"], row["fuzzy"]) == ({"hq-block": 7}, 0.97, True)
    assert (row["reads"], row["empty_reads"], row["offline"], row["unrecorded"]) == (3, 1, True, False)
    assert (row["site"], row["edge"], row["at"]) == ("north", "north.gates", "2026-11-21T08:00:00Z")


async def test_each_passage_is_one_row_with_what_it_told(house):
    seen = {"plate_token": "p-a", "plate_tokens": ("p-a",)}
    await house.world.happen(
        cleared(),
        VehicleTimedOut(**AT, attempt="A2", plate_token="p-b", recovered=True),
        VehicleAnomaly(**AT, kind=VehicleAnomalyKind.FORCED),
        VehicleAnomaly(**AT, kind=VehicleAnomalyKind.PLATE_MISMATCH, attempt="A3", other_tokens=("p-rear",), **seen),
        VehiclePassedFree(**AT, direction=Direction.IN, mode=LaneMode.EMERGENCY, **seen),
        channel(),
        at=T0,
    )
    rows = list(reversed(await got(house, "/v1/vehicle-passages")))
    keys = ("kind", "lane", "barrier", "attempt", "direction", "token", "mode", "duration_ms", "recovered")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("cleared", "V1", 1, "A1", "out", "p-zhuhai", "", 2300, False),
        ("timed_out", "V1", 1, "A2", "", "p-b", "", None, True),
        ("forced", "V1", 1, "", "", "", "", None, False),
        ("plate_mismatch", "V1", 1, "A3", "", "p-a", "", None, False),
        ("free", "V1", 1, "", "in", "p-a", "emergency", None, False),
        ("channel", "", None, "A1", "out", "p-zhuhai", "", 45000, False),
    ]
    assert (rows[0]["opened_ms"], rows[3]["other_tokens"]) == (12.5, ["p-rear"])
    assert rows[5]["legs"][1] == {"barrier": 3, "lane": "V3", "attempt": "A3"}
    assert (rows[5]["missing"], rows[5]["paired_by"], rows[5]["confidence"]) == ([2], "order", 0.6)


async def test_a_vehicle_is_found_by_each_of_its_plates(house):
    rear = VehicleAnomaly(**AT, kind=VehicleAnomalyKind.PLATE_MISMATCH, plate_token="p-x", other_tokens=("p-macau",))
    await house.world.happen(decided(), decided("A2", tokens=()), cleared(), cleared("A9", ("p-x",)), rear, channel())
    assert [row["attempt"] for row in await got(house, "/v1/vehicle-decisions?token=p-macau")] == ["A1"]
    found = await got(house, "/v1/vehicle-passages?token=p-macau")
    assert [row["kind"] for row in found] == ["channel", "plate_mismatch", "cleared"]
    assert await got(house, "/v1/vehicle-passages?token=p-nobody") == []


async def test_rows_are_filtered_by_time_place_and_kind(house):
    for hour in range(4):
        effect = [Effect.RELEASE, Effect.REFUSE][hour % 2]
        at = {"lane": f"V{hour % 2}", "channel": f"CH-{hour}"}
        await house.world.happen(
            decided(f"A{hour}", effect, fuzzy=hour == 3, **at), cleared(f"A{hour}", **at), at=T0 + timedelta(hours=hour)
        )

    async def attempts(path):
        return [row["attempt"] for row in await got(house, path)]

    assert await attempts("/v1/vehicle-decisions?lane=V1") == ["A3", "A1"]
    assert await attempts("/v1/vehicle-decisions?effect=refuse&fuzzy=true") == ["A3"]
    assert await attempts("/v1/vehicle-passages?channel=CH-2&kind=cleared") == ["A2"]
    assert await attempts("/v1/vehicle-passages?kind=channel") == []
    begin, end = ((T0 + timedelta(hours=n)).isoformat().replace("+", "%2B") for n in (1, 3))
    assert await attempts(f"/v1/vehicle-passages?from={begin}&to={end}") == ["A2", "A1"]
    assert await attempts("/v1/vehicle-decisions?attempt=A2") == ["A2"]
    page = (await house.world.ask("GET", "/v1/vehicle-decisions?limit=3")).json()
    assert await attempts(f"/v1/vehicle-decisions?cursor={page['next_cursor']}") == ["A0"]


async def test_a_key_sees_its_sites_and_no_others(house, is_problem):
    for edge in ("north.road", "south.road"):
        await house.world.happen(decided(), cleared(), edge=edge)
    for path in ("/v1/vehicle-passages", "/v1/vehicle-decisions"):
        assert [row["site"] for row in await got(house, path, sites=("south",))] == ["south"]
        is_problem(await house.world.ask("GET", f"{path}?site=north", sites=("south",)), 403, "forbidden")
        is_problem(await house.world.ask("GET", path, scopes=("lists:read",)), 403, "forbidden")
        is_problem(await house.world.ask("GET", f"{path}?direction=up"), 422, "invalid")


async def test_words_that_fit_no_column_do_not_stop_the_stream(house):
    many = tuple(f"p\0{n}" + "x" * 99 for n in range(99))
    odd = {"barrier": 1 << 70}
    await house.world.happen(
        decided("a" * 999, tokens=many, reads=1 << 70, **odd),
        cleared(tokens=many, duration_ms=1 << 70, **odd),
        channel(missing=(1 << 70,), passage="c\0"),
    )
    (row,) = await got(house, "/v1/vehicle-decisions")
    assert (len(row["attempt"]), row["barrier"]) == (64, (1 << 31) - 1)
    assert len(row["tokens"]) == 99


async def test_a_number_that_is_none_is_not_told(house):
    odd = decided(confidence=float("nan"), latency_ms=float("inf"))
    at = Recorded(1, odd, "north.gates", "E1", 1, "north", T0, T0)
    async with house.world.database.begin() as conn:
        await house.world.bus.apply(conn, [at, replace(at, position=2, event=cleared(confidence=float("nan")))])
    (row,) = await got(house, "/v1/vehicle-decisions")
    assert (row["confidence"], row["latency_ms"]) == (None, None)
    assert [row["confidence"] for row in await got(house, "/v1/vehicle-passages")] == [None]


@pytest.mark.parametrize("tokens", [(OTHER_PLATE, PLATE), (PLATE, OTHER_PLATE)])
async def test_a_release_against_an_entry_in_force_is_one_review_item_whichever_plate_is_on_the_list(house, tokens):
    await house.make_list()
    entry = await house.refuse(PLATE)
    await house.publication.round()
    late = now() + timedelta(minutes=1)
    both = tuple(house.token(plate) for plate in tokens)
    await house.world.happen(
        decided("late", tokens=both, list_versions={}),
        decided("knew", tokens=both, list_versions={"hq-block": 1}),
        decided("refused", Effect.REFUSE, tokens=both, list_versions={}),
        decided("other", tokens=(house.token(OTHER_PLATE),), list_versions={}),
        at=late,
    )
    items = await got(house, "/v1/review-items")
    assert [(item["attempt"], item["entry"], item["lane"]) for item in items] == [("late", entry["id"], "V1")]
    (decision,) = await got(house, "/v1/vehicle-decisions?attempt=late")
    assert decision["position"] == items[0]["decision"]
