"""Every row of ids_plates.jsonl against the parsers; the rows' prose is mapped by tables here, nothing is skipped."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.identity.describe import describe_mrz, describe_plate, describe_resident_id
from core.identity.mrz import parse_mrz
from core.identity.permits import PermitKind, parse_permit
from core.identity.plates import parse_plate
from core.identity.resident import parse_resident_id

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "ids_plates.jsonl").read_text(encoding="utf-8").splitlines()
]

PROSE = {"note", "form"}
"""Keys that explain a row to a person; nothing in a result corresponds to them."""

KINDS = {
    "15-digit": "resident_15",
    "HK resident permit": "hk_residence",
    "Taiwan resident permit": "taiwan_residence",
    "Taiwan resident residence permit, Beijing police specimen": "taiwan_residence",
    "new energy small (A=pure electric series)": "new_energy_small",
    "new energy small": "new_energy_small",
    "ordinary/large": "ordinary",
    "ordinary": "ordinary",
    "ordinary (last char letter)": "ordinary",
    "police": "police",
    "trailer": "trailer",
    "Macao vehicle entering/leaving the mainland (粤Z + 4 alnum + 澳)": "cross_border_macao",
    "Macao Chief Executive (leading zeros reserved for government)": "macao_government",
}
REASONS = {
    "date 30 Feb": "birth is not a date; check digit does not fit",
    "check digit": "check digit does not fit",
    "letter in body": "illegal character: digits, and X at the end of 18",
    "not an HKID (looks like Home Return Permit H+8 digits)": "not the shape of hkid",
    "too short": "too short",
    "unknown province": "unknown province",
    "illegal char": "illegal character",
    "one letter after M only": "one letter after M only",
}
PARSERS: dict[str, Callable[[str], Any]] = {
    "mrz": lambda text: parse_mrz((text,)),
    "id-resident": parse_resident_id,
    "id-hkid": lambda text: parse_permit(text, PermitKind.HKID),
    "id-home-return": parse_permit,
    "plate": parse_plate,
}
RENAMED = {"upgraded_18": "number18", "reason": "problem"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['protocol']}-{row['input'].splitlines()[0]}")
def test_row(row: dict[str, Any]) -> None:
    found = PARSERS[row["protocol"]](row["input"])
    facts = {key: value for key, value in row["expected"].items() if key not in PROSE}
    if "kind" in facts:
        facts["kind"] = KINDS[facts["kind"]]
    if "reason" in facts:
        facts["reason"] = REASONS[facts["reason"]]
    assert {key: getattr(found, RENAMED.get(key, key)) for key in facts} == facts


@pytest.mark.parametrize(
    ("protocol", "describe", "keys"),
    [
        (
            "mrz",
            describe_mrz,
            [
                "format",
                "issuer",
                "surname",
                "given",
                "number",
                "nationality",
                "birth",
                "sex",
                "expiry",
                "checks",
                "valid",
            ],
        ),
        ("plate", describe_plate, ["valid", "kind", "region"]),
        ("id-resident", describe_resident_id, ["valid", "birth", "sex", "check_ok"]),
    ],
)
def test_decode_shows_exactly_its_keys_with_the_vectors_values(
    protocol: str, describe: Callable[[str], dict[str, Any]], keys: list[str]
) -> None:
    rows = [row for row in ROWS if row["protocol"] == protocol]
    assert rows
    for row in rows:
        shown = describe(row["input"])
        assert list(shown) == keys
        facts = {key: value for key, value in row["expected"].items() if key in keys}
        if "kind" in facts:
            facts["kind"] = KINDS[facts["kind"]]
        assert {key: shown[key] for key in facts} == facts
        assert json.loads(json.dumps(shown)) == shown


def test_the_home_return_number_that_is_no_hkid_is_a_home_return_number() -> None:
    assert parse_permit("H01487002").kind is PermitKind.HOME_RETURN
