from datetime import date

from hypothesis import assume, given
from hypothesis import strategies as st

from core.identity.resident import ResidentKind, parse_resident_id, resident_check

SPECIMENS = ("110101199003078670", "830000199201300022", "44040119580101000X", "33010219200403064X")

bodies = st.builds(
    lambda place, born, order: f"{place:06d}{born:%Y%m%d}{order:03d}",
    st.integers(110000, 999999),
    st.dates(min_value=date(1800, 1, 1)),
    st.integers(0, 999),
)


def iso7064_mod_11_2(body: str) -> str:
    """The same check by the recursive method of ISO/IEC 7064, which shares no table with the code."""
    rest = 0
    for digit in body:
        rest = (rest + int(digit)) * 2 % 11
    return "0123456789X"[(12 - rest) % 11]


@given(bodies)
def test_the_check_digit_agrees_with_iso_7064(body: str) -> None:
    assert resident_check(body) == iso7064_mod_11_2(body)
    assert parse_resident_id(body + iso7064_mod_11_2(body)).valid


@given(st.sampled_from(SPECIMENS), st.integers(0, 17), st.sampled_from("0123456789X"))
def test_every_change_of_one_digit_is_caught(number: str, place: int, digit: str) -> None:
    assume(number[place] != digit)
    changed = parse_resident_id(number[:place] + digit + number[place + 1 :])
    assert not changed.valid
    assert not changed.check_ok
    assert changed.problem


@given(st.sampled_from(SPECIMENS), st.integers(0, 15))
def test_every_swap_of_two_neighbours_is_caught(number: str, place: int) -> None:
    assume(number[place] != number[place + 1])
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert not parse_resident_id(swapped).valid


def test_kinds_follow_the_first_digits() -> None:
    def kind(prefix: str) -> ResidentKind | None:
        body = prefix + "19900307867"
        return parse_resident_id(body + resident_check(body)).kind

    assert kind("440402") is ResidentKind.RESIDENT
    assert kind("810000") is ResidentKind.HK_RESIDENCE
    assert kind("820000") is ResidentKind.MACAO_RESIDENCE
    assert kind("830000") is ResidentKind.TAIWAN_RESIDENCE
    assert kind("911840") is ResidentKind.FOREIGN_PERMANENT


def test_readers_send_small_x_full_width_and_spaces() -> None:
    wanted = parse_resident_id("44040119580101000X")
    for sent in ("44040119580101000x", " 440401 19580101 000X\r\n", "４４０４０１１９５８０１０１０００ｘ"):
        assert parse_resident_id(sent) == wanted


def test_the_old_form_must_have_a_date_too() -> None:
    assert parse_resident_id("150102880230303").problem == "birth is not a date"


def test_years_before_any_holder_are_no_dates() -> None:
    body = "11010117991231867"
    assert not parse_resident_id(body + resident_check(body)).birth_ok


def test_repr_shows_neither_number_nor_birth() -> None:
    shown = repr(parse_resident_id("110101199003078670"))
    assert "110101" not in shown
    assert "19900307" not in shown


@given(st.text(st.characters(), max_size=200) | st.text("0123456789X", min_size=15, max_size=18))
def test_no_text_crashes_the_parser(text: str) -> None:
    found = parse_resident_id(text)
    assert found.valid is (found.problem == "")
    assert len(found.problem) < 80
