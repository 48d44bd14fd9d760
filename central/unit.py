"""A request is one unit of work: its effect, its messages and its kept answer commit together, before it is answered.

Promises:
1. A request that is answered with success has committed; one that raised has changed nothing.
2. The connection is opened at first use: a request that asks for none holds none (a long poll, a what-if).
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final, Protocol

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncConnection

from central.db import Database
from central.idempotency import Idempotency

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Caller(Protocol):
    """Who asks, as far as this module cares."""

    @property
    def key_id(self) -> str:
        """Return what tells callers apart."""


Authenticate = Callable[[Request], Awaitable[Caller | None]]


class Unit:
    """The transaction of one request."""

    def __init__(self, database: Database, *, writes: bool) -> None:
        self._database = database
        self._writes = writes
        self._stack = AsyncExitStack()
        self._conn: AsyncConnection | None = None

    async def connection(self) -> AsyncConnection:
        """Return the connection of this request, in its transaction."""
        if self._conn is None:
            make = self._database.begin() if self._writes else self._database.read()
            self._conn = await self._stack.enter_async_context(make)
        return self._conn

    async def run(self, work: Callable[["Unit"], Awaitable[Response]]) -> Response:
        """Commit after the work, or roll back where it raised."""
        async with self._stack:
            return await work(self)


class UnitOfWork(APIRoute):
    """The route class of every router here: `APIRouter(route_class=UnitOfWork)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler inside its unit of work."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            unit = Unit(request.app.state.database, writes=request.method not in _SAFE)
            request.state.unit = unit
            key = request.headers.get("idempotency-key") if request.method == "POST" else None
            if key is None:
                return await unit.run(lambda _: inner(request))
            caller = await request.app.state.authenticate(request)
            name = caller.key_id if caller else f"public {request.client.host if request.client else ''}"
            idempotency: Idempotency = request.app.state.idempotency

            async def once(unit: Unit) -> Response:
                conn = await unit.connection()
                return await idempotency.once(conn, request, name, key, lambda: inner(request))

            return await unit.run(once)

        return handler


async def _connection(request: Request) -> AsyncConnection:
    unit: Unit = request.state.unit
    return await unit.connection()


Conn = Annotated[AsyncConnection, Depends(_connection)]
"""A route parameter: the request's connection; reading for GET, writing (committed before the answer) for the rest."""
