"""Number plates of the mainland (GA 36-2018), Macao and Hong Kong, and of the cars that carry several of them.

      粤B12345  粤BA03205  粤B12345D  粤B1234挂  粤Z1234澳     province, letter (no I, O), then what the form says
      MX-12-34  M-00-01   AA-12-34  ES-123  EX-123  ZA1234  CM-12345
      AB1234    A1  AM1234                                    Hong Kong: no I, O, Q; no leading zero

A normal form has neither dots nor dashes nor spaces. An O or I read where only a digit can stand becomes 0 or 1, and
nothing else is repaired. That an ordinary plate has at most two letters after the first is not held against a plate.
What fits no form may still be a plate (Hong Kong sells free texts): not valid, but its normal form still names it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from core.errors import GatefleetError
from core.identity.text import fold, shorten

MAX_TEXT = 32
PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_SUFFIXES = "挂学警领使港澳"
_SEPARATORS = "·•・‧∙.-‐‑–—−_"
_NORMAL = str.maketrans("粵滬閩蘇贛遼雲陝貴寧瓊魯晉領學掛", "粤沪闽苏赣辽云陕贵宁琼鲁晋领学挂", _SEPARATORS)
"""Traditional signs, as Macao and Hong Kong write them, to those of the mainland's plates."""


class PlateKind(StrEnum):
    """Which form a plate has."""

    ORDINARY = "ordinary"
    NEW_ENERGY_SMALL = "new_energy_small"
    NEW_ENERGY_LARGE = "new_energy_large"
    TRAILER = "trailer"
    SCHOOL = "school"
    POLICE = "police"
    CONSULATE = "consulate"
    EMBASSY = "embassy"
    CROSS_BORDER_HK = "cross_border_hk"
    CROSS_BORDER_MACAO = "cross_border_macao"
    MACAO = "macao"
    MACAO_GOVERNMENT = "macao_government"
    MACAO_TRADE = "macao_trade"
    MACAO_GARRISON = "macao_garrison"
    MACAO_MOPED = "macao_moped"
    HK = "hk"
    HK_GOVERNMENT = "hk_government"
    HK_AMBULANCE = "hk_ambulance"
    HK_FIRE = "hk_fire"
    HK_LEGISLATURE = "hk_legislature"
    HK_GARRISON = "hk_garrison"


class PlateRegion(StrEnum):
    """Who issued the plate; dual: the mainland, to a car of Hong Kong or Macao."""

    CN = "CN"
    MO = "MO"
    HK = "HK"
    DUAL = "dual"


_MAINLAND_LETTER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_SLOTS = {
    "p": PROVINCES,
    "l": _MAINLAND_LETTER,
    "a": _MAINLAND_LETTER + "0123456789",
    "e": "ABCDEFGHJK",
    "d": "0123456789",
    "n": "123456789",
    "u": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "h": "ABCDEFGHJKLMNPRSTUVWXYZ",
}
"""The small letters of the forms below: which signs may stand there. Everything else in a form stands for itself."""

