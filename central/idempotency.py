"""Idempotency-Key on POST: the answer is kept for 72 hours, in the same transaction as the effect.

So a retry after a lost answer gets that answer, and a retry after a crash finds either both or neither.
The same key with another request is a mistake (422); one that is still running is a conflict (409).
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from central.db import Json, UtcDateTime, metadata, now
from central.errors import Invalid, KeyInFlight, KeyReused

KEEP: Final = timedelta(hours=72)
_HEADERS: Final = ("content-type", "etag", "location")

answers: Final = Table(
    "idempotent_answer",
    metadata,
    Column("identity", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Json, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Index("ix_idempotent_answer_made_at", "made_at"),
)


class Idempotency:
    """Knows which keys are running in this process; the database knows the rest."""

    def __init__(self) -> None:
        self._running: set[str] = set()

    async def once(
        self, conn: AsyncConnection, request: Request, caller: str, key: str, act: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Act and keep the answer, or return the one that was kept."""
        if not 1 <= len(key) <= 255:
            raise Invalid("an Idempotency-Key has 1 to 255 characters", pointers=[("#/header/idempotency-key", "size")])
        identity = hashlib.sha256(f"{caller}\n{key}".encode()).hexdigest()
        if identity in self._running:
            raise KeyInFlight("the first request with this key is still running")
        self._running.add(identity)
        try:
            return await self._once(conn, request, identity, act)
        finally:
            self._running.discard(identity)

    async def _once(
        self, conn: AsyncConnection, request: Request, identity: str, act: Callable[[], Awaitable[Response]]
    ) -> Response:
        if conn.dialect.name == "postgresql":
            lock = select(func.pg_try_advisory_xact_lock(int(identity[:15], 16)))
            if not (await conn.execute(lock)).scalar_one():
                raise KeyInFlight("the first request with this key is still running")
        url = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
        fingerprint = hashlib.sha256(url + await request.body()).hexdigest()
        kept = (await conn.execute(select(answers).where(answers.c.identity == identity))).one_or_none()
        if kept is not None and kept.made_at > now() - KEEP:
            if kept.fingerprint != fingerprint:
                raise KeyReused("this Idempotency-Key was used with another request", cure="make a new key")
            return Response(kept.body, kept.status, {**kept.headers, "Idempotency-Replayed": "true"})
        response = await act()
        await conn.execute(delete(answers).where(answers.c.identity == identity))
        headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
        row = {"identity": identity, "fingerprint": fingerprint, "status": response.status_code, "headers": headers}
        await conn.execute(insert(answers), {**row, "body": bytes(response.body), "made_at": now()})
        return response


async def forget_old(conn: AsyncConnection) -> int:
    """Delete answers that are past their time; return how many."""
    return (await conn.execute(delete(answers).where(answers.c.made_at < now() - KEEP))).rowcount
