"""What the offline decode command shows: one plain dict per kind of text."""

from collections.abc import Callable, Mapping
from typing import Any

from core.identity.mrz import parse_mrz
from core.identity.permits import parse_permit
from core.identity.plates import parse_plate
from core.identity.resident import parse_resident_id


def describe_mrz(text: str) -> dict[str, Any]:
    """Return the fields of a zone, dates as printed (YYMMDD); DocumentInvalid if the shape is of no format."""
    zone = parse_mrz((text,))
    return {
        "format": zone.format,
        "issuer": zone.issuer,
        "surname": zone.surname,
        "given": zone.given,
        "number": zone.number,
        "nationality": zone.nationality,
        "birth": zone.birth,
        "sex": zone.sex,
        "expiry": zone.expiry,
        "checks": dict(zone.checks),
        "valid": zone.valid,
    }


def describe_plate(text: str) -> dict[str, Any]:
    """Return the form and the region of a plate; both empty if it fits none."""
    plate = parse_plate(text)
    return {"valid": plate.valid, "kind": str(plate.kind or ""), "region": str(plate.region or "")}


def describe_resident_id(text: str) -> dict[str, Any]:
    """Return what a resident number says; birth is YYYYMMDD."""
    found = parse_resident_id(text)
    return {"valid": found.valid, "birth": found.birth, "sex": found.sex, "check_ok": found.check_ok}


def describe_permit(text: str) -> dict[str, Any]:
    """Return which permit a number is of, and why not if it is of none."""
    found = parse_permit(text)
    return {
        "valid": found.valid,
        "kind": str(found.kind or ""),
        "issuer": found.issuer,
        "lifetime_no": found.lifetime_no,
        "reissue": found.reissue,
        "check": found.check,
        "problem": found.problem,
    }


DESCRIBERS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "mrz": describe_mrz,
    "plate": describe_plate,
    "resident-id": describe_resident_id,
    "permit": describe_permit,
}
"""By the name that the command line gives the kind."""
