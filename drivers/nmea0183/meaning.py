"""What the fields of RMC, GGA, GLL, GSA, GSV, VTG, ZDA and TXT say, in our units. Empty fields are normal: None.

Numbers are checked: a field that a good checksum guards but that cannot be (minute 60, latitude 91) is FrameInvalid.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from core.errors import FrameInvalid
from drivers.nmea0183.sentence import Sentence

KMH_OF_KNOT: Final = 1.852
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_CLOCK: Final = re.compile(r"(\d\d)(\d\d)(\d\d(?:\.\d*)?)")
_ANGLE: Final = re.compile(r"(\d{1,3})(\d\d(?:\.\d*)?)")
_ESCAPE: Final = re.compile(r"\^([0-9A-F]{2})")
_GPS_CENTURY: Final = 80
"""GPS began in 1980: two digits from 80 on are of the twentieth century."""
_TRUE_FIX: Final = frozenset("ADFPR")
"""Mode indicators that are a fix: not E (dead reckoning), M (typed in), S (simulated), N."""
_TRUE_QUALITY: Final = frozenset({1, 2, 3, 4, 5, 9})
"""The same of GGA: 0 none, 6 dead reckoning, 7 typed in, 8 simulated."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one sentence tells; None for what it does not."""

    seconds: float | None = None
    """Of the UTC day; 86400 and more within a leap second."""
    day: date | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_m: float | None = None
    speed_kmh: float | None = None
    course_deg: float | None = None
    fixed: bool | None = None
    satellites: int | None = None
    """Used in the fix."""
    hdop: float | None = None

    @property
    def at(self) -> datetime | None:
        """The moment, where both time and date are told."""
        return moment(self.day, self.seconds)


def moment(day: date | None, seconds: float | None) -> datetime | None:
    """Return a UTC time of a day and its seconds, None without both; a leap second is the next day's first."""
    if day is None or seconds is None:
        return None
    try:
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None


def told_by(sentence: Sentence) -> Told | None:
    """Return what a sentence tells of a position; None for kinds that tell nothing. Raises FrameInvalid."""
    reader = _READERS.get(sentence.kind)
    return reader(sentence) if reader and sentence.talker != "P" else None


def extras(sentence: Sentence) -> dict[str, Any]:
    """Return what else the known kinds say, for `gatefleet decode`."""
    kind, at = sentence.kind, sentence.field
    if sentence.talker == "P":
        return {}
    if kind == "TXT":
        return {"parts": _count(at(0)), "part": _count(at(1)), "text_kind": at(2), "text": text_of(sentence)}
    if kind == "GSV":
        return {"total_msgs": _count(at(0)), "msg_no": _count(at(1)), "in_view": _count(at(2)), "sky": _sky(sentence)}
    if kind in {"RMC", "GLL"}:
        return {"status": at(1) if kind == "RMC" else at(5)}
    if kind == "GGA":
        return {"quality": _count(at(5))}
    if kind == "GSA":
        return {"fix_dimensions": _count(at(1)), "used": sorted(used_satellites(sentence)), "pdop": _number(at(14))}
    return {}


def used_satellites(sentence: Sentence) -> frozenset[str]:
    """Return the satellites of a GSA, each with its talker and system, so that those of two systems do not meet."""
    system = sentence.field(17)
    return frozenset(f"{sentence.talker}{system}-{number}" for number in sentence.fields[2:14] if number)


