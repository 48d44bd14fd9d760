"""How central is: health, metrics, and what it gave up on."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import Row, select, text
from sqlalchemy.exc import SQLAlchemyError

from central import outbox
from central.access.model import ADMIN, Principal
from central.access.routes import require
from central.bus import Bus
from central.db import Database
from central.errors import Unavailable
from central.eventstore import events
from central.http import router
from central.metrics import Metrics
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_Operator = Annotated[Principal, require("operations:read")]
_Admin = Annotated[Principal, require(ADMIN)]


class Ready(BaseModel):
    """What central needs, and that it has it."""

    database: bool = True
    broker: bool = True


class DeliveryOut(BaseModel):
    """A delivery that was given up after too many failures."""

    id: int
    message: str
    type: str
    subscriber: str
    key: str
    attempts: int
    error: str
    published_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "DeliveryOut":
        """Return a row's public side; the body stays inside."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class StrandedOut(BaseModel):
    """An event that was stored but is not projected."""

    position: int
    edge: str
    epoch: str
    stream: str
    seq: int
    type: str
    subject: str
    status: str
    received_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> "StrandedOut":
        """Return a row's public side; the data stay inside."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


def health_routes(database: Database, metrics: Metrics, broker_up: Callable[[], bool]) -> APIRouter:
    """Return /healthz, /readyz and /metrics: open to whoever reaches the port."""
    made = router("", "operations")

    @made.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Answer as long as the process does."""
        return {"status": "ok"}

    @made.get("/readyz")
    async def readyz() -> Ready:
        """Answer when the database and the broker are there."""
        try:
            async with asyncio.timeout(3), database.read() as conn:
                await conn.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error
        if not broker_up():
            raise Unavailable("the broker is not connected")
        return Ready()

    @made.get("/metrics", response_class=Response)
    async def show() -> Response:
        """Return the metrics in Prometheus' text format."""
        made_text = await asyncio.to_thread(generate_latest, metrics.registry)
        return Response(made_text, media_type=CONTENT_TYPE_LATEST)

    return made


def operation_routes(bus: Bus) -> APIRouter:
    """Return /v1/operations: what was given up on, and how to try it again."""
    made = router("/v1/operations", "operations")

    @made.get("/parked-deliveries")
    async def parked(_: _Operator, conn: Conn, args: PageQuery) -> Page[DeliveryOut]:
        """List messages that a subscriber failed too often on."""
        query = select(outbox.outbox).where(outbox.outbox.c.state == outbox.PARKED)
        rows, cursor = await paged(conn, query, [outbox.outbox.c.id], args)
        return Page(items=[DeliveryOut.of(row) for row in rows], next_cursor=cursor)

    @made.post("/parked-deliveries/{delivery}:retry", status_code=202)
    async def retry(delivery: Annotated[int, Path(ge=1, lt=1 << 63)], _: _Admin, conn: Conn) -> dict[str, str]:
        """Try a parked delivery again from the start."""
        await bus.retry_parked(conn, delivery)
        return {"status": "pending"}

    @made.get("/stranded-events")
    async def stranded(
        caller: _Operator,
        conn: Conn,
        args: PageQuery,
        status: Annotated[str, Query(pattern="^(unknown|invalid|projection_failed)$")] = "projection_failed",
    ) -> Page[StrandedOut]:
        """List events that are stored but not projected (`gatefleet central reproject`)."""
        query = select(events).where(events.c.status == status, events.c.status != "ok")
        if not caller.everywhere:
            query = query.where(events.c.site.in_(sorted(caller.sites)))
        rows, cursor = await paged(conn, query, [events.c.position], args)
        return Page(items=[StrandedOut.of(row) for row in rows], next_cursor=cursor)

    return made
