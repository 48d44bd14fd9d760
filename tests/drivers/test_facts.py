"""What facts show to people: nothing that names a person or a car."""

import dataclasses

import pytest

from drivers.facts import CredentialRead, Fact, PlateRead
from drivers.gat1400.facts import NonMotorVehicleSeen
from drivers.jt808.facts import ParametersAnswered, TerminalRegistered
from drivers.registry import driver, names

_NAMING = frozenset({"plate", "text", "name", "document", "id_number", "holder", "phone", "passenger"})
_NAMES_NOBODY = frozenset((kind, name) for kind in ("TextTold", "LicenceTold") for name in ("text", "name"))
"""What a switch says of itself, and of a licence."""


def _facts():
    return sorted({fact for name in names() for fact in driver(name).facts}, key=lambda one: one.__name__)


@pytest.mark.parametrize("fact", _facts(), ids=lambda one: one.__name__)
def test_a_field_that_names_somebody_is_private(fact):
    named = {field.name for field in dataclasses.fields(fact)} & _NAMING
    named -= {field for kind, field in _NAMES_NOBODY if kind == fact.__name__}
    assert named <= fact.PRIVATE


@pytest.mark.parametrize(
    ("fact", "secret"),
    [
        (CredentialRead("P<UTOSECRET<<X|U123"), "SECRET"),
        (PlateRead("粤C12345", confidence=0.9), "C12345"),
        (NonMotorVehicleSeen("1", plate="珠海A12345"), "A12345"),
        (TerminalRegistered("013800000000", 2013, 44, 400, "GF", "M", "D", "粤C12345", 1), "C12345"),
        (ParametersAnswered("013800000000", 1, {"0083": "粤C12345", "0001": 30}, {"F001": "C12345"}), "C12345"),
    ],
)
def test_what_is_shown_has_no_secret(fact: Fact, secret):
    shown = fact.shown()
    assert secret not in str(shown)
    assert shown, "it is not shown by leaving everything out"