def text_of(sentence: Sentence) -> str:
    """Return the text of a TXT, with its escapes (`^2A`) undone."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), ",".join(sentence.fields[3:]))


def _rmc(sentence: Sentence) -> Told:
    at = sentence.field
    knots = _positive(at(6))
    return Told(
        seconds=_seconds(at(0)),
        day=_day(at(8)),
        latitude_deg=_angle(at(2), at(3), "NS", 90),
        longitude_deg=_angle(at(4), at(5), "EW", 180),
        speed_kmh=None if knots is None else knots * KMH_OF_KNOT,
        course_deg=_course(at(7)),
        fixed=at(1) == "A" and _true_mode(at(11)),
    )


def _gga(sentence: Sentence) -> Told:
    at = sentence.field
    return Told(
        seconds=_seconds(at(0)),
        latitude_deg=_angle(at(1), at(2), "NS", 90),
        longitude_deg=_angle(at(3), at(4), "EW", 180),
        altitude_m=_number(at(8)),
        fixed=_count(at(5)) in _TRUE_QUALITY,
        satellites=_count(at(6)),
        hdop=_positive(at(7)),
    )


def _gll(sentence: Sentence) -> Told:
    at = sentence.field
    return Told(
        seconds=_seconds(at(4)),
        latitude_deg=_angle(at(0), at(1), "NS", 90),
        longitude_deg=_angle(at(2), at(3), "EW", 180),
        # Before NMEA 2.0 a GLL had neither time nor status: there its position was its word.
        fixed=at(5) in {"", "A"} and at(0) != "" and _true_mode(at(6)),
    )


def _gsa(sentence: Sentence) -> Told:
    return Told(hdop=_positive(sentence.field(15)), satellites=len(used_satellites(sentence)))


def _vtg(sentence: Sentence) -> Told:
    at = sentence.field
    if at(1) == "T":
        knots, kmh = _positive(at(4)), _positive(at(6))
        mode = at(8)
    else:  # before NMEA 2.3: true course, magnetic course, knots, km/h without their letters
        knots, kmh, mode = _positive(at(2)), _positive(at(3)), ""
    speed = kmh if kmh is not None else (None if knots is None else knots * KMH_OF_KNOT)
    if not _true_mode(mode):
        return Told()
    return Told(speed_kmh=speed, course_deg=_course(at(0)))


def _zda(sentence: Sentence) -> Told:
    at = sentence.field
    day = None
    if all(at(number) for number in (1, 2, 3)):
        day = _date(_count(at(3)) or 0, _count(at(2)) or 0, _count(at(1)) or 0)
    return Told(seconds=_seconds(at(0)), day=day)


_READERS: Final[dict[str, Callable[[Sentence], Told]]] = {
    "RMC": _rmc,
    "GGA": _gga,
    "GLL": _gll,
    "GSA": _gsa,
    "VTG": _vtg,
    "ZDA": _zda,
}


def _sky(sentence: Sentence) -> list[dict[str, Any]]:
    """Return the satellites of a GSV: groups of four fields; NMEA 4.1 ends with one field more, the signal."""
    groups = [sentence.fields[start : start + 4] for start in range(3, len(sentence.fields), 4)]
    return [
        {"satellite": number, "elevation_deg": _count(up), "azimuth_deg": _count(round_), "snr_db": _count(snr)}
        for number, up, round_, snr in (group for group in groups if len(group) == 4)
        if number
    ]


def _true_mode(mode: str) -> bool:
    return mode == "" or mode in _TRUE_FIX


def _number(text: str) -> float | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise FrameInvalid(f"{text[:16]!r} is no number")
    return float(text)


def _positive(text: str) -> float | None:
    found = _number(text)
    if found is not None and found < 0:
        raise FrameInvalid(f"{text[:16]!r} is below zero")
    return found


def _count(text: str) -> int | None:
    if not text:
        return None
    if not (text.isdecimal() and len(text) <= 4):
        raise FrameInvalid(f"{text[:16]!r} is no count")
    return int(text)


def _course(text: str) -> float | None:
    found = _positive(text)
    if found is not None and found > 360:
        raise FrameInvalid(f"a course of {text[:16]} degrees")
    return found


def _seconds(text: str) -> float | None:
    """Return `hhmmss.sss` as seconds of the day; a leap second is 60."""
    if not text:
        return None
    found = _CLOCK.fullmatch(text)
    if not found or int(found[1]) > 23 or int(found[2]) > 59 or float(found[3]) >= 61:
        raise FrameInvalid(f"{text[:16]!r} is no time of day")
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])


def _angle(text: str, side: str, sides: str, limit: int) -> float | None:
    """Return `dddmm.mmmm` and its letter as degrees, negative for the second letter of `sides`."""
    if not text or not side:
        return None
    found = _ANGLE.fullmatch(text)
    if not found or side not in sides or float(found[2]) >= 60:
        raise FrameInvalid(f"{text[:16]!r} {side[:4]!r} is no angle")
    degrees = int(found[1]) + float(found[2]) / 60
    if degrees > limit:
        raise FrameInvalid(f"{text[:16]!r} is more than {limit} degrees")
    return -degrees if side == sides[1] else degrees


def _day(text: str) -> date | None:
    if not text:
        return None
    if not (text.isdecimal() and len(text) == 6):
        raise FrameInvalid(f"{text[:16]!r} is no date")
    year = int(text[4:])
    return _date(year + (1900 if year >= _GPS_CENTURY else 2000), int(text[2:4]), int(text[:2]))


def _date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as error:
        raise FrameInvalid(f"{year:04d}-{month:02d}-{day:02d} is no date") from error
