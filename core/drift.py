"""Whether a people counter and the passages beside it tell the same numbers: pure, over steps of equal length.

A step with few persons is joined to the next until they make a period; so many periods apart, one after the other, are
a drift, and one period that agrees ends it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DriftSettings(BaseModel):
    """When a counter and the passages beside it are apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: Literal["entered", "left", "both"] = "both"
    """Which of the counter's directions the lanes lead in."""
    ratio: float = Field(default=0.2, gt=0)
    """Apart by more than this part of the passages."""
    periods: int = Field(default=3, ge=1, le=1000)
    """So many periods one after the other."""
    at_least: int = Field(default=50, ge=1)
    """Steps with fewer persons are joined to the next until they make a period of so many."""

    def persons(self, entered: int, left: int) -> int:
        """Return those that count for this side."""
        return (entered if self.side != "left" else 0) + (left if self.side != "entered" else 0)


class DriftRule(DriftSettings):
    """One counter, the lanes of its site that lead past it, and when they are apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str = Field(min_length=1, max_length=63)
    counter: str = Field(min_length=1, max_length=64)
    lanes: tuple[str, ...] = Field(min_length=1, max_length=500)


@dataclass(frozen=True, slots=True)
class Drift:
    """What the last periods say: `drifting` is None where too few have come to tell."""

    drifting: bool | None
    counted: int = 0
    passed: int = 0
    periods: int = 0
    """Those that the numbers are of."""


def judged(steps: Iterable[tuple[int, int]], settings: DriftSettings) -> Drift:
    """Judge (counted, passed) of the steps, the oldest first."""
    apart: list[tuple[int, int]] = []
    last: tuple[int, int] | None = None
    counted = passed = 0
    for more_counted, more_passed in steps:
        counted, passed = counted + more_counted, passed + more_passed
        if max(counted, passed) < settings.at_least:
            continue
        last = (counted, passed)
        apart = [*apart, last][-settings.periods :] if abs(counted - passed) > settings.ratio * passed else []
        counted = passed = 0
    if last is None:
        return Drift(None)
    if not apart:
        return Drift(False, *last, 1)
    sums = (sum(one for one, _ in apart), sum(one for _, one in apart))
    return Drift(True if len(apart) == settings.periods else None, *sums, len(apart))
