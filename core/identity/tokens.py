"""Keyed tokens of subjects, which lists and records hold instead of numbers; and what a reader's text identifies.

      token    = kind letter + base64url(HMAC(key, message)), 44 characters, no padding
      message  = "gatefleet/token/v1" NUL domain NUL normal identifier, its parts parted by NUL:
                 doc NUL issuer NUL number, resident NUL number18, permit NUL kind NUL number,
                 plate NUL text, qr NUL text

Promises:
1. One identifier has one token, whichever reader sent it and in whatever case, width, padding or form.
2. Two identifiers of different kinds never share a message.
3. What does not parse as its kind gets no token, but a refusal; a plate that fits no form is still a plate.
4. Every text of 1 to 512 signs identifies something; what no grammar claims is opaque, and longer texts are refused.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.errors import GatefleetError, Whose
from core.identity.mrz import DocumentInvalid, mrz_lines, parse_mrz
from core.identity.permits import PermitKind, parse_permit
from core.identity.plates import MAX_TEXT as MAX_PLATE
from core.identity.plates import PlateRegion, parse_plate, plate_text
from core.identity.resident import PROVINCE_CODES, ResidentKind, parse_resident_id
from core.identity.text import squeeze

MAX_TEXT = 512
MIN_KEY_BYTES = 16
_VERSION = "gatefleet/token/v1"
_NUL = "\0"


class TokenKind(StrEnum):
    """What a token stands for."""

    DOCUMENT = "document"
    RESIDENT = "resident"
    PERMIT = "permit"
    PLATE = "plate"
    OPAQUE = "opaque"
    """A text that only its issuer understands, such as the code of a pass."""


LETTERS: Mapping[TokenKind, str] = {
    TokenKind.DOCUMENT: "d",
    TokenKind.RESIDENT: "r",
    TokenKind.PERMIT: "p",
    TokenKind.PLATE: "v",
    TokenKind.OPAQUE: "q",
}
_DOMAINS: Mapping[TokenKind, str] = {
    TokenKind.DOCUMENT: "doc",
    TokenKind.RESIDENT: "resident",
    TokenKind.PERMIT: "permit",
    TokenKind.PLATE: "plate",
    TokenKind.OPAQUE: "qr",
}


class IdentifierRefused(GatefleetError):
    """A text that cannot be an identifier of its kind."""

    code = "identifier_refused"
    whose = Whose.REFUSED


class TokenKeyInvalid(GatefleetError):
    """The key or the HMAC given cannot make tokens."""

    code = "token_key_invalid"


def subject_token(kind: TokenKind, natural: str, key: bytes, hmac: Callable[[bytes, bytes], bytes]) -> str:
    """Return the token of an identifier in any form its parser takes; `hmac(key, message)` gives 32 bytes.

    IdentifierRefused if the text is none of its kind.
    """
    if len(key) < MIN_KEY_BYTES:
        raise TokenKeyInvalid(f"a token key has at least {MIN_KEY_BYTES} bytes, this one {len(key)}")
    digest = hmac(key, token_message(kind, natural))
    if len(digest) != 32:
        raise TokenKeyInvalid(f"the HMAC gave {len(digest)} bytes instead of 32")
    return LETTERS[kind] + base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def token_message(kind: TokenKind, natural: str) -> bytes:
    """Return the bytes that the HMAC of a token is taken over."""
    normal = normal_identifier(kind, natural)
    parts = normal.split("/", 1) if kind in (TokenKind.DOCUMENT, TokenKind.PERMIT) else [normal]
    return _NUL.join((_VERSION, _DOMAINS[kind], *parts)).encode()


def normal_identifier(kind: TokenKind, text: str) -> str:
    """Return the one form of an identifier: `issuer/number`, 18 digits, `permit kind/number`, plate, or the text."""
    if len(text) > MAX_TEXT:
        raise IdentifierRefused(f"{len(text)} characters; at most {MAX_TEXT}")
    return _NORMAL_FORMS[kind](text)


def _document(text: str) -> str:
    issuer, slash, number = squeeze(text).partition("/")
    if not slash:
        try:
            zone = parse_mrz((text,))
        except DocumentInvalid as error:
            raise IdentifierRefused(error.detail, cure="give issuer/number or the machine-readable zone") from error
        issuer, number = zone.issuer, zone.number
        if not zone.valid:
            raise IdentifierRefused(zone.problems[0])
    return _document_identifier(issuer, number)


def _document_identifier(issuer: str, number: str) -> str:
    issuer, number = issuer.rstrip("<"), re.sub(r"[<-]", "", number)
    if not re.fullmatch(r"[A-Z]{1,3}", issuer) or not re.fullmatch(r"[A-Z0-9]{1,32}", number):
        raise IdentifierRefused("not an issuer of one to three letters and a number of letters and digits")
    return f"{issuer}/{number}"


def _resident(text: str) -> str:
    found = parse_resident_id(text)
    if not found.valid:
        raise IdentifierRefused(found.problem)
    return found.number18


def _permit(text: str) -> str:
    name, slash, number = text.partition("/")
    named = slash and name.lower() in set(PermitKind)
    found = parse_permit(number, PermitKind(name.lower())) if named else parse_permit(text)
    if not found.valid or found.kind is None:
        raise IdentifierRefused(found.problem)
    return f"{found.kind}/{found.number}"


def _plate(text: str) -> str:
    plate = parse_plate(text)
    if len(text) > MAX_PLATE or not plate.text.isalnum():
        raise IdentifierRefused(plate.problem or "not a plate")
    return plate.text


def _opaque(text: str) -> str:
    stripped = text.strip()
    if not stripped or _NUL in stripped or not _encodable(stripped):
        raise IdentifierRefused("empty, or with signs that are no text")
    return stripped


def _encodable(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


_NORMAL_FORMS: Mapping[TokenKind, Callable[[str], str]] = {
    TokenKind.DOCUMENT: _document,
    TokenKind.RESIDENT: _resident,
    TokenKind.PERMIT: _permit,
    TokenKind.PLATE: _plate,
    TokenKind.OPAQUE: _opaque,
}


@dataclass(frozen=True, slots=True)
class PersonHints:
    """What the text says of its holder; dates are YYMMDD from a zone and YYYYMMDD from a resident number."""

    nationality: str = ""
    birth: str = field(default="", repr=False)
    sex: str = ""
    expiry: str = ""
    """Empty also if the document says that it never expires."""
    document: str = ""
    """passport, visa, identity_card, or the kind of resident number or permit."""


@dataclass(frozen=True, slots=True)
class Identified:
    """What a reader's text is. With a `problem` it has the shape of its kind but is misread: let nobody pass on it."""

    kind: TokenKind
    natural: str = field(repr=False)
    """The normal identifier, which `subject_token` takes; empty if the text is too broken to have one."""
    hints: PersonHints = PersonHints()
    problem: str = ""


