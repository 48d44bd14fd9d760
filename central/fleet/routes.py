"""/v1/edges, /v1/lanes and /v1/commands."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import Principal
from central.access.routes import require
from central.columns import Word
from central.eventstore import all_watermarks
from central.fleet import store
from central.fleet.model import commands as commands_
from central.fleet.model import edges, lanes
from central.fleet.orders import Commands, Target, Wanted
from central.fleet.schemas import ACTIONS, CommandOut, DeviceCommandIn, EdgeDetail, EdgeOut, LaneOut, ModeIn, OpenIn
from central.fleet.service import Fleet
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn
from core.messages.commands import LaneCommand, SetLaneMode
from core.messages.events import CommandState, LaneMode
from core.messages.topics import EDGE_NAME

_Reader = Annotated[Principal, require("fleet:read")]
_Commander = Annotated[Principal, require("lanes:command")]
_DeviceCommander = Annotated[Principal, require("devices:command")]
_EdgeName = Annotated[str, Path(pattern=EDGE_NAME.pattern)]
_DeviceName = Annotated[Word, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_CommandId = Annotated[str, Path(pattern="^[0-9A-Z]{26}$")]
_LaneName = Annotated[Word, Path(max_length=192, description="`<edge>.<lane>`, or a lane's id where only one has it")]


def edge_routes(fleet: Fleet, commands: Commands) -> APIRouter:
    """Return /v1/edges with the commands to their devices."""
    made = router("/v1/edges", "fleet")

    @made.get("")
    async def every(caller: _Reader, conn: Conn, args: PageQuery) -> Page[EdgeOut]:
        """List edges by name."""
        rows, cursor = await paged(conn, store.edges_at(caller.sites), [edges.c.name], args)
        return Page(items=[EdgeOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{edge}")
    async def one(edge: _EdgeName, caller: _Reader, conn: Conn) -> EdgeDetail:
        """Return an edge with how far its streams are stored."""
        row = await fleet.edge(conn, edge)
        caller.must_site(row.site)
        return EdgeDetail.with_marks(row, await all_watermarks(conn, edge))

    @made.post("/{edge}/devices/{device}:command", status_code=202)
    async def command_device(
        *,
        edge: _EdgeName,
        device: _DeviceName,
        body: DeviceCommandIn,
        caller: _DeviceCommander,
        conn: Conn,
        response: Response,
    ) -> CommandOut:
        """Order a device, or one terminal behind it, to do something; follow the command to see it done."""
        row = await fleet.edge(conn, edge)
        caller.must_site(row.site)
        target = Target(edge=edge, site=row.site, device=device)
        wanted = Wanted(body.command(), body.reason, body.ttl_s)
        return _issued(await commands.issue(conn, target, wanted, caller.actor), response)

    return made


def _issued(row: Mapping[str, Any], response: Response) -> CommandOut:
    response.headers["Location"] = f"/v1/commands/{row['id']}"
    return CommandOut.of(row)


def lane_routes(fleet: Fleet, commands: Commands) -> APIRouter:
    """Return /v1/lanes with its commands."""
    made = router("/v1/lanes", "fleet")

    async def order(
        *, conn: AsyncConnection, name: str, caller: Principal, command: LaneCommand, asked: ModeIn, response: Response
    ) -> CommandOut:
        lane = await fleet.lane(conn, name, caller)
        target = Target(edge=lane.edge, site=lane.site, lane=lane.lane)
        wanted = Wanted(command, asked.reason, asked.ttl_s)
        return _issued(await commands.issue(conn, target, wanted, caller.actor), response)

    def setter(action: str, mode: LaneMode) -> None:
        @made.post(f"/{{lane}}:{action}", status_code=202, operation_id=f"lane_{action}", name=f"lane {action}")
        async def set_mode(
            *, lane: _LaneName, body: ModeIn, caller: _Commander, conn: Conn, response: Response
        ) -> CommandOut:
            """Order the lane's mode; follow the command to see it done."""
            return await order(
                conn=conn, name=lane, caller=caller, command=SetLaneMode(mode=mode), asked=body, response=response
            )

    @made.get("")
    async def every(caller: _Reader, conn: Conn, args: PageQuery) -> Page[LaneOut]:
        """List lanes by edge and id."""
        rows, cursor = await paged(conn, store.lanes_at(caller.sites), [lanes.c.edge, lanes.c.lane], args)
        return Page(items=[LaneOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{lane}")
    async def one(lane: _LaneName, caller: _Reader, conn: Conn) -> LaneOut:
        """Return a lane."""
        row = await fleet.lane(conn, lane, caller)
        return LaneOut.of(row)

    @made.post("/{lane}:open", status_code=202)
    async def open_lane(
        *, lane: _LaneName, body: OpenIn, caller: _Commander, conn: Conn, response: Response
    ) -> CommandOut:
        """Order one person to be let through; follow the command to see it done."""
        return await order(conn=conn, name=lane, caller=caller, command=body.command(), asked=body, response=response)

    for action, mode in ACTIONS.items():
        setter(action, mode)
    return made


def command_routes(commands: Commands) -> APIRouter:
    """Return /v1/commands."""
    made = router("/v1/commands", "fleet")

    @made.get("")
    async def every(
        caller: _Reader, conn: Conn, args: PageQuery, state: CommandState | None = None
    ) -> Page[CommandOut]:
        """List commands, newest first."""
        query = store.commands_at(caller.sites)
        query = query if state is None else query.where(commands_.c.state == state.value)
        rows, cursor = await paged(conn, query, [commands_.c.id], args, descending=True)
        return Page(items=[CommandOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{command}")
    async def one(
        command: _CommandId,
        caller: _Reader,
        wait_s: Annotated[float, Query(ge=0, le=30, description="Answer once it is final, or after so long")] = 0.0,
    ) -> CommandOut:
        """Return a command, at once or when it is final."""
        row = await commands.get(command, lambda one: caller.must_site(one.site), wait_s)
        return CommandOut.of(row)

    return made
