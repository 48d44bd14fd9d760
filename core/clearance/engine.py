"""The decision: the same inputs give the same outcome, at the edge and at the centre.

Grounds are weighed in this order, and the first that speaks decides:

    1  lane unknown, shut by its hours, or used in a direction it does not serve    refuse
    2  an exact hit on a refuse list, however old the list                           refuse
    3  a document that is wrong or past its date                                     divert_secondary
    4  a needed list missing or past its maximum age                                 the lane's `when_stale`
    5  the hit of the list with the smallest priority number                         that list's effect
       (a near hit, of what may have been shown instead: never refuses nor releases)  divert_secondary
    6  a person class that the lane does not serve                                   refuse
    7  nothing of the above                                                          the lane's `default`

Hits of silent and informing lists never decide; they ride along as alerts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from core.clearance.model import (
    Attempt,
    Decision,
    Effect,
    Hours,
    LaneRules,
    ListEffect,
    ListEntry,
    ListInForce,
    Reason,
    ReasonCode,
    RuleSet,
    StalePolicy,
)

_GATE_EFFECTS: Final = {
    ListEffect.REFUSE: Effect.REFUSE,
    ListEffect.DIVERT_SECONDARY: Effect.DIVERT_SECONDARY,
    ListEffect.RELEASE_FAST: Effect.RELEASE,
}
_SEVERITY: Final = {ListEffect.REFUSE: 0, ListEffect.DIVERT_SECONDARY: 1, ListEffect.RELEASE_FAST: 2}
_STALE: Final = {StalePolicy.REFUSE: Effect.REFUSE, StalePolicy.DIVERT: Effect.DIVERT_SECONDARY}

_NEAR: Final = {ListEffect.REFUSE: ListEffect.DIVERT_SECONDARY, ListEffect.RELEASE_FAST: ListEffect.INFO}


@dataclass(frozen=True, slots=True)
class _Hit:
    list: ListInForce
    entry: ListEntry
    near: bool = False

    @property
    def effect(self) -> ListEffect:
        return _NEAR.get(self.list.effect, self.list.effect) if self.near else self.list.effect


_Verdict = tuple[Effect, tuple[Reason, ...]]


@dataclass(frozen=True, slots=True)
class _Case:
    attempt: Attempt
    rules: LaneRules
    hits: Sequence[_Hit]
    unfit: tuple[Reason, ...]
    open: bool


def decide(attempt: Attempt, ruleset: RuleSet, lists: Sequence[ListInForce], now: datetime) -> Decision:
    """Judge an attempt at the moment `now` (UTC, aware)."""
    hits = sorted(_hits(attempt, lists, now), key=lambda hit: (hit.list.priority, _SEVERITY.get(hit.effect, 9)))
    gate_hits = [hit for hit in hits if hit.effect in _GATE_EFFECTS]
    rules = ruleset.lanes.get(attempt.lane)
    if rules is None:
        verdict = _one(ReasonCode.LANE_CLOSED, "lane.unknown", Effect.REFUSE, "the rules do not name this lane")
    else:
        unfit = tuple(_unfit(rules, lists, now))
        case = _Case(attempt, rules, gate_hits, unfit, is_open(rules.hours, now, ruleset.timezone))
        verdict = next(found for ground in _GROUNDS if (found := ground(case)))
    effect, reasons = verdict
    return Decision(
        effect=effect,
        reasons=reasons,
        ruleset_version=ruleset.version,
        list_versions={one.list_id: one.version for one in lists},
        alerts=tuple(_hit_reason(hit) for hit in hits if hit.effect not in _GATE_EFFECTS),
    )


def _wrong_direction(case: _Case) -> _Verdict | None:
    if case.attempt.direction in case.rules.directions:
        return None
    return _one(ReasonCode.WRONG_DIRECTION, "lane.direction", Effect.REFUSE, case.attempt.direction)


def _closed(case: _Case) -> _Verdict | None:
    return None if case.open else _one(ReasonCode.LANE_CLOSED, "lane.hours", Effect.REFUSE)


def _refuse_hit(case: _Case) -> _Verdict | None:
    refusing = tuple(_hit_reason(hit) for hit in case.hits if hit.effect is ListEffect.REFUSE)
    return (Effect.REFUSE, refusing) if refusing else None


def _bad_document(case: _Case) -> _Verdict | None:
    if not case.attempt.document_valid:
        return _one(ReasonCode.DOCUMENT_INVALID, "document.valid", Effect.DIVERT_SECONDARY)
    if case.attempt.document_expired:
        return _one(ReasonCode.DOCUMENT_EXPIRED, "document.date", Effect.DIVERT_SECONDARY)
    return None


def _unfit_list(case: _Case) -> _Verdict | None:
    if not case.unfit or case.rules.when_stale is StalePolicy.RELEASE:
        return None
    return _STALE[case.rules.when_stale], case.unfit


def _first_hit(case: _Case) -> _Verdict | None:
    if not case.hits:
        return None
    return _GATE_EFFECTS[case.hits[0].effect], (*(_hit_reason(hit) for hit in case.hits), *case.unfit)


def _wrong_class(case: _Case) -> _Verdict | None:
    if not case.rules.person_classes or case.attempt.person_class in case.rules.person_classes:
        return None
    return _one(ReasonCode.CLASS_NOT_ALLOWED, "lane.classes", Effect.REFUSE, case.attempt.person_class)


def _default(case: _Case) -> _Verdict:
    effect, reasons = _one(ReasonCode.DEFAULT, "lane.default", case.rules.default)
    return effect, (*reasons, *case.unfit)


_GROUNDS: Final[tuple[Callable[[_Case], _Verdict | None], ...]] = (
    _wrong_direction,
    _closed,
    _refuse_hit,
    _bad_document,
    _unfit_list,
    _first_hit,
    _wrong_class,
    _default,
)


def is_open(hours: Sequence[Hours], now: datetime, timezone: str) -> bool:
    """Tell whether a lane serves at `now`. No hours: always. An end at or before its start is the next day's."""
    if not hours:
        return True
    local = now.astimezone(_zone(timezone))
    clock, today = local.time().replace(tzinfo=None), local.isoweekday()
    yesterday = 7 if today == 1 else today - 1
    for span in hours:
        overnight = span.until <= span.opens
        if today in span.weekdays and clock >= span.opens and (overnight or clock < span.until):
            return True
        if overnight and yesterday in span.weekdays and clock < span.until:
            return True
    return False


