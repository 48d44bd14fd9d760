"""What was true against what central has: each thing once, in its order, and nothing else."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Tally:
    """The comparison of two sets of things."""

    truth: int
    central: int
    lost: int
    duplicated: int
    out_of_order: int
    invented: int

    @property
    def good(self) -> bool:
        """Tell whether central has each exactly once, in order, and nothing else."""
        return self.truth == self.central and not (self.lost or self.duplicated or self.out_of_order or self.invented)


def tally(truth: Mapping[tuple[Hashable, Hashable], int], seen: Sequence[tuple[Hashable, Hashable]]) -> Tally:
    """Compare. Keys are (line, name); `truth` has each one's place in its line, `seen` is in the order of central."""
    counts = Counter(seen)
    order: dict[Hashable, list[int]] = defaultdict(list)
    for key in seen:
        if key in truth:
            order[key[0]].append(truth[key])
    return Tally(
        truth=len(truth),
        central=len(seen),
        lost=len(truth.keys() - counts.keys()),
        duplicated=sum(count - 1 for key, count in counts.items() if key in truth),
        out_of_order=sum(sum(later < sooner for sooner, later in pairwise(line)) for line in order.values()),
        invented=sum(count for key, count in counts.items() if key not in truth),
    )


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Return median and p99; nothing of nothing."""
    ranked = sorted(values)
    if not ranked:
        return {}
    return {f"p{share}": round(ranked[min(len(ranked) - 1, len(ranked) * share // 100)], 3) for share in (50, 99)}
