"""The vote over the reads of one vehicle, and what lists are asked."""

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.identity.plates import PLAIN_EDIT, PlateRegion, PlateSet, confusable_distance, parse_plate
from core.identity.tokens import TokenKind, subject_token
from drivers.facts import Image, PlateRead
from edge.lanes.votes import (
    MAX_NEAR,
    MAX_READS,
    Ballot,
    CameraRole,
    PlateTokens,
    disagree,
    look_up,
    near_readings,
    plate_tokens,
    tokens_of,
)

FRONT, REAR = CameraRole


def tokenise(text):
    return subject_token(TokenKind.PLATE, text, b"k" * 32, lambda key, message: message[-32:].rjust(32, b"."))


def ballot(*reads, role=FRONT):
    """Reads as `plate`, or `(plate, confidence)`."""
    cast = Ballot()
    for one in reads:
        plate, confidence = one if isinstance(one, tuple) else (one, 0.9)
        cast = cast.add(role, PlateRead(plate=plate, confidence=confidence))
    return cast


@pytest.mark.parametrize(
    ("reads", "plates"),
    [
        pytest.param(["粤B12345"], ["粤B12345"], id="one read"),
        pytest.param(["粤B·12345", "粵B 12345", "粤b12345"], ["粤B12345"], id="one normal form"),
        pytest.param(["粤B12345", "粤B12346", "粤B12345"], ["粤B12345"], id="most"),
        pytest.param([("粤B12345", 0.3), ("粤B12346", 0.9)], ["粤B12346"], id="the surer"),
        pytest.param(["粤B72345", "粤B17345", "粤B12745"], ["粤B12345"], id="by sign: never read whole"),
        pytest.param(["粤B1234", "粤B12345", "粤B12345"], ["粤B12345"], id="a sign lost"),
        pytest.param(["Z1234", "粤Z1234澳", "粤Z1234澳"], ["粤Z1234澳"], id="both ends lost"),
        pytest.param(["粤Z1234澳", "MX5678"] * 2, ["MX5678", "粤Z1234澳"], id="of Macao"),
        pytest.param(["粤Z1234港", "粤Z1234港", "AB1234"], ["粤Z1234港", "AB1234"], id="of Hong Kong, same digits"),
        pytest.param(["粤Z1234港", "MX5678", "AB987"], ["AB987", "MX5678", "粤Z1234港"], id="three"),
        pytest.param(["粤B12345"] * 3 + ["粤C67890"], ["粤B12345"], id="one issuer, one plate"),
        pytest.param(["粤B12345"] * 9 + ["AB987"], ["粤B12345"], id="too rare to be a second plate"),
        pytest.param(["ILOVEHK"] * 2, ["ILOVEHK"], id="of no form"),
        pytest.param(["", ""], [], id="without a plate"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_a_verdict(reads, plates):
    verdict = ballot(*reads).verdict()
    assert list(verdict.texts) == plates
    assert verdict.reads == len(reads)


def test_empty_reads_are_told_and_take_nothing_from_a_plate():
    verdict = ballot("", "粤B12345", "").verdict()
    assert (verdict.reads, verdict.empty, verdict.confidence) == (3, 2, 0.9)


def test_the_confidence_is_that_of_the_least_agreed_sign():
    verdict = ballot("粤B12345", "粤B12345", "粤B12346").verdict()
    assert verdict.confidence == pytest.approx(2 / 3 * 0.9, abs=1e-3)
    (plate,) = verdict.plates
    assert [(one.text, round(one.share, 2)) for one in plate.runners_up] == [("粤B12346", 0.33)]


def test_who_lost_is_told():
    verdict = ballot(*["粤B12345"] * 3, "粤C67890").verdict()
    assert [(one.text, one.share) for one in verdict.others] == [("粤C67890", 0.25)]


def test_the_colour_is_voted_too():
    cast = Ballot()
    for colour in ("blue", "green", "green", ""):
        cast = cast.add(FRONT, PlateRead("粤B12345", confidence=0.9, colour=colour))
    assert cast.verdict().plates[0].colour == "green"


def test_the_same_read_told_again_counts_once():
    read = PlateRead("粤B12345", object_id="7")
    cast = Ballot().add(FRONT, read, "CAM-1").add(FRONT, read, "CAM-1").add(FRONT, read, "CAM-2")
    assert cast.verdict().reads == 2


def test_each_side_has_its_own_verdict():
    cast = ballot("粤B12345").add(REAR, PlateRead("粤C67890", confidence=0.9))
    assert [cast.verdict(role).texts for role in (FRONT, REAR)] == [("粤B12345",), ("粤C67890",)]


def test_what_is_kept_is_bounded_and_never_a_picture():
    cast = Ballot()
    for number in range(MAX_READS + 5):
        picture = Image("scene", "image/jpeg", b"x" * 1000)
        cast = cast.add(FRONT, PlateRead(f"粤B{number:05}" * 100, images=(picture,)))
    assert (len(cast.sightings), cast.beyond) == (MAX_READS, 5)
    assert not any(hasattr(one, "images") or one.text for one in cast.sightings)


def test_noise_is_weighed_only_so_far():
    noise = [f"{number * 7919:07X}"[-7:][::-1] for number in range(1, MAX_READS)]
    verdict = ballot("粤B12345", "粤B12345", *noise).verdict()
    assert verdict.texts[0] == "粤B12345"
    assert len(verdict.others) <= 4


TEXTS = st.sampled_from(
    ["粤B12345", "粤B1234S", "粤BI2345", "粤Z1234澳", "MX5678", "AB1234", "", "?", "Z1234"]
) | st.text(max_size=12)
CONFIDENCES = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.tuples(TEXTS, CONFIDENCES), max_size=12).flatmap(lambda r: st.tuples(st.just(r), st.permutations(r)))
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_the_same_reads_give_the_same_verdict_in_whatever_order(orders):
    verdicts = [ballot(*reads).verdict() for reads in orders]
    assert verdicts[0].texts == verdicts[1].texts
    assert verdicts[0].confidence == pytest.approx(verdicts[1].confidence)
    assert all(0 <= one.confidence <= 1 and math.isfinite(one.weight) for one in verdicts[0].plates)
    assert verdicts[0].plate_set is None or isinstance(verdicts[0].plate_set, PlateSet)
    regions = [one.plate.region for one in verdicts[0].plates]
    assert len(set(regions)) == len(regions) <= 3
    tokens = plate_tokens(verdicts[0], tokenise)
    assert not set(tokens.exact) & set(tokens.near)
    assert len(tokens.near) <= MAX_NEAR


@pytest.mark.parametrize(
    ("front", "rear", "differ"),
    [
        ("粤B12345", "粤B12345", False),
        ("粤B12345", "粤B1234S", False),
        ("粤B12345", "粤B12346", True),
        ("粤Z1234澳", "粤B12345", True),
        ("粤Z1234澳", "MX5678", False),
        ("粤B12345", "", False),
    ],
)
def test_front_and_rear_disagree(front, rear, differ):
    assert disagree(ballot(front).verdict(), ballot(rear).verdict(), 0.6) is differ
    assert not disagree(ballot((front, 0.5)).verdict(), ballot(rear).verdict(), 0.6)


def near(*reads):
    return near_readings(ballot(*reads).verdict().plates[0])


@pytest.mark.parametrize(
    ("read", "listed"),
    [("粤BD8888", "粤B08888"), ("粤B8ZZ12", "粤BB2Z12"), ("粤B8ZZ12", "粤B82212"), ("粤Z1234澳", "粤Z1Z34澳")],
)
def test_confusable_plates_are_near(read, listed):
    assert listed in near(read)


def test_near_readings_are_valid_plates_the_nearest_first():
    found = near("粤B0O8B5")
    distances = [confusable_distance("粤B008B5", text) for text in found]
    assert distances == sorted(distances)
    assert {*distances} == {1, 2}
    assert max(distances) < PLAIN_EDIT
    assert all(parse_plate(text).valid for text in found)
    assert len(found) == len(set(found)) > 10
    assert "粤B008B5" not in found
    assert near_readings(ballot("粤B0O8B5").verdict().plates[0], 4) == found[:4]


def test_what_a_camera_read_too_is_nearest():
    assert near("粤B12345", "粤B12345", "粤B12346")[0] == "粤B12346"


def test_a_plate_of_no_form_has_no_near_readings_of_no_form():
    assert near("ILOVEHK") == ()
    assert near("?" * 8) == ()


@pytest.mark.parametrize(
    ("listed", "found"),
    [({"粤B12345"}, ("粤B12345", False)), ({"粤C67890", "粤B1Z345"}, ("粤B1Z345", True)), ({"粤C67890"}, ("", False))],
)
def test_a_list_is_asked_for_the_exact_plate_first(listed, found):
    asked = []

    def in_list(token):
        asked.append(token)
        return token in {tokenise(text) for text in listed}

    tokens = plate_tokens(ballot("粤B12345").verdict(), tokenise)
    token, fuzzy = look_up(tokens, in_list)
    assert (token, fuzzy) == (tokenise(found[0]) if found[0] else "", found[1])
    assert asked[0] == tokens.exact[0]


def test_the_near_readings_of_several_plates_share_the_bound():
    """Three plates of a car, with runners-up, have more near readings than lists are asked."""
    reads = [f"粤Z{middle}澳" for middle in ("0B8D", "0B8B", "088D")] + ["AB5228", "AB5227", "AB5225", "AB5128"]
    verdict = ballot(*reads).verdict()
    tokens = plate_tokens(verdict, tokenise)
    each = [near_readings(vote) for vote in verdict.plates]
    assert len(tokens.exact) == len(each) == 2
    assert len(tokens.near) == min(MAX_NEAR, sum(map(len, each)))
    assert tokens.near[:2] == tokens_of([texts[0] for texts in each], tokenise)


def test_a_text_that_can_be_no_identifier_has_no_token():
    assert tokens_of(("粤B12345", "???", ""), tokenise) == (tokenise("粤B12345"),)
    assert look_up(PlateTokens(), lambda token: True) == ("", False)


def test_a_region_is_told():
    assert ballot("粤Z1234港").verdict().plates[0].plate.region is PlateRegion.DUAL
