"""The lists and what stands on them.

Promises:
1. On a list with the two-person rule nothing comes into force that one person alone wanted; refuse lists have the rule.
2. A natural identifier is never stored: only its keyed token, and where asked an envelope that the seal key opens.
3. An entry moves only as TRANSITIONS says; each move is a row of the audit, in the same transaction, and an approval's
   row has both names. A refused approval is written down as well, right after the request.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import Principal
from central.clearance import list_store as store
from central.clearance.identities import Identities
from central.clearance.list_model import TRANSITIONS, EntryState, EntryVerb
from central.db import Database, after_commit, new_id, now
from central.errors import ApiError, Conflict, Forbidden, Invalid, Missing
from core.clearance.model import ListEffect
from core.identity.tokens import IdentifierRefused, TokenKind

_log = structlog.get_logger(__name__)

SYSTEM = Principal("", "system", frozenset(), frozenset({"*"}))
_EXPIRE_AT_ONCE = 1_000


class TwoPersonRule(Forbidden):
    """Whoever asked for an entry does not approve it."""

    code = "two-person-rule"


class EntryStateForbids(Conflict):
    """The entry's state does not allow this move."""

    code = "entry_state"


@dataclass(frozen=True, slots=True)
class NewList:
    """A list to be."""

    list_id: str
    effect: ListEffect
    priority: int
    owner_org: str
    two_person_rule: bool
    sites: Sequence[str]


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be. `identifier` is seen here once."""

    identifier: str
    kind: TokenKind | None
    keep_sealed: bool
    draft: bool
    facts: Mapping[str, Any]
    """The columns that are stored as they come."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item of a bulk."""

    index: int
    entry: str | None
    state: str | None
    error: ApiError | None = None


