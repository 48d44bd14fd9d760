"""Machine-readable zones of travel documents (ICAO Doc 9303 parts 3 to 7).

      TD3    2 x 44   P<UTOSURNAME<<GIVEN<NAMES<<<<<<<<<<<<<<<<<<<   MRV-A the same first line with V
                      number---C nat birth-C S expiry C personal------CC
      TD2    2 x 36   as TD3 with 7 optional positions               MRV-B the same first line with V
      TD1    3 x 30   I<UTOnumber---Coptional1-----
                      birth-CSexpiryCnatoptional2--C
                      SURNAME<<GIVEN<NAMES<<<<<<<<<<

A filler counts 0, a digit itself, a letter 10 to 35; weights 7 3 1; visas have no composite digit. Signs whose
values differ by ten or twenty (A, K, U; also 0 and the filler) look alike to a check digit: it cannot tell them apart.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from core.errors import GatefleetError, Whose
from core.identity.text import fold

MAX_TEXT = 512
_WEIGHTS = (7, 3, 1)
_VALUES = {sign: value for value, sign in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")} | {"<": 0}
_JOINED = {72: 36, 88: 44, 90: 30}
"""Readers that send no line ends: whole length to line length."""

Span = tuple[int, int, int]
"""Line, from, up to."""


class DocumentInvalid(GatefleetError):
    """The text has not the shape of a machine-readable zone."""

    code = "document_invalid"
    whose = Whose.REMOTE


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields of one format stand."""

    spans: Mapping[str, Span]
    optionals: tuple[str, ...]
    overflow: str = ""
    """The optional field into which a long document number runs on."""
    composite: tuple[Span, ...] = ()
    composite_check: Span = (0, 0, 0)


_TWO_LINES: dict[str, Span] = {
    "type": (0, 0, 2),
    "issuer": (0, 2, 5),
    "number": (1, 0, 9),
    "number_check": (1, 9, 10),
    "nationality": (1, 10, 13),
    "birth": (1, 13, 19),
    "birth_check": (1, 19, 20),
    "sex": (1, 20, 21),
    "expiry": (1, 21, 27),
    "expiry_check": (1, 27, 28),
}
_TD1: dict[str, Span] = {
    "type": (0, 0, 2),
    "issuer": (0, 2, 5),
    "number": (0, 5, 14),
    "number_check": (0, 14, 15),
    "optional1": (0, 15, 30),
    "birth": (1, 0, 6),
    "birth_check": (1, 6, 7),
    "sex": (1, 7, 8),
    "expiry": (1, 8, 14),
    "expiry_check": (1, 14, 15),
    "nationality": (1, 15, 18),
    "optional2": (1, 18, 29),
    "names": (2, 0, 30),
}
LAYOUTS: Mapping[str, _Layout] = {
    "TD1": _Layout(
        _TD1,
        ("optional1", "optional2"),
        overflow="optional1",
        composite=((0, 5, 30), (1, 0, 7), (1, 8, 15), (1, 18, 29)),
        composite_check=(1, 29, 30),
    ),
    "TD2": _Layout(
        _TWO_LINES | {"names": (0, 5, 36), "optional": (1, 28, 35)},
        ("optional",),
        overflow="optional",
        composite=((1, 0, 10), (1, 13, 20), (1, 21, 35)),
        composite_check=(1, 35, 36),
    ),
    "TD3": _Layout(
        _TWO_LINES | {"names": (0, 5, 44), "personal_number": (1, 28, 42), "personal_check": (1, 42, 43)},
        ("personal_number",),
        composite=((1, 0, 10), (1, 13, 20), (1, 21, 43)),
        composite_check=(1, 43, 44),
    ),
    "MRV-A": _Layout(_TWO_LINES | {"names": (0, 5, 44), "optional": (1, 28, 44)}, ("optional",)),
    "MRV-B": _Layout(_TWO_LINES | {"names": (0, 5, 36), "optional": (1, 28, 36)}, ("optional",)),
}


