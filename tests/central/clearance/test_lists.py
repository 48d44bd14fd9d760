from datetime import timedelta

import pytest
from sqlalchemy import select

from central.access.service import NewKey
from central.access.store import all_keys
from central.clearance.list_model import TRANSITIONS, EntryState, EntryVerb, entries
from central.db import now

NUMBER = "11010519491231002X"


async def test_a_refuse_list_always_has_the_two_person_rule(house, is_problem):
    assert (await house.make_list())["two_person_rule"] is True
    assert (await house.make_list("friends", "release_fast"))["two_person_rule"] is False
    body = {"list_id": "x", "effect": "refuse", "two_person_rule": False}
    is_problem(await house.world.ask("POST", "/v1/lists", json=body), 422, "invalid")
    is_problem(
        await house.world.ask("PATCH", "/v1/lists/hq-block", match='"1"', json={"two_person_rule": False}),
        422,
        "invalid",
    )
    again = await house.world.ask("POST", "/v1/lists", json={"list_id": "friends", "effect": "info"})
    is_problem(again, 409, "conflict")


async def test_whoever_asked_for_an_entry_cannot_approve_it(house, is_problem):
    await house.make_list()
    entry = await house.enter(NUMBER, as_="clerk")
    assert entry["state"] == "pending"
    is_problem(await house.move("approve", entry, as_="clerk"), 403, "two-person-rule")
    is_problem(await house.move("approve", entry, as_="CLERK"), 403, "two-person-rule")
    approved = await house.move("approve", entry, as_="officer")
    assert (approved.json()["state"], approved.json()["requested_by"], approved.json()["approved_by"]) == (
        "active",
        "clerk",
        "officer",
    )


async def test_a_key_that_took_another_name_is_still_the_same_one(house, is_problem):
    await house.make_list()
    entry = await house.enter(NUMBER, as_="clerk")
    async with house.world.database.begin() as conn:
        (key,) = [row for row in await conn.execute(all_keys()) if row.name == "clerk"]
        await house.world.access.change(conn, key, NewKey("officer", ["admin"], ["*"]))
    is_problem(await house.move("approve", entry, as_="clerk"), 403, "two-person-rule")


async def test_the_rule_holds_in_bulk_too_item_by_item(house):
    await house.make_list()
    mine, theirs = await house.enter(NUMBER, as_="officer"), await house.enter("粤ZA001澳", as_="clerk")
    path = "/v1/lists/hq-block/entries:approve"
    unknown = "0" * 26
    done = await house.world.ask("POST", path, as_="officer", json={"ids": [mine["id"], theirs["id"], unknown]})
    assert done.status_code == 200
    assert (done.json()["done"], done.json()["refused"]) == (1, 2)
    assert [(item["state"], item["problem"]) for item in done.json()["items"]] == [
        ("pending", "/problems/two-person-rule"),
        ("active", None),
        (None, "/problems/missing"),
    ]


async def test_the_audit_has_both_names_of_an_approval_and_of_a_refused_one(house):
    await house.make_list()
    entry = await house.enter(NUMBER, as_="clerk")
    await house.move("approve", entry, as_="clerk")
    await house.move("approve", entry, as_="officer")
    await house.lists.tidy(now())
    page = await house.world.ask("GET", "/v1/lists/hq-block/audit")
    rows = [(one["action"], one["outcome"], one["actor"], one["requested_by"]) for one in page.json()["items"]]
    assert sorted(rows[:2]) == [
        ("approve", "done", "officer", "clerk"),
        ("approve", "two-person-rule", "clerk", "clerk"),
    ]
    assert rows[2:] == [("request", "done", "clerk", "clerk"), ("create", "done", "tester", None)]


