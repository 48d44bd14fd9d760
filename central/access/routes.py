"""Keys over the API, and how every other route asks who calls."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.security import HTTPBearer

from central.access import store
from central.access.model import ADMIN, SCOPES, Principal, api_keys
from central.access.schemas import KeyIn, KeyMade, KeyOut
from central.access.service import Access
from central.conditional import IfMatch, set_etag
from central.errors import Unauthenticated
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn

_KeyId = Annotated[str, Path(pattern="^[0-9A-Z]{26}$")]
_BEARER = HTTPBearer(auto_error=False, description="An API key: gf_...", scheme_name="api_key")


def authenticator(access: Access) -> Callable[[Request], Any]:
    """Return the function that tells who sent a request: None without a key, Unauthenticated with a bad one."""

    async def authenticate(request: Request) -> Principal | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("only bearer keys are taken", cure="send Authorization: Bearer gf_...")
        return await access.authenticate(key.strip(), request.client.host if request.client else None)

    return authenticate


def require(scope: str) -> Any:
    """Return the dependency that gives the Principal, who has the scope; 401 and 403 otherwise."""
    if scope not in SCOPES:
        raise TypeError(f"no scope {scope!r}; add it to central/access/model.py")

    async def principal(request: Request, _: Annotated[object, Depends(_BEARER)]) -> Principal:
        caller: Principal | None = await request.app.state.authenticate(request)
        if caller is None:
            raise Unauthenticated("an API key is needed", cure="send Authorization: Bearer gf_...")
        caller.must(scope)
        return caller

    return Depends(principal)


def routes(access: Access) -> APIRouter:
    """Return /v1/api-keys."""
    made = router("/v1/api-keys", "access")
    admin = Annotated[Principal, require(ADMIN)]

    @made.post("", status_code=201)
    async def create(body: KeyIn, caller: admin, conn: Conn, response: Response) -> KeyMade:
        """Make a key. Its text is in this answer and nowhere else."""
        caller.must_cover(body.sites)
        key_id, key = await access.create(conn, body.new_key(), by=caller.actor)
        response.headers["Location"] = f"/v1/api-keys/{key_id}"
        return KeyMade(id=key_id, key=key)

    @made.get("")
    async def keys(_: admin, conn: Conn, args: PageQuery) -> Page[KeyOut]:
        """List keys, oldest first."""
        rows, cursor = await paged(conn, store.all_keys(), [api_keys.c.id], args)
        return Page(items=[KeyOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/{key_id}")
    async def one(key_id: _KeyId, _: admin, conn: Conn, response: Response) -> KeyOut:
        """Return a key without its secret."""
        row = await access.get(conn, key_id)
        set_etag(response, row.version)
        return KeyOut.of(row)

    @made.put("/{key_id}")
    async def change(
        *, key_id: _KeyId, body: KeyIn, caller: admin, match: IfMatch, conn: Conn, response: Response
    ) -> KeyOut:
        """Change what a key may do."""
        row = await access.get(conn, key_id, lock=True)
        caller.must_cover([*row.sites, *body.sites])
        match.check(row.version)
        await access.change(conn, row, body.new_key())
        row = await access.get(conn, key_id)
        set_etag(response, row.version)
        return KeyOut.of(row)

    @made.delete("/{key_id}", status_code=204)
    async def revoke(key_id: _KeyId, caller: admin, match: IfMatch, conn: Conn) -> None:
        """End a key now."""
        row = await access.get(conn, key_id, lock=True)
        caller.must_cover(row.sites)
        match.check(row.version)
        await access.revoke(conn, row)

    return made
