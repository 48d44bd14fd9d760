"""The plates of one vehicle, by vote over everything its cameras read; and what a list is asked for them.

Promises
1. The same reads give the same verdict, in whatever order they came.
2. What is kept is bounded: MAX_READS short texts, never a picture; a read told twice counts once.
3. A verdict's valid plates are those of one car (`PlateSet`): at most one of a region, at most three.
4. A near token never stands among the exact ones: what was not read cannot be taken for what was.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import zip_longest
from math import fsum, isfinite
from typing import Final, TypeVar

from core.errors import GatefleetError
from core.identity.plates import (
    PLAIN_EDIT,
    Plate,
    PlateRegion,
    PlateSet,
    confusable_distance,
    confusable_variants,
    parse_plate,
)
from drivers.facts import PlateRead

MAX_READS: Final = 32
MAX_PLATES: Final = 3
MAX_NEAR: Final = 32
_MAX_RUNNERS_UP: Final = 4
_MAX_GROUPS: Final = 8
"""Texts unlike each other that are weighed; a camera that tells more of one vehicle reads noise."""
_LONGEST_PLATE: Final = 9
_LONGEST_TEXT: Final = 12
"""What a camera gives beyond is no plate: it counts as an empty read."""
_UNTOLD_CONFIDENCE: Final = 0.5
_LEAST_WEIGHT: Final = 0.05
_NO_FORM_WEIGHT: Final = 0.5
"""What a reading that fits no form counts beside one that does."""
_SECOND_PLATE_SHARE: Final = 0.15
"""Of the surest plate's weight: less is a misreading, not another plate of the car."""
_NO_FORM_SHARE: Final = 0.5


class CameraRole(StrEnum):
    """Which end of the vehicle a camera sees."""

    FRONT = "front"
    REAR = "rear"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One read, reduced to what the vote needs. `text` is a normal form, empty where nothing could be read."""

    role: CameraRole
    text: str = field(repr=False)
    weight: float
    colour: str = ""
    name: tuple[str, str] = ("", "")
    """Device and the camera's own id of the read; the same again is the same read."""


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """A text that lost the vote; `share` of the weight, 0 to 1."""

    text: str = field(repr=False)
    share: float


