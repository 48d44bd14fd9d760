import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.identity.permits import PermitKind, hkid_check, parse_permit

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("text", "kind", "issuer", "number", "life", "reissue"),
    [
        ("H12345678", "home_return", "Hong Kong", "H12345678", "12345678", ""),
        ("H1234567801", "home_return", "Hong Kong", "H12345678", "12345678", "01"),
        ("m1234 5678 02", "home_return", "Macao", "M12345678", "12345678", "02"),
        ("C12345678", "exit_hk_macao", "Mainland", "C12345678", "", ""),
        ("CA0000001", "exit_hk_macao", "Mainland", "CA0000001", "", ""),
        ("12345678", "taiwan_compatriot", "Taiwan", "12345678", "12345678", ""),
        ("1234567(8)", "macao_bir", "Macao", "12345678", "", ""),
        ("5/123456/7", "macao_bir", "Macao", "51234567", "", ""),
        ("７１２３４５６（７）", "macao_bir", "Macao", "71234567", "", ""),
        ("p1744686", "hkid", "Hong Kong", "P1744686", "", ""),
    ],
)
def test_each_permit_by_its_shape(text: str, kind: str, issuer: str, number: str, life: str, reissue: str) -> None:
    found = parse_permit(text)
    assert found.valid
    assert (found.kind, found.issuer, found.number) == (kind, issuer, number)
    assert (found.lifetime_no, found.reissue) == (life, reissue)


@pytest.mark.parametrize(
    "text", ["", "H123456", "X12345678", "H123456780", "2234567(8)", "1234567(", "P174468", "CAB123456", "T" * 40]
)
def test_what_has_no_shape_of_a_permit_is_not_one(text: str) -> None:
    found = parse_permit(text)
    assert not found.valid
    assert found.kind is None
    assert found.problem


@pytest.mark.parametrize("text", ["H1234567", "CI1234567", "CO1234567"])
def test_what_could_only_be_a_hong_kong_card_must_have_its_check_digit(text: str) -> None:
    assert parse_permit(text).problem == "check digit does not fit"


def test_a_kind_asked_for_is_the_only_one_tried() -> None:
    assert parse_permit("15123456").kind is PermitKind.TAIWAN_COMPATRIOT
    assert parse_permit("15123456", PermitKind.MACAO_BIR).valid
    assert parse_permit("H12345678", PermitKind.MACAO_BIR).problem == "not the shape of macao_bir"


@given(st.text(ALPHABET, min_size=1, max_size=2), st.text("0123456789", min_size=6, max_size=6))
def test_the_hkid_sum_with_its_check_digit_is_a_multiple_of_eleven(prefix: str, digits: str) -> None:
    check = hkid_check(prefix, digits)
    values = [36 if sign == " " else int(sign, 36) for sign in prefix.rjust(2) + digits] + [int(check, 16)]
    assert sum(value * weight for value, weight in zip(values, range(9, 0, -1), strict=True)) % 11 == 0
    assert parse_permit(f"{prefix}{digits}({check})").valid


@given(st.integers(0, 6), st.sampled_from("0123456789"))
def test_every_change_of_one_hkid_digit_is_caught(place: int, digit: str) -> None:
    body, at = "P1744686", place + 1
    assume(body[at] != digit)
    found = parse_permit(body[:at] + digit + body[at + 1 :], PermitKind.HKID)
    assert not found.valid
    assert found.problem == "check digit does not fit"


def test_repr_shows_no_number() -> None:
    assert "12345678" not in repr(parse_permit("H1234567801"))


@given(st.text(st.characters(), max_size=100) | st.from_regex(r"\A[A-Z]{0,2}[0-9]{6,10}[(]?[0-9A][)]?\Z"))
def test_no_text_crashes_the_parser(text: str) -> None:
    found = parse_permit(text)
    assert found.valid is (found.problem == "")
