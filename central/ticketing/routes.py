"""/v1/tickets."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from sqlalchemy import Row

from central.access.model import Principal
from central.access.routes import require
from central.conditional import IfMatch, Match, set_etag
from central.db import now
from central.http import router
from central.pages import Page, PageQuery, paged
from central.ticketing import store
from central.ticketing.model import ticket_events
from central.ticketing.model import tickets as table
from central.ticketing.schemas import (
    AssignIn,
    CloseIn,
    NoteIn,
    ReopenIn,
    ResolveIn,
    TicketEventOut,
    TicketIn,
    TicketOut,
    TicketQuery,
)
from central.ticketing.service import Tickets
from central.unit import Conn

_Code = Annotated[str, Path(max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
_Reader = Annotated[Principal, require("tickets:read")]
_Writer = Annotated[Principal, require("tickets:write")]


def routes(tickets: Tickets) -> APIRouter:
    """Return /v1/tickets."""
    made = router("/v1/tickets", "ticketing")
    _reading(made, tickets)
    _opening(made, tickets)
    _working(made, tickets)
    _ending(made, tickets)
    return made


def _shown(row: Row[Any], response: Response) -> TicketOut:
    set_etag(response, row.version)
    return TicketOut.of(row)


def _reading(made: APIRouter, tickets: Tickets) -> None:
    @made.get("")
    async def every(caller: _Reader, conn: Conn, args: PageQuery, wanted: TicketQuery) -> Page[TicketOut]:
        """List tickets, newest first."""
        if wanted.site is not None:
            caller.must_site(wanted.site)
        query = store.matching(None if caller.everywhere else caller.sites, wanted.model_dump())
        rows, cursor = await paged(conn, query, [table.c.id], args, descending=True)
        return Page(items=[TicketOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{code}")
    async def one(code: _Code, caller: _Reader, conn: Conn, response: Response) -> TicketOut:
        """Return a ticket."""
        row = await tickets.get(conn, code)
        caller.must_site(row.site)
        return _shown(row, response)

    @made.get("/{code}/events")
    async def log(code: _Code, caller: _Reader, conn: Conn, args: PageQuery) -> Page[TicketEventOut]:
        """List what happened to a ticket, oldest first."""
        row = await tickets.get(conn, code)
        caller.must_site(row.site)
        rows, cursor = await paged(conn, store.events_of(row.id), [ticket_events.c.id], args)
        return Page(items=[TicketEventOut.of(one) for one in rows], next_cursor=cursor)


def _opening(made: APIRouter, tickets: Tickets) -> None:
    @made.post("", status_code=201, responses={200: {"description": "Joined the open ticket of the same trouble"}})
    async def create(body: TicketIn, caller: _Writer, conn: Conn, response: Response) -> TicketOut:
        """Open a ticket, or join the one that is open for the same asset and fault class (200)."""
        caller.must_site(body.site)
        row, fresh = await tickets.report(conn, body.new_ticket(now()), actor=caller.actor)
        caller.must_site(row.site)
        response.status_code = 201 if fresh else 200
        response.headers["Location"] = f"/v1/tickets/{row.code}"
        return _shown(row, response)


async def _taken(tickets: Tickets, conn: Conn, code: _Code, caller: Principal, match: Match) -> Row[Any]:
    row = await tickets.get(conn, code, lock=True)
    caller.must_site(row.site)
    match.check(row.version)
    return row


def _working(made: APIRouter, tickets: Tickets) -> None:
    @made.post("/{code}:assign")
    async def assign(
        *, code: _Code, body: AssignIn, caller: _Writer, match: IfMatch, conn: Conn, response: Response
    ) -> TicketOut:
        """Give a ticket to somebody, or take it."""
        row = await _taken(tickets, conn, code, caller, match)
        return _shown(await tickets.assign(conn, row, caller.actor, body.assignee or caller.actor), response)

    @made.post("/{code}:resolve")
    async def resolve(
        *, code: _Code, body: ResolveIn, caller: _Writer, match: IfMatch, conn: Conn, response: Response
    ) -> TicketOut:
        """Say that the work is done, and how."""
        row = await _taken(tickets, conn, code, caller, match)
        done = await tickets.resolve(conn, row, caller.actor, body.resolution_code, body.note)
        return _shown(done, response)


def _ending(made: APIRouter, tickets: Tickets) -> None:
    @made.post("/{code}:verify")
    async def verify(
        *, code: _Code, body: NoteIn, caller: _Writer, match: IfMatch, conn: Conn, response: Response
    ) -> TicketOut:
        """Accept the work; not for whoever did it (own-work)."""
        row = await _taken(tickets, conn, code, caller, match)
        return _shown(await tickets.verify(conn, row, caller.actor, body.note), response)

    @made.post("/{code}:close")
    async def close(
        *, code: _Code, body: CloseIn, caller: _Writer, match: IfMatch, conn: Conn, response: Response
    ) -> TicketOut:
        """Close a verified ticket."""
        row = await _taken(tickets, conn, code, caller, match)
        return _shown(await tickets.close(conn, row, caller.actor, body.note, body.override_reason), response)

    @made.post("/{code}:reopen")
    async def reopen(
        *, code: _Code, body: ReopenIn, caller: _Writer, match: IfMatch, conn: Conn, response: Response
    ) -> TicketOut:
        """Take a resolved, verified or lately closed ticket up again."""
        row = await _taken(tickets, conn, code, caller, match)
        return _shown(await tickets.reopen(conn, row, caller.actor, body.reason), response)
