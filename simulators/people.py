"""Who comes to a site and what they do: a plan that depends on the seed alone.

Persons come alone or as families, one document each. Some stand on a list, some are followed by a tailgater, some turn
back, some meet a gate that jams. Documents are specimens of Utopia (issuer UTO, ICAO Doc 9303), made from numbers.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.identity.mrz import check_digit


class Manner(StrEnum):
    """What somebody does in the lane."""

    PLAIN = "plain"
    LISTED = "listed"
    TAILGATED = "tailgated"
    """Somebody slips through behind."""
    TURNS_BACK = "turns_back"
    """Released, but never enters."""
    JAMMED = "jammed"
    """The gate jams first, and is mended by the staff."""


_SHARES: Final = ((Manner.LISTED, 0.03), (Manner.TAILGATED, 0.02), (Manner.TURNS_BACK, 0.01), (Manner.JAMMED, 0.004))
_FAMILY: Final = 0.15


@dataclass(frozen=True, slots=True)
class Traveller:
    """One person with a document, who comes to a lane `at_s` after the start at the earliest."""

    lane: str
    number: int
    at_s: float
    document: str
    manner: Manner
    walk_s: float


def specimen(number: int) -> str:
    """Return the two lines of a passport of Utopia, parted by `|`."""
    name = f"P<UTOSPECIMEN<<N{_letters(number)}".ljust(44, "<")
    document = f"U{number:08d}"
    birth, expiry, personal = "800101", "400101", "<" * 14
    line = f"{document}{check_digit(document)}UTO{birth}{check_digit(birth)}<{expiry}{check_digit(expiry)}{personal}<"
    composite = line[0:10] + line[13:20] + line[21:43]
    return f"{name}|{line}{check_digit(composite)}"


def plan(seed: int, lanes: Sequence[str], duration_s: float, gap_s: float, first: int = 0) -> list[Traveller]:
    """Return all travellers of a site, by lane and order; `gap_s` is the mean between two arrivals at one lane."""
    return [
        one
        for place, lane in enumerate(lanes)
        for one in _of_lane(random.Random(f"{seed}/{lane}"), lane, duration_s, gap_s, first + place * 100_000)
    ]


def listed_documents(travellers: Sequence[Traveller]) -> list[str]:
    """Return the documents that must stand on the refuse list for the plan to come true."""
    return [one.document for one in travellers if one.manner is Manner.LISTED]


def _of_lane(rng: random.Random, lane: str, duration_s: float, gap_s: float, first: int) -> Iterator[Traveller]:
    at_s, number = rng.expovariate(1 / gap_s), 0
    while at_s < duration_s:
        for _ in range(rng.randint(2, 5) if rng.random() < _FAMILY else 1):
            walk_s = round(rng.uniform(0.3, 0.8), 3)
            yield Traveller(lane, number, round(at_s, 3), specimen(first + number), _manner(rng), walk_s)
            number += 1
        at_s += rng.expovariate(1 / gap_s)


def _manner(rng: random.Random) -> Manner:
    point = rng.random()
    for manner, share in _SHARES:
        if point < share:
            return manner
        point -= share
    return Manner.PLAIN


def _letters(number: int) -> str:
    return "".join(chr(ord("A") + int(digit)) for digit in str(number))
