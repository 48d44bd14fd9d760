"""What would be decided: the engine of the edges, fed from central's rules and lists, without any effect.

Lists count as fresh: a verdict says nothing of how old a list was at an edge.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access.model import Principal
from central.clearance import publication_store, store
from central.clearance.identities import Identities
from central.clearance.list_model import ANY_SITE, EntryState
from central.db import Database, now
from central.errors import Conflict, Invalid, Missing
from core.clearance.engine import decide
from core.clearance.lists import ListContent, read_snapshot
from core.clearance.model import Attempt, Decision, Direction, ListEffect, ListEntry, ListInForce, RuleSet
from core.errors import GatefleetError
from core.identity.mrz import full_date
from core.identity.tokens import IdentifierRefused, TokenKind
from core.messages.signed import Signed

_CACHED_CONTENTS: Final = 16


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody at a lane. Either `token` or `identifier`; None of both is somebody without a readable document."""

    lane: str
    direction: Direction
    at: datetime
    site: str | None = None
    token: str | None = None
    identifier: str | None = None
    kind: TokenKind | None = None
    person_class: str = "other"
    document_valid: bool = True
    document_expired: bool = False
    ruleset: RuleSet | None = None
    ruleset_version: int | None = None
    list_versions: Mapping[str, int] | None = None


class Evaluation:
    """Keeps the rules of the sites, and judges what-ifs."""

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities
        self._contents: OrderedDict[tuple[str, int], ListContent] = OrderedDict()

    async def rules(self, conn: AsyncConnection, site: str, *, lock: bool = False) -> Row[Any]:
        """Return the rules in force at a site; raise Missing."""
        row = await store.current_rules(conn, site, lock=lock)
        if row is None:
            raise Missing(f"no rules for {site}")
        return row

    async def put_rules(
        self, conn: AsyncConnection, site: str, rules: RuleSet, before: Row[Any] | None, caller: Principal
    ) -> None:
        """Put rules in force; their version is larger than the one before."""
        _check_zone(rules)
        if before is not None and rules.version <= before.version:
            raise Invalid(f"version {before.version} is in force", pointers=[("#/version", "must be larger than that")])
        row = {"site": site, "version": rules.version, "rules": rules.model_dump_json(), "current": True}
        if not await store.put_rules(conn, row | {"put_at": now(), "put_by": caller.actor}):
            raise Conflict(f"{site} had a version {rules.version} before")

    async def evaluate(self, question: Question, caller: Principal) -> tuple[Decision, str]:
        """Return the decision and the token that was judged; in a transaction that only reads."""
        async with self._database.read() as conn:
            site, rules = await self._rules_for(conn, question, caller)
            attempt = self._attempt(question)
            lists = await self._lists(conn, question, attempt.tokens, site)
        decision = decide(attempt, rules, lists, question.at)
        return decision, attempt.tokens[0] if attempt.tokens else ""

    async def _rules_for(
        self, conn: AsyncConnection, question: Question, caller: Principal
    ) -> tuple[str | None, RuleSet]:
        if question.site is not None:
            caller.must_site(question.site)
        if question.ruleset is not None:
            _check_zone(question.ruleset)
            return question.site, question.ruleset
        site = question.site or await self._site_of(conn, question.lane, caller)
        if question.ruleset_version is not None:
            row = await store.rules_of(conn, site, question.ruleset_version)
            if row is None:
                raise Missing(f"{site} never had rules of version {question.ruleset_version}")
        else:
            row = await self.rules(conn, site)
        return site, RuleSet.model_validate_json(row.rules)

    async def _site_of(self, conn: AsyncConnection, lane: str, caller: Principal) -> str:
        """Return the only site of the caller's whose rules name the lane."""
        found = await store.all_current_rules(conn, None if caller.everywhere else caller.sites)
        sites: list[str] = [row.site for row in found if lane in RuleSet.model_validate_json(row.rules).lanes]
        if len(sites) != 1:
            what = "the rules of several sites name this lane" if sites else "no rules name this lane"
            raise Invalid(what, cure="give the site", pointers=[("#/site", what)])
        return sites[0]

    def _attempt(self, question: Question) -> Attempt:
        token, valid, expired = question.token or "", question.document_valid, question.document_expired
        if question.identifier is not None:
            try:
                known = self._identities.known(question.identifier, question.kind)
            except IdentifierRefused:
                token = ""
            else:
                token = "" if known.problem else known.token
                expired = expired or _is_past(known.expiry, question.at)
        return Attempt(
            lane=question.lane,
            direction=question.direction,
            tokens=(token,) if token else (),
            person_class=question.person_class,
            document_valid=valid and bool(token),
            document_expired=expired,
        )

    async def _lists(
        self, conn: AsyncConnection, question: Question, tokens: Sequence[str], site: str | None
    ) -> Sequence[ListInForce]:
        if question.list_versions is not None:
            wanted = sorted(question.list_versions.items())
            return [(await self._content(conn, *one)).in_force(question.at) for one in wanted]
        against: dict[str, dict[str, tuple[ListEntry, ...]]] = {}
        for row in await store.entries_against(conn, tokens, EntryState.ACTIVE):
            entry = ListEntry(row.id, row.valid_from, row.valid_to, row.person_class)
            hits = against.setdefault(row.list_id, {})
            hits[row.token] = (*hits.get(row.token, ()), entry)
        return [
            ListInForce(
                one.id, one.content_version, ListEffect(one.effect), one.priority, question.at, against.get(one.id, {})
            )
            for one in await store.every_list(conn)
            if {ANY_SITE, site} & set(one.sites)
        ]

    async def _content(self, conn: AsyncConnection, list_id: str, version: int) -> ListContent:
        key = (list_id, version)
        if key not in self._contents:
            row = await publication_store.snapshot(conn, list_id, version)
            if row is None:
                raise Missing(f"version {version} of {list_id} is not kept")
            self._contents[key] = read_snapshot(Signed.read(row.content, "snapshot").body)
            if len(self._contents) > _CACHED_CONTENTS:
                self._contents.popitem(last=False)
        self._contents.move_to_end(key)
        return self._contents[key]


def _is_past(expiry: str, at: datetime) -> bool:
    if len(expiry) != 6:
        return False
    try:
        return full_date(expiry, at.date(), "expiry") < at.date()
    except GatefleetError:
        return True


def _check_zone(rules: RuleSet) -> None:
    try:
        ZoneInfo(rules.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid("no such time zone", pointers=[("#/timezone", "an IANA name such as Asia/Shanghai")]) from error