@dataclass(frozen=True, slots=True)
class Mrz:
    """One zone as read; dates are YYMMDD, fields that the format lacks are None; `repr` names nobody."""

    format: str
    type: str
    issuer: str
    surname: str = field(repr=False)
    given: str = field(repr=False)
    number: str = field(repr=False)
    nationality: str
    birth: str = field(repr=False)
    sex: str
    """M, F or X; X is also a filler."""
    expiry: str
    personal_number: str | None = field(default=None, repr=False)
    optional1: str | None = field(default=None, repr=False)
    optional2: str | None = field(default=None, repr=False)
    optional: str | None = field(default=None, repr=False)
    checks: dict[str, bool] = field(default_factory=dict, hash=False)
    problems: tuple[str, ...] = ()
    """Every broken rule, failed check digits included; no text of the document."""

    @property
    def valid(self) -> bool:
        """Whether no rule is broken; says nothing of the expiry date."""
        return not self.problems


def check_digit(text: str) -> str:
    """Return the ICAO 9303-3 check digit of A-Z, 0-9 and fillers."""
    return str(sum(_VALUES[sign] * _WEIGHTS[place % 3] for place, sign in enumerate(text)) % 10)


def mrz_lines(text: str) -> tuple[str, ...]:
    """Return the lines of what a reader sent: CR, LF or | between lines or nothing at all, any case, padding around."""
    if len(text) > MAX_TEXT:
        raise DocumentInvalid(f"{len(text)} characters are no machine-readable zone", cure="check the reader's framing")
    folded = (re.sub(r"^[\x00-\x20\x7f]+|[\x00-\x20\x7f]+$", "", line) for line in re.split(r"[\r\n|]+", fold(text)))
    lines = tuple(line for line in folded if line)
    if len(lines) == 1 and len(lines[0]) in _JOINED:
        width = _JOINED[len(lines[0])]
        return tuple(lines[0][start : start + width] for start in range(0, len(lines[0]), width))
    return lines


def parse_mrz(lines: Sequence[str]) -> Mrz:
    """Return the zone of these lines (or of a reader's whole text); DocumentInvalid if the shape is of no format."""
    found = mrz_lines(lines if isinstance(lines, str) else "\n".join(lines))
    name = _format_of(found)
    layout = LAYOUTS[name]
    raw = {key: _cut(found, span) for key, span in layout.spans.items()}
    if layout.overflow:
        raw = _long_number(raw, layout.overflow)
    checks = _checks(raw, found, layout)
    surname, given = _names(raw["names"])
    problems = (
        *_broken_rules(raw),
        *(f"check digit of {key} does not fit" for key, good in checks.items() if not good),
    )
    return Mrz(
        format=name,
        type=raw["type"].rstrip("<"),
        issuer=raw["issuer"].rstrip("<"),
        surname=surname,
        given=given,
        number=raw["number"].rstrip("<"),
        nationality=raw["nationality"].rstrip("<"),
        birth=raw["birth"],
        sex="X" if raw["sex"] == "<" else raw["sex"],
        expiry=raw["expiry"],
        checks=checks,
        problems=problems,
        **{key: raw[key].rstrip("<") for key in layout.optionals},
    )


def full_date(yymmdd: str, pivot_today: date, kind: Literal["birth", "expiry"]) -> date:
    """Return the date with its century: a birth is the latest not after today, an expiry the nearest to today.

    DocumentInvalid if the date is partly unknown or was in none of these centuries.
    """
    if not re.fullmatch(r"[0-9]{6}", yymmdd):
        raise DocumentInvalid(f"the {kind} date is not six digits")
    year, month, day = int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:])
    base = pivot_today.year // 100 * 100 + year
    dates = [real for century in (-100, 0, 100) if (real := _real_date(base + century, month, day))]
    if kind == "birth":
        dates = [one for one in dates if one <= pivot_today]
    if not dates:
        raise DocumentInvalid(f"the {kind} date is not in the calendar")
    return max(dates) if kind == "birth" else min(dates, key=lambda one: abs(one - pivot_today))