_HK_PREFIXES = (
    ("AM", PlateKind.HK_GOVERNMENT),
    ("LC", PlateKind.HK_LEGISLATURE),
    ("ZG", PlateKind.HK_GARRISON),
    ("A", PlateKind.HK_AMBULANCE),
    ("F", PlateKind.HK_FIRE),
    ("h", PlateKind.HK),
    ("hh", PlateKind.HK),
)
_FORMS: tuple[tuple[str, PlateKind, PlateRegion], ...] = (
    ("粤Zaaaa港", PlateKind.CROSS_BORDER_HK, PlateRegion.DUAL),
    ("粤Zaaaa澳", PlateKind.CROSS_BORDER_MACAO, PlateRegion.DUAL),
    ("plaaaaa", PlateKind.ORDINARY, PlateRegion.CN),
    ("pleadddd", PlateKind.NEW_ENERGY_SMALL, PlateRegion.CN),
    ("plddddde", PlateKind.NEW_ENERGY_LARGE, PlateRegion.CN),
    ("plaaaa挂", PlateKind.TRAILER, PlateRegion.CN),
    ("plaaaa学", PlateKind.SCHOOL, PlateRegion.CN),
    ("plaaaa警", PlateKind.POLICE, PlateRegion.CN),
    ("plaaaa领", PlateKind.CONSULATE, PlateRegion.CN),
    ("pddddd领", PlateKind.CONSULATE, PlateRegion.CN),
    ("pdddddd领", PlateKind.CONSULATE, PlateRegion.CN),
    ("dddddd使", PlateKind.EMBASSY, PlateRegion.CN),
    ("使dddddd", PlateKind.EMBASSY, PlateRegion.CN),
    ("M0ddd", PlateKind.MACAO_GOVERNMENT, PlateRegion.MO),
    ("Mu0ddd", PlateKind.MACAO_GOVERNMENT, PlateRegion.MO),
    ("Mdddd", PlateKind.MACAO, PlateRegion.MO),
    ("Mudddd", PlateKind.MACAO, PlateRegion.MO),
    ("ZAdddd", PlateKind.MACAO_GARRISON, PlateRegion.MO),
    ("CMndddd", PlateKind.MACAO_MOPED, PlateRegion.MO),
    *(
        (f"{trade}{'d' * count}", PlateKind.MACAO_TRADE, PlateRegion.MO)
        for trade in ("ES", "EX")
        for count in (2, 3, 4)
    ),
    *((f"{start}n{'d' * more}", kind, PlateRegion.HK) for start, kind in _HK_PREFIXES for more in (0, 1, 2, 3)),
)
"""The first form that fits wins. MX1234 without its dashes could be of Hong Kong too: at this border it is of Macao."""

_DASHED = ("Au-0d-dd", PlateKind.MACAO_GOVERNMENT), ("Au-dd-dd", PlateKind.MACAO)
"""Macao goes on with AA after MZ (transport bureau, 2018); only the dashes tell these from Hong Kong's."""

_REPAIRS = {"O": "0", "I": "1"}


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate as read. `text` is the normal form, also of what is not valid; equal texts are equal plates."""

    valid: bool
    text: str = field(repr=False)
    kind: PlateKind | None = None
    region: PlateRegion | None = None
    problem: str = ""


def plate_text(text: str) -> str:
    """Return the normal form without repair: one width and case, no separators, the mainland's signs."""
    return "".join(fold(text).translate(_NORMAL).split())


def parse_plate(text: str) -> Plate:
    """Return what plate this is and its normal form; never raises. `parse_plate(p.text).text == p.text`."""
    short = shorten(text, MAX_TEXT)
    plain = plate_text(short)
    if len(short) > MAX_TEXT:
        return Plate(valid=False, text=plain, problem="too long")
    dashed = "".join(fold(short).split())
    for form, kind in _DASHED:
        if fitted := _fit(dashed, form):
            return _accepted(fitted.replace("-", ""), kind, PlateRegion.MO)
    for form, kind, region in _FORMS:
        if fitted := _fit(plain, form):
            return _accepted(fitted, kind, region)
    return Plate(valid=False, text=plain, problem=_why_not(plain))


def _accepted(text: str, kind: PlateKind, region: PlateRegion) -> Plate:
    if region is PlateRegion.MO and kind is not PlateKind.MACAO_TRADE and text.endswith("0000"):
        return Plate(valid=False, text=text, problem="number 0000 is not issued")
    return Plate(valid=True, text=text, kind=kind, region=region)


def _fit(text: str, form: str) -> str:
    """Return the text as this form has it, mended where it must be, or nothing."""
    if len(text) != len(form):
        return ""
    signs = []
    for sign, slot in zip(text, form, strict=True):
        allowed = _SLOTS.get(slot, slot)
        fixed = sign if sign in allowed else _REPAIRS.get(sign, sign)
        if fixed not in allowed:
            return ""
        signs.append(fixed)
    return "".join(signs)


def _why_not(text: str) -> str:
    """Say in technician's words what stands in the way, the most telling first."""
    legal = PROVINCES + _SUFFIXES + _SLOTS["u"] + _SLOTS["d"]
    first = text[:1]
    if first not in legal and "\u4e00" <= first <= "\u9fff":
        return "unknown province"
    if any(sign not in legal for sign in text):
        return "illegal character"
    return _why_not_mainland(text) if first and first in PROVINCES else _why_not_local(text)