async def test_who_resumes_a_suspended_entry_has_asked_for_it(house, is_problem):
    await house.make_list()
    entry = await house.refuse(NUMBER)
    entry = (await house.move("suspend", entry, as_="officer")).json()
    entry = (await house.move("submit", entry, as_="officer")).json()
    assert (entry["state"], entry["requested_by"]) == ("pending", "officer")
    is_problem(await house.move("approve", entry, as_="officer"), 403, "two-person-rule")
    assert (await house.move("approve", entry, as_="clerk")).json()["state"] == "active"


async def test_an_entry_without_the_rule_is_active_at_once(house):
    await house.make_list("friends", "release_fast")
    entry = await house.enter(NUMBER, "friends")
    assert (entry["state"], entry["approved_by"]) == ("active", None)
    draft = await house.enter(NUMBER, "friends", draft=True)
    assert draft["state"] == "draft"


async def test_a_natural_identifier_is_nowhere_in_the_database(house):
    await house.make_list()
    entry = await house.enter(NUMBER, keep_sealed=True, reason_text="wanted")
    assert entry["token"] == house.token("11010519491231002x")
    assert NUMBER not in str(entry)
    async with house.world.database.read() as conn:
        row = (await conn.execute(select(entries))).one()
    assert NUMBER not in str(tuple(row))
    assert NUMBER.encode() not in row.sealed


async def test_an_envelope_is_opened_for_a_stated_purpose_which_is_written_down(house, is_problem):
    await house.make_list()
    kept, plain = await house.enter(NUMBER, keep_sealed=True), await house.enter("粤ZA001澳")
    path = f"/v1/lists/hq-block/entries/{kept['id']}:reveal"
    is_problem(await house.world.ask("POST", path), 403, "purpose_required")
    is_problem(await house.world.ask("POST", path, scopes=("lists:write",)), 403, "forbidden")
    house.world.client.headers["X-Purpose"] = "case 17"
    assert (await house.world.ask("POST", path, as_="auditor")).json() == {"identifier": NUMBER}
    is_problem(await house.world.ask("POST", f"/v1/lists/hq-block/entries/{plain['id']}:reveal"), 404, "missing")
    row = (await house.world.ask("GET", "/v1/lists/hq-block/audit")).json()["items"][0]
    assert (row["action"], row["actor"], row["reason"]) == ("reveal", "auditor", "case 17")


@pytest.mark.parametrize("text", ["110105194912310021", "110105194912310021 "])
async def test_a_misread_number_is_refused_without_repeating_it(house, is_problem, text):
    await house.make_list()
    answer = await house.world.ask("POST", "/v1/lists/hq-block/entries", json={"identifier": text})
    is_problem(answer, 422, "invalid")
    assert "1101051949" not in answer.text


async def test_an_import_tells_of_each_item_and_a_dry_run_changes_nothing(house):
    await house.make_list()
    items = [{"identifier": NUMBER}, {"identifier": "110105194912310021"}, {"identifier": "粤ZA001澳"}]
    for dry_run in (True, False):
        path = "/v1/lists/hq-block:import"
        done = (await house.world.ask("POST", path, json={"items": items, "dry_run": dry_run})).json()
        assert [(item["state"], item["problem"]) for item in done["items"]] == [
            ("pending", None),
            (None, "/problems/invalid"),
            ("pending", None),
        ]
        page = (await house.world.ask("GET", "/v1/lists/hq-block/entries")).json()
        assert len(page["items"]) == (0 if dry_run else 2)


async def test_an_import_cannot_get_around_the_two_person_rule(house, is_problem):
    await house.make_list()
    sneaky = {"items": [{"identifier": NUMBER, "approved_by": "officer"}]}
    is_problem(await house.world.ask("POST", "/v1/lists/hq-block:import", json=sneaky), 422, "invalid")


