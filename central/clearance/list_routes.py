"""/v1/lists: the lists, their entries, and the signed content that edges fetch."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Response
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import Principal
from central.access.routes import require
from central.clearance import list_store, publication_store
from central.clearance.list_model import ANY_SITE, EntryVerb, audit, entries, list_edges, lists, snapshots
from central.clearance.list_schemas import (
    LIST_ID,
    AuditOut,
    BulkIn,
    BulkOut,
    DeliveryOut,
    EntryIn,
    EntryOut,
    EntryQuery,
    ImportIn,
    ListChange,
    ListIn,
    ListOut,
    ReasonIn,
    RevealOut,
    SnapshotOut,
)
from central.clearance.lists import Lists
from central.conditional import IfMatch, set_etag
from central.errors import Forbidden, Missing
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_Reader = Annotated[Principal, require("lists:read")]
_Writer = Annotated[Principal, require("lists:write")]
_Approver = Annotated[Principal, require("lists:approve")]
_Fetcher = Annotated[Principal, require("lists:fetch")]
_ListId = Annotated[str, Path(pattern=LIST_ID)]
_EntryId = Annotated[str, Path(pattern=r"^[0-9A-Z]{26}$")]
_Version = Annotated[int, Path(ge=1, le=(1 << 62))]
_Purpose = Annotated[str | None, Header(alias="X-Purpose", max_length=1000)]
_VERBS: Final = {
    EntryVerb.SUBMIT: _Writer,
    EntryVerb.APPROVE: _Approver,
    EntryVerb.SUSPEND: _Writer,
    EntryVerb.WITHDRAW: _Writer,
}


class PurposeRequired(Forbidden):
    """Who reads an identifier says what for."""

    code = "purpose_required"


def routes(kept: Lists) -> APIRouter:
    """Return /v1/lists."""
    made = router("/v1/lists", "lists")
    _lists(made, kept)
    _entries(made, kept)
    for verb, caller in _VERBS.items():
        _moves(made, kept, verb, caller)
    _bulk_import(made, kept)
    _content(made, kept)
    _reports(made, kept)
    return made


async def _seen(kept: Lists, conn: AsyncConnection, list_id: str, caller: Principal) -> Row[Any]:
    """Return a list that is for a site of the caller's."""
    row = await kept.get(conn, list_id)
    if not any(site == ANY_SITE or caller.may_site(site) for site in row.sites):
        raise Forbidden("this list is for other sites")
    return row


async def _owned(kept: Lists, conn: AsyncConnection, list_id: str, caller: Principal) -> Row[Any]:
    """Return a list, locked, all of whose sites are the caller's."""
    row = await kept.get(conn, list_id, lock=True)
    caller.must_cover(row.sites)
    return row


