import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from central.db import now
from central.messages import AssetHealthChanged, TicketMoved
from central.ticketing.alarms import Alarms, AlarmSettings, Fault
from central.ticketing.model import TRANSITIONS, State, Verb
from central.ticketing.routes import routes
from central.ticketing.service import Tickets
from core.messages.events import Health

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
_BODIES = {
    "assign": {},
    "resolve": {"resolution_code": "repair", "note": "hinge"},
    "verify": {},
    "close": {},
    "reopen": {"reason": "it squeaks"},
}


class Desk:
    """Ticketing in a world, with hands to work on it."""

    def __init__(self, world, settings):
        self.world = world
        self.tickets = Tickets(world.bus)
        self.alarms = Alarms(world.database, self.tickets, settings)
        self.alarms.register(world.bus)
        world.serve(routes(self.tickets))
        self._minutes = itertools.count()

    async def health(self, health, *faults, asset="TS-07", site="north", at=None, since=None):
        at = at or T0 + timedelta(minutes=next(self._minutes))
        message = AssetHealthChanged(
            asset=asset,
            site=site,
            edge=f"{site}.gates",
            lane="L1",
            kind="turnstile",
            health=health,
            was=Health.UNKNOWN,
            faults=faults,
            detail="it is stuck",
            at=at,
            since=since or at,
        )
        async with self.world.database.begin() as conn:
            await self.world.bus.publish(conn, message)
        await self.world.bus.drain()

    async def all(self, query="", **who):
        return (await self.world.ask("GET", f"/v1/tickets?{query}", **who)).json()["items"]

    async def only(self):
        (ticket,) = await self.all()
        return ticket

    async def do(self, verb, ticket=None, *, as_="fitter", match=None, **body):
        ticket = ticket or await self.only()
        path = f"/v1/tickets/{ticket['code']}:{verb}"
        match = match or f'"{ticket["version"]}"'
        return await self.world.ask("POST", path, as_=as_, match=match, json=_BODIES[verb] | body)

    async def events(self, ticket):
        page = await self.world.ask("GET", f"/v1/tickets/{ticket['code']}/events")
        return [(one["kind"], one["actor"], one["state"]) for one in page.json()["items"]]


@pytest.fixture
def desk(world):
    return Desk(world, AlarmSettings())


async def test_a_fault_opens_one_ticket_with_the_days_number(desk):
    await desk.health(Health.FAULT, "door_jam")
    ticket = await desk.only()
    assert ticket["code"].startswith("TK-")
    assert ticket["code"].endswith("-0001")
    assert (ticket["state"], ticket["asset"], ticket["fault_class"], ticket["lane"]) == (
        "new",
        "TS-07",
        "door_jam",
        "L1",
    )
    assert (ticket["channel"], ticket["priority"], ticket["count"]) == ("auto_alarm", "P2", 1)


async def test_each_fault_class_of_a_device_has_its_own_ticket(desk):
    await desk.health(Health.FAULT, "door_jam")
    await desk.health(Health.FAULT, "door_jam", "motor")
    await desk.health(Health.FAULT, asset="TS-08")
    assert sorted((one["asset"], one["fault_class"], one["count"]) for one in await desk.all()) == [
        ("TS-07", "door_jam", 1),
        ("TS-07", "motor", 1),
        ("TS-08", "fault", 1),
    ]


async def test_many_handlers_at_once_give_exactly_one_ticket(desk):
    """Three replicas, fifty times the same fault: no look before the leap can do this."""
    fault = Fault(asset="TS-07", fault_class="motor", site="north", lane=None, detail="", at=T0)

    async def once():
        async with desk.world.database.begin() as conn:
            await desk.alarms.raise_fault(conn, fault)

    await asyncio.gather(*(once() for _ in range(50)))
    assert (await desk.only())["count"] == 1