def _format_of(lines: tuple[str, ...]) -> str:
    widths = [len(line) for line in lines]
    if any(not re.fullmatch(r"[A-Z0-9<]*", line) for line in lines):
        raise DocumentInvalid(
            "a machine-readable zone has only A-Z, 0-9 and <", cure="clean the reader's glass, read again"
        )
    if widths == [30, 30, 30]:
        return "TD1"
    if widths == [44, 44]:
        return "MRV-A" if lines[0].startswith("V") else "TD3"
    if widths == [36, 36]:
        return "MRV-B" if lines[0].startswith("V") else "TD2"
    raise DocumentInvalid(f"lines of {widths} characters fit no format: 3 x 30, 2 x 36 or 2 x 44", cure="read again")


def _cut(lines: tuple[str, ...], span: Span) -> str:
    line, start, stop = span
    return lines[line][start:stop]


def _long_number(raw: dict[str, str], overflow: str) -> dict[str, str]:
    """Join a number longer than nine: filler as its check digit, rest and true check digit in the optional field."""
    rest, _, remaining = raw[overflow].partition("<")
    if raw["number_check"] != "<" or "<" in raw["number"] or len(rest) < 2:
        return raw
    return raw | {"number": raw["number"] + rest[:-1], "number_check": rest[-1], overflow: remaining}


def _checks(raw: dict[str, str], lines: tuple[str, ...], layout: _Layout) -> dict[str, bool]:
    checks = {key: raw[f"{key}_check"] == check_digit(raw[key]) for key in ("number", "birth", "expiry")}
    if not raw["expiry"].strip("<"):
        checks["expiry"] = raw["expiry_check"] in "0<"
    if "personal_check" in raw:
        empty = not raw["personal_number"].strip("<")
        wanted = check_digit(raw["personal_number"])
        checks["personal"] = raw["personal_check"] == wanted or (empty and raw["personal_check"] == "<")
    if layout.composite:
        whole = "".join(_cut(lines, span) for span in layout.composite)
        checks["composite"] = _cut(lines, layout.composite_check) == check_digit(whole)
    return checks


def _names(zone: str) -> tuple[str, str]:
    surname, _, given = zone.strip("<").partition("<<")
    return " ".join(surname.split("<")), " ".join(part for part in given.split("<") if part)


def _country_ok(code: str) -> bool:
    return re.fullmatch(r"[A-Z]{1,3}<*", code) is not None


def _date_ok(yymmdd: str) -> bool:
    """Unknown days, months or years may be fillers (9303-3 section 4.8)."""
    if not re.fullmatch(r"[0-9]{6}|[0-9]{4}<<|[0-9]{2}<{4}|<{6}", yymmdd):
        return False
    known = yymmdd.replace("<", "")
    month, day = int(known[2:4] or 1), int(known[4:] or 1)
    leap_or_not = 2000 + int(known[:2] or 0)
    return _real_date(leap_or_not, month, day) is not None


def _names_ok(zone: str) -> bool:
    """Letters; single fillers inside a part, one double filler between surname and given names."""
    return re.fullmatch(r"[A-Z]+(<[A-Z]+)*(<<[A-Z]+(<[A-Z]+)*)?<*", zone) is not None


_RULES: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "type": (lambda text: re.fullmatch(r"[A-Z][A-Z0-9<]", text) is not None, "type does not begin with a letter"),
    "issuer": (_country_ok, "issuer is not one to three letters"),
    "nationality": (_country_ok, "nationality is not one to three letters"),
    "number": (lambda text: not text.startswith("<"), "number is empty or begins with a filler"),
    "birth": (_date_ok, "birth is not a date"),
    "expiry": (_date_ok, "expiry is not a date"),
    "sex": (lambda text: text in "MFX<", "sex is none of M, F, X and filler"),
    "names": (_names_ok, "names begin with a filler, have digits, or more than two parts"),
}


def _broken_rules(raw: dict[str, str]) -> tuple[str, ...]:
    return tuple(problem for key, (good, problem) in _RULES.items() if not good(raw[key]))


def _real_date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
