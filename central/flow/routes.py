"""/v1/flow."""

from typing import Annotated

from fastapi import APIRouter

from central.access.model import Principal
from central.access.routes import require
from central.flow import store
from central.flow.drift import Drifts
from central.flow.model import people, vehicles
from central.flow.schemas import (
    ChannelOut,
    DeviceOut,
    DriftsOut,
    PeopleOut,
    PeopleQuery,
    VehicleQuery,
    VehiclesOut,
    drift_out,
    told,
)
from central.http import router
from central.unit import Conn


def routes(drifts: Drifts | None = None) -> APIRouter:
    """Return /v1/flow."""
    made = router("/v1/flow", "flow")
    reader = Annotated[Principal, require("flow:read")]

    @made.get("/people")
    async def persons(caller: reader, conn: Conn, asked: PeopleQuery) -> PeopleOut:
        """Count persons by the minute, hour or day, and by device."""
        span = asked.span(caller, asked.device)
        fields = told(asked, await store.by_step(conn, people, span, asked.step.seconds))
        rows = await store.by_who(conn, people, span)
        return PeopleOut(**fields, devices=[DeviceOut.of(row, site=row.site, device=row.who) for row in rows])

    @made.get("/vehicles")
    async def traffic(caller: reader, conn: Conn, asked: VehicleQuery) -> VehiclesOut:
        """Count passages of channels by the minute, hour or day, and by channel."""
        span = asked.span(caller, asked.channel)
        fields = told(asked, await store.by_step(conn, vehicles, span, asked.step.seconds))
        rows = await store.by_who(conn, vehicles, span)
        return VehiclesOut(**fields, channels=[ChannelOut.of(row, site=row.site, channel=row.who) for row in rows])

    @made.get("/drift")
    async def drift(caller: reader, conn: Conn) -> DriftsOut:
        """Show how the people counters agree with the lanes beside them."""
        sites = None if caller.everywhere else caller.sites
        found = await drifts.judged(conn, sites) if drifts is not None else []
        return DriftsOut(counters=[drift_out(one) for one in found])

    return made