async def test_many_handlers_at_once_reopen_exactly_one_ticket(desk):
    await desk.health(Health.FAULT, "motor")
    await _worked_off(desk)
    fault = Fault(asset="TS-07", fault_class="motor", site="north", lane=None, detail="", at=now())

    async def once():
        async with desk.world.database.begin() as conn:
            await desk.alarms.raise_fault(conn, fault)

    await asyncio.gather(*(once() for _ in range(20)))
    ticket = await desk.only()
    assert (ticket["state"], ticket["reopened"], ticket["count"]) == ("reopened", 1, 2)


async def test_recovery_is_noted_and_proposes_closing_but_never_closes(desk):
    await desk.health(Health.FAULT, "motor")
    await desk.health(Health.OK)
    ticket = await desk.only()
    assert (ticket["state"], ticket["close_proposed"]) == ("new", True)
    assert ticket["recovered_at"] == "2026-11-21T08:01:00Z"
    assert await desk.events(ticket) == [("opened", "system", "new"), ("recovered", "system", "new")]


@pytest.mark.parametrize("blind", [Health.UNKNOWN, Health.OFFLINE])
async def test_a_device_that_nobody_sees_has_not_recovered(desk, blind):
    await desk.health(Health.FAULT, "motor")
    await desk.health(blind)
    assert (await desk.only())["recovered_at"] is None
    await desk.health(Health.FAULT, "motor")
    assert (await desk.only())["count"] == 1
    await desk.health(Health.DEGRADED)
    assert (await desk.only())["recovered_at"] is not None


async def test_the_same_fault_again_joins_the_open_ticket(desk):
    for _ in range(3):
        await desk.health(Health.FAULT, "motor")
        await desk.health(Health.OK)
    await desk.health(Health.FAULT, "motor", at=T0 + timedelta(hours=2))
    ticket = await desk.only()
    assert (ticket["count"], ticket["recovered_at"], ticket["close_proposed"]) == (4, None, False)
    assert (ticket["first_at"], ticket["last_seen_at"]) == ("2026-11-21T08:00:00Z", "2026-11-21T10:00:00Z")


async def test_a_fault_that_returns_after_resolving_reopens_the_ticket(desk):
    await desk.health(Health.FAULT, "motor")
    await desk.do("assign")
    await desk.do("resolve")
    await desk.health(Health.OK)
    assert (await desk.only())["state"] == "resolved"
    await desk.health(Health.FAULT, "motor")
    ticket = await desk.only()
    assert (ticket["state"], ticket["reopened"]) == ("reopened", 1)
    assert [kind for kind, _, _ in await desk.events(ticket)][-2:] == ["recovered", "recurred"]


async def _worked_off(desk, ticket=None):
    code = (ticket or await desk.only())["code"]
    for verb, who in (("assign", "fitter"), ("resolve", "fitter"), ("verify", "foreman"), ("close", "foreman")):
        (ticket,) = [one for one in await desk.all() if one["code"] == code]
        body = {"override_reason": "spare lane"} if verb == "close" else {}
        answer = await desk.do(verb, ticket, as_=who, **body)
        assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_fault_long_after_closing_opens_a_new_ticket_that_names_the_old_one(world):
    desk = Desk(world, AlarmSettings(reopen_window_s=3600))
    await desk.health(Health.FAULT, "motor")
    closed = await _worked_off(desk)
    await desk.health(Health.OK)
    at = datetime.fromisoformat(closed["closed_at"])
    await desk.health(Health.FAULT, "motor", at=at + timedelta(minutes=59))
    assert (await desk.only())["state"] == "reopened"
    closed = await _worked_off(desk)
    at = datetime.fromisoformat(closed["closed_at"])
    await desk.health(Health.FAULT, "motor", at=at + timedelta(minutes=61))
    newest, old = await desk.all()
    assert (newest["state"], newest["follows"], old["state"]) == ("new", old["code"], "closed")


