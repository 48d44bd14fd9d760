"""API keys: made once, shown once, kept as a hash.

Promises:
1. The secret is 256 random bits; only its SHA-256 is stored, so that a copy of the database opens nothing.
2. A key that is revoked, past its time or outside its networks is no key. In this process that holds at once; another
   worker learns of a revocation within CACHE_S.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import store
from central.access.model import SCOPES, Principal
from central.db import Database, after_commit, new_id, now
from central.errors import Invalid, Missing, Unauthenticated

CACHE_S: Final = 5.0
_CACHED_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key shall be able to do. Empty `networks`: from anywhere."""

    name: str
    scopes: Sequence[str]
    sites: Sequence[str]
    networks: Sequence[str] = ()
    expires_at: datetime | None = None


class Access:
    """Makes, checks and revokes API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[str, tuple[float, Row[Any] | None]] = {}
        self._used: dict[str, datetime] = {}

    async def create(self, conn: AsyncConnection, new: NewKey, by: str) -> tuple[str, str]:
        """Add a key; return its id and the key itself, which is never seen again."""
        _check(new)
        key_id, prefix, secret = new_id(), secrets.token_hex(5), secrets.token_urlsafe(32)
        row = {
            "id": key_id,
            "prefix": prefix,
            "hash": _hash(secret),
            "name": new.name,
            "scopes": sorted(set(new.scopes)),
            "sites": sorted(set(new.sites)),
            "networks": list(new.networks),
            "created_at": now(),
            "created_by": by,
            "expires_at": new.expires_at,
            "version": 1,
        }
        await store.add(conn, row)
        return key_id, f"gf_{prefix}_{secret}"

    async def change(self, conn: AsyncConnection, row: Row[Any], new: NewKey) -> None:
        """Change what a key may do."""
        _check(new)
        values: dict[str, Any] = {"name": new.name, "networks": list(new.networks), "expires_at": new.expires_at}
        values |= {"scopes": sorted(set(new.scopes)), "sites": sorted(set(new.sites))}
        await store.change(conn, row.id, values)
        after_commit(conn, lambda: self._forget(row.prefix))

    async def revoke(self, conn: AsyncConnection, row: Row[Any]) -> None:
        """End a key now; its row stays for the audit."""
        if row.revoked_at is None:
            await store.change(conn, row.id, {"revoked_at": now()})
        after_commit(conn, lambda: self._forget(row.prefix))

    async def get(self, conn: AsyncConnection, key_id: str, *, lock: bool = False) -> Row[Any]:
        """Return a key's row; raise Missing."""
        row = await store.by_id(conn, key_id, lock=lock)
        if row is None:
            raise Missing(f"no key {key_id}")
        return row

    async def authenticate(self, key: str, address: str | None) -> Principal:
        """Return who bears a key; raise Unauthenticated."""
        parts = key.split("_", 2)
        if len(parts) != 3 or parts[0] != "gf" or not 1 <= len(parts[1]) <= 16 or len(parts[2]) > 64:
            raise Unauthenticated("not an API key of gatefleet", cure="send Authorization: Bearer gf_...")
        row = await self._row(parts[1])
        moment = now()
        if (
            row is None
            or not hmac.compare_digest(row.hash, _hash(parts[2]))
            or row.revoked_at is not None
            or (row.expires_at is not None and row.expires_at <= moment)
            or not _inside(address, row.networks)
        ):
            raise Unauthenticated("this key is not valid here and now")
        self._used[row.id] = moment
        return Principal(row.id, row.name, frozenset(row.scopes), frozenset(row.sites))

    async def note_used(self) -> None:
        """Write down when keys were last used (a sweep calls this)."""
        used, self._used = self._used, {}
        if used:
            async with self._database.begin() as conn:
                await store.note_used(conn, used)

    async def _row(self, prefix: str) -> Row[Any] | None:
        until, row = self._cache.get(prefix, (0.0, None))
        if until < time.monotonic():
            async with self._database.read() as conn:
                row = await store.by_prefix(conn, prefix)
            if len(self._cache) >= _CACHED_KEYS:
                self._cache.clear()
            self._cache[prefix] = (time.monotonic() + CACHE_S, row)
        return row

    def _forget(self, prefix: str) -> None:
        self._cache.pop(prefix, None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _inside(address: str | None, networks: Sequence[str]) -> bool:
    if not networks:
        return True
    try:
        return address is not None and any(ip_address(address) in ip_network(one) for one in networks)
    except ValueError:
        return False


def _check(new: NewKey) -> None:
    wrong = [("#/scopes", f"no scope {one!r}") for one in new.scopes if one not in SCOPES]
    if not new.scopes:
        wrong.append(("#/scopes", "at least one"))
    if not new.sites:
        wrong.append(("#/sites", "at least one, or * for all"))
    if new.expires_at is not None and new.expires_at.tzinfo is None:
        wrong.append(("#/expires_at", "needs a time zone"))
    for one in new.networks:
        try:
            ip_network(one)
        except ValueError as error:
            wrong.append(("#/networks", str(error)))
    if wrong:
        raise Invalid(f"{len(wrong)} mistakes in the key", pointers=wrong)
