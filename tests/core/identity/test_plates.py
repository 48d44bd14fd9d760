import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.identity.plates import (
    PLAIN_EDIT,
    PROVINCES,
    PlateKind,
    PlateSet,
    PlateSetInvalid,
    confusable_distance,
    confusable_variants,
    parse_plate,
    plate_text,
)

readings = st.text(PROVINCES + "挂学警领使港澳粵滬ABDIMOQSZabiom０１Ａｏ0123458·- ", max_size=12)


@pytest.mark.parametrize(
    ("text", "kind", "region"),
    [
        ("粤Z1234港", "cross_border_hk", "dual"),
        ("粤ZAB12澳", "cross_border_macao", "dual"),
        ("粤B12345D", "new_energy_large", "CN"),
        ("京A1234学", "school", "CN"),
        ("闽20401领", "consulate", "CN"),
        ("粤A1234领", "consulate", "CN"),
        ("224001使", "embassy", "CN"),
        ("使224001", "embassy", "CN"),
        ("M-12-34", "macao", "MO"),
        ("MX-12-34", "macao", "MO"),
        ("MO-12-34", "macao", "MO"),
        ("MX1234", "macao", "MO"),
        ("MX-01-34", "macao_government", "MO"),
        ("AA-12-34", "macao", "MO"),
        ("ES-123", "macao_trade", "MO"),
        ("EX-12-34", "macao_trade", "MO"),
        ("ZA-12-34", "macao_garrison", "MO"),
        ("CM-12345", "macao_moped", "MO"),
        ("AA1234", "hk", "HK"),
        ("HK 9", "hk", "HK"),
        ("B 12", "hk", "HK"),
        ("AM1234", "hk_government", "HK"),
        ("A123", "hk_ambulance", "HK"),
        ("F123", "hk_fire", "HK"),
        ("LC1", "hk_legislature", "HK"),
        ("ZG123", "hk_garrison", "HK"),
    ],
)
def test_each_form_of_the_three_places(text: str, kind: str, region: str) -> None:
    plate = parse_plate(text)
    assert plate.valid
    assert (plate.kind, plate.region) == (kind, region)


def test_every_kind_is_reached() -> None:
    seen = {parse_plate(text).kind for text in ("粤A12345", "粤AD12345", "粤A1234挂", "粤A1234警")}
    rows = test_each_form_of_the_three_places.pytestmark[0].args[1]  # type: ignore[attr-defined]  # pytest puts it there
    assert seen | {kind for _, kind, _ in rows} == set(PlateKind)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" · ", "empty"),
        ("粤I12345", "I and O are not issued as second character"),
        ("粤O12345", "I and O are not issued as second character"),
        ("粤A123456", "fits no form of the mainland"),
        ("粤AD123456", "too long"),
        ("京Z1234澳", "fits no form of the mainland"),
        ("M-00-00", "number 0000 is not issued"),
        ("M12345", "fits no form of Macao or Hong Kong"),
        ("AQ1234", "fits no form of Macao or Hong Kong"),
        ("AB0123", "fits no form of Macao or Hong Kong"),
        ("AB123456", "too long"),
        ("ABC123", "more than two letters"),
        ("AB12?", "illegal character"),
        ("ß1234", "illegal character"),
        ("AB①", "illegal character"),
        ("粤A1234٥", "illegal character"),
        ("1" * 33, "too long"),
        (" " * 10_000 + "AB1234", "too long"),
    ],
)
def test_what_is_no_plate_says_why(text: str, problem: str) -> None:
    plate = parse_plate(text)
    assert (plate.valid, plate.kind, plate.region) == (False, None, None)
    assert plate.problem == problem


@pytest.mark.parametrize(
    ("read", "text"),
    [
        ("粤b·a03205", "粤BA03205"),
        ("　粤Ｂ－Ａ０３２０５", "粤BA03205"),
        ("粵Z1234澳", "粤Z1234澳"),
        ("m-00-01", "M0001"),
        ("mx 12 34", "MX1234"),
        ("粤BAO32O5", "粤BA03205"),
        ("沪AI2345", "沪A12345"),
        ("闽2O40I领", "闽20401领"),
        ("M-O0-0I", "M0001"),
        ("AI234", "A1234"),
        ("LOVE U", "LOVEU"),
        ("MO-12-34", "MO1234"),
        ("MO-I2-34", "MO1234"),
        ("AA-I2-34", "AA1234"),
        ("粤O12345", "粤O12345"),
    ],
)
def test_the_normal_form_mends_only_what_the_grammar_forces(read: str, text: str) -> None:
    assert parse_plate(read).text == text