async def test_offline_becomes_a_ticket_only_if_it_lasts_and_a_restart_forgets_none(world):
    desk = Desk(world, AlarmSettings(offline_hold_s=60))
    await desk.health(Health.OFFLINE, asset="short", at=now() - timedelta(seconds=61))
    await desk.health(Health.OK, asset="short", at=now() - timedelta(seconds=30))
    await desk.health(Health.OFFLINE, asset="lasting", at=now() - timedelta(seconds=61))
    await desk.health(Health.OFFLINE, asset="young", at=now() - timedelta(seconds=30))
    assert await desk.all() == []
    restarted = Alarms(world.database, desk.tickets, AlarmSettings())
    assert await restarted.sweep() == 1
    assert await restarted.sweep() == 0
    ticket = await desk.only()
    assert (ticket["asset"], ticket["fault_class"]) == ("lasting", "offline")


async def test_sweeps_of_several_workers_open_one_ticket(world):
    desk = Desk(world, AlarmSettings())
    await desk.health(Health.OFFLINE, at=now() - timedelta(hours=1))
    await asyncio.gather(*(desk.alarms.sweep() for _ in range(5)))
    assert (await desk.only())["count"] == 1


async def test_a_ticket_goes_from_assigned_to_closed_and_tells_who_did_what(desk):
    moves = []

    async def take(_conn, message):
        moves.append((message.was, message.state, message.actor))

    desk.world.bus.subscribe(TicketMoved, "test.ear", take)
    await desk.health(Health.FAULT, "motor")
    await desk.health(Health.OK)
    closed = await _worked_off(desk)
    assert (closed["assignee"], closed["resolution_code"], closed["solution"]) == ("fitter", "repair", "hinge")
    assert (closed["verified_by"], closed["closed_by"]) == ("foreman", "foreman")
    assert await desk.events(closed) == [
        ("opened", "system", "new"),
        ("recovered", "system", "new"),
        ("assign", "fitter", "assigned"),
        ("resolve", "fitter", "resolved"),
        ("verify", "foreman", "verified"),
        ("close", "foreman", "closed"),
    ]
    await desk.world.bus.drain()
    assert moves == [
        (None, "new", "system"),
        ("new", "assigned", "fitter"),
        ("assigned", "resolved", "fitter"),
        ("resolved", "verified", "foreman"),
        ("verified", "closed", "foreman"),
    ]


@pytest.mark.parametrize("state", State)
async def test_every_move_that_is_not_in_the_table_is_refused(desk, is_problem, state):
    path = {
        State.NEW: [],
        State.ASSIGNED: ["assign"],
        State.RESOLVED: ["assign", "resolve"],
        State.VERIFIED: ["assign", "resolve", "verify"],
        State.CLOSED: ["assign", "resolve", "verify", "close"],
        State.REOPENED: ["assign", "resolve", "reopen"],
    }[state]
    await desk.health(Health.FAULT, "motor")
    await desk.health(Health.OK)
    for verb in path:
        await desk.do(verb, as_="foreman" if verb in {"verify", "close"} else "fitter")
    assert (await desk.only())["state"] == state
    for verb in Verb:
        if state not in TRANSITIONS[verb][0]:
            is_problem(await desk.do(verb, as_="guard"), 409, "ticket_state")
    assert (await desk.only())["state"] == state


async def test_nobody_verifies_his_own_work(desk, is_problem):
    await desk.health(Health.FAULT, "motor")
    await desk.do("assign", as_="fitter", assignee="apprentice")
    await desk.do("resolve", as_="fitter")
    is_problem(await desk.do("verify", as_="fitter"), 403, "own-work")
    is_problem(await desk.do("verify", as_="apprentice"), 403, "own-work")
    assert (await desk.do("verify", as_="foreman")).json()["state"] == "verified"


async def test_a_device_at_fault_keeps_its_ticket_open_unless_a_reason_is_given(desk, is_problem):
    await desk.health(Health.FAULT, "motor")
    for verb, who in (("assign", "fitter"), ("resolve", "fitter"), ("verify", "foreman")):
        await desk.do(verb, as_=who)
    is_problem(await desk.do("close", as_="foreman"), 409, "device_at_fault")
    closed = await desk.do("close", as_="foreman", override_reason="waits for the new gate")
    assert closed.json()["state"] == "closed"