def identify(text: str) -> Identified:
    """Return what this text of a reader is; IdentifierRefused if it is empty, no text, or longer than 512 signs."""
    if len(text) > MAX_TEXT:
        raise IdentifierRefused(f"{len(text)} characters; at most {MAX_TEXT}", cure="check the reader's framing")
    stripped = _opaque(text)
    for recognise in (_identify_zone, _identify_resident, _identify_permit, _identify_plate):
        if found := recognise(stripped):
            return found
    return Identified(TokenKind.OPAQUE, stripped)


_ZONE_KINDS = {"P": "passport", "V": "visa", "I": "identity_card", "A": "identity_card", "C": "identity_card"}


def _identify_zone(text: str) -> Identified | None:
    lines = mrz_lines(text)
    shaped = len(lines) in (2, 3) and all(re.fullmatch(r"[A-Z0-9<]{25,48}", line) for line in lines)
    if not shaped or not any("<<" in line for line in lines):
        return None
    try:
        zone = parse_mrz(lines)
    except DocumentInvalid as error:
        return Identified(TokenKind.DOCUMENT, "", problem=error.detail)
    try:
        natural = _document_identifier(zone.issuer, zone.number)
    except IdentifierRefused:
        natural = ""
    expiry = zone.expiry if zone.expiry.strip("<") else ""
    document = _ZONE_KINDS.get(zone.type[:1], "travel_document")
    hints = PersonHints(zone.nationality, zone.birth, zone.sex, expiry, document)
    return Identified(TokenKind.DOCUMENT, natural, hints, "; ".join(zone.problems))


def _identify_resident(text: str) -> Identified | None:
    """A date of birth and a known province tell a number with a wrong check digit from any 18 digits."""
    found = parse_resident_id(text)
    if found.kind is None or not found.birth_ok or found.number18[:2] not in PROVINCE_CODES:
        return None
    nationality = "" if found.kind is ResidentKind.FOREIGN_PERMANENT else "CHN"
    hints = PersonHints(nationality, found.birth, found.sex, document=str(found.kind))
    return Identified(TokenKind.RESIDENT, found.number18, hints, found.problem)


def _identify_permit(text: str) -> Identified | None:
    """A card number with a wrong check digit is taken for one only if it has its brackets."""
    found = parse_permit(text)
    if found.kind is None or not (found.valid or squeeze(text).endswith(")")):
        return None
    return Identified(
        TokenKind.PERMIT, f"{found.kind}/{found.number}", PersonHints(document=str(found.kind)), found.problem
    )


def _identify_plate(text: str) -> Identified | None:
    """Mended signs are trusted only beside a Chinese one: HI on a code is no plate H1."""
    plate = parse_plate(text)
    mainland = plate.region in (PlateRegion.CN, PlateRegion.DUAL)
    if not plate.valid or not (mainland or plate.text == plate_text(text)):
        return None
    return Identified(TokenKind.PLATE, plate.text)