@given(readings | st.text(st.characters(), max_size=60))
def test_normalisation_is_idempotent(text: str) -> None:
    once = parse_plate(text)
    twice = parse_plate(once.text)
    assert twice.text == once.text
    if len(text) <= 32:
        assert twice.valid is once.valid
    assert plate_text(plate_text(text)) == plate_text(text)


@given(readings, st.lists(st.sampled_from(" ·-•　"), max_size=6), st.randoms(use_true_random=False))
def test_separators_and_case_change_nothing(text: str, marks: list[str], chance: object) -> None:
    bare = plate_text(text)
    assume(not any(parse_plate(dashed).kind is PlateKind.MACAO for dashed in (text, bare)))
    dressed = list(bare.lower())
    for mark in (mark for mark in marks if mark != "-"):
        dressed.insert(chance.randrange(len(dressed) + 1), mark)  # type: ignore[attr-defined]  # a random.Random
    assert parse_plate("".join(dressed)) == parse_plate(bare)


@given(st.text(st.characters(), max_size=80))
def test_no_text_crashes_the_parser(text: str) -> None:
    plate = parse_plate(text)
    assert plate.valid is (plate.problem == "")
    assert confusable_distance(text, "粤B12345") >= 0


def test_repr_shows_no_plate() -> None:
    assert "12345" not in repr(parse_plate("粤B12345"))


@pytest.mark.parametrize(
    ("read", "listed", "distance"),
    [
        ("粤B12345", "粤b·12345", 0),
        ("粤B1B345", "粤B18345", 1),
        ("粤B12S45", "粤B12545", 1),
        ("粤BZ2345", "粤B22345", 1),
        ("粤BD2345", "粤B02345", 1),
        ("粤BDZ345", "粤B02345", 2),
        ("澳B12345", "粤B12345", 1),
        ("粤B12346", "粤B12345", 3),
        ("粤B1234", "粤B12345", PLAIN_EDIT),
        ("粤Z1234港", "粤Z1234澳", PLAIN_EDIT),
        ("粤BO2345", "粤B02345", 0),
        ("LOVE0", "LOVEO", 1),
        ("LIVE", "L1VE", 1),
        ("", "粤B12345", 7 * PLAIN_EDIT),
    ],
)
def test_confusable_signs_are_nearer_than_others(read: str, listed: str, distance: int) -> None:
    assert confusable_distance(read, listed) == distance
    assert confusable_distance(listed, read) == distance


@given(readings, readings)
def test_distance_is_zero_for_the_same_plate_only(a: str, b: str) -> None:
    assert (confusable_distance(a, b) == 0) is (parse_plate(a).text == parse_plate(b).text)
    assert confusable_distance(a, b) == confusable_distance(b, a)


def test_variants_are_the_plates_that_a_camera_could_have_meant() -> None:
    assert confusable_variants("粤B·D2345") == tuple(
        sorted(["澳BD2345", "粤8D2345", "粤B02345", "粤BDZ345", "粤BD234S"])
    )
    assert confusable_variants("M-34-67") == ()


@given(readings)
def test_every_variant_is_one_confusable_sign_away(text: str) -> None:
    variants = confusable_variants(text)
    assert len(set(variants)) == len(variants) <= 2 * len(text)
    assert all(0 < confusable_distance(text, variant) < PLAIN_EDIT for variant in variants)


def test_a_variant_that_the_grammar_mends_elsewhere_too_is_listed_as_mended() -> None:
    """`AI8` has an I where only a digit can stand: the plate that the camera could have meant is two signs away."""
    assert "A18" in confusable_variants("AIB")


def test_a_plate_set_is_a_value_whatever_the_order_and_writing() -> None:
    car = PlateSet.of("粤Z1234澳", "MX-12-34", "HK 123")
    assert car == PlateSet.of("hk123", "粵Z1234澳", "mx1234", "MX 12 34")
    assert len({car, PlateSet.of("hk123", "粵Z1234澳", "mx1234")}) == 1
    assert [plate.text for plate in car] == ["HK123", "MX1234", "粤Z1234澳"]
    assert len(car) == 3
    assert "mx-12-34" in car
    assert "mx-12-35" not in car
    assert car.distance("MX123A") == PLAIN_EDIT
    assert car.distance("MXI234") == 0


@pytest.mark.parametrize("texts", [(), ("京A123",), ("粤B12345", "粤B12346"), ("MA-12-34", "MB-12-34", "粤B12345")])
def test_plates_that_no_car_carries_together_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(PlateSetInvalid):
        PlateSet.of(*texts)
