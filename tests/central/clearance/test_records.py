from datetime import UTC, datetime, timedelta

import pytest

from central.db import now
from central.messages import LateConflictFound
from core.clearance.model import Direction, Effect, Reason, ReasonCode
from core.messages.events import (
    AnomalyKind,
    FreePassage,
    LaneMode,
    PassageAnomaly,
    PassageCleared,
    PassageDecided,
    PassageTimedOut,
)

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
PLATE = "粤ZA001澳"


def decided(attempt="A1", effect=Effect.RELEASE, token="d-token", **more):
    reason = Reason(code=ReasonCode.DEFAULT, rule_id="lane.default", effect=effect.value)
    told = {"lane": "L1", "device": "R1", "direction": Direction.IN, "document_kind": "passport", "reasons": (reason,)}
    told |= {"ruleset_version": 3, "list_versions": {"hq-block": 7}, "latency_ms": 1.5}
    return PassageDecided(attempt=attempt, subject_token=token, effect=effect, **(told | more))


def cleared(attempt="A1", lane="L1", direction=Direction.IN):
    return PassageCleared(
        lane=lane, attempt=attempt, direction=direction, subject_token="d-token", opened_ms=12.5, duration_ms=2300
    )


async def got(house, path, **who):
    answer = await house.world.ask("GET", path, **who)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_event_is_one_row_with_what_it_told(house):
    await house.world.happen(
        decided(),
        cleared(),
        PassageTimedOut(lane="L1", attempt="A2", subject_token="t", recovered=True),
        PassageAnomaly(lane="L1", kind=AnomalyKind.TAILGATE, attempt="A1", direction=Direction.IN, persons=2),
        PassageAnomaly(lane="L1", kind=AnomalyKind.FORCED),
        FreePassage(lane="L2", direction=Direction.OUT, persons=5, mode=LaneMode.FREE),
        at=T0,
    )
    (decision,) = (await got(house, "/v1/decisions"))["items"]
    assert (decision["effect"], decision["reasons"][0]["rule_id"]) == ("release", "lane.default")
    assert (decision["list_versions"], decision["ruleset_version"]) == ({"hq-block": 7}, 3)
    assert (decision["site"], decision["edge"], decision["at"]) == ("north", "north.gates", "2026-11-21T08:00:00Z")
    rows = (await got(house, "/v1/passages"))["items"]
    keys = ("kind", "attempt", "direction", "persons", "opened_ms", "duration_ms", "mode", "recovered")
    assert [tuple(row[key] for key in keys) for row in reversed(rows)] == [
        ("cleared", "A1", "in", 1, 12.5, 2300, "", False),
        ("timed_out", "A2", "", 0, None, None, "", True),
        ("tailgate", "A1", "in", 2, None, None, "", False),
        ("forced", "", "", 1, None, None, "", False),
        ("free", "", "out", 5, None, None, "free", False),
    ]


async def test_rows_are_filtered_by_time_place_and_kind(house):
    for hour in range(4):
        lane = f"L{hour % 2}"
        await house.world.happen(
            decided(f"A{hour}", [Effect.RELEASE, Effect.REFUSE][hour % 2], token=f"t{hour}", lane=lane),
            cleared(f"A{hour}", lane),
            at=T0 + timedelta(hours=hour),
        )

    async def attempts(path):
        return [row["attempt"] for row in (await got(house, path))["items"]]

    assert await attempts("/v1/passages?from=2026-11-21T09:00:00Z&to=2026-11-21T11:00:00Z") == ["A2", "A1"]
    assert await attempts("/v1/passages?lane=L1&direction=in") == ["A3", "A1"]
    assert await attempts("/v1/passages?attempt=A2&kind=cleared") == ["A2"]
    assert await attempts("/v1/passages?kind=free") == []
    assert await attempts("/v1/decisions?effect=refuse") == ["A3", "A1"]
    assert await attempts("/v1/decisions?token=t2&offline=false") == ["A2"]
    assert await attempts("/v1/decisions?offline=true") == []


