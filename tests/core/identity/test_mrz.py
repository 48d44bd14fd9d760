"""Zones beyond the vectors: the specimens of ICAO Doc 9303 (neutral names: no check covers them), and broken ones."""

from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import date, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.identity.mrz import DocumentInvalid, check_digit, full_date, mrz_lines, parse_mrz

TD1 = ("I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "SPECIMEN<<SAMPLE<CARD<<<<<<<<<")
TD1_LONG = ("I<UTOD23145890<7349<<<<<<<<<<<", "3407127M9507122UTO<<<<<<<<<<<2", "SPECIMEN<<SAMPLE<CARD<<<<<<<<<")
TD2 = ("I<UTOSPECIMEN<<SAMPLE<CARD<<<<<<<<<<", "D231458907UTO7408122F1204159<<<<<<<6")
TD3 = ("P<UTOSPECIMEN<<SAMPLE<BOOK<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10")
MRV_A = ("V<UTOSPECIMEN<<SAMPLE<VISA<<<<<<<<<<<<<<<<<<", "L8988901C4XXX4009078F96121096ZE184226B<<<<<<")
MRV_B = ("V<UTOSPECIMEN<<SAMPLE<VISA<<<<<<<<<<", "L8988901C4XXX4009078F9612109<<<<<<<<")
SPECIMENS = {"TD1": TD1, "TD2": TD2, "TD3": TD3, "MRV-A": MRV_A, "MRV-B": MRV_B}
NUMBER_AT = {"TD1": (0, 5), "TD2": (1, 0), "TD3": (1, 0), "MRV-A": (1, 0), "MRV-B": (1, 0)}
SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ<"


@pytest.mark.parametrize("name", SPECIMENS)
def test_the_specimen_of_each_format_is_valid(name: str) -> None:
    zone = parse_mrz(SPECIMENS[name])
    assert zone.problems == ()
    assert (zone.format, zone.issuer, zone.surname, zone.sex) == (name, "UTO", "SPECIMEN", "F")
    assert zone.given.startswith("SAMPLE ")
    assert ("composite" in zone.checks) is (not name.startswith("MRV"))


def test_fields_that_a_format_lacks_are_none() -> None:
    zone = parse_mrz(TD3)
    assert (zone.personal_number, zone.optional, zone.optional1, zone.optional2) == ("ZE184226B", None, None, None)
    assert parse_mrz(MRV_A).optional == "6ZE184226B"
    assert parse_mrz(TD2).optional == ""


def test_a_long_number_runs_on_into_the_optional_data() -> None:
    zone = parse_mrz(TD1_LONG)
    assert zone.valid
    assert (zone.number, zone.optional1) == ("D23145890734", "")
    broken = parse_mrz((TD1_LONG[0].replace("7349", "7359"), *TD1_LONG[1:]))
    assert broken.checks["number"] is False


def test_a_zone_is_frozen_hashable_and_its_repr_names_nobody() -> None:
    zone = parse_mrz(TD3)
    with pytest.raises(FrozenInstanceError):
        zone.number = "X"  # type: ignore[misc]  # that it cannot be is the point
    assert len({zone, parse_mrz(TD3)}) == 1
    for secret in ("SPECIMEN", "L898902C3", "740812", "ZE184226B"):
        assert secret not in repr(zone)


@pytest.mark.parametrize(
    "sent",
    [
        "\r".join(TD3),
        "\r\n".join(TD3) + "\r\n",
        "\n\n".join(TD3),
        "|".join(TD3) + "|",
        "".join(TD3),
        "\n".join(TD3).lower(),
        "\x02" + "  \r\n".join(TD3) + " \x03",
        "".join(chr(ord(sign) + 0xFEE0) for sign in TD3[0]) + "\n" + TD3[1],
    ],
)
def test_readers_send_the_same_zone_in_many_ways(sent: str) -> None:
    assert parse_mrz((sent,)) == parse_mrz(sent) == parse_mrz(TD3)


@pytest.mark.parametrize("specimen", [TD1, TD2, TD3])
def test_a_zone_without_line_ends_is_split_by_its_length(specimen: tuple[str, ...]) -> None:
    assert mrz_lines("".join(specimen)) == specimen


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        (TD3[0],),
        (TD3[0], TD3[1][:-1]),
        (TD3[0], TD3[1], TD3[1]),
        (TD1[0], TD1[1]),
        (TD3[0], TD2[1]),
        (TD3[0].replace("<<", "<-"), TD3[1]),
        (TD3[0].replace("S", "Ü"), TD3[1]),
        (TD3[0], TD3[1].replace("1", "१")),
        ("P" * 513,),
    ],
)
def test_what_has_not_the_shape_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(DocumentInvalid):
        parse_mrz(lines)


