"""/v1/locators."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from central.access.model import Principal
from central.access.routes import require
from central.columns import Word
from central.duty import store
from central.duty.schemas import LocatorOut, LocatorQuery, PositionOut, TrackQuery
from central.duty.service import Duty
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_Terminal = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$")]
_Edge = Annotated[Word | None, Query(max_length=127, description="Where several edges know it")]


def routes(duty: Duty) -> APIRouter:
    """Return /v1/locators."""
    made = router("/v1/locators", "duty")
    reader = Annotated[Principal, require("duty:read")]

    @made.get("")
    async def every(caller: reader, conn: Conn, args: PageQuery, asked: LocatorQuery) -> Page[LocatorOut]:
        """List locators by terminal, with the newest place of each."""
        if asked.site is not None:
            caller.must_site(asked.site)
        equal = asked.model_dump(exclude={"online"})
        query = store.matching(None if caller.everywhere else caller.sites, equal, asked.online)
        rows, cursor = await paged(conn, query, store.LOCATOR_ORDER, args)
        return Page(items=[LocatorOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{terminal}")
    async def one(terminal: _Terminal, caller: reader, conn: Conn, edge: _Edge = None) -> LocatorOut:
        """Return a locator; of several edges that know it, as the one knows it that heard it last."""
        return LocatorOut.of((await duty.known(conn, terminal, caller, edge))[0])

    @made.get("/{terminal}/positions")
    async def track(
        terminal: _Terminal, caller: reader, conn: Conn, args: PageQuery, asked: TrackQuery
    ) -> Page[PositionOut]:
        """List where a locator was, the oldest first."""
        known = await duty.known(conn, terminal, caller, asked.edge)
        edges, sites = sorted({row.edge for row in known}), sorted({row.site for row in known})
        wanted = store.WantedPositions(terminal, edges, sites, asked.begin, asked.end)
        rows, cursor = await paged(conn, store.track(wanted), store.POSITION_ORDER, args)
        return Page(items=[PositionOut.of(row) for row in rows], next_cursor=cursor)

    return made