async def test_pages_skip_and_double_nothing_while_rows_come_in_newer_and_older_ones(house):
    for number in range(5):
        await house.world.happen(cleared(f"A{number}"), at=T0 + timedelta(seconds=number // 2))
    first = await got(house, "/v1/passages?limit=2")
    await house.world.happen(cleared("A8"), at=T0 + timedelta(minutes=1))
    await house.world.happen(cleared("A9"), at=T0 - timedelta(hours=1))
    rest = await got(house, f"/v1/passages?limit=3&cursor={first['next_cursor']}")
    assert [row["attempt"] for row in first["items"] + rest["items"]] == ["A4", "A3", "A2", "A1", "A0"]


async def test_the_summary_counts_by_lane_and_kind(house):
    await house.world.happen(
        cleared("A1"),
        cleared("A2"),
        cleared("A3", direction=Direction.OUT),
        FreePassage(lane="L2", direction=Direction.OUT, persons=5, mode=LaneMode.FREE),
        FreePassage(lane="L2", direction=Direction.OUT, persons=2, mode=LaneMode.FREE),
        at=T0,
    )
    await house.world.happen(cleared("A4"), at=T0 + timedelta(days=1))
    lines = (await got(house, "/v1/passages:summary?from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z"))["lines"]
    assert [(one["lane"], one["kind"], one["direction"], one["passages"], one["persons"]) for one in lines] == [
        ("L1", "cleared", "in", 2, 2),
        ("L1", "cleared", "out", 1, 1),
        ("L2", "free", "out", 2, 7),
    ]


async def test_a_key_sees_its_sites_and_no_others(house, is_problem):
    for edge in ("north.gates", "south.gates"):
        await house.world.happen(decided(), cleared(), edge=edge)
    for path in ("/v1/passages", "/v1/decisions"):
        assert [row["site"] for row in (await got(house, path, sites=("south",)))["items"]] == ["south"]
        is_problem(await house.world.ask("GET", f"{path}?site=north", sites=("south",)), 403, "forbidden")
        is_problem(await house.world.ask("GET", path, scopes=("lists:read",)), 403, "forbidden")
    lines = (await got(house, "/v1/passages:summary", sites=("south",)))["lines"]
    assert [line["site"] for line in lines] == ["south"]


@pytest.mark.parametrize("query", ["from=yesterday", "from=2026-11-21", "effect=fly", "cursor=x", "lane=%00"])
async def test_a_wrong_question_is_a_problem(house, is_problem, query):
    is_problem(await house.world.ask("GET", f"/v1/decisions?{query}"), 422, "invalid")


async def test_words_that_fit_no_column_do_not_stop_the_stream(house):
    await house.world.happen(
        decided("a" * 999, token="t\0" * 99, ruleset_version=1 << 70, person_class="p" * 99),
        PassageAnomaly(lane="l" * 99, kind=AnomalyKind.JAM, persons=1 << 40),
        cleared("A2"),
    )
    assert len((await got(house, "/v1/passages"))["items"]) == 2
    (decision,) = (await got(house, "/v1/decisions"))["items"]
    assert (len(decision["attempt"]), decision["ruleset_version"]) == (64, (1 << 63) - 1)


@pytest.fixture
async def heard(house):
    found = []

    async def take(_conn, message):
        found.append((message.attempt, message.list_id, message.entry))

    house.world.bus.subscribe(LateConflictFound, "test.ear", take)
    return found


async def test_a_release_against_an_entry_in_force_is_one_review_item_and_leaves_the_record(house, heard):
    await house.make_list()
    entry = await house.refuse(PLATE)
    await house.publication.round()
    token, late = house.token(PLATE), now() + timedelta(minutes=1)
    await house.world.happen(decided("late", token=token, list_versions={"hq-block": 0}, offline=True), at=late)
    await house.world.happen(decided("none", token=token, list_versions={}), at=late)
    await house.world.happen(
        decided("early", token=token, list_versions={}),
        decided("refused", Effect.REFUSE, token=token, list_versions={}),
        at=now() - timedelta(hours=1),
    )
    await house.world.happen(
        decided("knew", token=token, list_versions={"hq-block": 1}),
        decided("refused", Effect.REFUSE, token=token, list_versions={}),
        decided("other", token="somebody", list_versions={}),
        at=late,
    )
    await house.world.bus.drain()
    assert heard == [("late", "hq-block", entry["id"]), ("none", "hq-block", entry["id"])]
    items = (await got(house, "/v1/review-items"))["items"]
    assert [item["attempt"] for item in items] == ["none", "late"]
    (decision,) = (await got(house, "/v1/decisions?attempt=late"))["items"]
    assert (decision["effect"], decision["position"]) == ("release", items[1]["decision"])


async def test_an_entry_that_was_withdrawn_by_then_is_no_conflict(house, heard):
    await house.make_list()
    await house.move("withdraw", await house.refuse(PLATE))
    await house.world.happen(decided(token=house.token(PLATE), list_versions={}), at=now() + timedelta(minutes=1))
    await house.world.bus.drain()
    assert heard == []


async def test_an_entry_of_another_sites_list_is_no_conflict(house, heard):
    await house.make_list(sites=["south"])
    await house.refuse(PLATE)
    await house.world.happen(decided(token=house.token(PLATE), list_versions={}), at=now() + timedelta(minutes=1))
    await house.world.bus.drain()
    assert heard == []
