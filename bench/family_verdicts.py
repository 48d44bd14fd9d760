"""What the other families felt while one was sick.

A sample counts by how many times it is its own family's p99 in all good windows of the run, so that fast families
weigh as much as slow ones. What moved is the p99 of these over all other families, in the windows of all faults and
rounds, held against the good windows before and after each. How far as many good windows move against theirs is the
noise of the machine: a single fault's figure is within it. What did not come within two seconds counts as two seconds;
a family that was sick is no witness until it has been well for a while.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.family_load import LOST_MS
from bench.figures import quantile
from bench.lone import Sample

MOST: Final = 1.2
"""So many times what it was may the others' p99 become."""

Samples = Mapping[str, Sequence[Sample]]
"""By family."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time; `sick` is empty where all are well. `unwell` are no witnesses: they were sick lately."""

    began_s: float
    ended_s: float
    sick: str = ""
    fault: str = ""
    unwell: frozenset[str] = frozenset()

    def of(self, samples: Sequence[Sample]) -> list[float]:
        """Return how long what began in it took, in ms."""
        return [min(one.took_ms, LOST_MS) for one in samples if self.began_s <= one.began_s < self.ended_s]


def scales(samples: Samples, windows: Sequence[Window], grace_ms: float, share: float = 0.99) -> dict[str, float]:
    """Return the p99, or another share, of each family in the good windows in which it is a witness, in ms."""
    return {
        name: quantile([took for window in good(windows, name) for took in window.of(some)], share) + grace_ms
        for name, some in samples.items()
    }


def good(windows: Sequence[Window], name: str) -> list[Window]:
    """Return the windows in which all are well, and one has been long enough to be a witness."""
    return [one for one in windows if not one.sick and name not in one.unwell]


def others(
    samples: Samples, windows: Sequence[Window], scale: Mapping[str, float], without: frozenset[str]
) -> list[float]:
    """Return how long what began in some windows took, in its family's p99, of all families but some."""
    return [
        took / scale[name]
        for name, some in samples.items()
        for window in windows
        if name not in without
        for took in window.of(some)
    ]


def p99(samples: Samples, windows: Sequence[Window], scale: Mapping[str, float], without: frozenset[str]) -> float:
    """Return the p99 of that."""
    return quantile(others(samples, windows, scale, without), 0.99)


@dataclass(frozen=True, slots=True)
class Beside:
    """What took how long of the others, in their p99: in one window, and in the good ones before and after."""

    now: Sequence[float]
    near: Sequence[float]


def moved(pairs: Sequence[Beside], share: float = 0.99) -> float:
    """Return how many times a share of the others was the good one, all these windows together."""
    now = [took for pair in pairs for took in pair.now]
    near = [took for pair in pairs for took in pair.near]
    return quantile(now, share) / quantile(near, share)


@dataclass(slots=True)
class Judged:
    """Each window held against its good neighbours: by family and fault, and the good ones."""

    sick: defaultdict[tuple[str, str], list[Beside]] = field(default_factory=lambda: defaultdict(list))
    well: list[Beside] = field(default_factory=list)

    def all_sick(self) -> list[Beside]:
        """Return all windows in which one was sick."""
        return [pair for pairs in self.sick.values() for pair in pairs]

    def noise(self, rounds: int) -> float:
        """Return how far so many good windows move together: the 95th percentile, 0.1 for a tenth."""
        groups = max(1, len(self.well) // rounds)
        return quantile([abs(moved(self.well[at::groups]) - 1) for at in range(groups)], 0.95)


def judged(samples: Samples, windows: Sequence[Window]) -> Judged:
    """Hold each window against its good neighbours; one that has not both, or no sample, says nothing."""
    scale, found = scales(samples, windows, 0.0), Judged()
    for number, window in enumerate(windows):
        before = next((one for one in reversed(windows[:number]) if not one.sick), None)
        after = next((one for one in windows[number + 1 :] if not one.sick), None)
        if before is None or after is None:
            continue
        without = window.unwell | before.unwell | after.unwell
        now, near = (others(samples, some, scale, without) for some in ([window], [before, after]))
        if now and near:
            (found.sick[window.sick, window.fault] if window.sick else found.well).append(Beside(now, near))
    return found


def hurt_by(samples: Samples, windows: Sequence[Window], name: str, since_s: float, grace_ms: float) -> float:
    """Return how many times the others' p99 was the good one while a family was sick, all its faults since then.

    For short windows: each family is measured by its p90 in all good windows (one stall of a busy machine moves it
    little) and `grace_ms`, and a good p99 counts as no better than that.
    """
    sick = [number for number, one in enumerate(windows) if one.sick == name and one.began_s >= since_s]
    near = [windows[sick[0] - 1], windows[sick[-1] + 1]]
    while_sick = [windows[number] for number in sick]
    without = frozenset[str]().union(*(one.unwell for one in (*near, *while_sick)))
    scale = scales(samples, windows, grace_ms, 0.9)
    return p99(samples, while_sick, scale, without) / max(1.0, p99(samples, near, scale, without))