@pytest.mark.parametrize(
    ("line", "at", "put", "problem"),
    [
        (0, 0, "<", "type does not begin with a letter"),
        (0, 2, "<", "issuer is not one to three letters"),
        (0, 3, "0", "issuer is not one to three letters"),
        (0, 5, "<", "names begin with a filler, have digits, or more than two parts"),
        (0, 6, "1", "names begin with a filler, have digits, or more than two parts"),
        (0, 26, "<<X", "names begin with a filler, have digits, or more than two parts"),
        (1, 0, "<", "number is empty or begins with a filler"),
        (1, 10, "U1O", "nationality is not one to three letters"),
        (1, 15, "13", "birth is not a date"),
        (1, 13, "750229", "birth is not a date"),
        (1, 13, "74<<12", "birth is not a date"),
        (1, 23, "00", "expiry is not a date"),
        (1, 20, "Q", "sex is none of M, F, X and filler"),
    ],
)
def test_a_broken_rule_is_named(line: int, at: int, put: str, problem: str) -> None:
    lines = list(TD3)
    lines[line] = lines[line][:at] + put + lines[line][at + len(put) :]
    zone = parse_mrz(lines)
    assert problem in zone.problems
    assert not zone.valid


def _with_birth(birth: str) -> tuple[str, str]:
    """TD3 with another date and the digits that it needs."""
    body = f"L898902C36UTO{birth}{check_digit(birth)}F1204159ZE184226B<<<<<1"
    return TD3[0], body + check_digit(body[:10] + body[13:20] + body[21:43])


@pytest.mark.parametrize(("birth", "valid"), [("7408<<", True), ("74<<<<", True), ("<<<<<<", True), ("760229", True)])
def test_unknown_parts_of_a_birth_and_leap_days_are_no_fault(birth: str, valid: bool) -> None:
    assert parse_mrz(_with_birth(birth)).valid is valid


def test_the_digit_of_an_empty_personal_number_is_filler_or_zero() -> None:
    for digit in "<0":
        body = "L898902C36UTO7408122F1204159" + "<" * 14 + digit
        line = body + check_digit(body[:10] + body[13:20] + body[21:43])
        assert parse_mrz((TD3[0], line)).valid
    filled = TD3[1][:42] + "<" + TD3[1][43:]
    assert parse_mrz((TD3[0], filled)).checks["personal"] is False


@pytest.mark.parametrize(("name", "line", "at"), [("TD1", 1, 28), ("TD1", 0, 29), ("TD2", 1, 34), ("TD3", 1, 27)])
def test_the_composite_digit_reaches_to_the_end_of_each_span(name: str, line: int, at: int) -> None:
    lines = list(SPECIMENS[name])
    lines[line] = lines[line][:at] + "1" + lines[line][at + 1 :]
    assert parse_mrz(lines).checks["composite"] is False


def test_a_short_number_without_check_digit_does_not_run_on() -> None:
    line = TD1_LONG[0].replace("D23145890", "D2314589<")
    zone = parse_mrz((line, *TD1_LONG[1:]))
    assert (zone.number, zone.optional1, zone.checks["number"]) == ("D2314589", "7349", False)


def test_a_document_may_have_no_expiry() -> None:
    for digit in "<0":
        line = MRV_B[1][:21] + "<<<<<<" + digit + MRV_B[1][28:]
        assert parse_mrz((MRV_B[0], line)).valid


def test_a_filler_for_sex_reads_x() -> None:
    zone = parse_mrz((TD3[0], TD3[1][:20] + "<" + TD3[1][21:]))
    assert zone.sex == "X"
    assert zone.valid


