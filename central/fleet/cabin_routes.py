"""/v1/lanes/{lane}:open-boarding, :close-boarding, :rule: what an officer away from a cabin may order of it."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import Principal
from central.access.routes import require
from central.columns import Word
from central.errors import Conflict
from central.fleet.cabin_schemas import CloseBoardingIn, OpenBoardingIn, RuleIn
from central.fleet.orders import Commands, Target, Wanted
from central.fleet.schemas import CommandOut
from central.fleet.service import Fleet
from central.http import router
from central.unit import Conn

_CABIN: Final = "cabin"
_Commander = Annotated[Principal, require("lanes:command")]
_LaneName = Annotated[Word, Path(max_length=192, description="`<edge>.<lane>`, or a lane's id where only one has it")]


class NotACabin(Conflict):
    """The lane meets no aircraft."""

    code = "not_a_cabin"


def cabin_routes(fleet: Fleet, commands: Commands) -> APIRouter:
    """Return the orders to cabins."""
    made = router("/v1/lanes", "fleet")

    async def order(
        *,
        conn: AsyncConnection,
        name: str,
        caller: Principal,
        asked: OpenBoardingIn | CloseBoardingIn | RuleIn,
        response: Response,
    ) -> CommandOut:
        lane = await fleet.lane(conn, name, caller)
        if lane.kind != _CABIN:
            raise NotACabin(f"{lane.edge}.{lane.lane} is a {lane.kind} lane")
        target = Target(edge=lane.edge, site=lane.site, lane=lane.lane)
        row = await commands.issue(conn, target, Wanted(asked.command(), asked.reason, asked.ttl_s), caller.actor)
        response.headers["Location"] = f"/v1/commands/{row['id']}"
        return CommandOut.of(row)

    @made.post("/{lane}:open-boarding", status_code=202)
    async def open_boarding(
        *, lane: _LaneName, body: OpenBoardingIn, caller: _Commander, conn: Conn, response: Response
    ) -> CommandOut:
        """Order a cabin to begin to meet an aircraft; follow the command to see it done."""
        return await order(conn=conn, name=lane, caller=caller, asked=body, response=response)

    @made.post("/{lane}:close-boarding", status_code=202)
    async def close_boarding(
        *, lane: _LaneName, body: CloseBoardingIn, caller: _Commander, conn: Conn, response: Response
    ) -> CommandOut:
        """Order a cabin to sum up and seal; refused by the cabin while somebody is in it."""
        return await order(conn=conn, name=lane, caller=caller, asked=body, response=response)

    @made.post("/{lane}:rule", status_code=202)
    async def rule(*, lane: _LaneName, body: RuleIn, caller: _Commander, conn: Conn, response: Response) -> CommandOut:
        """Decide on the passenger who is held; refused by the cabin where it is another one by then."""
        return await order(conn=conn, name=lane, caller=caller, asked=body, response=response)

    return made
