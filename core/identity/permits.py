"""Permits and cards of the two systems: what their numbers look like, and what little they can prove.

      H12345678 [01]   Home Return Permit of a Hong Kong (H) or Macao (M) resident; 8 lifetime digits; the card of 1999
                       adds two digits that count its renewals, the card of 2013 has them apart (MPS notice of 2010)
      C12345678        mainland resident's permit for Hong Kong and Macao; since 2018 also C, letter (no I, O), 7 digits
      12345678         Taiwan compatriot permit, card of 2015: 8 lifetime digits
      1234567(8)       Macao resident card (BIR), begins with 1, 5 or 7; how its check digit is made is not public
      A123456(3)       Hong Kong identity card: one or two letters, weights 9 to 2, mod 11, A for ten, a blank counts 36

Only the last has a check digit that can be recomputed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.identity.text import shorten, squeeze

_BLANK = 36
_MAX = 32


class PermitKind(StrEnum):
    """Which permit or card a number belongs to."""

    HOME_RETURN = "home_return"
    EXIT_HK_MACAO = "exit_hk_macao"
    TAIWAN_COMPATRIOT = "taiwan_compatriot"
    MACAO_BIR = "macao_bir"
    HKID = "hkid"


@dataclass(frozen=True, slots=True)
class Permit:
    """A number as read. `issuer` is the place whose resident the holder is."""

    valid: bool
    kind: PermitKind | None = None
    issuer: str = ""
    lifetime_no: str = field(default="", repr=False)
    """The digits that the holder keeps for life; empty where a kind has none."""
    reissue: str = ""
    """Two digits that count renewals, if the number has them."""
    check: str = ""
    """The check sign as read; only that of a Hong Kong card is verified."""
    problem: str = ""
    number: str = field(default="", repr=False)
    """The number in one form, without the renewals: the same for every card of the holder's."""


def hkid_check(prefix: str, digits: str) -> str:
    """Return the check sign, 0-9 or A, of one or two letters and six digits."""
    values = [_BLANK] * (2 - len(prefix)) + [ord(letter) - 55 for letter in prefix] + [int(digit) for digit in digits]
    rest = -sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True)) % 11
    return "A" if rest == 10 else str(rest)


def _home_return(found: re.Match[str]) -> Permit:
    place = "Hong Kong" if found["place"] == "H" else "Macao"
    life = found["life"]
    number = found["place"] + life
    return Permit(True, PermitKind.HOME_RETURN, place, life, found["reissue"] or "", number=number)


def _exit_hk_macao(found: re.Match[str]) -> Permit:
    return Permit(True, PermitKind.EXIT_HK_MACAO, "Mainland", number=found[0])


def _taiwan(found: re.Match[str]) -> Permit:
    return Permit(True, PermitKind.TAIWAN_COMPATRIOT, "Taiwan", found[0], number=found[0])


def _macao_bir(found: re.Match[str]) -> Permit:
    number = found["first"] + found["rest"] + found["check"]
    return Permit(True, PermitKind.MACAO_BIR, "Macao", check=found["check"], number=number)


def _hkid(found: re.Match[str]) -> Permit:
    prefix, digits, check = found["prefix"], found["digits"], found["check"]
    good = hkid_check(prefix, digits) == check
    problem = "" if good else "check digit does not fit"
    return Permit(good, PermitKind.HKID, "Hong Kong", check=check, problem=problem, number=prefix + digits + check)


_FORMS: Mapping[PermitKind, re.Pattern[str]] = {
    PermitKind.HOME_RETURN: re.compile(r"(?P<place>[HM])(?P<life>[0-9]{8})(?P<reissue>[0-9]{2})?"),
    PermitKind.EXIT_HK_MACAO: re.compile(r"C(?:[0-9]|[A-HJ-NP-Z])[0-9]{7}"),
    PermitKind.TAIWAN_COMPATRIOT: re.compile(r"[0-9]{8}"),
    PermitKind.MACAO_BIR: re.compile(
        r"(?P<first>[157])/?(?P<rest>[0-9]{6})(?P<mark>[(/-])?(?P<check>[0-9])(?(mark)\)?)"
    ),
    PermitKind.HKID: re.compile(
        r"(?P<prefix>[A-Z]{1,2})(?P<digits>[0-9]{6})(?P<mark>[(/-])?(?P<check>[0-9A])(?(mark)\)?)"
    ),
}
_READERS = {
    PermitKind.HOME_RETURN: _home_return,
    PermitKind.EXIT_HK_MACAO: _exit_hk_macao,
    PermitKind.TAIWAN_COMPATRIOT: _taiwan,
    PermitKind.MACAO_BIR: _macao_bir,
    PermitKind.HKID: _hkid,
}


def parse_permit(text: str, kind: PermitKind | None = None) -> Permit:
    """Return the permit of this number, as the given kind or as the first that fits; never raises.

    Eight bare digits are a Taiwan permit; a Macao card shows itself by the brackets round its last digit.
    """
    number = squeeze(shorten(text, _MAX))
    for candidate in PermitKind if kind is None else (kind,):
        if found := _FORMS[candidate].fullmatch(number):
            return _READERS[candidate](found)
    wanted = "any known permit" if kind is None else str(kind)
    return Permit(valid=False, kind=kind, problem=f"not the shape of {wanted}")