@pytest.mark.parametrize("state", EntryState)
async def test_every_move_that_is_not_in_the_table_is_refused(house, is_problem, state):
    await house.make_list("friends", "release_fast", two_person_rule=True)
    path = {
        EntryState.DRAFT: [],
        EntryState.PENDING: ["submit"],
        EntryState.ACTIVE: ["submit", "approve"],
        EntryState.SUSPENDED: ["submit", "approve", "suspend"],
        EntryState.WITHDRAWN: ["withdraw"],
        EntryState.EXPIRED: [],
    }[state]
    expired = {"valid_to": (now() - timedelta(seconds=1)).isoformat()} if state is EntryState.EXPIRED else {}
    entry = await house.enter(NUMBER, "friends", draft=True, **expired)
    for verb in path:
        entry = (await house.move(verb, entry, as_="officer" if verb == "approve" else "clerk")).json()
    await house.lists.tidy(now())
    entry = (await house.world.ask("GET", f"/v1/lists/friends/entries/{entry['id']}")).json()
    assert entry["state"] == state
    for verb in set(EntryVerb) - {EntryVerb.EXPIRE}:
        if state not in TRANSITIONS[verb][0]:
            is_problem(await house.move(verb, entry, as_="auditor"), 409, "entry_state")


async def test_an_approval_names_the_version_it_read(house, is_problem):
    await house.make_list()
    entry = await house.enter(NUMBER)
    is_problem(await house.move("approve", entry, match='"9"'), 412, "stale")
    path = f"/v1/lists/hq-block/entries/{entry['id']}:approve"
    is_problem(await house.world.ask("POST", path, as_="officer"), 428, "match_required")


async def test_scopes_and_sites(house, is_problem):
    await house.make_list("mine", "info", sites=["north"])
    await house.make_list("theirs", "info", sites=["south"])
    await house.make_list("ours", "info")
    ask, north = house.world.ask, {"sites": ("north",)}
    page = (await ask("GET", "/v1/lists", **north)).json()
    assert [item["list_id"] for item in page["items"]] == ["mine", "ours"]
    body = {"identifier": NUMBER}
    assert (await ask("POST", "/v1/lists/mine/entries", json=body, **north)).status_code == 201
    for path in ("/v1/lists/theirs/entries", "/v1/lists/ours/entries"):
        is_problem(await ask("POST", path, json=body, **north), 403, "forbidden")
    for path in ("", "/entries", "/deliveries", "/snapshots", "/audit"):
        is_problem(await ask("GET", f"/v1/lists/theirs{path}", **north), 403, "forbidden")
    is_problem(await ask("POST", "/v1/lists", json={"list_id": "x", "effect": "info"}, **north), 403, "forbidden")
    change = {"match": '"1"', "json": {"sites": ["*"]}}
    is_problem(await ask("PATCH", "/v1/lists/mine", **change, **north), 403, "forbidden")
    entry = await house.enter(NUMBER, "ours", draft=True)
    path = f"/v1/lists/ours/entries/{entry['id']}"
    is_problem(await ask("POST", f"{path}:approve", scopes=("lists:write",), match="*"), 403, "forbidden")
    is_problem(await ask("POST", f"{path}:withdraw", scopes=("lists:approve",), match="*"), 403, "forbidden")
    is_problem(await ask("GET", path, scopes=("lists:write",)), 403, "forbidden")
    is_problem(await ask("GET", "/v1/lists/ours/snapshots/1/content", scopes=("lists:read",)), 403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {"identifier": ""},
        {"identifier": NUMBER, "reason_text": "a\0b"},
        {"identifier": NUMBER, "person_class": "a\tb"},
        {"identifier": NUMBER, "valid_from": "2026-01-01T00:00:00"},
        {"identifier": NUMBER, "valid_from": "0001-01-01T00:00:00+14:00"},
        {"identifier": NUMBER, "valid_from": "2026-02-01T00:00:00Z", "valid_to": "2026-01-01T00:00:00Z"},
        {"identifier": "a word", "kind": "resident"},
        {"identifier": NUMBER, "state": "active"},
    ],
)
async def test_what_is_no_entry_is_refused(house, is_problem, body):
    await house.make_list()
    is_problem(await house.world.ask("POST", "/v1/lists/hq-block/entries", json=body), 422, "invalid")
