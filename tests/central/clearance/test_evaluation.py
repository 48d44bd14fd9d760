import random
from datetime import UTC, datetime, time, timedelta

import pytest

from core.clearance.engine import decide
from core.clearance.model import (
    Attempt,
    Direction,
    Effect,
    Hours,
    LaneRules,
    ListEffect,
    ListEntry,
    ListInForce,
    RuleSet,
    StalePolicy,
)

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
PLATE = "粤ZA001澳"
RULES = RuleSet(
    version=4,
    timezone="Asia/Shanghai",
    lanes={
        "L1": LaneRules(default=Effect.RELEASE),
        "L2": LaneRules(directions=(Direction.IN,), default=Effect.SAMPLE_INSPECTION, person_classes=("worker",)),
        "L3": LaneRules(hours=(Hours(opens=time(6), until=time(22)),), lists=("hq-block",)),
        "L4": LaneRules(default=Effect.RELEASE, lists=("nowhere",), when_stale=StalePolicy.DIVERT),
    },
)


async def put_rules(house, rules=RULES, site="north", match='"0"', **who):
    path = f"/v1/sites/{site}/ruleset"
    return await house.world.ask("PUT", path, match=match, json=rules.model_dump(mode="json"), **who)


async def evaluate(house, **question):
    who = question.pop("who", {})
    return await house.world.ask("POST", "/v1/clearance:evaluate", json={"direction": "in"} | question, **who)


async def test_rules_are_put_by_version_and_old_ones_stay_known(house, is_problem):
    made = await put_rules(house)
    assert (made.status_code, made.headers["etag"]) == (200, '"4"')
    is_problem(await put_rules(house), 412, "stale")
    is_problem(await put_rules(house, match='"4"'), 422, "invalid")
    newer = RULES.model_copy(update={"version": 5, "lanes": {"L1": LaneRules()}})
    assert (await put_rules(house, newer, match='"4"')).headers["etag"] == '"5"'
    shown = (await house.world.ask("GET", "/v1/sites/north/ruleset")).json()
    assert (shown["rules"]["version"], shown["put_by"]) == (5, "tester")
    now_, then = (
        await evaluate(house, lane="L1", token="t"),
        await evaluate(house, lane="L1", token="t", ruleset_version=4, site="north"),
    )
    assert (now_.json()["effect"], then.json()["effect"]) == ("refuse", "release")


async def test_rules_that_no_engine_could_follow_are_refused(house, is_problem):
    is_problem(await put_rules(house, RULES.model_copy(update={"timezone": "Mars/Base"})), 422, "invalid")
    is_problem(await put_rules(house, RULES.model_copy(update={"timezone": "../etc/passwd"})), 422, "invalid")
    is_problem(await put_rules(house, RULES.model_copy(update={"version": 1 << 40})), 422, "invalid")
    is_problem(await put_rules(house, site="UP"), 422, "invalid")
    is_problem(await evaluate(house, lane="L1", token="t", ruleset={"version": 0}), 422, "invalid")


async def test_an_identifier_is_judged_as_a_reader_would_have_it_judged(house):
    await put_rules(house)
    await house.make_list()
    entry = await house.refuse(PLATE)
    hit = (await evaluate(house, lane="L1", identifier=f" {PLATE} ")).json()
    assert (hit["effect"], hit["reasons"][0]["entry_id"], hit["token"]) == ("refuse", entry["id"], house.token(PLATE))
    assert (await evaluate(house, lane="L1", identifier="粤ZA002澳")).json()["effect"] == "release"
    misread = (await evaluate(house, lane="L1", identifier="110105194912310021")).json()
    assert (misread["effect"], misread["reasons"][0]["code"]) == ("divert_secondary", "document_invalid")


async def test_an_expired_document_is_diverted(house):
    await put_rules(house)
    zone = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<L898902C36UTO7408122F1204159ZE184226B<<<<<10"
    past = (await evaluate(house, lane="L1", identifier=zone)).json()
    assert (past["effect"], past["reasons"][0]["code"]) == ("divert_secondary", "document_expired")
    then = (await evaluate(house, lane="L1", identifier=zone, at="2012-04-15T00:00:00Z")).json()
    assert then["effect"] == "release"
    misread = (await evaluate(house, lane="L1", identifier=zone[:-1] + "9", at="2012-04-15T00:00:00Z")).json()
    assert (misread["effect"], misread["reasons"][0]["code"]) == ("divert_secondary", "document_invalid")


async def test_a_list_of_another_site_hits_nobody_here(house):
    await put_rules(house)
    await house.make_list(sites=["south"])
    await house.refuse(PLATE)
    assert (await evaluate(house, lane="L1", identifier=PLATE)).json()["effect"] == "release"


