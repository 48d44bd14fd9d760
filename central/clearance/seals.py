"""Whether the sealed summary of a boarding is what it says to be, by the keys that edges are known to have.

Promises:
1. A key is known by the id that follows from it: under one id there is never another key.
2. A key is never forgotten: what was sealed with an old one is checked with it for ever.
"""

from base64 import urlsafe_b64decode
from enum import StrEnum
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clearance import seal_store as store
from central.conditional import Match
from central.db import now
from central.errors import Invalid, MatchRequired, Missing, Stale
from core.crypto import suite
from core.crypto.keys import PublicKey, key_id, load_public
from core.errors import GatefleetError

_PURPOSE: Final = b"gatefleet/v1/boarding\n"
"""What a seal covers before the summary, so that no other signed text can pass for one."""


class SealState(StrEnum):
    """What became of the check. `mismatched`: sealed well, but it tells of something else than the boarding does."""

    VALID = "valid"
    BROKEN = "broken"
    MISMATCHED = "mismatched"
    UNKNOWN_KEY = "unknown_key"


async def put(
    conn: AsyncConnection, edge: str, name: str, *, public_key: str, note: str, match: Match | None, by: str
) -> tuple[Row[Any], bool]:
    """Make a key of an edge known, or change its note; return its row and whether it is new.

    The same again changes nothing and needs no `match`.
    """
    text = _public(name, public_key).text
    row = await store.one(conn, edge, name, lock=True)
    if row is None:
        if match is not None:
            raise Stale("there is no such key yet", cure="leave If-Match out to make it known")
        told = {"edge": edge, "key_id": name, "site": edge.partition(".")[0], "public_key": text, "note": note}
        if await store.add(conn, told | {"created_at": now(), "created_by": by, "version": 1}):
            return await get(conn, edge, name), True
        row = await get(conn, edge, name)
    if row.note == note:
        return row, False
    if match is None:
        raise MatchRequired("a change needs If-Match", cure="send the ETag of the version you read")
    match.check(row.version)
    await store.annotate(conn, row, note)
    return await get(conn, edge, name), False


async def get(conn: AsyncConnection, edge: str, name: str) -> Row[Any]:
    """Return a key's row; raise Missing."""
    row = await store.one(conn, edge, name)
    if row is None:
        raise Missing(f"no seal key {name} of {edge}")
    return row


async def state_of(conn: AsyncConnection, boarding: Row[Any]) -> SealState:
    """Check the seal of a closed boarding with the edge's key."""
    row = await store.one(conn, boarding.edge, boarding.key_id)
    return SealState.UNKNOWN_KEY if row is None else check(boarding, load_public(row.public_key))


def check(row: Row[Any], key: PublicKey) -> SealState:
    """Check the seal of a closed boarding."""
    try:
        signature = urlsafe_b64decode(row.signature + "=" * (-len(row.signature) % 4))
    except ValueError:
        return SealState.BROKEN
    if not suite(key.suite).verify(key, _PURPOSE + row.summary.encode(), signature):
        return SealState.BROKEN
    return SealState.VALID if _tells(row) else SealState.MISMATCHED


def _public(name: str, text: str) -> PublicKey:
    try:
        public = load_public(text)
    except GatefleetError as error:
        raise Invalid("not a public key", cure=error.cure, pointers=[("#/public_key", error.detail)]) from error
    if key_id(public) != name:
        raise Invalid(f"this key's id is {key_id(public)}", pointers=[("#/public_key", "of another id")])
    return public


def _tells(row: Row[Any]) -> bool:
    try:
        told = from_json(row.summary)
    except ValueError:
        return False
    if not isinstance(told, dict):
        return False
    same = {"boarding": row.boarding, "cabin": row.lane, "counts": from_json(row.counts)}
    # What came with the beginning is not known where that never came.
    shown = {name: getattr(row, name) for name in ("flight", "stand", "opened_by", "closed_by")}
    same |= {name: value for name, value in shown.items() if value and name in told}
    return all(told.get(name) == value for name, value in same.items())