@dataclass(frozen=True, slots=True)
class PlateVote:
    """One plate as the vote has it."""

    plate: Plate
    confidence: float
    """The share of the least agreed sign, times the mean confidence of the reads."""
    reads: int
    weight: float
    colour: str = ""
    runners_up: tuple[RunnerUp, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What plates a vehicle carries; none where it has none that could be read."""

    plates: tuple[PlateVote, ...] = ()
    """The surest first."""
    reads: int = 0
    empty: int = 0
    """How many of the reads saw a vehicle and no plate."""
    others: tuple[RunnerUp, ...] = ()
    """Texts of what was taken for no plate of this car."""

    @property
    def confidence(self) -> float:
        """Return that of the surest plate; 0 without one."""
        return self.plates[0].confidence if self.plates else 0.0

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the plates' normal forms."""
        return tuple(vote.plate.text for vote in self.plates)

    @property
    def plate_set(self) -> PlateSet | None:
        """Return the valid plates as those of one car, or None."""
        valid = frozenset(vote.plate for vote in self.plates if vote.plate.valid)
        return PlateSet(valid) if valid else None


@dataclass(frozen=True, slots=True)
class Ballot:
    """The reads of one vehicle so far."""

    sightings: tuple[Sighting, ...] = ()
    beyond: int = 0
    """Reads that came after MAX_READS and were not kept."""

    def add(self, role: CameraRole, read: PlateRead, device: str = "") -> "Ballot":
        """Return the ballot with one more read."""
        name = (device, read.object_id)
        if read.object_id and any(one.name == name for one in self.sightings):
            return self
        if len(self.sightings) >= MAX_READS:
            return replace(self, beyond=self.beyond + 1)
        plate = parse_plate(read.plate)
        text = plate.text if len(plate.text) <= _LONGEST_TEXT else ""
        one = Sighting(role, text, _weight(read.confidence, plate), read.colour[:16], name)
        return replace(self, sightings=(*self.sightings, one))

    def verdict(self, role: CameraRole | None = None) -> Verdict:
        """Return the outcome of the vote, over one camera's side or all."""
        cast = [one for one in self.sightings if role in {None, one.role}]
        told = [one for one in cast if one.text]
        votes = [_count(texts, told) for texts in _grouped(told)]
        votes.sort(key=lambda vote: (-vote.weight, vote.plate.text))
        chosen = _of_one_car(votes)
        total = fsum(one.weight for one in told)
        lost = [RunnerUp(vote.plate.text, vote.weight / total) for vote in votes]
        taken = {vote.plate.text for vote in chosen}
        others = tuple(one for one in lost if one.text not in taken)[:_MAX_RUNNERS_UP]
        return Verdict(chosen, len(cast), len(cast) - len(told), others)


def same_plate(left: Plate, right: Plate) -> bool:
    """Tell whether two readings can be of one plate, one of them misread. Two issuers' valid plates are two."""
    if left.text == right.text:
        return True
    short, long = sorted((left.text, right.text), key=len)
    if len(short) >= 4 and 3 * len(short) >= 2 * len(long) and short in long:
        return True
    distance = confusable_distance(left.text, right.text)
    if distance < PLAIN_EDIT:
        return True
    if left.valid and right.valid and _issuer(left) != _issuer(right):
        return False
    return distance <= PLAIN_EDIT * (len(long) // 3)


def disagree(front: Verdict, rear: Verdict, confidence: float) -> bool:
    """Tell whether both sides were read surely, and one issuer's plate plainly differs; else it may be one car."""
    pairs = [
        (one.plate, other.plate)
        for one in front.plates
        for other in rear.plates
        if min(one.confidence, other.confidence) >= confidence and _issuer(one.plate) == _issuer(other.plate)
    ]
    return any(confusable_distance(one.text, other.text) >= PLAIN_EDIT for one, other in pairs)


def near_readings(vote: PlateVote, limit: int = MAX_NEAR) -> tuple[str, ...]:
    """Return the valid plates that this one may be instead, the likeliest first: read too, one sign away, two."""
    read = vote.plate.text
    seen = (one.text for one in vote.runners_up)
    found = dict.fromkeys(text for text in seen if text != read and parse_plate(text).valid)
    ring: tuple[str, ...] = (read,) if len(read) <= _LONGEST_PLATE else ()
    for _ in range(2):
        ring = tuple(dict.fromkeys(variant for text in ring for variant in confusable_variants(text)))
        found.update(dict.fromkeys(text for text in ring if text != read and parse_plate(text).valid))
        if len(found) >= limit:
            break
    return tuple(found)[:limit]


@dataclass(frozen=True, slots=True)
class PlateTokens:
    """What lists are asked: an exact hit may refuse, a near one only diverts or alerts."""

    exact: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


def plate_tokens(verdict: Verdict, tokenise: Callable[[str], str]) -> PlateTokens:
    """Return the tokens of a vehicle's plates and of at most MAX_NEAR near readings of them, the likeliest first."""
    exact = tokens_of(verdict.texts, tokenise)
    ranked = zip_longest(*(near_readings(vote) for vote in verdict.plates))
    texts = list(dict.fromkeys(text for rank in ranked for text in rank if text))[:MAX_NEAR]
    near = tokens_of(texts, tokenise)
    return PlateTokens(exact, tuple(token for token in near if token not in exact))


def tokens_of(texts: Sequence[str], tokenise: Callable[[str], str]) -> tuple[str, ...]:
    """Return the tokens of plates; a text that can be no identifier has none."""
    tokens = []
    for text in texts:
        try:
            tokens.append(tokenise(text))
        except GatefleetError:
            continue
    return tuple(dict.fromkeys(tokens))


def look_up(tokens: PlateTokens, listed: Callable[[str], bool]) -> tuple[str, bool]:
    """Return the first token that is listed and whether it is a near one; `("", False)` without a hit."""
    for token in tokens.exact:
        if listed(token):
            return token, False
    for token in tokens.near:
        if listed(token):
            return token, True
    return "", False


def _count(texts: Sequence[str], told: Sequence[Sighting]) -> PlateVote:
    """Return the vote over the sightings of one plate."""
    cast = sorted((one for one in told if one.text in texts), key=lambda one: (one.text, one.weight, one.colour))
    weights = _summed((one.text, one.weight) for one in cast)
    total = sum(weights.values())
    composed = parse_plate(_by_sign(weights))
    valid = [text for text in weights if parse_plate(text).valid]
    if composed.valid or not valid:
        chosen = composed
    else:
        chosen = parse_plate(_heaviest({text: weights[text] for text in valid}))
    agreed = _least_agreed(chosen.text, weights) / total
    mean = sum(one.weight**2 for one in cast) / total
    colours = _summed((one.colour, one.weight) for one in cast if one.colour)
    runners = sorted((-weight, text) for text, weight in weights.items() if text != chosen.text)
    return PlateVote(
        plate=chosen,
        confidence=round(min(1.0, agreed * mean), 4),
        reads=len(cast),
        weight=total,
        colour=_heaviest(colours) if colours else "",
        runners_up=tuple(RunnerUp(text, -weight / total) for weight, text in runners[:_MAX_RUNNERS_UP]),
    )


def _weight(confidence: float | None, plate: Plate) -> float:
    given = confidence if confidence is not None and isfinite(confidence) else _UNTOLD_CONFIDENCE
    return min(1.0, max(_LEAST_WEIGHT, given)) * (1.0 if plate.valid else _NO_FORM_WEIGHT)


def _grouped(told: Sequence[Sighting]) -> list[list[str]]:
    """Return the texts that are readings of one plate together, the heaviest group leader first."""
    weights = _summed((one.text, one.weight) for one in sorted(told, key=lambda one: (one.text, one.weight)))
    groups: list[list[str]] = []
    for text in sorted(weights, key=lambda text: (-weights[text], text)):
        plate = parse_plate(text)
        home = next((group for group in groups if same_plate(parse_plate(group[0]), plate)), None)
        if home is not None:
            home.append(text)
        elif len(groups) < _MAX_GROUPS:
            groups.append([text])
    return groups


def _of_one_car(votes: Sequence[PlateVote]) -> tuple[PlateVote, ...]:
    chosen: list[PlateVote] = []
    for vote in votes:
        regions = {one.plate.region for one in chosen}
        share = vote.weight / chosen[0].weight if chosen else 1.0
        enough = share >= (_SECOND_PLATE_SHARE if vote.plate.valid else _NO_FORM_SHARE)
        if vote.plate.text and vote.plate.region not in regions and enough:
            chosen.append(vote)
    return tuple(chosen[:MAX_PLATES])


def _by_sign(weights: dict[str, float]) -> str:
    """Return the text of the commonest length whose every sign has the most weight."""
    lengths = _summed((len(text), weight) for text, weight in weights.items())
    length = max(sorted(lengths), key=lambda one: lengths[one])
    alike = {text: weight for text, weight in weights.items() if len(text) == length}
    return "".join(_heaviest(_summed((text[at], weight) for text, weight in alike.items())) for at in range(length))


def _least_agreed(chosen: str, weights: dict[str, float]) -> float:
    """Return the weight of the reads that agree in the sign that fewest agree in; another length agrees in none."""
    alike = [(text, weight) for text, weight in weights.items() if len(text) == len(chosen)]
    return min(sum(weight for text, weight in alike if text[at] == sign) for at, sign in enumerate(chosen))


_Key = TypeVar("_Key", str, int)


def _summed(pairs: Iterable[tuple[_Key, float]]) -> dict[_Key, float]:
    sums: dict[_Key, float] = defaultdict(float)
    for key, weight in pairs:
        sums[key] += weight
    return dict(sums)


def _heaviest(weights: dict[str, float]) -> str:
    """Return the key of the most weight; of equals, the first in the alphabet."""
    return max(sorted(weights), key=lambda key: weights[key])


def _issuer(plate: Plate) -> PlateRegion | None:
    return PlateRegion.CN if plate.region is PlateRegion.DUAL else plate.region
