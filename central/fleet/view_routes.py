"""/v1/cameras and the grants to see their live pictures."""

from typing import Annotated

from fastapi import APIRouter, Path

from central.access.model import Principal
from central.access.routes import require
from central.columns import Word
from central.fleet import view_store
from central.fleet.view_model import cameras as cameras_
from central.fleet.view_model import views
from central.fleet.view_schemas import CameraOut, ViewIn, ViewMade, ViewOut
from central.fleet.views import Cameras
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_Reader = Annotated[Principal, require("fleet:read")]
_Viewer = Annotated[Principal, require("cameras:view")]
_Auditor = Annotated[Principal, require("audit:read")]
_Name = Annotated[Word, Path(max_length=192, description="`<edge>.<camera>`, or a camera's id where only one has it")]


def camera_routes(cameras: Cameras) -> APIRouter:
    """Return /v1/cameras."""
    made = router("/v1/cameras", "fleet")

    @made.get("")
    async def every(caller: _Reader, conn: Conn, args: PageQuery) -> Page[CameraOut]:
        """List cameras by edge and id."""
        query = view_store.cameras_at(caller.sites)
        rows, cursor = await paged(conn, query, [cameras_.c.edge, cameras_.c.device], args)
        return Page(items=[CameraOut.of(row) for row in rows], next_cursor=cursor)

    @made.post("/{camera}/views", status_code=201)
    async def view(camera: _Name, body: ViewIn, caller: _Viewer, conn: Conn) -> ViewMade:
        """Make a grant to see the camera's live picture. It is in this answer and nowhere else."""
        row = await cameras.camera(conn, camera, caller)
        granted = await cameras.grant(conn, row, body.reason, body.for_s, caller.actor)
        times = {name: granted.row[name] for name in ("expires_at", "until")}
        return ViewMade(id=granted.row["id"], grant=granted.text, url=granted.url, **times)

    @made.get("/{camera}/views")
    async def audit(camera: _Name, caller: _Auditor, conn: Conn, args: PageQuery) -> Page[ViewOut]:
        """List who was allowed to look at the camera, newest first."""
        row = await cameras.camera(conn, camera, caller)
        query = view_store.views_of(row.edge, row.device)
        rows, cursor = await paged(conn, query, [views.c.id], args, descending=True)
        return Page(items=[ViewOut.of(one) for one in rows], next_cursor=cursor)

    return made
