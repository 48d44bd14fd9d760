"""The conventions of the API, on a small domain of notes that stands for every domain."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.exc import OperationalError

from central.access.model import Principal
from central.access.routes import authenticator, require, routes
from central.access.service import Access, NewKey
from central.conditional import IfMatch, set_etag
from central.db import Database, new_id
from central.errors import Conflict, Missing
from central.http import create_api, router
from central.metrics import Metrics
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_private = MetaData()
notes = Table(
    "note",
    _private,
    Column("id", String(26), primary_key=True),
    Column("text", String(100), nullable=False),
    Column("version", Integer, nullable=False),
)


class NoteIn(BaseModel):
    text: str


class NoteOut(BaseModel):
    id: str
    text: str


class NoteSealed(Conflict):
    """Sealed notes do not change."""

    code = "note_sealed"


def notes_router(started: asyncio.Event, go_on: asyncio.Event) -> APIRouter:
    made = router("/v1/notes", "notes")
    writer = Annotated[Principal, require("tickets:write")]

    @made.post("", status_code=201)
    async def create(body: NoteIn, _: writer, conn: Conn, response: Response) -> NoteOut:
        made_id = new_id()
        await conn.execute(insert(notes), {"id": made_id, "text": body.text, "version": 1})
        if body.text == "slow":
            started.set()
            await go_on.wait()
        if body.text == "bug":
            raise ZeroDivisionError
        if body.text == "away":
            raise OperationalError("INSERT", {}, ConnectionError("gone"))
        if body.text == "sealed":
            raise NoteSealed("it is sealed", pointers=[("#/text", "sealed")])
        set_etag(response, 1)
        return NoteOut(id=made_id, text=body.text)

    @made.get("")
    async def every(_: writer, conn: Conn, args: PageQuery) -> Page[NoteOut]:
        rows, cursor = await paged(conn, select(notes), [notes.c.text, notes.c.id], args, descending=True)
        return Page(items=[NoteOut(id=row.id, text=row.text) for row in rows], next_cursor=cursor)

    @made.patch("/{note}")
    async def change(note: str, body: NoteIn, _: writer, match: IfMatch, conn: Conn, response: Response) -> NoteOut:
        row = (await conn.execute(select(notes).where(notes.c.id == note).with_for_update())).one_or_none()
        if row is None:
            raise Missing("no such note")
        match.check(row.version)
        await conn.execute(update(notes).where(notes.c.id == note).values(text=body.text, version=row.version + 1))
        set_etag(response, row.version + 1)
        return NoteOut(id=note, text=body.text)

    return made


class Site:
    """The app under test with a client that bears a key."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, access: Access, database: Database) -> None:
        self.app = app
        self.client = client
        self.access = access
        self.database = database
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()

    async def key(self, *scopes: str, sites: tuple[str, ...] = ("*",), networks: tuple[str, ...] = ()) -> str:
        async with self.database.begin() as conn:
            _, key = await self.access.create(conn, NewKey("tester", scopes, sites, networks), by="test")
        return key