def _lists(made: APIRouter, kept: Lists) -> None:
    @made.post("", status_code=201)
    async def create(body: ListIn, caller: _Writer, conn: Conn, response: Response) -> ListOut:
        """Make a list; an empty one is announced at once."""
        caller.must_cover(body.sites)
        row = await kept.create(conn, body.new_list(), caller)
        response.headers["Location"] = f"/v1/lists/{row.id}"
        set_etag(response, row.version)
        return ListOut.of(row)

    @made.get("")
    async def every(caller: _Reader, conn: Conn, args: PageQuery) -> Page[ListOut]:
        """List the lists that are for the caller's sites."""
        query = list_store.lists_at(None if caller.everywhere else caller.sites)
        rows, cursor = await paged(conn, query, [lists.c.id], args)
        return Page(items=[ListOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{list_id}")
    async def one(list_id: _ListId, caller: _Reader, conn: Conn, response: Response) -> ListOut:
        """Return a list."""
        row = await _seen(kept, conn, list_id, caller)
        set_etag(response, row.version)
        return ListOut.of(row)

    @made.patch("/{list_id}")
    async def change(
        *, list_id: _ListId, body: ListChange, caller: _Writer, match: IfMatch, conn: Conn, response: Response
    ) -> ListOut:
        """Change a list. Its effect stays, and the two-person rule is never taken off."""
        row = await _owned(kept, conn, list_id, caller)
        match.check(row.version)
        values = body.values()
        caller.must_cover(values.get("sites", ()))
        row = await kept.change(conn, row, values, caller)
        set_etag(response, row.version)
        return ListOut.of(row)


def _entries(made: APIRouter, kept: Lists) -> None:
    @made.post("/{list_id}/entries", status_code=201)
    async def add(list_id: _ListId, body: EntryIn, caller: _Writer, conn: Conn, response: Response) -> EntryOut:
        """Put somebody on a list: `pending` where the list has the two-person rule, else `active` at once."""
        row = await _owned(kept, conn, list_id, caller)
        (result,) = await kept.add(conn, row, [body.new_entry()], caller, dry_run=False)
        if result.error is not None:
            raise result.error
        assert result.entry is not None
        entry = await kept.entry(conn, row, result.entry)
        response.headers["Location"] = f"/v1/lists/{list_id}/entries/{entry.id}"
        set_etag(response, entry.version)
        return EntryOut.of(entry)

    @made.get("/{list_id}/entries")
    async def every_entry(
        *, list_id: _ListId, caller: _Reader, conn: Conn, args: PageQuery, asked: EntryQuery
    ) -> Page[EntryOut]:
        """List a list's entries, oldest first."""
        await _seen(kept, conn, list_id, caller)
        query = list_store.entries_of(list_id, state=asked.state, token=asked.token)
        rows, cursor = await paged(conn, query, [entries.c.id], args)
        return Page(items=[EntryOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{list_id}/entries/{entry_id}")
    async def one_entry(
        list_id: _ListId, entry_id: _EntryId, caller: _Reader, conn: Conn, response: Response
    ) -> EntryOut:
        """Return an entry."""
        entry = await kept.entry(conn, await _seen(kept, conn, list_id, caller), entry_id)
        set_etag(response, entry.version)
        return EntryOut.of(entry)

    @made.post("/{list_id}/entries/{entry_id}:reveal")
    async def reveal(
        *,
        list_id: _ListId,
        entry_id: _EntryId,
        caller: Annotated[Principal, require("identities:read")],
        conn: Conn,
        purpose: _Purpose = None,
    ) -> RevealOut:
        """Return who it is, out of the envelope; needs X-Purpose, and is written down."""
        if not purpose or not purpose.strip() or "\0" in purpose:
            raise PurposeRequired("say what for", cure="send X-Purpose")
        row = await _owned(kept, conn, list_id, caller)
        entry = await kept.entry(conn, row, entry_id)
        return RevealOut(identifier=await kept.reveal(conn, row, entry, caller, purpose=purpose.strip()))


def _moves(made: APIRouter, kept: Lists, verb: EntryVerb, may: Any) -> None:
    @made.post(f"/{{list_id}}/entries/{{entry_id}}:{verb}", name=f"{verb}_entry")
    async def move(
        *,
        list_id: _ListId,
        entry_id: _EntryId,
        caller: may,
        match: IfMatch,
        conn: Conn,
        response: Response,
        body: ReasonIn | None = None,
    ) -> EntryOut:
        """Move an entry."""
        row = await _owned(kept, conn, list_id, caller)
        entry = await kept.entry(conn, row, entry_id, lock=True)
        match.check(entry.version)
        entry = await kept.move(conn, row, entry, verb, caller, reason=body.reason if body is not None else "")
        set_etag(response, entry.version)
        return EntryOut.of(entry)

    @made.post(f"/{{list_id}}/entries:{verb}", name=f"{verb}_entries")
    async def move_many(list_id: _ListId, body: BulkIn, caller: may, conn: Conn) -> BulkOut:
        """Move entries, each for itself, by the same rules."""
        row = await _owned(kept, conn, list_id, caller)
        return BulkOut.of(await kept.move_many(conn, row, body.ids, verb, caller, reason=body.reason))


def _bulk_import(made: APIRouter, kept: Lists) -> None:
    @made.post("/{list_id}:import")
    async def import_(list_id: _ListId, body: ImportIn, caller: _Writer, conn: Conn) -> BulkOut:
        """Put many on a list, each for itself; `dry_run` only tells what would be."""
        row = await _owned(kept, conn, list_id, caller)
        items = [item.new_entry() for item in body.items]
        return BulkOut.of(await kept.add(conn, row, items, caller, dry_run=body.dry_run))


def _content(made: APIRouter, kept: Lists) -> None:
    async def found(conn: AsyncConnection, list_id: str, version: int, caller: Principal) -> Row[Any]:
        await _seen(kept, conn, list_id, caller)
        row = await publication_store.snapshot(conn, list_id, version)
        if row is None:
            raise Missing(f"version {version} of {list_id} is not kept")
        return row

    @made.get("/{list_id}/snapshots/{version}/content", response_class=Response)
    async def content(list_id: _ListId, version: _Version, caller: _Fetcher, conn: Conn) -> Response:
        """Return the signed bytes of a version, whose digest was announced."""
        row = await found(conn, list_id, version, caller)
        return Response(row.content, media_type="application/json", headers={"ETag": f'"{row.digest}"'})

    @made.get("/{list_id}/deltas/{version}/content", response_class=Response)
    async def delta(list_id: _ListId, version: _Version, caller: _Fetcher, conn: Conn) -> Response:
        """Return the signed bytes that lead from `delta_from` to a version."""
        row = await found(conn, list_id, version, caller)
        if row.delta is None:
            raise Missing(f"version {version} of {list_id} has no delta", cure="fetch the snapshot")
        return Response(row.delta, media_type="application/json")


def _reports(made: APIRouter, kept: Lists) -> None:
    @made.get("/{list_id}/snapshots")
    async def versions(list_id: _ListId, caller: _Reader, conn: Conn, args: PageQuery) -> Page[SnapshotOut]:
        """List the versions that are kept, newest first."""
        await _seen(kept, conn, list_id, caller)
        query = publication_store.snapshots_of(list_id)
        rows, cursor = await paged(conn, query, [snapshots.c.version], args, descending=True)
        return Page(items=[SnapshotOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{list_id}/deliveries")
    async def deliveries(list_id: _ListId, caller: _Reader, conn: Conn, args: PageQuery) -> Page[DeliveryOut]:
        """Tell what each edge has of a list, and what it refused."""
        row = await _seen(kept, conn, list_id, caller)
        sites = None if caller.everywhere else set(caller.sites)
        if ANY_SITE not in row.sites:
            sites = set(row.sites) if sites is None else sites & set(row.sites)
        query = publication_store.deliveries_of(list_id, sites)
        rows, cursor = await paged(conn, query, [list_edges.c.edge], args)
        return Page(items=[DeliveryOut.of(one, row.content_version) for one in rows], next_cursor=cursor)

    @made.get("/{list_id}/audit")
    async def log(
        list_id: _ListId,
        caller: Annotated[Principal, require("audit:read")],
        conn: Conn,
        args: PageQuery,
    ) -> Page[AuditOut]:
        """List who did what, newest first."""
        await _seen(kept, conn, list_id, caller)
        rows, cursor = await paged(conn, list_store.audit_of(list_id), [audit.c.id], args, descending=True)
        return Page(items=[AuditOut.of(one) for one in rows], next_cursor=cursor)
