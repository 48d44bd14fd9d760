"""Truth against central's records for what is not people: vehicles at the barriers, and where the buses were."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from simulators.demo.reckoning import Family, Row
from simulators.demo.tally import quantiles, tally
from simulators.site_buses import Place
from simulators.site_roads import Leg
from simulators.vehicles import Manner

_EFFECTS: Final = {
    Manner.LISTED.value: "refuse",
    Manner.FUZZY.value: "divert_secondary",
    Manner.UNREADABLE.value: "divert_secondary",
}
"""What is decided about whom; everybody else is released."""


def vehicles(
    legs: Iterable[Leg], passages: Sequence[Row], decisions: Sequence[Row], token_of: Callable[[str], str]
) -> Family:
    """Compare; `passages` and `decisions` are central's rows of vehicles, of all kinds."""
    legs = list(legs)
    passages = sorted(passages, key=lambda row: int(row["position"]))
    tokens = {one.plate: token_of(one.plate) if one.plate else "" for one in legs}
    cleared = [row for row in passages if row["kind"] == "cleared"]
    channels = [row for row in passages if row["kind"] == "channel"]
    kinds = Counter(row["kind"] for row in passages)
    return Family(
        tallies={
            "barriers": tally(
                {(one.lane, tokens[one.plate]): one.number for one in legs if one.passed},
                [(row["lane"], row["token"]) for row in cleared],
            ),
            "channels": tally(
                {(one.channel, tokens[one.plate]): one.number for one in legs if one.last},
                [(row["channel"], row["token"]) for row in channels],
            ),
        },
        wrong=sum(one.wrongly_released for one in legs) + _decided_otherwise(legs, decisions, tokens),
        told={
            "manners": dict(Counter(one.manner for one in legs)),
            "decided": dict(Counter(row["effect"] for row in decisions)),
            "fuzzy": sum(bool(row["fuzzy"]) for row in decisions),
            "anomalies": {
                "tailgate": [sum(one.followed_by for one in legs), kinds["tailgate"]],
                "wrong_way": [sum(one.wrong_way for one in legs), kinds["wrong_way"]],
                "plate_mismatch": [sum(one.mismatched for one in legs), kinds["plate_mismatch"]],
            },
            "decision_ms": quantiles(float(row["opened_ms"]) for row in cleared if row.get("opened_ms")),
        },
    )


def _decided_otherwise(legs: Sequence[Leg], decisions: Sequence[Row], tokens: dict[str, str]) -> int:
    """Count the vehicles of which central has no decision with the effect that theirs must have had."""
    made = Counter((row["lane"], row["token"], row["effect"]) for row in decisions)
    due = Counter((one.lane, tokens[one.plate], _EFFECTS.get(one.manner, "release")) for one in legs)
    return sum(max(0, count - made[key]) for key, count in due.items())


def positions(places: Iterable[Place], rows: Sequence[Row]) -> Family:
    """Compare; a position that was not confirmed may be at central or not, and `rows` are in the order of time."""
    places = list(places)
    may_be = {(one.terminal, one.at) for one in places if not one.confirmed}
    order = sorted((one for one in places if one.confirmed), key=lambda one: one.at)
    found = [(str(row["terminal"]).lstrip("0"), datetime.fromisoformat(row["taken_at"])) for row in rows]
    return Family(
        tallies={
            "confirmed": tally(
                {(one.terminal, one.at): place for place, one in enumerate(order)},
                [key for key in found if key not in may_be],
            )
        },
        told={
            "terminals": len({one.terminal for one in places}),
            "unconfirmed": len(may_be),
            "late": sum(bool(row.get("late")) for row in rows),
        },
    )