async def test_a_question_leaves_nothing_behind(house):
    await put_rules(house)
    await house.make_list()
    await evaluate(house, lane="L1", identifier=PLATE)
    for path in ("/v1/decisions", "/v1/passages", "/v1/lists/hq-block/entries"):
        assert (await house.world.ask("GET", path)).json()["items"] == []


async def test_older_versions_of_lists_can_be_asked_for(house, is_problem):
    await put_rules(house)
    await house.make_list()
    await house.publication.round()
    await house.refuse(PLATE)
    await house.publication.round()
    token = house.token(PLATE)
    for version, effect in ((1, "release"), (2, "refuse")):
        got = await evaluate(house, lane="L1", token=token, list_versions={"hq-block": version})
        assert (got.json()["effect"], got.json()["list_versions"]) == (effect, {"hq-block": version})
    is_problem(await evaluate(house, lane="L1", token=token, list_versions={"hq-block": 9}), 404, "missing")


async def test_lane_site_and_scope(house, is_problem):
    await put_rules(house)
    await put_rules(house, site="south")
    is_problem(await evaluate(house, lane="L1", token="t"), 422, "invalid")
    is_problem(await evaluate(house, lane="L9", token="t"), 422, "invalid")
    assert (await evaluate(house, lane="L1", token="t", site="south")).status_code == 200
    south = {"sites": ("south",)}
    assert (await evaluate(house, lane="L1", token="t", who=south)).status_code == 200
    is_problem(await evaluate(house, lane="L1", token="t", site="north", who=south), 403, "forbidden")
    is_problem(await evaluate(house, lane="L1", token="t", who={"scopes": ("lists:read",)}), 403, "forbidden")
    is_problem(await put_rules(house, site="north", match='"4"', **south), 403, "forbidden")
    is_problem(await evaluate(house, lane="L1", token="t", identifier=PLATE), 422, "invalid")


@pytest.mark.slow
async def test_evaluate_equals_the_engine_for_random_inputs(house):
    """The engine on lists that the test made itself, against the API on the lists that central keeps."""
    rng = random.Random(20261121)
    await put_rules(house)
    plates = [f"粤Z{letter}{number:03d}澳" for letter in "AB" for number in range(6)]
    tokens = [house.token(plate) for plate in plates]
    lists = {}
    for number, effect in enumerate(ListEffect):
        list_id = "hq-block" if effect is ListEffect.REFUSE else f"list-{effect.value.replace('_', '-')}"
        priority = rng.choice([10, 20])
        await house.make_list(list_id, effect.value, priority=priority)
        entries: dict[str, tuple[ListEntry, ...]] = {}
        for plate in rng.sample(plates, 4):
            begin, end = T0 + timedelta(hours=rng.randint(-9, 3)), T0 + timedelta(hours=rng.randint(4, 9))
            asked = {"valid_from": begin.isoformat(), "valid_to": end.isoformat()}
            put = house.refuse if effect is ListEffect.REFUSE else house.enter
            made = await put(plate, list_id, **asked)
            token = house.token(plate)
            entries[token] = (*entries.get(token, ()), ListEntry(made["id"], begin, end))
        lists[list_id] = (number, effect, priority, entries)
    await house.publication.round()
    seen = set()
    for _ in range(150):
        at = T0 + timedelta(minutes=rng.randint(-900, 900))
        expired, valid = rng.random() < 0.1, rng.random() < 0.9
        attempt = Attempt(
            lane=rng.choice([*RULES.lanes, "L9"]),
            direction=rng.choice(list(Direction)),
            tokens=(rng.choice([*tokens, "unknown"]),),
            person_class=rng.choice(["worker", "other"]),
            document_valid=valid,
            document_expired=expired,
        )
        in_force = [
            ListInForce(list_id, 1, effect, priority, at, entries)
            for list_id, (_, effect, priority, entries) in sorted(lists.items())
        ]
        wanted = decide(attempt, RULES, in_force, at)
        question = {"token": attempt.tokens[0], "lane": attempt.lane, "direction": attempt.direction, "site": "north"}
        question |= {"person_class": attempt.person_class, "document_valid": valid, "document_expired": expired}
        answer = (await evaluate(house, **question, at=at.isoformat())).json()
        assert answer["effect"] == wanted.effect
        assert answer["reasons"] == [reason.model_dump(mode="json") for reason in wanted.reasons]
        assert answer["alerts"] == [reason.model_dump(mode="json") for reason in wanted.alerts]
        assert answer["list_versions"] == wanted.list_versions
        seen |= {reason.code for reason in wanted.reasons}
    assert len(seen) >= 7, "the inputs reach most grounds"
