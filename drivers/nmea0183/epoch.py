"""Sentences of one moment -> one position.

Promises:
- One position an epoch: RMC, GGA and GLL of one time are one fact, whatever their order; GSA and VTG, which bear no
  time, complete it.
- An epoch ends with the sentence that completes the kinds of the two epochs before; until these are known, and where a
  sentence is missing, with the first sentence of another time. A receiver with one kind has an epoch a sentence.
- What GSA and VTG say completes the next position, or at most the one after it.
- `fixed` only where every sentence of the epoch says so.
- Bounded: three sentences, and at most 256 satellites, are kept.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

from drivers.facts import PositionTaken
from drivers.nmea0183.meaning import Told, moment, told_by, used_satellites
from drivers.nmea0183.sentence import Sentence

_POSITIONS: Final = ("RMC", "GGA", "GLL")
_MOST_SATELLITES: Final = 256
_HALF_DAY_S: Final = 43_200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Aside:
    """What sentences without a time say."""

    used: frozenset[str] = frozenset()
    hdop: float | None = None
    motion: Told = field(default_factory=Told)


class Epochs:
    """The epochs of one connection."""

    def __init__(self, terminal: str) -> None:
        self._terminal = terminal
        self._told: dict[str, tuple[Sentence, Told]] = {}
        self._cycles: deque[frozenset[str]] = deque(maxlen=2)
        self._sent = False
        self._aside = _Aside()
        self._aside_before = _Aside()
        self._day: tuple[date, float] | None = None

    def take(self, sentence: Sentence) -> tuple[PositionTaken, ...]:
        """Return the positions that a sentence completes; raise FrameInvalid for fields that cannot be."""
        told = told_by(sentence)
        if told is None:
            return ()
        if told.day is not None and told.seconds is not None:
            self._day = (told.day, told.seconds)
        match sentence.kind:
            case "GSA":
                used = frozenset(sorted(self._aside.used | used_satellites(sentence))[:_MOST_SATELLITES])
                self._aside = replace(self._aside, used=used, hdop=told.hdop)
            case "VTG":
                self._aside = replace(self._aside, motion=told)
            case "RMC" | "GGA" | "GLL":
                return self._position(sentence, told)
        return ()

    def _position(self, sentence: Sentence, told: Told) -> tuple[PositionTaken, ...]:
        if told.seconds is not None and self._told.get(sentence.kind, (None,))[0] == sentence:
            return ()  # said twice
        ended = self._end() if self._is_next(sentence, told) else ()
        self._told[sentence.kind] = (sentence, told)
        if self._sent or len(self._cycles) < 2 or not frozenset().union(*self._cycles) <= self._told.keys():
            return ended
        self._sent = True
        return (*ended, self._fact())

    def _is_next(self, sentence: Sentence, told: Told) -> bool:
        """Tell whether a sentence is of another epoch than those that are kept."""
        times = {one.seconds for _, one in self._told.values()} - {None}
        if told.seconds is not None and times - {told.seconds}:
            return True
        before = self._told.get(sentence.kind)
        return before is not None and before[0].talker == sentence.talker

    def _end(self) -> tuple[PositionTaken, ...]:
        facts = () if self._sent else (self._fact(),)
        self._cycles.append(frozenset(self._told))
        self._told = {}
        self._sent = False
        return facts

    def _fact(self) -> PositionTaken:
        told = [self._told[kind][1] for kind in _POSITIONS if kind in self._told]
        merged = Told(*(_first(told, name) for name in Told.__slots__))
        aside = self._aside if self._aside != _Aside() else self._aside_before
        self._aside, self._aside_before = _Aside(), self._aside
        place = next((one for one in told if one.latitude_deg is not None and one.longitude_deg is not None), Told())
        return PositionTaken(
            terminal=self._terminal,
            latitude_deg=place.latitude_deg,
            longitude_deg=place.longitude_deg,
            fixed=place.latitude_deg is not None and all(one.fixed for one in told),
            taken_at=merged.at or self._guess(merged.seconds),
            altitude_m=merged.altitude_m,
            speed_kmh=_either(merged.speed_kmh, aside.motion.speed_kmh),
            course_deg=_either(merged.course_deg, aside.motion.course_deg),
            satellites=_either(merged.satellites, len(aside.used) or None),
            hdop=_either(merged.hdop, aside.hdop),
        )

    def _guess(self, seconds: float | None) -> datetime | None:
        """Return the time of a sentence without date, by the last date told: midnight may lie between."""
        if self._day is None or seconds is None:
            return None
        day, then = self._day
        over = int(seconds < then - _HALF_DAY_S) - int(seconds > then + _HALF_DAY_S)
        try:
            return moment(day + timedelta(days=over), seconds)
        except OverflowError:
            return None


def _either(first: T | None, second: T | None) -> T | None:
    return second if first is None else first


def _first(told: list[Told], name: str) -> Any:
    return next((value for one in told if (value := getattr(one, name)) is not None), None)
