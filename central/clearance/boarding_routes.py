"""/v1/boardings, /v1/cabin-anomalies."""

from typing import Annotated

from fastapi import APIRouter, Path

from central.access.model import Principal
from central.access.routes import require
from central.clearance import boarding_store as store
from central.clearance.boarding_schemas import (
    AnomalyQuery,
    BoardingLine,
    BoardingOut,
    BoardingQuery,
    CabinAnomalyOut,
    Tally,
    VisitOut,
)
from central.clearance.boardings import Boardings
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_Reader = Annotated[Principal, require("passages:read")]
_Id = Annotated[str, Path(pattern="^[0-9A-Z]{26}$")]


def routes(boardings: Boardings) -> APIRouter:
    """Return the routes of the cabins."""
    made = router("/v1", "clearance")

    @made.get("/boardings")
    async def every(caller: _Reader, conn: Conn, args: PageQuery, asked: BoardingQuery) -> Page[BoardingLine]:
        """List boardings, newest first."""
        query = store.every(asked.wanted(caller))
        rows, cursor = await paged(conn, query, store.BOARDING_ORDER, args, descending=True)
        return Page(items=[BoardingLine.of(row) for row in rows], next_cursor=cursor)

    @made.get("/boardings/{boarding}")
    async def one(boarding: _Id, caller: _Reader, conn: Conn) -> BoardingOut:
        """Return a boarding with its summary, and whether its seal holds."""
        row = await boardings.get(conn, boarding)
        caller.must_site(row.site)
        tally = Tally.model_validate(await boardings.tally(conn, boarding))
        return BoardingOut.of(row, tally=tally, seal=await boardings.seal(conn, row))

    @made.get("/boardings/{boarding}/passengers")
    async def passengers(boarding: _Id, caller: _Reader, conn: Conn, args: PageQuery) -> Page[VisitOut]:
        """List the visits of a boarding, in order."""
        caller.must_site((await boardings.get(conn, boarding)).site)
        rows, cursor = await paged(conn, store.visits_in(boarding), store.VISIT_ORDER, args)
        return Page(items=[VisitOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/cabin-anomalies")
    async def anomalies(caller: _Reader, conn: Conn, args: PageQuery, asked: AnomalyQuery) -> Page[CabinAnomalyOut]:
        """List what went wrong in cabins, what was stored last first."""
        query = store.anomalies(asked.wanted(caller))
        rows, cursor = await paged(conn, query, store.ANOMALY_ORDER, args, descending=True)
        return Page(items=[CabinAnomalyOut.of(row) for row in rows], next_cursor=cursor)

    return made