@pytest.fixture
async def site(database: Database, metrics: Metrics) -> AsyncIterator[Site]:
    async with database.begin() as conn:
        await conn.run_sync(_private.create_all)
    access = Access(database)
    started, go_on = asyncio.Event(), asyncio.Event()
    app = create_api(
        database=database,
        authenticate=authenticator(access),
        metrics=metrics,
        routers=[notes_router(started, go_on), routes(access)],
        version="1",
        body_limits={"/v1/notes/import": 4 * 1024 * 1024},
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://central") as client:
        made = Site(app, client, access, database)
        made.started, made.go_on = started, go_on
        client.headers["Authorization"] = f"Bearer {await made.key('admin')}"
        yield made


def _is_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"/problems/{code}"
    assert body["status"] == status
    assert body["trace_id"] == response.headers["x-trace-id"]


async def _texts(site: Site) -> list[str]:
    got = await site.client.get("/v1/notes", params={"limit": 500})
    return [item["text"] for item in got.json()["items"]]


async def test_every_error_is_a_problem(site: Site) -> None:
    client = site.client
    _is_problem(await client.get("/v1/nowhere"), 404, "not_found")
    _is_problem(await client.put("/v1/notes"), 405, "method_not_allowed")
    _is_problem(await client.post("/v1/notes", content=b"{"), 422, "invalid")
    _is_problem(await client.post("/v1/notes", json={"text": "bug"}), 500, "internal")
    _is_problem(await client.post("/v1/notes", json={"text": "away"}), 503, "unavailable")
    wrong = await client.post("/v1/notes", json={"text": 5})
    _is_problem(wrong, 422, "invalid")
    assert wrong.json()["errors"][0]["pointer"] == "#/text"
    domain = await client.post("/v1/notes", json={"text": "sealed"})
    _is_problem(domain, 409, "note_sealed")
    assert domain.json()["errors"] == [{"pointer": "#/text", "detail": "sealed"}]


async def test_a_request_that_raised_has_changed_nothing(site: Site) -> None:
    await site.client.post("/v1/notes", json={"text": "bug"})
    await site.client.post("/v1/notes", json={"text": "sealed"})
    assert await _texts(site) == []


async def test_a_key_is_needed_with_the_scope_and_from_the_network(site: Site) -> None:
    async def status(header: str | None) -> httpx.Response:
        del site.client.headers["Authorization"]
        if header:
            site.client.headers["Authorization"] = header
        answer = await site.client.get("/v1/notes")
        site.client.headers["Authorization"] = "x"
        return answer

    _is_problem(await status(None), 401, "unauthenticated")
    _is_problem(await status("Basic x"), 401, "unauthenticated")
    _is_problem(await status("Bearer gf_0000000000_wrong"), 401, "unauthenticated")
    _is_problem(await status(f"Bearer {await site.key('tickets:read')}"), 403, "forbidden")
    abroad = await site.key("tickets:write", networks=("10.0.0.0/8",))
    _is_problem(await status(f"Bearer {abroad}"), 401, "unauthenticated")
    home = await site.key("tickets:write", networks=("127.0.0.0/8",))
    assert (await status(f"Bearer {home}")).status_code == 200


async def test_a_change_needs_the_version_it_is_based_on(site: Site) -> None:
    made = await site.client.post("/v1/notes", json={"text": "a"})
    assert made.headers["etag"] == '"1"'
    url = f"/v1/notes/{made.json()['id']}"
    _is_problem(await site.client.patch(url, json={"text": "b"}), 428, "match_required")
    changed = await site.client.patch(url, json={"text": "b"}, headers={"If-Match": '"1"'})
    assert changed.headers["etag"] == '"2"'
    _is_problem(await site.client.patch(url, json={"text": "c"}, headers={"If-Match": '"1"'}), 412, "stale")
    assert await _texts(site) == ["b"]


async def test_a_post_with_a_key_happens_once(site: Site) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await site.client.post("/v1/notes", json={"text": "once"}, headers=headers)
    again = await site.client.post("/v1/notes", json={"text": "once"}, headers=headers)
    assert (again.status_code, again.json(), again.headers["etag"]) == (201, first.json(), '"1"')
    assert again.headers["idempotency-replayed"] == "true"
    assert await _texts(site) == ["once"]
    other = await site.client.post("/v1/notes", json={"text": "other"}, headers=headers)
    _is_problem(other, 422, "idempotency_key_reused")
    site.client.headers["Authorization"] = f"Bearer {await site.key('tickets:write')}"
    assert (await site.client.post("/v1/notes", json={"text": "other"}, headers=headers)).status_code == 201


async def test_a_failed_post_may_be_tried_again_with_its_key(site: Site) -> None:
    headers = {"Idempotency-Key": "k1"}
    _is_problem(await site.client.post("/v1/notes", json={"text": "bug"}, headers=headers), 500, "internal")
    _is_problem(await site.client.post("/v1/notes", json={"text": "bug"}, headers=headers), 500, "internal")


async def test_a_key_whose_request_still_runs_is_a_conflict(site: Site) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = asyncio.create_task(site.client.post("/v1/notes", json={"text": "slow"}, headers=headers))
    await asyncio.wait_for(site.started.wait(), 5)
    second = asyncio.create_task(site.client.post("/v1/notes", json={"text": "slow"}, headers=headers))
    if not site.database.sqlite:
        _is_problem(await second, 409, "idempotency_in_flight")
    site.go_on.set()
    assert (await first).status_code == 201
    assert await _texts(site) == ["slow"]
    await second


async def test_pages_skip_and_double_nothing(site: Site) -> None:
    for number in range(7):
        await site.client.post("/v1/notes", json={"text": f"n{number % 3}"})
    got: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await site.client.get("/v1/notes", params=params)).json()
        got += [item["text"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert got == ["n2", "n2", "n1", "n1", "n0", "n0", "n0"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=%21", "cursor=WzFd", "cursor=eyJhIjoxfQ"])
async def test_a_wrong_page_is_a_problem(site: Site, query: str) -> None:
    _is_problem(await site.client.get(f"/v1/notes?{query}"), 422, "invalid")


async def test_a_body_over_the_limit_is_refused(site: Site) -> None:
    big = b"x" * (1024 * 1024 + 1)
    _is_problem(await site.client.post("/v1/notes", content=big), 413, "too_large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65536

    _is_problem(await site.client.post("/v1/notes", content=chunks()), 413, "too_large")
    _is_problem(await site.client.post("/v1/notes/import", content=big), 405, "method_not_allowed")


async def test_the_trace_id_of_the_caller_is_taken_over(site: Site) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await site.client.get("/v1/nowhere", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.json()["trace_id"] == trace


async def test_the_openapi_document_names_the_problems(site: Site) -> None:
    document = site.app.openapi()
    post = document["paths"]["/v1/notes"]["post"]
    assert post["responses"]["default"]["content"]["application/problem+json"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert {"Problem", "PointedError"} <= set(document["components"]["schemas"])
    assert post["security"] == [{"api_key": []}]


async def test_keys_over_the_api(site: Site) -> None:
    body = {"name": "lab", "scopes": ["tickets:write"], "sites": ["north"]}
    made = await site.client.post("/v1/api-keys", json=body)
    assert made.status_code == 201
    url = made.headers["location"]
    admin, lab = site.client.headers["Authorization"], f"Bearer {made.json()['key']}"
    shown = await site.client.get(url)
    assert made.json()["key"].split("_")[2] not in shown.text
    assert (await site.client.get("/v1/notes", headers={"Authorization": lab})).status_code == 200
    wrong = await site.client.put(url, json=body | {"scopes": ["fly"]}, headers={"If-Match": shown.headers["etag"]})
    _is_problem(wrong, 422, "invalid")
    ended = await site.client.delete(url, headers={"If-Match": shown.headers["etag"]})
    assert ended.status_code == 204
    _is_problem(await site.client.get("/v1/notes", headers={"Authorization": lab}), 401, "unauthenticated")
    _is_problem(await site.client.delete(url, headers={"If-Match": shown.headers["etag"]}), 412, "stale")
    assert site.client.headers["Authorization"] == admin


async def test_an_admin_of_one_site_makes_no_key_for_others(site: Site) -> None:
    site.client.headers["Authorization"] = f"Bearer {await site.key('admin', sites=('north',))}"
    body = {"name": "lab", "scopes": ["admin"], "sites": ["*"]}
    _is_problem(await site.client.post("/v1/api-keys", json=body), 403, "forbidden")
    _is_problem(await site.client.post("/v1/api-keys", json=body | {"sites": ["south"]}), 403, "forbidden")
    assert (await site.client.post("/v1/api-keys", json=body | {"sites": ["north"]})).status_code == 201
