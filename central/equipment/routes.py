"""/v1/assets."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from central.access.model import Principal
from central.access.routes import require
from central.conditional import set_etag
from central.equipment import store
from central.equipment.model import assets, health_log
from central.equipment.schemas import AssetOut, AssetQuery, HealthOut
from central.equipment.service import Equipment
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_Tag = Annotated[str, Path(max_length=128, pattern=r"^[^\x00]+$")]


def routes(equipment: Equipment) -> APIRouter:
    """Return /v1/assets."""
    made = router("/v1/assets", "equipment")
    reader = Annotated[Principal, require("equipment:read")]

    @made.get("")
    async def every(caller: reader, conn: Conn, args: PageQuery, wanted: AssetQuery) -> Page[AssetOut]:
        """List assets by tag."""
        if wanted.site is not None:
            caller.must_site(wanted.site)
        query = store.matching(None if caller.everywhere else caller.sites, wanted.model_dump())
        rows, cursor = await paged(conn, query, [assets.c.tag], args)
        return Page(items=[AssetOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{tag}")
    async def one(tag: _Tag, caller: reader, conn: Conn, response: Response) -> AssetOut:
        """Return an asset."""
        row = await equipment.get(conn, tag)
        caller.must_site(row.site)
        set_etag(response, row.version)
        return AssetOut.of(row)

    @made.get("/{tag}/timeline")
    async def timeline(tag: _Tag, caller: reader, conn: Conn, args: PageQuery) -> Page[HealthOut]:
        """List an asset's changes of health, newest first."""
        row = await equipment.get(conn, tag)
        caller.must_site(row.site)
        rows, cursor = await paged(conn, store.timeline(tag), [health_log.c.id], args, descending=True)
        return Page(items=[HealthOut.of(one) for one in rows], next_cursor=cursor)

    return made
