"""Numbers of resident identity cards and of the residence permits that share their build (GB 11643-1999).

      110101 19900307 867 0    division, birth, order (odd: male), check: weights 2^(17-i), sum mod 11 -> 10X98765432
      110101   900307 867      the old form of 15 digits: no century (19), no check

81, 82, 83 begin the residence permits of Hong Kong, Macao and Taiwan residents (2018), 9 the permanent residence permit
of foreigners (2023). The division code is not held against a number: codes of past decades stay on cards.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from core.identity.text import shorten, squeeze

PROVINCE_CODES = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83), (90, 99))
    for code in range(first, last + 1)
)
"""How numbers begin; a hint that a text is one, never a ground to refuse it."""
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_OLDEST_YEAR = 1800


class ResidentKind(StrEnum):
    """Which card the number is printed on."""

    RESIDENT = "resident"
    RESIDENT_15 = "resident_15"
    HK_RESIDENCE = "hk_residence"
    MACAO_RESIDENCE = "macao_residence"
    TAIWAN_RESIDENCE = "taiwan_residence"
    FOREIGN_PERMANENT = "foreign_permanent"


_BY_PREFIX = {
    "81": ResidentKind.HK_RESIDENCE,
    "82": ResidentKind.MACAO_RESIDENCE,
    "83": ResidentKind.TAIWAN_RESIDENCE,
}


@dataclass(frozen=True, slots=True)
class ResidentId:
    """A number as read; `birth` (YYYYMMDD) and `sex` (M, F) stand, as far as it has them, also when it is wrong."""

    valid: bool
    birth: str = field(default="", repr=False)
    birth_ok: bool = False
    """Whether `birth` is in the calendar."""
    sex: str = ""
    check_ok: bool = False
    """True for the old form too, which has no check digit to be wrong."""
    check_computed: str = ""
    kind: ResidentKind | None = None
    problem: str = ""
    number18: str = field(default="", repr=False)
    """The number in the form of 18; the old form is brought up to it."""


def resident_check(body: str) -> str:
    """Return the check sign, 0-9 or X, of 17 digits."""
    return _CHECKS[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]


def parse_resident_id(text: str) -> ResidentId:
    """Return what the number says and whether it can be one; never raises."""
    number = squeeze(shorten(text))
    if re.fullmatch(r"[0-9]{15}", number):
        body = f"{number[:6]}19{number[6:]}"
        return _read(body, resident_check(body), ResidentKind.RESIDENT_15)
    if re.fullmatch(r"[0-9]{17}[0-9X]", number):
        return _read(number[:17], number[17], _kind(number))
    if len(number) not in (15, 18):
        return ResidentId(valid=False, problem=f"{min(len(number), 65)} characters instead of 18 or 15")
    return ResidentId(valid=False, problem="illegal character: digits, and X at the end of 18")


def _kind(number: str) -> ResidentKind:
    if number.startswith("9"):
        return ResidentKind.FOREIGN_PERMANENT
    return _BY_PREFIX.get(number[:2], ResidentKind.RESIDENT)


def _read(body: str, check: str, kind: ResidentKind) -> ResidentId:
    birth, computed = body[6:14], resident_check(body)
    birth_ok = _is_date(birth)
    problems = []
    if not birth_ok:
        problems.append("birth is not a date")
    if check != computed:
        problems.append("check digit does not fit")
    return ResidentId(
        valid=not problems,
        birth=birth,
        birth_ok=birth_ok,
        sex="M" if int(body[16]) % 2 else "F",
        check_ok=check == computed,
        check_computed=computed,
        kind=kind,
        problem="; ".join(problems),
        number18=body + check,
    )


def _is_date(yyyymmdd: str) -> bool:
    year, month, day = int(yyyymmdd[:4]), int(yyyymmdd[4:6]), int(yyyymmdd[6:])
    try:
        date(year, month, day)
    except ValueError:
        return False
    return year >= _OLDEST_YEAR