class Lists:
    """Keeps lists and moves entries. `changed` is called after a commit that changed what the edges shall have."""

    def __init__(self, database: Database, identities: Identities, changed: Callable[[], None]) -> None:
        self._database = database
        self._identities = identities
        self._changed = changed
        self._refused: deque[dict[str, Any]] = deque(maxlen=10_000)

    async def create(self, conn: AsyncConnection, new: NewList, caller: Principal) -> Row[Any]:
        """Make a list; raise Conflict where its id is taken."""
        if new.effect is ListEffect.REFUSE and not new.two_person_rule:
            raise Invalid("a refuse list has the two-person rule", pointers=[("#/two_person_rule", "must be true")])
        moment = now()
        row = {
            "id": new.list_id,
            "effect": new.effect.value,
            "priority": new.priority,
            "owner_org": new.owner_org,
            "two_person_rule": new.two_person_rule,
            "sites": sorted(set(new.sites)),
            "content_version": 0,
            "content_entries": 0,
            "changes": 1,
            "built_changes": 0,
            "created_at": moment,
            "created_by": caller.actor,
            "updated_at": moment,
            "updated_by": caller.actor,
            "version": 1,
        }
        if not await store.add_list(conn, row):
            raise Conflict(f"there is a list {new.list_id}")
        await store.note(conn, [_audit(new.list_id, None, "create", caller)])
        after_commit(conn, self._changed)
        return await self.get(conn, new.list_id)

    async def get(self, conn: AsyncConnection, list_id: str, *, lock: bool = False) -> Row[Any]:
        """Return a list; raise Missing."""
        row = await store.list_by_id(conn, list_id, lock=lock)
        if row is None:
            raise Missing(f"no list {list_id}")
        return row

    async def change(
        self, conn: AsyncConnection, row: Row[Any], values: Mapping[str, Any], caller: Principal
    ) -> Row[Any]:
        """Change a list. The two-person rule can be laid on it, never be taken off."""
        if row.two_person_rule and values.get("two_person_rule") is False:
            raise Invalid("the two-person rule stays", pointers=[("#/two_person_rule", "cannot be taken off")])
        await store.content_changed(conn, row.id)
        await store.announce_again(conn)
        await store.note(conn, [_audit(row.id, None, "change", caller, detail=str(sorted(values)))])
        after_commit(conn, self._changed)
        return await store.change_list(conn, row.id, {**values, "updated_at": now(), "updated_by": caller.actor})

    async def add(
        self, conn: AsyncConnection, row: Row[Any], items: Sequence[NewEntry], caller: Principal, *, dry_run: bool
    ) -> Sequence[ItemResult]:
        """Add entries, each for itself: one that cannot be is told, and stops no other."""
        results: list[ItemResult] = []
        made: list[dict[str, Any]] = []
        since = await self._count_change(conn, row) if not dry_run and _come_into_force(row, items) else None
        for index, item in enumerate(items):
            try:
                entry = self._entry(row, item, caller, since)
            except ApiError as error:
                results.append(ItemResult(index, None, None, error))
            else:
                made.append(entry)
                results.append(ItemResult(index, None if dry_run else entry["id"], entry["state"]))
        if not dry_run:
            await store.add_entries(conn, made)
            await store.note(conn, [_audit(row.id, one["id"], "request", caller, by=caller.actor) for one in made])
        return results

    def _entry(self, row: Row[Any], item: NewEntry, caller: Principal, since: int | None) -> dict[str, Any]:
        try:
            known = self._identities.known(item.identifier, item.kind)
        except IdentifierRefused as error:
            raise Invalid("it is no identifier", pointers=[("#/identifier", "of no kind that is known")]) from error
        if known.problem:
            raise Invalid("it is misread", pointers=[("#/identifier", "a check digit or date in it is wrong")])
        moment, entry = now(), new_id()
        sealed, seal_key = self._identities.seal(known.natural, entry) if item.keep_sealed else (None, None)
        state = _first_state(row, item)
        approved = state is EntryState.ACTIVE
        return {
            "id": entry,
            "list_id": row.id,
            "token": known.token,
            "token_kind": known.kind.value,
            "state": state.value,
            **item.facts,
            "sealed": sealed,
            "seal_key": seal_key,
            "requested_by": caller.actor,
            "requested_key": caller.key_id,
            "requested_at": moment,
            "approved_by": None,
            "approved_at": moment if approved else None,
            "ended_at": None,
            "since_change": since if approved else None,
            "first_version": None,
            "updated_at": moment,
            "updated_by": caller.actor,
            "version": 1,
        }

    async def entry(self, conn: AsyncConnection, row: Row[Any], entry: str, *, lock: bool = False) -> Row[Any]:
        """Return an entry of a list; raise Missing."""
        found = await store.entries_by_id(conn, row.id, [entry], lock=lock)
        if entry not in found:
            raise Missing(f"no entry {entry} on {row.id}")
        return found[entry]

    async def move(
        self, conn: AsyncConnection, row: Row[Any], entry: Row[Any], verb: EntryVerb, caller: Principal, *, reason: str
    ) -> Row[Any]:
        """Move an entry; raise EntryStateForbids or TwoPersonRule."""
        starts, target = TRANSITIONS[verb]
        was = EntryState(entry.state)
        if was not in starts:
            raise EntryStateForbids(f"it is {was}", cure=f"{verb} needs it to be {' or '.join(sorted(starts))}")
        moment = now()
        values: dict[str, Any] = {"state": target.value, "updated_at": moment, "updated_by": caller.actor}
        match verb:
            case EntryVerb.SUBMIT:
                values |= {"requested_by": caller.actor, "requested_key": caller.key_id, "requested_at": moment}
            case EntryVerb.APPROVE:
                self._must_be_another(row, entry, caller)
                values |= {"approved_by": caller.actor, "approved_at": moment, "ended_at": None}
                values |= {"since_change": await self._count_change(conn, row), "first_version": None}
            case _ if was is EntryState.ACTIVE:
                values["ended_at"] = moment
                await self._count_change(conn, row)
        names = {"by": values.get("requested_by", entry.requested_by), "reason": reason}
        await store.note(conn, [_audit(row.id, entry.id, verb.value, caller, **names)])
        return await store.change_entry(conn, entry.id, values)

    async def move_many(
        self,
        conn: AsyncConnection,
        row: Row[Any],
        ids: Sequence[str],
        verb: EntryVerb,
        caller: Principal,
        *,
        reason: str,
    ) -> Sequence[ItemResult]:
        """Move entries, each for itself; the rules are those of a single one."""
        found = await store.entries_by_id(conn, row.id, ids, lock=True)
        results: list[ItemResult] = []
        for index, entry in enumerate(ids):
            try:
                if entry not in found:
                    raise Missing(f"no entry {entry} on {row.id}")
                found[entry] = await self.move(conn, row, found[entry], verb, caller, reason=reason)
            except ApiError as error:
                state = found[entry].state if entry in found else None
                results.append(ItemResult(index, entry, state, error))
            else:
                results.append(ItemResult(index, entry, found[entry].state))
        return results

    async def reveal(
        self, conn: AsyncConnection, row: Row[Any], entry: Row[Any], caller: Principal, *, purpose: str
    ) -> str:
        """Return the identifier of an entry out of its envelope; the audit gets the purpose."""
        if entry.sealed is None:
            raise Missing("this entry keeps no envelope")
        await store.note(conn, [_audit(row.id, entry.id, "reveal", caller, by=entry.requested_by, reason=purpose)])
        return self._identities.opened(entry.sealed, entry.id, entry.seal_key)

    async def expire(self, at: datetime) -> int:
        """Move entries that are past their time; return how many."""
        async with self._database.read() as conn:
            if not await store.past_their_time(conn, at, 1):
                return 0
        async with self._database.begin() as conn:
            past = await store.past_their_time(conn, at, _EXPIRE_AT_ONCE)
            for list_id in sorted({one.list_id for one in past}):
                row = await self.get(conn, list_id, lock=True)
                ids = [one.id for one in past if one.list_id == list_id]
                await self.move_many(conn, row, ids, EntryVerb.EXPIRE, SYSTEM, reason="past valid_to")
        return len(past)

    async def tidy(self, at: datetime) -> None:
        """Expire what is past its time, and write what is owed to the audit (a sweep calls this)."""
        await self.expire(at)
        await self._write_refused()

    async def _write_refused(self) -> None:
        """Write the audit rows of refused approvals: their own transaction was rolled back."""
        owed = list(self._refused)
        if owed:
            async with self._database.begin() as conn:
                await store.note(conn, owed)
            for _ in owed:
                self._refused.popleft()

    def _must_be_another(self, row: Row[Any], entry: Row[Any], caller: Principal) -> None:
        same = entry.requested_by.casefold() == caller.actor.casefold() or entry.requested_key == caller.key_id
        if row.two_person_rule and same:
            _log.warning("lists.two_person_refused", list=row.id, entry=entry.id, actor=caller.actor)
            refused = _audit(row.id, entry.id, "approve", caller, by=entry.requested_by)
            self._refused.append(refused | {"outcome": TwoPersonRule.code})
            self._changed()
            raise TwoPersonRule(f"{entry.requested_by} asked for this entry", cure="somebody else approves it")

    async def _count_change(self, conn: AsyncConnection, row: Row[Any]) -> int:
        after_commit(conn, self._changed)
        return await store.content_changed(conn, row.id)


def _first_state(row: Row[Any], item: NewEntry) -> EntryState:
    if item.draft:
        return EntryState.DRAFT
    return EntryState.PENDING if row.two_person_rule else EntryState.ACTIVE


def _come_into_force(row: Row[Any], items: Sequence[NewEntry]) -> bool:
    return any(_first_state(row, item) is EntryState.ACTIVE for item in items)


def _audit(
    list_id: str,
    entry: str | None,
    action: str,
    caller: Principal,
    *,
    by: str | None = None,
    reason: str = "",
    detail: str = "",
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "at": now(),
        "list_id": list_id,
        "entry": entry,
        "action": action,
        "outcome": "done",
        "actor": caller.actor,
        "key_id": caller.key_id,
        "requested_by": by,
        "reason": reason,
        "detail": detail,
    }