async def test_people_open_tickets_and_a_second_report_of_a_fault_joins_the_first(desk):
    body = {"site": "north", "title": "door stuck", "asset": "TS-07", "fault_class": "motor"}
    first = await desk.world.ask("POST", "/v1/tickets", as_="guard", json=body)
    assert first.status_code == 201
    assert first.headers["location"] == f"/v1/tickets/{first.json()['code']}"
    again = await desk.world.ask("POST", "/v1/tickets", as_="foreman", json=body)
    assert (again.status_code, again.json()["code"], again.json()["count"]) == (200, first.json()["code"], 2)
    await desk.health(Health.FAULT, "motor")
    assert len(await desk.all()) == 1
    for _ in range(2):
        await desk.world.ask("POST", "/v1/tickets", json={"site": "north", "title": "lamp", "kind": "request"})
    assert len({one["code"] for one in await desk.all()}) == 3


async def test_codes_of_many_tickets_at_once_are_unique(desk):
    body = {"site": "north", "title": "lamp"}
    answers = await asyncio.gather(*(desk.world.ask("POST", "/v1/tickets", json=body) for _ in range(20)))
    assert len({one.json()["code"] for one in answers}) == 20


async def test_a_closed_ticket_of_a_trouble_that_has_another_one_does_not_reopen(world, is_problem):
    desk = Desk(world, AlarmSettings(reopen_window_s=-86400))
    await desk.health(Health.FAULT, "motor", at=now())
    closed = await _worked_off(desk)
    await desk.health(Health.OK)
    await desk.health(Health.FAULT, "motor", at=now())
    assert len(await desk.all()) == 2
    is_problem(await desk.do("reopen", closed), 409, "ticket_open_elsewhere")


async def test_a_change_names_the_version_it_is_based_on(desk, is_problem):
    await desk.health(Health.FAULT, "motor")
    ticket = await desk.only()
    path = f"/v1/tickets/{ticket['code']}:assign"
    is_problem(await desk.world.ask("POST", path, json={}), 428, "match_required")
    is_problem(await desk.do("assign", match='"7"'), 412, "stale")
    done = await desk.do("assign")
    assert done.headers["etag"] == f'"{ticket["version"] + 1}"'


async def test_pages_stay_whole_while_tickets_come_in(desk):
    for number in range(5):
        await desk.world.ask("POST", "/v1/tickets", json={"site": "north", "title": f"t{number}"})
    page = (await desk.world.ask("GET", "/v1/tickets?limit=3")).json()
    await desk.world.ask("POST", "/v1/tickets", json={"site": "north", "title": "t5"})
    rest = (await desk.world.ask("GET", "/v1/tickets", params={"limit": 3, "cursor": page["next_cursor"]})).json()
    assert [one["title"] for one in page["items"] + rest["items"]] == ["t4", "t3", "t2", "t1", "t0"]


async def test_filters_scopes_and_sites(desk, is_problem):
    await desk.health(Health.FAULT, "motor")
    await desk.health(Health.FAULT, "motor", asset="TS-99", site="south")
    assert [one["asset"] for one in await desk.all("asset=TS-07")] == ["TS-07"]
    assert [one["asset"] for one in await desk.all(sites=("south",))] == ["TS-99"]
    assert await desk.all("state=closed") == []
    (south,) = await desk.all("site=south")
    ask, path = desk.world.ask, f"/v1/tickets/{south['code']}"
    is_problem(await ask("GET", "/v1/tickets?site=south", sites=("north",)), 403, "forbidden")
    is_problem(await ask("GET", path, sites=("north",)), 403, "forbidden")
    is_problem(await ask("GET", f"{path}/events", sites=("north",)), 403, "forbidden")
    is_problem(await ask("POST", f"{path}:assign", sites=("north",), match="*", json={}), 403, "forbidden")
    is_problem(await ask("POST", f"{path}:assign", scopes=("tickets:read",), match="*", json={}), 403, "forbidden")
    body = {"site": "south", "title": "x"}
    is_problem(await ask("POST", "/v1/tickets", sites=("north",), json=body), 403, "forbidden")
    is_problem(await ask("GET", "/v1/tickets/TK-20260101-0001"), 404, "missing")
