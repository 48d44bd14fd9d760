"""The passengers of an aircraft who come to a cabin: a plan that depends on the seed alone, and people who follow it.

plan = boarding_plan(seed=7, n=20)
truth = await meet(plan, place, officer.rule)      # one row for each passenger, in order

What they do is done to the machinery: doors are pushed, documents shown, faces compared. `tally` says what a boarding
must have counted.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from drivers.cabin.commands import Screen
from simulators.cabin import Cabin, Side
from simulators.face_terminal import FaceTerminal
from simulators.people import specimen
from simulators.reader import Reader

_FIT: Final = 0.97
_UNFIT: Final = 0.31
_MOST_FACES: Final = 12
_FIRST: Final = 60_000_000
"""Documents of boardings are none of those of `simulators.people.plan`."""
Rule = Callable[[str], Awaitable[None]]
"""An officer who comes to the held passenger: `release`, `refuse` or `again`; returns once it is done."""


class Manner(StrEnum):
    """What becomes of a passenger."""

    PLAIN = "plain"
    MISMATCHED = "mismatched"
    """The face does not fit; the officer compares, and releases."""
    IMPOSTOR = "impostor"
    """The face does not fit; the officer refuses."""
    LISTED = "listed"
    """On a refuse list: held, and refused."""
    STRANGER = "stranger"
    """Nobody expects them: held, and released."""
    CROWDED = "crowded"
    """Comes with somebody else, is sent out, comes alone."""
    TIMID = "timid"
    """Presses the egress button, comes again."""
    NO_SHOW = "no_show"


_SHARES: Final = (
    (Manner.MISMATCHED, 0.08),
    (Manner.IMPOSTOR, 0.04),
    (Manner.LISTED, 0.05),
    (Manner.STRANGER, 0.04),
    (Manner.CROWDED, 0.06),
    (Manner.TIMID, 0.06),
    (Manner.NO_SHOW, 0.06),
)
RULINGS: Final = {
    Manner.MISMATCHED: "release",
    Manner.IMPOSTOR: "refuse",
    Manner.LISTED: "refuse",
    Manner.STRANGER: "release",
}
_ENDS: Final = {"release": "released_by_officer", "refuse": "refused"}


@dataclass(frozen=True, slots=True)
class Passenger:
    """One passenger with a document."""

    number: int
    document: str
    manner: Manner


@dataclass(frozen=True, slots=True)
class BoardingPlan:
    """Who comes from one aircraft."""

    boarding: str
    flight: str
    stand: str
    passengers: tuple[Passenger, ...]

    @property
    def expected(self) -> list[str]:
        """Return the documents that the boarding is opened with."""
        return [one.document for one in self.passengers if one.manner is not Manner.STRANGER]

    @property
    def listed(self) -> list[str]:
        """Return the documents that must stand on the refuse list for the plan to come true."""
        return [one.document for one in self.passengers if one.manner is Manner.LISTED]


@dataclass(frozen=True, slots=True)
class Met:
    """What happened to one passenger: `verified`, `released_by_officer`, `refused`, or `no_show`."""

    number: int
    document: str
    manner: Manner
    outcome: str
    left: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return asdict(self)


@dataclass(slots=True)
class CabinPlace:
    """The machinery of one cabin, and how people move in it."""

    cabin: Cabin
    reader: Reader
    terminal: FaceTerminal
    walk_s: float = 0.25
    """Between opening a door and walking, and between that and its falling shut: longer than a poll."""
    patience_s: float = 20.0

    async def shows(self, *screens: Screen) -> Screen:
        """Wait until the screen shows one of these; raise TimeoutError."""
        await self.cabin.until(lambda cabin: cabin.screen in screens, self.patience_s)
        assert self.cabin.screen is not None
        return self.cabin.screen

    async def walk(self, side: Side, persons: int) -> None:
        """Go through a door as soon as it can be opened: in, or out below zero."""
        await self.cabin.until(lambda cabin: not cabin.bolted(side), self.patience_s)
        assert self.cabin.push(side), f"the {side} is bolted"
        await asyncio.sleep(self.walk_s)
        self.cabin.step(persons)
        await asyncio.sleep(self.walk_s)
        self.cabin.shut(side)

    async def enter(self, persons: int = 1) -> None:
        """Go in when the screen says so."""
        await self.shows(Screen.ENTER)
        await self.walk(Side.ENTRANCE, persons)

    async def go_back(self, persons: int = 1) -> None:
        """Step out by the entrance when told to."""
        await self.shows(Screen.STEP_OUT)
        await self.walk(Side.ENTRANCE, -persons)
        await self.shows(Screen.ENTER, Screen.CLOSED)

    async def leave(self) -> None:
        """Go on by the exit when told to."""
        await self.shows(Screen.GO)
        await self.walk(Side.EXIT, -1)
        await self.shows(Screen.ENTER, Screen.CLOSED)

    async def show_document(self, document: str) -> Screen:
        """Lay the document on the reader; return what the screen then says."""
        await self.shows(Screen.DOCUMENT, Screen.DOCUMENT_AGAIN)
        self.reader.show(document)
        return await self.shows(Screen.FACE, Screen.DOCUMENT_AGAIN, Screen.WAIT)

    async def show_face(self, score: float = _FIT) -> Screen:
        """Look into the camera until that leads to something, several times where the face does not fit."""
        await self.shows(Screen.FACE, Screen.FACE_AGAIN)
        for _ in range(_MOST_FACES):
            await self.terminal.compare(score)
            if score >= _FIT:
                await self.shows(Screen.GO, Screen.WAIT)
                await asyncio.sleep(self.walk_s)  # it says `wait` too while it records
                return await self.shows(Screen.GO, Screen.WAIT)
            await asyncio.sleep(self.walk_s)
            if self.cabin.screen is Screen.WAIT:
                break
        return await self.shows(Screen.WAIT)


def boarding_plan(seed: int, n: int, boarding: str = "") -> BoardingPlan:
    """Return who comes from an aircraft; with nine passengers or more there is one of each manner."""
    rng = random.Random(f"boarding/{seed}")
    manners = [manner for manner, _ in _SHARES if n > len(_SHARES)]
    manners += [_manner(rng) for _ in range(n - len(manners))]
    rng.shuffle(manners)
    flight = f"NX{rng.randint(100, 999)}"
    return BoardingPlan(
        boarding=boarding or f"{flight}-{seed}",
        flight=flight,
        stand=f"{rng.randint(1, 40)}{rng.choice('AB')}",
        passengers=tuple(
            Passenger(number, specimen(_FIRST + seed % 1_000 * 10_000 + number), manner)
            for number, manner in enumerate(manners)
        ),
    )


async def meet(
    plan: BoardingPlan, place: CabinPlace, rule: Rule, told: Callable[[Met], None] = lambda _: None
) -> list[Met]:
    """Let all passengers come, one after the other; raise TimeoutError where the cabin does not do its part."""
    truth = []
    for passenger in plan.passengers:
        truth.append(await _come(passenger, place, rule))
        told(truth[-1])
    return truth


def tally(plan: BoardingPlan, truth: Sequence[Met]) -> dict[str, int]:
    """Return what the boarding must have counted."""
    outcomes = Counter(one.outcome for one in truth)
    seen = sum(count for outcome, count in outcomes.items() if outcome != "no_show")
    strangers = sum(one.manner is Manner.STRANGER for one in truth)
    return {
        "expected": len(plan.expected),
        "seen": seen,
        "verified": outcomes["verified"],
        "held": outcomes["held"],
        "released_by_officer": outcomes["released_by_officer"],
        "refused": outcomes["refused"],
        "unexpected": strangers,
        "no_show": len(plan.expected) - (seen - strangers),
    }


async def _come(one: Passenger, place: CabinPlace, rule: Rule) -> Met:
    outcome, left = "no_show", False
    if one.manner is not Manner.NO_SHOW:
        outcome, left = await _visit(one, place, rule)
    return Met(one.number, one.document, one.manner, outcome, left)


async def _visit(one: Passenger, place: CabinPlace, rule: Rule) -> tuple[str, bool]:
    if one.manner is Manner.CROWDED:
        await place.enter(2)
        await place.go_back(2)
    await place.enter()
    if one.manner is Manner.TIMID:
        await place.shows(Screen.DOCUMENT)
        place.cabin.press("egress")
        await place.shows(Screen.STEP_OUT)
        place.cabin.press("egress", on=False)
        await place.go_back()
        await place.enter()
    await place.show_document(one.document)
    fits = one.manner not in {Manner.MISMATCHED, Manner.IMPOSTOR}
    shown = await place.show_face(_FIT if fits else _UNFIT)
    ruling = RULINGS.get(one.manner)
    if ruling is not None:
        await place.shows(Screen.WAIT)
        await rule(ruling)
    elif shown is not Screen.GO:
        shown = await place.shows(Screen.GO)
    if ruling == "refuse":
        await place.go_back()
        return _ENDS[ruling], False
    await place.leave()
    return (_ENDS[ruling] if ruling else "verified"), True


def _manner(rng: random.Random) -> Manner:
    point = rng.random()
    for manner, share in _SHARES:
        if point < share:
            return manner
        point -= share
    return Manner.PLAIN
