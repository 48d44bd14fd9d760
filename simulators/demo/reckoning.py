"""Truth against central's records: who passed, once, in order."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from simulators.site import Outcome


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The comparison. `truth` and `central` count passages of released travellers."""

    truth: int
    central: int
    lost: int
    duplicated: int
    out_of_order: int
    invented: int
    wrongly_released: int
    tailgaters: int
    tailgaters_told: int
    decision_ms: Mapping[str, float]
    tickets: int
    examples: Sequence[str]
    """Up to twenty of the lost: lane, number in the lane, manner."""

    @property
    def good(self) -> bool:
        """Tell whether central knows everybody exactly once."""
        return self.truth == self.central > 0 and not (
            self.lost or self.duplicated or self.out_of_order or self.invented or self.wrongly_released
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"reconciled": self.good}


def reckon(
    outcomes: Iterable[Outcome],
    passages: Sequence[Mapping[str, Any]],
    token_of: Callable[[str], str],
    tickets: int,
) -> Reckoning:
    """Compare; `passages` are central's rows of all kinds."""
    passages = sorted(passages, key=lambda row: int(row["position"]))
    passed = {(one.lane, token_of(one.document)): one for one in outcomes if one.passed}
    numbers = {key: one.number for key, one in passed.items()}
    cleared = [row for row in passages if row["kind"] == "cleared"]
    seen = Counter((row["lane"], row["token"]) for row in cleared)
    order: dict[str, list[int]] = defaultdict(list)
    for row in cleared:
        number = numbers.get((row["lane"], row["token"]))
        if number is not None:
            order[row["lane"]].append(number)
    tailgates = [row for row in passages if row["kind"] == "tailgate"]
    return Reckoning(
        truth=len(numbers),
        central=len(cleared),
        lost=len(numbers.keys() - seen.keys()),
        duplicated=sum(count - 1 for key, count in seen.items() if key in numbers),
        out_of_order=sum(sum(b < a for a, b in pairwise(line)) for line in order.values()),
        invented=sum(count for key, count in seen.items() if key not in numbers),
        wrongly_released=sum(one.wrongly_released for one in outcomes),
        tailgaters=sum(one.followed_by for one in outcomes),
        tailgaters_told=sum(int(row["persons"]) for row in tailgates),
        decision_ms=_quantiles([float(row["opened_ms"]) for row in cleared if row.get("opened_ms")]),
        tickets=tickets,
        examples=[f"{one.lane} {one.number} {one.manner}" for key, one in passed.items() if key not in seen][:20],
    )


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    ranked = sorted(values)
    return {f"p{share}": round(ranked[min(len(ranked) - 1, len(ranked) * share // 100)], 3) for share in (50, 99)}