def _why_not_mainland(text: str) -> str:
    if text[1:2] in ("I", "O"):
        return "I and O are not issued as second character"
    if len(text) < 7:
        return "too short"
    return "too long" if len(text) > 8 else "fits no form of the mainland"


def _why_not_local(text: str) -> str:
    if not text:
        return "empty"
    letters = len(text) - len(text.lstrip(_SLOTS["u"]))
    if letters > 2:
        return "one letter after M only" if text.startswith("M") else "more than two letters"
    if len(text) - letters > 5:
        return "too long"
    return "fits no form of Macao or Hong Kong"


class PlateSetInvalid(GatefleetError):
    """These plates cannot be the plates of one car."""

    code = "plate_set_invalid"


@dataclass(frozen=True, slots=True)
class PlateSet:
    """The plates that one car carries: one to three, all valid, one of a region; order means nothing."""

    plates: frozenset[Plate]

    def __post_init__(self) -> None:
        if any(not plate.valid for plate in self.plates):
            raise PlateSetInvalid("a plate of the set is not valid", cure="check each with the decode command")
        if not 1 <= len(self.plates) <= 3:
            raise PlateSetInvalid(f"{len(self.plates)} plates; a car carries one to three")
        if len({plate.region for plate in self.plates}) != len(self.plates):
            raise PlateSetInvalid("two plates of one region cannot be on one car")

    @classmethod
    def of(cls, *texts: str) -> "PlateSet":
        """Return the set of these readings; the same plate read twice counts once."""
        return cls(frozenset(parse_plate(text) for text in texts))

    def __iter__(self) -> Iterator[Plate]:
        return iter(sorted(self.plates, key=lambda plate: plate.text))

    def __len__(self) -> int:
        return len(self.plates)

    def __contains__(self, text: str) -> bool:
        """Tell whether this reading is one of the car's plates, exactly."""
        return any(plate.text == parse_plate(text).text for plate in self.plates)

    def distance(self, text: str) -> int:
        """Return how far a reading is from the nearest plate of the car (`confusable_distance`)."""
        return min(confusable_distance(text, plate.text) for plate in self.plates)


PLAIN_EDIT = 3
"""What a changed, lost or added sign costs that no camera confuses; a confusable one costs 1."""
_PAIRS = ("O0", "I1", "B8", "S5", "Z2", "D0", "粤澳")
_CONFUSABLE = frozenset(frozenset(pair) for pair in _PAIRS)
_CONFUSED_WITH = {
    sign: tuple(pair.replace(sign, "") for pair in _PAIRS if sign in pair) for sign in sorted(set("".join(_PAIRS)))
}


def confusable_distance(a: str, b: str) -> int:
    """Return 0 for one plate; a confusable sign (O/0, I/1, B/8, S/5, Z/2, D/0, 粤/澳) adds 1, other edits PLAIN_EDIT.

    Only for hits that alert or divert. Below PLAIN_EDIT the two differ in confusable signs alone.
    """
    left, right = parse_plate(a).text, parse_plate(b).text
    row = [PLAIN_EDIT * place for place in range(len(right) + 1)]
    for place, sign in enumerate(left, 1):
        above, row = row, [PLAIN_EDIT * place]
        for column, other in enumerate(right):
            swap = 0 if sign == other else 1 if frozenset((sign, other)) in _CONFUSABLE else PLAIN_EDIT
            row.append(min(above[column] + swap, above[column + 1] + PLAIN_EDIT, row[column] + PLAIN_EDIT))
    return row[-1]


def confusable_variants(text: str) -> tuple[str, ...]:
    """Return the normal forms one confusable sign away from a reading: what a list of tokens is asked.

    At most two for each sign, mended where the grammar forces a sign; one that is mended back to the reading itself is
    not listed.
    """
    read = parse_plate(text).text
    swapped = (
        read[:place] + other + read[place + 1 :]
        for place, sign in enumerate(read)
        for other in _CONFUSED_WITH.get(sign, ())
    )
    return tuple(sorted({parse_plate(variant).text for variant in swapped} - {read}))
