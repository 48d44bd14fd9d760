"""Truth against central's records: who passed, once, in order; people, vehicles, and where the buses were."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from simulators.demo.tally import Tally, quantiles, tally
from simulators.site import Outcome

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The comparison. `people` are passages of released travellers; `more` are the other families, by name."""

    people: Tally
    wrongly_released: int
    tailgaters: int
    tailgaters_told: int
    decision_ms: Mapping[str, float]
    tickets: int
    examples: Sequence[str]
    """Up to twenty of the lost: lane, number in the lane, manner."""
    more: Mapping[str, "Family"] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Tell whether central knows everybody and everything exactly once."""
        people = self.people.good and self.people.truth > 0 and not self.wrongly_released
        return people and all(family.good for family in self.more.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values; what is said of people stands at the top."""
        told: dict[str, Any] = asdict(self)
        people: dict[str, Any] = told.pop("people")
        del told["more"]
        families = {name: family.as_dict() for name, family in self.more.items()}
        return people | told | families | {"reconciled": self.good}


@dataclass(frozen=True, slots=True)
class Family:
    """One family beside the people: what is compared, and what is told besides."""

    tallies: Mapping[str, Tally]
    wrong: int = 0
    """Of what must not be at all, such as a release of somebody who is listed."""
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Tell whether all is as it was; a family of which nothing was true has shown nothing."""
        return not self.wrong and all(one.good and one.truth > 0 for one in self.tallies.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: asdict(one) for name, one in self.tallies.items()} | {"wrong": self.wrong} | dict(self.told)


def reckon(
    outcomes: Iterable[Outcome],
    passages: Sequence[Row],
    token_of: Callable[[str], str],
    tickets: int,
    more: Mapping[str, Family] | None = None,
) -> Reckoning:
    """Compare; `passages` are central's rows of all kinds."""
    outcomes = list(outcomes)
    passages = sorted(passages, key=lambda row: int(row["position"]))
    passed = {(one.lane, token_of(one.document)): one for one in outcomes if one.passed}
    cleared = [row for row in passages if row["kind"] == "cleared"]
    seen = [(row["lane"], row["token"]) for row in cleared]
    tailgates = [row for row in passages if row["kind"] == "tailgate"]
    lost = passed.keys() - set(seen)
    return Reckoning(
        people=tally({key: one.number for key, one in passed.items()}, seen),
        wrongly_released=sum(one.wrongly_released for one in outcomes),
        tailgaters=sum(one.followed_by for one in outcomes),
        tailgaters_told=sum(int(row["persons"]) for row in tailgates),
        decision_ms=quantiles(float(row["opened_ms"]) for row in cleared if row.get("opened_ms")),
        tickets=tickets,
        examples=[f"{one.lane} {one.number} {one.manner}" for key, one in passed.items() if key in lost][:20],
        more=more or {},
    )