def _hits(attempt: Attempt, lists: Sequence[ListInForce], now: datetime) -> Iterator[_Hit]:
    for one in lists:
        for tokens, near in ((attempt.tokens, False), (attempt.near_tokens, True)):
            for token in tokens:
                for entry in one.entries.get(token) or ():
                    begun = entry.valid_from is None or entry.valid_from <= now
                    over = entry.valid_to is not None and entry.valid_to <= now
                    if begun and not over:
                        yield _Hit(one, entry, near)


def _unfit(rules: LaneRules, lists: Sequence[ListInForce], now: datetime) -> Iterator[Reason]:
    here = {one.list_id: one for one in lists}
    for list_id in rules.lists:
        one = here.get(list_id)
        if one is None:
            yield Reason(
                code=ReasonCode.LIST_MISSING, rule_id="lane.lists", effect=rules.when_stale.value, list_id=list_id
            )
        elif (now - one.confirmed_at).total_seconds() > rules.list_max_age_s:
            yield Reason(
                code=ReasonCode.LIST_STALE,
                rule_id="lane.list_max_age_s",
                effect=rules.when_stale.value,
                list_id=list_id,
                list_version=one.version,
            )


def _hit_reason(hit: _Hit) -> Reason:
    return Reason(
        code=ReasonCode.LIST_HIT,
        rule_id=f"list.fuzzy.{hit.list.effect.value}" if hit.near else f"list.{hit.list.effect.value}",
        effect=hit.effect.value,
        list_id=hit.list.list_id,
        entry_id=hit.entry.entry_id,
        list_version=hit.list.version,
    )


def _one(code: ReasonCode, rule_id: str, effect: Effect, detail: str = "") -> _Verdict:
    return effect, (Reason(code=code, rule_id=rule_id, effect=effect.value, detail=detail),)


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
