"""/v1/edges/{edge}/seal-keys."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from central.access.model import ADMIN, Principal
from central.access.routes import require
from central.clearance import seal_store as store
from central.clearance import seals
from central.clearance.seal_schemas import KEY_ID, SealKeyIn, SealKeyOut
from central.conditional import IfMatchGiven, set_etag
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn
from core.messages.topics import EDGE_NAME

_Reader = Annotated[Principal, require("fleet:read")]
_Admin = Annotated[Principal, require(ADMIN)]
_EdgeName = Annotated[str, Path(pattern=EDGE_NAME.pattern)]
_KeyId = Annotated[str, Path(pattern=KEY_ID, description="As `edge seal-key show` prints it: it follows from the key")]


def routes() -> APIRouter:
    """Return the routes of the seal keys."""
    made = router("/v1/edges", "clearance")

    @made.get("/{edge}/seal-keys")
    async def every(edge: _EdgeName, caller: _Reader, conn: Conn, args: PageQuery) -> Page[SealKeyOut]:
        """List the keys with which an edge seals its boardings."""
        caller.must_site(edge.partition(".")[0])
        rows, cursor = await paged(conn, store.of_edge(edge), store.ORDER, args)
        return Page(items=[SealKeyOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{edge}/seal-keys/{key_id}")
    async def one(edge: _EdgeName, key_id: _KeyId, caller: _Reader, conn: Conn, response: Response) -> SealKeyOut:
        """Return a key."""
        caller.must_site(edge.partition(".")[0])
        row = await seals.get(conn, edge, key_id)
        set_etag(response, row.version)
        return SealKeyOut.of(row)

    @made.put("/{edge}/seal-keys/{key_id}", responses={201: {"model": SealKeyOut, "description": "It is new"}})
    async def put(
        *,
        edge: _EdgeName,
        key_id: _KeyId,
        body: SealKeyIn,
        caller: _Admin,
        match: IfMatchGiven,
        conn: Conn,
        response: Response,
    ) -> SealKeyOut:
        """Make a key known, also before its edge was ever seen; the same again changes nothing.

        A change of the note needs If-Match.
        """
        caller.must_site(edge.partition(".")[0])
        row, is_new = await seals.put(
            conn, edge, key_id, public_key=body.public_key, note=body.note, match=match, by=caller.actor
        )
        set_etag(response, row.version)
        response.status_code = 201 if is_new else 200
        return SealKeyOut.of(row)

    return made