@given(
    name=st.sampled_from(sorted(SPECIMENS)), place=st.integers(min_value=0, max_value=8), sign=st.sampled_from(SIGNS)
)
def test_a_substituted_sign_in_the_number_is_caught_unless_its_value_differs_by_a_multiple_of_ten(
    name: str, place: int, sign: str
) -> None:
    line, start = NUMBER_AT[name]
    lines = list(SPECIMENS[name])
    old = lines[line][start + place]
    assume(sign != old)
    lines[line] = lines[line][: start + place] + sign + lines[line][start + place + 1 :]
    zone = parse_mrz(lines)
    blind = check_digit(sign) == check_digit(old)
    assert zone.checks["number"] is blind
    if sign.isdigit() and old.isdigit():
        assert not zone.valid


@given(name=st.sampled_from(["TD1", "TD2", "TD3"]), at=st.integers(min_value=0), digit=st.sampled_from("0123456789"))
def test_a_substituted_digit_in_what_the_composite_covers_is_caught(name: str, at: int, digit: str) -> None:
    lines = list(SPECIMENS[name])
    places = [(row, col) for row, line in enumerate(lines) for col, sign in enumerate(line) if sign.isdigit()]
    row, col = places[at % len(places)]
    assume(lines[row][col] != digit)
    lines[row] = lines[row][:col] + digit + lines[row][col + 1 :]
    assert not parse_mrz(lines).valid


@settings(max_examples=300)
@given(st.lists(st.text(st.characters(), max_size=50), max_size=4) | st.text(st.characters(), max_size=600))
def test_no_text_crashes_the_parser(lines: list[str] | str) -> None:
    with suppress(DocumentInvalid):
        assert parse_mrz(lines).format in SPECIMENS


@settings(max_examples=300)
@given(data=st.data(), name=st.sampled_from(sorted(SPECIMENS)))
def test_no_zone_of_the_right_shape_crashes_the_parser(data: st.DataObject, name: str) -> None:
    lines = [
        data.draw(st.text(SIGNS, min_size=len(line), max_size=len(line)) | st.just(line)) for line in SPECIMENS[name]
    ]
    zone = parse_mrz(lines)
    assert zone.valid is (all(zone.checks.values()) and zone.problems == ())


TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("yymmdd", "kind", "expected"),
    [
        ("261121", "birth", date(2026, 11, 21)),
        ("261122", "birth", date(1926, 11, 22)),
        ("740812", "birth", date(1974, 8, 12)),
        ("000229", "birth", date(2000, 2, 29)),
        ("261122", "expiry", date(2026, 11, 22)),
        ("361121", "expiry", date(2036, 11, 21)),
        ("991231", "expiry", date(1999, 12, 31)),
        ("120415", "expiry", date(2012, 4, 15)),
    ],
)
def test_two_digit_years_get_their_century(yymmdd: str, kind: str, expected: date) -> None:
    assert full_date(yymmdd, TODAY, kind) == expected  # type: ignore[arg-type]  # the table holds its two words


@pytest.mark.parametrize("yymmdd", ["7408<<", "741301", "750229", "", "74081", "٧٤٠٨١٢"])
def test_what_is_no_date_has_no_century(yymmdd: str) -> None:
    with pytest.raises(DocumentInvalid):
        full_date(yymmdd, TODAY, "birth")


def test_an_expiry_near_a_turn_of_century_looks_ahead() -> None:
    assert full_date("050101", date(2098, 1, 1), "expiry") == date(2105, 1, 1)


@given(st.dates(min_value=TODAY - timedelta(days=36_500), max_value=TODAY))
def test_a_birth_of_the_last_century_comes_back_whole(born: date) -> None:
    assert full_date(born.strftime("%y%m%d"), TODAY, "birth") == born


@given(st.dates(min_value=TODAY - timedelta(days=18_000), max_value=TODAY + timedelta(days=18_000)))
def test_an_expiry_within_49_years_comes_back_whole(day: date) -> None:
    assert full_date(day.strftime("%y%m%d"), TODAY, "expiry") == day
