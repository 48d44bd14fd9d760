"""Which vehicles come to a site and what they do: a plan that depends on the seed alone.

Plates are specimens: the provinces have no such districts, so nobody has one. Those that stand on a list are of another
province, so that no other vehicle's plate is a near reading of theirs; and any two that follow one another in a channel
differ so much that neither can be a misreading of the other.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.identity.plates import PLAIN_EDIT, confusable_distance

_PLAIN: Final = "藏"
_LISTED: Final = "宁"
_DISTRICTS: Final = "KLMNPQRTUV"
"""One for each site; neither province goes so far."""
_WAYS: Final = "ACEFGHJKLMNPQRTUVWXY"
"""One for each channel of a site; none that is confused with a digit."""
_DIGITS: Final = 4
_APART: Final = 2 * PLAIN_EDIT
"""As far as one plate misread may be from itself."""
_CONFUSED: Final = {"0": "D", "2": "Z", "5": "S", "8": "B"}


class Manner(StrEnum):
    """What somebody does at the barriers."""

    PLAIN = "plain"
    LISTED = "listed"
    """On the refuse list."""
    FUZZY = "fuzzy"
    """On the refuse list, and read with one confusable sign wrong: it may be somebody else."""
    MISREAD = "misread"
    """Read wrong at first, then twice right."""
    UNREADABLE = "unreadable"
    TAILGATED = "tailgated"
    """Somebody follows bumper to bumper, through the last barrier."""
    WRONG_WAY = "wrong_way"
    """Somebody comes in through the exit of the first barrier, before this one."""
    MISMATCH = "mismatch"
    """The plate behind is not the plate in front."""


BLOCKED: Final = frozenset({Manner.LISTED, Manner.FUZZY, Manner.UNREADABLE})
"""Who does not get through."""
_SHARES: Final = (
    (Manner.LISTED, 0.05),
    (Manner.FUZZY, 0.05),
    (Manner.MISREAD, 0.06),
    (Manner.UNREADABLE, 0.05),
    (Manner.TAILGATED, 0.05),
    (Manner.WRONG_WAY, 0.04),
    (Manner.MISMATCH, 0.20),
)


@dataclass(frozen=True, slots=True)
class Way:
    """A channel: its lanes in the order of travel. `rear`: the last has a camera behind."""

    channel: str
    lanes: tuple[str, ...]
    rear: bool = False


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle, which comes to a channel `at_s` after the start at the earliest."""

    channel: str
    number: int
    at_s: float
    plate: str
    """What stands on it."""
    reads: tuple[str, ...]
    """What the cameras in front read, in order; empty where they could read nothing."""
    manner: Manner
    behind: str = ""
    """What stands behind where that is another plate."""

    @property
    def known_by(self) -> str:
        """Return the plate under which it is decided about."""
        return self.reads[-1]


def plan(seed: int, ways: Sequence[Way], duration_s: float, gap_s: float, site: int = 0) -> list[Vehicle]:
    """Return all vehicles of a site, by channel and order; `gap_s` is the mean between two arrivals at one channel.

    `site` numbers the sites from 0 to 9: no two sites have a plate in common. A site has at most 20 channels.
    """
    return [
        one
        for way, letter in zip(ways, _WAYS[: len(ways)], strict=True)
        for one in _of_way(random.Random(f"{seed}/{way.channel}"), way, duration_s, gap_s, _DISTRICTS[site] + letter)
    ]


def listed_plates(vehicles: Sequence[Vehicle]) -> list[str]:
    """Return the plates that must stand on the refuse list for the plan to come true."""
    return [one.plate for one in vehicles if one.manner in {Manner.LISTED, Manner.FUZZY}]


def _of_way(rng: random.Random, way: Way, duration_s: float, gap_s: float, letters: str) -> Iterator[Vehicle]:
    at_s, number, taken = rng.expovariate(1 / gap_s), 0, [""]
    while at_s < duration_s:
        manner = _manner(rng, rear=way.rear)
        province = _LISTED if manner in {Manner.LISTED, Manner.FUZZY} else _PLAIN
        plate = f"{province}{letters}{_digits(rng, taken)}"
        behind = f"{_PLAIN}{letters}{_digits(rng, taken)}" if manner is Manner.MISMATCH else ""
        yield Vehicle(way.channel, number, round(at_s, 3), plate, _reads(plate, manner), manner, behind)
        number += 1
        at_s += rng.expovariate(1 / gap_s)


def _manner(rng: random.Random, *, rear: bool) -> Manner:
    point = rng.random()
    for manner, share in _SHARES:
        if point < share:
            return manner if rear or manner is not Manner.MISMATCH else Manner.PLAIN
        point -= share
    return Manner.PLAIN


def _digits(rng: random.Random, taken: list[str]) -> str:
    """Return a serial that nobody has, far from the last two, with a digit that is easily confused; note it."""
    while True:
        made = "".join(str(rng.randrange(10)) for _ in range(_DIGITS))
        apart = all(confusable_distance(made, other) > _APART for other in taken[-2:])
        if made not in taken and apart and set(made) & set(_CONFUSED):
            taken.append(made)
            return made


def _reads(plate: str, manner: Manner) -> tuple[str, ...]:
    if manner is Manner.UNREADABLE:
        return ("",)
    wrong = _misread(plate)
    return {Manner.FUZZY: (wrong,), Manner.MISREAD: (wrong, plate, plate)}.get(manner, (plate,))


def _misread(plate: str) -> str:
    """Return a plate with its last confusable digit read wrong."""
    place = max(at for at, sign in enumerate(plate) if sign in _CONFUSED)
    return plate[:place] + _CONFUSED[plate[place]] + plate[place + 1 :]
