"""/v1/vehicle-decisions, /v1/vehicle-passages."""

from typing import Annotated

from fastapi import APIRouter

from central.access.model import Principal
from central.access.routes import require
from central.clearance import vehicle_store
from central.clearance.vehicle_model import vehicle_decisions, vehicle_passages
from central.clearance.vehicle_schemas import (
    VehicleDecisionOut,
    VehicleDecisionQuery,
    VehiclePassageOut,
    VehiclePassageQuery,
)
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_Reader = Annotated[Principal, require("passages:read")]


def routes() -> APIRouter:
    """Return the routes of what happened at the vehicle lanes."""
    made = router("/v1", "clearance")

    @made.get("/vehicle-decisions")
    async def decisions(
        caller: _Reader, conn: Conn, args: PageQuery, asked: VehicleDecisionQuery
    ) -> Page[VehicleDecisionOut]:
        """List decisions on vehicles, what was stored last first."""
        query = vehicle_store.with_plate(vehicle_decisions, asked.wanted(caller), asked.token)
        rows, cursor = await paged(conn, query, vehicle_store.DECISION_ORDER, args, descending=True)
        return Page(items=[VehicleDecisionOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/vehicle-passages")
    async def passages(
        caller: _Reader, conn: Conn, args: PageQuery, asked: VehiclePassageQuery
    ) -> Page[VehiclePassageOut]:
        """List what vehicles did at the barriers and in the channels, what was stored last first."""
        query = vehicle_store.with_plate(vehicle_passages, asked.wanted(caller), asked.token)
        rows, cursor = await paged(conn, query, vehicle_store.PASSAGE_ORDER, args, descending=True)
        return Page(items=[VehiclePassageOut.of(row) for row in rows], next_cursor=cursor)

    return made
