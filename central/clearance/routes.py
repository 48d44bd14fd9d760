"""/v1/passages, /v1/decisions, /v1/review-items, /v1/sites/{site}/ruleset, /v1/clearance:evaluate."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from central.access.model import Principal
from central.access.routes import require
from central.clearance import store
from central.clearance.evaluation import Evaluation
from central.clearance.model import decisions, passages, reviews
from central.clearance.schemas import (
    DecisionOut,
    DecisionQuery,
    EvaluateIn,
    EvaluateOut,
    PassageOut,
    PassageQuery,
    ReviewOut,
    RulesOut,
    SummaryLine,
    SummaryOut,
    SummaryQuery,
)
from central.conditional import IfMatch, set_etag
from central.errors import Invalid
from central.http import router
from central.pages import Page, PageQuery, paged
from central.unit import Conn
from core.clearance.model import RuleSet

_MAX_VERSION = (1 << 31) - 1
_Reader = Annotated[Principal, require("passages:read")]
_Site = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


def routes(evaluation: Evaluation) -> APIRouter:
    """Return the routes of what happened, and of the rules."""
    made = router("/v1", "clearance")
    _records(made)
    _rules(made, evaluation)
    return made


def _records(made: APIRouter) -> None:
    @made.get("/passages")
    async def every_passage(caller: _Reader, conn: Conn, args: PageQuery, asked: PassageQuery) -> Page[PassageOut]:
        """List what happened at the lanes, what was stored last first."""
        query = store.matching(passages, asked.wanted(caller))
        rows, cursor = await paged(conn, query, store.PASSAGE_ORDER, args, descending=True)
        return Page(items=[PassageOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/passages:summary")
    async def summary(caller: _Reader, conn: Conn, asked: SummaryQuery) -> SummaryOut:
        """Count passages and persons by lane, kind and direction."""
        rows = await store.summary(conn, asked.wanted(caller))
        return SummaryOut(lines=[SummaryLine.model_validate(dict(row._mapping)) for row in rows])  # noqa: SLF001

    @made.get("/decisions")
    async def every_decision(caller: _Reader, conn: Conn, args: PageQuery, asked: DecisionQuery) -> Page[DecisionOut]:
        """List decisions, what was stored last first."""
        query = store.matching(decisions, asked.wanted(caller))
        rows, cursor = await paged(conn, query, store.DECISION_ORDER, args, descending=True)
        return Page(items=[DecisionOut.of(row) for row in rows], next_cursor=cursor)

    @made.get("/review-items")
    async def every_review(caller: _Reader, conn: Conn, args: PageQuery) -> Page[ReviewOut]:
        """List what a person must look at, newest first."""
        query = store.all_reviews(None if caller.everywhere else caller.sites)
        rows, cursor = await paged(conn, query, [reviews.c.id], args, descending=True)
        return Page(items=[ReviewOut.of(row) for row in rows], next_cursor=cursor)


def _rules(made: APIRouter, evaluation: Evaluation) -> None:
    @made.get("/sites/{site}/ruleset")
    async def rules(
        site: _Site, caller: Annotated[Principal, require("rules:read")], conn: Conn, response: Response
    ) -> RulesOut:
        """Return the rules in force at a site."""
        caller.must_site(site)
        row = await evaluation.rules(conn, site)
        set_etag(response, row.version)
        return RulesOut.of(row)

    @made.put("/sites/{site}/ruleset")
    async def put_rules(
        *,
        site: _Site,
        body: RuleSet,
        caller: Annotated[Principal, require("rules:write")],
        match: IfMatch,
        conn: Conn,
        response: Response,
    ) -> RulesOut:
        """Put rules in force. The first ones of a site take If-Match "0"."""
        caller.must_site(site)
        if body.version > _MAX_VERSION:
            raise Invalid("too large a version", pointers=[("#/version", f"at most {_MAX_VERSION}")])
        before = await store.current_rules(conn, site, lock=True)
        match.check(before.version if before is not None else 0)
        await evaluation.put_rules(conn, site, body, before, caller)
        row = await evaluation.rules(conn, site)
        set_etag(response, row.version)
        return RulesOut.of(row)

    @made.post("/clearance:evaluate")
    async def evaluate(body: EvaluateIn, caller: Annotated[Principal, require("clearance:evaluate")]) -> EvaluateOut:
        """Tell what would be decided, by the engine of the edges; nothing is changed."""
        return EvaluateOut.of(*await evaluation.evaluate(body.question(), caller))
